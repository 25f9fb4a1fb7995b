# The tables of loads: one that another session creates while a run waits, and a large one without a
# key, whose rows are found through an index over a hash of the row.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeTest;
use Test::More;

my ($source, $warehouse) = source_and_warehouse();

sub at_source
{
	return $source->safe_psql('postgres', join(';', @_));
}

sub at_warehouse
{
	return $warehouse->safe_psql('postgres', join(';', @_));
}

# ---- both create the table

at_source('CREATE TABLE late (id int PRIMARY KEY, v int, w text)', 'INSERT INTO late SELECT n, n, $$w$$ FROM generate_series(1, 100) n');
my $older = $source->background_psql('postgres');
session_ok($older, 'BEGIN; SELECT pg_current_xact_id()');
at_warehouse(q{SELECT depipe.create_load('raw.late', server => 'shop', source => 'public.late')});
my $runner = $warehouse->background_psql('postgres', on_error_stop => 0);
$runner->query_until(qr/begun/, "\\echo begun\nCALL depipe.run('raw.late');\n");
wait_until($warehouse, q{SELECT reason LIKE 'waits for transaction %' FROM depipe.loads WHERE target = 'raw.late'}, 'a run waits for the source');
at_warehouse('CREATE TABLE raw.late (id int PRIMARY KEY, v bigint, own text)');
session_ok($older, 'ROLLBACK');
my (undef, $errors) = session_sql($runner, 'SELECT 1');
unlike($errors, qr/ERROR/, 'it uses the table that another session has created meanwhile');
is_same($source, $warehouse, 'late', 'that table', columns => 'id, v, w');
at_source('UPDATE late SET v = -v WHERE id < 10', 'DELETE FROM late WHERE id > 90');
is(refresh($warehouse, 'raw.late')->{'raw.late'}{status}, 'succeeded', 'it streams');
is_same($source, $warehouse, 'late', 'that table, after changes', columns => 'id, v, w');
$older->quit;
$runner->quit;

# ---- a large table without a key

my $indexes = q{SELECT count(*) FROM pg_index WHERE indrelid = 'raw.bag'::regclass};

at_source('CREATE TABLE bag (id int, t text, n numeric)', 'ALTER TABLE bag REPLICA IDENTITY FULL',
	q{INSERT INTO bag SELECT n, repeat('x', 950), n FROM generate_series(1, 9000) n}, 'INSERT INTO bag SELECT 0, NULL, 1.5 FROM generate_series(1, 3)');
at_warehouse(q{SELECT depipe.create_load('raw.bag', server => 'shop', source => 'public.bag')}, q{CALL depipe.run('raw.bag')});
is_same($source, $warehouse, 'bag', 'a table without a key');
at_source(q{INSERT INTO bag VALUES (1, 'more', 1)});
refresh($warehouse, 'raw.bag');
is_value($warehouse, $indexes, 0, 'rows that are only added need no index');
at_source('DELETE FROM bag WHERE id BETWEEN 11 AND 14', q{UPDATE bag SET t = 'changed' WHERE id = 20});
refresh($warehouse, 'raw.bag');
is_value($warehouse, $indexes, 1, 'the first few deletions create one');
is_same($source, $warehouse, 'bag', 'after the first few deletions');

# numeric 1.5 and 1.50 are equal, but not the same; NULLs; several copies of one row
at_warehouse('ANALYZE raw.bag');
at_source('DELETE FROM bag WHERE ctid = (SELECT ctid FROM bag WHERE id = 0 LIMIT 1)', 'UPDATE bag SET n = 1.50 WHERE ctid = (SELECT ctid FROM bag WHERE id = 0 LIMIT 1)',
	'UPDATE bag SET t = NULL WHERE id BETWEEN 101 AND 200');
my $session = $warehouse->background_psql('postgres');
session_ok($session, q{BEGIN; SELECT depipe.refresh('raw.bag')});
my $scans = session_ok($session, q{SELECT pg_stat_get_xact_numscans('raw.bag'::regclass)});
my $found = session_ok($session, q{SELECT pg_stat_get_xact_numscans(indexrelid) > 50 FROM pg_index WHERE indrelid = 'raw.bag'::regclass});
session_ok($session, 'COMMIT');
$session->quit;
is("$scans $found", '0 t', 'rows are found through the index, and the table is not scanned');
is_same($source, $warehouse, 'bag', 'through the index');
is_value($warehouse, 'SELECT count(*), count(DISTINCT n::text) FROM raw.bag WHERE id = 0', '2|2', 'rows that are equal but not the same are told apart');

# many rows: the index is not used, and stays right
at_source('DELETE FROM bag WHERE id > 4000');
refresh($warehouse, 'raw.bag');
at_source('DELETE FROM bag WHERE id = 30');
refresh($warehouse, 'raw.bag');
is_same($source, $warehouse, 'bag', 'after many deletions');
is_value($warehouse, $indexes, 1, 'it is the same index');

done_testing();
