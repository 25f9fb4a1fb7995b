# Kills under load: every kind of worker by SIGKILL (the postmaster then restarts all processes),
# both servers stopped immediately, workers' sessions terminated, at random moments, with
# synchronous_commit off on both sides in half of the rounds. Every state that readers see consists
# of whole source transactions, each applied once. At the end everything is exact, and the history
# of runs reports the kills.
#
# DEPIPE_TEST_ROUNDS: number of rounds (default 50, or 16). DEPIPE_SEED repeats the choices of a
# run.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeTest;
use DepipeOperations;
use List::Util qw(shuffle);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $rounds = $ENV{DEPIPE_TEST_ROUNDS} || how_many(16, 50);
my $seed = seed();
my ($source, $warehouse) = source_and_warehouse(warehouse => worker_settings());

sub at_source
{
	return $source->safe_psql('postgres', join(';', @_));
}

sub at_warehouse
{
	return $warehouse->safe_psql('postgres', join(';', @_));
}

# Money moves between accounts and every move is booked. goods have no key. A shelf is cleared and
# filled again with 20 rows of one number. A note is a text that is stored out of line and rarely
# changes.
at_source(
	'CREATE TABLE account (id int PRIMARY KEY, balance bigint NOT NULL, note text)',
	'ALTER TABLE account ALTER note SET STORAGE EXTERNAL',
	'INSERT INTO account SELECT n, 0, repeat(md5(n::text), 90) FROM generate_series(1, 300) n',
	'CREATE TABLE ledger (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, account int NOT NULL, amount bigint NOT NULL)',
	'CREATE TABLE goods (kind int, amount int)',
	'ALTER TABLE goods REPLICA IDENTITY FULL',
	'INSERT INTO goods SELECT n % 5, n % 3 FROM generate_series(1, 1000) n',
	'CREATE TABLE shelf (number int, place int, PRIMARY KEY (number, place))');

my %scripts = (
	q{
\set a random(1, 300)
\set b random(1, 300)
\set amount random(1, 1000)
BEGIN;
UPDATE account SET balance = balance - :amount WHERE id = least(:a, :b);
UPDATE account SET balance = balance + :amount WHERE id = greatest(:a, :b);
INSERT INTO ledger (account, amount) VALUES (least(:a, :b), - :amount), (greatest(:a, :b), :amount);
COMMIT;
} => 30,
	q{
\set kind random(0, 4)
INSERT INTO goods VALUES (:kind, 1), (:kind, 1), (:kind, 2);
UPDATE goods SET amount = amount + 1 WHERE ctid = (SELECT ctid FROM goods WHERE kind = :kind LIMIT 1);
DELETE FROM goods WHERE ctid IN (SELECT ctid FROM goods ORDER BY amount DESC LIMIT 3);
} => 8,
	q{
\set id random(1, 300)
UPDATE account SET note = CASE WHEN random() < 0.5 THEN note || 'x' ELSE 'short' END WHERE id = :id;
} => 4,
	q{
\set number random(1, 1000000)
BEGIN;
TRUNCATE shelf;
INSERT INTO shelf SELECT :number, n FROM generate_series(1, 20) n;
COMMIT;
} => 1);
my @tables = qw(account ledger goods shelf);
my %mart = (
	balance => 'SELECT account, sum(amount) AS balance, count(*) AS moves FROM raw.ledger GROUP BY account',
	total => 'SELECT (SELECT sum(balance) FROM raw.account) AS balance, (SELECT sum(amount) FROM raw.ledger) AS booked',
	goods => 'SELECT kind, amount, count(*) AS n FROM raw.goods GROUP BY kind, amount');

sub write_at_source
{
	return start_pgbench($source, [ '-c', 3, '-R', 200, '-T', 900 ], %scripts);
}

add_marker($source, $warehouse);
at_warehouse(
	(map { "SELECT depipe.create_load('raw.$_', server => 'shop', source => 'public.$_', target_lag => '100 ms')" } @tables));

# ---- what happens

