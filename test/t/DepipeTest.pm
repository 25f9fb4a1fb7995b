# DepipeTest: a source and a warehouse, and exact comparisons between them.
#
#	my ($source, $warehouse) = source_and_warehouse();
#	make_table($source, $warehouse, 'a', 'id int PRIMARY KEY, t text');   # and its load raw.a
#	is_status($warehouse, 'raw.a', 'succeeded', 'first copy');
#	is_same($source, $warehouse, 'a', 'the copy');
#
# Every server is a temporary PostgreSQL::Test::Cluster. Loads use its unix socket.

package DepipeTest;

use strict;
use warnings;
use Exporter 'import';
use File::Basename qw(dirname);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

our @EXPORT = qw(
  source_and_warehouse add_server make_table refresh statuses is_status converge state_of
  rows_of is_same is_value fails_like session_sql session_ok wait_until breaker_of
  crash_restart how_many
);

# poll_query_until() writes its query to a psql, which may have ended already if the server is just
# restarting. IPC::Run dies of that; it is an attempt that failed like any other.
{
	no warnings 'redefine';
	my $poll = \&PostgreSQL::Test::Cluster::poll_query_until;

	*PostgreSQL::Test::Cluster::poll_query_until = sub {
		my @arguments = @_;
		my $end = time() + $PostgreSQL::Test::Utils::timeout_default;

		while (1)
		{
			my $result = eval { $poll->(@arguments) };

			return $result if $@ eq '';
			die $@ unless $@ =~ /Broken pipe/;
			return 0 if time() >= $end;
			usleep(100_000);
		}
	};
}

# Initialize the node, as a copy of a template where possible: see test/bin/initdb.
sub make_data_directory
{
	my ($node, @options) = @_;
	my ($real) = grep { -x } map { "$_/initdb" } split /:/, $ENV{PATH};

	local $ENV{DEPIPE_NODE} = $node->name;
	local $ENV{DEPIPE_INITDB} = $real;
	local $ENV{DEPIPE_TEMPLATES} = "$ENV{TESTDATADIR}/templates";
	local $ENV{PATH} = dirname(__FILE__) . "/../bin:$ENV{PATH}";
	$node->init(allows_streaming => 'logical', extra => \@options);
	return;
}

# A node with settings that suit many small tests.
sub start_node
{
	my ($name, $settings, $initdb) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	make_data_directory($node, '--no-locale', '--encoding=UTF8', @{ $initdb || [] });
	$node->append_conf(
		'postgresql.conf', qq{
max_replication_slots = 40
max_wal_senders = 40
max_connections = 60
shared_buffers = 16MB
restart_after_crash = on
log_statement = 'ddl'
log_line_prefix = '%m [%p] %q%a '
} . ($settings || ''));
	$node->start;
	return $node;
}

# source_and_warehouse(source => SETTINGS, warehouse => SETTINGS, initdb => [OPTION...] of the
# source) creates both nodes, the extension, the schema raw, and the server "shop" with a user
# mapping.
sub source_and_warehouse
{
	my (%options) = @_;
	my $source = start_node('source', $options{source}, $options{initdb});
	my $warehouse = start_node('warehouse', $options{warehouse});

	$warehouse->safe_psql('postgres', 'CREATE EXTENSION depipe; CREATE SCHEMA raw');
	add_server($source, $warehouse, 'shop');
	return ($source, $warehouse);
}

sub add_server
{
	my ($source, $warehouse, $name) = @_;
	my ($host, $port) = ($source->host, $source->port);

	$warehouse->safe_psql(
		'postgres', qq{
		CREATE SERVER $name FOREIGN DATA WRAPPER depipe
			OPTIONS (host '$host', port '$port', dbname 'postgres');
		CREATE USER MAPPING FOR CURRENT_USER SERVER $name;});
	return;
}

# Create a table public.NAME at the source and its load raw.NAME. %options: more arguments of
# create_load as SQL, for example key => q{ARRAY['id']}.
sub make_table
{
	my ($source, $warehouse, $name, $columns, %options) = @_;
	my $server = delete $options{server} || 'shop';
	my $arguments = join('', map { ", $_ => $options{$_}" } sort keys %options);

	$source->safe_psql('postgres', "CREATE TABLE public.$name ($columns)");
	$warehouse->safe_psql('postgres',
		"SELECT depipe.create_load('raw.$name', server => '$server', source => 'public.$name'"
		  . "$arguments)");
	return;
}

# refresh(NODE, PATTERN): the result of depipe.refresh, by target.
sub refresh
{
	my ($warehouse, $pattern) = @_;
	my %result;
	my $rows = $warehouse->safe_psql('postgres',
		"SELECT r.target, r.status, r.quarantined, translate(r.reason, E'\\n', ' ')"
		  . " FROM depipe.refresh('$pattern') r");

	foreach my $line (split /\n/, $rows)
	{
		my ($target, $status, $quarantined, $reason) = split /\|/, $line, 4;
		$result{$target} =
		  { status => $status, quarantined => $quarantined, reason => $reason };
	}
	return \%result;
}

