--
-- Checks of aggregates, of the changes of a batch, and of the columns of a table: a table
-- of cases for each.
--
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA ct;
CREATE COLLATION ct.nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE DOMAIN ct.code AS varchar(4);
CREATE FUNCTION ct.finds(target text, rule depipe.check, filter text DEFAULT NULL, on_null text DEFAULT 'pass', on_no_data text DEFAULT 'not_evaluated')
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	made text;
	result text;
	keys text;
BEGIN
	made := depipe.add_constraint(target, rule, name => 'c', filter => finds.filter, on_null => finds.on_null,
		on_no_data => finds.on_no_data, existing => 'ignore');
	SELECT concat_ws(' ', c.outcome, format('%s of %s', COALESCE(c.violations::text, '?'), COALESCE(c.evaluated::text, '?')), c.metric, c.detail)
	INTO result FROM depipe.check_table(target) c WHERE c.constraint_name = made;
	SELECT string_agg(COALESCE(v."row"->>'id', v."row"::text), ',' ORDER BY (v."row"->>'id')::int) INTO keys FROM depipe.violations(target, made) v;
	PERFORM depipe.drop_constraint(target, made);
	RETURN concat_ws(' / ', result, keys);
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ': ' || SQLERRM;
END
$$;

-- aggregates
CREATE TABLE ct.t (id int PRIMARY KEY, n numeric(6,2), f float8, ts timestamp(0), iv interval, s varchar(5), ci text COLLATE ct.nocase, dc ct.code, "we""ird" int, arr int[], b bit(3), j json);
INSERT INTO ct.t VALUES (1, 1.50, 0.5, '2026-01-01', '1 hour', 'new', 'A', 'x', 1, '{1}', '101', '{}'), (2, 2.50, 1.5, '2026-01-02', '2 hours', 'paid', 'a', 'y', 2, '{1,2}', '000', '{}'),
	(3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL), (4, 3.50, 2.5, '2026-01-03', '3 hours', 'paid', 'b', 'x', 3, '{}', '101', '{}');
CREATE TABLE ct.none (LIKE ct.t);
SELECT rule - 'kind' AS rule, ct.finds('ct.t', rule) AS finds, ct.finds('ct.t', rule, filter => 'id < 2') AS filtered, ct.finds('ct.none', rule) AS none, ct.finds('ct.none', rule, on_no_data => 'fail') AS none_fails
FROM unnest(ARRAY[depipe.metric('sum(n)', 7.5, 7.5), depipe.metric('sum(n)', 7.51), depipe.metric('avg(f)', 0, 1.5), depipe.metric('max(ts)', maximum => '2026-01-02'),
	depipe.metric('min(iv)', '61 minutes'), depipe.metric('count(*)', 1, 4), depipe.metric('count(*)', 1.5), depipe.metric('count(DISTINCT s)', 2, 2), depipe.metric('sum("we""ird") -- all', 1, 10),
	depipe.metric('100.0 * count(*) FILTER (WHERE n IS NULL) / count(*)', maximum => 25), depipe.metric('percentile_cont(0.5) WITHIN GROUP (ORDER BY n)', 2, 3), depipe.metric('max(s)', 'a', 'o')]::depipe.check[]) rule;
SELECT ct.finds('ct.t', rule) FROM unnest(ARRAY[depipe.metric('n', 1), depipe.metric('sum(n)'), depipe.metric('sum(n)', 'x'), depipe.metric('sum(n)', 2, 1), depipe.metric('sum(n) > 1 OR (true', 1), depipe.metric('sum(n); select 1', 1),
	depipe.metric('sum(n) + n', 1), depipe.metric('sum(nope)', 1), depipe.metric(NULL, 1), depipe.metric('json_agg(n)', 1), depipe.metric('sum(random())', 1), depipe.metric('(SELECT 1)', 1)]::depipe.check[]) rule;
