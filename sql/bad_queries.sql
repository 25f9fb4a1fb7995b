--
-- Queries that create_transform must refuse, or must serve although they look odd: each answer is an error of its own
-- class that says what to do, or a table that equals the query. What is refused leaves nothing behind.
--
SET client_min_messages TO warning;
CREATE SCHEMA bq;
CREATE TABLE bq.t (id integer PRIMARY KEY, k integer, b text, gone text, at timestamptz);
ALTER TABLE bq.t DROP COLUMN gone;
INSERT INTO bq.t VALUES (1, 1, 'x', '2020-01-01'), (2, 1, 'y', '2020-01-02'), (3, 2, NULL, NULL);
CREATE TYPE bq.pair AS (a integer, b text);
CREATE VIEW bq.barrier WITH (security_barrier) AS SELECT id, k FROM bq.t WHERE k = 1;
CREATE VIEW bq.invoker WITH (security_invoker) AS SELECT id, k FROM bq.t;
CREATE TABLE bq.guarded (id integer, k integer);
ALTER TABLE bq.guarded ENABLE ROW LEVEL SECURITY;
CREATE TABLE bq.wide (id integer);
CREATE TABLE bq.none ();
CREATE TEMP TABLE passing (id integer);
CREATE FUNCTION bq.records() RETURNS SETOF record LANGUAGE sql AS 'SELECT 1, 2';
CREATE FUNCTION bq.moody(integer) RETURNS integer VOLATILE LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION bq.calm(integer) RETURNS integer STABLE LANGUAGE sql AS 'SELECT $1';

-- What create_transform says, with the text at the position of the error, and the hint; or how many rows the table lacks
-- or has too many after changes.
CREATE FUNCTION bq.try(query text, arguments text DEFAULT '') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	said text;
	state text;
	hint text;
	detail text;
	existed regclass := to_regclass('bq.x');
	before bigint := (SELECT count(*) FROM depipe.target) + (SELECT count(*) FROM depipe.event);
BEGIN
	BEGIN
		EXECUTE format('SELECT depipe.create_transform(''bq.x'', %L%s)', query, arguments);
	EXCEPTION WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, said = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT, detail = PG_EXCEPTION_DETAIL;
		IF (to_regclass('bq.x') IS NOT NULL AND existed IS NULL) OR before <> (SELECT count(*) FROM depipe.target) + (SELECT count(*) FROM depipe.event) THEN
			said := said || ' (and something is left)';
		END IF;
		RETURN state || ': ' || left(said, 150) || COALESCE('; ' || left(NULLIF(detail, ''), 200), '') || COALESCE('; hint: ' || left(NULLIF(hint, ''), 200), '');
	END;
	UPDATE bq.t SET k = k + 1, b = b || 'z' WHERE id = 2;
	SELECT status || CASE WHEN r.error_message IS NULL THEN '' ELSE ': ' || r.error_message END INTO said FROM depipe.refresh('bq.x') f
		LEFT JOIN LATERAL (SELECT error_message FROM depipe.runs WHERE target = 'bq.x' AND status = 'failed') r ON true;
	BEGIN
		said := said || ', differences: ' || (SELECT count(*) FROM depipe.verify('bq.x'));
	EXCEPTION WHEN feature_not_supported THEN
		said := said || ', not verified';
	END;
	PERFORM depipe.drop_transform('bq.x', true);
	UPDATE bq.t SET k = k - 1, b = 'y' WHERE id = 2;
	RETURN 'accepted, ' || said;
END
$$;

\x on
\pset format unaligned
-- not one SELECT
SELECT left(q, 60) AS query, bq.try(q) AS answer FROM unnest(ARRAY['SELECT id FROM bq.t; SELECT 2', 'SELECT id INTO bq.y FROM bq.t', 'SELECT id FROM bq.t FOR UPDATE',
	'SELECT x.id FROM (SELECT id FROM bq.t FOR SHARE) x', 'WITH x AS (UPDATE bq.t SET k = 1 RETURNING id) TABLE x', 'SELECT $1 AS p FROM bq.t', 'SELECT :id FROM bq.t',
	'SELECT id FROM bq.t WHERE', 'SELECT id, FROM bq.t', 'SELECT id FROM bq.x', 'MERGE INTO bq.t USING bq.wide w ON t.id = w.id WHEN MATCHED THEN DELETE']) q;
