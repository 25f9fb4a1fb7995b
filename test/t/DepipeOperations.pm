# DepipeOperations: functions shared by the tests of background workers: a warehouse that runs by
# itself, load on the source, and waits for conditions instead of calls.
#
#	my ($source, $warehouse) = source_and_warehouse(warehouse => worker_settings());
#	add_marker($source, $warehouse);
#	... change the source ...
#	arrives($source, $warehouse, 'after an outage');    # everything committed until now is there
#	is_identical($source, $warehouse, 'orders', 'after an outage');

package DepipeOperations;

use strict;
use warnings;
use Exporter 'import';
use DepipeTest;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(
  worker_settings seed add_marker arrives fingerprint is_identical worker_pids
  wait_for_worker start_pgbench finish_pgbench log_since log_position count_in_log
);

# The settings of a warehouse with background workers. EXTRA: more lines.
sub worker_settings
{
	my ($extra) = @_;

	return q{
shared_preload_libraries = 'depipe'
max_worker_processes = 16
depipe.databases = 'postgres'
depipe.naptime = '100ms'
log_min_messages = info
} . ($extra || '');
}

# The seed of a test's random choices. It is printed, and DEPIPE_SEED repeats it.
sub seed
{
	my $seed = $ENV{DEPIPE_SEED} || int(rand(1_000_000));

	srand($seed);
	diag("DEPIPE_SEED=$seed");
	return $seed;
}

# ---- arriving

# The table of the source that arrives() writes to, and its load.
sub add_marker
{
	my ($source, $warehouse, %options) = @_;

	make_table($source, $warehouse, 'marker', 'id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY',
		target_lag => q{'100 ms'}, %options);
	return;
}

# Wait until everything that the source has committed is published, except for tables that are held
# for a reason of their own. The stream is in commit order, and the marker comes last.
sub arrives
{
	my ($source, $warehouse, $name, %options) = @_;
	my $id = $source->safe_psql('postgres', 'INSERT INTO public.marker DEFAULT VALUES RETURNING id');
	my $database = $options{database} || 'postgres';

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $there = $warehouse->poll_query_until($database,
		q{SELECT to_regclass('raw.marker') IS NOT NULL})
	  && $warehouse->poll_query_until($database,
		"SELECT EXISTS (SELECT FROM raw.marker WHERE id = $id)");
	ok($there, "$name: all of it arrives")
	  || diag($warehouse->safe_psql($database,
			'SELECT target, state, reason FROM depipe.status; SELECT server, phase, reason FROM depipe.stat_streams;'
		  . 'SELECT * FROM (SELECT target, status, reason, error_message FROM depipe.runs ORDER BY run_id DESC LIMIT 5) r'));
	return $there;
}

# ---- comparing without transferring the rows

# The number of rows of a query, and a digest of all of them.
sub fingerprint
{
	my ($node, $query, $database) = @_;

	return $node->safe_psql($database || 'postgres',
		qq{SET DateStyle = 'ISO'; SET extra_float_digits = 1; SET work_mem = '64MB';
		SELECT count(*), md5(string_agg(d, '' ORDER BY d COLLATE "C"))
		FROM (SELECT md5(x::text) AS d FROM ($query) x) y});
}

# public.TABLE of the source and raw.TABLE contain the same rows. The options are those of is_same.
sub is_identical
{
	my ($source, $warehouse, $table, $name, %options) = @_;
	my $columns = $options{columns} || '*';
	my $where = $options{condition} ? " WHERE $options{condition}" : '';
	my $expected =
	  fingerprint($source, $options{source} || "SELECT $columns FROM public.$table$where");
	my $actual =
	  fingerprint($warehouse, $options{target} || "SELECT $columns FROM raw.$table$where", $options{database});

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($actual, $expected, "$name: $table is exactly equal") && return 1;
	return 0 if $options{database};
	# show the differences, in a second test that fails like the first
	is_same($source, $warehouse, $table, $name, %options);
	return 0;
}

# ---- workers

# The pids of the workers of a type: 'launcher', 'scheduler', 'stream worker', 'run worker'.
sub worker_pids
{
	my ($node, $type, $condition) = @_;

	return split /\n/, $node->safe_psql('postgres',
		"SELECT pid FROM pg_stat_activity WHERE backend_type = 'depipe $type' AND "
		  . ($condition || 'true'));
}

# The pid of a worker, as soon as there is one; undef if none appears for a while. Some workers live
# for milliseconds only, so look for processes instead of sessions.
sub wait_for_worker
{
	my ($node, $type) = @_;
	my $end = time() + $PostgreSQL::Test::Utils::timeout_default;
	my ($postmaster) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;

	while (time() < $end)
	{
		foreach my $pid (child_processes($postmaster))
		{
			my $title = title_of($pid) // next;
			return $pid if $title =~ /: depipe \Q$type\E\b/;
		}
	}
	return;
}

sub child_processes
{
	my ($pid) = @_;

	open(my $file, '<', "/proc/$pid/task/$pid/children") or return;
	return split ' ', <$file> // '';
}

sub title_of
{
	my ($pid) = @_;

	open(my $file, '<', "/proc/$pid/cmdline") or return;
	return scalar(<$file>);
}

# ---- load on a source

# start_pgbench(NODE, OPTIONS, SCRIPT => WEIGHT, ...): the scripts are texts.
sub start_pgbench
{
	my ($node, $options, %scripts) = @_;
	my $directory = PostgreSQL::Test::Utils::tempdir();
	my $number = 0;
	my @files;
	my %bench = (stderr => '');

	foreach my $script (sort keys %scripts)
	{
		my $file = "$directory/" . $number++ . '.sql';

		append_to_file($file, $script);
		push @files, '-f', "$file\@$scripts{$script}";
	}
	$bench{handle} = IPC::Run::start(
		[
			$node->installed_command('pgbench'), '-n', @$options, @files,
			$node->connstr('postgres')
		],
		'<', \undef, '>', '/dev/null', '2>', \$bench{stderr});
	return \%bench;
}

# Wait until pgbench ends by itself, or terminate it. It must not have seen an error.
sub finish_pgbench
{
	my ($bench, $name, %options) = @_;

	$bench->{handle}->signal('INT') if $options{stop};
	$bench->{handle}->finish;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	unlike($bench->{stderr}, qr/ERROR|FATAL|aborted/, "$name: no error for who writes at the source");
	return;
}

# ---- logs

sub log_position
{
	my ($node) = @_;

	return -s $node->logfile;
}

sub log_since
{
	my ($node, $position) = @_;

	return slurp_file($node->logfile, $position);
}

sub count_in_log
{
	my ($node, $position, $pattern) = @_;
	my @found = log_since($node, $position) =~ /$pattern/g;

	return scalar(@found);
}

1;
