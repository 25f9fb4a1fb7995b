# Work that only depends on time, without workers: a pass leaves nothing due; probes, stale tables,
# ends of pauses and trips, the end of the grace period of keys, and waits after failures.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeTest;
use Test::More;

my ($source, $warehouse) = source_and_warehouse(source => "log_connections = on\n");

sub at_warehouse
{
	return $warehouse->safe_psql('postgres', join(';', @_));
}

sub at_source
{
	return $source->safe_psql('postgres', join(';', @_));
}

# Make a pass. Returns its start time, and the time of the next due work.
sub one_pass
{
	my ($status, $stdout, $stderr) = $warehouse->psql('postgres',
		'SELECT clock_timestamp(); SET client_min_messages = debug1; CALL depipe.run_due()');

	die "run_due failed: $stderr" if $status != 0 || $stderr !~ /something is due at (.+)/;
	return ($stdout, $1);
}

# After a pass nothing is due as of its start: a process that sleeps until the next time is not
# busy.
sub rests
{
	my ($name) = @_;
	my ($begun, $next) = one_pass();

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is_value($warehouse, "SELECT timestamptz '$next' > '$begun'", 't', "$name: nothing is due at once again");
	return;
}

# Pretend that time has passed since the last attempts.
sub let_time_pass
{
	return at_warehouse(q{UPDATE depipe.attempt SET started_at = started_at - interval '1 hour',
			retry_at = retry_at - interval '1 hour' WHERE unit <> 'history'},
		q{UPDATE depipe.target_state SET data_as_of = data_as_of - interval '1 hour'},
		q{UPDATE depipe.breaker_state SET retry_at = retry_at - interval '1 hour'},
		q{UPDATE depipe.constraint_state SET evaluated_at = evaluated_at - interval '1 hour'},
		q{UPDATE depipe.pending_key SET since = since - interval '1 hour'});
}

sub runs_of
{
	my ($target, $status) = @_;

	return at_warehouse("SELECT count(*) FROM depipe.runs WHERE target = '$target' AND status = '$status'");
}

sub waits_of
{
	my ($unit) = @_;

	return at_warehouse("SELECT COALESCE(sum(failures), 0) FROM depipe.attempt WHERE unit = '$unit'");
}

sub unit_of
{
	my ($table) = @_;

	return 'target ' . at_warehouse("SELECT target_id FROM depipe.target WHERE table_name = '$table'");
}

rests('nothing is declared');
make_table($source, $warehouse, 'orders', 'id int PRIMARY KEY, amount int, at timestamptz', target_lag => q{'1 hour'});
at_source('INSERT INTO orders SELECT n, n, now() FROM generate_series(1, 10) n');
at_warehouse('CREATE SCHEMA mart');
rests('a copy');
at_warehouse(q{SELECT depipe.create_transform('mart.sales', 'SELECT sum(amount) AS amount FROM raw.orders', target_lag => '1 hour')},
	q{SELECT depipe.create_transform('mart.quiet', 'SELECT sum(amount) AS amount FROM raw.orders')});
rests('transforms');
rests('a second pass');
is_same($source, $warehouse, 'orders', 'the copy');

# ---- probes

at_warehouse(q{SELECT depipe.add_constraint('raw.orders', depipe.satisfies('amount >= 0'), name => 'positive')},
	q{SELECT depipe.add_constraint('mart.quiet', depipe.satisfies('sum(amount) < 1000'), name => 'small')});
at_source('INSERT INTO orders VALUES (11, -1, now())');
let_time_pass();
rests('a batch that breaks');
is(breaker_of($warehouse, 'raw.orders'), 'open', 'the breaker of a load opens');
let_time_pass();
rests('the wait is over, nothing has changed');
is(breaker_of($warehouse, 'raw.orders'), 'open', 'no probe when nothing has changed');
at_source('UPDATE orders SET amount = 1 WHERE id = 11');
at_warehouse(q{UPDATE depipe.attempt SET started_at = started_at - interval '1 hour'},
	q{UPDATE depipe.breaker_state SET retry_at = now() + interval '1 hour'});
