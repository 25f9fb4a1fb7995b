# CALL depipe.run_due(): one pass over the due work, failures with backoff, crashed runs, expiries,
# history, and the privileges to run targets.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeTest;
use Test::More;

my ($source, $warehouse) = source_and_warehouse();

sub at_warehouse
{
	return $warehouse->safe_psql('postgres', join(';', @_));
}

sub run_due
{
	return at_warehouse('CALL depipe.run_due()');
}

# Pretend that time has passed since the last attempts.
sub let_time_pass
{
	return at_warehouse(q{UPDATE depipe.attempt SET started_at = started_at - interval '1 hour',
		retry_at = retry_at - interval '1 hour'},
		q{UPDATE depipe.target_state SET data_as_of = data_as_of - interval '1 hour'});
}

# ---- loads and transforms by their target_lag

make_table($source, $warehouse, 'orders', 'id int PRIMARY KEY, amount int', target_lag => q{'1 minute'});
make_table($source, $warehouse, 'slow', 'id int PRIMARY KEY, t text', target_lag => q{'1 day'});
$source->safe_psql('postgres', 'INSERT INTO orders SELECT n, n FROM generate_series(1, 10) n; INSERT INTO slow VALUES (1)');
run_due();
is_same($source, $warehouse, $_, 'the first pass') foreach qw(orders slow);
at_warehouse('CREATE SCHEMA mart',
	q{SELECT depipe.create_transform('mart.base', 'SELECT id, amount FROM raw.orders')},
	q{SELECT depipe.create_transform('mart.sales', 'SELECT count(*) AS n FROM mart.base', target_lag => '1 minute', populate => false)},
	q{SELECT depipe.create_transform('mart.never', 'SELECT count(*) AS n FROM raw.orders', populate => false)});
run_due();
is_value($warehouse, 'SELECT n FROM mart.sales', 10, 'a transform, after what it reads');
is_value($warehouse, q{SELECT state FROM depipe.transforms WHERE target = 'mart.never'}, 'new',
	'a transform without target_lag is left alone');
my $runs = at_warehouse('SELECT count(*) FROM depipe.run');
$source->safe_psql('postgres', 'INSERT INTO orders VALUES (11, 11)');
run_due();
is_value($warehouse, 'SELECT count(*) FROM depipe.run', $runs, 'a second pass: nothing is due');
let_time_pass();
run_due();
is_same($source, $warehouse, 'orders', 'target_lag has passed');
is_value($warehouse, 'SELECT n FROM mart.sales', 11, 'transforms follow');
is_value($warehouse, q{SELECT count(*) FROM depipe.run WHERE status = 'running'}, 0, 'no run is left open');
$runs = at_warehouse(q{SELECT count(*) FROM depipe.runs WHERE target LIKE 'raw.%'});
let_time_pass();
run_due();
is_value($warehouse, q{SELECT count(*) FROM depipe.runs WHERE target LIKE 'raw.%'}, $runs,
	'loads to which nothing happened leave no row');

# ---- failures back off

at_warehouse(q{ALTER SERVER shop OPTIONS (SET port '1')});
let_time_pass();
my $failed = q{SELECT count(*) FROM depipe.runs WHERE target = 'raw.orders' AND status = 'failed'};
run_due() for 1 .. 20;
cmp_ok(at_warehouse($failed), '>=', 1, 'a source that is down: failed');
cmp_ok(at_warehouse($failed), '<=', 3, 'a source that is down: not tried at each pass');
foreach my $round (1 .. 12)
{
	let_time_pass();
	run_due();
}
my $wait = at_warehouse(q{SELECT extract(epoch FROM retry_at - started_at) FROM depipe.attempt WHERE unit = 'server shop'});
cmp_ok($wait, '>=', 200, 'waits double');
cmp_ok($wait, '<=', 400, 'up to a ceiling');
my $port = $source->port;
at_warehouse("ALTER SERVER shop OPTIONS (SET port '$port')");
let_time_pass();
run_due();
is_value($warehouse, q{SELECT failures FROM depipe.attempt WHERE unit = 'server shop'}, 0, 'the source is back: no wait');

# a transform that fails does not prevent the others from running
at_warehouse(q{SELECT depipe.create_transform('mart.bad', 'SELECT 1 / (count(*) - count(*)) AS x FROM raw.orders',
	target_lag => '1 second', populate => false)});
