# Exactly once: the backend that runs the loads is killed, or the warehouse stopped immediately, at
# random moments, while writers keep changing the source. Every committed state of the warehouse
# consists of whole source transactions, each applied once, and the final state is exactly equal.
#
# DEPIPE_SEED repeats the choices of a run. DEPIPE_ROUNDS sets the number of crashes.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeTest;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $rounds = $ENV{DEPIPE_ROUNDS} || how_many(12, 26);
my $seed = $ENV{DEPIPE_SEED} || int(rand(1_000_000));
srand($seed);
diag("seed $seed");

my ($source, $warehouse) = source_and_warehouse();

# Money moves between accounts, and each move is booked in ledger. In every consistent state the
# balances sum up to 0, and each balance is the sum of its bookings. The table bag has no key: a
# change that was applied twice, or not at all, remains visible forever.
$source->safe_psql(
	'postgres', q{
	CREATE TABLE account (id int PRIMARY KEY, balance bigint NOT NULL, note text);
	ALTER TABLE account ALTER note SET STORAGE EXTERNAL;
	INSERT INTO account SELECT n, 0, repeat(md5(n::text), 90) FROM generate_series(1, 400) n;
	CREATE TABLE ledger (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, account int NOT NULL,
		amount bigint NOT NULL);
	CREATE TABLE bag (kind int, amount int);
	ALTER TABLE bag REPLICA IDENTITY FULL;
	INSERT INTO bag SELECT n % 5, n % 3 FROM generate_series(1, 3000) n;});
$warehouse->safe_psql('postgres',
	"SELECT depipe.create_load('raw.$_', server => 'shop', source => 'public.$_')")
  foreach qw(account ledger bag);

my $scripts = PostgreSQL::Test::Utils::tempdir();
my $move = "$scripts/move.sql";
append_to_file(
	$move, q{
\set a random(1, 400)
\set b random(1, 400)
\set amount random(1, 1000)
BEGIN;
UPDATE account SET balance = balance - :amount WHERE id = least(:a, :b);
UPDATE account SET balance = balance + :amount WHERE id = greatest(:a, :b);
INSERT INTO ledger (account, amount) VALUES (least(:a, :b), - :amount), (greatest(:a, :b), :amount);
COMMIT;
});
my $scatter = "$scripts/scatter.sql";
append_to_file(
	$scatter, q{
\set kind random(0, 4)
\set id random(1, 400)
INSERT INTO bag VALUES (:kind, 1), (:kind, 1), (:kind, 2);
UPDATE bag SET amount = amount + 1 WHERE ctid = (SELECT ctid FROM bag WHERE kind = :kind LIMIT 1);
DELETE FROM bag WHERE ctid = (SELECT ctid FROM bag ORDER BY amount DESC LIMIT 1);
UPDATE account SET note = CASE WHEN random() < 0.5 THEN note || 'x' ELSE 'short' END WHERE id = :id;
});

my $writer_err = '';
my $writers = IPC::Run::start(
	[
		$source->installed_command('pgbench'),
		qw(-n -c 3 -j 1 -R 250 -T 600),
		'-f', "$move\@3", '-f', "$scatter\@1",
		$source->connstr('postgres')
	],
	'<', \undef, '>', '/dev/null', '2>', \$writer_err);

# A session that only executes CALL depipe.run repeatedly. A lost connection ends it.
# Small batches make a run commit many times.
my $calls = "$scripts/calls.sql";
append_to_file($calls, "CALL depipe.run('raw.*');\n" x 5000);

sub start_runner
{
	my ($asynchronous) = @_;

	local $ENV{PGOPTIONS} = ($asynchronous ? '-c synchronous_commit=off' : '')
	  . (rand(2) < 1 ? ' -c depipe.batch_rows=20' : '');

	return IPC::Run::start(
		[
			$warehouse->installed_command('psql'), '-XAtq', '-d',
			$warehouse->connstr('postgres'), '-f', $calls
		],
		'<', '/dev/null', '>', '/dev/null', '2>', "$scripts/runner.err");
}

sub runner_pid
{
	my $pid = '';

	$warehouse->poll_query_until('postgres',
		q{SELECT count(*) = 1 FROM pg_stat_activity
		WHERE query LIKE 'CALL depipe.run%' AND pid <> pg_backend_pid()})
	  or die 'no runner';
	$pid = $warehouse->safe_psql('postgres',
		q{SELECT pid FROM pg_stat_activity WHERE query LIKE 'CALL depipe.run%'
		AND pid <> pg_backend_pid()});
	return $pid;
}

# The conditions for every committed state. Each table is copied at a time of its own; they agree as
# soon as the stream has passed the newest copy.
sub is_consistent
{
	my ($name) = @_;

	return 1 if $warehouse->safe_psql('postgres',
		q{SELECT count(*) FROM depipe.load JOIN depipe.load_state l USING (target_id) JOIN depipe.stream s USING (server_name)
		WHERE l.state = 'streaming' AND l.applied_lsn <= s.applied_lsn}) < 3;
	my $wrong = $warehouse->safe_psql(
		'postgres', q{
		SELECT string_agg(format('account %s: balance %s, booked %s', a.id, a.balance, l.sum), '; ')
		FROM raw.account a FULL JOIN (SELECT account, sum(amount) FROM raw.ledger GROUP BY 1) l
			ON l.account = a.id
		WHERE a.balance IS DISTINCT FROM coalesce(l.sum, 0)});
	return 1 if $wrong eq '';
	diag("$name: " . substr($wrong, 0, 300));
	return 0;
}