rests('data comes while the breaker waits');
is(breaker_of($warehouse, 'raw.orders'), 'open', 'it waits');
let_time_pass();
at_warehouse(qq{UPDATE depipe.attempt SET failures = 9, retry_at = now() + interval '1 minute' WHERE unit = '${\ unit_of('sales')}'});
is(waits_of(unit_of('sales')), 9, 'a reader was held back often');
rests('a probe of its own accord');
is_value($warehouse, 'SELECT amount FROM mart.sales', at_source('SELECT sum(amount) FROM orders'), 'what read it does not wait any longer');
is(breaker_of($warehouse, 'raw.orders'), 'closed', 'a load is probed when the wait is over and something has changed');
is_same($source, $warehouse, 'orders', 'after the probe');

# a transform without target_lag runs only because of its breaker
at_source('UPDATE orders SET amount = 5000 WHERE id = 1');
let_time_pass();
one_pass();
is(at_warehouse(q{SELECT status FROM depipe.refresh('mart.quiet')}), 'blocked', 'a transform is held');
is(breaker_of($warehouse, 'mart.quiet'), 'open', 'its breaker opens');
my $blocked = runs_of('mart.quiet', 'blocked');
let_time_pass();
rests('the inputs of a transform are the same');
is(runs_of('mart.quiet', 'blocked'), $blocked, 'no probe of a transform to whose inputs nothing happened');
at_source('UPDATE orders SET amount = 1 WHERE id = 1');
let_time_pass();
one_pass();
rests('an input has changed');
is(breaker_of($warehouse, 'mart.quiet'), 'closed', 'a transform without target_lag is probed');
is_value($warehouse, 'SELECT amount FROM mart.quiet', at_source('SELECT sum(amount) FROM orders'), 'and published');
at_warehouse(q{SELECT depipe.trip('mart.quiet', 'a test')}, q{SELECT depipe.reset('mart.quiet', 'a test')});
rests('a reset');
is(breaker_of($warehouse, 'mart.quiet'), 'closed', 'a reset is followed by a probe at once');

# ---- what is held is not run for nothing

at_warehouse(q{SELECT depipe.trip('mart.sales', 'a test')});
$blocked = at_warehouse(q{SELECT count(*) FROM depipe.runs WHERE target = 'mart.sales'});
let_time_pass();
rests('a transform that is tripped');
at_warehouse(q{SELECT depipe.pause('a test', 'mart.sales')}, q{SELECT depipe.reset('mart.sales', 'a test')});
let_time_pass();
rests('a transform that is paused');
is_value($warehouse, q{SELECT count(*) FROM depipe.runs WHERE target = 'mart.sales'}, $blocked, 'it is not run');
at_warehouse(q{SELECT depipe.resume('mart.sales')});
rests('it is resumed');
is(breaker_of($warehouse, 'mart.sales'), 'closed', 'then it is run');

# ---- ends by time, with an event

at_warehouse(q{SELECT depipe.pause('a test', 'raw.orders', until => now() + interval '1 hour')},
	q{SELECT depipe.override('mart.sales', 'a test', now() + interval '1 hour')},
	q{SELECT depipe.trip('mart.quiet', 'a test', now() + interval '1 hour')});
my ($begun, $next) = one_pass();
is_value($warehouse, "SELECT '$next' <= (SELECT paused_until FROM depipe.target_state WHERE paused)", 't',
	'the end of a pause is among what is due next');
at_warehouse(q{UPDATE depipe.target_state SET paused_until = now() WHERE paused},
	q{UPDATE depipe.breaker_state SET until = now() WHERE until IS NOT NULL});
rests('the ends have come');
is_value($warehouse, q{SELECT count(*) FROM depipe.target_state WHERE paused}, 0, 'the pause has ended');
is_value($warehouse, q{SELECT string_agg(target || ' ' || state, ', ' ORDER BY target, state) FROM depipe.events
	WHERE event = 'breaker' AND event_id > (SELECT max(event_id) FROM depipe.events WHERE state = 'forced_open')},
	'mart.quiet closed, mart.quiet half_open, mart.sales closed, mart.sales half_open', 'override and trip end by themselves, and are probed');
is_value($warehouse, q{SELECT count(*) FROM depipe.events WHERE event = 'pause' AND state = 'resumed' AND target = 'raw.orders'}, 1,
	'the end of a pause is an event');

# ---- time checks

