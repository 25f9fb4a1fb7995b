# Changes at the source that the stream does not report: the replica identity, the contents of the
# publication, partitions. Each one is noticed, and affects only its own table.

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

# The other table continues whatever has happened.
my $next = 0;

sub others_go_on
{
	my ($name) = @_;

	$next++;
	at_source("INSERT INTO other VALUES ($next, '$name')");
	is_status($warehouse, 'raw.other', 'succeeded', "$name, the others");
	is_same($source, $warehouse, 'other', $name);
	return;
}

# The table reports that it needs a resync, and why, and is exact after one.
sub stopped_and_cured
{
	my ($table, $reason, $name) = @_;

	refresh($warehouse, "raw.$table");
	is(state_of($warehouse, "raw.$table"), 'needs_resync', "$name: state");
	like(at_warehouse("SELECT reason FROM depipe.loads WHERE target = 'raw.$table'"),
		$reason, "$name: reason");
	others_go_on($name);
	at_warehouse("SELECT depipe.resync('raw.$table')");
	is_status($warehouse, "raw.$table", 'succeeded', "$name, resync");
	is_same($source, $warehouse, $table, $name);
	return;
}

sub goes_on
{
	my ($table, $name) = @_;

	refresh($warehouse, "raw.$table");
	is(state_of($warehouse, "raw.$table"), 'streaming', "$name: state");
	is_same($source, $warehouse, $table, $name);
	return;
}

make_table($source, $warehouse, 'other', 'id int PRIMARY KEY, t text');
make_table($source, $warehouse, 'bag', 'id int NOT NULL, t text');
make_table($source, $warehouse, 'a', 'id int PRIMARY KEY, t text, u int NOT NULL');
at_source('ALTER TABLE bag REPLICA IDENTITY FULL',
	q{INSERT INTO bag SELECT n % 10, 'bag ' || n / 2 FROM generate_series(1, 40) n},
	q{INSERT INTO a SELECT n, 'row ' || n, n + 100 FROM generate_series(1, 40) n});
is(statuses($warehouse, 'raw.*'), 'raw.a=succeeded raw.bag=succeeded raw.other=succeeded', 'copy');

# ---- the replica identity

at_source('DELETE FROM bag WHERE id > 0 OR t IN (SELECT t FROM bag GROUP BY t HAVING count(*) > 1)',
	q{INSERT INTO bag SELECT n, 'bag ' || n FROM generate_series(1, 20) n});
goes_on('bag', 'a table without a key');
at_source('ALTER TABLE bag ADD PRIMARY KEY (id)', 'ALTER TABLE bag REPLICA IDENTITY DEFAULT',
	q{UPDATE bag SET t = 'changed' WHERE id < 5}, 'DELETE FROM bag WHERE id = 7');
stopped_and_cured('bag', qr/whole old rows/, 'a key for a table without one');
at_source(q{UPDATE bag SET t = 'again' WHERE id < 9});
goes_on('bag', 'by its key');

at_source('CREATE UNIQUE INDEX a_u ON a (u)');
at_source('ALTER TABLE a REPLICA IDENTITY USING INDEX a_u', 'UPDATE a SET id = id + 1000 WHERE id <= 3',
	'ALTER TABLE a REPLICA IDENTITY DEFAULT');
stopped_and_cured('a', qr/replica identity/, 'another identity for a while');
at_source('ALTER TABLE a REPLICA IDENTITY FULL', 'UPDATE a SET id = id + 2000 WHERE id < 9',
	'ALTER TABLE a REPLICA IDENTITY DEFAULT', 'DELETE FROM a WHERE id < 15');
goes_on('a', 'FULL for a while');

# ---- the publication

my $publication = at_source('SELECT pubname FROM pg_publication');
at_source("ALTER PUBLICATION $publication DROP TABLE a", q{UPDATE a SET t = 'not sent' WHERE id < 20},
	"ALTER PUBLICATION $publication ADD TABLE ONLY a");
stopped_and_cured('a', qr/removed from publication/, 'out of the publication and back');
at_source("ALTER PUBLICATION $publication DROP TABLE a", q{UPDATE a SET t = 'not sent' WHERE id < 25});
stopped_and_cured('a', qr/removed from publication/, 'out of the publication');

