# One batch for several tables: parents and children of one source transaction, keys and foreign
# keys of the targets, tables whose shape differs from that of the source's, and a table that fails
# while the others of the same source transactions are applied.

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

sub all_succeeded
{
	my ($pattern, $name) = @_;
	my $result = refresh($warehouse, $pattern);
	my @bad = grep { $result->{$_}{status} !~ /^(succeeded|nothing)$/ } sort keys %$result;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is("@bad", '', "$name: every load went well")
	  || diag(join("\n", map { "$_: $result->{$_}{reason}" } @bad));
	return;
}

sub load
{
	at_warehouse(map { "SELECT depipe.create_load('raw.$_', server => 'shop', source => 'public.$_')" } @_);
	return;
}

# ---- relationships

at_source('CREATE TABLE parent (id int PRIMARY KEY, name text)',
	'CREATE TABLE child (id int PRIMARY KEY, parent_id int, t text)',
	'CREATE TABLE strict_child (id int PRIMARY KEY, parent_id int, t text)');
load(qw(parent child strict_child));
all_succeeded('raw.*', 'first');
at_warehouse(
	q{SELECT depipe.add_constraint('raw.child', depipe.relationships('parent_id', 'raw.parent', 'id'),
		name => 'has_parent', on_violation => 'quarantine', grace => '0')},
	q{SELECT depipe.add_constraint('raw.strict_child',
		depipe.relationships('parent_id', 'raw.parent', 'id'), name => 'has_parent', grace => '0')});

at_source('BEGIN',
	q{INSERT INTO parent VALUES (1, 'one')}, q{INSERT INTO child VALUES (1, 1, 'a')},
	q{INSERT INTO strict_child VALUES (1, 1, 'a')}, 'COMMIT');
all_succeeded('raw.*', 'parent and child at once');
is_same($source, $warehouse, $_, 'parent and child at once') foreach qw(parent child strict_child);

at_source('BEGIN', q{INSERT INTO child VALUES (2, 2, 'b')}, q{INSERT INTO strict_child VALUES (2, 2, 'b')},
	q{INSERT INTO parent VALUES (2, 'two')}, 'COMMIT');
all_succeeded('raw.*', 'child first in its transaction');
is_same($source, $warehouse, $_, 'child first') foreach qw(parent child strict_child);

# many source transactions in one batch, with key changes of the parent
at_source(
	q{INSERT INTO child SELECT n, n, 'c' FROM generate_series(10, 20) n},
	q{INSERT INTO strict_child SELECT n, n, 'c' FROM generate_series(10, 20) n},
	q{INSERT INTO parent SELECT n, 'n' FROM generate_series(10, 20) n},
	q{UPDATE parent SET id = 110 WHERE id = 10},
	q{UPDATE child SET parent_id = 110 WHERE id = 10},
	q{UPDATE strict_child SET parent_id = 110 WHERE id = 10},
	q{DELETE FROM child WHERE id = 11}, q{DELETE FROM strict_child WHERE id = 11},
	q{DELETE FROM parent WHERE id = 11});
all_succeeded('raw.*', 'several transactions');
is_same($source, $warehouse, $_, 'several transactions') foreach qw(parent child strict_child);
is_value($warehouse, 'SELECT count(*) FROM depipe.quarantine', 0, 'nobody is an orphan');

# an orphan of another transaction waits in quarantine; its parent releases it
at_source(q{INSERT INTO child VALUES (30, 30, 'orphan')}, q{INSERT INTO child VALUES (31, 1, 'not one')});
refresh($warehouse, 'raw.*');
is_value($warehouse, 'SELECT string_agg(id::text, $$ $$) FROM raw.child WHERE id >= 30',
	'31', 'an orphan is kept out');
is_value($warehouse, q{SELECT count(*) FROM depipe.quarantine WHERE target = 'raw.child'},
	1, 'and is in quarantine');
at_source(q{INSERT INTO parent VALUES (30, 'late')});
ok(converge($warehouse, 'raw.*'), 'the parent arrives: converges');
is_same($source, $warehouse, $_, 'the parent arrived') foreach qw(parent child);
is_value($warehouse, 'SELECT count(*) FROM depipe.quarantine', 0, 'the orphan was released');