at_warehouse(q{SELECT depipe.add_constraint('raw.orders', depipe.freshness('at', '1 hour'), name => 'fresh')},
	q{SELECT depipe.create_transform('mart.fresh', 'SELECT sum(amount) AS amount FROM mart.sales', target_lag => '1 hour',
		on_stale => 'block')});
rests('a table that is fresh');
is_value($warehouse, q{SELECT depipe.guard('raw.orders') IS NOT NULL}, 't', 'fresh: the guard lets pass');
at_source(q{UPDATE orders SET at = now() - interval '3 hours'});
let_time_pass();
one_pass();
at_warehouse(q{UPDATE depipe.constraint_state SET evaluated_at = evaluated_at - interval '1 hour'});
rests('old data has come');
is_same($source, $warehouse, 'orders', 'a time check does not hold batches');
is_value($warehouse, q{SELECT state FROM depipe.constraints WHERE name = 'fresh'}, 'fail', 'stale when data comes that is old');
fails_like($warehouse, q{SELECT depipe.guard('raw.orders')}, 'QD004', qr/raw.orders is stale.*constraint "fresh" fails/s, 'the guard of a stale table');
fails_like($warehouse, q{SELECT depipe.guard('mart.sales')}, 'QD004', qr/mart.sales is stale, because of raw.orders/, 'what reads it');
fails_like($warehouse, q{SELECT depipe.assert_ok('mart.sales')}, 'QD004', qr/is stale/, 'assert_ok');
is_value($warehouse, q{SELECT status FROM depipe.refresh('mart.sales')}, 'nothing', 'on_stale => publish goes on');
is_value($warehouse, q{SELECT status || ': ' || reason FROM depipe.refresh('mart.fresh')},
	'blocked: raw.orders -> mart.sales -> mart.fresh: stale: constraint "fresh" fails', 'on_stale => block waits, and says for what');
at_source(q{UPDATE orders SET at = now(), amount = 2 WHERE id = 1});
let_time_pass();
rests('new data comes');
is_value($warehouse, q{SELECT state FROM depipe.constraints WHERE name = 'fresh'}, 'pass', 'fresh again by itself');
is_value($warehouse, q{SELECT status FROM depipe.runs WHERE target = 'mart.fresh' ORDER BY run_id DESC LIMIT 1}, 'succeeded', 'what waited goes on');
is_value($warehouse, q{SELECT string_agg(state, ' ' ORDER BY event_id) FROM depipe.events WHERE event = 'incident' AND reason LIKE '%fresh%'},
	'open closed', 'one incident');

# no rows arrive: a pass finds it
at_warehouse('UPDATE raw.orders SET at = at - interval $$2 hours$$');
rests('a second ago it was fresh');
is_value($warehouse, q{SELECT state FROM depipe.constraints WHERE name = 'fresh'}, 'pass', 'not looked at before check_every');
fails_like($warehouse, q{SELECT depipe.guard('raw.orders')}, 'QD004', qr/is stale/, 'but the guard looks itself');
at_warehouse(q{UPDATE depipe.constraint_state SET evaluated_at = evaluated_at - interval '1 hour'});
rests('nothing arrives');
is_value($warehouse, q{SELECT state FROM depipe.constraints WHERE name = 'fresh'}, 'fail', 'stale although nothing arrives');

# unusable values, a date in the future, an empty table, a missing table
at_warehouse(q{CREATE TABLE public.seen (at timestamptz, d date)}, q{INSERT INTO seen VALUES ('infinity'), ('-infinity'), (NULL)},
	q{SELECT depipe.add_constraint('public.seen', depipe.freshness('at', '1 hour'), name => 'at', existing => 'ignore')},
	q{SELECT depipe.add_constraint('public.seen', depipe.freshness('d', '2 days'), name => 'd', existing => 'ignore', on_no_data => 'fail')});

