--
-- Checks against other tables, of rows in an order, and of time: a table of cases for each.
--
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA ca;
CREATE COLLATION ca.nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE FUNCTION ca.finds(target text, rule depipe.check, filter text DEFAULT NULL, on_null text DEFAULT 'pass', on_no_data text DEFAULT 'not_evaluated', fail_if text DEFAULT NULL)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	made text;
	result text;
	keys text;
BEGIN
	made := depipe.add_constraint(target, rule, name => 'c', filter => finds.filter, on_null => finds.on_null, fail_if => finds.fail_if,
		on_no_data => finds.on_no_data, existing => CASE WHEN finds.fail_if IS NULL THEN 'ignore' ELSE 'baseline' END);
	SELECT concat_ws(' ', c.outcome, format('%s of %s', COALESCE(c.violations::text, '?'), COALESCE(c.evaluated::text, '?')), c.metric, c.detail)
	INTO result FROM depipe.check_table(target) c WHERE c.constraint_name = made;
	SELECT string_agg(COALESCE(v."row"->>'id', v."row"::text), ',' ORDER BY v."row"->>'id') INTO keys FROM depipe.violations(target, made) v;
	PERFORM depipe.drop_constraint(target, made);
	RETURN concat_ws(' / ', result, keys);
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ': ' || SQLERRM;
END
$$;

-- against a table
CREATE TABLE ca.t (id int PRIMARY KEY, s varchar(5), n numeric(8,2), f float8, ts timestamptz, ci text COLLATE ca.nocase, j json, c char(4));
CREATE TABLE ca.r (id bigint PRIMARY KEY, s text, n numeric(10,3), f float4, ts timestamptz, ci text, j json, c text);
CREATE TABLE ca.none (LIKE ca.t);
INSERT INTO ca.t SELECT g, 's' || g % 3, g, g, '2026-01-01', 'A', '{}', 'a' FROM generate_series(1, 100) g;
INSERT INTO ca.r SELECT g, 's' || g % 3, g, g, '2026-01-01', 'a', '{}', 'a' FROM generate_series(1, 95) g;
SELECT rule - 'kind' AS rule, ca.finds('ca.t', rule) AS finds, ca.finds('ca.t', rule, filter => 'id <= 95') AS filtered, ca.finds('ca.none', rule) AS none
FROM unnest(ARRAY[depipe.same_count('ca.r'), depipe.same_count('ca.r', '5'), depipe.same_count('ca.r', '4'), depipe.same_count('ca.none'), depipe.same_count('ca.none', '100%'), depipe.same_count('ca.t', '0%')]::depipe.check[]) rule;
-- exactly 5 % of the reference is tolerated
DELETE FROM ca.t WHERE id > 95;
INSERT INTO ca.r SELECT g, 's' || g % 3, g, g, '2026-01-01', 'a', '{}', 'a' FROM generate_series(96, 100) g;
SELECT ca.finds('ca.t', depipe.same_count('ca.r', '5%')), ca.finds('ca.t', depipe.same_count('ca.r', '4.99%')), ca.finds('ca.t', depipe.same_count('ca.r', '5 %'));
SELECT rule - 'kind' AS rule, ca.finds('ca.t', rule) AS finds, ca.finds('ca.t', rule, filter => 'id < 95') AS filtered, ca.finds('ca.none', rule) AS none, ca.finds('ca.none', rule, on_no_data => 'fail') AS none_fails
FROM unnest(ARRAY[depipe.same_metric('sum(n)', 'ca.r'), depipe.same_metric('sum(n)', 'ca.r', '490'), depipe.same_metric('sum(n)', 'ca.r', '489.99'), depipe.same_metric('sum(n)', 'ca.r', '10%'), depipe.same_metric('max(ts)', 'ca.r'),
	depipe.same_metric('min(f) -- both', 'ca.r'), depipe.same_metric('count(DISTINCT s)', 'ca.r'), depipe.same_metric('sum(n) FILTER (WHERE false)', 'ca.r'), depipe.same_metric('sum(n)', 'ca.none')]::depipe.check[]) rule;
