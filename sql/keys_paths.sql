-- strategy keys: by which columns a query is recomputed in parts, and how affected values are found
CREATE SCHEMA paths;
SET search_path = paths;
SET client_min_messages = warning;
CREATE FUNCTION keys(query text) RETURNS text
	LANGUAGE C STRICT AS '$libdir/depipe', 'depipe_query_keys';
-- without line breaks and indentation, which differ between versions
CREATE FUNCTION show(query text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT pg_catalog.regexp_replace(pg_catalog.regexp_replace(line, '\s+', ' ', 'g'), '([( ]) | (\))', '\1\2', 'g')
	FROM pg_catalog.regexp_split_to_table(paths.keys(query), '\n(?=changes|rows|  +SELECT DISTINCT|   SELECT)') AS line
$$;
CREATE TABLE o (id integer PRIMARY KEY, k integer NOT NULL, c integer, d date, flag boolean);
CREATE INDEX ON o (k);
CREATE TABLE c (id integer PRIMARY KEY, region text, n integer, m integer NOT NULL);
CREATE TABLE l (id integer PRIMARY KEY, o integer, v integer, w numeric);
CREATE TABLE bag (a integer, b integer, gone integer, t text);
ALTER TABLE bag DROP COLUMN gone;
CREATE VIEW totals AS SELECT o, sum(v) AS total, count(*) AS lines FROM l GROUP BY o;

\pset format unaligned
\pset tuples_only on
-- one table, with and without a unique key
SELECT show('SELECT id, k FROM o WHERE d > ''2020-01-01''');
SELECT show('SELECT a, t FROM bag WHERE t > ''a''');
-- joins: to the owner, through another table, where the key is equated
SELECT show('SELECT o.k, count(*) AS n FROM o JOIN l ON l.o = o.id GROUP BY o.k');
SELECT show('SELECT o.id, c.region, l.v FROM o JOIN l ON l.o = o.id JOIN c ON c.id = o.c AND c.m = l.v');
SELECT show('SELECT l.id, c.region FROM l JOIN o ON o.id = l.o LEFT JOIN c ON c.id = o.c');
-- outer joins: conditions on their side, conditions that NULLs meet, partners of partners
SELECT show('SELECT o.id, l.v FROM o LEFT JOIN l ON l.o = o.id AND o.flag');
SELECT show('SELECT o.id, l.v, c.n FROM o LEFT JOIN l ON l.o = o.id LEFT JOIN c ON c.id = coalesce(l.v, o.c)');
SELECT show('SELECT o.id, l.v, c.n FROM o LEFT JOIN l ON l.o = o.id LEFT JOIN c ON c.id = l.v');
SELECT show('SELECT o.id FROM o LEFT JOIN l ON l.o = o.id WHERE l.id IS NULL');
SELECT show('SELECT o.id, x.v FROM o LEFT JOIN (l x FULL JOIN c ON c.n = x.v) ON x.o = o.id');
SELECT show('SELECT c.id, o.k FROM o RIGHT JOIN c ON o.c = c.id');
-- subqueries and views that group, WITH that is read twice
SELECT show('SELECT o.id, s.total FROM o JOIN totals s ON s.o = o.id AND s.lines > 1');
SELECT show('SELECT o.id FROM o JOIN (SELECT DISTINCT ON (o) o, v FROM l ORDER BY o, id) s ON s.v = o.k');
SELECT show('WITH w AS (SELECT o, sum(v) AS t FROM l GROUP BY o) SELECT a.o, a.t, b.t AS u FROM w a JOIN w b ON a.o = b.o + 1');
SELECT show('SELECT x.k, x.n, c.region FROM (SELECT k, count(*) AS n FROM o GROUP BY k) x LEFT JOIN c ON c.n = x.k');
SELECT show('SELECT o, max(total) AS most FROM totals WHERE total > 3 GROUP BY o');
-- equal is not the same: the condition on a grouped numeric column must be a comparison
SELECT show('SELECT o.id FROM o JOIN (SELECT w, count(*) AS n FROM l GROUP BY w) s ON s.w = o.k');
SELECT show('SELECT o.id FROM o JOIN (SELECT w, count(*) AS n FROM l GROUP BY w) s ON length(s.w::text) = o.k');
-- sublinks
SELECT show('SELECT id FROM o WHERE EXISTS (SELECT FROM l WHERE l.o = o.id AND l.v > 0 AND o.flag)');
SELECT show('SELECT id FROM o WHERE c IN (SELECT n FROM c WHERE m > 1)');
SELECT show('SELECT id FROM o WHERE c NOT IN (SELECT n FROM c)');
SELECT show('SELECT id FROM o WHERE k NOT IN (SELECT m FROM c)');
SELECT show('SELECT id FROM o WHERE k > ALL (SELECT m FROM c WHERE c.n = o.c)');
SELECT show('SELECT id FROM o WHERE k IN (SELECT max(v) FROM l GROUP BY o)');
SELECT show('SELECT id, (SELECT count(*) FROM l WHERE l.o = o.id AND EXISTS (SELECT FROM c WHERE c.n = l.v)) AS n FROM o');
SELECT show('SELECT id FROM o WHERE k > (SELECT avg(v) FROM l)');
-- LATERAL
SELECT show('SELECT o.id, x.v FROM o LEFT JOIN LATERAL (SELECT v FROM l WHERE l.o = o.id ORDER BY v DESC, id LIMIT 1) x ON true');
-- set operations, also below
SELECT show('SELECT k FROM o UNION SELECT l.o FROM l JOIN c ON c.n = l.v');
SELECT show('SELECT c.id, u.k FROM c JOIN (SELECT id, k FROM o UNION ALL SELECT id, v FROM l) u ON u.k = c.n');
SELECT show('SELECT u.k, count(*) AS n FROM (SELECT k FROM o UNION ALL SELECT v FROM l) u LEFT JOIN c ON c.n = u.k GROUP BY u.k');
-- windows, DISTINCT, grouping sets
SELECT show('SELECT k, id, row_number() OVER (PARTITION BY k ORDER BY id) AS r FROM o');
SELECT show('SELECT DISTINCT o.k, c.region FROM o JOIN c ON c.id = o.c');
SELECT show('SELECT k, c, d, count(*) AS n FROM o GROUP BY GROUPING SETS ((k, c), (k, d))');
-- not possible, and why
SELECT show('SELECT count(*) AS n FROM o');
SELECT show('SELECT k, count(*) AS n FROM o GROUP BY k ORDER BY 2 LIMIT 3');
SELECT show('SELECT k + 1 AS k1, count(*) AS n FROM o GROUP BY k');
SELECT show('SELECT id, rank() OVER (ORDER BY d) AS r FROM o');
SELECT show('SELECT o.k, c.region FROM o FULL JOIN c ON c.id = o.c');
SELECT show('SELECT k, c, count(*) AS n FROM o GROUP BY ROLLUP (k, c)');
SELECT show('SELECT d, now() AS at FROM o');
SELECT show('SELECT ctid FROM o');
SELECT show('SELECT id FROM o TABLESAMPLE bernoulli (50) REPEATABLE (1)');
SELECT show('VALUES (1)');
SELECT show('WITH RECURSIVE w AS (SELECT id FROM o WHERE c IS NULL UNION ALL SELECT o.id FROM o JOIN w ON w.id = o.c) SELECT id FROM w');
SELECT show('WITH RECURSIVE w AS (SELECT id FROM l UNION ALL SELECT l.id FROM l JOIN w ON w.id = l.o) SELECT o.id FROM o WHERE o.id IN (SELECT id FROM w)');
SELECT show('SELECT o.id FROM o, c');
CREATE FUNCTION own(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1';
SELECT show('SELECT own(id) AS id1, id FROM o');
CREATE VIEW barrier WITH (security_barrier) AS SELECT id, k FROM o WHERE flag;
SELECT show('SELECT id, k FROM barrier');
DROP SCHEMA paths CASCADE;
