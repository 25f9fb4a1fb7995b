# What workers are told, and when: definitions that COMMIT PREPARED brings, a database that
# depipe.databases does not name any more.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeTest;
use DepipeOperations;
use Test::More;

# The scheduler looks when it is told, and else once a minute: longer than a test waits for it.
my ($source, $warehouse) = source_and_warehouse(
	warehouse => worker_settings("max_prepared_transactions = 5\n"));

add_marker($source, $warehouse);
arrives($source, $warehouse, 'before');

# ---- what a prepared transaction has changed

# Definitions notify, and cannot be prepared: but a target can be made anew.
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
