# Kills at chosen moments of refreshes and captures, by SIGKILL of the session and by an immediate stop of the server: while
# a target is being written, after it was written and before its frontier is recorded, between two transforms of a slice,
# before the commit, and while changes are captured. Then at random moments, which include the rotation of change tables.
# After each restart the next refresh says why it compares, all targets equal their queries, and the refresh after it works
# on changes again. At the end a standby is promoted.

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

my $seed = seed();
my $node = PostgreSQL::Test::Cluster->new('warehouse');
$node->init(allows_streaming => 1, extra => [ '--no-locale', '--encoding=UTF8' ]);
$node->append_conf('postgresql.conf', "restart_after_crash = on\nmax_prepared_transactions = 5\nautovacuum = off\n");
$node->start;

# Each strategy on changes has a transform; z_top reads two of them.
my %query = (
	linear => 'SELECT id, v FROM k.a WHERE v % 3 = 0',
	joined => 'SELECT a.id, b.w FROM k.a JOIN k.b ON a.g = b.g',
	sums => 'SELECT g, count(*) AS n, sum(v) AS v FROM k.a GROUP BY g',
	hidden => 'SELECT g, round(avg(v), 2) AS mean FROM k.a GROUP BY g HAVING count(*) > 1',
	windowed => 'SELECT id, g, rank() OVER (PARTITION BY g ORDER BY v) AS r FROM k.a',
	z_top => 'SELECT s.g, s.n, count(w.id) AS ranked FROM k.sums s LEFT JOIN k.windowed w USING (g) GROUP BY 1, 2');
my $differences = join(' UNION ALL ', map { "SELECT '$_' WHERE EXISTS (($query{$_}) EXCEPT ALL TABLE k.$_)"
	. " OR EXISTS (TABLE k.$_ EXCEPT ALL ($query{$_}))" } sort keys %query);
my $refresh = q{SELECT string_agg(DISTINCT coalesce(reason, status), ' ' ORDER BY coalesce(reason, status)) FROM depipe.refresh('k.*')};

sub value { return $node->safe_psql('postgres', $_[0]); }

value(<<'SQL');
CREATE EXTENSION depipe;
CREATE SCHEMA k;
CREATE TABLE k.a (id integer PRIMARY KEY, g integer, v integer NOT NULL);
CREATE TABLE k.b (g integer PRIMARY KEY, w integer NOT NULL);
INSERT INTO k.a SELECT i, i % 10, i FROM generate_series(1, 1000) i;
INSERT INTO k.b SELECT i, i FROM generate_series(0, 9) i;
ANALYZE k.a, k.b;
CREATE FUNCTION k.wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_catalog.pg_advisory_xact_lock_shared(TG_ARGV[0]::integer); RETURN NULL; END';
SQL
value("SELECT depipe.create_transform('k.$_', '$query{$_}', key => '{}', mode => 'incremental')") foreach sort keys %query;
# waits: in the apply of a target that has written its rows, in that of the last one of the slice, and of a writer after
# its changes were captured
value("CREATE TRIGGER z_wait AFTER INSERT OR UPDATE OR DELETE ON k.$_->[0] EXECUTE FUNCTION k.wait($_->[1]); ALTER TABLE k.$_->[0] ENABLE ALWAYS TRIGGER z_wait")
  foreach [ sums => 1 ], [ z_top => 2 ], [ a => 3 ];
value($refresh);
is(value($differences), '', 'all targets are their queries');

my $turn = 0;

sub change
{
	my $n = ++$turn;

	value("UPDATE k.a SET v = v + 1, g = (g + 1) % 10 WHERE id % 50 = $n % 50; DELETE FROM k.a WHERE id = $n; INSERT INTO k.a VALUES (2000 + $n, $n % 10, $n);"
		. " UPDATE k.b SET w = w + 1 WHERE g = $n % 10");
	return;
}

sub restarted
{
	$node->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()') or die 'the server did not come back';
	return;
}

# After the restart: a reason, exact, and then changes again.
sub recovers
{
	my ($name, $reason) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	change();
	like(value($refresh), $reason, "$name: the refresh says why");
	is(value($differences), '', "$name: exact");
	change();
	like(value($refresh), qr/^(nothing )?succeeded$/, "$name: then on changes");
	is(value(q{SELECT count(*) FROM depipe.runs WHERE run_id > (SELECT max(run_id) - 6 FROM depipe.runs) AND strategy LIKE 'full%'}), 0, "$name: only on them");
	is(value($differences), '', "$name: exact again");
	return;
}