# The result of a refresh as "raw.a=succeeded raw.b=blocked", sorted by name.
sub statuses
{
	my ($warehouse, $pattern) = @_;
	my $result = refresh($warehouse, $pattern);

	return join(' ', map { "$_=$result->{$_}{status}" } sort keys %$result);
}

# Refresh one target and check its status. Returns the reason.
sub is_status
{
	my ($warehouse, $target, $expected, $name) = @_;
	my $row = refresh($warehouse, $target)->{$target} || {};

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($row->{status}, $expected, "$name: status of the refresh")
	  || diag("reason: " . ($row->{reason} // ''));
	return $row->{reason} // '';
}

# Refresh until nothing more is published or retried.
sub converge
{
	my ($warehouse, $pattern) = @_;
	my $last = '';

	for my $attempt (1 .. 20)
	{
		my $result = refresh($warehouse, $pattern);

		$last = join(', ',
			map { "$_ $result->{$_}{status} " . ($result->{$_}{reason} // '') }
			  sort keys %$result);
		return 1 unless grep { $_->{status} ne 'nothing' } values %$result;
	}
	diag("no end of changes: $last");
	return 0;
}

sub state_of
{
	my ($warehouse, $target) = @_;

	return $warehouse->safe_psql('postgres',
		"SELECT state FROM depipe.loads WHERE target = '$target'");
}

sub breaker_of
{
	my ($warehouse, $target) = @_;

	return $warehouse->safe_psql('postgres',
		"SELECT state FROM depipe.breakers WHERE target = '$target'");
}

# The rows of a query as sorted text lines.
sub rows_of
{
	my ($node, $query) = @_;

	return $node->safe_psql('postgres',
		qq{SET DateStyle = 'ISO'; SET extra_float_digits = 1;
		SELECT translate(x::text, E'\\n', ' ') FROM ($query) x ORDER BY x::text COLLATE "C"});
}

# The source's table NAME and the target raw.NAME contain the same rows. COLUMNS (default *) and
# CONDITION restrict both. A hash may give other queries: source => ..., target => ...
sub is_same
{
	my ($source, $warehouse, $table, $name, %options) = @_;
	my $columns = $options{columns} || '*';
	my $where = $options{condition} ? " WHERE $options{condition}" : '';
	my $expected =
	  rows_of($source, $options{source} || "SELECT $columns FROM public.$table$where");
	my $actual =
	  rows_of($warehouse, $options{target} || "SELECT $columns FROM raw.$table$where");

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok($expected eq $actual, "$name: $table is exactly equal") && return 1;
	show_difference($expected, $actual);
	return 0;
}

sub show_difference
{
	my ($expected, $actual) = @_;
	my %count;
	my $shown = 0;

	$count{$_}++ foreach split /\n/, $expected;
	$count{$_}-- foreach split /\n/, $actual;
	foreach my $line (sort keys %count)
	{
		next if $count{$line} == 0;
		last if $shown++ == 5;
		diag(($count{$line} > 0 ? 'missing ' : 'surplus ') . substr($line, 0, 60));
	}
	return;
}

sub is_value
{
	my ($node, $query, $expected, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($node->safe_psql('postgres', $query), $expected, $name);
	return;
}

# The statement must fail with this SQLSTATE, and its message or hint must match.
sub fails_like
{
	my ($node, $sql, $sqlstate, $pattern, $name) = @_;
	my ($status, $stdout, $stderr) =
	  $node->psql('postgres', $sql, extra_params => [ '-v', 'VERBOSITY=verbose' ]);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	isnt($status, 0, "$name: fails");
	like($stderr, qr/ERROR:  \Q$sqlstate\E:/, "$name: SQLSTATE");
	like($stderr, $pattern, "$name: message");
	return;
}

# Run a statement in a background session. Returns its output and its errors.
sub session_sql
{
	my ($session, $sql) = @_;

	$session->{stderr} = '';
	my $output = $session->query($sql);
	my $errors = $session->{stderr};
	$session->{stderr} = '';
	return ($output, $errors);
}

sub session_ok
{
	my ($session, $sql) = @_;
	my ($output, $errors) = session_sql($session, $sql);

	die "\"$sql\" failed: $errors" if $errors =~ /ERROR|FATAL/;
	return $output;
}

sub wait_until
{
	my ($node, $query, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok($node->poll_query_until('postgres', $query), $name);
	return;
}

# A number of rounds, rows or tables: small in `make test`, full in .ci/run (DEPIPE_TEST_FULL).
sub how_many
{
	my ($few, $all) = @_;

	return $ENV{DEPIPE_TEST_FULL} ? $all : $few;
}

# Stop a node as a crash would, and start it again.
sub crash_restart
{
	my ($node) = @_;

	$node->stop('immediate');
	$node->start;
	return;
}

1;