sub outcomes
{
	at_warehouse(q{UPDATE depipe.constraint_state SET evaluated_at = NULL});
	one_pass();
	return at_warehouse(q{SELECT string_agg(name || ' ' || state, ', ' ORDER BY name) FROM depipe.constraints WHERE target = 'public.seen'});
}
is(outcomes(), 'at not_evaluated, d fail', 'infinity and NULL are no data');
at_warehouse(q{INSERT INTO seen VALUES (now() + interval '1 day', current_date - 3)});
is(outcomes(), 'at pass, d fail', 'a time that is to come is fresh');
at_warehouse(q{INSERT INTO seen VALUES (NULL, current_date)});
is(outcomes(), 'at pass, d pass', 'a date');
at_warehouse(q{TRUNCATE seen});
is(outcomes(), 'at not_evaluated, d fail', 'an empty table');
at_warehouse(q{SELECT depipe.alter_constraint('public.seen', 'd', enforce_from => now() + interval '1 day')});
is(outcomes(), 'at not_evaluated, d warn', 'before enforce_from it warns');
is_value($warehouse, q{SELECT depipe.guard('public.seen') IS NOT NULL}, 't', 'and the guard lets pass');
at_warehouse(q{ALTER TABLE seen DROP COLUMN d});
is(outcomes(), 'at not_evaluated, d warn', 'what cannot be evaluated, before enforce_from: still a warning')
  or diag(at_warehouse(q{SELECT state FROM depipe.constraints WHERE target = 'public.seen'}));
rests('what cannot be evaluated');
at_warehouse(q{DROP TABLE seen});
outcomes();
rests('a table that is gone');
at_warehouse(q{SELECT depipe.drop_constraint('public.seen', name) FROM depipe.constraints WHERE target = 'public.seen'});

# ---- the end of the grace of keys

at_warehouse(q{CREATE TABLE public.customers (id int PRIMARY KEY)}, q{INSERT INTO customers VALUES (1)});
make_table($source, $warehouse, 'lines', 'id int PRIMARY KEY, customer int', target_lag => q{'1 hour'});
at_warehouse(q{SELECT depipe.add_constraint('raw.lines', depipe.relationships('customer', 'public.customers', 'id'), name => 'customer', grace => '10 minutes')});
at_source('INSERT INTO lines VALUES (1, 1)');
let_time_pass();
one_pass();
at_source('INSERT INTO lines VALUES (2, 2)');
let_time_pass();
rests('a key that is not there');
is_value($warehouse, q{SELECT state FROM depipe.constraints WHERE name = 'customer'}, 'pending', 'its row is pending');
is_same($source, $warehouse, 'lines', 'and published');
let_time_pass();
rests('the grace is over');
is_value($warehouse, q{SELECT state FROM depipe.constraints WHERE name = 'customer'}, 'fail', 'nothing came: it fails');
is(breaker_of($warehouse, 'raw.lines'), 'open', 'and the next batch meets the breaker');
at_warehouse(q{INSERT INTO customers VALUES (2)}, q{SELECT depipe.reset('raw.lines', 'a test')});
rests('repaired');
is(breaker_of($warehouse, 'raw.lines'), 'closed', 'repaired: the breaker closes');

# ---- waits after failures, and what ends them

at_warehouse(q{CREATE FUNCTION public.amount(int) RETURNS int LANGUAGE plpgsql AS $$BEGIN
	IF $1 < 0 THEN RAISE 'no'; END IF; RETURN $1; END$$},
	q{CREATE TABLE public.numbers (n int)}, q{INSERT INTO numbers VALUES (-1)},
	q{SELECT depipe.create_transform('mart.fails', 'SELECT public.amount(n) AS n FROM public.numbers', target_lag => '1 second', populate => false)});
rests('a transform that fails');
my $fails = unit_of('fails');
is(waits_of($fails), 1, 'it waits');
$warehouse->psql('postgres', q{CALL depipe.run('mart.fails')});
is(waits_of($fails), 1, 'a run by hand that fails changes nothing about that');
at_warehouse(q{UPDATE numbers SET n = 1}, q{CALL depipe.run('mart.fails')});
is(waits_of($fails), 0, 'one that succeeds ends the wait');
at_warehouse(q{UPDATE numbers SET n = -1});
let_time_pass();
rests('it fails again');
at_warehouse(q{SELECT depipe.resume('mart.fails')});
is(waits_of($fails), 0, 'resume ends the wait');
let_time_pass();
rests('it fails once more');
at_warehouse(q{SELECT depipe.alter_transform('mart.fails', target_lag => '2 seconds', populate => false)});
is(waits_of($fails), 0, 'another definition ends the wait');
at_warehouse(q{SELECT depipe.drop_transform('mart.fails')});
rests('it is gone');

