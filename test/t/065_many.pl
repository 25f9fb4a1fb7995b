# Many databases and loads: two warehouses, and two databases of one of them, on one source; a
# source in the warehouse's own cluster; an idle source database while others of its cluster write;
# two hundred loads of one server; and fewer worker processes than streams.
#
# DEPIPE_TEST_LOADS: number of loads (default 200, or 60).

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeTest;
use DepipeOperations;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $tables = $ENV{DEPIPE_TEST_LOADS} || how_many(60, 200);
my ($source, $warehouse) = source_and_warehouse(
	source => "max_wal_size = '2GB'\n",
	warehouse => worker_settings(q{
max_worker_processes = 24
depipe.max_workers = 12
depipe.databases = 'postgres, two, three, four, five, six, quiet'
max_locks_per_transaction = 256
}));
my ($host, $port) = ($source->host, $source->port);

sub at_source
{
	return $source->safe_psql('postgres', join(';', @_));
}

# Create the extension, a server, and the loads of orders and marker in a database of a node.
sub equip
{
	my ($node, $database, $from) = @_;
	my $where = $from || "host '$host', port '$port', dbname 'postgres'";

	$node->safe_psql('postgres', "CREATE DATABASE $database") unless $database eq 'postgres';
	$node->safe_psql($database, qq{CREATE EXTENSION IF NOT EXISTS depipe; CREATE SCHEMA IF NOT EXISTS raw;
		CREATE SERVER shared FOREIGN DATA WRAPPER depipe OPTIONS ($where);
		CREATE USER MAPPING FOR CURRENT_USER SERVER shared;
		SELECT depipe.create_load('raw.orders', server => 'shared', source => 'public.orders', target_lag => '100 ms');
		SELECT depipe.create_load('raw.marker', server => 'shared', source => 'public.marker', target_lag => '100 ms')});
	return;
}

sub write_some
{
	return at_source(q{INSERT INTO orders SELECT max(id) + 1, 7 FROM orders}, 'UPDATE orders SET amount = amount + 1 WHERE id % 10 = 3',
		'DELETE FROM orders WHERE id = (SELECT min(id) FROM orders)');
}

sub follows
{
	my ($node, $database, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	arrives($source, $node, $name, database => $database);
	is_identical($source, $node, 'orders', $name, database => $database);
	return;
}

my $orders = 'CREATE TABLE orders (id int PRIMARY KEY, amount int);'
  . 'INSERT INTO orders SELECT n, n FROM generate_series(1, 500) n;'
  . 'CREATE TABLE marker (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY)';
at_source($orders);

# ---- an idle source database, while others of its cluster write a lot: looked at again at the end

at_source('CREATE DATABASE quiet', 'CREATE DATABASE busy');
$source->safe_psql('quiet', $orders);
$source->safe_psql('busy', 'CREATE TABLE filler (n int, t text)');
equip($warehouse, 'quiet', "host '$host', port '$port', dbname 'quiet'");
ok($warehouse->poll_query_until('quiet', q{SELECT count(*) = 2 FROM depipe.loads WHERE state = 'streaming'}), 'a quiet source is copied');
my $before = at_source('SELECT pg_current_wal_lsn()');
$source->safe_psql('busy', q{INSERT INTO filler SELECT n, repeat(md5(n::text), 30) FROM generate_series(1, 8000) n}) foreach 1 .. 8;
my $written = at_source(qq{SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '$before')});
cmp_ok($written, '>', 50_000_000, "elsewhere $written bytes are written");

# ---- several warehouses on one source

