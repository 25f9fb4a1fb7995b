# pg_upgrade: definitions, tables and history are kept. The loads are detached, because the slot may
# belong to the old cluster. They are read again with a new slot, or take over the old one.
#
# The old PostgreSQL is that in DEPIPE_OLD_INSTALL, where test/matrix puts its machine's, or else
# the same version.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = PostgreSQL::Test::Cluster->new('source');
$source->init(allows_streaming => 'logical', extra => [ '--no-locale', '--encoding=UTF8' ]);
$source->start;

my @init = ('--no-locale', '--encoding=UTF8', '--data-checksums');
my $old = PostgreSQL::Test::Cluster->new('old',
	$ENV{DEPIPE_OLD_INSTALL} ? (install_path => $ENV{DEPIPE_OLD_INSTALL}) : ());
$old->init(extra => \@init);
$old->start;
note('from ' . $old->safe_psql('postgres', 'SELECT version()'));

# ---- two databases of the old cluster, one that will be read again, one that will go on

my $equal = q{SELECT x::text FROM %s x ORDER BY x::text COLLATE "C"};

sub change
{
	my ($text) = @_;

	$source->safe_psql('postgres', qq{UPDATE a SET t = '$text' || id WHERE id % 3 = 0;
		INSERT INTO a SELECT max(id) + 1, '$text' FROM a; INSERT INTO b SELECT max(id) + 1, 1 FROM b});
	return;
}

sub is_equal
{
	my ($node, $database, $name) = @_;

	foreach my $table (qw(a b))
	{
		# what the constraint of b sets aside is not in its target
		my $published = $table eq 'b' ? '(SELECT * FROM b WHERE n >= 0)' : $table;

		is( $node->safe_psql($database, sprintf($equal, "raw.$table")),
			$source->safe_psql('postgres', sprintf($equal, $published)),
			"$name: $table is exactly equal");
	}
	return;
}

$source->safe_psql('postgres', q{CREATE TABLE a (id int PRIMARY KEY, t text);
	CREATE TABLE b (id int PRIMARY KEY, n int);
	INSERT INTO a SELECT n, 'v' || n FROM generate_series(1, 300) n;
	INSERT INTO b SELECT n, n FROM generate_series(1, 300) n});
foreach my $database (qw(again onward))
{
	my ($host, $port) = ($source->host, $source->port);

	$old->safe_psql('postgres', "CREATE DATABASE $database");
	$old->safe_psql($database, qq{CREATE EXTENSION depipe; CREATE SCHEMA raw; CREATE SCHEMA mart;
		CREATE SERVER shop FOREIGN DATA WRAPPER depipe OPTIONS (host '$host', port '$port', dbname 'postgres');
		CREATE USER MAPPING FOR CURRENT_USER SERVER shop;
		SELECT depipe.create_load('raw.' || t, server => 'shop', source => 'public.' || t)
		FROM unnest(ARRAY['a', 'b']) t;
		SELECT depipe.add_constraint('raw.b', depipe.satisfies('n >= 0'), on_violation => 'quarantine');
		SELECT depipe.configure_breaker('raw.a', bad_runs => 2, of_runs => 3)});
	$old->safe_psql($database, q{CALL depipe.run('raw.*');
		SELECT depipe.create_transform('mart.sums', 'SELECT id % 10 AS k, sum(n) AS n FROM raw.b GROUP BY 1',
			target_lag => '1 second');
		SELECT depipe.add_constraint('mart.sums', depipe.not_null('n'))});
}
$source->safe_psql('postgres', 'INSERT INTO b VALUES (301, -1)');
change('old');
my %before;
my $kept = q{SELECT (SELECT string_agg(statement, ' ' ORDER BY statement) FROM depipe.definition()),
	(SELECT count(*) FROM depipe.runs WHERE started_by = 'run'), (SELECT string_agg(key::text, ' ') FROM depipe.quarantine),
	(SELECT string_agg(target || ' ' || last_seen, ' ') FROM depipe.incidents),
	(SELECT string_agg(slot_name, ' ') FROM depipe.stream)};
foreach my $database (qw(again onward))
{
	$old->safe_psql($database, q{CALL depipe.run('raw.*'); CALL depipe.run('mart.*')});
	is_equal($old, $database, "$database, old");
	$before{$database} = $old->safe_psql($database, $kept);
}

# Some minor versions of 15 keep an option "pg_attver" at the columns of every table. A newer
# pg_dump passes it to a server that does not know it, so that no table can be upgraded. If such
# options exist, remove them first.
foreach my $database (qw(again onward))
{
	my $found = $old->safe_psql($database,
		q{UPDATE pg_attribute SET attoptions = NULL WHERE attoptions::text LIKE '{pg_attver=%}' RETURNING 1});

	note("$database: removed pg_attver from columns") if $found ne '';
}
my $slots = q{SELECT string_agg(slot_name, ' ' ORDER BY slot_name) FROM pg_replication_slots};
my $old_slots = $source->safe_psql('postgres', $slots);
$old->stop;
change('in between');

