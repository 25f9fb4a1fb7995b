# A stream worker keeps the stream open: what it applies immediately, what it folds, who waits for
# it, and who takes over the stream for a while.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeTest;
use PostgreSQL::Test::Utils;
use Test::More;

my ($source, $warehouse) = source_and_warehouse(
	warehouse => q{
shared_preload_libraries = 'depipe'
max_worker_processes = 16
depipe.naptime = '50ms'
});

sub at_warehouse
{
	return $warehouse->safe_psql('postgres', join(';', @_));
}

# There is one connection at the source while the stream is open.
sub sender
{
	return $source->safe_psql('postgres',
		q{SELECT pid FROM pg_stat_replication WHERE state = 'streaming'});
}

# the status and reason that refresh(TARGET) returns after other statements of the same transaction
sub refresh_after
{
	my ($target, @statements) = @_;
	my $rows = at_warehouse(@statements, "SELECT 'refresh', status, reason FROM depipe.refresh('$target')", 'ROLLBACK');

	return $rows =~ /^refresh\|(.*)$/m ? $1 : $rows;
}

make_table($source, $warehouse, 'a', 'id int PRIMARY KEY, v int');
make_table($source, $warehouse, 'b', 'id int PRIMARY KEY, v int');
$source->safe_psql('postgres', 'INSERT INTO a SELECT n, n FROM generate_series(1, 100) n');
at_warehouse(q{CALL depipe.run('raw.*')});
is_same($source, $warehouse, 'a', 'the copy');
wait_until($warehouse, q{SELECT count(*) = 2 FROM depipe.live_load}, 'a worker follows');
my $begun = -s $warehouse->logfile;

# ---- one stream, and refresh waits for it

my $pid = sender();
like($pid, qr/^\d+$/, 'one stream is open');
for my $n (1 .. 20)
{
	$source->safe_psql('postgres', "UPDATE a SET v = v + 1 WHERE id = $n; INSERT INTO b VALUES ($n, $n)");
	at_warehouse(q{SELECT status FROM depipe.refresh('raw.*')});
	is_same($source, $warehouse, 'b', "change $n") if $n % 5 == 0;
}
is_same($source, $warehouse, 'a', 'after single changes');
is(sender(), $pid, 'it is still the same stream');
is_value($warehouse, q{SELECT count(*) <= 4 AND sum(inserted) = 20 FROM depipe.runs WHERE target = 'raw.b' AND strategy = 'stream'},
	't', 'batches of a minute are one run');
is_value($warehouse, q{SELECT count(*) FROM depipe.runs WHERE status = 'running'}, 0, 'no run is open');
is_value($warehouse, q{SELECT status FROM depipe.refresh('raw.a')}, 'nothing', 'nothing to wait for');

# ---- a label that comes while the stream is open

$source->safe_psql('postgres', q{CREATE TYPE mood AS ENUM ('a'); CREATE TABLE e (id int PRIMARY KEY, m mood); INSERT INTO e VALUES (1, 'a')});
at_warehouse(q{SELECT depipe.create_load('raw.e', server => 'shop', source => 'public.e')});
wait_until($warehouse, q{SELECT state = 'streaming' FROM depipe.loads WHERE target = 'raw.e'}, 'an enum');
wait_until($warehouse, q{SELECT count(*) = 3 FROM depipe.live_load}, 'it is followed');
$source->safe_psql('postgres', q{ALTER TYPE mood ADD VALUE 'b'});
$source->safe_psql('postgres', q{INSERT INTO e VALUES (2, 'b'); INSERT INTO b VALUES (50, 50)});
wait_until($warehouse, q{SELECT count(*) = 1 FROM raw.e WHERE m::text = 'b'}, 'a new label arrives');
is(state_of($warehouse, 'raw.e'), 'streaming', 'and nothing has stopped');
is_same($source, $warehouse, 'b', 'the others');
at_warehouse(q{SELECT depipe.drop_load('raw.e', drop_table => true)});
wait_until($warehouse, q{SELECT count(*) = 2 FROM depipe.live_load}, 'as before');
$pid = sender();

# ---- where waiting could never end

like(refresh_after('raw.a', 'BEGIN ISOLATION LEVEL REPEATABLE READ', 'SELECT 1'), qr/^skipped\|.*would not see/, 'repeatable read');
like(refresh_after('raw.a', 'BEGIN', 'UPDATE raw.b SET v = v'), qr/^skipped\|.*has locked raw\.b/, 'a lock on another table of the stream');
$source->safe_psql('postgres', 'CREATE TABLE c (id int PRIMARY KEY)');
like(refresh_after('raw.c', 'BEGIN', q{SELECT depipe.create_load('raw.c', server => 'shop', source => 'public.c')}),
	qr/^skipped\|.*until this transaction commits/, 'a load of this transaction');