at_source("ALTER PUBLICATION $publication SET (publish = 'insert')", 'DELETE FROM a WHERE id > 3000',
	'DELETE FROM a WHERE id = 20', "ALTER PUBLICATION $publication SET (publish = 'insert, update, delete, truncate')");
refresh($warehouse, 'raw.*');
is(at_warehouse(q{SELECT string_agg(target || ' ' || state, ', ' ORDER BY target) FROM depipe.loads}),
	'raw.a needs_resync, raw.bag needs_resync, raw.other needs_resync', 'less published for a while');
like(at_warehouse(q{SELECT reason FROM depipe.loads WHERE target = 'raw.a'}),
	qr/publication .* was changed/, 'and why');
at_warehouse(q{SELECT depipe.resync('raw.' || t) FROM unnest('{a,bag,other}'::text[]) t});
is(statuses($warehouse, 'raw.*'), 'raw.a=succeeded raw.bag=succeeded raw.other=succeeded', 'resync');
at_source('UPDATE a SET t = $$after$$');
goes_on($_, 'after it') foreach qw(a bag other);

# changes that depipe itself makes are no reason
at_source('CREATE TABLE c (id int PRIMARY KEY, t text, u text)', q{INSERT INTO c VALUES (1, 'x', 'y')});
at_warehouse(q{SELECT depipe.create_load('raw.c', server => 'shop', source => 'public.c', columns => '{"u": null}')});
refresh($warehouse, 'raw.*');
at_warehouse(q{SELECT depipe.create_load('raw.c2', server => 'shop', source => 'public.c')});
at_source(q{INSERT INTO c VALUES (2, 'x', 'y')});
refresh($warehouse, 'raw.*');
at_source(q{INSERT INTO c VALUES (3, 'x', 'y')});
refresh($warehouse, 'raw.*');
is(at_warehouse(q{SELECT DISTINCT state FROM depipe.loads}), 'streaming', 'further loads of the same table');

# the source's own publications: a temporary filter, and one of a whole schema
at_source('CREATE SCHEMA s', 'CREATE TABLE s.f (id int PRIMARY KEY, t text)',
	'CREATE PUBLICATION own FOR TABLE s.f', q{INSERT INTO s.f SELECT n, 'x' FROM generate_series(1, 9) n});
add_server($source, $warehouse, 'given');
at_warehouse(q{ALTER SERVER given OPTIONS (ADD publication 'own')},
	q{SELECT depipe.create_load('raw.f', server => 'given', source => 's.f')});
is_status($warehouse, 'raw.f', 'succeeded', 'a given publication');
my %f = (source => 'SELECT * FROM s.f');
at_source('ALTER PUBLICATION own SET TABLE s.f WHERE (id < 5)', q{INSERT INTO s.f VALUES (10, 'not sent')},
	'ALTER PUBLICATION own SET TABLE s.f');
is_status($warehouse, 'raw.f', 'failed', 'a filter for a while');
is(state_of($warehouse, 'raw.f'), 'needs_resync', 'a filter for a while: state');
at_source('ALTER PUBLICATION own DROP TABLE s.f', 'ALTER PUBLICATION own ADD TABLES IN SCHEMA s');
at_warehouse(q{SELECT depipe.resync('raw.f')});
is_status($warehouse, 'raw.f', 'succeeded', 'by its schema');
at_source(q{INSERT INTO s.f VALUES (11, 'sent')});
is_status($warehouse, 'raw.f', 'succeeded', 'by its schema, a change');
is_same($source, $warehouse, 'f', 'by its schema', %f);
at_source('ALTER PUBLICATION own DROP TABLES IN SCHEMA s', q{INSERT INTO s.f VALUES (12, 'not sent')},
	'ALTER PUBLICATION own ADD TABLES IN SCHEMA s');
is_status($warehouse, 'raw.f', 'failed', 'the schema out and back');
is(state_of($warehouse, 'raw.f'), 'needs_resync', 'the schema out and back: state');

# ---- partitions

at_source('CREATE TABLE p (id int, t text, PRIMARY KEY (id)) PARTITION BY RANGE (id)',
	'CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100)',
	'CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (100) TO (200)',
	q{INSERT INTO p SELECT n, 'row ' || n FROM generate_series(50, 150) n});