# the rows of a load: parked until the wait is over
foreach my $kind ('an error', 'a rejection')
{
	my $what = $kind eq 'an error' ? 'failed' : 'blocked';

	at_warehouse($kind eq 'an error' ? 'ALTER TABLE raw.orders ADD CONSTRAINT local CHECK (amount < 5000)'
		: q{SELECT depipe.add_constraint('raw.orders', depipe.satisfies('amount < 5000'), name => 'local', on_violation => 'reject')});
	let_time_pass();
	one_pass();
	my $before = runs_of('raw.orders', $what);
	at_source('UPDATE orders SET amount = 6000 WHERE id = 2');
	let_time_pass();
	rests($kind);
	is(runs_of('raw.orders', $what), $before + 1, "$kind: $what");
	is(waits_of(unit_of('orders')), 1, "$kind: it waits");
	at_warehouse(q{UPDATE depipe.attempt SET retry_at = now() + interval '1 hour' WHERE unit LIKE 'target%' AND failures > 0});
	rests("$kind, nothing new");
	at_source('UPDATE orders SET amount = 3 WHERE id = 3');
	at_warehouse(q{UPDATE depipe.attempt SET started_at = started_at - interval '1 hour' WHERE unit LIKE 'server%'});
	rests("$kind, something new");
	is(waits_of(unit_of('orders')), 1, "$kind: not tried again with each batch");
	cmp_ok(at_warehouse('SELECT count(*) FROM depipe.parked_item'), '>=', 2, "$kind: what comes is parked");
	at_source('UPDATE orders SET amount = 2 WHERE id = 2');
	let_time_pass();
	rests("$kind, repaired");
	is(waits_of(unit_of('orders')), 0, "$kind: repaired, no wait");
	is_same($source, $warehouse, 'orders', "$kind: repaired", columns => 'id, amount');
	at_warehouse($kind eq 'an error' ? 'ALTER TABLE raw.orders DROP CONSTRAINT local' : q{SELECT depipe.drop_constraint('raw.orders', 'local')});
}
at_warehouse(q{ALTER TABLE raw.orders ADD CONSTRAINT local CHECK (amount < 5000)});
at_source('UPDATE orders SET amount = 6000 WHERE id = 2');
let_time_pass();
one_pass();
at_warehouse(q{ALTER TABLE raw.orders DROP CONSTRAINT local}, q{SELECT depipe.refresh('raw.orders')});
is_same($source, $warehouse, 'orders', 'a person does not wait', columns => 'id, amount');

# a copy whose source is missing
at_warehouse(q{SELECT depipe.create_load('raw.nothing', server => 'shop', source => 'public.nothing', target_lag => '1 hour')});
rests('a source table that is not there');
my $tries = runs_of('raw.nothing', 'failed');
one_pass() for 1 .. 5;
cmp_ok(runs_of('raw.nothing', 'failed'), '<=', $tries + 2, 'is not looked for at each pass');
at_source('CREATE TABLE nothing (id int PRIMARY KEY)', 'INSERT INTO nothing VALUES (1)');
let_time_pass();
rests('it has come');
is_same($source, $warehouse, 'nothing', 'it has come');

# the slot of a source that changes only other tables
my $confirmed = q{SELECT min(confirmed_flush_lsn) >= '%s' FROM pg_replication_slots WHERE slot_name LIKE 'depipe%%' AND NOT temporary};
at_source('CREATE TABLE others (id int)', 'INSERT INTO others SELECT generate_series(1, 1000)');
my $position = at_source('SELECT pg_current_wal_lsn()');
let_time_pass();
rests('changes of other tables');
is_value($source, sprintf($confirmed, $position), 't', 'the slot of an idle source advances');