is_value($warehouse, q{SELECT count(*) FROM depipe.loads WHERE target = 'raw.c'}, 0, 'and it was rolled back');

# ---- verify borrows the stream, and gives it back

is_value($warehouse, q{SELECT count(*) FROM depipe.verify('raw.a')}, 0, 'verify');
is_value($warehouse, q{SELECT count(*) FROM depipe.verify('raw.b')}, 0, 'verify again');
wait_until($warehouse, q{SELECT count(*) = 2 FROM depipe.live_load}, 'the worker has it back');
my $session = $warehouse->background_psql('postgres');
session_ok($session, 'BEGIN');
session_ok($session, q{SELECT count(*) FROM depipe.verify('raw.a')});
$source->safe_psql('postgres', 'INSERT INTO a VALUES (1000, 1)');
is_value($warehouse, q{SELECT count(*) FROM raw.a WHERE id = 1000}, 0, 'as long as the session has it, nobody else');
session_ok($session, 'ROLLBACK');
$session->quit;
wait_until($warehouse, q{SELECT EXISTS (SELECT FROM raw.a WHERE id = 1000)}, 'and then it goes on');

# a session that withdraws its request
my $holder = $warehouse->background_psql('postgres');
session_ok($holder, 'BEGIN');
session_ok($holder, q{SELECT count(*) FROM depipe.verify('raw.a')});
fails_like($warehouse, q{SET statement_timeout = '100ms'; SELECT depipe.detach_source('shop')}, '57014', qr/statement timeout/, 'asked in vain');
session_ok($holder, 'ROLLBACK');
$holder->quit;
$source->safe_psql('postgres', 'INSERT INTO a VALUES (1001, 1)');
wait_until($warehouse, q{SELECT EXISTS (SELECT FROM raw.a WHERE id = 1001)}, 'nobody is waited for');
my $log = slurp_file($warehouse->logfile, $begun);
unlike($log, qr/stream worker of server .* ends/, 'a worker that has lent its stream does not end');
like($log, qr/target=raw\.b status=succeeded strategy=stream/, 'what it had done is logged');
unlike($log, qr/status=running/, 'as it was recorded');

# ---- definitions change while it streams

at_warehouse(q{SELECT depipe.create_load('raw.c', server => 'shop', source => 'public.c')});
$source->safe_psql('postgres', 'INSERT INTO c VALUES (1)');
wait_until($warehouse, q{SELECT to_regclass('raw.c') IS NOT NULL}, 'a new load is copied');
wait_until($warehouse, q{SELECT EXISTS (SELECT FROM raw.c)}, 'and streams');
at_warehouse(q{SELECT depipe.pause('by hand', 'raw.a')});
$source->safe_psql('postgres', 'INSERT INTO a VALUES (1002, 1); INSERT INTO b VALUES (1002, 1)');
wait_until($warehouse, q{SELECT EXISTS (SELECT FROM raw.b WHERE id = 1002)}, 'the others go on');
is_value($warehouse, q{SELECT count(*) FROM raw.a WHERE id = 1002}, 0, 'a pause holds');
at_warehouse(q{SELECT depipe.resume('raw.a')});
wait_until($warehouse, q{SELECT EXISTS (SELECT FROM raw.a WHERE id = 1002)}, 'resume publishes what was parked');
at_warehouse(q{SELECT depipe.drop_load('raw.c', drop_table => true)});
$source->safe_psql('postgres', 'INSERT INTO c VALUES (2); INSERT INTO b VALUES (1003, 1)');
wait_until($warehouse, q{SELECT EXISTS (SELECT FROM raw.b WHERE id = 1003)}, 'a dropped load is not missed');

# ---- a gate in the stream: what is rejected waits, and is counted in runs of its own

at_warehouse(q{SELECT depipe.add_constraint('raw.b', depipe.satisfies('v < 1000'), on_violation => 'reject')});
$source->safe_psql('postgres', 'INSERT INTO b VALUES (2000, 2000); INSERT INTO a VALUES (2000, 1)');
wait_until($warehouse, q{SELECT EXISTS (SELECT FROM raw.a WHERE id = 2000)}, 'the other table');
wait_until($warehouse, q{SELECT EXISTS (SELECT FROM depipe.runs WHERE target = 'raw.b' AND status = 'blocked')}, 'rejected');
$source->safe_psql('postgres', 'UPDATE b SET v = 1 WHERE id = 2000');
wait_until($warehouse, q{SELECT EXISTS (SELECT FROM raw.b WHERE id = 2000 AND v = 1)}, 'mended at the source');
is_value($warehouse, q{SELECT count(*) FROM depipe.runs r JOIN depipe.verdicts v USING (run_id)
	WHERE r.target = 'raw.b' AND v.state = 'fail' AND r.status <> 'blocked'}, 0, 'a verdict belongs to the run that it decided');
