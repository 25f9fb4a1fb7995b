# Memory of the workers, and of a session that calls depipe.run, over many batches: the memory that
# a batch allocates is freed with it. Each transaction of the source is a batch of its own
# (depipe.batch_rows = 1), and depipe itself counts them. Rows are inserted, updated, deleted and
# quarantined, some have values out of line, a transform reads the table, and definitions change.
#
# There are two measures of a process. The bytes used by its memory contexts are exact. Its private
# memory (RssAnon) includes memory outside of contexts (libpq, malloc), but changes in steps. A leak
# of 100 bytes per batch is detected.
#
# DEPIPE_TEST_BATCHES: number of batches of the stream worker in one session (default 10000, or
# 3000).

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeTest;
use DepipeOperations;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'there is no /proc' unless -e "/proc/$$/status";

my $batches = $ENV{DEPIPE_TEST_BATCHES} || how_many(3_000, 10_000);
my $warm_up = 400;
my $between = 100; # changes of definitions
my $turns = 6;     # changes of definitions
my $leak = 100;    # bytes per batch: so much is found
my $slack = 2 * 1024 * 1024;    # of malloc: first use of a path, caches

my ($source, $warehouse) = source_and_warehouse(
	source => "autovacuum_naptime = '1s'\n",
	warehouse => worker_settings("depipe.batch_rows = 1\n"));

sub at_warehouse
{
	return $warehouse->safe_psql('postgres', join(';', @_));
}

# ---- changes at the source

my %scripts = (
	q{\set id random(1, 300)
\set amount random(-2, 60)
INSERT INTO orders VALUES (:id, :amount, 'n') ON CONFLICT (id) DO UPDATE SET amount = excluded.amount, note = excluded.note;
} => 4,
	q{\set id random(1, 300)
UPDATE orders SET amount = abs(amount) + 1 WHERE id = :id;
} => 3,
	q{\set id random(1, 300)
DELETE FROM orders WHERE id = :id;
} => 1,
	q{\set id random(1, 300)
\set seed random(1, 1000000)
UPDATE orders SET document = (SELECT string_agg(md5((:seed + n)::text), '') FROM generate_series(1, 200) n) WHERE id = :id;
} => 1,
	q{\set id random(1, 300)
UPDATE lines SET quantity = quantity + 1 WHERE id = :id;
} => 1);

sub batch_number
{
	return at_warehouse(q{SELECT batch_number FROM depipe.stream WHERE server_name = 'shop'});
}

# At least that many more batches.
sub run_batches
{
	my ($count, $name) = @_;
	my $goal = batch_number() + $count;

	while ((my $missing = $goal - batch_number()) > 0)
	{
		my $bench = start_pgbench($source, [ '-t', int($missing * 1.2) + 10 ], %scripts);

		finish_pgbench($bench, $name);
		arrives($source, $warehouse, $name) or last;
	}
	return;
}

# ---- definitions that change

my $made = 0;

sub declare_lines
{
	my ($target_lag) = @_;

	at_warehouse("SELECT depipe.create_load('raw.lines', server => 'shop', source => 'public.lines',"
		  . " target_lag => '$target_lag', replace => true)");
	return;
}

# A load that is created, copied, and dropped; every other time with a transform and a constraint.
sub change_definitions
{
	my ($turn) = @_;
	my $name = 'extra_' . ++$made;
	my $even = $turn % 2 == 0;

	$source->safe_psql('postgres', "CREATE TABLE $name AS SELECT n AS id, n AS amount FROM generate_series(1, 20) n;"
		. "ALTER TABLE $name ADD PRIMARY KEY (id)");
	at_warehouse("SELECT depipe.create_load('raw.$name', server => 'shop', source => 'public.$name')",
		$even
		? (q{SELECT depipe.add_constraint('raw.orders', depipe.satisfies('amount < 1000'), name => 'small', on_violation => 'warn')},
			"SELECT depipe.create_transform('mart.$name', 'SELECT id, amount FROM raw.orders', target_lag => '100 ms')")
		: q{SELECT depipe.drop_constraint('raw.orders', 'small')});
	wait_until($warehouse, "SELECT state = 'streaming' FROM depipe.loads WHERE target = 'raw.$name'", "$name is copied");
	at_warehouse("SELECT depipe.drop_load('raw.$name', drop_table => true)",
		$even ? "SELECT depipe.drop_transform('mart.$name', drop_table => true)" : ());
	declare_lines($even ? '2 seconds' : '1 second');
	return;
}

