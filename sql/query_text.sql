--
-- The text that is kept of a query means what the query meant, under whichever
-- search_path, and after whatever is done to the tables that it reads.
--
SET datestyle = 'ISO, MDY';
SET intervalstyle = 'postgres';
SET timezone = 'UTC';
SET default_text_search_config = 'pg_catalog.simple';
SET client_min_messages = warning;
CREATE SCHEMA qt;
CREATE SCHEMA "Ext";
CREATE EXTENSION citext SCHEMA "Ext";
RESET client_min_messages;
SET search_path = qt, "Ext", public;
CREATE TABLE t (id integer PRIMARY KEY, a integer, b integer, c citext, d text);
INSERT INTO t VALUES (1, 3, 10, 'x', 'x'), (2, 2, 30, 'X', 'X'), (3, 1, 20, 'y', NULL), (4, 3, 20, NULL, 'y');
CREATE TABLE u (c citext, n integer, d text, a numeric);
INSERT INTO u VALUES ('X', 3, 'x', 1), ('Y', 1, 'z', 2), (NULL, 2, 'y', 3), ('z', NULL, NULL, 4);

-- a transform of the query, compared with the query as it is under this path
CREATE FUNCTION same(query text, settings text DEFAULT 'pg_catalog') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	mine text := current_setting('search_path');
	differences bigint;
	differs bigint;
BEGIN
	PERFORM depipe.create_transform('qt.kept', query, key => '{}');
	-- refreshed by somebody with another path
	PERFORM set_config('search_path', settings, true);
	PERFORM depipe.refresh('qt.kept');
	SELECT count(*) INTO differs FROM depipe.verify('qt.kept');
	PERFORM set_config('search_path', mine, true);
	EXECUTE format('SELECT count(*) FROM ((SELECT x.*::text FROM (%1$s) x EXCEPT ALL SELECT k.*::text FROM qt.kept k)'
		' UNION ALL (SELECT k.*::text FROM qt.kept k EXCEPT ALL SELECT x.*::text FROM (%1$s) x)) d', query) INTO differences;
	PERFORM depipe.drop_transform('qt.kept', drop_table => true);
	RETURN CASE WHEN differences = 0 AND differs = 0 THEN 'same' ELSE differences || ' differ, verify ' || differs END;
END $$;
SET client_min_messages = warning;

-- output columns of the names of input columns
SELECT same('SELECT b AS a FROM t ORDER BY t.a, t.id LIMIT 1');
SELECT same('SELECT b AS a, a AS b FROM t ORDER BY t.b, t.a LIMIT 2');
SELECT same('SELECT DISTINCT ON (t.a) b AS a FROM t ORDER BY t.a, t.b');
SELECT same('SELECT b AS a, count(*) FROM t GROUP BY t.b ORDER BY t.b LIMIT 2');
SELECT same('SELECT b % 20 AS b, count(*) FROM t GROUP BY t.b');
SELECT same('SELECT -a AS a FROM t ORDER BY abs(t.a), id LIMIT 2');
SELECT same('SELECT * FROM (SELECT b AS a FROM t ORDER BY t.a, id LIMIT 1) q');
SELECT same('(SELECT b AS a FROM t ORDER BY t.a, id LIMIT 1) UNION ALL (SELECT a FROM t ORDER BY t.b LIMIT 1)');
SELECT same('SELECT t.b AS n FROM t JOIN u ON t.a = u.n ORDER BY u.n, t.id LIMIT 1');
SELECT same('SELECT a AS x, a AS y FROM t ORDER BY y, id LIMIT 2');
SELECT same('SELECT a AS x, a AS y, count(*) FROM t GROUP BY 1, 2');