is_same($source, $warehouse, 'a', 'at the end: a');
is_same($source, $warehouse, 'b', 'at the end: b');

# ---- a table that somebody has locked does not stop the others

my $locker = $warehouse->background_psql('postgres');
session_ok($locker, 'BEGIN');
session_ok($locker, 'LOCK raw.a IN SHARE MODE');
$source->safe_psql('postgres', 'INSERT INTO a VALUES (3000, 1)');
wait_until($warehouse, q{SELECT EXISTS (SELECT FROM depipe.runs WHERE target = 'raw.a' AND error_sqlstate = '55P03')}, 'given up for now');
$source->safe_psql('postgres', 'INSERT INTO b VALUES (3000, 1); INSERT INTO a VALUES (3001, 1)');
wait_until($warehouse, q{SELECT EXISTS (SELECT FROM raw.b WHERE id = 3000)}, 'the other table goes on');
session_ok($locker, 'ROLLBACK');
$locker->quit;
wait_until($warehouse, q{SELECT count(*) = 2 FROM raw.a WHERE id IN (3000, 3001)}, 'and it catches up');
is_same($source, $warehouse, 'a', 'after the lock');

# ---- nor does one that nobody can even read, also when the session begins anew meanwhile

$source->safe_psql('postgres', 'CREATE TABLE p (id int PRIMARY KEY, v int, note text); CREATE TABLE q (id int PRIMARY KEY)');
at_warehouse(q{SELECT depipe.create_load('raw.p', server => 'shop', source => 'public.p', columns => '{"v": "v * 10"}')});
$source->safe_psql('postgres', q{INSERT INTO p SELECT 1, 1, repeat(md5('x'), 300)});
wait_until($warehouse, q{SELECT EXISTS (SELECT FROM raw.p)}, 'one with an expression');
my $changer = $warehouse->background_psql('postgres');
session_ok($changer, 'BEGIN');
session_ok($changer, 'ALTER TABLE raw.a ADD COLUMN here text; ALTER TABLE raw.p ALTER COLUMN note SET STORAGE EXTERNAL');
$source->safe_psql('postgres', 'INSERT INTO a VALUES (4000, 1); UPDATE p SET v = 2; INSERT INTO p VALUES (2, 2); INSERT INTO b VALUES (4000, 1)');
wait_until($warehouse, q{SELECT EXISTS (SELECT FROM raw.b WHERE id = 4000)}, 'the others go on');
is_value($warehouse, q{SELECT string_agg(target || ' ' || reason, ', ' ORDER BY target) FROM depipe.loads WHERE reason IS NOT NULL},
	'raw.a another session has locked the table, raw.p another session has locked the table', 'it is said which wait');
at_warehouse(q{SELECT depipe.create_load('raw.q', server => 'shop', source => 'public.q')});
$source->safe_psql('postgres', 'INSERT INTO q VALUES (1); UPDATE a SET v = 2 WHERE id = 4000; UPDATE p SET v = 3; INSERT INTO b VALUES (4001, 1)');
wait_until($warehouse, q{SELECT EXISTS (SELECT FROM raw.q) AND EXISTS (SELECT FROM raw.b WHERE id = 4001)}, 'a new load is copied');
at_warehouse(q{SELECT depipe.resync('raw.p')});
wait_until($warehouse, q{SELECT EXISTS (SELECT FROM depipe.runs WHERE target = 'raw.p' AND status = 'failed' AND error_sqlstate = '55P03' AND strategy IS NULL)},
	'nor is a copy waited for');
$source->safe_psql('postgres', 'INSERT INTO b VALUES (4002, 1)');
wait_until($warehouse, q{SELECT EXISTS (SELECT FROM raw.b WHERE id = 4002)}, 'the stream goes on');
session_ok($changer, 'COMMIT');
$changer->quit;
wait_until($warehouse, q{SELECT EXISTS (SELECT FROM raw.a WHERE id = 4000 AND v = 2)}, 'what was parked is published');
wait_until($warehouse, q{SELECT (SELECT string_agg(concat_ws(' ', id, v, length(note)), ', ' ORDER BY id) FROM raw.p) = '1 30 9600, 2 30'}, 'computed');
is_value($warehouse, q{SELECT count(*) FROM depipe.loads WHERE reason IS NOT NULL OR state <> 'streaming'}, 0, 'nothing is left of it');
is_value($warehouse, q{SELECT count(*) FROM raw.a WHERE here IS NOT NULL}, 0, 'a column of our own is left alone');
at_warehouse('ALTER TABLE raw.a DROP COLUMN here');
is_same($source, $warehouse, 'a', 'after the change');