# Run statements in a session until they wait for a lock that another one holds; then end it all.
sub killed_at
{
	my ($name, $lock, $how, $statements) = @_;
	my $holder = $node->background_psql('postgres', on_error_stop => 0);
	my $victim = $node->background_psql('postgres', on_error_stop => 0);
	my $pid = $victim->query('SELECT pg_backend_pid()');

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$holder->query("SELECT pg_advisory_lock($lock)") if $lock;
	$victim->query_until(qr/begun/, "\\echo begun\n$statements\n");
	ok($node->poll_query_until('postgres', "SELECT " . ($lock ? "wait_event = 'advisory'" : "state = 'idle in transaction'") . " FROM pg_stat_activity WHERE pid = $pid"), "$name: is there");
	if ($how eq 'stop') { $node->stop('immediate'); $node->start; }
	else
	{
		my $position = -s $node->logfile;

		kill 'KILL', $pid;
		$node->wait_for_log(qr/terminated by signal 9/, $position);
		$node->wait_for_log(qr/database system is ready to accept connections/, $position);
	}
	foreach ($holder, $victim) { eval { $_->{run}->kill_kill(grace => 0); }; }
	restarted();
	recovers($name, qr/changes_lost/);
	return;
}

foreach my $how ('kill', 'stop')
{
	change();
	killed_at("$how while a target is written", 1, $how, q{SELECT count(*) FROM depipe.refresh('k.*');});
	change();
	killed_at("$how between the transforms of a slice", 2, $how, q{SELECT count(*) FROM depipe.refresh('k.*');});
	change();
	killed_at("$how before the commit", 0, $how, q{BEGIN; SELECT count(*) FROM depipe.refresh('k.*');});
	change();
	killed_at("$how after a subtransaction", 0, $how, q{BEGIN; SAVEPOINT s; SELECT count(*) FROM depipe.refresh('k.*'); RELEASE s; UPDATE k.b SET w = w + 1;});
	killed_at("$how while changes are captured", 3, $how, q{UPDATE k.a SET v = v + 1 WHERE id < 100;});
}

# a prepared writer, whose captured changes do not survive
value(q{BEGIN; UPDATE k.b SET w = w + 5 WHERE g = 3; PREPARE TRANSACTION 'kills'});
change();
$node->stop('immediate');
$node->start;
change();
like(value($refresh), qr/changes_lost|capture_waits/, 'beside a prepared transaction: the refresh says why');
is(value($differences), '', 'beside a prepared transaction: exact');
value(q{COMMIT PREPARED 'kills'});
recovers('after the end of the prepared transaction', qr/succeeded|not_captured|capture_waits|changes_lost/);

# ---- random moments ----
foreach my $round (1 .. how_many(2, 20))
{
	my $bench = start_pgbench($node, [ '-c', 3, '-T', 60 ],
		"\\set n random(1, 1900)\nUPDATE k.a SET v = v + 1 WHERE id = :n;\nINSERT INTO k.a VALUES (:n, :n % 10, :n) ON CONFLICT (id) DO UPDATE SET v = a.v + 1;\n" => 4,
		"\\set n random(1, 3000)\nUPDATE k.a SET g = (g + 1) % 10 WHERE id % 100 = :n % 100;\n" => 1,
		"SELECT count(*) FROM depipe.refresh('k.*');\n" => 4);

	ok($node->poll_query_until('postgres', q{SELECT count(*) > 12 FROM depipe.runs WHERE status = 'succeeded' AND finished_at > (SELECT pg_postmaster_start_time())}),
		"round $round: refreshes beside writers");
	usleep(int(rand(300_000)));
	$node->stop('immediate');
	eval { $bench->{handle}->finish; };
	$node->start;
	recovers("round $round", qr/changes_lost/);
}

# ---- a standby becomes the server ----
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
change();
$node->wait_for_catchup($standby, 'replay');
$node->stop('immediate');
$standby->promote;
$node = $standby;
recovers('a promoted standby', qr/changes_lost|other_instance/);

unlike(slurp_file($node->logfile), qr/TRAP|PANIC|signal 11/, 'no assertion has failed');
$node->stop;
done_testing();