sub set_commit
{
	my ($setting) = @_;

	foreach my $node ($source, $warehouse)
	{
		$node->safe_psql('postgres', $_)
		  foreach "ALTER SYSTEM SET synchronous_commit = $setting", 'SELECT pg_reload_conf()';
	}
	return;
}

# Kill a worker; its server restarts all processes. Returns whether the worker existed long enough.
sub kill_worker
{
	my ($type) = @_;
	my $position = log_position($warehouse);
	my $pid = wait_for_worker($warehouse, $type) or die "there is no $type";

	return 0 unless kill 'KILL', $pid;
	foreach my $attempt (1 .. 300)
	{
		last if log_since($warehouse, $position) =~ /PID $pid\) was terminated by signal 9/;
		return 0 if $attempt == 300; # it had ended by itself
		usleep(10_000);
	}
	$warehouse->wait_for_log(qr/database system is ready to accept connections/, $position);
	return 1;
}

sub terminate_workers
{
	my ($function) = @_;

	at_warehouse(qq{SELECT $function(pid) FROM pg_stat_activity WHERE backend_type LIKE 'depipe%'});
	return 1;
}

my $writers;

sub stop_source
{
	$source->stop('immediate');
	$writers->{handle}->finish;
	$source->start;
	$writers = write_at_source();
	return 1;
}

my %action = (
	'launcher killed' => [ 2, sub { kill_worker('launcher') } ],
	'scheduler killed' => [ 3, sub { kill_worker('scheduler') } ],
	'stream worker killed' => [ 5, sub { kill_worker('stream worker') } ],
	'run worker killed' => [ 4, sub { kill_worker('run worker') } ],
	'warehouse stopped' => [ 5, sub { crash_restart($warehouse); 1 } ],
	'source stopped' => [ 4, \&stop_source ],
	'workers terminated' => [ 1, sub { terminate_workers('pg_terminate_backend') } ],
	'workers cancelled' => [ 1, sub { terminate_workers('pg_cancel_backend') } ]);
my @deck = map { ($_) x $action{$_}[0] } sort keys %action;
my @each_once = shuffle(sort keys %action);

# The conditions for every state that a reader sees, once the tables are copied.
sub is_consistent
{
	my ($name) = @_;
	my $wrong = at_warehouse(q{
		SELECT string_agg(format('account %s: balance %s, booked %s', a.id, a.balance, l.sum), '; ')
		FROM raw.account a FULL JOIN (SELECT account, sum(amount) FROM raw.ledger GROUP BY 1) l
			ON l.account = a.id
		WHERE a.balance IS DISTINCT FROM coalesce(l.sum, 0)
		UNION ALL
		SELECT format('%s numbers on the shelf, %s places', count(DISTINCT number), count(*))
		FROM raw.shelf HAVING count(DISTINCT number) > 1 OR count(*) NOT IN (0, 20)}) =~ s/^\s+|\s+$//gr;

	return 1 if $wrong eq '';
	diag("$name: " . substr($wrong, 0, 300));
	return 0;
}

sub booked
{
	return at_warehouse('SELECT COALESCE(max(id), 0) FROM raw.ledger');
}

# ---- the first copy

$writers = write_at_source();
my %done;
my $inconsistent = 0;

sub one_round
{
	my ($round, $what, $moment) = @_;
	my $asynchronous = $round % 2 == 0;

	set_commit($asynchronous ? 'off' : 'on');
	note("round $round: $what after $moment us" . ($asynchronous ? ', synchronous_commit off' : ''));
	usleep($moment);
	$done{$what}++ if $action{$what}[1]->();
	return;
}

one_round($_, ('stream worker killed', 'warehouse stopped', 'source stopped')[ $_ % 3 ], int(rand(100_000))) foreach 1 .. 4;
wait_until($warehouse, q{SELECT count(*) = 5 FROM depipe.loads WHERE state = 'streaming'}, 'the first copy ends');
at_warehouse('CREATE SCHEMA mart',
	map { "SELECT depipe.create_transform('mart.$_', '$mart{$_}', target_lag => '200 ms', populate => false)" } sort keys %mart);

