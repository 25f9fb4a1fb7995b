--
-- Transforms: definitions, first contents, differences, and what is refused.
--
CREATE SCHEMA raw;
CREATE SCHEMA mart;

-- SQLSTATE and message of a statement that must fail
CREATE FUNCTION public.raises(statement text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	hint text;
BEGIN
	EXECUTE statement;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
	RETURN SQLSTATE || ': ' || SQLERRM || CASE WHEN hint <> '' THEN ' | ' || hint ELSE '' END;
END
$$;

CREATE TABLE raw.orders (
	id integer PRIMARY KEY,
	region text,
	day date NOT NULL,
	amount numeric,
	note json
);
CREATE TABLE raw.customers (id integer PRIMARY KEY, name text);
INSERT INTO raw.orders VALUES
	(1, 'north', '2026-01-01', 10.50, '{"a": 1}'),
	(2, 'north', '2026-01-01', 4.5, NULL),
	(3, 'south', '2026-01-02', 7, '{}'),
	(4, NULL, '2026-01-02', 1, '[]');

-- first contents are there at once; the key is inferred
SELECT depipe.create_transform('mart.sales', $$
	SELECT region, count(*) AS orders, sum(amount) AS amount FROM raw.orders GROUP BY region
$$);
SELECT * FROM mart.sales ORDER BY region;
\d mart.sales
SELECT target, state, key_columns, mode, populated, inputs FROM depipe.transforms;
SELECT query_sql FROM depipe.transforms;

-- only what differs is written: rows that stay keep their place
CREATE TABLE places AS SELECT region, ctid AS place FROM mart.sales;
UPDATE raw.orders SET amount = amount + 1 WHERE id = 3;
DELETE FROM raw.orders WHERE id = 4;
INSERT INTO raw.orders VALUES (5, 'west', '2026-01-03', 2, NULL);
SELECT target, kind, status, strategy, reason, rows_in, inserted, updated, deleted
FROM depipe.refresh('mart.sales');
SELECT s.*, s.ctid = p.place AS stayed
FROM mart.sales s LEFT JOIN places p USING (region) ORDER BY region;
SELECT status, strategy, inserted, updated, deleted FROM depipe.refresh('mart.sales');

-- the table equals the query to the image: 15.0 and 15.00 differ
UPDATE raw.orders SET amount = 4.50 WHERE id = 2;
SELECT status, updated FROM depipe.refresh('mart.sales');
UPDATE raw.orders SET amount = 5 WHERE id = 2;
UPDATE raw.orders SET amount = 10 WHERE id = 1;
SELECT status, updated FROM depipe.refresh('mart.sales');
SELECT amount FROM mart.sales WHERE region = 'north';

-- a null key is a key
INSERT INTO raw.orders VALUES (6, NULL, '2026-01-03', 3, NULL);
SELECT status, inserted, updated, deleted FROM depipe.refresh('mart.sales');
UPDATE raw.orders SET amount = 4 WHERE id = 6;
SELECT status, inserted, updated, deleted FROM depipe.refresh('mart.sales');
SELECT * FROM mart.sales WHERE region IS NULL;
DELETE FROM raw.orders WHERE id = 6;
SELECT status, inserted, updated, deleted FROM depipe.refresh('mart.sales');

-- bags: no key, duplicates, types without equality
SELECT depipe.create_transform('mart.bag', 'SELECT region, day, note, amount FROM raw.orders');
INSERT INTO raw.orders SELECT 10 + i, 'twin', '2026-02-01', 1.0, '{"t": 1}' FROM generate_series(1, 3) i;
SELECT status, inserted, updated, deleted FROM depipe.refresh('mart.bag');
DELETE FROM raw.orders WHERE id = 11;
UPDATE raw.orders SET note = '{"t":1}' WHERE id = 12;
UPDATE raw.orders SET amount = 1.00 WHERE id = 13;
SELECT status, inserted, updated, deleted FROM depipe.refresh('mart.bag');
SELECT * FROM mart.bag WHERE region = 'twin' ORDER BY note::text, amount::text;
SELECT depipe.create_transform('mart.days', 'SELECT day FROM raw.orders');
DELETE FROM raw.orders WHERE id IN (12, 13);
INSERT INTO raw.orders VALUES (14, NULL, '2026-02-01', NULL, NULL);
SELECT target, status, inserted, updated, deleted FROM depipe.refresh('mart.*');
SELECT day, count(*) FROM mart.days GROUP BY 1 ORDER BY 1;

-- keys: DISTINCT, UNION, the primary key of one table, declared, declared away
SELECT depipe.create_transform('mart.k_distinct', 'SELECT DISTINCT day, region FROM raw.orders');
SELECT depipe.create_transform('mart.k_union', 'SELECT id FROM raw.orders UNION SELECT id FROM raw.customers');
SELECT depipe.create_transform('mart.k_union_all', 'SELECT id FROM raw.orders UNION ALL SELECT id FROM raw.customers');
SELECT depipe.create_transform('mart.k_primary', 'SELECT amount, id AS order_id FROM raw.orders WHERE day IS NOT NULL');
SELECT depipe.create_transform('mart.k_lost', 'SELECT amount, id + 1 AS id FROM raw.orders');
SELECT depipe.create_transform('mart.k_hidden', 'SELECT count(*) AS n FROM raw.orders GROUP BY region');
SELECT depipe.create_transform('mart.k_sets', 'SELECT day, region, count(*) AS n FROM raw.orders GROUP BY ROLLUP (day, region)');
SELECT depipe.create_transform('mart.k_on', 'SELECT DISTINCT ON (day) day, id FROM raw.orders ORDER BY day, id');
SELECT depipe.create_transform('mart.k_declared', 'SELECT o.id, c.name FROM raw.orders o LEFT JOIN raw.customers c USING (id)', key => '{id}');
SELECT depipe.create_transform('mart.k_none', 'SELECT id FROM raw.orders', key => '{}');
SELECT depipe.create_transform('mart.k_rows', 'SELECT id, row_number() OVER (ORDER BY day) AS n FROM raw.orders');
SELECT target, key_columns FROM depipe.transforms WHERE target LIKE 'mart.k\_%' ORDER BY target;

-- a key that is none
SELECT public.raises($$SELECT depipe.create_transform('mart.twice', 'SELECT day, id FROM raw.orders', key => '{day}')$$);
SELECT to_regclass('mart.twice'), count(*) FROM depipe.transforms WHERE target = 'mart.twice';
SELECT depipe.create_transform('mart.twice', 'SELECT region, id FROM raw.orders WHERE id < 3', key => '{id}');
SELECT depipe.create_transform('mart.later', 'SELECT day, max(id) OVER (PARTITION BY day) AS top FROM raw.orders WHERE id = 1', key => '{day}');
INSERT INTO raw.orders VALUES (0, 'x', '2026-01-01', 0, NULL);
SELECT depipe.create_transform('mart.later', 'SELECT day, max(id) OVER (PARTITION BY day) AS top FROM raw.orders WHERE id < 2', key => '{day}', replace => true, populate => false);
SELECT status, reason FROM depipe.refresh('mart.later');
SELECT error_sqlstate, error_message, error_hint FROM depipe.runs WHERE target = 'mart.later' ORDER BY run_id DESC LIMIT 1;
SELECT state, next FROM depipe.status WHERE target = 'mart.later';
DELETE FROM raw.orders WHERE id = 0;
SELECT status, reason FROM depipe.refresh('mart.later');
SELECT state, next FROM depipe.status WHERE target = 'mart.later';

-- volatile queries are replaced as a whole, stable ones are compared
SELECT depipe.create_transform('mart.volatile', 'SELECT id, random() < 2 AS yes FROM raw.orders');
SELECT status, strategy, reason, inserted = deleted AS replaced FROM depipe.refresh('mart.volatile');
SELECT depipe.create_transform('mart.stable', 'SELECT id, now() IS NOT NULL AS yes FROM raw.orders');
SELECT status, strategy, reason FROM depipe.refresh('mart.stable');
SELECT depipe.create_transform('mart.full', 'SELECT id FROM raw.orders', mode => 'full');
SELECT status, strategy, reason, inserted = deleted AS replaced FROM depipe.refresh('mart.full');
SELECT strategy, possible, chosen, reason FROM depipe.explain_transform('mart.volatile');
SELECT strategy, possible, chosen, reason FROM depipe.explain_transform('mart.sales');

-- direct changes are refused
INSERT INTO mart.sales VALUES ('here', 1, 1);
UPDATE mart.sales SET orders = 0;
DELETE FROM mart.sales;
TRUNCATE mart.sales;
COPY mart.sales FROM stdin;
\.
MERGE INTO mart.sales USING raw.customers c ON false WHEN NOT MATCHED THEN INSERT VALUES (c.name);
SET session_replication_role = replica;
DELETE FROM mart.sales;
RESET session_replication_role;
BEGIN;
SET LOCAL depipe.allow_target_dml = on;
DELETE FROM mart.sales WHERE region = 'west';
SELECT status, inserted FROM depipe.refresh('mart.sales');
ROLLBACK;

-- columns of all kinds, and names that need care
CREATE TYPE raw.mood AS ENUM ('sad', 'happy');
CREATE DOMAIN raw.percent AS numeric CHECK (VALUE BETWEEN 0 AND 100);
CREATE TYPE raw.pair AS (a integer, b text);
CREATE SCHEMA "We ird";
CREATE TABLE "We ird"."ta""b.le" (
	"sel ect" integer PRIMARY KEY,
	m raw.mood, p raw.percent, c raw.pair, a text[], v varchar(5), f float8, t timestamptz, b bytea,
	x xml, r int4range, j jsonb, "ünï" text COLLATE "C");
INSERT INTO "We ird"."ta""b.le" VALUES
	(1, 'sad', 5, '(1,x)', '{a,NULL}', 'abc', 0.1, '2026-01-01 00:00+00', '\x00ff', '<a/>', '[1,3)', '{"k": 1}', 'ü'),
	(2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
SELECT depipe.create_transform('"We ird"."co''py"', 'SELECT * FROM "We ird"."ta""b.le"');
SELECT depipe.create_transform('"We ird"."bag"', 'SELECT m, p, c, a, v, f, t, b, x, r, j, "ünï" FROM "We ird"."ta""b.le"');
\d "We ird"."co'py"
UPDATE "We ird"."ta""b.le" SET m = 'happy', c = '(1,y)', a = '{a}', f = '-0', "ünï" = E'u\n''' WHERE "sel ect" = 1;
UPDATE "We ird"."ta""b.le" SET c = '(,)', f = 'NaN' WHERE "sel ect" = 2;
SELECT status, inserted, updated, deleted FROM depipe.refresh('"We ird"."co''py"');
SELECT status, inserted, updated, deleted FROM depipe.refresh('"We ird".bag');
SELECT * FROM depipe.verify('"We ird"."co''py"');
SELECT * FROM depipe.verify('"We ird".bag');
SELECT depipe.create_transform('mart.' || repeat('n', 63), 'SELECT id FROM raw.orders WHERE id < 0');
SELECT status FROM depipe.refresh('mart.' || repeat('n', 63));

-- a table that is there already
CREATE TABLE mart.present (n bigint, region text, twice bigint GENERATED ALWAYS AS (n * 2) STORED);
INSERT INTO mart.present VALUES (99, 'old'), (2, 'north');
CREATE VIEW mart.reader AS SELECT * FROM mart.present;
SELECT depipe.create_transform('mart.present', 'SELECT region, count(*) AS n FROM raw.orders GROUP BY 1');
SELECT strategy, inserted, updated, deleted FROM depipe.runs WHERE target = 'mart.present';
SELECT * FROM mart.reader ORDER BY region;
CREATE TABLE mart.other (n integer, region text);
SELECT public.raises($$SELECT depipe.create_transform('mart.other', 'SELECT region, count(*) AS n FROM raw.orders GROUP BY 1')$$);
CREATE TABLE mart.more (n bigint, region text, more text);
SELECT public.raises($$SELECT depipe.create_transform('mart.more', 'SELECT region, count(*) AS n FROM raw.orders GROUP BY 1')$$);
SELECT public.raises($$SELECT depipe.create_transform('mart.reader', 'SELECT 1 AS n')$$);

-- declared again: the same is a notice, another an error, unless replace
SELECT depipe.create_transform('mart.days', 'SELECT day FROM raw.orders ;');
SELECT depipe.create_transform('mart.days', 'SELECT day FROM raw.orders', target_lag => '1 hour');
SELECT depipe.create_transform('mart.days', 'SELECT DISTINCT day FROM raw.orders');
SELECT depipe.create_transform('mart.days', 'SELECT day, count(*) AS n FROM raw.orders GROUP BY day', target_lag => '60 min', replace => true);
SELECT depipe.create_transform('mart.days', 'SELECT day, count(*) AS n FROM raw.orders GROUP BY day', target_lag => '1 hour');
SELECT * FROM mart.days ORDER BY day;
\d mart.days
SELECT depipe.create_transform('mart.days', 'SELECT day::text, count(*) AS n FROM raw.orders GROUP BY day', key => '{}', replace => true);
\d mart.days
SELECT * FROM mart.days ORDER BY day;

-- altered: what is not given stays, and what it means for the table is said
SELECT depipe.create_transform('mart.altered', 'SELECT id, amount FROM raw.orders', target_lag => '1 hour', on_stale => 'block');
SELECT depipe.alter_transform('mart.altered');
SELECT depipe.alter_transform('mart.altered', mode => 'full', on_stale => 'publish');
SELECT depipe.alter_transform('mart.altered', query => 'SELECT id, amount * 2 AS amount FROM raw.orders', mode => 'auto', dry_run => true);
SELECT depipe.alter_transform('mart.altered', query => 'SELECT id, amount * 2 AS amount FROM raw.orders', mode => 'auto');
SELECT depipe.alter_transform('mart.altered', query => 'SELECT id, amount * 2 AS amount, region FROM raw.orders', dry_run => true);
SELECT depipe.alter_transform('mart.altered', query => 'SELECT id, amount * 2 AS amount, region FROM raw.orders');
SELECT depipe.alter_transform('mart.altered', query => 'SELECT region, max(amount) AS amount FROM raw.orders GROUP BY region', dry_run => true);
SELECT * FROM mart.altered ORDER BY id;
SELECT depipe.alter_transform('mart.altered', query => 'SELECT region, max(amount) AS amount FROM raw.orders GROUP BY region');
SELECT * FROM mart.altered ORDER BY region;
SELECT query_text, key_columns, mode, target_lag, on_stale FROM depipe.transforms WHERE target = 'mart.altered';
SELECT public.raises($$SELECT depipe.alter_transform(NULL)$$);
SELECT public.raises($$SELECT depipe.alter_transform('raw.orders')$$);
SELECT public.raises($$SELECT depipe.alter_transform('mart.altered', mode => 'slow')$$);
SELECT public.raises($$SELECT depipe.alter_transform('mart.altered', key => '{nothing}')$$);
SELECT public.raises($$SELECT depipe.alter_transform('mart.altered', query => 'SELECT * FROM mart.altered')$$);

-- populate => false
SELECT depipe.create_transform('mart.empty', 'SELECT id FROM raw.orders', populate => false);
SELECT count(*) FROM mart.empty;
SELECT state, populated FROM depipe.transforms WHERE target = 'mart.empty';
SELECT state, next FROM depipe.status WHERE target = 'mart.empty';
SELECT status, strategy, reason FROM depipe.refresh('mart.empty');

-- an error of the query is the run's, and nothing changes
SELECT depipe.create_transform('mart.ratio', 'SELECT id, 100 / (id - 4) AS r FROM raw.orders');
SELECT public.raises($$SELECT depipe.create_transform('mart.division', 'SELECT 1 / (id - 1) AS r FROM raw.orders')$$);
SELECT to_regclass('mart.division');
INSERT INTO raw.orders VALUES (4, 'zero', '2026-03-01', 0, NULL);
SELECT status, reason FROM depipe.refresh('mart.ratio');
SELECT status, error_sqlstate FROM depipe.runs WHERE target = 'mart.ratio' ORDER BY run_id DESC LIMIT 1;
DELETE FROM raw.orders WHERE id = 4;
SELECT status FROM depipe.refresh('mart.ratio');

-- the columns of the query change under it
SELECT depipe.create_transform('mart.wide', 'SELECT id, amount FROM raw.orders');
ALTER TABLE raw.orders ALTER COLUMN amount TYPE text;
SELECT status, reason FROM depipe.refresh('mart.wide');
ALTER TABLE raw.orders ALTER COLUMN amount TYPE numeric USING amount::numeric;
SELECT status, reason FROM depipe.refresh('mart.wide');

-- what is refused
SELECT number, public.raises(format('SELECT depipe.create_transform(%L, %L)', 'mart.bad' || number, query))
FROM unnest(ARRAY[
	'', ';', 'SELECT', 'SELEC 1', 'SELECT 1 AS a; SELECT 2 AS a',
	'SELECT 1 AS a INTO mart.b', 'CREATE TABLE mart.b (a int)', 'INSERT INTO raw.customers VALUES (9)',
	'SELECT id FROM raw.orders FOR UPDATE', 'SELECT * FROM (SELECT id FROM raw.orders FOR SHARE) o',
	'WITH d AS (DELETE FROM raw.orders RETURNING id) SELECT id FROM d',
	'SELECT $1 AS a', 'SELECT 1 AS a, 2 AS a', 'SELECT o.*, c.* FROM raw.orders o, raw.customers c',
	'SELECT 1 AS _depipe_a', 'SELECT ROW(1, 2) AS a',
	'SELECT nothing FROM raw.orders', 'SELECT * FROM raw.nothing', 'SELECT * FROM mart.bad19',
	'EXPLAIN SELECT 1', 'SELECT 1 AS a WHERE', 'SELECT 1/0 AS a']) WITH ORDINALITY AS v (query, number);
SELECT count(*) FROM depipe.transforms WHERE target LIKE 'mart.bad%';
SELECT depipe.create_transform('mart.literal', 'VALUES (1, NULL), (2, ''b'')');
TABLE mart.literal;
SELECT public.raises($$SELECT depipe.create_transform('mart.literal', 'SELECT * FROM mart.literal', replace => true)$$);
CREATE TEMP TABLE passing (a integer);
SELECT public.raises($$SELECT depipe.create_transform('mart.temp', 'SELECT * FROM passing')$$);
SELECT public.raises($$SELECT depipe.create_transform('pg_temp.temp', 'SELECT 1 AS a')$$);
SELECT public.raises(statement) FROM (VALUES
	($$SELECT depipe.create_transform(NULL, 'SELECT 1 AS a')$$),
	($$SELECT depipe.create_transform('mart.x', NULL)$$),
	($$SELECT depipe.create_transform('mart.x', 'SELECT 1 AS a', mode => NULL)$$),
	($$SELECT depipe.create_transform('mart.x', 'SELECT 1 AS a', on_stale => NULL)$$),
	($$SELECT depipe.create_transform('mart.x', 'SELECT 1 AS a', populate => NULL)$$),
	($$SELECT depipe.create_transform('mart.x', 'SELECT 1 AS a', replace => NULL)$$),
	($$SELECT depipe.create_transform('', 'SELECT 1 AS a')$$),
	($$SELECT depipe.create_transform('a.b.c', 'SELECT 1 AS a')$$),
	($$SELECT depipe.create_transform('nowhere.x', 'SELECT 1 AS a')$$),
	($$SELECT depipe.create_transform('pg_catalog.x', 'SELECT 1 AS a')$$),
	($$SELECT depipe.create_transform('depipe.x', 'SELECT 1 AS a')$$),
	($$SELECT depipe.create_transform('mart.x', 'SELECT 1 AS a', mode => 'fast')$$),
	($$SELECT depipe.create_transform('mart.x', 'SELECT 1 AS a', on_incomplete => 'wait')$$),
	($$SELECT depipe.create_transform('mart.x', 'SELECT 1 AS a', on_stale => '')$$),
	($$SELECT depipe.create_transform('mart.x', 'SELECT 1 AS a', target_lag => '-1 s')$$),
	($$SELECT depipe.create_transform('mart.x', 'SELECT 1 AS a', key => '{b}')$$),
	($$SELECT depipe.create_transform('mart.x', 'SELECT 1 AS a', key => '{a,a}')$$),
	($$SELECT depipe.create_transform('mart.x', 'SELECT 1 AS a', key => '{NULL}')$$),
	($$SELECT depipe.create_transform('mart.x', 'SELECT 1 AS a', key => '{{a},{a}}')$$),
	($$SELECT depipe.create_transform('mart.x', 'SELECT ''1''::json AS a', key => '{a}')$$),
	($$SELECT depipe.create_transform('mart.x', 'SELECT 1 AS a', mode => 'incremental')$$),
	($$SELECT depipe.drop_transform(NULL)$$),
	($$SELECT depipe.drop_transform('mart.none')$$),
	($$SELECT depipe.drop_transform('raw.orders')$$),
	($$SELECT depipe.drop_transform('mart.sales', NULL)$$),
	($$SELECT * FROM depipe.explain_transform(NULL)$$),
	($$SELECT * FROM depipe.explain_transform('raw.orders')$$),
	($$SELECT depipe.refuse_dml()$$),
	($$SELECT depipe.names_changed()$$)) v (statement);
SELECT to_regclass('mart.x'), count(*) FROM depipe.transforms WHERE target = 'mart.x';

-- rights: the owner reads the inputs, nobody else may touch the definition
CREATE ROLE regress_dp_owner LOGIN;
CREATE ROLE regress_dp_other LOGIN;
CREATE ROLE regress_dp_group NOLOGIN;
GRANT USAGE ON SCHEMA raw, mart TO regress_dp_owner, regress_dp_other, regress_dp_group;
GRANT USAGE ON SCHEMA public TO regress_dp_owner, regress_dp_other, regress_dp_group;
SET ROLE regress_dp_owner;
SELECT public.raises($$SELECT depipe.create_transform('mart.mine', 'SELECT id FROM raw.orders')$$);
RESET ROLE;
GRANT CREATE ON SCHEMA mart TO regress_dp_owner, regress_dp_group;
SET ROLE regress_dp_owner;
SELECT public.raises($$SELECT depipe.create_transform('mart.mine', 'SELECT id FROM raw.orders')$$);
SELECT public.raises($$SELECT depipe.create_transform('mart.mine', 'SELECT id FROM raw.orders', populate => false)$$);
SELECT public.raises($$SELECT depipe.create_transform('mart.other', 'SELECT 1 AS n, ''''::text AS region')$$);
RESET ROLE;
GRANT SELECT ON raw.orders TO regress_dp_owner;
SET ROLE regress_dp_owner;
SELECT depipe.create_transform('mart.mine', 'SELECT id, current_user::text AS who FROM raw.orders WHERE id = 1');
SELECT tableowner FROM pg_tables WHERE tablename = 'mine';
SELECT target, owner FROM depipe.transforms;
SELECT public.raises($$DELETE FROM mart.mine$$);
SELECT public.raises($$SET depipe.allow_target_dml = on$$);
RESET ROLE;
SELECT status FROM depipe.refresh('mart.mine');
SELECT who FROM mart.mine;
SET ROLE regress_dp_other;
SELECT public.raises($$SELECT depipe.drop_transform('mart.mine')$$);
SELECT public.raises($$SELECT depipe.create_transform('mart.mine', 'SELECT 1 AS id', replace => true)$$);
SELECT public.raises($$SELECT * FROM depipe.refresh('mart.mine')$$);
SELECT public.raises($$SELECT * FROM depipe.verify('mart.mine')$$);
SELECT public.raises($$SELECT * FROM depipe.explain_transform('mart.mine')$$);
SELECT count(*) FROM depipe.transforms;
SELECT count(*) FROM depipe.status;
SELECT count(*) FROM depipe.lineage;
RESET ROLE;
SET ROLE regress_dp_group;
SELECT public.raises($$SELECT depipe.create_transform('mart.group', 'SELECT 1 AS a')$$);
RESET ROLE;
REVOKE SELECT ON raw.orders FROM regress_dp_owner;
SELECT status, reason FROM depipe.refresh('mart.mine');

-- dropping
SELECT depipe.drop_transform('mart.sales');
INSERT INTO mart.sales VALUES ('free', 1, 1);
SELECT count(*) FROM depipe.transforms WHERE target = 'mart.sales';
SELECT depipe.drop_transform('mart.present', drop_table => true);
DROP VIEW mart.reader;
SELECT depipe.drop_transform('mart.present', drop_table => true);
SELECT to_regclass('mart.present');

SET client_min_messages = warning;
DROP EXTENSION depipe;
INSERT INTO mart.bag VALUES (NULL, NULL, NULL, NULL);
DROP SCHEMA raw, mart, "We ird" CASCADE;
DROP FUNCTION public.raises(text);
DROP TABLE places;
REVOKE USAGE ON SCHEMA public FROM regress_dp_owner, regress_dp_other, regress_dp_group;
DROP ROLE regress_dp_owner, regress_dp_other, regress_dp_group;
CREATE EXTENSION depipe;
