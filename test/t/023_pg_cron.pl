# depipe without preloading: pg_cron calls run_due() as a member of depipe_operator. Loads and
# transforms follow, a breaker opens and closes, and pg_cron's own log reports success.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeTest;
use Test::More;

my $libraries = `pg_config --pkglibdir`;
chomp $libraries;
plan(skip_all => "pg_cron is not installed for this PostgreSQL") unless -e "$libraries/pg_cron.so";

my ($source, $warehouse) = source_and_warehouse(
	warehouse => q{
shared_preload_libraries = 'pg_cron'
cron.database_name = 'postgres'
});
$warehouse->append_conf('postgresql.conf', "cron.host = '" . $warehouse->host . "'");
$warehouse->restart;

sub at_warehouse
{
	return $warehouse->safe_psql('postgres', join(';', @_));
}

at_warehouse('CREATE EXTENSION pg_cron');
my $version = at_warehouse(q{SELECT default_version FROM pg_available_extensions WHERE name = 'pg_cron'});
note("pg_cron $version");

# Before pg_cron 1.5 the shortest interval is a minute.
my ($major, $minor) = $version =~ /^(\d+)\.(\d+)/;
my $schedule = $major > 1 || $minor >= 5 ? '2 seconds' : '* * * * *';

make_table($source, $warehouse, 'orders', 'id int PRIMARY KEY, amount int');
$source->safe_psql('postgres', 'INSERT INTO orders SELECT n, n FROM generate_series(1, 10) n');
at_warehouse('CREATE SCHEMA mart', 'CALL depipe.run_due()',
	q{SELECT depipe.create_transform('mart.sales', 'SELECT sum(amount) AS amount FROM raw.orders', target_lag => '1 second')},
	q{SELECT depipe.add_constraint('mart.sales', depipe.satisfies('sum(amount) < 1000'), name => 'small')},
	q{SELECT depipe.configure_breaker('mart.sales', retry_wait => '1 second', max_wait => '1 second')});

$source->safe_psql('postgres', 'INSERT INTO orders VALUES (11, 2000)');
at_warehouse('CREATE ROLE timer LOGIN', 'GRANT depipe_operator TO timer', 'GRANT USAGE ON SCHEMA cron TO timer',
	'SET SESSION AUTHORIZATION timer', "SELECT cron.schedule('depipe', '$schedule', 'CALL depipe.run_due()')");
wait_until($warehouse, q{SELECT state = 'open' FROM depipe.breakers WHERE target = 'mart.sales'}, 'a breaker opens');
is_same($source, $warehouse, 'orders', 'the load follows');
is_value($warehouse, 'SELECT amount FROM mart.sales', 55, 'the transform keeps its last good contents');
$source->safe_psql('postgres', 'UPDATE orders SET amount = 20 WHERE id = 11');
wait_until($warehouse, q{SELECT state = 'closed' FROM depipe.breakers WHERE target = 'mart.sales'}, 'the breaker closes');
is_same($source, $warehouse, 'orders', 'the load follows again');
is_value($warehouse, 'SELECT amount FROM mart.sales', 75, 'the transform, too');
is_value($warehouse, q{SELECT count(*) > 0 FROM depipe.runs WHERE started_by = 'run_due' AND role_name = 'timer' AND status = 'succeeded'},
	't', 'runs say who started them');
at_warehouse('SET SESSION AUTHORIZATION timer', q{SELECT cron.unschedule('depipe')});
wait_until($warehouse, q{SELECT count(*) FILTER (WHERE status = 'succeeded') >= 2 AND count(*) = count(*) FILTER (WHERE status = 'succeeded')
	FROM cron.job_run_details WHERE command LIKE 'CALL depipe%'}, 'pg_cron knows successes only');

done_testing();