# The files that pg_upgrade mentions when it fails.
sub show_logs
{
	my ($data) = @_;

	foreach my $log (glob($data . '/pg_upgrade_output.d/*/log/*.log'))
	{
		my @errors = grep { /\b(error|ERROR|FATAL):/ } split /\n/, slurp_file($log);

		diag("$log: $_") foreach @errors[ 0 .. ($#errors < 9 ? $#errors : 9) ];
	}
	return;
}

# ---- pg_upgrade, to a cluster that preloads the library

my $new = PostgreSQL::Test::Cluster->new('new');
$new->init(extra => \@init);
$new->append_conf('postgresql.conf', "shared_preload_libraries = 'depipe'\ndepipe.naptime = 100\n");
my $directory = PostgreSQL::Test::Utils::tempdir();
chdir $directory or die $!;
my @libraries =
  $ENV{DEPIPE_OLD_INSTALL} ? ("LD_LIBRARY_PATH=$ENV{DEPIPE_OLD_INSTALL}/lib") : ();
command_ok(
	[
		'env', @libraries, 'pg_upgrade', '--no-sync',
		'-d', $old->data_dir, '-D', $new->data_dir,
		'-b', $old->config_data('--bindir'), '-B', $new->config_data('--bindir'),
		'-s', $new->host, '-p', $old->port, '-P', $new->port
	],
	'pg_upgrade') or show_logs($new->data_dir);
$new->start;
note('to ' . $new->safe_psql('postgres', 'SELECT version()'));

foreach my $database (qw(again onward))
{
	is($new->safe_psql($database, $kept), $before{$database},
		"$database: definitions, history, quarantine and incidents are there");
	is( $new->safe_psql($database, 'SELECT target, state, reason FROM depipe.loads ORDER BY target'),
		join("\n", map { "raw.$_|detached|this database system was restored or upgraded from another, to which"
			. ' the slot belongs' } qw(a b)), "$database: the loads are detached");
	wait_until_in($database, q{SELECT bool_and(state = 'detached') FROM depipe.load_state},
		"$database: and recorded as that by their worker");
	is($new->safe_psql($database, q{SELECT DISTINCT next FROM depipe.status WHERE kind = 'load'}),
		q{SELECT depipe.adopt('shop')}, "$database: status says what to type");
}
is($source->safe_psql('postgres', $slots), $old_slots, 'the slots are as they were');

sub wait_until_in
{
	my ($database, $query, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok($new->poll_query_until($database, $query), $name);
	return;
}

# The workers bring it up to date.
sub follows
{
	my ($database, $name) = @_;
	my $last = $source->safe_psql('postgres', 'SELECT max(id) FROM a');

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_until_in($database, "SELECT coalesce(max(id), 0) >= $last FROM raw.a", "$name: the workers bring it");
	wait_until_in($database, q{SELECT count(*) = 2 FROM depipe.loads WHERE state = 'streaming'}, "$name: the workers have copied all");
	is_equal($new, $database, $name);
	return;
}

$new->safe_psql('again', q{SELECT depipe.adopt('shop')});
$new->safe_psql('onward', q{SELECT depipe.adopt('shop', resync => 'never')});
foreach my $database (qw(again onward))
{
	follows($database, "$database, adopted");
	change("$database, new");
	follows($database, "$database, new");
	wait_until_in($database, q{SELECT count(*) = 0 FROM depipe.verify('mart.sums')},
		"$database: the transform follows");
	is($new->safe_psql($database, q{SELECT string_agg(DISTINCT key::text, ' ') FROM depipe.quarantine}),
		'{301}', "$database: what was in quarantine still is");
}
is( $new->safe_psql('onward', q{SELECT count(*) FROM depipe.runs WHERE strategy IN ('copy', 'resync')}),
	2, 'onward: nothing was read again');
is( $new->safe_psql('again', q{SELECT count(*) FROM depipe.runs WHERE strategy = 'resync'}),
	2, 'again: everything was read again');
my %of = map { $_ => $new->safe_psql($_, 'SELECT slot_name FROM depipe.stream') } qw(again onward);
like($old_slots, qr/\b$of{onward}\b/, 'onward: with the old slot');
unlike($old_slots, qr/\b$of{again}\b/, 'again: with a slot of its own');
is(scalar(split / /, $source->safe_psql('postgres', $slots)), 3, 'the old slot of again is left to its owner');

$new->stop;
$source->stop;
done_testing();