at_warehouse(q{SELECT depipe.create_load('raw.p', server => 'shop', source => 'public.p')});
is_status($warehouse, 'raw.p', 'succeeded', 'partitions');
at_source('CREATE TABLE p3 PARTITION OF p FOR VALUES FROM (200) TO (300)', q{INSERT INTO p VALUES (201, 'new')});
goes_on('p', 'a new partition');
at_source(q{BEGIN; CREATE TABLE p4 PARTITION OF p FOR VALUES FROM (300) TO (400); INSERT INTO p VALUES (301, 'new'); COMMIT});
goes_on('p', 'a new partition with a row of the same transaction');
at_source('CREATE TABLE p5 (LIKE p INCLUDING ALL)', 'ALTER TABLE p ATTACH PARTITION p5 FOR VALUES FROM (400) TO (500)',
	q{INSERT INTO p VALUES (401, 'new')});
goes_on('p', 'an empty table attached');
at_source('TRUNCATE p', q{INSERT INTO p SELECT n, 'row ' || n FROM generate_series(50, 450) n});
goes_on('p', 'all of it truncated');
at_source(q{CREATE TABLE p6 (LIKE p INCLUDING ALL); INSERT INTO p6 VALUES (501, 'before')},
	'ALTER TABLE p ATTACH PARTITION p6 FOR VALUES FROM (500) TO (600)');
stopped_and_cured('p', qr/partition public\.p6 .* attached with rows/, 'attached with a row');
at_source(q{BEGIN; CREATE TABLE p7 (LIKE p INCLUDING ALL); INSERT INTO p7 VALUES (601, 'before');
	ALTER TABLE p ATTACH PARTITION p7 FOR VALUES FROM (600) TO (700); COMMIT});
stopped_and_cured('p', qr/partition public\.p7 .* attached with rows/, 'attached with a row, in one transaction');
at_source('TRUNCATE p2');
stopped_and_cured('p', qr/partition public\.p2 .* truncated/, 'a partition truncated');
at_source('ALTER TABLE p DETACH PARTITION p2');
stopped_and_cured('p', qr/partition public\.p2 .* detached or dropped/, 'a partition detached');
at_source('DROP TABLE p3');
stopped_and_cured('p', qr/partition public\.p3 .* detached or dropped/, 'a partition dropped');
at_source(
	'CREATE TABLE s8 (LIKE p INCLUDING ALL) PARTITION BY RANGE (id)',
	'CREATE TABLE p8 PARTITION OF s8 FOR VALUES FROM (700) TO (800)',
	q{INSERT INTO s8 VALUES (701, 'before')},
	'ALTER TABLE p ATTACH PARTITION s8 FOR VALUES FROM (700) TO (900)');
stopped_and_cured('p', qr/partition public\.p8 .* attached with rows/, 'a tree attached with a row');
at_source('CREATE TABLE p9 PARTITION OF s8 FOR VALUES FROM (800) TO (900)', q{INSERT INTO p VALUES (801, 'new')});
goes_on('p', 'a new partition of a partition');

# ---- columns that are added

at_source('ALTER TABLE p ADD c int DEFAULT 7', q{INSERT INTO p (id, t) VALUES (802, 'with a default')});
goes_on('p', 'a default of a partitioned table');
my $writer = $source->background_psql('postgres');
session_ok($writer, 'BEGIN; SELECT pg_current_xact_id()');
at_source('ALTER TABLE a ADD v int');
session_ok($writer, q{INSERT INTO a VALUES (5000, 'older', 5100, 5); COMMIT});
$writer->quit;
goes_on('a', 'an older transaction that fills the new column');
at_source('ALTER TABLE a ADD w int', 'UPDATE a SET w = id', 'ALTER TABLE a ALTER w SET NOT NULL');
goes_on('a', 'filled and NOT NULL');
at_source('ALTER TABLE a ADD x int DEFAULT 3', 'VACUUM FULL a', 'UPDATE a SET w = w + 1 WHERE id = 5000');
refresh($warehouse, 'raw.a');
is(state_of($warehouse, 'raw.a'), 'paused', 'a default that went into the rows');
at_warehouse(q{SELECT depipe.resync('raw.a')});
goes_on('a', 'a default that went into the rows, resync');

# ---- columns that are gone