-- rows: which only one side has; a number or percentage of them is tolerated
SELECT rule - 'kind' AS rule, ca.finds('ca.t', rule) AS finds, ca.finds('ca.t', rule, filter => 'id > 5') AS filtered, ca.finds('ca.none', rule) AS none
FROM unnest(ARRAY[depipe.same_rows('ca.r', '{id,s,n}'), depipe.same_rows('ca.r', '{id,f}', '5'), depipe.same_rows('ca.r', '{id}', '4'), depipe.same_rows('ca.r', '{id}', '5%'), depipe.same_rows('ca.r', '{s}'), depipe.same_rows('ca.r', '{ci}'), depipe.same_rows('ca.r', '{c}'),
	depipe.same_rows('SELECT id, s FROM ca.r WHERE id <= 95 -- some', '{id,s}'), depipe.same_rows('(VALUES (1))', '{id}'), depipe.same_rows('WITH x AS (SELECT 1 AS id) SELECT * FROM x', '{id}')]::depipe.check[]) rule;
UPDATE ca.r SET s = NULL WHERE id = 1;
UPDATE ca.t SET s = NULL WHERE id IN (1, 2);
SELECT ca.finds('ca.t', depipe.same_rows('ca.r', '{id,s}')), ca.finds('ca.t', depipe.same_rows('ca.r', '{id,s}'), filter => 'id = 1');
-- no rows of a query; its rows are what violations shows
SELECT rule - 'kind' AS rule, ca.finds('ca.t', rule) FROM unnest(ARRAY[depipe.no_rows('SELECT id FROM ca.r WHERE id > 98'), depipe.no_rows('SELECT id FROM ca.r WHERE id > 100'), depipe.no_rows('SELECT s FROM ca.t GROUP BY s HAVING count(*) > 32'), depipe.no_rows('SELECT FROM ca.r WHERE id = 1'),
	depipe.no_rows('SELECT 1 / (id - 1) FROM ca.r'), depipe.no_rows('VALUES (1), (2)')]::depipe.check[]) rule;
SELECT fail_if, ca.finds('ca.t', depipe.no_rows('SELECT id FROM ca.r WHERE id > 98'), fail_if => fail_if) FROM unnest(ARRAY['> 2', '> 1', '> 1%']) fail_if;
SELECT ca.finds('ca.t', rule) FROM unnest(ARRAY[depipe.same_count('ca.nope'), depipe.same_count(NULL), depipe.same_count('ca.r', 'x'), depipe.same_count('ca.r', '-1'), depipe.same_count('ca.r', '5%%'), depipe.same_metric('n', 'ca.r'), depipe.same_metric('sum(nope)', 'ca.r'),
	depipe.same_metric('max(ts)', 'ca.r', '1'), depipe.same_metric('sum(n)); (', 'ca.r'), depipe.same_rows('ca.r', '{nope}'), depipe.same_rows('ca.r', '{j}'), depipe.same_rows('SELECT 1 AS s', '{s}'), depipe.same_rows('SELECT 1; SELECT 2', '{s}'), depipe.same_rows(NULL),
	depipe.same_rows('ca.none', '{id}', 'x'), depipe.no_rows('DELETE FROM ca.r'), depipe.no_rows('WITH x AS (DELETE FROM ca.r RETURNING 1) SELECT * FROM x'), depipe.no_rows('SELECT 1 INTO x'), depipe.no_rows('SELECT random()'),
	depipe.no_rows('SELECT 1 FROM ca.r FOR UPDATE'), depipe.no_rows('SELECT 1; DROP TABLE ca.r'), depipe.no_rows(''), depipe.no_rows('SELECT * FROM ca.nope')]::depipe.check[]) rule;
