-- what a transform's query says about itself: blocks, row security, volatility
CREATE SCHEMA shape;
SET search_path = shape;
SET client_min_messages = warning;
CREATE FUNCTION blocks(query text) RETURNS text
	LANGUAGE C STRICT AS '$libdir/depipe', 'depipe_query_blocks';
CREATE TABLE a (id integer PRIMARY KEY, parent integer, t text);
CREATE TABLE b (id integer PRIMARY KEY, a integer);
CREATE TABLE c (id integer);
CREATE TABLE p (id integer, d integer) PARTITION BY LIST (d);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
CREATE VIEW inner_view AS SELECT id, a FROM b WHERE a > 0;
CREATE VIEW outer_view AS SELECT v.id FROM inner_view v JOIN a ON a.id = v.a;
CREATE MATERIALIZED VIEW kept AS SELECT id FROM c;

\pset format unaligned
\pset tuples_only on
-- one table, twice, in outer joins, with partitions
SELECT blocks('SELECT id FROM a');
SELECT blocks('SELECT x.id FROM a x JOIN a y ON y.id = x.parent');
SELECT blocks('SELECT a.id FROM a LEFT JOIN (b FULL JOIN c USING (id)) ON b.a = a.id, p');
SELECT blocks('SELECT a.id FROM a RIGHT JOIN kept USING (id)');
-- views over views, and beside their own tables
SELECT blocks('SELECT o.id FROM outer_view o, inner_view i, b');
-- WITH: once, twice, inside another, unused, recursive
SELECT blocks('WITH w AS (SELECT id FROM a) SELECT * FROM w');
SELECT blocks('WITH w AS (SELECT id FROM inner_view) SELECT x.id FROM w x JOIN w y USING (id)');
SELECT blocks('WITH w AS (SELECT id FROM a), twice AS (SELECT x.id FROM w x, w y) SELECT x.id FROM twice x, twice y, twice z');
SELECT blocks('WITH w AS (SELECT id FROM a) SELECT s.id FROM (WITH twice AS (SELECT x.id FROM w x, w y) SELECT t.id FROM twice t, twice u) s, w');
SELECT blocks('WITH unused AS (SELECT id FROM a) SELECT id FROM b');
SELECT blocks('WITH RECURSIVE w AS (SELECT id FROM a UNION ALL SELECT a.id FROM a JOIN w ON a.parent = w.id) SELECT id FROM w');
-- sublinks everywhere, within each other, LATERAL
SELECT blocks('SELECT id, (SELECT max(id) FROM b WHERE b.a = a.id) FROM a WHERE EXISTS (SELECT FROM c WHERE c.id IN (SELECT id FROM inner_view)) ORDER BY (SELECT count(*) FROM p)');
SELECT blocks('SELECT x.n FROM a, LATERAL (SELECT count(*) AS n FROM b WHERE b.a = a.id) x');
SELECT blocks('SELECT (SELECT id FROM c) AS one, count(*) FROM a GROUP BY (SELECT id FROM c)');
SELECT blocks('SELECT count(*) FROM a HAVING count(*) > (SELECT min(id) FROM b)');
SELECT blocks('SELECT a.id FROM a JOIN b ON b.id = ANY (ARRAY(SELECT id FROM c)), generate_series(1, (SELECT max(id) FROM c)) s');
SELECT blocks('VALUES ((SELECT id FROM c), 2)');
-- set operations
SELECT blocks('SELECT id FROM a UNION SELECT id FROM b EXCEPT ALL (SELECT id FROM c INTERSECT SELECT id FROM outer_view)');

-- row security: of the current user, through a view its owner's, with sublinks in policies
CREATE ROLE shape_owner LOGIN;
GRANT USAGE, CREATE ON SCHEMA shape TO shape_owner;
GRANT SELECT ON ALL TABLES IN SCHEMA shape TO shape_owner;
ALTER TABLE a ENABLE ROW LEVEL SECURITY;
CREATE POLICY of_b ON a USING (id IN (SELECT b.a FROM b) OR t = current_user);
CREATE VIEW mine WITH (security_invoker) AS SELECT id FROM a;
GRANT SELECT ON mine TO shape_owner;
SELECT blocks('SELECT id FROM a');
SET ROLE shape_owner;
SELECT blocks('SELECT x.id FROM a x, outer_view, mine');
RESET ROLE;
SET ROLE shape_owner;
SELECT depipe.create_transform('shape.secured', 'SELECT c.id FROM c LEFT JOIN mine ON mine.id = c.id', key => '{id}');
SELECT depipe.create_transform('shape.through', 'SELECT id FROM outer_view');
RESET ROLE;
SELECT strategy, possible, chosen, reason, detail FROM depipe.explain_transform('shape.secured') WHERE chosen;
SELECT strategy, possible, chosen, reason, detail FROM depipe.explain_transform('shape.through') WHERE chosen;

