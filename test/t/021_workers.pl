# Background workers: with shared_preload_libraries, loads and transforms converge without a call.
# Also kills, failures, statements about databases, and a cold start of the cluster.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeTest;
use Test::More;

my ($source, $warehouse) = source_and_warehouse(
	warehouse => q{
shared_preload_libraries = 'depipe'
max_worker_processes = 16
depipe.databases = 'postgres, other, nowhere'
depipe.naptime = '100ms'
log_connections = on
});

sub at_warehouse
{
	return $warehouse->safe_psql('postgres', join(';', @_));
}

# After a while, the target contains the rows of the source, without a call.
sub arrives
{
	my ($name) = @_;
	my $expected = $source->safe_psql('postgres', 'SELECT count(*), sum(amount) FROM orders');

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_until($warehouse, qq{SELECT (SELECT (count(*), sum(amount))::text FROM raw.orders) = ('($expected)'::text)} =~ s/\|/,/r, "$name: the load");
	wait_until($warehouse, q{SELECT (SELECT amount FROM mart.sales) = (SELECT sum(amount) FROM raw.orders)}, "$name: the transform");
	return;
}

sub pid_of
{
	my ($type) = @_;
	my $query = "SELECT pid FROM pg_stat_activity WHERE backend_type = '$type' LIMIT 1";

	for my $attempt (1 .. 2000)
	{
		my $pid = at_warehouse($query);
		return $pid if $pid ne '';
	}
	return;
}

# ---- without a call

make_table($source, $warehouse, 'orders', 'id int PRIMARY KEY, amount int', target_lag => q{'100 ms'});
$source->safe_psql('postgres', 'INSERT INTO orders SELECT n, n FROM generate_series(1, 100) n');
wait_until($warehouse, q{SELECT to_regclass('raw.orders') IS NOT NULL}, 'the table is made');
at_warehouse('CREATE SCHEMA mart',
	q{SELECT depipe.create_transform('mart.sales', 'SELECT sum(amount) AS amount FROM raw.orders', target_lag => '100 ms')});
arrives('the copy');
$source->safe_psql('postgres', 'INSERT INTO orders VALUES (101, 1000)');
arrives('a change');
is_value($warehouse, q{SELECT count(DISTINCT started_by) FROM depipe.runs WHERE target = 'raw.orders' AND started_by NOT IN ('worker', 'stream')},
	0, 'runs say that a worker did it');
is_value($warehouse, q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'depipe launcher' AND datid IS NULL}, 1,
	'the launcher is in no database');

# ---- a run beside a worker takes its result, not that of a session that itself waited

at_warehouse(q{INSERT INTO depipe.run (target_id, started_by, role_name, pid, started_at, finished_at, status, reason)
	SELECT target_id, 'run', 'postgres', 1, clock_timestamp(), clock_timestamp() + interval '1 hour', 'blocked', reason
	FROM depipe.target, unnest(ARRAY['another session is copying the table', 'another run is reading the stream of the server']) reason
	WHERE table_name = 'orders'});
is_value($warehouse, q{SELECT status FROM depipe.refresh('raw.orders')}, 'nothing', 'a refresh');
is_value($warehouse, q{SET statement_timeout = '60s'; CALL depipe.run('raw.orders')}, '', 'and a run, which would wait again and again');
at_warehouse(q{DELETE FROM depipe.run WHERE pid = 1});

# ---- every kind of worker is killed

foreach my $type ('depipe launcher', 'depipe stream worker')
{
	foreach my $signal ('TERM', 'INT', 'KILL')
	{
		my $pid = pid_of($type);
		ok($pid, "$type is there");
		kill $signal, $pid;
		$warehouse->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $pid)")
		  unless $type eq 'depipe launcher' && $signal eq 'INT';
		$warehouse->poll_query_until('postgres', 'SELECT true');
		$source->safe_psql('postgres', 'INSERT INTO orders SELECT max(id) + 1, 7 FROM orders');
		arrives("$type after $signal");
	}
}
is_same($source, $warehouse, 'orders', 'after the kills');
is_value($warehouse, q{SELECT count(*) FROM depipe.run WHERE status = 'running' AND started_at < now() - interval '1 minute'}, 0,
	'no run is left open');

# a run worker, in the middle of a transform
at_warehouse('CREATE FUNCTION public.wait() RETURNS int LANGUAGE sql AS $$SELECT 1 FROM pg_advisory_xact_lock_shared(1)$$');
my $holder = $warehouse->background_psql('postgres');
session_ok($holder, 'SELECT pg_advisory_lock(1)');
at_warehouse(q{SELECT depipe.create_transform('mart.waits', 'SELECT public.wait() AS x', target_lag => '1 second', populate => false)});
wait_until($warehouse, q{SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'depipe run worker' AND wait_event = 'advisory')},
	'a run worker waits');
at_warehouse(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'depipe run worker'});
wait_until($warehouse, q{SELECT EXISTS (SELECT FROM depipe.runs WHERE target = 'mart.waits' AND reason = 'crashed')},
	'its run has crashed');