$source->safe_psql('postgres', 'INSERT INTO orders VALUES (12, 12)');
let_time_pass();
run_due() for 1 .. 3;
is_value($warehouse, 'SELECT n FROM mart.sales', 12, 'beside a transform that fails');
cmp_ok(at_warehouse(q{SELECT count(*) FROM depipe.runs WHERE target = 'mart.bad' AND status = 'failed'}), '<=', 2,
	'a transform that fails backs off');

# ---- crashed runs, exactly once

at_warehouse(q{INSERT INTO depipe.run (target_id, started_by, role_name, pid, started_at, status)
	SELECT target_id, 'run', 'postgres', 1, now() - interval '1 minute', 'running'
	FROM depipe.target WHERE table_name = 'slow'});
run_due() for 1 .. 2;
is_value($warehouse, q{SELECT count(*), min(status), min(reason) FROM depipe.runs WHERE target = 'raw.slow' AND pid = 1},
	'1|failed|crashed', 'a run whose session is gone');
my $finished = at_warehouse(q{SELECT finished_at FROM depipe.runs WHERE pid = 1});
run_due();
is_value($warehouse, q{SELECT finished_at FROM depipe.runs WHERE pid = 1}, $finished, 'it crashed once');

# the process number belongs to another session now
my $heir = $warehouse->background_psql('postgres');
my $pid = session_ok($heir, 'SELECT pg_backend_pid()');
at_warehouse(qq{INSERT INTO depipe.run (target_id, started_by, role_name, pid, started_at, status)
	SELECT target_id, 'worker', 'postgres', $pid, now() - interval '1 hour', 'running'
	FROM depipe.target WHERE table_name = 'slow'});
run_due();
is_value($warehouse, qq{SELECT status, reason FROM depipe.runs WHERE target = 'raw.slow' AND pid = $pid}, 'failed|crashed',
	'a run whose process number was used again');

# a manual run whose session is terminated, canceled (and stays), or killed
at_warehouse('CREATE FUNCTION public.held() RETURNS int LANGUAGE sql AS $$SELECT 1 FROM pg_advisory_xact_lock_shared(7)$$',
	q{SELECT depipe.create_transform('mart.held', 'SELECT public.held() AS x', populate => false)});
my $holder = $warehouse->background_psql('postgres');
session_ok($holder, 'SELECT pg_advisory_lock(7)');
my $is_held = q{SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE 'CALL depipe.run(%' AND wait_event = 'advisory')};
my $of_held = q{FROM pg_stat_activity WHERE query LIKE 'CALL depipe.run(%' AND pid <> pg_backend_pid() AND state = 'active'};
my $crashes = 0;
foreach my $end ('pg_terminate_backend', 'pg_cancel_backend', 'kill')
{
	my $session = $warehouse->background_psql('postgres', on_error_stop => 0);

	$session->query_until(qr/begun/, "\\echo begun\nCALL depipe.run('mart.held');\n");
	wait_until($warehouse, $is_held, "$end: a run that waits");
	run_due();
	is_value($warehouse, q{SELECT count(*) FROM depipe.runs WHERE target = 'mart.held' AND status = 'running'}, 1,
		"$end: a run that goes on is left alone");
	$pid = at_warehouse("SELECT pid $of_held");
	if ($end eq 'kill')
	{
		kill 'KILL', $pid;
		$warehouse->poll_query_until('postgres', "SELECT pg_postmaster_start_time() IS NOT NULL AND NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $pid)");
	}
	else
	{
		at_warehouse("SELECT $end($pid)");
		wait_until($warehouse, "SELECT NOT EXISTS (SELECT $of_held)", "$end: it has ended");
	}
	run_due() for 1 .. 2;
	$crashes++;
	is_value($warehouse, q{SELECT count(*), count(*) FILTER (WHERE status = 'failed' AND reason = 'crashed') FROM depipe.runs WHERE target = 'mart.held'},
		"$crashes|$crashes", "$end: it has crashed, once");
	eval { $session->quit };
}
eval { $_->quit } foreach $holder, $heir;
at_warehouse(q{CALL depipe.run('mart.held')}, q{SELECT depipe.drop_transform('mart.held')});