my $other = PostgreSQL::Test::Cluster->new('other');
$other->init(allows_streaming => 'logical', extra => [ '--no-locale', '--encoding=UTF8' ]);
$other->append_conf('postgresql.conf', worker_settings());
$other->start;
equip($warehouse, 'postgres');
equip($warehouse, 'two');
equip($other, 'postgres');
write_some();
follows($warehouse, 'postgres', 'a warehouse');
follows($warehouse, 'two', 'another database of it');
follows($other, 'postgres', 'another warehouse');
is(at_source(q{SELECT count(*) FROM pg_replication_slots WHERE database = 'postgres'}), 3, 'each has a slot of its own');
$other->stop('immediate');
write_some();
follows($warehouse, 'postgres', 'a warehouse, beside one that is down');
$warehouse->safe_psql('two', q{SELECT depipe.drop_load('raw.orders'); SELECT depipe.drop_load('raw.marker')});
is(at_source(q{SELECT count(*) FROM pg_replication_slots WHERE database = 'postgres'}), 2, 'a database gives up its slot');
write_some();
$other->start;
follows($other, 'postgres', 'the other warehouse is back');
follows($warehouse, 'postgres', 'a warehouse, after all that');
$other->safe_psql('postgres', q{SELECT depipe.drop_load('raw.orders'); SELECT depipe.drop_load('raw.marker')});
$other->stop;
is(at_source(q{SELECT count(*) FROM pg_replication_slots WHERE database = 'postgres'}), 1, 'and so does a warehouse');

# ---- the source is another database of the same cluster

$warehouse->safe_psql('postgres', 'CREATE DATABASE shop');
$warehouse->safe_psql('shop', $orders);
my ($near_host, $near_port) = ($warehouse->host, $warehouse->port);
equip($warehouse, 'three', "host '$near_host', port '$near_port', dbname 'shop'");
$warehouse->safe_psql('shop', 'UPDATE orders SET amount = -amount WHERE id % 3 = 0; DELETE FROM orders WHERE id = 7');
my $id = $warehouse->safe_psql('shop', 'INSERT INTO marker DEFAULT VALUES RETURNING id');
ok($warehouse->poll_query_until('three', q{SELECT to_regclass('raw.marker') IS NOT NULL})
	  && $warehouse->poll_query_until('three', "SELECT EXISTS (SELECT FROM raw.marker WHERE id = $id)"), 'a source in the same cluster');
is(fingerprint($warehouse, 'TABLE raw.orders', 'three'), fingerprint($warehouse, 'TABLE orders', 'shop'), 'a source in the same cluster is exact');
$warehouse->safe_psql('three', q{SELECT depipe.drop_load('raw.orders'); SELECT depipe.drop_load('raw.marker')});
is_value($warehouse, 'SELECT count(*) FROM pg_replication_slots', 0, 'its slot goes');

# ---- many loads of one server

at_source(map { "CREATE TABLE t$_ (id int PRIMARY KEY, v int); INSERT INTO t$_ SELECT n, $_ FROM generate_series(1, 20) n" } 1 .. $tables);
$warehouse->safe_psql('postgres', join(';', map { "SELECT depipe.create_load('raw.t$_', server => 'shared', source => 'public.t$_')" } 1 .. $tables));
wait_until($warehouse, "SELECT count(*) = $tables + 2 FROM depipe.loads WHERE state = 'streaming'", "$tables loads are copied");

sub all_rows
{
	my ($schema) = @_;

	return join(' UNION ALL ', map { "SELECT $_ AS t, id, v FROM $schema.t$_" } 1 .. $tables);
}

at_source('DO $$ BEGIN FOR i IN 1 .. ' . $tables
	  . q{ LOOP EXECUTE format('UPDATE t%s SET v = v + id; INSERT INTO t%1$s VALUES (100, 1); DELETE FROM t%1$s WHERE id = 5', i); END LOOP; END $$});
at_source(map { "UPDATE t$_ SET v = -v WHERE id = 7" } 1 .. $tables);
follows($warehouse, 'postgres', "$tables loads");
is(fingerprint($warehouse, all_rows('raw')), fingerprint($source, all_rows('public')), "$tables loads are exact");
is_value($warehouse, "SELECT count(*) FROM depipe.status WHERE state <> 'streaming'", 0, 'none of them has a problem');
foreach my $pid (worker_pids($warehouse, 'stream worker', q{datname = 'postgres'}))
{
	my ($kilobytes) = slurp_file("/proc/$pid/status") =~ /^RssAnon:\s+(\d+)/m;

	cmp_ok($kilobytes, '<', 128 * 1024, "its worker has $kilobytes kB of its own") if defined $kilobytes;
}
at_source(map { "DROP TABLE t$_" } 1 .. 3);
wait_until($warehouse, q{SELECT count(*) = 3 FROM depipe.loads WHERE state = 'needs_resync'}, 'three source tables are dropped');
write_some();
follows($warehouse, 'postgres', 'the others go on');
$warehouse->safe_psql('postgres', "SELECT depipe.drop_load('raw.t$_')") foreach 1 .. 5;
is_value($warehouse, 'SELECT count(*) FROM depipe.loads', $tables - 3, 'some are dropped');
follows($warehouse, 'postgres', 'the rest goes on');