# ---- a column is added: readers of the table do not wait behind the worker

my $reader = $warehouse->background_psql('postgres');
session_ok($reader, 'BEGIN');
session_ok($reader, 'SELECT count(*) FROM raw.b');
$source->safe_psql('postgres', 'ALTER TABLE b ADD COLUMN w int; INSERT INTO b VALUES (5000, 1, 5)');
wait_until($warehouse, q{SELECT EXISTS (SELECT FROM depipe.status WHERE target = 'raw.b' AND reason LIKE '%a column must be added to raw.b, but another session has locked the table%')},
	'it is said');
is_value($warehouse, q{SELECT count(*) FROM raw.b WHERE id = 5000}, 0, 'another reader reads');
session_ok($reader, 'COMMIT');
$reader->quit;
wait_until($warehouse, q{SELECT EXISTS (SELECT FROM raw.b WHERE id = 5000)}, 'then it is added');
is_same($source, $warehouse, 'b', 'with its values');

# ---- the length of a column is in no message: seen by the look, before the next change

at_warehouse('ALTER TABLE raw.q ADD COLUMN n numeric(10,2)');
$source->safe_psql('postgres', 'ALTER TABLE q ADD COLUMN n numeric(10,2); INSERT INTO q VALUES (2, 1.25)');
wait_until($warehouse, q{SELECT EXISTS (SELECT FROM raw.q WHERE n = 1.25)}, 'a column with a scale');
$source->safe_psql('postgres', 'ALTER TABLE q ALTER COLUMN n TYPE numeric(10,4)');
wait_until($warehouse, q{SELECT state = 'paused' AND reason = 'column "n" of the source is now of type numeric(10,4), and was of type numeric(10,2)'
	FROM depipe.loads WHERE target = 'raw.q'}, 'another scale pauses the table');
$source->safe_psql('postgres', 'INSERT INTO q VALUES (3, 1.2345); INSERT INTO a VALUES (6000, 1)');
wait_until($warehouse, q{SELECT EXISTS (SELECT FROM raw.a WHERE id = 6000)}, 'the others go on');
is_value($warehouse, 'SELECT count(*) FROM raw.q WHERE id = 3', 0, 'nothing is rounded');
at_warehouse('ALTER TABLE raw.q ALTER COLUMN n TYPE numeric(10,4)', q{SELECT depipe.resync('raw.q')});
wait_until($warehouse, q{SELECT EXISTS (SELECT FROM raw.q WHERE n = 1.2345)}, 'and a resync brings it');

# ---- who the worker is at the source changes: seen by it before its caches know

my $mapping = 'USER MAPPING FOR CURRENT_USER SERVER shop';
my $unchanged = 0;

$source->safe_psql('postgres', 'CREATE ROLE one SUPERUSER LOGIN; CREATE ROLE two SUPERUSER LOGIN');
at_warehouse("ALTER $mapping OPTIONS (ADD user 'one')");
foreach my $user (('two', 'one') x 10)
{
	at_warehouse("ALTER $mapping OPTIONS (SET user '$user')");
	$unchanged++
	  unless $source->poll_query_until('postgres',
		"SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'walsender' AND state = 'active' AND usename = '$user'");
	last if $unchanged;
}
is($unchanged, 0, 'each change of the user mapping is followed');
at_warehouse("ALTER $mapping OPTIONS (DROP user)");
$source->safe_psql('postgres', 'INSERT INTO a VALUES (3002, 1)');
wait_until($warehouse, q{SELECT EXISTS (SELECT FROM raw.a WHERE id = 3002)}, 'and the stream goes on');

# ---- the slot of an idle source moves

my $slot = q{SELECT confirmed_flush_lsn FROM pg_replication_slots};
my $before = $source->safe_psql('postgres', $slot);
$source->safe_psql('postgres', 'CREATE DATABASE other');
$source->safe_psql('other', 'CREATE TABLE t AS SELECT n, repeat(md5(n::text), 20) AS x FROM generate_series(1, 20000) n');
wait_until($source, "SELECT ($slot) > '$before'::pg_lsn + 8 * 1024 * 1024", 'while another database writes');

$warehouse->stop;
$source->stop;
done_testing();