session_ok($holder, 'SELECT pg_advisory_unlock_all()');
$holder->quit;
wait_until($warehouse, q{SELECT EXISTS (SELECT FROM depipe.runs WHERE target = 'mart.waits' AND status = 'succeeded')},
	'it is run again');
is_value($warehouse, q{SELECT count(*) FROM depipe.runs WHERE target = 'mart.waits' AND reason = 'crashed'}, 1, 'it crashed once');
at_warehouse(q{SELECT depipe.drop_transform('mart.waits')});

# ---- a table that somebody has locked is not waited for by all the others

at_warehouse('CREATE TABLE public.other (x int)', 'CREATE TABLE public.busy (x int)',
	q{SELECT depipe.create_transform('mart.other', 'SELECT count(*) AS n FROM public.other', target_lag => '1 second')},
	q{SELECT depipe.create_transform('mart.busy', 'SELECT count(*) AS n FROM public.busy', target_lag => '1 second')});
my $locker = $warehouse->background_psql('postgres');
session_ok($locker, 'BEGIN');
session_ok($locker, 'LOCK raw.orders, public.busy IN ACCESS EXCLUSIVE MODE');
wait_until($warehouse, q{SELECT EXISTS (SELECT FROM depipe.runs WHERE target = 'mart.busy' AND error_sqlstate = '55P03')},
	'a transform gives up for now');
at_warehouse('INSERT INTO public.other VALUES (1)');
wait_until($warehouse, q{SELECT n = 1 FROM mart.other}, 'another one is refreshed');
session_ok($locker, 'ROLLBACK');
$locker->quit;
$source->safe_psql('postgres', 'INSERT INTO orders SELECT max(id) + 1, 7 FROM orders');
arrives('after the lock');

# ---- a source that refuses us

my $port = $source->port;
my $failed = q{SELECT count(*) FROM depipe.runs WHERE target = 'raw.orders' AND status = 'failed' AND error_message LIKE '%connect%'};
my $before = at_warehouse($failed);
at_warehouse(q{ALTER SERVER shop OPTIONS (SET port '1')});
wait_until($warehouse, "SELECT ($failed) >= $before + 3", 'a host that is down');
cmp_ok(at_warehouse(q{SELECT extract(epoch FROM retry_at - started_at) FROM depipe.attempt WHERE unit = 'server shop'}), '>=', 2.5,
	'the third wait is four seconds, or nearly');
at_warehouse("ALTER SERVER shop OPTIONS (SET port '$port')");
$source->safe_psql('postgres', 'INSERT INTO orders SELECT max(id) + 1, 8 FROM orders');
arrives('the host is back');

# ---- statements about databases

$warehouse->safe_psql('postgres', 'CREATE DATABASE other');
my ($host, $source_port) = ($source->host, $source->port);
$warehouse->safe_psql('other', qq{CREATE EXTENSION depipe; CREATE SCHEMA raw;
	CREATE SERVER shop FOREIGN DATA WRAPPER depipe OPTIONS (host '$host', port '$source_port', dbname 'postgres');
	CREATE USER MAPPING FOR CURRENT_USER SERVER shop;
	SELECT depipe.create_load('raw.orders', server => 'shop', source => 'public.orders')});
wait_until($warehouse, q{SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = 'other' AND backend_type = 'depipe stream worker')},
	'another database is found');
$warehouse->safe_psql('postgres', 'CREATE DATABASE another TEMPLATE template1');
$warehouse->safe_psql('postgres', 'ALTER DATABASE other RENAME TO renamed');
$warehouse->safe_psql('postgres', 'DROP DATABASE renamed');
pass('rename and drop are not in the way');
$source->safe_psql('postgres', q{SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active AND slot_name LIKE 'depipe_other%'});

# ---- off, and on

at_warehouse('ALTER SYSTEM SET depipe.enabled = off');
$warehouse->reload;
wait_until($warehouse, q{SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type LIKE 'depipe%' AND backend_type <> 'depipe launcher')},
	'depipe.enabled = off: workers end');
$source->safe_psql('postgres', 'INSERT INTO orders SELECT max(id) + 1, 999 FROM orders');
$warehouse->restart;
is_value($warehouse, 'SELECT count(*) FROM raw.orders WHERE amount = 999', 0, 'nothing runs');
at_warehouse('ALTER SYSTEM RESET depipe.enabled');
$warehouse->reload;
arrives('on again');

# ---- the extension goes

at_warehouse(q{SELECT depipe.drop_transform('mart.sales')}, q{SELECT depipe.drop_load('raw.orders')}, 'DROP SERVER shop CASCADE', 'DROP EXTENSION depipe CASCADE');
wait_until($warehouse, q{SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type IN ('depipe stream worker', 'depipe run worker'))},
	'without the extension: no worker');
unlike($warehouse->log_content // '', qr/TRAP|PANIC/, 'no assertion has failed') if $warehouse->can('log_content');

done_testing();