# an orphan breaks only the strict one; a probe closes it after the parent has arrived
at_source(q{INSERT INTO strict_child VALUES (40, 40, 'orphan')}, q{INSERT INTO child VALUES (41, 1, 'c')},
	q{UPDATE parent SET name = 'changed' WHERE id = 1});
my $result = refresh($warehouse, 'raw.*');
is($result->{'raw.strict_child'}{status}, 'blocked', 'an orphan breaks');
is(breaker_of($warehouse, 'raw.strict_child'), 'open', 'its breaker is open');
is_same($source, $warehouse, $_, 'beside an open breaker') foreach qw(parent child);
is_value($warehouse, 'SELECT count(*) FROM raw.strict_child WHERE id = 40', 0, 'nothing was published to it');
at_source(q{INSERT INTO parent VALUES (40, 'late')}, q{INSERT INTO strict_child VALUES (42, 40, 'd')});
refresh($warehouse, 'raw.*');
at_warehouse(q{SELECT depipe.reset('raw.strict_child', 'the parent came')});
ok(converge($warehouse, 'raw.*'), 'probe: converges');
is(breaker_of($warehouse, 'raw.strict_child'), 'closed', 'the probe closed it');
is_same($source, $warehouse, $_, 'after the probe') foreach qw(parent child strict_child);

# ---- keys and foreign keys of the targets

at_warehouse(
	'CREATE TABLE raw.owner (id int PRIMARY KEY, code int,
		CONSTRAINT owner_code_key UNIQUE (code) DEFERRABLE INITIALLY DEFERRED)',
	'CREATE TABLE raw.pet (id int PRIMARY KEY, place int UNIQUE,
		owner_id int REFERENCES raw.owner,
		other_id int CONSTRAINT pet_other_fkey REFERENCES raw.owner DEFERRABLE INITIALLY DEFERRED)');
at_source(
	'CREATE TABLE owner (id int PRIMARY KEY, code int UNIQUE DEFERRABLE)',
	'CREATE TABLE pet (id int PRIMARY KEY, place int UNIQUE DEFERRABLE, owner_id int REFERENCES owner,
		other_id int REFERENCES owner DEFERRABLE INITIALLY DEFERRED)',
	'INSERT INTO owner SELECT n, n FROM generate_series(1, 5) n',
	'INSERT INTO pet SELECT n, n, n, 6 - n FROM generate_series(1, 5) n');
load(qw(pet owner));
all_succeeded('raw.*', 'copies with foreign keys');
is_same($source, $warehouse, $_, 'copies with foreign keys') foreach qw(owner pet);

at_source('BEGIN', 'INSERT INTO owner VALUES (6, 6)', 'INSERT INTO pet VALUES (6, 6, 6, 6)', 'COMMIT');
all_succeeded('raw.*', 'owner and pet');
at_source('BEGIN', 'INSERT INTO pet VALUES (7, 7, NULL, 7)', 'INSERT INTO owner VALUES (7, 7)',
	'UPDATE pet SET owner_id = 7 WHERE id = 7', 'COMMIT');
all_succeeded('raw.*', 'pet before its owner');
at_source('BEGIN', 'UPDATE pet SET owner_id = 1, other_id = 1 WHERE owner_id = 2 OR other_id = 2',
	'DELETE FROM owner WHERE id = 2', 'COMMIT');
all_succeeded('raw.*', 'owner deleted');
at_source('BEGIN', 'DELETE FROM pet WHERE id = 3', 'UPDATE pet SET owner_id = 1 WHERE owner_id = 3',
	'UPDATE pet SET other_id = 1 WHERE other_id = 3', 'DELETE FROM owner WHERE id = 3',
	'INSERT INTO owner VALUES (3, 33)', 'INSERT INTO pet VALUES (3, 3, 3, 3)', 'COMMIT');
all_succeeded('raw.*', 'both deleted and inserted again');
is_same($source, $warehouse, $_, 'foreign keys') foreach qw(owner pet);

# unique values swap places: in one statement, through a third value, in a ring
at_source('BEGIN', 'SET CONSTRAINTS ALL DEFERRED', 'UPDATE pet SET place = 11 - place WHERE place BETWEEN 4 AND 7',
	'UPDATE owner SET code = CASE code WHEN 1 THEN 4 ELSE 1 END WHERE code IN (1, 4)', 'COMMIT');