-- volatility, and what it comes from
CREATE FUNCTION roll(integer) RETURNS integer LANGUAGE sql VOLATILE AS 'SELECT $1';
CREATE FUNCTION "Odd"(integer) RETURNS integer LANGUAGE sql STABLE AS 'SELECT $1';
CREATE VIEW rolled AS SELECT roll(id) AS id FROM c;
CREATE FUNCTION culprit(query text) RETURNS TABLE (strategy text, reason text, detail text) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM depipe.create_transform('shape.culprit', query, replace => true);
	RETURN QUERY SELECT e.strategy, e.reason, e.detail FROM depipe.explain_transform('shape.culprit') e WHERE e.chosen;
	PERFORM depipe.drop_transform('shape.culprit', drop_table => true);
END $$;
SELECT culprit('SELECT random() AS r FROM c');
SELECT culprit('SELECT id FROM c WHERE shape.roll(id) > 0');
SELECT culprit('SELECT id FROM rolled');
SELECT culprit('SELECT v.id FROM c v WHERE v.id IN (SELECT roll(id) FROM b)');
SELECT culprit('SELECT id FROM c TABLESAMPLE bernoulli (50)');
SELECT culprit('SELECT id FROM c TABLESAMPLE bernoulli (50) REPEATABLE (1)');
SELECT culprit('SELECT id, now() AS at FROM c');
SELECT culprit('SELECT id, current_date AS today FROM c');
SELECT culprit('SELECT id FROM c WHERE "Odd"(id) = 1');
SELECT culprit('WITH w AS (SELECT timestamptz ''2026-01-01 00:00Z'' AS at FROM c) SELECT at::date FROM w');
SELECT culprit('SELECT timestamptz ''2026-01-01 00:00Z'' - (id * interval ''1 day'') AS at FROM c');
SELECT culprit('SELECT ''c''::text::regclass AS r FROM c');
SELECT culprit('SELECT ''a''::text || id AS t FROM c');
SELECT culprit('SELECT (timestamptz ''2026-01-01 00:00Z'')::text AS at FROM c');
SELECT culprit('SELECT id FROM c');
\pset tuples_only off
\pset format aligned

-- the message of mode incremental names it
SELECT depipe.create_transform('shape.culprit', 'SELECT random() AS r FROM c', mode => 'incremental');

-- offers: all kept, each with a cost of its own, and why the others lost
INSERT INTO c SELECT generate_series(1, 10000);
ANALYZE c;
SELECT depipe.create_transform('shape.offered', 'SELECT id FROM c', key => '{id}', populate => false);
SELECT strategy, possible, chosen, reason, cost > 0 AS costs FROM depipe.explain_transform('shape.offered');
SELECT strategy, reason FROM depipe.refresh('shape.offered');
ANALYZE offered;
DELETE FROM c WHERE id = 1;
SELECT strategy, possible, chosen, reason, cost > 0 AS costs FROM depipe.explain_transform('shape.offered');
SELECT lost.cost > won.cost AS dearer, lost.reason,
	lost.detail = pg_catalog.format('Its estimated cost is %s; that of %s is %s.', lost.cost::numeric(20, 2), won.strategy, won.cost::numeric(20, 2)) AS says_why
FROM depipe.explain_transform('shape.offered') lost, depipe.explain_transform('shape.offered') won
WHERE won.chosen AND NOT lost.chosen;
-- they follow the planner
CREATE TEMP TABLE before AS SELECT strategy, cost FROM depipe.explain_transform('shape.offered');
INSERT INTO c SELECT generate_series(10001, 20000);
ANALYZE c;
SELECT now.strategy, now.cost > before.cost AS dearer FROM depipe.explain_transform('shape.offered') now JOIN before USING (strategy);

SELECT count(depipe.drop_transform(t, drop_table => true))
FROM unnest(ARRAY['shape.offered', 'shape.secured', 'shape.through']) t;
RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA shape CASCADE;
DROP ROLE shape_owner;
