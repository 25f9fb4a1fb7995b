--
-- Checks of rows, and of rows against rows: a table of cases for each. Where tools give
-- the same check different meanings, a case says which one this is.
--
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA cr;
CREATE COLLATION cr.nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE DOMAIN cr.code AS varchar(4);
CREATE DOMAIN cr.even AS int CHECK (VALUE % 2 = 0);
CREATE TYPE cr.mood AS ENUM ('sad', 'ok');

-- What a check finds in a table: its outcome, violations of evaluated rows, detail, and the
-- keys of the rows that violations() shows.
CREATE FUNCTION cr.finds(target text, rule depipe.check, filter text DEFAULT NULL, on_null text DEFAULT 'pass',
	warn_if text DEFAULT NULL, fail_if text DEFAULT NULL, on_no_data text DEFAULT 'not_evaluated')
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	made text;
	result text;
	keys text;
BEGIN
	made := depipe.add_constraint(target, rule, name => 'c', filter => finds.filter, on_null => finds.on_null,
		warn_if => finds.warn_if, fail_if => finds.fail_if, on_no_data => finds.on_no_data,
		existing => CASE WHEN finds.fail_if IS NULL THEN 'ignore' ELSE 'baseline' END);
	SELECT concat_ws(' ', c.outcome, format('%s of %s', COALESCE(c.violations::text, '?'), COALESCE(c.evaluated::text, '?')), c.metric, c.detail)
	INTO result FROM depipe.check_table(target) c WHERE c.constraint_name = made;
	SELECT string_agg(COALESCE(v."row"->>'id', v."row"::text), ',' ORDER BY (v."row"->>'id')::int) INTO keys FROM depipe.violations(target, made) v;
	PERFORM depipe.drop_constraint(target, made);
	RETURN concat_ws(' / ', result, keys);
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ': ' || SQLERRM;
END
$$;

-- every type with a length, quoted names, domains, a collation that is not deterministic
CREATE TABLE cr.t (id int PRIMARY KEY, c char(5), v varchar(5), x text, ci text COLLATE cr.nocase, "na ""me" text, b bit(4), vb varbit(8),
	n numeric(6,2), ts timestamp(0), tz timestamptz(0), iv interval(0), d date, f float8, by bytea, arr int[], dc cr.code, m cr.mood, j jsonb);
INSERT INTO cr.t VALUES
	(1, 'ab', 'ab', '1', 'Ab', '12', '1010', '10', 1.5, '2026-01-01 00:00:01', '2026-01-01 00:00:01', '1 day', '2026-01-01', 1.5, '\x01', '{1}', 'ab', 'ok', '{}'),
	(2, 'abcde', 'abcde', '2.5', 'ab', 'x', '0000', '10101010', 100, '2026-01-02', '2026-01-02', '2 days', '2026-01-02', 'NaN', '\x0102', '{1,2}', 'abcd', 'sad', '[]'),
	(3, '', '', '', '', '', '1111', '', 0, '2026-01-03', '2026-01-03', '0', '2026-01-03', 'inf', '\x', '{}', '', 'ok', '"x"');
INSERT INTO cr.t VALUES (4);
CREATE TABLE cr.none (LIKE cr.t);
-- parts of a table: rows are where they belong
CREATE TABLE cr.part (LIKE cr.t) PARTITION BY RANGE (id);
CREATE TABLE cr.part1 PARTITION OF cr.part FOR VALUES FROM (0) TO (3);
CREATE TABLE cr.part2 PARTITION OF cr.part DEFAULT;
INSERT INTO cr.part SELECT * FROM cr.t;

