# Plans and verdicts of many small batches in one session: objects kept for the next batch follow
# every change of their tables. Also, the views are cheap to plan.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeTest;
use Test::More;

my ($source, $warehouse) = source_and_warehouse();
my $session = $warehouse->background_psql('postgres');

sub at_source
{
	$source->safe_psql('postgres', join(';', @_));
	return;
}

# One run in the session that keeps its plans; then the target equals the source.
sub follows
{
	my ($name, %options) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	session_ok($session, q{CALL depipe.run('raw.items')});
	is_same($source, $warehouse, 'items', $name, %options);
	return;
}

make_table($source, $warehouse, 'items', 'id int PRIMARY KEY, amount int, note text, big bigint');
at_source('INSERT INTO items SELECT n, n, md5(n::text), n FROM generate_series(1, 20) n');
follows('the copy');
$warehouse->safe_psql('postgres', q{
	CREATE FUNCTION public.is_small(x numeric) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT x < 1000';
	SELECT depipe.add_constraint('raw.items', depipe.satisfies('public.is_small(amount)'), name => 'small', on_violation => 'quarantine');
	SELECT depipe.add_constraint('raw.items', depipe.not_null('note'))});

# ---- many batches of a run

session_ok($session, 'SET depipe.batch_rows = 1');
at_source(map { "UPDATE items SET amount = amount + 1 WHERE id = $_" } 1 .. 20);
at_source("UPDATE items SET amount = 0 WHERE id = $_") for 1 .. 5;
follows('batches of one row');
is_value($warehouse, q{SELECT string_agg(c, ' ' ORDER BY c) FROM (SELECT count(*)::text AS c
	FROM depipe.verdicts WHERE run_id = (SELECT max(run_id) FROM depipe.runs) GROUP BY constraint_name) v},
	'1 1', 'a run has one verdict of a constraint that goes on passing');
at_source("UPDATE items SET amount = 2000 WHERE id = $_") for 1 .. 3;
at_source('UPDATE items SET amount = 1 WHERE id = 4');
at_source('UPDATE items SET amount = 3000 WHERE id = 5');
session_ok($session, q{CALL depipe.run('raw.items')});
is_value($warehouse, q{SELECT string_agg(state || ' ' || violations, ', ' ORDER BY verdict_id) FROM depipe.verdicts
	WHERE run_id = (SELECT max(run_id) FROM depipe.runs) AND constraint_name = 'small'},
	'warn 3, pass 0, warn 1', 'verdicts change when the outcome does, and violations add up');
is_value($warehouse, q{SELECT count(*) FROM depipe.quarantine WHERE target = 'raw.items'}, 4, 'rows are set aside');

# ---- a check changes

