# The notifications of workers: definitions committed by COMMIT PREPARED, and a database that
# depipe.databases no longer names.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeTest;
use DepipeOperations;
use Test::More;

# The scheduler looks when it is notified, and otherwise once a minute, which is longer than a test
# waits.
my ($source, $warehouse) = source_and_warehouse(
	warehouse => worker_settings("max_prepared_transactions = 5\n"));

add_marker($source, $warehouse);
arrives($source, $warehouse, 'before');

# ---- what a prepared transaction has changed

# Definitions use NOTIFY, so they cannot be prepared; but the target can be created again.
make_table($source, $warehouse, 'late', 'id int PRIMARY KEY');
$source->safe_psql('postgres', 'INSERT INTO late VALUES (1)');
arrives($source, $warehouse, 'a load');
wait_until($warehouse, q{SELECT state = 'streaming' FROM depipe.loads WHERE target = 'raw.late'}, 'the load is copied');
$warehouse->safe_psql(
	'postgres', q{
	BEGIN;
	DROP TABLE raw.late;
	CREATE TABLE raw.late (id int PRIMARY KEY);
	PREPARE TRANSACTION 'late'});
{
	# a worker looks by the clock, too, but not so often
	local $PostgreSQL::Test::Utils::timeout_default = 5;
	$warehouse->safe_psql('postgres', q{COMMIT PREPARED 'late'});
	wait_until($warehouse, q{SELECT count(*) = 1 FROM raw.late}, 'the new table is filled');
}

# ---- a run by hand while a worker has the stream is the probe of a breaker

make_table($source, $warehouse, 'broken', 'id int PRIMARY KEY, v int', target_lag => q{'100 ms'});
wait_until($warehouse, q{SELECT state = 'streaming' FROM depipe.loads WHERE target = 'raw.broken'}, 'another load');
$warehouse->safe_psql('postgres', q{
	CREATE TABLE public.allowed (v int);
	CREATE FUNCTION public.is_allowed(int) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT EXISTS (SELECT FROM public.allowed a WHERE a.v = $1)';
	SELECT depipe.add_constraint('raw.broken', depipe.satisfies('public.is_allowed(v)'));
	SELECT depipe.configure_breaker('raw.broken', retry_wait => '1 second', max_wait => '1 second')});
$source->safe_psql('postgres', 'INSERT INTO broken VALUES (1, 1)');
wait_until($warehouse, q{SELECT state = 'open' FROM depipe.breakers WHERE target = 'raw.broken'}, 'its breaker opens');
# a repair outside the data is not noticed, because the data has not changed
$warehouse->safe_psql('postgres', 'INSERT INTO public.allowed VALUES (1)');
wait_until($warehouse, q{SELECT retry_at < clock_timestamp() FROM depipe.breaker_state JOIN depipe.target USING (target_id) WHERE table_name = 'broken'},
	'its wait is over');
is_value($warehouse, q{SELECT status FROM depipe.refresh('raw.broken')}, 'succeeded', 'a refresh by hand is the probe, and says so');
is_value($warehouse, q{SELECT state FROM depipe.breakers WHERE target = 'raw.broken'}, 'closed', 'it closes the breaker');
is_value($warehouse, 'SELECT count(*) FROM raw.broken', 1, 'what was held is there');

# ---- a database that is not served any more

ok(wait_for_worker($warehouse, 'stream worker'), 'the stream has a worker');
$warehouse->append_conf('postgresql.conf', "depipe.databases = 'template0'");
$warehouse->reload;
wait_until($warehouse, q{SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'depipe stream worker')},
	'its worker ends');
$warehouse->append_conf('postgresql.conf', "depipe.databases = 'postgres'");
$warehouse->reload;
arrives($source, $warehouse, 'named again');

done_testing();