# ---- the idle database again

my $bounded;
foreach my $attempt (1 .. 600)
{
	at_source('CHECKPOINT') if $attempt % 10 == 1; # it logs from where a slot may restart
	$bounded = at_source(qq{SELECT pg_wal_lsn_diff(confirmed_flush_lsn, '$before') > $written - 20000000
		AND pg_wal_lsn_diff(restart_lsn, '$before') > $written - 20000000 FROM pg_replication_slots WHERE database = 'quiet'}) eq 't';
	last if $bounded;
	usleep(200_000);
}
ok($bounded, 'the slot of the idle database has advanced')
  or diag(at_source(q{SELECT slot_name, confirmed_flush_lsn, restart_lsn, pg_current_wal_lsn() FROM pg_replication_slots}));
is($warehouse->safe_psql('quiet', 'SELECT lag_bytes < 20000000 FROM depipe.stat_streams'), 't', 'and is not said to be behind');
$source->safe_psql('quiet', 'UPDATE orders SET amount = 0; INSERT INTO marker DEFAULT VALUES');
ok($warehouse->poll_query_until('quiet', 'SELECT EXISTS (SELECT FROM raw.marker)'), 'after the silence');
is(fingerprint($warehouse, 'TABLE raw.orders', 'quiet'), fingerprint($source, 'TABLE orders', 'quiet'), 'after the silence: exact');

# ---- fewer processes than streams: read in turn, and others still get theirs

equip($warehouse, $_) foreach qw(four five six);
$warehouse->safe_psql('two', qq{SELECT depipe.create_load('raw.marker', server => 'shared', source => 'public.marker', target_lag => '100 ms')});
$warehouse->append_conf('postgresql.conf', "max_worker_processes = 8\n");
$warehouse->restart;
write_some();
follows($warehouse, $_, "few processes, database $_") foreach qw(postgres four five six);
is_value($warehouse, q{SELECT count(*) <= 4 FROM pg_stat_activity WHERE backend_type LIKE 'depipe%' AND backend_type <> 'depipe launcher'}, 't',
	'at most half of the processes are ours');
$warehouse->safe_psql('postgres', 'CREATE TABLE big AS SELECT n FROM generate_series(1, 100000) n; ANALYZE big');
my $plan = $warehouse->safe_psql('postgres', q{SET min_parallel_table_scan_size = 0; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0;
	SET max_parallel_workers_per_gather = 2; EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off) SELECT count(*) FROM big});
like($plan, qr/Workers Launched: [12]/, 'parallel queries get workers');

# ---- too few for anything

$warehouse->append_conf('postgresql.conf', "max_worker_processes = 2\n");
my $position = log_position($warehouse);
$warehouse->restart;
write_some();
$warehouse->wait_for_log(qr/out of background worker slots for depipe.*\n.*increase max_worker_processes/, $position);
pass('a warning says what is missing');
$warehouse->safe_psql('postgres', q{UPDATE depipe.target_state SET data_as_of = data_as_of - interval '1 hour'}); # instead of waiting for it
is_value($warehouse, q{SELECT reason LIKE '%nothing has run since %: the server has no free process for a background worker' AND next = 'SHOW max_worker_processes'
	FROM depipe.status WHERE target = 'raw.orders'}, 't', 'the screen says that nothing runs, and why');
is(count_in_log($warehouse, $position, qr/out of background worker slots/), 1, 'the log says it once');
$warehouse->append_conf('postgresql.conf', "max_worker_processes = 24\n");
$warehouse->restart;
write_some();
follows($warehouse, $_, "enough processes again, database $_") foreach qw(postgres four five six);
is_value($warehouse, q{SELECT count(*) FROM depipe.status WHERE reason LIKE '%no free process%'}, 0, 'the screen says no more of it');
unlike(slurp_file($warehouse->logfile), qr/TRAP|PANIC|signal 11/, 'no process has crashed at all');

done_testing();