SELECT ca.finds('ca.t', rule, on_null => 'pass', fail_if => '> 1') FROM unnest(ARRAY[depipe.same_count('ca.r'), depipe.same_rows('ca.r', '{id}')]::depipe.check[]) rule;
-- a reference that is gone is an error, never a pass
SELECT depipe.add_constraint('ca.t', depipe.same_count('ca.r', '100%'), name => 'counts', on_violation => 'warn');
SELECT depipe.add_constraint('ca.t', depipe.same_metric('count(*)', 'ca.r', '100%'), name => 'metrics', on_violation => 'warn');
SELECT depipe.add_constraint('ca.t', depipe.same_rows('ca.r', '{id}', '100%'), name => 'rows', on_violation => 'warn');
SELECT depipe.add_constraint('ca.t', depipe.no_rows('SELECT FROM ca.r WHERE id = 0'), name => 'query', on_violation => 'warn');
SELECT constraint_name, outcome FROM depipe.check_table('ca.t') ORDER BY 1;
ALTER TABLE ca.r RENAME TO gone;
SELECT constraint_name, outcome, violations, detail FROM depipe.check_table('ca.t') ORDER BY 1;
ALTER TABLE ca.gone RENAME TO r;
SELECT constraint_name, outcome FROM depipe.check_table('ca.t') ORDER BY 1;
SELECT statement LIKE '%same_rows%' FROM depipe.definition('ca.t') ORDER BY 1;
SELECT count(depipe.drop_constraint('ca.t', name)) FROM depipe.constraints WHERE target = 'ca.t';

-- in a gate: after all tables of the batch, under its snapshot
CREATE TABLE ca.base (id int PRIMARY KEY, n int);
INSERT INTO ca.base VALUES (1, 1), (2, 2);
SELECT depipe.create_transform('ca.made', 'SELECT * FROM ca.base', key => '{id}');
SELECT depipe.add_constraint('ca.made', depipe.same_rows('SELECT id, n FROM ca.base WHERE n < 100', '{id,n}'), name => 'rows', on_violation => 'reject');
SELECT depipe.add_constraint('ca.made', depipe.no_rows('SELECT FROM ca.made GROUP BY n HAVING count(*) > 2'), name => 'thrice', on_violation => 'reject');
SELECT depipe.add_constraint('ca.made', depipe.no_gaps('id'), name => 'gaps', on_violation => 'reject');
INSERT INTO ca.base VALUES (3, 2);
SELECT status, reason FROM depipe.refresh('ca.made');
INSERT INTO ca.base VALUES (4, 100);
SELECT status, reason FROM depipe.refresh('ca.made');
UPDATE ca.base SET n = 2 WHERE id = 4;
SELECT status, reason FROM depipe.refresh('ca.made');
UPDATE ca.base SET n = 3 WHERE id = 4;
DELETE FROM ca.base WHERE id = 3;
SELECT status, reason FROM depipe.refresh('ca.made');
DELETE FROM ca.base WHERE id = 4;
SELECT status, reason FROM depipe.refresh('ca.made');
SELECT depipe.drop_transform('ca.made', drop_table => true);