-- a division by zero is an error, never a pass
SELECT ct.finds('ct.t', depipe.metric('sum(n) / (count(*) - 4)', 1));
-- distinct values: those that are there and must not be, and those that are missing
SELECT rule - 'kind' AS rule, ct.finds('ct.t', rule) AS finds, ct.finds('ct.t', rule, on_null => 'fail') AS null_fails, ct.finds('ct.t', rule, filter => 'id = 2') AS filtered, ct.finds('ct.none', rule) AS none
FROM unnest(ARRAY[depipe.distinct_values('s', '{new,paid}'), depipe.distinct_values('s', ARRAY['new']), depipe.distinct_values('s', contains => '{new,shipped}'), depipe.distinct_values('s', equals => '{new,paid}'),
	depipe.distinct_values('s', equals => '{paid,shipped,gone}'), depipe.distinct_values('s', '{new,paid,x}', contains => '{new}'), depipe.distinct_values('ci', equals => '{A,B}'), depipe.distinct_values('dc', '{x}'),
	depipe.distinct_values('we"ird', ARRAY[1, 2]), depipe.distinct_values('id', ARRAY[1, 2.0, 3, 4]), depipe.distinct_values('arr', '{"{1}","{}"}'), depipe.distinct_values('b', '{101,10}'), depipe.distinct_values('n', ARRAY[1.5, 2.5, 3.50])]::depipe.check[]) rule;
SELECT ct.finds('ct.t', rule) FROM unnest(ARRAY[depipe.distinct_values('s'), depipe.distinct_values('s', '{a}', equals => '{a}'), depipe.distinct_values('s', '{}'), depipe.distinct_values('j', '{1}'), depipe.distinct_values('id', '{x}'),
	depipe.distinct_values('s', ARRAY['a', NULL]), depipe.distinct_values('nope', '{a}')]::depipe.check[]) rule;
SELECT ct.finds('ct.t', rule) FROM unnest(ARRAY[depipe.row_count(4, 4), depipe.row_count(5), depipe.row_count(maximum => 3)]::depipe.check[]) rule;
SELECT ct.finds('ct.none', depipe.row_count(1)), ct.finds('ct.none', depipe.row_count(0));

-- columns
SELECT rule - 'kind' AS rule, ct.finds('ct.t', rule) FROM unnest(ARRAY[depipe.has_columns('{id,n}'), depipe.has_columns('{n,id}', '{numeric,int}'), depipe.has_columns('{n}', '{"numeric(6,2)"}'), depipe.has_columns('{n}', '{"numeric(6,3)"}'),
	depipe.has_columns(ARRAY['s', 'dc', 'we"ird', 'b', 'nope'], ARRAY['text', 'ct.code', 'bigint', 'bit', 'int']), depipe.has_columns('{dc,s}', '{varchar(4),varchar}'), depipe.has_columns('{b,ts}', '{bit(3),timestamp(0)}'), depipe.has_columns('{id,n}', exact => true),
	depipe.has_columns(ARRAY['id', 'n', 'f', 'ts', 'iv', 's', 'ci', 'dc', 'we"ird', 'arr', 'b', 'j'], exact => true), depipe.has_columns(ARRAY['n', 'id', 'f', 'ts', 'iv', 's', 'ci', 'dc', 'we"ird', 'arr', 'b', 'j'], exact => true)]::depipe.check[]) rule;
SELECT ct.finds('ct.t', rule) FROM unnest(ARRAY[depipe.has_columns(NULL), depipe.has_columns('{}'), depipe.has_columns('{a,a}'), depipe.has_columns('{a}', '{int,int}'), depipe.has_columns('{a}', '{nope}'), '{"kind": "has_columns", "columns": ["a"], "types": "int"}', '{"kind": "schema_unchanged", "x": 1}']::depipe.check[]) rule;
CREATE TABLE ct.s (id int PRIMARY KEY, a varchar(3), b int NOT NULL, c ct.code);
SELECT depipe.add_constraint('ct.s', depipe.schema_unchanged(), on_violation => 'warn', name => 'same');
SELECT outcome, violations, detail FROM depipe.check_table('ct.s');
ALTER TABLE ct.s ALTER a TYPE varchar(5), ALTER b DROP NOT NULL, DROP c, ADD "d""e" int, ADD e text NOT NULL DEFAULT '';
SELECT outcome, violations, detail FROM depipe.check_table('ct.s');
-- neither another property nor the same declaration accepts what is there; the rule does
SELECT depipe.alter_constraint('ct.s', 'same', description => 'of the contract');
SELECT depipe.add_constraint('ct.s', depipe.schema_unchanged(), on_violation => 'warn', name => 'same', description => 'of the contract');
SELECT outcome, violations FROM depipe.check_table('ct.s');
SELECT depipe.alter_constraint('ct.s', 'same', depipe.schema_unchanged());
SELECT outcome, violations, detail FROM depipe.check_table('ct.s');
-- the same columns in another order, as a table that is made again has them
DROP TABLE ct.s;
CREATE TABLE ct.s (a varchar(5), id int PRIMARY KEY, b int, "d""e" int, e text NOT NULL);
SELECT outcome, violations, detail FROM depipe.check_table('ct.s');
SELECT depipe.add_constraint('ct.s', depipe.schema_unchanged(), on_violation => 'warn', name => 'same', description => 'of the contract', replace => true);
SELECT outcome, violations FROM depipe.check_table('ct.s');
SELECT depipe.drop_constraint('ct.s', 'same');