my %done = (kill => 0, stop => 0, inconsistent => 0);

foreach my $round (1 .. $rounds)
{
	my $asynchronous = $round % 2 == 0;
	my $kill = int(rand(2));
	my $moment = int(rand($round <= 4 ? 150_000 : 600_000));
	my $runner = start_runner($asynchronous);
	my $pid = runner_pid();

	note("round $round: " . ($kill ? 'SIGKILL' : 'immediate stop') . " after $moment us"
		  . ($asynchronous ? ', synchronous_commit off' : ''));
	usleep($moment);
	if ($kill)
	{
		my $offset = -s $warehouse->logfile;

		kill 'KILL', $pid;
		$done{kill}++;
		$runner->finish;
		$warehouse->wait_for_log(qr/all server processes terminated/, $offset);
		$warehouse->poll_query_until('postgres', 'SELECT true') or die 'no restart';
	}
	else
	{
		crash_restart($warehouse);
		$done{stop}++;
		$runner->finish;
	}
	$done{inconsistent}++ unless is_consistent("round $round");
}
note("$done{kill} kills, $done{stop} stops");
is($done{inconsistent}, 0, 'every committed state consists of whole source transactions');

$writers->signal('INT');
$writers->finish;
is_value($source, q{SELECT count(*) > 100 FROM ledger}, 't', 'writers wrote');
unlike($writer_err, qr/ERROR/, 'and saw no error');

ok(converge($warehouse, 'raw.*'), 'converges');
is_same($source, $warehouse, $_, "after $rounds crashes") foreach qw(account ledger bag);
ok(is_consistent('end'), 'balances are those of the ledger');
is_value($warehouse, q{SELECT count(*) FROM depipe.loads WHERE state <> 'streaming'},
	0, 'no load stopped on the way');

# The history must be true: a run with status 'succeeded' was committed with its rows, so that it
# counts no missing row. A run that was cut off may still have status 'running', without an end.
is_value($warehouse,
	q{SELECT count(*) FROM depipe.runs WHERE status NOT IN ('succeeded', 'nothing', 'running')},
	0, 'no run failed or was blocked');
is_value($warehouse,
	q{SELECT count(*) FROM depipe.runs WHERE (status = 'running') <> (finished_at IS NULL)},
	0, 'a run has an end unless it was cut off');
is_value($warehouse,
	q{SELECT sum(inserted) - sum(deleted) <= (SELECT count(*) FROM raw.ledger)
	FROM depipe.runs WHERE target = 'raw.ledger'},
	't', 'runs do not count more rows than there are');
is_value($source, q{SELECT count(*) FROM pg_replication_slots},
	1, 'one slot, however often the first copy was cut off');

# A run is cut off between a copy and the position of that copy in the stream, after a batch of
# changes that the copy had seen. They must not be applied again.

$source->safe_psql(
	'postgres', q{
	CREATE TABLE waits (v int);
	CREATE TABLE late (v int);
	ALTER TABLE waits REPLICA IDENTITY FULL;
	ALTER TABLE late REPLICA IDENTITY FULL});
$warehouse->safe_psql(
	'postgres', q{
	SELECT depipe.create_load('raw.' || t, server => 'shop', source => 'public.' || t)
	FROM unnest('{waits, late}'::text[]) t;
	CREATE FUNCTION public.wait(int) RETURNS bool STABLE LANGUAGE plpgsql
		AS 'BEGIN PERFORM pg_advisory_xact_lock_shared($1); RETURN true; END';
	CALL depipe.run('raw.waits');
	SELECT depipe.add_constraint('raw.waits', depipe.satisfies('public.wait(v)'))});
$source->safe_psql('postgres', 'INSERT INTO late SELECT 1 FROM generate_series(1, 60)');
$source->safe_psql('postgres', "INSERT INTO late VALUES ($_)") foreach 1 .. 30;
$source->safe_psql('postgres', 'INSERT INTO waits VALUES (7)');
$source->safe_psql('postgres', "INSERT INTO late VALUES ($_)") foreach 1 .. 30;

my $holder = $warehouse->background_psql('postgres');
session_ok($holder, 'SELECT pg_advisory_lock(7)');
my $runner = IPC::Run::start(
	[
		$warehouse->installed_command('psql'), '-XAtq', '-d', $warehouse->connstr('postgres'),
		'-c', 'SET depipe.batch_rows = 5', '-c', q{CALL depipe.run('raw.late')}
	],
	'<', '/dev/null', '>', '/dev/null', '2>', "$scripts/runner.err");
wait_until($warehouse,
	q{SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'advisory' AND query LIKE 'CALL%')},
	'it is between the copy and its position');
$warehouse->safe_psql('postgres',
	q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CALL depipe.run%'
	AND pid <> pg_backend_pid()});
$runner->finish;
session_ok($holder, 'SELECT pg_advisory_unlock_all()');
$holder->quit;
is($warehouse->safe_psql('postgres', q{SELECT state FROM depipe.loads WHERE target = 'raw.late'}),
	'streaming', 'the copy is there');
ok(converge($warehouse, 'raw.*'), 'converges');
is_same($source, $warehouse, $_, 'cut off after a copy') foreach qw(late waits);

done_testing();