-- gaps
CREATE TABLE ca.g (id int, p text, q int, n int, big bigint, f float8, d date, ts timestamp(0), tz timestamptz, v text);
INSERT INTO ca.g VALUES (1, 'a', 1, 1, 9223372036854775806, 0.5, '2026-01-30', '2026-01-30', '2026-01-31', 'x'), (2, 'a', 1, 2, 9223372036854775807, 1.0, '2026-01-31', '2026-01-31', '2026-02-01', 'x'), (3, 'a', NULL, 2, 9223372036854775807, 1.5, '2026-01-31', '2026-02-03', '2026-02-02', 'x'),
	(4, 'b', NULL, 7, 9223372036854775805, 2.25, '2026-02-01', '2026-02-04', '2026-02-03', 'x'), (5, 'b', NULL, 5, 9223372036854775804, 2.5, '2026-02-03', '2026-02-05', '2026-02-04', 'x'), (6, 'b', 2, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
CREATE TABLE ca.gnone (LIKE ca.g);
SELECT rule - 'kind' AS rule, ca.finds('ca.g', rule) AS finds, ca.finds('ca.g', rule, on_null => 'fail') AS null_fails, ca.finds('ca.g', rule, on_null => 'skip', filter => 'id < 4') AS filtered, ca.finds('ca.gnone', rule) AS none
FROM unnest(ARRAY[depipe.no_gaps('n'), depipe.no_gaps('n', '2'), depipe.no_gaps('n', partition_by => '{p}'), depipe.no_gaps('n', partition_by => '{p,q}'), depipe.no_gaps('n', partition_by => '{q}'), depipe.no_gaps('big'), depipe.no_gaps('f', '0.5'), depipe.no_gaps('d', '1 day'),
	depipe.no_gaps('ts', '1 day'), depipe.no_gaps('tz', '1 day')]::depipe.check[]) rule;
SELECT fail_if, ca.finds('ca.g', depipe.no_gaps('n'), fail_if => fail_if) FROM unnest(ARRAY['> 2', '>= 2', '> 33%', '> 34%']) fail_if;
SELECT ca.finds('ca.g', rule) FROM unnest(ARRAY[depipe.no_gaps('v'), depipe.no_gaps('n', '0'), depipe.no_gaps('n', '-1'), depipe.no_gaps('n', 'x'), depipe.no_gaps('d', '0 days'), depipe.no_gaps('nope'), depipe.no_gaps('n', partition_by => '{nope}'), depipe.no_gaps('n', partition_by => '{}'), depipe.no_gaps(NULL)]::depipe.check[]) rule;
-- overlaps: the upper bound is not in the range, NULL is no bound
CREATE TABLE ca.o (id int, p text, a date, b date NOT NULL DEFAULT 'infinity', c date, n int, m int8, x int4range);
INSERT INTO ca.o (id, p, a, c, n) VALUES (1, 'k', '2026-01-01', '2026-02-01', 1), (2, 'k', '2026-02-01', NULL, 2), (3, 'k', '2026-03-01', '2026-03-02', 3), (4, 'l', NULL, '2026-01-15', 4), (5, 'l', '2026-01-14', '2026-01-14', 5), (6, 'l', '2026-01-20', '2026-01-19', 6), (7, 'l', '2026-01-15', '2026-01-16', 7), (8, NULL, '2026-01-01', '2026-01-02', 8), (9, NULL, '2026-01-01', '2026-01-03', 9);
SELECT rule - 'kind' AS rule, ca.finds('ca.o', rule) AS finds, ca.finds('ca.o', rule, filter => 'id < 3') AS filtered, ca.finds('ca.o', rule, filter => 'false') AS none
FROM unnest(ARRAY[depipe.no_overlap('a', 'c', '{p}'), depipe.no_overlap('a', 'c'), depipe.no_overlap('a', 'b', '{p}'), depipe.no_overlap('a', 'c', '{p,n}')]::depipe.check[]) rule;
SELECT ca.finds('ca.o', rule) FROM unnest(ARRAY[depipe.no_overlap('a', 'n'), depipe.no_overlap('n', 'm'), depipe.no_overlap('nope', 'a'), depipe.no_overlap('a', 'nope'), depipe.no_overlap('x', 'x'), depipe.no_overlap('a', NULL)]::depipe.check[]) rule;
SELECT fail_if, ca.finds('ca.o', depipe.no_overlap('a', 'c', '{p}'), fail_if => fail_if) FROM unnest(ARRAY['> 3', '> 2']) fail_if;

-- time: complete periods without a row; the period that is going on does not count
CREATE TABLE ca.p (id int, d date, ts timestamp, tz timestamptz(0), v text);
INSERT INTO ca.p SELECT g, current_date - g, localtimestamp - g * interval '1 day', now() - g * interval '1 day' FROM generate_series(0, 9) g WHERE g NOT IN (3, 5);
INSERT INTO ca.p VALUES (-1, NULL, NULL, NULL, NULL), (-2, 'infinity', 'infinity', 'infinity', NULL), (-3, '-infinity', '-infinity', '-infinity', NULL);
CREATE TABLE ca.pnone (LIKE ca.p);
SELECT rule - 'kind' - 'since' AS rule, ca.finds('ca.p', rule) AS finds, ca.finds('ca.p', rule, filter => 'id <> 8') AS filtered, ca.finds('ca.pnone', rule) AS none, ca.finds('ca.pnone', rule, on_no_data => 'fail') AS none_fails
FROM unnest(ARRAY[depipe.every_period('d', '1 day'), depipe.every_period('ts', '1 day'), depipe.every_period('tz', '1 day'), depipe.every_period('d', '1 day', now() - interval '4 days'), depipe.every_period('tz', '1 day', current_date - 12), depipe.every_period('ts', '7 days', current_date - 14),
	depipe.every_period('d', '1 day', now() + interval '1 day'), depipe.every_period('tz', '1 second', '1900-01-01'), depipe.every_period('tz', '1 day', '-infinity')]::depipe.check[]) rule;
SELECT rule - 'kind' AS rule, ca.finds('ca.p', rule) AS finds, ca.finds('ca.p', rule, filter => 'id > 1') AS late, ca.finds('ca.pnone', rule) AS none FROM unnest(ARRAY[depipe.arrived_by('00:00', 'd'), depipe.arrived_by('00:00', 'ts'), depipe.arrived_by('00:00', 'tz')]::depipe.check[]) rule;
SELECT ca.finds('ca.p', rule) FROM unnest(ARRAY[depipe.every_period('v', '1 day'), depipe.every_period('d', '0'), depipe.every_period('d', '-1 day'), depipe.every_period('d', NULL), depipe.arrived_by('09:00', 'v'), depipe.arrived_by(NULL, 'd'),
	'{"kind": "arrived_by", "due_time": "x", "column_name": "d"}', '{"kind": "every_period", "column_name": "d", "step": "x"}', '{"kind": "every_period", "column_name": "d", "step": "1 day", "since": "x"}']::depipe.check[]) rule;
-- they hold no batch: the table is stale
SELECT depipe.create_transform('ca.timed', 'SELECT * FROM ca.pnone', key => NULL);
SELECT depipe.add_constraint('ca.timed', depipe.arrived_by('00:00', 'd'), name => 'arrived');
SELECT depipe.add_constraint('ca.timed', depipe.every_period('d', '1 day', now() - interval '3 days'), name => 'daily', on_violation => 'break');
SELECT depipe.add_constraint('ca.timed', depipe.every_period('d', '1 day', now() - interval '3 days'), name => 'daily');
INSERT INTO ca.pnone VALUES (1, current_date - 5);
SELECT status FROM depipe.refresh('ca.timed');
CALL depipe.run_due();
SELECT constraint_name, outcome FROM depipe.check_table('ca.timed') ORDER BY 1;
SELECT state FROM depipe.status WHERE target = 'ca.timed';
DO $$ BEGIN PERFORM depipe.guard('ca.timed'); EXCEPTION WHEN OTHERS THEN RAISE WARNING '%', SQLSTATE; END $$;
INSERT INTO ca.pnone SELECT 1, current_date - g FROM generate_series(0, 3) g;
SELECT status FROM depipe.refresh('ca.timed');
SELECT constraint_name, outcome FROM depipe.check_table('ca.timed') ORDER BY 1;
SELECT depipe.guard('ca.timed');
SELECT depipe.drop_transform('ca.timed', drop_table => true);

-- the reference gets another type
CREATE TABLE ca.own (id int PRIMARY KEY, code text);
CREATE TABLE ca.other (id int PRIMARY KEY, code text);
INSERT INTO ca.own VALUES (1, '7');
INSERT INTO ca.other VALUES (1, '7');
SELECT depipe.add_constraint('ca.own', depipe.same_metric('max(code)', 'ca.other'), name => 'same');
ALTER TABLE ca.other ALTER code TYPE int USING code::int;
SELECT constraint_name, outcome FROM depipe.check_table('ca.own');
SELECT depipe.drop_constraint('ca.own', 'same');
DROP SCHEMA ca CASCADE;