# ---- measures

sub private_memory
{
	my ($pid) = @_;
	my ($kilobytes) = slurp_file("/proc/$pid/status") =~ /^RssAnon:\s+(\d+) kB/m;

	return 1024 * $kilobytes;
}

# The bytes used, by name of the memory context; the total under ''.
sub contexts_of
{
	my ($pid) = @_;
	my $position = log_position($warehouse);
	my %used;
	my $log;

	at_warehouse("SELECT pg_log_backend_memory_contexts($pid)");
	wait_until($warehouse, 'SELECT true', 'asked for the memory contexts');
	for my $attempt (1 .. 100)
	{
		$log = log_since($warehouse, $position);
		last if $log =~ /\[$pid\].* Grand total: /;
		select(undef, undef, undef, 0.1);
	}
	while ($log =~ /\[$pid\].* level: \d+; ([^:]+): .*? (\d+) used$/mg)
	{
		$used{$1} += $2;
	}
	($used{''}) = $log =~ /\[$pid\].* Grand total: .* (\d+) used$/m;
	return \%used;
}

sub measure
{
	my ($pid) = @_;

	return { batch => batch_number(), contexts => contexts_of($pid), private => private_memory($pid) };
}

# What grew, for diagnosis.
sub show_growth
{
	my ($before, $after) = @_;
	my %grown = map { $_ => $after->{$_} - ($before->{$_} || 0) } keys %$after;

	foreach my $name ((sort { $grown{$b} <=> $grown{$a} } grep { $grown{$_} > 0 } keys %grown)[ 0 .. 9 ])
	{
		diag("$grown{$name} bytes: " . ($name || 'all')) if defined $name;
	}
	return;
}