my $port = $source->port;
foreach my $repair ("ALTER SERVER shop OPTIONS (SET port '$port')", "ALTER USER MAPPING FOR CURRENT_USER SERVER shop OPTIONS (DROP user)",
	q{DROP USER MAPPING FOR CURRENT_USER SERVER shop; CREATE USER MAPPING FOR CURRENT_USER SERVER shop}, q{SELECT depipe.resume('raw.*')})
{
	at_warehouse($repair =~ /ALTER SERVER/ ? q{ALTER SERVER shop OPTIONS (SET port '1')}
		: $repair =~ /MAPPING/ ? q{ALTER USER MAPPING FOR CURRENT_USER SERVER shop OPTIONS (ADD user 'nobody')}
		: 'SELECT 1');
	$source->stop if $repair =~ /resume/;
	let_time_pass();
	rests('a source that refuses us');
	cmp_ok(waits_of('server shop'), '>=', 1, 'a source that refuses us: waits');
	$source->start if $repair =~ /resume/;
	at_warehouse($repair);
	is(waits_of('server shop'), 0, "no wait after $repair");
}
$source->safe_psql('postgres', 'INSERT INTO orders VALUES (20, 20, now())');
let_time_pass();
rests('the source is back');
is_same($source, $warehouse, 'orders', 'the source is back', columns => 'id, amount');

# ---- how often a source is asked that refuses us: without workers, and with them

my $workers = DepipeTest::start_node('workers', q{
shared_preload_libraries = 'depipe'
depipe.databases = 'postgres'
depipe.naptime = '100ms'
});
my $socket = $source->host;

$workers->safe_psql('postgres', 'CREATE EXTENSION depipe; CREATE SCHEMA raw');
at_source(map { "CREATE ROLE $_ LOGIN SUPERUSER REPLICATION PASSWORD 'right'" } qw(by_passes by_workers));
$source->append_conf('pg_hba.conf', '');
my $hba = PostgreSQL::Test::Utils::slurp_file($source->data_dir . '/pg_hba.conf');
open(my $file, '>', $source->data_dir . '/pg_hba.conf') or die $!;
print $file join('', map { "local all,replication $_ scram-sha-256\n" } qw(by_passes by_workers)) . $hba;
close $file;
$source->reload;
at_source('CREATE TABLE refused (id int PRIMARY KEY)', 'INSERT INTO refused VALUES (1)');
foreach my $who ([ $warehouse, 'by_passes' ], [ $workers, 'by_workers' ])
{
	$who->[0]->safe_psql('postgres', qq{
		CREATE SERVER secret FOREIGN DATA WRAPPER depipe OPTIONS (host '$socket', port '$port', dbname 'postgres');
		CREATE USER MAPPING FOR CURRENT_USER SERVER secret OPTIONS (user '$who->[1]', password 'wrong');
		CREATE SERVER down FOREIGN DATA WRAPPER depipe OPTIONS (host '$socket', port '1', dbname 'postgres');
		CREATE USER MAPPING FOR CURRENT_USER SERVER down;
		SELECT depipe.create_load('raw.secret', server => 'secret', source => 'public.refused'),
			depipe.create_load('raw.down', server => 'down', source => 'public.refused')});
}
my $started = time;
while (time < $started + 20)
{
	at_warehouse('CALL depipe.run_due()');
}
my $log = PostgreSQL::Test::Utils::slurp_file($source->logfile);
foreach my $who ([ $warehouse, 'by_passes' ], [ $workers, 'by_workers' ])
{
	my $refused = () = $log =~ /password authentication failed for user "$who->[1]"/g;
	my $down = $who->[0]->safe_psql('postgres', q{SELECT count(*) FROM depipe.runs WHERE target = 'raw.down' AND status = 'failed'});

	note("$who->[1]: wrong password $refused times, host that is down $down times");
	cmp_ok($refused, '>=', 2, "$who->[1]: a wrong password is tried");
	cmp_ok($refused, '<=', 10, "$who->[1]: at most ten times in twenty seconds");
	cmp_ok($down, '>=', 2, "$who->[1]: a host that is down is tried");
	cmp_ok($down, '<=', 10, "$who->[1]: at most ten times in twenty seconds");
	$who->[0]->safe_psql('postgres', q{ALTER USER MAPPING FOR CURRENT_USER SERVER secret OPTIONS (SET password 'right')});
}
rests('the password is right');
is_value($warehouse, 'SELECT count(*) FROM raw.secret', 1, 'the password is right: copied by the next pass');
wait_until($workers, q{SELECT EXISTS (SELECT FROM depipe.loads WHERE target = 'raw.secret' AND state = 'streaming')}, 'the password is right: copied by a worker');

done_testing();