$warehouse->safe_psql('postgres',
	q{CREATE OR REPLACE FUNCTION public.is_small(x numeric) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT x < 10000'});
at_source('UPDATE items SET amount = 5000 WHERE id = 6', 'UPDATE items SET amount = amount + 1 WHERE id IN (1, 2, 3, 5)');
follows('another body of a function in a check');
$warehouse->safe_psql('postgres', q{SELECT depipe.add_constraint('raw.items', depipe.satisfies('amount >= 0'), on_violation => 'quarantine')});
at_source('UPDATE items SET amount = -1 WHERE id = 7');
session_ok($session, q{CALL depipe.run('raw.items')});
is_value($warehouse, 'SELECT amount FROM raw.items WHERE id = 7', 8, 'a constraint that was added meanwhile');
at_source('UPDATE items SET amount = 1 WHERE id = 7');
follows('it is good again');

# ---- the table changes

$warehouse->safe_psql('postgres', q{
	ALTER TABLE raw.items ALTER COLUMN big TYPE int;
	SELECT depipe.add_constraint('raw.items', depipe.satisfies('big < 2000000000'), name => 'not_big', on_violation => 'quarantine')});
at_source('UPDATE items SET big = 1 WHERE id = 8');
follows('a narrow type in the target');
$warehouse->safe_psql('postgres', 'ALTER TABLE raw.items ALTER COLUMN big TYPE bigint');
at_source('UPDATE items SET big = 4294967297 WHERE id = 8');
session_ok($session, q{CALL depipe.run('raw.items')});
is_value($warehouse, q{SELECT big FROM raw.items WHERE id = 8}, 1, 'the same check of a wider type');
at_source('UPDATE items SET big = 2 WHERE id = 8');
follows('it is good again, too');

at_source('ALTER TABLE items ADD COLUMN more text', q{UPDATE items SET more = 'x' WHERE id = 8});
follows('a column more');
$warehouse->safe_psql('postgres', 'ALTER TABLE raw.items ALTER COLUMN amount TYPE numeric, ALTER COLUMN note TYPE varchar(100)');
at_source('UPDATE items SET amount = 11 WHERE id = 9');
follows('other types in the target');
$warehouse->safe_psql('postgres', 'ALTER TABLE raw.items ALTER COLUMN note TYPE text COLLATE "C"');
at_source(q{UPDATE items SET note = 'other' WHERE id = 10});
follows('another collation');
$warehouse->safe_psql('postgres', 'ALTER TABLE raw.items DROP CONSTRAINT items_pkey');
at_source('UPDATE items SET amount = 12 WHERE id = 11', 'DELETE FROM items WHERE id = 12');
follows('no index any more');
$warehouse->safe_psql('postgres', 'CREATE UNIQUE INDEX ON raw.items (id)');
at_source('UPDATE items SET amount = 13 WHERE id = 13', 'DELETE FROM items WHERE id = 14');
follows('another index');
$warehouse->safe_psql('postgres', q{
	BEGIN;
	ALTER TABLE raw.items RENAME TO items_old;
	CREATE TABLE raw.items (LIKE raw.items_old INCLUDING ALL);
	INSERT INTO raw.items SELECT * FROM raw.items_old;
	DROP TABLE raw.items_old;
	COMMIT});
at_source('UPDATE items SET amount = 14 WHERE id = 15');
follows('another table of the name');

# ---- its size changes: the plan was made when it was small

at_source('INSERT INTO items SELECT n, 1, md5(n::text), n FROM generate_series(100, 20000) n');
session_ok($session, 'RESET depipe.batch_rows');
follows('many rows');
session_ok($session, 'SET depipe.batch_rows = 1');
my $scans = q{SELECT sum(idx_scan) FROM pg_stat_user_indexes WHERE relname = 'items'};
my $before = $warehouse->safe_psql('postgres', $scans);
at_source("UPDATE items SET amount = 15 WHERE id = $_") for 1000 .. 1010;
follows('rows of a large table');
wait_until($warehouse, "SELECT ($scans) >= $before + 11", 'are found by the index');

# ---- deferrable constraints, triggers

$warehouse->safe_psql('postgres', q{
	CREATE TABLE raw.owners (id int PRIMARY KEY);
	INSERT INTO raw.owners SELECT generate_series(0, 20000);
	ALTER TABLE raw.items ADD CONSTRAINT items_owner_fkey FOREIGN KEY (id) REFERENCES raw.owners DEFERRABLE INITIALLY DEFERRED});
at_source('UPDATE items SET amount = 16 WHERE id = 16', 'INSERT INTO items VALUES (50, 1, $$n$$, NULL)');
follows('a deferrable foreign key');

$session->quit;

# ---- views: estimates that compile nothing just in time, whatever has been analysed so far

sub views_are_cheap
{
	my ($database, $when) = @_;
	my @dear;

	foreach my $view (split /\n/, $warehouse->safe_psql($database, "SELECT viewname FROM pg_views WHERE schemaname = 'depipe'"))
	{
		my $plan = $warehouse->safe_psql($database, "EXPLAIN SELECT * FROM depipe.$view");
		my ($cost) = $plan =~ /\A.*\.\.([0-9.]+) rows=/;
		my $most = (sort { $b <=> $a } $plan =~ /rows=([0-9]+)/g)[0];

		push @dear, "$view: cost $cost, $most rows" if $cost > 100000 || $most > 100000;
	}
	is(join("\n", @dear), '', "views cost less than jit_above_cost, $when");
	return;
}

$warehouse->safe_psql('postgres', 'CREATE DATABASE fresh');
$warehouse->safe_psql('fresh', q{CREATE EXTENSION depipe; CREATE TABLE public.t (a int);
	SELECT depipe.add_constraint('public.t', depipe.not_null('a'))});
views_are_cheap('fresh', 'after CREATE EXTENSION');
$warehouse->safe_psql('fresh', 'ANALYZE depipe.target');
views_are_cheap('fresh', 'when one table has been analysed with few rows');
$warehouse->safe_psql('postgres', 'ANALYZE');
views_are_cheap('postgres', 'when all have been');
done_testing();