sub is_flat
{
	my ($before, $after, $name, $allowed) = @_;
	my $count = $after->{batch} - $before->{batch};
	my $used = $after->{contexts}{''} - $before->{contexts}{''};
	my $private = $after->{private} - $before->{private};

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	diag("$name: $count batches, $used bytes more in contexts (of $after->{contexts}{''}), $private in private memory (of $after->{private})");
	cmp_ok($used, '<', $leak * $count, "$name: memory contexts") || show_growth($before->{contexts}, $after->{contexts});
	cmp_ok($private, '<', $leak * $count + ($allowed // $slack), "$name: private memory");
	show_growth($before->{contexts}, $after->{contexts}) if $ENV{DEPIPE_TEST_SHOW};
	return;
}

# The maximum private memory of workers that live only briefly.
sub most_of
{
	my ($type) = @_;
	my $most = 0;

	for my $look (1 .. 6)
	{
		my $pid = wait_for_worker($warehouse, $type) // last;
		my $memory = eval { private_memory($pid) } // 0;

		$most = $memory if $memory > $most;
	}
	return $most;
}

sub is_no_more
{
	my ($before, $after, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	diag("$name: $after bytes of private memory, $before before");
	cmp_ok($before, '>', 0, "$name: seen");
	cmp_ok($after, '<', $before + 4 * $slack, "$name: private memory");
	return;
}

# ---- the stream worker

add_marker($source, $warehouse);
make_table($source, $warehouse, 'orders', 'id int PRIMARY KEY, amount int, note text, document text',
	target_lag => q{'100 ms'});
make_table($source, $warehouse, 'lines', 'id int PRIMARY KEY, order_id int, quantity int');
$source->safe_psql('postgres', q{ALTER TABLE orders ALTER document SET STORAGE EXTERNAL;
	INSERT INTO orders SELECT n, n, 'n' FROM generate_series(1, 300) n; INSERT INTO lines SELECT n, n, 1 FROM generate_series(1, 300) n});
wait_until($warehouse, q{SELECT to_regclass('raw.orders') IS NOT NULL AND to_regclass('raw.lines') IS NOT NULL}, 'tables are made');
at_warehouse('CREATE SCHEMA mart',
	q{SELECT depipe.add_constraint('raw.orders', depipe.satisfies('amount >= 0'), on_violation => 'quarantine')},
	q{SELECT depipe.add_constraint('raw.orders', depipe.not_null('note'))},
	q{SELECT depipe.add_constraint('raw.orders', depipe.unique('id'))},
	q{SELECT depipe.add_constraint('raw.lines', depipe.relationships('order_id', 'raw.orders', 'id'), on_violation => 'warn')},
	q{SELECT depipe.create_transform('mart.sales', 'SELECT note, sum(amount) AS amount FROM raw.orders GROUP BY note', target_lag => '500 ms')});
arrives($source, $warehouse, 'all is there');
my ($stream) = worker_pids($warehouse, 'stream worker');
my ($launcher) = worker_pids($warehouse, 'launcher');

for my $turn (0 .. 3)
{
	run_batches($warm_up, 'to warm up');
	change_definitions($turn);
}
run_batches($warm_up, 'to warm up');
my %before = (stream => measure($stream), launcher => measure($launcher));
my %most = map { $_ => most_of($_) } 'run worker', 'scheduler';

# one session of the worker: its end does not free anything
run_batches($batches, 'in one session');
my %after = (stream => measure($stream), launcher => measure($launcher));
is(join(' ', worker_pids($warehouse, 'stream worker')), $stream, 'the stream worker is the same process');
cmp_ok($after{stream}{batch} - $before{stream}{batch}, '>=', $batches, 'batches are counted');
is_flat($before{$_}, $after{$_}, $_, $slack / 4) foreach sort keys %before;

# sessions begin and end
for my $turn (0 .. $turns - 1)
{
	run_batches($between, 'definitions change');
	change_definitions($turn);
}
is_no_more($most{$_}, most_of($_), $_) foreach sort keys %most;
arrives($source, $warehouse, 'at the end');
is(join(' ', worker_pids($warehouse, 'stream worker')), $stream, 'it still is');
is_flat($after{$_}, measure($_ eq 'stream' ? $stream : $launcher), "$_, with changes of definitions") foreach sort keys %before;

# ---- a session

# A database that no worker serves; its loads have their own slot.
$warehouse->safe_psql('postgres', 'CREATE DATABASE other');
my ($host, $port) = ($source->host, $source->port);
$warehouse->safe_psql('other', qq{CREATE EXTENSION depipe; CREATE SCHEMA raw; CREATE SCHEMA mart;
	CREATE SERVER shop FOREIGN DATA WRAPPER depipe OPTIONS (host '$host', port '$port', dbname 'postgres');
	CREATE USER MAPPING FOR CURRENT_USER SERVER shop;
	SELECT depipe.create_load('raw.orders', server => 'shop', source => 'public.orders');
	SELECT depipe.create_load('raw.lines', server => 'shop', source => 'public.lines');
	SELECT depipe.add_constraint('raw.orders', depipe.satisfies('amount >= 0'), on_violation => 'quarantine')});
my $session = $warehouse->background_psql('other');
my $session_pid = session_ok($session, 'SELECT pg_backend_pid()');

sub call_runs
{
	my ($calls) = @_;

	for my $call (1 .. $calls)
	{
		finish_pgbench(start_pgbench($source, [ '-t', 50 ], %scripts), 'for the session');
		session_ok($session, q{CALL depipe.run('mart.sales', upstream => true)});
	}
	return;
}

sub measure_session
{
	return {
		batch => session_ok($session, 'SELECT batch_number FROM depipe.stream'),
		contexts => {
			map { (split /\|/, $_)[ 0, 1 ] } split /\n/,
			session_ok($session, q{SELECT CASE WHEN grouping(name) = 0 THEN name ELSE '' END, sum(used_bytes)
				FROM pg_backend_memory_contexts GROUP BY GROUPING SETS ((name), ())})
		},
		private => private_memory($session_pid) };
}

session_ok($session, q{CALL depipe.run('raw.*')});
session_ok($session, q{SELECT depipe.create_transform('mart.sales', 'SELECT note, sum(amount) AS amount FROM raw.orders GROUP BY note')});
call_runs(2 * $turns);
measure_session();
# A statement that is planned for the first time keeps its plan; a leak grows in both halves.
my @measures = measure_session();
for (1 .. 2)
{
	call_runs(5 * $turns);
	push @measures, measure_session();
}
cmp_ok($measures[2]{batch} - $measures[0]{batch}, '>=', 1500, 'batches of the session');
my @grown = map { $measures[ $_ + 1 ]{contexts}{''} - $measures[$_]{contexts}{''} } 0 .. 1;
my $calmer = $grown[0] < $grown[1] ? 0 : 1;
is_flat(@measures[ $calmer, $calmer + 1 ], 'session');
$session->quit;

done_testing();