-- changes: a table has none to look at
SELECT rule - 'kind' AS rule, ct.finds('ct.t', rule) FROM unnest(ARRAY[depipe.transition('new.n >= old.n'), depipe.change_limit(deletes => '1%')]::depipe.check[]) rule;
SELECT ct.finds('ct.t', rule) FROM unnest(ARRAY[depipe.transition('n > 1'), depipe.transition('new.n'), depipe.transition('new.nope > 1'), depipe.transition('new.n > (SELECT 1)'), depipe.transition('sum(new.n) > 1'), depipe.transition('random() > new.n'), depipe.transition('new IS NOT NULL'),
	depipe.transition('new.ctid = old.ctid'), depipe.transition('true) OR (true'), depipe.transition(''), depipe.transition(NULL), depipe.change_limit(), depipe.change_limit('x'), depipe.change_limit('-1'), depipe.change_limit('1.5'), depipe.change_limit('5%%'), depipe.change_limit('1e3')]::depipe.check[]) rule;
CREATE TABLE ct.base (id int PRIMARY KEY, status text, closed bool, n int, "q""x" text, big text);
INSERT INTO ct.base SELECT g, 'new', g <= 10, g, 'q', repeat('x', 3000) FROM generate_series(1, 100) g;
SELECT depipe.create_transform('ct.made', 'SELECT * FROM ct.base', key => '{id}');
SELECT status FROM depipe.refresh('ct.made');
SELECT depipe.add_constraint('ct.made', depipe.transition($$CASE old.status WHEN 'new' THEN new.status IN ('new', 'paid') WHEN 'paid' THEN new.status = 'paid' ELSE true END$$), name => 'legal', on_violation => 'reject');
SELECT depipe.add_constraint('ct.made', depipe.transition('old.closed IS NOT TRUE'), name => 'closed books', on_violation => 'reject');
SELECT depipe.add_constraint('ct.made', depipe.transition('old."q""x" = new."q""x" -- kept'), name => 'quoted', on_violation => 'reject');
SELECT depipe.add_constraint('ct.made', depipe.change_limit(deletes => '5%'), name => 'few deletes', on_violation => 'reject');
SELECT depipe.add_constraint('ct.made', depipe.change_limit(inserts => '3', updates => '50 %'), name => 'few changes', on_violation => 'reject', filter => 'n < 1000');
SELECT name, expression FROM depipe.constraint_definition WHERE name IN ('legal', 'quoted');
CREATE FUNCTION ct.does(statement text, target text DEFAULT 'ct.made') RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	before bigint := (SELECT COALESCE(max(verdict_id), 0) FROM depipe.verdict);
BEGIN
	EXECUTE statement;
	RETURN QUERY SELECT r.status || COALESCE(': ' || r.reason, '') FROM depipe.refresh(does.target) r;
	RETURN QUERY SELECT concat_ws(' ', v.constraint_name, v.outcome, v.violations || ' of ' || v.evaluated, v.detail) FROM depipe.verdict v WHERE verdict_id > before AND v.outcome <> 'pass' ORDER BY verdict_id;