-- rejected_values: NULL is no rejected value unless on_null says so
SELECT what, rule - 'kind' - 'column_name' AS rule, cr.finds('cr.t', rule) AS finds, cr.finds('cr.t', rule, on_null => 'fail') AS null_fails, cr.finds('cr.t', rule, on_null => 'skip') AS null_skipped
FROM (VALUES ('char', depipe.rejected_values('c', 'ab', 'zz')), ('varchar', depipe.rejected_values('v', 'abcdefgh', 'abcde')),
	('nondeterministic', depipe.rejected_values('ci', 'AB')), ('name', depipe.rejected_values('na "me', 'x')), ('bit', depipe.rejected_values('b', '1', '1010')),
	('varbit', depipe.rejected_values('vb', '10')), ('numeric', depipe.rejected_values('n', 1.50)), ('numeric longer', depipe.rejected_values('n', 1.501)),
	('timestamp', depipe.rejected_values('ts', '2026-01-01 00:00:01.4')), ('timestamptz', depipe.rejected_values('tz', '2026-01-01 00:00:01')),
	('interval', depipe.rejected_values('iv', '24 hours')), ('float', depipe.rejected_values('f', 'NaN', 'inf')), ('array', depipe.rejected_values('arr', '{}', '{1,2}')),
	('domain', depipe.rejected_values('dc', 'abcd', 'abcde')), ('enum', depipe.rejected_values('m', 'sad'))) v (what, rule);
SELECT cr.finds('cr.t', depipe.rejected_values('n', 'x')), cr.finds('cr.t', depipe.rejected_values('m', 'gone')), cr.finds('cr.t', depipe.rejected_values('nope', 1));
-- in_range: strict; types with a length; what is beyond every number
SELECT rule - 'kind' AS rule, cr.finds('cr.t', rule) AS finds, cr.finds('cr.t', rule, filter => 'id < 3') AS filtered FROM unnest(ARRAY[
	depipe.in_range('n', 0, 100), depipe.in_range('n', 0, 100, strict => true), depipe.in_range('f', 0, 100), depipe.in_range('ts', '2026-01-01 00:00:01', '2026-01-02', true),
	depipe.in_range('iv', '1 day'), depipe.in_range('c', 'ab', 'b'), depipe.in_range('ci', 'AB'), depipe.in_range('v', NULL, 'abcd'), depipe.in_range('m', 'ok')]::depipe.check[]) rule;
-- matches of a column whose collation is not deterministic
SELECT cr.finds('cr.t', depipe.matches('ci', '^[aA]')), cr.finds('cr.t', depipe.matches('c', '^.{2}$')), cr.finds('cr.t', depipe.matches('na "me', '^\d*$'));
-- has_length: characters without the padding of char(n), bytes, bits, elements
SELECT rule - 'kind' AS rule, cr.finds('cr.t', rule) AS finds, cr.finds('cr.t', rule, on_null => 'fail') AS null_fails FROM unnest(ARRAY[
	depipe.has_length('c', 1, 4), depipe.has_length('v', 2), depipe.has_length('x', maximum => 1), depipe.has_length('ci', 2, 2), depipe.has_length('na "me', 0), depipe.has_length('b', 4, 4),
	depipe.has_length('vb', 2, 8), depipe.has_length('by', 2), depipe.has_length('arr', 1, 1), depipe.has_length('dc', 1)]::depipe.check[]) rule;
SELECT cr.finds('cr.t', rule) FROM unnest(ARRAY[depipe.has_length('n', 1), depipe.has_length('j', 1), depipe.has_length('v'), depipe.has_length('v', 2, 1), depipe.has_length('v', -1),
	depipe.has_length(NULL, 1), depipe.has_length('nope', 1), '{"kind": "has_length", "column_name": "v", "minimum": "1"}']::depipe.check[]) rule;
SELECT cr.finds('cr.t', depipe.has_length('x', 99999999999));
-- parses_as: what COPY into a column of this type would take, with its length
INSERT INTO cr.t (id, x) VALUES (5, '2026-02-30'), (6, '123456.7'), (7, ' 7 '), (8, '{"a": 1}'), (9, 'ok'), (10, 'infinity');
SELECT type_name, cr.finds('cr.t', depipe.parses_as('x', type_name)) AS finds FROM unnest(ARRAY['int', 'integer', 'numeric', 'numeric(6,2)', 'date', 'timestamptz', 'text', 'varchar(3)', 'char(2)',
	'bit(1)', 'jsonb', 'cr.mood', 'cr.even', 'cr.code', 'int[]', 'float8', 'boolean', 'cr.t']) type_name;