all_succeeded('raw.*', 'unique values swapped');
is_same($source, $warehouse, $_, 'unique values swapped') foreach qw(owner pet);
at_source('UPDATE pet SET place = -1 WHERE id = 1', 'UPDATE pet SET place = 1 WHERE id = 4',
	'UPDATE pet SET place = (SELECT min(n) FROM generate_series(1, 9) n WHERE n NOT IN (SELECT place FROM pet))
		WHERE id = 1');
all_succeeded('raw.*', 'unique values swapped over a third');
at_source('BEGIN', 'DELETE FROM pet WHERE id = 5', 'INSERT INTO pet VALUES (50, (SELECT min(n)
	FROM generate_series(1, 99) n WHERE n NOT IN (SELECT place FROM pet)), 1, 1)', 'COMMIT');
all_succeeded('raw.*', 'a unique value moves to a new row');
is_same($source, $warehouse, $_, 'unique values moved') foreach qw(owner pet);

# the caller's own deferred checks fire at its commit, not in the run
at_warehouse('CREATE TABLE public.mine (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)');
at_source('UPDATE pet SET place = place + 100 WHERE id = 6');
my ($rc, $stdout, $stderr) = $warehouse->psql(
	'postgres', q{BEGIN; INSERT INTO public.mine VALUES (1), (1);
	SELECT 'status ' || status FROM depipe.refresh('raw.pet');
	DELETE FROM public.mine WHERE ctid = (SELECT max(ctid) FROM public.mine); COMMIT});
is($rc, 0, 'deferred checks of the caller are left alone') || diag($stderr);
like($stdout, qr/status succeeded/, 'and the run goes well');
is_same($source, $warehouse, 'pet', 'with deferred checks of the caller');

# ---- shapes of targets

at_source(
	'CREATE TABLE shape (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int,
		twice int GENERATED ALWAYS AS (a * 2) STORED, at timestamptz DEFAULT now(), t text)',
	'CREATE TABLE part (id int, region text, v numeric, PRIMARY KEY (region, id))',
	'CREATE TABLE extra (id int PRIMARY KEY, t text)');
at_warehouse(
	'CREATE TABLE raw.shape (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int,
		twice int GENERATED ALWAYS AS (a * 2) STORED, at timestamptz, t text)',
	'CREATE TABLE raw.part (id int, region text, v numeric, PRIMARY KEY (region, id))
		PARTITION BY LIST (region)',
	q{CREATE TABLE raw.part_n PARTITION OF raw.part FOR VALUES IN ('n')},
	'CREATE TABLE raw.part_rest PARTITION OF raw.part DEFAULT',
	q{CREATE TABLE raw.extra (seen timestamptz NOT NULL DEFAULT now(), id int PRIMARY KEY,
		origin text DEFAULT 'shop', t text, length int GENERATED ALWAYS AS (length(t)) STORED)});
at_source('INSERT INTO shape (a, t) SELECT n, n FROM generate_series(1, 10) n',
	q{INSERT INTO part SELECT n, CASE WHEN n % 2 = 0 THEN 'n' ELSE 's' END, n FROM generate_series(1, 10) n},
	q{INSERT INTO extra SELECT n, 'x' || n FROM generate_series(1, 10) n});
load(qw(shape part extra));
all_succeeded('raw.*', 'copies into other shapes');
sub shapes_same
{
	my ($name) = @_;

	is_same($source, $warehouse, $_, $name) foreach qw(shape part);
	is_same($source, $warehouse, 'extra', $name, columns => 'id, t');
	return;
}
shapes_same('copies into other shapes');
at_warehouse(q{UPDATE raw.extra SET origin = 'by hand' WHERE id = 2});
at_source('UPDATE shape SET a = a + 1 WHERE id < 5', 'INSERT INTO shape (a, t) VALUES (100, $$new$$)',
	'DELETE FROM shape WHERE id = 7', q{UPDATE part SET region = 'n' WHERE id = 1},
	'UPDATE part SET v = v / 3 WHERE id > 5', 'DELETE FROM part WHERE id = 2',
	q{INSERT INTO part VALUES (77, 'west', 1)}, q{UPDATE extra SET t = 'changed' WHERE id < 4},
	q{INSERT INTO extra VALUES (77, 'new')}, 'DELETE FROM extra WHERE id = 9');