at_source('CREATE TABLE o (id int PRIMARY KEY, gone text, old_name text)', q{INSERT INTO o SELECT n, 'x', 'y' FROM generate_series(1, 9) n});
at_warehouse(q{SELECT depipe.create_load('raw.o', server => 'shop', source => 'public.o')},
	q{SELECT depipe.create_load('raw.o2', server => 'shop', source => 'public.o', columns => '{"twice": "id * 2"}')});
is_status($warehouse, "raw.$_", 'succeeded', 'columns') foreach qw(o o2);
at_source('ALTER TABLE o DROP gone', 'ALTER TABLE o RENAME old_name TO new_name', q{UPDATE o SET new_name = 'z' WHERE id < 4});
refresh($warehouse, 'raw.o');
is(state_of($warehouse, 'raw.o'), 'paused', 'a column dropped and one renamed');
at_warehouse(q{SELECT depipe.resync('raw.o')});
is_status($warehouse, 'raw.o', 'succeeded', 'a column dropped and one renamed, resync');
is_value($warehouse, 'SELECT count(*), count(gone), count(old_name), count(new_name) FROM raw.o', '9|0|0|9',
	'what the source has no more is empty');
is_same($source, $warehouse, 'o', 'what it has', columns => 'id, new_name');
at_warehouse(q{SELECT depipe.resync('raw.o2')});
is_status($warehouse, 'raw.o2', 'succeeded', 'with an expression, resync');
is_value($warehouse, 'SELECT count(*), count(gone), count(old_name), count(new_name), sum(twice) FROM raw.o2', '9|0|0|9|90', 'with an expression');
at_source(q{INSERT INTO o VALUES (20, 'w')});
is_status($warehouse, 'raw.o', 'succeeded', 'and streams');
is_same($source, $warehouse, 'o', 'and streams', columns => 'id, new_name');
at_source(q{ALTER TABLE o ADD gone text DEFAULT 'd'}, q{UPDATE o SET new_name = 'v' WHERE id = 1});
refresh($warehouse, 'raw.o');
is(state_of($warehouse, 'raw.o'), 'paused', 'a column that was gone comes back with a default');
at_warehouse(q{SELECT depipe.resync('raw.o')});
is_status($warehouse, 'raw.o', 'succeeded', 'a column that was gone comes back, resync');
is_same($source, $warehouse, 'o', 'a column that was gone comes back', columns => 'id, new_name, gone');

# ---- row security at the source

at_source('CREATE ROLE reader LOGIN REPLICATION', 'CREATE TABLE secret (id int PRIMARY KEY)', 'ALTER TABLE secret OWNER TO reader',
	'ALTER TABLE secret ENABLE ROW LEVEL SECURITY', 'ALTER TABLE secret FORCE ROW LEVEL SECURITY',
	'GRANT CREATE ON DATABASE postgres TO reader');
add_server($source, $warehouse, 'weak');
at_warehouse(q{ALTER USER MAPPING FOR CURRENT_USER SERVER weak OPTIONS (ADD user 'reader')},
	q{SELECT depipe.create_load('raw.secret', server => 'weak', source => 'public.secret')});
is_value($warehouse, q{SELECT count(*) FROM depipe.check_source('weak') WHERE NOT ok AND detail ~ 'row security'}, 1,
	'check_source sees forced row security');

# ---- an identity column of the target that is no key, as pg_dump -s makes it

my $columns = 'id int PRIMARY KEY, n int GENERATED ALWAYS AS IDENTITY, t text';
at_source("CREATE TABLE g ($columns)", q{INSERT INTO g (id, t) SELECT n, 'row ' || n FROM generate_series(1, 9) n});
at_warehouse("CREATE TABLE raw.g ($columns)",
	q{SELECT depipe.create_load('raw.g', server => 'shop', source => 'public.g')});
is_status($warehouse, 'raw.g', 'succeeded', 'an identity column');
at_source(q{UPDATE g SET t = 'changed' WHERE id < 5}, 'DELETE FROM g WHERE id = 9', q{INSERT INTO g (id, t) VALUES (20, 'new')});
is_status($warehouse, 'raw.g', 'succeeded', 'an identity column, changes');
is_same($source, $warehouse, 'g', 'an identity column');
at_source('UPDATE g SET n = DEFAULT WHERE id = 2');
is_status($warehouse, 'raw.g', 'succeeded', 'its value changed: the row is written anew');
is_same($source, $warehouse, 'g', 'its value changed');
at_warehouse('ALTER TABLE raw.g ALTER n SET GENERATED BY DEFAULT');
converge($warehouse, 'raw.g');
is_same($source, $warehouse, 'g', 'an identity column BY DEFAULT');