-- where the error is
\set VERBOSITY default
SELECT depipe.create_transform('bq.x', 'SELECT id, FROM bq.t');
SELECT depipe.create_transform('bq.x', E'SELECT id,\n  nosuch FROM bq.t');
SELECT depipe.create_transform('bq.x', E'WITH a AS (SELECT 1), x AS (DELETE FROM bq.t RETURNING id)\n  SELECT id FROM x');
SELECT depipe.create_transform('bq.x', E'SELECT id FROM bq.t\n  ORDER BY id LIMIT 1', mode => 'incremental');
-- columns
SELECT left(q, 60) AS query, bq.try(q) AS answer FROM unnest(ARRAY['SELECT FROM bq.t', 'SELECT * FROM bq.none', 'SELECT id + 1, k + 1 FROM bq.t', 'SELECT id + 1 FROM bq.t',
	'SELECT count(*), count(*) FROM bq.t', 'SELECT 1 AS "" FROM bq.t', 'SELECT * FROM bq.t', 'SELECT t FROM bq.t', 'SELECT t.*, t FROM bq.t', 'SELECT x FROM (SELECT id, k FROM bq.t) x',
	'SELECT ROW(id, k) AS r FROM bq.t', 'SELECT (id, b)::bq.pair AS p FROM bq.t', 'SELECT ''literal'' AS l, NULL AS n FROM bq.t', 'SELECT ARRAY[]::integer[] AS a FROM bq.t',
	'SELECT r FROM bq.records() r', 'SELECT r FROM bq.records() AS r (a integer, b integer)', 'SELECT a FROM bq.records() AS r (a integer, b integer)',
	'SELECT NULL::cstring AS c', 'SELECT pg_sleep(0) AS v FROM bq.t', 'SELECT id AS xmin FROM bq.t', 'SELECT id AS _depipe_weight FROM bq.t',
	'SELECT id AS ' || repeat('n', 64) || ' FROM bq.t', 'SELECT id AS ' || repeat('n', 63) || ', k AS ' || repeat('n', 64) || ' FROM bq.t']) q;
SELECT n, bq.try('SELECT ' || string_agg('id AS c' || i, ', ' ORDER BY i) || ' FROM bq.t') AS answer FROM unnest(ARRAY[1600, 1601, 1665]) n, generate_series(1, n) i GROUP BY n ORDER BY n;
SELECT bq.try('SELECT ' || string_agg(quote_literal(repeat('w', 100)) || '::text || id AS c' || i, ', ' ORDER BY i) || ' FROM bq.t') AS too_wide FROM generate_series(1, 600) i;
-- inputs
SELECT left(q, 60) AS query, bq.try(q) AS answer FROM unnest(ARRAY['SELECT id FROM passing', 'SELECT id FROM pg_temp.passing', 'SELECT count(*) AS n FROM pg_am', 'SELECT nspname FROM pg_namespace WHERE nspname = ''bq''',
	'SELECT id FROM bq.barrier', 'SELECT id, k FROM bq.invoker', 'SELECT id FROM bq.guarded', 'SELECT id FROM bq.t TABLESAMPLE BERNOULLI (100) REPEATABLE (1)',
	'SELECT count(*) AS n FROM bq.t TABLESAMPLE BERNOULLI (100)', 'SELECT id FROM ONLY bq.t', 'SELECT count(*) AS n FROM depipe.target WHERE false', 'SELECT ctid AS c, id FROM bq.t',
	'SELECT last_value FROM bq.nosuch_seq', 'SELECT id FROM nosuch.t', 'SELECT nosuch FROM bq.t', 'SELECT id FROM bq.t WHERE nosuch(id)', 'SELECT * FROM ROWS FROM (generate_series(1, 2), generate_series(1, 3)) AS r (a, b)']) q;
-- what mode incremental refuses
SELECT left(q, 60) AS query, bq.try(q, ', mode => ''incremental''') AS answer FROM unnest(ARRAY['SELECT bq.moody(id) AS m FROM bq.t', 'SELECT id FROM bq.t WHERE random() < 2', 'SELECT id FROM bq.guarded',
	'SELECT id, clock_timestamp() > at AS p FROM bq.t', 'SELECT id FROM bq.t TABLESAMPLE SYSTEM (100)', 'SELECT id FROM ONLY bq.t', 'SELECT count(*) AS n FROM pg_am', 'SELECT id, ctid AS c FROM bq.t',
	'WITH RECURSIVE r AS (SELECT id, k FROM bq.t UNION SELECT r.k, r.id FROM r) SELECT * FROM r', 'SELECT a.id FROM bq.t a, bq.t b', 'SELECT id, nextval(''bq.s'') AS n FROM bq.t', 'SELECT id FROM bq.t ORDER BY id LIMIT 2']) q;