all_succeeded('raw.*', 'changes into other shapes');
shapes_same('changes into other shapes');
is_value($warehouse, 'SELECT string_agg(origin, $$, $$ ORDER BY id) FROM raw.extra WHERE id IN (1, 2, 77)',
	'shop, by hand, shop', 'columns that only the target has keep their values');
is_value($warehouse, 'SELECT count(*) FROM raw.extra WHERE length IS DISTINCT FROM length(t)',
	0, 'and generated ones follow');

# ---- one table fails, the others of the same source transactions go on

at_warehouse('ALTER TABLE raw.extra ADD CONSTRAINT small CHECK (length(t) < 20)');
at_source('BEGIN', q{INSERT INTO extra VALUES (200, repeat('y', 30))}, q{UPDATE extra SET t = 'ok' WHERE id = 1},
	q{INSERT INTO parent VALUES (200, 'with extra')}, q{INSERT INTO child VALUES (200, 200, 'with extra')},
	'UPDATE shape SET a = 0', 'DELETE FROM part WHERE id = 3', 'COMMIT');
$result = refresh($warehouse, 'raw.*');
is($result->{'raw.extra'}{status}, 'failed', 'a CHECK of the target fails its table');
like($result->{'raw.extra'}{reason}, qr/small/, 'the reason names it');
unlike($result->{'raw.extra'}{reason}, qr/yyy/, 'and carries no value');
is($result->{"raw.$_"}{status}, 'succeeded', "$_ goes on") foreach qw(parent child shape part);
is_same($source, $warehouse, $_, 'beside a failing table') foreach qw(parent child shape part);
is_value($warehouse, 'SELECT t FROM raw.extra WHERE id = 1', 'changed', 'nothing of the failed batch is there');
is_value($warehouse, q{SELECT error_sqlstate FROM depipe.runs WHERE target = 'raw.extra' AND status = 'failed'
	ORDER BY run_id DESC LIMIT 1}, '23514', 'its run keeps the SQLSTATE');
is(state_of($warehouse, 'raw.extra'), 'parked', 'it is parked');
at_source(q{UPDATE extra SET t = 'later' WHERE id = 2}, q{INSERT INTO parent VALUES (201, 'go on')});
$result = refresh($warehouse, 'raw.*');
is($result->{'raw.parent'}{status}, 'succeeded', 'the others go on while it fails');
is_same($source, $warehouse, 'parent', 'while it fails');
at_warehouse('ALTER TABLE raw.extra DROP CONSTRAINT small');
ok(converge($warehouse, 'raw.*'), 'cured: converges');
shapes_same('cured');
is(state_of($warehouse, 'raw.extra'), 'streaming', 'cured: streaming');

# a trigger of the target that raises, for the copy of a new load beside running ones
at_warehouse('CREATE TABLE raw.fussy (id int PRIMARY KEY, t text CHECK (t <> $$bad$$))');
at_source('CREATE TABLE fussy (id int PRIMARY KEY, t text)', q{INSERT INTO fussy VALUES (1, 'bad'), (2, 'good')});
load('fussy');
at_source(q{INSERT INTO parent VALUES (202, 'beside a copy')});
$result = refresh($warehouse, 'raw.*');
is($result->{'raw.fussy'}{status}, 'failed', 'a copy that fails');
is($result->{'raw.parent'}{status}, 'succeeded', 'and the others go on');
is_same($source, $warehouse, 'parent', 'beside a failing copy');
at_source(q{UPDATE fussy SET t = 'better' WHERE id = 1});
ok(converge($warehouse, 'raw.*'), 'copy cured: converges');
is_same($source, $warehouse, 'fussy', 'copy cured');

# each table has its own time, even if several are published in one pass
at_source(q{UPDATE fussy SET t = 'timed'}, q{INSERT INTO parent VALUES (203, 'timed')});
refresh($warehouse, 'raw.*');
is_value($warehouse, q{SELECT count(DISTINCT apply_ms) FROM (SELECT DISTINCT ON (target) apply_ms FROM depipe.runs
	WHERE target IN ('raw.fussy', 'raw.parent') AND status = 'succeeded' ORDER BY target, run_id DESC) r WHERE apply_ms > 0}, 2, 'each has its own time');

done_testing();