# ---- more columns than half a target list

my $many = join(', ', map { "c$_ int" } 1 .. 1000);
at_source("CREATE TABLE w (id int PRIMARY KEY, $many)", 'INSERT INTO w (id, c1, c1000) SELECT n, n, n FROM generate_series(1, 9) n');
at_warehouse(q{SELECT depipe.create_load('raw.w', server => 'shop', source => 'public.w')});
is_status($warehouse, 'raw.w', 'succeeded', 'a thousand columns');
at_source('UPDATE w SET c500 = 1 WHERE id < 4', 'DELETE FROM w WHERE id = 9', 'INSERT INTO w (id) VALUES (20)');
is_status($warehouse, 'raw.w', 'succeeded', 'a thousand columns, changes');
is_same($source, $warehouse, 'w', 'a thousand columns');
at_warehouse('UPDATE raw.w SET c7 = 7 WHERE id = 1; DELETE FROM raw.w WHERE id = 2; INSERT INTO raw.w (id) VALUES (21)');
is_value($warehouse, q{SELECT string_agg(difference, ' ' ORDER BY difference) FROM depipe.verify('raw.w')},
	'different missing unexpected', 'a thousand columns, verify');
is_value($warehouse, q{SELECT concat_ws(' ', difference, expected ->> 'rows', actual ->> 'rows', expected = actual)
	FROM depipe.verify('raw.w', depth => 'checksums')}, 'different 9 9 f', 'a thousand columns, checksums');
is_value($warehouse, q{SELECT count(*) FROM depipe.verify('raw.w', repair => true)}, 3, 'a thousand columns, repair');
is_status($warehouse, 'raw.w', 'succeeded', 'a thousand columns, resync');
is_value($warehouse, q{SELECT count(*) FROM depipe.verify('raw.w', depth => 'checksums')}, 0, 'a thousand columns, equal');
is_same($source, $warehouse, 'w', 'a thousand columns, resync');
is_value($warehouse, q{SELECT concat_ws(' ', inserted, updated, deleted) FROM depipe.runs WHERE target = 'raw.w' ORDER BY run_id DESC LIMIT 1},
	'1 1 1', 'only the differences');

# ---- labels

at_source(q{CREATE TYPE mood AS ENUM ('b', 'd')}, 'CREATE TABLE e (id int PRIMARY KEY, m mood, ms mood[])',
	q{INSERT INTO e VALUES (1, 'b', '{d}')});
at_warehouse(q{SELECT depipe.create_load('raw.e', server => 'shop', source => 'public.e')});
is_status($warehouse, 'raw.e', 'succeeded', 'an enum');
at_source(q{ALTER TYPE mood ADD VALUE 'c' AFTER 'b'}, q{ALTER TYPE mood ADD VALUE 'a' BEFORE 'b'},
	q{ALTER TYPE mood ADD VALUE 'e'}, q{INSERT INTO e VALUES (2, 'a', '{c,e}')}, q{UPDATE e SET m = 'c' WHERE id = 1});
at_warehouse(q{CALL depipe.run('raw.e')});
goes_on('e', 'new labels');
is_value($warehouse, 'SELECT enum_range(NULL::public.mood)', '{a,b,c,d,e}', 'at their places');
at_source(q{ALTER TYPE mood ADD VALUE 'f'}, q{INSERT INTO e VALUES (3, 'f', '{}')});
like(is_status($warehouse, 'raw.e', 'failed', 'a new label in a function'), qr/after a commit/, 'says why');
goes_on('e', 'a new label, after the commit');
at_source(q{ALTER TYPE mood RENAME VALUE 'b' TO 'bb'}, q{INSERT INTO e VALUES (4, 'bb', '{bb}')});
refresh($warehouse, 'raw.e');
is(state_of($warehouse, 'raw.e'), 'needs_resync', 'a label renamed');
like(at_warehouse(q{SELECT reason FROM depipe.loads WHERE target = 'raw.e'}), qr/renamed/, 'a label renamed: reason');
at_warehouse(q{SELECT depipe.resync('raw.e')});
at_warehouse(q{CALL depipe.run('raw.e')});
goes_on('e', 'a label renamed, resync');
done_testing();
