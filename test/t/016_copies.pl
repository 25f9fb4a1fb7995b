# Copies beside the stream: other tables continue meanwhile. During the copy, changes happen to the
# table at its source, to its load, and to the processes. Waiting loads report what they wait for.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeTest;
use DepipeOperations;
use Test::More;

my ($source, $warehouse) = source_and_warehouse(
	source => "max_prepared_transactions = 5\n",
	warehouse => worker_settings("max_locks_per_transaction = 10\n"));

sub at_source
{
	return $source->safe_psql('postgres', join(';', @_));
}

sub at_warehouse
{
	return $warehouse->safe_psql('postgres', join(';', @_));
}

# A trigger of the target that waits while another session holds the lock: it stops the copy
# halfway.
at_warehouse(q{
	CREATE FUNCTION public.gate() RETURNS trigger LANGUAGE plpgsql
		AS 'BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NULL; END'});
my $holder = $warehouse->background_psql('postgres');

sub hold
{
	session_ok($holder, 'SELECT pg_advisory_lock(1)');
	return;
}

sub let_go
{
	session_ok($holder, 'SELECT pg_advisory_unlock_all()');
	return;
}

# The number of copies that are held.
sub held
{
	my ($count, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_until($warehouse,
		qq{SELECT count(*) = $count FROM pg_stat_activity WHERE backend_type = 'depipe copy worker' AND wait_event = 'advisory'},
		$name);
	return;
}

# A table whose copy is held.
sub make_held_table
{
	my ($name, $columns, @fill) = @_;

	at_source("CREATE TABLE public.$name ($columns)", @fill);
	at_warehouse("CREATE TABLE raw.$name ($columns)",
		"CREATE TRIGGER gate BEFORE INSERT OR UPDATE OR DELETE ON raw.$name EXECUTE FUNCTION public.gate()",
		"ALTER TABLE raw.$name ENABLE ALWAYS TRIGGER gate",
		qq{SELECT depipe.create_load('raw.$name', server => 'shop', source => 'public.$name')});
	return;
}

# A resync that has rows to write, and waits for that.
sub hold_resync
{
	my (@names) = @_;

	at_warehouse(map { "DELETE FROM raw.$_ WHERE id = (SELECT min(id) FROM raw.$_)" } @names);
	hold();
	at_warehouse(map { "SELECT depipe.resync('raw.$_')" } @names);
	return;
}

sub streams
{
	my ($target, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_until($warehouse, qq{SELECT state = 'streaming' FROM depipe.loads WHERE target = '$target'}, $name);
	return;
}

# ---- a transaction at the source that idles while the stream is made

my $first = $source->background_psql('postgres');
session_ok($first, 'BEGIN');
session_ok($first, 'CREATE TABLE idled (x int)');
my $first_xid = at_source(q{SELECT transactionid FROM pg_locks WHERE locktype = 'transactionid' AND granted AND pid <> pg_backend_pid()});
make_table($source, $warehouse, 'first', 'id int PRIMARY KEY');
wait_until($warehouse, qq{SELECT state = 'new' AND reason = 'waits for transaction $first_xid at the source' FROM depipe.status WHERE target = 'raw.first'},
	'a stream that waits for a transaction says for which');
session_ok($first, 'COMMIT');
$first->quit;
streams('raw.first', 'the stream is made when the transaction has ended');

add_marker($source, $warehouse);
arrives($source, $warehouse, 'before');

# ---- a transaction at the source that idles

my $idle = $source->background_psql('postgres');
session_ok($idle, 'BEGIN');
session_ok($idle, 'CREATE TABLE idles (x int)');
my $xid = at_source(q{SELECT transactionid FROM pg_locks WHERE locktype = 'transactionid' AND granted AND pid <> pg_backend_pid()});
make_table($source, $warehouse, 'late', 'id int PRIMARY KEY, v int');
at_source('INSERT INTO late SELECT n, n FROM generate_series(1, 10) n');
wait_until($warehouse, qq{SELECT reason = 'waits for transaction $xid at the source' FROM depipe.status WHERE target = 'raw.late'},
	'what waits for a transaction says for which');
is_value($warehouse, q{SELECT state FROM depipe.status WHERE target = 'raw.late'}, 'copying', 'its state');
is_value($warehouse, qq{SELECT reason FROM depipe.why('raw.late')}, "waits for transaction $xid at the source", 'why says so, too');
arrives($source, $warehouse, 'beside a copy that waits');
session_ok($idle, 'COMMIT');
$idle->quit;
streams('raw.late', 'the copy comes when the transaction has ended');
at_source('UPDATE late SET v = -v');
arrives($source, $warehouse, 'after it');
is_identical($source, $warehouse, 'late', 'after a long wait');

# ---- changes while a table is copied

hold();
make_held_table('held', 'id int PRIMARY KEY, v int, t text',
	'ALTER TABLE held ALTER t SET STORAGE EXTERNAL',
	q{INSERT INTO held SELECT n, n, repeat(md5(n::text), 100) FROM generate_series(1, 1000) n});
held(1, 'a copy is in its middle');
arrives($source, $warehouse, 'beside a copy');
at_source('UPDATE held SET v = v + 1 WHERE id <= 500',        # the long text is not sent
	'UPDATE held SET id = id + 10000 WHERE id BETWEEN 400 AND 410',
	'DELETE FROM held WHERE id > 950',
	'INSERT INTO held SELECT n, n FROM generate_series(2001, 2100) n',
	q{UPDATE held SET t = 'new' WHERE id % 7 = 0});
arrives($source, $warehouse, 'the stream is behind these changes');
# the copy may exceed lock_timeout meanwhile and be retried, which does not matter here
is_value($warehouse, q{SELECT state FROM depipe.loads WHERE target = 'raw.held'}, 'copying', 'and the table is still copied');
let_go();
streams('raw.held', 'it joins the stream');
is_identical($source, $warehouse, 'held', 'with all that has passed by');
at_source('UPDATE held SET v = v + 1');
arrives($source, $warehouse, 'then');
is_identical($source, $warehouse, 'held', 'and goes on with it');

# TRUNCATE, and a new column
hold_resync('held');
held(1, 'a resync is in its middle');
at_source('TRUNCATE held', q{INSERT INTO held VALUES (1, 1, 'one')},
	'ALTER TABLE held ADD COLUMN w int', 'INSERT INTO held VALUES (2, 2, NULL, 2)', 'UPDATE held SET w = 1 WHERE id = 1');
arrives($source, $warehouse, 'beside a resync');
let_go();
streams('raw.held', 'after a resync');
is_identical($source, $warehouse, 'held', 'truncated and with a new column meanwhile');

# a table without a key
hold();
make_held_table('bag', 'id int, v int', 'ALTER TABLE bag REPLICA IDENTITY FULL',
	'INSERT INTO bag SELECT n % 5 + 1, n % 3 FROM generate_series(1, 300) n');
held(1, 'a table without a key is copied');
at_source('INSERT INTO bag VALUES (1, 1), (1, 1)', 'DELETE FROM bag WHERE ctid IN (SELECT ctid FROM bag WHERE id = 2 LIMIT 7)',
	'UPDATE bag SET v = 9 WHERE ctid IN (SELECT ctid FROM bag WHERE id = 3 LIMIT 5)');
arrives($source, $warehouse, 'beside it');
let_go();
streams('raw.bag', 'the table without a key');
is_identical($source, $warehouse, 'bag', 'each change once');

# ---- a table that refers to one that goes on

make_table($source, $warehouse, 'parent', 'id int PRIMARY KEY');
at_source('INSERT INTO parent SELECT n FROM generate_series(1, 100) n');
arrives($source, $warehouse, 'parents');
streams('raw.parent', 'parents');
hold();
make_held_table('child', 'id int PRIMARY KEY, parent int', 'INSERT INTO child SELECT n, n FROM generate_series(1, 100) n');
at_warehouse(q{SELECT depipe.add_constraint('raw.child', depipe.relationships('parent', 'raw.parent', 'id'))});
held(1, 'children are copied');
at_source('BEGIN; DELETE FROM child WHERE parent <= 50; DELETE FROM parent WHERE id <= 50; COMMIT',
	'BEGIN; INSERT INTO parent VALUES (200); INSERT INTO child VALUES (200, 200); COMMIT');
arrives($source, $warehouse, 'parents have gone on');
let_go();
streams('raw.child', 'children join');
is_identical($source, $warehouse, 'child', 'no orphan for a moment opens the breaker');
is(breaker_of($warehouse, 'raw.child'), 'closed', 'it is closed');
hold_resync('child');
at_source('INSERT INTO child VALUES (300, 300)');
held(1, 'children are copied again');
let_go();
wait_until($warehouse, q{SELECT state = 'open' FROM depipe.breakers WHERE target = 'raw.child'}, 'an orphan that stays does');
at_source('DELETE FROM child WHERE id = 300');

# ---- several at once, and what ends in the middle

hold_resync(qw(held bag));
$source->safe_psql('postgres', 'INSERT INTO held SELECT n, n FROM generate_series(10, 5000) n; INSERT INTO bag SELECT 1, n FROM generate_series(1, 5000) n');
wait_until($warehouse, q{SELECT count(*) >= 1 FROM pg_stat_activity WHERE backend_type = 'depipe copy worker' AND wait_event = 'advisory'},
	'resyncs are in their middle');
my $offset = log_position($warehouse);
my ($pid) = worker_pids($warehouse, 'copy worker', q{wait_event = 'advisory'});
kill 'KILL', $pid;
$warehouse->wait_for_log(qr/all server processes terminated/, $offset);
$warehouse->poll_query_until('postgres', 'SELECT true');
$holder = $warehouse->background_psql('postgres');
streams('raw.held', 'a copy after SIGKILL');
streams('raw.bag', 'the other one');
at_source('INSERT INTO bag VALUES (4, 4)', 'DELETE FROM held WHERE id % 2 = 0');
arrives($source, $warehouse, 'after SIGKILL');
is_identical($source, $warehouse, $_, 'after SIGKILL') foreach qw(held bag);

foreach my $server ('source', 'warehouse')
{
	hold_resync('bag');
	held(1, "a copy before the $server stops");
	at_source('INSERT INTO bag SELECT 2, n FROM generate_series(1, 10) n');
	crash_restart($server eq 'source' ? $source : $warehouse);
	$holder = $warehouse->background_psql('postgres') if $server eq 'warehouse';
	at_source('DELETE FROM bag WHERE v = 9');
	let_go() if $server eq 'source';
	streams('raw.bag', "a copy after the $server has stopped");
	arrives($source, $warehouse, "after the $server has stopped");
	is_identical($source, $warehouse, 'bag', "after the $server has stopped");
}

# ---- who changes the load meanwhile

hold_resync('bag');
held(1, 'a copy before a pause');
at_warehouse(q{SELECT depipe.pause('lunch', 'raw.bag')});
at_source('INSERT INTO bag VALUES (5, 5)');
arrives($source, $warehouse, 'beside a pause');
let_go();
at_warehouse(q{SELECT depipe.resume('raw.bag')});
streams('raw.bag', 'resumed');
arrives($source, $warehouse, 'resumed');
is_identical($source, $warehouse, 'bag', 'after a pause in the middle of the copy');

hold_resync('bag');
held(1, 'a copy before a resync');
at_warehouse(q{SELECT depipe.resync('raw.bag')});
at_source('INSERT INTO bag VALUES (5, 6)');
let_go();
streams('raw.bag', 'resynced twice');
arrives($source, $warehouse, 'resynced twice');
is_identical($source, $warehouse, 'bag', 'after a resync in the middle of the copy');

hold_resync('bag');
held(1, 'a copy before the breaker is opened');
at_warehouse(q{SELECT depipe.trip('raw.bag', 'by hand')});
let_go();
arrives($source, $warehouse, 'beside an open breaker');
at_warehouse(q{SELECT depipe.reset('raw.bag', 'again')});
at_source('INSERT INTO bag VALUES (5, 7)');
streams('raw.bag', 'closed again');
arrives($source, $warehouse, 'closed again');
wait_until($warehouse, q{SELECT state = 'streaming' FROM depipe.status WHERE target = 'raw.bag'}, 'nothing is held');
is_identical($source, $warehouse, 'bag', 'after a breaker opened in the middle of the copy');

hold_resync('bag');
held(1, 'a copy before the load is dropped');
my $dropper = $warehouse->background_psql('postgres');
$dropper->query_until(qr/begun/, "\\echo begun\nSELECT depipe.drop_load('raw.bag');\n");
let_go();
wait_until($warehouse, q{SELECT NOT EXISTS (SELECT FROM depipe.loads WHERE target = 'raw.bag')}, 'the load is dropped');
$dropper->quit;
arrives($source, $warehouse, 'without it');

# ---- a row that others refer to, and that comes while these are copied

make_table($source, $warehouse, 'referred', 'id int PRIMARY KEY');
at_source('INSERT INTO referred VALUES (1)');
streams('raw.referred', 'a table that others refer to');
hold();
at_source('CREATE TABLE referring (id int PRIMARY KEY, ref int)', 'INSERT INTO referring VALUES (1, 1), (2, 2), (3, 3)');
at_warehouse('CREATE TABLE raw.referring (id int PRIMARY KEY, ref int)',
	'CREATE TRIGGER gate BEFORE INSERT OR UPDATE OR DELETE ON raw.referring EXECUTE FUNCTION public.gate()',
	'ALTER TABLE raw.referring ENABLE ALWAYS TRIGGER gate',
	q{SELECT depipe.add_constraint('raw.referring', depipe.relationships('ref', 'raw.referred', 'id'), name => 'referred', on_violation => 'quarantine')},
	q{SELECT depipe.create_load('raw.referring', server => 'shop', source => 'public.referring')});
held(1, 'rows that refer to others are copied, and judged');
at_source('INSERT INTO referred VALUES (2)');
arrives($source, $warehouse, 'what one of them refers to');
let_go();
streams('raw.referring', 'they are copied');
wait_until($warehouse, q{SELECT string_agg(id::text, ' ' ORDER BY id) = '1 2' FROM raw.referring}, 'the row is let in');
is_value($warehouse, 'SELECT string_agg(id::text, $$ $$) FROM depipe.quarantined(NULL::raw.referring)', '3', 'one that refers to nothing is not');

# ---- tables that refer to each other

at_source('CREATE TABLE boss (id int PRIMARY KEY, best int)', 'CREATE TABLE worker (id int PRIMARY KEY, boss_id int, mate int)',
	'INSERT INTO boss SELECT n, 3 * n FROM generate_series(1, 500) n', 'INSERT INTO worker SELECT n, (n + 2) / 3, n % 1500 + 1 FROM generate_series(1, 1500) n');
at_warehouse('CREATE TABLE raw.boss (id int PRIMARY KEY, best int)',
	'CREATE TABLE raw.worker (id int PRIMARY KEY, boss_id int REFERENCES raw.boss, mate int REFERENCES raw.worker)',
	'ALTER TABLE raw.boss ADD FOREIGN KEY (best) REFERENCES raw.worker');
at_warehouse(map { "SELECT depipe.create_load('raw.$_', server => 'shop', source => 'public.$_')" } qw(worker boss));
streams("raw.$_", 'a cycle of foreign keys') foreach qw(boss worker);
at_source('BEGIN', 'INSERT INTO boss VALUES (501, 1501)', 'INSERT INTO worker VALUES (1501, 501, 1)', 'UPDATE boss SET best = 1501 WHERE id = 1',
	'DELETE FROM worker WHERE id = 1500', 'UPDATE worker SET mate = 1 WHERE mate = 1500', 'UPDATE boss SET best = NULL WHERE best = 1500', 'COMMIT');
arrives($source, $warehouse, 'a cycle of foreign keys');
is_identical($source, $warehouse, $_, 'a cycle of foreign keys') foreach qw(boss worker);
at_warehouse(q{SELECT depipe.resync('raw.boss')});
at_source('INSERT INTO boss VALUES (502, 1501)', 'INSERT INTO worker VALUES (1502, 502, 1502)');
streams('raw.boss', 'one of a cycle copied again');
arrives($source, $warehouse, 'one of a cycle copied again');
wait_until($warehouse, q{SELECT count(*) = 0 FROM depipe.breakers WHERE parked > 0}, 'rows that refer to it are not held for long');
is_identical($source, $warehouse, $_, 'one of a cycle copied again') foreach qw(boss worker);

# ---- a partition that comes with rows: a refresh by hand does not say that all is there before it is known

at_source('CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id)', 'CREATE TABLE parts_0 PARTITION OF parts FOR VALUES FROM (0) TO (10)',
	'INSERT INTO parts VALUES (1)');
at_warehouse(q{SELECT depipe.create_load('raw.parts', server => 'shop', source => 'public.parts')});
streams('raw.parts', 'a table with partitions');
foreach my $n (1 .. 4)
{
	at_source("CREATE TABLE parts_$n (id int PRIMARY KEY)", "INSERT INTO parts_$n VALUES (${n}1)",
		"ALTER TABLE parts ATTACH PARTITION parts_$n FOR VALUES FROM (${n}0) TO (${n}9)");
	refresh($warehouse, 'raw.parts');
	is(state_of($warehouse, 'raw.parts'), 'needs_resync', "partition $n: a refresh by hand says what is missing");
	at_warehouse(q{SELECT depipe.resync('raw.parts')});
	streams('raw.parts', "partition $n: copied again");
	is_identical($source, $warehouse, 'parts', "partition $n");
}

# a worker that exits before its look: the next one makes it
my $follower = at_warehouse('SELECT pid FROM depipe.stat_streams');
kill('STOP', $follower) or die "worker $follower: $!";
my $waiting = $warehouse->background_psql('postgres');
$waiting->query_until(qr/begun/, "\\echo begun\nSELECT 'looked ' || status FROM depipe.refresh('raw.parts');\n\\echo ended\n");
wait_until($warehouse, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE '%looked%depipe.refresh%' AND wait_event_type = 'Extension' AND pid <> pg_backend_pid()},
	'a refresh waits for a worker');
kill('TERM', $follower);
kill('CONT', $follower);
like($waiting->query_until(qr/ended/, ''), qr/looked (?:nothing|succeeded)/, 'a worker ends before it has looked');
$waiting->quit;

# ---- more tables than one transaction could lock

at_source(q{SELECT format('CREATE TABLE many%s (id int PRIMARY KEY, t text); INSERT INTO many%s VALUES (%s, %s)', n, n, n, n)
	FROM generate_series(1, 300) n \gexec});
at_warehouse(q{SELECT count(depipe.create_load('raw.many' || n, server => 'shop', source => 'public.many' || n)) FROM generate_series(1, 300) n});
wait_until($warehouse, q{SELECT count(*) = 300 FROM depipe.loads WHERE target LIKE 'raw.many%' AND state = 'streaming'},
	'many tables are copied');
at_source('UPDATE many300 SET t = 300::text', q{INSERT INTO many7 VALUES (8, 'eight')});
arrives($source, $warehouse, 'after many');
is_identical($source, $warehouse, $_, 'after many') foreach qw(many7 many300);

is_value($source, q{SELECT count(*) FROM pg_replication_slots WHERE temporary}, 0, 'no slot of a copy is left');
is_value($warehouse, q{SELECT count(*) FROM depipe.run WHERE status = 'running'}, 0, 'no run is left open');

done_testing();