-- operators that the syntax does not name
SELECT same('SELECT t.id, n FROM t JOIN u USING (c)');
SELECT same('SELECT id, c, n FROM t LEFT JOIN u USING (c)');
SELECT same('SELECT id, c, n FROM t RIGHT JOIN u USING (c)');
SELECT same('SELECT id, c, n FROM t FULL JOIN u USING (c)');
SELECT same('SELECT id, c::text, d::text FROM t FULL JOIN u USING (c, d)');
SELECT same('SELECT * FROM (SELECT id, c FROM t) x NATURAL JOIN (SELECT c, n FROM u) y');
SELECT same('SELECT j.id, j.c, j.n FROM (t FULL JOIN u USING (c)) AS j ORDER BY j.c, j.id LIMIT 5');
SELECT same('SELECT k.c, t.id, u.n FROM t JOIN u USING (c) AS k');
SELECT same('SELECT x.id, y.n, c FROM t x JOIN u y USING (c) JOIN t z USING (c)');
SELECT same('SELECT t.d AS c FROM t FULL JOIN u USING (c) ORDER BY c, t.d, n LIMIT 3');
SELECT same('SELECT id FROM t WHERE c IN (SELECT c FROM u)');
SELECT same('SELECT id FROM t WHERE (a, c) IN (SELECT n, c FROM u)');
SELECT same('SELECT id FROM t WHERE (c, a) IN (SELECT c, n FROM u) AND id > 0');
SELECT same('SELECT id, (a, c) IN (SELECT n, c FROM u) AS found FROM t');
SELECT same('SELECT id, (a, c) NOT IN (SELECT n, c FROM u) AS missing FROM t');
SELECT same('SELECT id, (a, c) <> ALL (SELECT n, c FROM u WHERE n IS NOT NULL) AS missing FROM t');
SELECT same('SELECT id FROM t WHERE (a, c) NOT IN (SELECT n, c FROM u WHERE u.n = t.a)');
SELECT same('SELECT id, (a, c) = (SELECT n, c FROM u WHERE n = 3) AS it FROM t');
SELECT same('SELECT id, (a, c) < (SELECT n, c FROM u WHERE n = 3) AS it FROM t');
SELECT same('SELECT id, (a, c) < ANY (SELECT n, c FROM u) AS it FROM t');
SELECT same('SELECT a, (max(b), max(c)) IN (SELECT b, x.c FROM t x) AS it FROM t GROUP BY a');
SELECT same('SELECT id FROM t WHERE (a, c) = (3, ''X'')');
SELECT same('SELECT id, (a, c) < (3, ''X''::citext) AS l, (c, a) <= (''X''::citext, 2) AS le, (a, c, b) > (3, ''X'', 1) AS g FROM t');
SELECT same('SELECT id, c IN (''X'', ''z'') AS i, c = ANY (ARRAY[''X''::citext]) AS e, c BETWEEN ''A'' AND ''X'' AS b FROM t');
SELECT same('SELECT id, CASE c WHEN ''X'' THEN 1 WHEN ''Y'' THEN 2 ELSE 3 END AS k FROM t');
SELECT same('SELECT id, CASE CASE c WHEN ''X'' THEN c ELSE ''Q'' END WHEN ''x'' THEN CASE d WHEN ''x'' THEN 1 END ELSE 3 END AS k FROM t');
SELECT same('SELECT id, NULLIF(c, ''X'') AS k, NULLIF(d, ''X'') AS l, NULLIF(a, 3) AS m FROM t');
SELECT same('SELECT id, c IS DISTINCT FROM ''X'' AS k, c IS NOT DISTINCT FROM NULL AS l, d IS DISTINCT FROM ''X'' AS m FROM t');
SELECT same('SELECT x.id FROM t x JOIN u y ON x.c IS NOT DISTINCT FROM y.c');
SELECT same('SELECT greatest(c, ''X'') AS g, least(c, ''a'') AS l, coalesce(c, ''n'') AS n, id FROM t');
SELECT same('SELECT c, count(*) FROM t GROUP BY c');
SELECT same('SELECT DISTINCT c FROM t');
SELECT same('SELECT c FROM t UNION SELECT c FROM u');
SELECT same('SELECT c FROM t EXCEPT SELECT c FROM u');
SELECT same('SELECT c, row_number() OVER (PARTITION BY c ORDER BY id) AS r FROM t');
SELECT same('SELECT id FROM t WHERE c ~ ''^X'' OR c LIKE ''Y%'' OR replace(c, ''X'', ''q'') = ''Q''');
SELECT same('SELECT c || ''z'' AS z, d || c AS y, id FROM t');
SELECT same('WITH w AS (SELECT c, n FROM u) SELECT id FROM t WHERE (a, c) IN (SELECT n, c FROM w)');
SELECT same('SELECT x.id, l.n FROM t x, LATERAL (SELECT n FROM u WHERE (x.a, x.c) IN (SELECT n, c FROM u)) l');
SELECT same('SELECT row_to_json(q)::text AS j FROM (SELECT id AS k, c AS "L m" FROM t) q');
SELECT same('SELECT row_to_json(q)::text AS j FROM (t JOIN u USING (c)) q');
SELECT same('SELECT EXISTS (SELECT 1 AS one FROM u WHERE u.c = t.c) AS e, ARRAY(SELECT n AS m FROM u ORDER BY c) AS f, id FROM t');
SELECT same('SELECT q.y, q.x FROM t AS q (v, w, x, y, z)');
SELECT same('SELECT q.x FROM (t CROSS JOIN u) AS q (v, w, x, y, z)');
SELECT same('SELECT x, y FROM (VALUES (1, ''a''::citext), (2, ''B'')) v (x, y) WHERE y IN (''A'', ''b'')');
SELECT same('WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 4) SELECT n FROM r JOIN t ON t.id = r.n');
SELECT same('SELECT a, b, count(*), grouping(a) AS g FROM t GROUP BY ROLLUP (a, b)');
-- under a path that has no citext its = is that of text
SET search_path = qt;
SELECT same('SELECT t.id, n FROM t JOIN u USING (c)', 'qt, "Ext"');
SELECT same('SELECT id, CASE c WHEN ''X'' THEN 1 END AS k FROM t', 'qt, "Ext"');
SELECT same('SELECT id FROM t WHERE (a, c) IN (SELECT n, c FROM u)', 'qt, "Ext"');
SET search_path = qt, "Ext", public;