# ---- rounds: each begins when something was published since the one before

my $stuck = 0;

foreach my $round (5 .. $rounds)
{
	my $what = shift(@each_once) // $deck[ int(rand(@deck)) ];

	one_round($round, $what, int(rand(300_000)));
	my $before = booked();
	unless ($warehouse->poll_query_until('postgres', "SELECT max(id) > $before FROM raw.ledger"))
	{
		$stuck++;
		diag("no progress after round $round, $what: "
			  . at_warehouse('SELECT target, state, reason FROM depipe.status; SELECT * FROM depipe.attempt'));
		last;
	}
	$inconsistent++ unless is_consistent("after round $round, $what");
}
set_commit('on');
note(join(', ', map { "$_ $done{$_} times" } sort keys %done));
is($stuck, 0, 'something is published after every round');
is($inconsistent, 0, 'every state consists of whole source transactions');
cmp_ok(scalar(keys %done), '>=', 5, 'many kinds of kills');

# ---- the source may forget what is published, also while it never comes to rest

my $written = at_source('SELECT pg_current_wal_lsn()');
wait_until($source, "SELECT confirmed_flush_lsn >= '$written' FROM pg_replication_slots", 'the slot advances under load');

# ---- the end

finish_pgbench($writers, 'after the last round', stop => 1);
cmp_ok(at_source('SELECT count(*) FROM ledger'), '>', 100, 'writers wrote');
arrives($source, $warehouse, 'the end');
is_same($source, $warehouse, $_, 'the end') foreach @tables;
ok(is_consistent('the end'), 'balances are those of the ledger');
foreach my $name (sort keys %mart)
{
	wait_until($warehouse, "SELECT NOT EXISTS ((TABLE mart.$name EXCEPT ALL ($mart{$name})) UNION ALL (($mart{$name}) EXCEPT ALL TABLE mart.$name))",
		"mart.$name is its query");
}
is_value($warehouse, q{SELECT count(*) FROM depipe.loads WHERE state <> 'streaming'}, 0, 'no load stopped on the way');
is_value($source, 'SELECT count(*) FROM pg_replication_slots', 1, 'one slot');

# ---- the history

wait_until($warehouse, q{SELECT NOT EXISTS (SELECT FROM depipe.runs WHERE status = 'running' AND (finished_at IS NOT NULL
	OR pid NOT IN (SELECT pid FROM pg_stat_activity)))}, 'what says that it runs, runs');
is_value($warehouse, q{SELECT count(*) FROM depipe.runs WHERE status <> 'running' AND finished_at IS NULL}, 0, 'what has ended has an end');
is_value($warehouse, q{SELECT count(*) FROM depipe.runs WHERE status = 'failed' AND reason = 'crashed'
	AND (error_sqlstate IS DISTINCT FROM '57P02' OR finished_at < started_at)}, 0, 'crashed runs say so');
is_value($warehouse, q{SELECT count(*) FROM (SELECT target, pid, started_at FROM depipe.runs
	WHERE reason = 'crashed' GROUP BY 1, 2, 3 HAVING count(*) > 1) x}, 0, 'each crash is told once');
my $kills = 0;
$kills += $_ foreach values %done;
cmp_ok(at_warehouse(q{SELECT max(n) FROM (SELECT count(*) AS n FROM depipe.runs WHERE reason = 'crashed' GROUP BY target) x}), '<=',
	$kills, 'no target crashed more often than there were kills');
is_value($warehouse, q{SELECT sum(inserted) - sum(deleted) <= (SELECT count(*) FROM raw.ledger) FROM depipe.runs WHERE target = 'raw.ledger'},
	't', 'runs do not count more rows than there are');
unlike(slurp_file($_->logfile), qr/TRAP|PANIC/, 'no assertion has failed: ' . $_->name) foreach $source, $warehouse;

done_testing();