SELECT cr.finds('cr.t', depipe.parses_as('x', 'int'), on_null => 'fail', filter => 'id < 6'), cr.finds('cr.t', depipe.parses_as('dc', 'int'), on_null => 'skip');
SELECT cr.finds('cr.t', depipe.parses_as('x', 'nope')), cr.finds('cr.t', depipe.parses_as('x', 'int; drop table cr.t')), cr.finds('cr.t', depipe.parses_as('n', 'int')),
	cr.finds('cr.t', depipe.parses_as('x', 'record')), cr.finds('cr.t', depipe.parses_as('x', ''));
SELECT depipe.parses('1', 'int', -1), depipe.parses('x', 'int', -1), depipe.parses(NULL, 'int', -1), depipe.parses('abcd', 'varchar', 7), depipe.parses('1', 'cr.even', -1);
-- its settings are those of the definition
SET datestyle = 'ISO, DMY';
SELECT depipe.add_constraint('cr.t', depipe.parses_as('x', 'date'), name => 'dmy', filter => 'id = 11');
RESET datestyle;
INSERT INTO cr.t (id, x) VALUES (11, '31/12/2026');
SELECT outcome, evaluated FROM depipe.check_table('cr.t');
SELECT depipe.drop_constraint('cr.t', 'dmy');
DELETE FROM cr.t WHERE id > 4;

-- no rows: not evaluated, never passed, unless on_no_data says so
SELECT kind, cr.finds(target, rule) AS finds, cr.finds(target, rule, on_no_data => 'pass') AS passes, cr.finds(target, rule, on_no_data => 'fail') AS fails
FROM (VALUES ('cr.none'), ('cr.part')) t (target), (VALUES ('rejected', depipe.rejected_values('v', 'ab')), ('length', depipe.has_length('v', 3)), ('parses', depipe.parses_as('x', 'int')),
	('unique', depipe.unique('v')), ('nulls', depipe.unique('{v,x}', true))) r (kind, rule) ORDER BY 1, 2;
SELECT cr.finds('cr.t', depipe.has_length('v', 3), filter => 'false');

-- unique: rows in duplicated groups are the violations; groups and excess rows stand beside them
CREATE TABLE cr.u (id int PRIMARY KEY, a text, b int, ci text COLLATE cr.nocase, n numeric, c char(4));
INSERT INTO cr.u VALUES (1, 'x', 1, 'A', 1.0, 'a'), (2, 'x', 1, 'a', 1.00, 'a '), (3, 'x', 1, 'b', 2, 'b'), (4, 'y', NULL, 'c', 3, 'c'), (5, 'y', NULL, 'd', 4, 'd'), (6, NULL, NULL, NULL, NULL, NULL), (7, NULL, NULL, NULL, NULL, NULL), (8, 'z', NULL, 'e', 5, 'e');
SELECT rule - 'kind' AS rule, cr.finds('cr.u', rule) AS finds, cr.finds('cr.u', rule, on_null => 'fail') AS null_fails, cr.finds('cr.u', rule, on_null => 'skip') AS null_skipped, cr.finds('cr.u', rule, filter => 'id > 1') AS filtered
FROM unnest(ARRAY[depipe.unique('a'), depipe.unique('a', 'b'), depipe.unique(ARRAY['a', 'b'], false), depipe.unique(ARRAY['a', 'b'], true), depipe.unique('{b}', true), depipe.unique('ci'), depipe.unique('n'), depipe.unique('c'), depipe.unique('id')]::depipe.check[]) rule;

