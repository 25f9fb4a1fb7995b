# The limits of one large transaction, and of a large park: memory within depipe.batch_memory, and
# no time of other tables. None of the figures is a time.
#
# DEPIPE_TEST_ROWS: number of rows of the transaction, and of the park (default 150000).

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeTest;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'there is no /proc' unless -e "/proc/$$/status";

my $rows = $ENV{DEPIPE_TEST_ROWS} || 150_000;
my ($source, $warehouse) = source_and_warehouse(
	warehouse => "shared_buffers = 16MB\nmax_wal_size = 4GB\nautovacuum = off\n", source => "max_wal_size = 4GB\n");

# The maximum private memory of a session's backend, in kB.
sub peak
{
	my ($pid) = @_;
	my $status = slurp_file("/proc/$pid/status");
	my ($most) = $status =~ /^VmHWM:\s+(\d+) kB/m;
	my ($shared) = $status =~ /^RssShmem:\s+(\d+) kB/m;

	return $most - $shared;
}

# A run after a change, in a new session: how much more memory it takes than a run with nothing to
# do.
sub memory_of_run
{
	my ($name, $change) = @_;
	my $session = $warehouse->background_psql('postgres');
	my $pid = session_ok($session, 'SELECT pg_backend_pid()');
	my $before;

	session_ok($session, q{SET depipe.batch_memory = '4MB'; SET depipe.batch_rows = 100000000});
	session_ok($session, q{CALL depipe.run('raw.others')});
	$before = peak($pid);
	$change->();
	session_ok($session, q{CALL depipe.run('raw.items')});
	my $taken = peak($pid) - $before;
	diag("$name: $taken kB for $rows rows");
	$session->quit;
	return $taken;
}

# The limit for memory that is held for other reasons than this table.
my $most = 32 * 1024;

make_table($source, $warehouse, 'items', 'id int PRIMARY KEY, n int, note text, body text');
make_table($source, $warehouse, 'others', 'id int PRIMARY KEY, n int');
$warehouse->safe_psql('postgres', q{CALL depipe.run('raw.*')});

# ---- one transaction

cmp_ok(memory_of_run('one transaction', sub {
		$source->safe_psql('postgres', "INSERT INTO items SELECT n, n, 'note', repeat(md5(n::text), 3) FROM generate_series(1, $rows) n");
	}), '<', $most, 'a transaction that is larger than memory');
is_value($warehouse, 'SELECT count(*), sum(n) FROM raw.items', $rows . '|' . $rows * ($rows + 1) / 2, 'it is there');

# ---- the park

$warehouse->safe_psql('postgres', q{SELECT depipe.pause('by hand', 'raw.items')});
$source->safe_psql('postgres', 'UPDATE items SET n = -n');
my ($status) = $warehouse->psql('postgres', q{CALL depipe.run('raw.items')});
isnt($status, 0, 'a paused table is not published');
is_value($warehouse, q{SELECT parked FROM depipe.loads WHERE target = 'raw.items'}, $rows, 'it is parked');

# publishing another table does not read the park
sub looks
{
	my ($session) = @_;

	session_ok($session, 'SELECT pg_stat_force_next_flush()');
	return session_ok($session, q{SELECT COALESCE(seq_scan, 0) + COALESCE(idx_scan, 0) FROM pg_stat_all_tables
		WHERE relid = 'depipe.parked_item'::regclass});
}

my $session = $warehouse->background_psql('postgres');
session_ok($session, q{CALL depipe.run('raw.others')});
my $before = looks($session);
for my $n (1 .. 3)
{
	$source->safe_psql('postgres', "INSERT INTO others VALUES ($n, $n)");
	session_ok($session, q{CALL depipe.run('raw.others')});
}
session_ok($session, 'SELECT count(*) FROM depipe.status');
session_ok($session, 'SELECT count(*) FROM depipe.loads');
is(looks($session), $before, 'what is parked is looked at by no batch of another table, nor by status and loads');
$session->quit;
is_same($source, $warehouse, 'others', 'the others go on');

cmp_ok(memory_of_run('the park', sub { $warehouse->safe_psql('postgres', q{SELECT depipe.resume('raw.items')}) }), '<', $most, 'a park that is larger than memory');
is_value($warehouse, 'SELECT count(*), sum(n) FROM raw.items', $rows . '|' . -$rows * ($rows + 1) / 2, 'what was parked is there');
is_value($warehouse, q{SELECT parked FROM depipe.loads WHERE target = 'raw.items'}, 0, 'nothing is parked any more');

# ---- where memory runs out

$warehouse->safe_psql('postgres', q{
	CREATE FUNCTION public.no_memory() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'out of memory' USING ERRCODE = '53200'; END $$;
	CREATE TRIGGER no_memory BEFORE UPDATE ON raw.items FOR EACH ROW EXECUTE FUNCTION public.no_memory();
	ALTER TABLE raw.items ENABLE ALWAYS TRIGGER no_memory});
$source->safe_psql('postgres', 'UPDATE items SET n = 0 WHERE id = 1; INSERT INTO others VALUES (100, 100)');
($status) = $warehouse->psql('postgres', q{CALL depipe.run('raw.*')});
isnt($status, 0, 'a table whose batch does not fit into memory fails');
is_same($source, $warehouse, 'others', 'and stops no other');
is_value($warehouse, q{SELECT status, error_sqlstate FROM depipe.runs WHERE target = 'raw.items' ORDER BY run_id DESC LIMIT 1},
	'failed|53200', 'its run says why');
is_value($warehouse, q{SELECT count(*) FROM depipe.status WHERE target = 'raw.items' AND reason LIKE '%53200%'},
	1, 'status, too');
$warehouse->safe_psql('postgres', q{DROP TRIGGER no_memory ON raw.items; SELECT depipe.resume('raw.items'); CALL depipe.run('raw.*')});
is_value($warehouse, 'SELECT n FROM raw.items WHERE id = 1', 0, 'it goes on');

done_testing();