END
$$;
SELECT ct.does($$UPDATE ct.base SET status = 'paid' WHERE id = 11$$);
SELECT ct.does($$UPDATE ct.base SET status = 'new' WHERE id = 11$$);
SELECT ct.does($$UPDATE ct.base SET status = 'paid' WHERE id = 11$$);
-- an insert has no old image, and a delete no new one
SELECT ct.does($$INSERT INTO ct.base VALUES (101, 'shipped', false, 101, 'q')$$);
SELECT ct.does($$DELETE FROM ct.base WHERE id = 1$$);
SELECT ct.does($$INSERT INTO ct.base VALUES (1, 'new', true, 1, 'q', repeat('x', 3000))$$);
SELECT ct.does($$UPDATE ct.base SET "q""x" = 'r' WHERE id = 11$$);
SELECT ct.does($$UPDATE ct.base SET "q""x" = 'q' WHERE id = 11$$);
-- exactly 5 % of 100 rows, then one more
SELECT ct.does($$DELETE FROM ct.base WHERE id = 101$$);
SELECT ct.does($$DELETE FROM ct.base WHERE id > 95$$);
SELECT ct.does($$DELETE FROM ct.base WHERE id > 90$$);
SELECT ct.does($$INSERT INTO ct.base SELECT g, 'new', false, g, 'q', repeat('x', 3000) FROM generate_series(91, 95) g$$);
-- inserts: a number; updates: a percentage of the rows that the filter has
SELECT ct.does($$INSERT INTO ct.base SELECT g, 'new', false, g, 'q' FROM generate_series(201, 204) g$$);
SELECT ct.does($$DELETE FROM ct.base WHERE id = 204$$);
SELECT ct.does($$UPDATE ct.base SET n = n + 0, big = 'y' WHERE id BETWEEN 11 AND 59$$);
SELECT ct.does($$UPDATE ct.base SET big = 'z' WHERE id BETWEEN 11 AND 60$$);
SELECT ct.does($$UPDATE ct.base SET big = 'y' WHERE id = 60$$);
-- the mass delete that must not pass: TRUNCATE, and a refresh of the whole table as one batch
SELECT ct.does('TRUNCATE ct.base');
SELECT count(*) FROM ct.made;
INSERT INTO ct.base SELECT * FROM ct.made;
SELECT depipe.reset('ct.made', 'test');
SELECT ct.does('SELECT 1');
-- rows without a key
SELECT depipe.create_transform('ct.bag', 'SELECT status, n % 10 AS m FROM ct.base');
SELECT status FROM depipe.refresh('ct.bag');
SELECT depipe.add_constraint('ct.bag', depipe.change_limit(deletes => '10%'), name => 'deletes', on_violation => 'reject');
SELECT depipe.add_constraint('ct.bag', depipe.transition('new.status IS NOT NULL OR old.m < 9'), name => 'nines', on_violation => 'reject');
SELECT ct.does($$UPDATE ct.base SET status = NULL WHERE id IN (30, 40)$$, 'ct.bag');
SELECT ct.does($$UPDATE ct.base SET status = 'new', n = 9 WHERE id IN (30, 40)$$, 'ct.bag');
-- the table is replaced: rows that come again are no changes, others are
SELECT depipe.create_transform('ct.bag', 'SELECT status, n % 10 AS m FROM ct.base WHERE n <> 49', replace => true);
SELECT ct.does('SELECT 1', 'ct.bag');
SELECT depipe.create_transform('ct.bag', 'SELECT status, n % 10 AS m FROM ct.base', replace => true);
SELECT ct.does('SELECT 1', 'ct.bag');
SELECT ct.does($$DELETE FROM ct.base WHERE id = 49$$, 'ct.bag');
SELECT ct.does($$DELETE FROM ct.base WHERE id % 10 < 5$$, 'ct.bag');
-- what changes rows behind the batch: not known, and not passed
CREATE FUNCTION ct.meddle() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN new.n := 7; RETURN new; END';
SELECT depipe.create_transform('ct.watched', 'SELECT id, n FROM ct.base', key => '{id}');
SELECT status FROM depipe.refresh('ct.watched');
CREATE TRIGGER meddle BEFORE INSERT OR UPDATE ON ct.watched FOR EACH ROW EXECUTE FUNCTION ct.meddle();
ALTER TABLE ct.watched ENABLE ALWAYS TRIGGER meddle;
SELECT depipe.add_constraint('ct.watched', depipe.change_limit(updates => '1'), name => 'updates', on_violation => 'reject');
SELECT ct.does($$UPDATE ct.base SET n = 5 WHERE id = 5$$, 'ct.watched');
SELECT ct.does($$INSERT INTO ct.base (id, n) VALUES (500, 5)$$, 'ct.watched');
SELECT count(depipe.drop_transform(t, drop_table => true)) FROM unnest('{ct.watched,ct.bag,ct.made}'::text[]) t;
DROP SCHEMA ct CASCADE;