-- percentages: exactly 5 % is not more than 5 %
CREATE TABLE cr.hundred (id int PRIMARY KEY, x text);
INSERT INTO cr.hundred SELECT g, CASE WHEN g > 5 THEN 'long' ELSE 's' END FROM generate_series(1, 100) g;
SELECT fail_if, cr.finds('cr.hundred', depipe.has_length('x', 2), fail_if => fail_if, filter => filter, on_null => on_null) AS finds
FROM (VALUES ('> 5%', NULL, 'pass'), ('>= 5%', NULL, 'pass'), ('> 4.99%', NULL, 'pass'), ('> 5', NULL, 'pass'), ('>= 5', NULL, 'pass'), ('> 5%', 'id <= 99', 'pass'), ('> 100%', 'id < 3', 'pass'), ('>= 100%', 'id < 3', 'pass'), ('> 0', 'id > 5', 'pass')) v (fail_if, filter, on_null);
UPDATE cr.hundred SET x = NULL WHERE id > 99;
-- the denominator: all rows, or with on_null => 'skip' those that are not null
SELECT on_null, cr.finds('cr.hundred', depipe.has_length('x', 2), fail_if => '> 5%', on_null => on_null) FROM unnest('{pass,skip,fail}'::text[]) on_null;

-- a threshold counts what was there before: what exceeds it already is refused with the numbers
UPDATE cr.hundred SET x = 'long' WHERE x IS NULL;
\set VERBOSITY default
SET client_min_messages = notice;
SELECT depipe.add_constraint('cr.hundred', depipe.has_length('x', 2), name => 'refused', fail_if => '> 4%');
SELECT depipe.add_constraint('cr.hundred', depipe.has_length('x', 2), name => 'counted', fail_if => '> 5');
SELECT depipe.add_constraint('cr.hundred', depipe.has_length('x', 2), name => 'ignored', fail_if => '> 0', existing => 'ignore', filter => 'true');
SELECT depipe.add_constraint('cr.hundred', depipe.has_length('x', 2), name => 'warned', warn_if => '> 1', existing => 'fail', filter => 'id > 0');
SELECT depipe.alter_constraint('cr.hundred', 'counted', fail_if => '> 3');
SET client_min_messages = warning;
SELECT constraint_name, outcome, violations, detail FROM depipe.check_table('cr.hundred') ORDER BY 1;
UPDATE cr.hundred SET x = 's' WHERE id = 6;
SELECT constraint_name, outcome, violations, detail FROM depipe.check_table('cr.hundred') ORDER BY 1;

-- in a gate: only the images of the batch are read, and quarantine sets rows aside
CREATE TABLE cr.base (id int PRIMARY KEY, a text, b int, ok text);
INSERT INTO cr.base VALUES (1, 'a', 1, '1'), (2, 'b', NULL, '2');
SELECT depipe.create_transform('cr.made', 'SELECT * FROM cr.base', key => '{id}');
SELECT depipe.add_constraint('cr.made', depipe.rejected_values('a', 'bad'), on_violation => 'quarantine');
SELECT depipe.add_constraint('cr.made', depipe.has_length('a', 1, 3), on_violation => 'quarantine');
SELECT depipe.add_constraint('cr.made', depipe.parses_as('ok', 'int'), on_violation => 'quarantine');
SELECT depipe.add_constraint('cr.made', depipe.unique('{a,b}', true), on_violation => 'reject', name => 'nulls');
INSERT INTO cr.base VALUES (3, 'bad', 3, '3'), (4, 'long', 4, '4'), (5, 'c', 5, 'five'), (6, 'd', 6, '6');
SELECT status, reason FROM depipe.refresh('cr.made');
SELECT key, reason FROM depipe.quarantine WHERE target = 'cr.made' ORDER BY key::text;
SELECT constraint_name, state, evaluated, violations, strategy FROM depipe.verdicts WHERE target = 'cr.made' ORDER BY verdict_id;
UPDATE cr.base SET b = NULL WHERE id = 6;
INSERT INTO cr.base VALUES (7, 'b', NULL, '7');
SELECT status, reason FROM depipe.refresh('cr.made');
UPDATE cr.base SET a = 'e' WHERE id = 7;
SELECT status, reason FROM depipe.refresh('cr.made');
SELECT statement FROM depipe.definition('cr.made') WHERE statement LIKE '%constraint%';
SELECT depipe.drop_transform('cr.made', drop_table => true);
SELECT count(depipe.drop_constraint(target, name)) FROM depipe.constraints WHERE target LIKE 'cr.%';
DROP SCHEMA cr CASCADE;