# ---- expiries and time checks

at_warehouse(q{SELECT depipe.trip('raw.slow', 'a test', now() + interval '1 hour')},
	q{SELECT depipe.pause('a test', 'raw.slow', until => now() + interval '1 hour')},
	q{UPDATE depipe.breaker_state SET until = now()}, q{UPDATE depipe.target_state SET paused_until = now() WHERE paused});
run_due();
is_value($warehouse, q{SELECT string_agg(state, ' ' ORDER BY event_id) FROM depipe.events WHERE event = 'breaker' AND target = 'raw.slow'},
	'forced_open half_open closed', 'a breaker tripped for a time is probed, never closed at once');
is_value($warehouse, 'SELECT count(*) FROM depipe.target_state WHERE paused', 0, 'a pause for a time');
at_warehouse('CREATE TABLE public.seen (at timestamptz)', q{INSERT INTO seen VALUES (now() - interval '1 day')},
	q{SELECT depipe.add_constraint('public.seen', depipe.freshness('at', '1 hour'))},
	'UPDATE depipe.constraint_state SET evaluated_at = NULL, outcome = NULL');
run_due();
is_value($warehouse, q{SELECT state FROM depipe.constraints WHERE target = 'public.seen'}, 'fail', 'a time check where nothing arrives');

# ---- history

at_warehouse(q{UPDATE depipe.run SET finished_at = now() - interval '31 days'},
	q{UPDATE depipe.event SET happened_at = now() - interval '31 days'}, q{DELETE FROM depipe.attempt WHERE unit = 'history'});
run_due();
is_value($warehouse, q{SELECT count(*) FROM depipe.event WHERE happened_at < now() - interval '30 days'}, 0, 'old events are gone');
is_value($warehouse, q{SELECT max(n) FROM (SELECT count(*) AS n FROM depipe.run
	WHERE finished_at < now() - interval '30 days' GROUP BY target_id) x}, 1, 'of old runs the last is kept');

# ---- one pass at a time

my $other = $warehouse->background_psql('postgres');
session_ok($other, q{SELECT pg_advisory_lock(1)});
at_warehouse('CREATE FUNCTION public.wait() RETURNS int LANGUAGE sql AS $$SELECT 1 FROM pg_advisory_xact_lock_shared(1)$$',
	q{SELECT depipe.create_transform('mart.waits', 'SELECT public.wait() AS x', target_lag => '1 second', populate => false)});
my $pass = $warehouse->background_psql('postgres');
$pass->query_until(qr/begun/, "\\echo begun\nCALL depipe.run_due();\n");
wait_until($warehouse, q{SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE 'CALL depipe.run_due%' AND wait_event = 'advisory')},
	'a pass that waits');
my ($status, $stdout, $stderr) = $warehouse->psql('postgres', 'CALL depipe.run_due()');
like($stderr, qr/another pass is running/, 'a second one returns at once');
is_value($warehouse, q{SELECT count(*) FROM depipe.run WHERE status = 'running'}, 1, 'its run is seen while it runs');
at_warehouse(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CALL depipe.run_due%' AND pid <> pg_backend_pid()});
wait_until($warehouse, q{SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE 'CALL depipe.run_due%' AND pid <> pg_backend_pid())},
	'it is terminated');
eval { $pass->quit };
session_ok($other, 'SELECT pg_advisory_unlock_all()');
$other->quit;
run_due();
is_value($warehouse, q{SELECT count(*) FROM depipe.runs WHERE target = 'mart.waits' AND reason = 'crashed'}, 1, 'its run has crashed');

# ---- others' targets are passed over

at_warehouse('CREATE ROLE stranger LOGIN', 'GRANT USAGE ON SCHEMA depipe TO stranger');
$source->safe_psql('postgres', 'INSERT INTO orders VALUES (13, 13)');
let_time_pass();
at_warehouse('SET ROLE stranger', 'CALL depipe.run_due()');
is_value($warehouse, 'SELECT count(*) FROM raw.orders', 12, 'a stranger has nothing run');
at_warehouse('GRANT depipe_operator TO stranger', 'SET ROLE stranger', 'CALL depipe.run_due()');
is_value($warehouse, 'SELECT count(*) FROM raw.orders', 13, 'an operator does');

done_testing();