-- what is common has a text
CREATE TYPE pair AS (f integer, g text);
CREATE TYPE colour AS ENUM ('red', 'green');
CREATE DOMAIN code AS text CHECK (VALUE <> '');
CREATE TABLE k (id bigint PRIMARY KEY, v varchar(10), f char(3), nm name, s smallint, r real, n numeric(10,2), dt date,
	ts timestamp, tz timestamptz, iv interval, bo boolean, j jsonb, ar text[], ai integer[], p pair, co colour, cd code,
	by bytea, bt bit(3), u uuid);
INSERT INTO k VALUES (1, 'a', 'b', 'c', 1, 1.5, 2.25, '2026-01-01', '2026-01-01 10:00', '2026-01-01 10:00+00', '1 day',
	true, '{"a": 1}', '{a,b}', '{1,2}', '(1,x)', 'red', 'c', '\x01', '101', '00000000-0000-0000-0000-000000000001');
CREATE FUNCTION tried(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
BEGIN
	RETURN same(query);
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN sqlerrm || ': ' || detail;
END $$;
SELECT tried(q), count(*), CASE WHEN tried(q) <> 'same' THEN q END AS query FROM unnest(ARRAY[
	$$SELECT id FROM k WHERE v IN ('a', 'b') AND f IN ('b', 'c') AND nm IN ('c', 'd') AND s IN (1, 2) AND id IN (1, 2)$$,
	$$SELECT id FROM k WHERE v = ANY (ARRAY['a', 'b']) AND v <> ALL ('{x,y}') AND n IN (2.25, 3) AND s IN (1, 1.5)$$,
	$$SELECT id FROM k WHERE v = 'a' AND f = 'b' AND nm = 'c' AND r > 1 AND n > 1 AND co = 'red' AND cd = 'c' AND cd IN ('c', 'd')$$,
	$$SELECT id FROM k WHERE co IN ('red', 'green') AND dt IN ('2026-01-01', '2026-01-02') AND u IN ('00000000-0000-0000-0000-000000000001')$$,
	$$SELECT v || 'x' AS a, v || f AS b, nm || 'x' AS c, upper(v) AS d, left(f, 1) AS e, v::varchar(1) AS g, f::char(1) AS h FROM k$$,
	$$SELECT n::numeric(5,1) AS a, '1.55'::numeric(3,1) AS b, 'abc'::varchar(2) AS c, 'abc'::char(2) AS d, '101'::bit(2) AS e, B'1' AS g, X'1F' AS h FROM k$$,
	$$SELECT ts::timestamp(0) AS a, interval '1' hour AS b, interval '1 day' AS c, iv * 2 AS d, iv::interval(0) AS e FROM k$$,
	$$SELECT extract(epoch FROM ts) AS a, date_trunc('day', tz AT TIME ZONE 'UTC') AS b, ts + '1 day' AS c, dt - 1 AS d, (dt, dt) OVERLAPS (dt, dt) AS e FROM k$$,
	$$SELECT substring(v FROM 1 FOR 2) AS a, position('a' IN v) AS b, trim(both 'x' FROM v) AS c, overlay(v PLACING 'q' FROM 1) AS d, v LIKE 'a%' ESCAPE '!' AS e, v SIMILAR TO 'a|b' AS g FROM k$$,
	$$SELECT dt FROM k WHERE dt >= date '2026-01-01' AND tz > '2025-01-01' AND ts BETWEEN '2025-01-01' AND '2027-01-01' AND tz < timestamptz '2027-01-01 00:00+09'$$,
	$$SELECT j->>'a' AS a, j->'a' AS b, (j->>'a')::int AS c, j @> '{"a": 1}' AS d, j ? 'a' AS e, j #>> '{a}' AS g, jsonb_build_object('k', v) AS h FROM k$$,
	$$SELECT ar[1] AS a, ar[1:1] AS b, ai || 3 AS c, ARRAY[1,2] AS d, ARRAY[[1,2],[3,4]] AS e, ARRAY[]::text[] AS g, array_length(ar, 1) AS h, ARRAY[v, 'x'] AS i FROM k$$,
	$$SELECT (p).f AS a, (p).g AS b, p IS NULL AS c, ROW(1, v) = ROW(1, 'a') AS d, (p).f + 1 AS e, (k.p).g || v AS g FROM k$$,
	$$SELECT bo IS TRUE AS a, bo IS NOT UNKNOWN AS b, NOT bo AS c, bo AND true AS d, -id AS e, - 5 AS g, -5::bigint AS h, 2 ^ 3 AS i, 3000000000 AS l, 1e10 AS m, 0.1::real AS o, 'NaN'::float8 AS q FROM k$$,
	$$SELECT CASE WHEN bo THEN 1 WHEN v = 'x' THEN 2.5 END AS a, CASE v WHEN 'a' THEN 'b' ELSE f END AS b, coalesce(v, f, 'x') AS c, nullif(v, 'a') AS d, greatest(s, id, 2.5) AS e, nullif(s, 1) AS g FROM k$$,
	$$SELECT count(*) AS a, count(DISTINCT v) AS b, sum(s) FILTER (WHERE bo) AS c, string_agg(v, ',' ORDER BY v DESC) AS d, percentile_cont(0.5) WITHIN GROUP (ORDER BY r) AS e, array_agg(id ORDER BY id) AS g, avg(n) AS h FROM k$$,
	$$SELECT date_trunc('month', dt) AS month, sum(n) AS n FROM k GROUP BY 1 HAVING sum(n) > 0 ORDER BY month DESC LIMIT 5$$,
	$$SELECT date_trunc('month', dt) AS dt, count(*) FROM k GROUP BY date_trunc('month', dt)$$,
	$$SELECT v, s, grouping(v) AS g, count(*) AS c FROM k GROUP BY GROUPING SETS ((v), (s), (v, s), ()) ORDER BY 1, 2$$,
	$$SELECT v, s, count(*) AS c FROM k GROUP BY CUBE (v, s)$$,
	$$SELECT upper(v) AS x, count(*) AS c FROM k GROUP BY ROLLUP (upper(v)) HAVING grouping(upper(v)) = 0$$,
	$$SELECT id, sum(n) OVER w AS a, lag(n) OVER (w ROWS BETWEEN 1 PRECEDING AND CURRENT ROW EXCLUDE TIES) AS b, rank() OVER (ORDER BY v DESC NULLS LAST) AS c FROM k WINDOW w AS (PARTITION BY v ORDER BY id)$$,
	$$SELECT v, sum(count(*)) OVER (ORDER BY v) AS r FROM k GROUP BY v$$,
	$$SELECT k.id, x.n AS m FROM k, unnest(k.ai) WITH ORDINALITY AS x (n, o)$$,
	$$SELECT k.id, g FROM k CROSS JOIN generate_series(1, 3) AS g WHERE g % 2 = 1$$,
	$$SELECT k.id, e.key, e.value FROM k LEFT JOIN LATERAL jsonb_each_text(k.j) e ON true$$,
	$$SELECT x.* FROM jsonb_to_recordset('[{"a": 1, "b": "x"}]') AS x (a integer, b text)$$,
	$$SELECT x.a FROM ROWS FROM (generate_series(1, 2), generate_series(1, 3)) AS x (a, b)$$,
	$$VALUES (1, 'a'), (2, 'b')$$,
	$$TABLE u$$,
	$$SELECT id FROM k WHERE id BETWEEN 0 AND 5 AND s = 1 AND (n BETWEEN 1 AND 3 AND dt IS NOT NULL) OR (bo OR v = 'x') OR NOT bo$$,
	$$SELECT k AS whole, k.id FROM k$$,
	$$SELECT to_jsonb(k) AS whole FROM k$$,
	$$SELECT to_jsonb(q) AS whole FROM (SELECT id, v AS "V v" FROM k) q$$,
	$$SELECT (SELECT max(id) FROM t WHERE t.id > k.id) AS a, EXISTS (SELECT FROM t) AS b, id IN (SELECT id FROM t) AS c, ARRAY(SELECT id FROM t ORDER BY 1) AS d, (SELECT count(*) FROM u WHERE u.d = k.v) AS e FROM k$$,
	$$SELECT id FROM k WHERE v IN (SELECT d FROM t) OR id = (SELECT min(id) FROM t) OR (id, v) IN (SELECT id, d FROM t) OR id > ALL (SELECT n FROM u WHERE n IS NOT NULL) OR v NOT IN (SELECT d FROM u WHERE d IS NOT NULL)$$,
	$$SELECT a.id AS x, b.id AS y FROM k a LEFT JOIN (k b JOIN t ON t.id = b.id) ON a.id = b.id FULL JOIN u ON u.n = a.id$$,
	$$WITH x AS MATERIALIZED (SELECT id FROM k), y AS NOT MATERIALIZED (SELECT * FROM x) SELECT x.id, y.id AS i FROM x JOIN y USING (id)$$,
	$$WITH RECURSIVE r (n, p) AS (VALUES (1, 0) UNION ALL SELECT n + 1, n FROM r WHERE n < 3) SEARCH DEPTH FIRST BY n SET o CYCLE n SET c USING h SELECT n, p FROM r$$,
	$$SELECT id FROM k UNION SELECT id FROM t UNION ALL (SELECT n FROM u WHERE n IS NOT NULL ORDER BY n LIMIT 1) ORDER BY 1 DESC OFFSET 1$$,
	$$SELECT v AS a FROM k INTERSECT SELECT d FROM t EXCEPT SELECT d COLLATE "C" FROM u ORDER BY a$$,
	$$SELECT id FROM k ORDER BY v COLLATE "C" DESC NULLS LAST, n USING > FETCH FIRST 1 ROW WITH TIES$$,
	$$SELECT DISTINCT v, f FROM k ORDER BY f, v$$,
	$$SELECT DISTINCT ON (v) v, id FROM k ORDER BY v, id DESC$$,
	$$SELECT make_date(year => 2026, month => 1, day => 2) AS d, format('%s-%s', VARIADIC ar) AS e, concat_ws(',', v, f, s) AS g FROM k$$,
	$$SELECT by || '\x02' AS a, encode(by, 'hex') AS b, bt & B'100' AS c, u::text AS d, co::text AS e, 'green'::colour AS g, cd || 'x' AS h, 'z'::code AS i FROM k$$,
	$$SELECT xmlelement(name a, v)::text AS a, coalesce(p, ROW(1, 'x')::pair) AS b FROM k$$,
	$$SELECT id::int AS a, v::text::varchar AS b, s::text AS c, n::int AS d, '5'::int + s AS e, (id + 0.5)::int AS g, tz::date AS h, dt::timestamptz AS i FROM k$$,
	$$SELECT id FROM k TABLESAMPLE SYSTEM (100) REPEATABLE (1) WHERE current_date > dt OR now() > tz OR current_user = nm$$]) q
GROUP BY 1, 3 ORDER BY 3;

-- what there is no such text of is refused
SELECT depipe.create_transform('qt.kept', 'SELECT id, NULLIF((c::text || random())::citext, ''X'') AS r FROM t');
SELECT depipe.create_transform('qt.kept', 'SELECT id, (rank() OVER (ORDER BY id), c) IN (SELECT n, c FROM u) AS r FROM t');

-- definition() declares the same, whoever runs it
SELECT depipe.create_transform('qt.kept', 'SELECT t.id, n FROM t JOIN u USING (c)', key => '{}');
SELECT statement FROM depipe.definition('qt.kept');
SELECT query_sql AS before FROM depipe.transforms WHERE target = 'qt.kept' \gset
SELECT depipe.drop_transform('qt.kept', drop_table => true);
SET search_path = pg_catalog;
SELECT depipe.create_transform('qt.kept', :'before', key => '{}');
SELECT query_sql = :'before' AS same FROM depipe.transforms WHERE target = 'qt.kept';
TABLE qt.kept ORDER BY 1;
SELECT depipe.alter_transform('qt.kept', mode => 'full');
SELECT query_sql = :'before' AS same FROM depipe.transforms WHERE target = 'qt.kept';
SELECT depipe.drop_transform('qt.kept', drop_table => true);
SET search_path = qt, "Ext", public;

--
-- A definition outlives what is done to its inputs.
--
CREATE VIEW texts AS SELECT target, query_sql FROM depipe.transforms WHERE target LIKE 'qt.%' ORDER BY target;
CREATE FUNCTION state(OUT status text, OUT message text) LANGUAGE sql AS $$
	SELECT r.status, CASE WHEN r.status IN ('failed', 'blocked') THEN coalesce(e.error_message, r.reason) END
	FROM depipe.refresh('qt.kept') r
	LEFT JOIN LATERAL (SELECT error_message FROM depipe.runs WHERE target = 'qt.kept'
		ORDER BY run_id DESC LIMIT 1) e ON r.status = 'failed' $$;
CREATE TABLE i (id integer, a integer, b text);
INSERT INTO i VALUES (1, 10, 'x'), (2, 20, 'y');
CREATE TABLE j (id integer, c text);
INSERT INTO j VALUES (1, 'one'), (2, 'two');
SELECT depipe.create_transform('qt.kept', 'SELECT i.id, a, b, c FROM i JOIN j USING (id) ORDER BY a', key => '{}');
TABLE texts;
-- a column goes, and comes back
ALTER TABLE i DROP COLUMN a;
TABLE texts;
SELECT statement FROM depipe.definition('qt.kept');
SELECT * FROM state();
-- others are renamed meanwhile
ALTER TABLE i RENAME COLUMN b TO b2;
ALTER TABLE j RENAME TO jj;
TABLE texts;
ALTER TABLE i ADD COLUMN a integer DEFAULT 5;
TABLE texts;
SELECT * FROM state();
TABLE kept ORDER BY id;
-- in one transaction
BEGIN;
ALTER TABLE i DROP COLUMN a;
ALTER TABLE i ADD COLUMN a integer DEFAULT 6;
COMMIT;
ALTER TABLE i RENAME COLUMN a TO a2;
TABLE texts;
SELECT * FROM state();
-- names that are swapped stay with the name, as with tables
BEGIN;
ALTER TABLE i RENAME COLUMN a2 TO a3;
ALTER TABLE i ADD COLUMN a2 integer DEFAULT 7;
COMMIT;
SELECT * FROM state();
TABLE kept ORDER BY id;
-- the joined column is renamed on one side; another of its name comes to the other
ALTER TABLE jj RENAME COLUMN id TO key;
ALTER TABLE jj ADD COLUMN b2 text DEFAULT 'other';
ALTER TABLE jj ADD COLUMN id integer DEFAULT 1;
TABLE texts;
SELECT * FROM state();
TABLE kept ORDER BY id;
-- another type, then another name
ALTER TABLE i ALTER COLUMN a2 TYPE bigint;
ALTER TABLE i RENAME COLUMN a2 TO a4;
TABLE texts;
SELECT * FROM state();
ALTER TABLE i ALTER COLUMN a4 TYPE integer;
SELECT * FROM state();
-- the schema, and both tables again with other columns
ALTER SCHEMA qt RENAME TO qt2;
SELECT query_sql FROM depipe.transforms WHERE target = 'qt2.kept';
ALTER SCHEMA qt2 RENAME TO qt;
DROP TABLE i, jj;
SELECT * FROM state();
CREATE TABLE i (b2 text, a4 integer, extra integer, id integer);
INSERT INTO i VALUES ('q', 1, 2, 3);
CREATE TABLE jj (c text, key integer);
INSERT INTO jj VALUES ('three', 3);
SELECT * FROM state();
TABLE kept;
SELECT depipe.drop_transform('qt.kept', drop_table => true);

-- names by place: the column before is dropped
CREATE TABLE p (x integer, y integer, z integer);
INSERT INTO p VALUES (1, 2, 3);
SELECT depipe.create_transform('qt.kept', 'SELECT q.two FROM p AS q (one, two)', key => '{}');
SELECT depipe.create_transform('qt.kept2', 'SELECT q.four FROM (p CROSS JOIN p p2) AS q (one, two, three, four)', key => '{}');
TABLE texts;
ALTER TABLE p DROP COLUMN x;
ALTER TABLE p ADD COLUMN w integer DEFAULT 9;
SELECT * FROM state();
TABLE kept;
SELECT target, status FROM depipe.refresh('qt.kept2');
SELECT depipe.drop_transform('qt.kept', drop_table => true);
SELECT depipe.drop_transform('qt.kept2', drop_table => true);

-- views that are replaced, with more columns or other ones
CREATE VIEW v AS SELECT y, z FROM p;
SELECT depipe.create_transform('qt.kept', 'SELECT * FROM v', key => '{}');
CREATE OR REPLACE VIEW v AS SELECT y + 1 AS y, z, w FROM p;
SELECT * FROM state();
TABLE kept;
ALTER VIEW v RENAME COLUMN z TO zz;
TABLE texts;
BEGIN;
DROP VIEW v;
CREATE VIEW v AS SELECT 4 AS zz, 5 AS y;
COMMIT;
SELECT * FROM state();
TABLE kept;
SELECT depipe.drop_transform('qt.kept', drop_table => true);

-- one input is made again, then a column of another is renamed
DROP VIEW v;
CREATE VIEW v AS SELECT y, z FROM p;
CREATE TABLE o AS SELECT 3 AS z, 'o' AS name;
SELECT depipe.create_transform('qt.kept', 'SELECT y, name FROM v JOIN o USING (z)', key => '{}');
DROP VIEW v;
CREATE VIEW v AS SELECT z, y FROM p;
ALTER TABLE o RENAME COLUMN z TO zz;
TABLE texts;
DROP TABLE o;
CREATE TABLE o AS SELECT 'o2' AS name, 3 AS zz;
ALTER VIEW v RENAME COLUMN y TO yy;
TABLE texts;
SELECT * FROM state();
TABLE kept;
SELECT depipe.drop_transform('qt.kept', drop_table => true);
DROP VIEW v;

-- functions, types, operators and collations
CREATE FUNCTION twice(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
CREATE FUNCTION twice(numeric) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT -1';
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE COLLATION col (LOCALE = 'C');
CREATE FUNCTION same_int(integer, integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 OPERATOR(pg_catalog.=) $2';
CREATE OPERATOR === (LEFTARG = integer, RIGHTARG = integer, FUNCTION = same_int);
SELECT depipe.create_transform('qt.kept', 'SELECT twice(z) AS n, ''sad''::mood AS m FROM p WHERE z === 3 AND ''a'' COLLATE col < ''b''', key => '{}');
TABLE texts;
ALTER FUNCTION twice(integer) RENAME TO double;
ALTER TYPE mood RENAME TO humour;
ALTER COLLATION col RENAME TO colla;
CREATE SCHEMA qt3;
ALTER OPERATOR === (integer, integer) SET SCHEMA qt3;
TABLE texts;
SELECT * FROM state();
TABLE kept;
-- one that fits better comes beside the one that is meant
SELECT depipe.create_transform('qt.kept2', 'SELECT twice(z::bigint) AS n FROM p', key => '{}');
TABLE kept2;
CREATE FUNCTION twice(bigint) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT -2';
SELECT count(*) FROM depipe.verify('qt.kept2');
SELECT target, status FROM depipe.refresh('qt.kept2');
TABLE kept2;
TABLE texts;
-- gone, and again
DROP FUNCTION double(integer);
SELECT * FROM state();
CREATE FUNCTION double(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 22';
SELECT * FROM state();
TABLE kept;
SELECT depipe.drop_transform('qt.kept', drop_table => true);
SELECT depipe.drop_transform('qt.kept2', drop_table => true);

SET client_min_messages = warning;
RESET search_path;
DROP SCHEMA qt, qt3, "Ext" CASCADE;