-- cycles
SELECT depipe.create_transform('bq.one', 'SELECT id, k FROM bq.t');
SELECT depipe.create_transform('bq.two', 'SELECT id, k FROM bq.one');
CREATE VIEW bq.of_two AS SELECT id, k FROM bq.two;
DO $$
DECLARE state text; said text; detail text; hint text;
BEGIN
	PERFORM depipe.alter_transform('bq.one', 'SELECT id, k FROM bq.of_two');
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, said = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT, detail = PG_EXCEPTION_DETAIL;
	RAISE WARNING '%: % / % / %', state, said, detail, hint;
END $$;
SELECT depipe.drop_transform('bq.two');
DROP VIEW bq.of_two;
SELECT depipe.drop_transform('bq.one', true);
-- a table that exists
CREATE TABLE bq.x (id integer, more text);
SELECT q AS query, bq.try(q) AS answer FROM unnest(ARRAY['SELECT id FROM bq.t', 'SELECT id, k AS more FROM bq.t', 'SELECT id::bigint AS id, b AS more FROM bq.t']) q;
SELECT count(*) AS columns, (SELECT count(*) FROM bq.x) AS rows FROM pg_attribute WHERE attrelid = 'bq.x'::regclass AND attnum > 0;
DROP TABLE bq.x;
CREATE VIEW bq.x AS SELECT 1 AS id;
SELECT bq.try('SELECT id FROM bq.t') AS answer;
DROP VIEW bq.x;
CREATE SEQUENCE bq.x;
SELECT bq.try('SELECT id FROM bq.t') AS answer;
DROP SEQUENCE bq.x;
CREATE TYPE bq.x AS (a integer);
SELECT bq.try('SELECT id FROM bq.t') AS answer;
DROP TYPE bq.x;
-- keys that are not
SELECT a AS arguments, bq.try('SELECT k, b FROM bq.t', a) AS answer FROM unnest(ARRAY[', key => ''{k}''', ', key => ''{k,b}''', ', key => ''{K}''', ', key => ''{b,b}''', ', key => ''{""}''']) a;
-- long and deep texts
SELECT n, bq.try('SELECT id FROM bq.t WHERE ' || repeat('(', n) || 'true' || repeat(')', n)) AS parentheses FROM unnest(ARRAY[10, 1000]) n;
SELECT n, bq.try('SELECT id FROM bq.t WHERE ' || repeat('NOT ', n) || 'true') AS nots FROM unnest(ARRAY[10, 300]) n;
SELECT n, bq.try(repeat('SELECT * FROM (', n) || 'SELECT id FROM bq.t' || repeat(') x', n)) AS subqueries FROM unnest(ARRAY[10, 40]) n;
SELECT bq.try('SELECT id, ' || string_agg('id = ' || i, ' OR ' ORDER BY i) || ' AS many FROM bq.t') AS ors FROM generate_series(1, 400) i;
SELECT bq.try('SELECT id, ''' || repeat('long ', 200000) || ''' AS l FROM bq.t /* ' || repeat('x', 100000) || ' */') AS megabyte;
SELECT bq.try('SELECT id, U&''\0000'' AS z FROM bq.t') AS nul;
SELECT bq.try('SELECT id, E''\xff'' AS z FROM bq.t') AS encoding;
-- another owner, without rights
CREATE ROLE regress_bq_owner;
GRANT USAGE, CREATE ON SCHEMA bq TO regress_bq_owner;
GRANT SELECT ON bq.guarded TO regress_bq_owner;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA bq TO regress_bq_owner;
SET ROLE regress_bq_owner;
CREATE FUNCTION bq.attempt(query text, arguments text DEFAULT '') RETURNS text LANGUAGE plpgsql AS $$
DECLARE state text; said text; hint text;
BEGIN
	EXECUTE format('SELECT depipe.create_transform(''bq.x'', %L%s)', query, arguments);
	PERFORM depipe.drop_transform('bq.x', true);
	RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, said = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
	RETURN state || ': ' || said || COALESCE('; hint: ' || NULLIF(hint, ''), '');
END $$;
SELECT q AS query, bq.attempt(q, a) AS answer FROM (VALUES ('SELECT id FROM bq.t', ''), ('SELECT id FROM bq.invoker', ''), ('SELECT id FROM bq.barrier', ''), ('SELECT id FROM bq.guarded', ''),
	('SELECT id FROM bq.guarded', ', mode => ''incremental''')) v (q, a);
RESET ROLE;
SELECT count(*) AS targets FROM depipe.target WHERE schema_name = 'bq';
SELECT string_agg(relname, ' ' ORDER BY relname) AS relations FROM pg_class WHERE relnamespace = 'bq'::regnamespace AND relkind IN ('r', 'v');
\x off
DROP SCHEMA bq CASCADE;
DROP ROLE regress_bq_owner;
