-- strategy keys: expressions as keys, and columns that a FULL JOIN merges; random changes, each time compared with the query
CREATE SCHEMA wide;
SET search_path = wide;
SET TimeZone = 'UTC';
SET client_min_messages = warning;
CREATE TABLE e (id integer PRIMARY KEY, k integer, name text, at timestamptz, d date, n integer);
CREATE TABLE f (id integer, k integer, name text, at timestamptz, n integer);
CREATE TABLE days (day timestamptz PRIMARY KEY, label text);
CREATE INDEX ON e (k);
CREATE INDEX ON f (lower(name));
CREATE TABLE tree (id integer PRIMARY KEY, parent integer);
INSERT INTO tree SELECT i, i / 2 FROM generate_series(1, 20) i;
CREATE TABLE defined (name text PRIMARY KEY, query text);
CREATE PROCEDURE make(name text, query text, mode text DEFAULT 'incremental') LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO wide.defined VALUES (name, query);
	PERFORM depipe.create_transform('wide.' || name, query, mode => mode, key => '{}');
END $$;
CALL make('by_day', 'SELECT date_trunc(''day'', at) AS day, count(DISTINCT n) AS n, max(name) AS name FROM wide.e GROUP BY 1');
CALL make('by_k_day', 'SELECT k, at::date AS day, min(DISTINCT n) AS n FROM wide.e GROUP BY k, at::date');
CALL make('by_lower', 'SELECT lower(e.name) AS name, count(*) AS n, min(f.n) AS least FROM wide.e LEFT JOIN wide.f ON lower(f.name) = lower(e.name) GROUP BY lower(e.name)');
CALL make('by_bin', 'SELECT date_bin(''6 hours'', at, ''2020-01-01'') AS bin, max(DISTINCT n) AS n FROM wide.e GROUP BY 1');
CALL make('by_year', 'SELECT y, max(n) AS n FROM (SELECT extract(year FROM at) AS y, n FROM wide.e WHERE k > 1) s GROUP BY y');
CALL make('by_sum', 'SELECT a + b AS c, count(*) AS n, max(b) AS b FROM (SELECT DISTINCT k AS a, n AS b FROM wide.e) s GROUP BY a + b');
CALL make('union_day', 'SELECT day, count(*) AS n, max(n) AS most FROM (SELECT at::date AS day, n FROM wide.e UNION ALL SELECT at::date, n FROM wide.f) u GROUP BY day');
CALL make('union_on', 'SELECT u.at::date AS day, max(u.n) AS most FROM (SELECT at, n FROM wide.e UNION ALL SELECT at, n FROM wide.f WHERE k > 0) u GROUP BY u.at::date');
CALL make('windowed', 'SELECT id, at, at - lag(at) OVER (PARTITION BY k % 3, date_trunc(''day'', at) ORDER BY at, id) AS gap, k % 3 AS k3, date_trunc(''day'', at) AS day FROM wide.e');
CALL make('different', 'SELECT DISTINCT upper(name) AS name, k / 2 AS half FROM wide.f');
CALL make('different_on', 'SELECT DISTINCT ON (k % 4) k % 4 AS k4, id, name FROM wide.e ORDER BY k % 4, n, id');
CALL make('labelled', 'SELECT days.label, date_trunc(''day'', e.at) AS day, max(DISTINCT e.n) AS n FROM wide.e JOIN wide.days ON days.day = date_trunc(''day'', e.at) GROUP BY days.label, date_trunc(''day'', e.at)');
CALL make('exists_day', 'SELECT date_trunc(''day'', at) AS day, max(n) AS n FROM wide.e WHERE EXISTS (SELECT FROM wide.f WHERE date_trunc(''day'', f.at) = date_trunc(''day'', e.at) AND f.n > 3) GROUP BY 1');
CALL make('constants', 'SELECT ''EUR'' AS currency, 1 AS one, k, max(DISTINCT n) AS n FROM wide.e GROUP BY k, ''x''::text');
CALL make('sets', 'SELECT k, name, at::date AS day, max(n) AS n, grouping(name) AS g FROM wide.e GROUP BY k, GROUPING SETS ((name), (at::date), ())');
CALL make('full_joined', 'SELECT k, a.n AS an, b.n AS bn, a.name FROM wide.e a FULL JOIN wide.f b USING (k)');
CALL make('full_on', 'SELECT coalesce(a.k, b.k) AS k, count(a.id) AS an, count(b.id) AS bn, max(b.name) AS name FROM wide.e a FULL JOIN wide.f b ON a.k = b.k AND a.n = b.n GROUP BY coalesce(a.k, b.k)');
CALL make('full_of_groups', 'SELECT k, coalesce(a.n, 0) AS an, coalesce(b.n, 0) AS bn FROM (SELECT k, max(n) AS n FROM wide.e GROUP BY k) a FULL JOIN (SELECT k, count(*) AS n FROM wide.f GROUP BY k) b USING (k)');
CALL make('full_and_more', 'SELECT j.k, count(*) AS n, max(c.n) AS cn FROM (SELECT k FROM wide.e a FULL JOIN wide.f b USING (k)) j LEFT JOIN wide.f c ON c.n = j.k AND c.id > 2 GROUP BY j.k');
CALL make('full_two', 'SELECT k, n, a.id AS aid, b.id AS bid FROM wide.e a FULL JOIN (SELECT * FROM wide.f WHERE id > 1) b USING (k, n) WHERE k > 0 OR n IS NULL');
CALL make('full_of_joins', 'SELECT k, max(a.name) AS name, count(b.id) AS n FROM (wide.e a JOIN wide.days ON days.day = date_trunc(''day'', a.at)) FULL JOIN wide.f b USING (k) GROUP BY k');
CALL make('made_of', 'SELECT k % 3 AS k3, count(DISTINCT n) AS n, max(n) AS most FROM wide.e GROUP BY k');
CALL make('made_of_both', 'SELECT k % 3 AS k3, n, rank() OVER (PARTITION BY k ORDER BY n) AS r, rank() OVER (PARTITION BY k % 3 ORDER BY n) AS r3 FROM wide.e');
CALL make('lateral_few', 'SELECT e.k, e.id, x.id AS fid FROM wide.e CROSS JOIN LATERAL (SELECT f.id FROM wide.f WHERE f.k = e.k ORDER BY f.n, f.id LIMIT 2 OFFSET 1) x');
CALL make('recursive_part', 'WITH RECURSIVE w AS (SELECT id FROM wide.tree WHERE parent = 0 UNION ALL SELECT tree.id FROM wide.tree JOIN w ON w.id = tree.parent) SELECT e.k, max(e.n) AS n, count(*) AS c FROM wide.e JOIN w ON w.id = e.k GROUP BY e.k');
CALL make('in_except', 'SELECT e.k, max(e.n) AS n FROM wide.e JOIN (SELECT k FROM wide.f EXCEPT SELECT parent FROM wide.tree WHERE id > 10) x ON x.k = e.k GROUP BY e.k');
-- rows that concern any value, or none
CALL make('z_scalar', 'SELECT count(*) AS n, max(k) AS k FROM wide.e WHERE n > 7', 'auto');
CALL make('z_scalar_joined', 'SELECT sum(e.n) AS n FROM wide.e JOIN wide.f ON f.k = e.k WHERE f.name = ''DORA'' AND e.n > 4', 'auto');
CALL make('z_few', 'SELECT id, n FROM wide.e WHERE k = 1 ORDER BY n, id LIMIT 3', 'auto');
CALL make('z_average', 'SELECT id, n FROM wide.e WHERE n > (SELECT avg(n) FROM wide.f WHERE f.k = 2)', 'auto');
CALL make('z_outer', 'SELECT e.id, x.label FROM wide.e LEFT JOIN (SELECT max(label) AS label FROM wide.days WHERE label > ''day 1'') x ON true', 'auto');
-- refresh all; rows that differ from the query
CREATE FUNCTION refreshed() RETURNS TABLE (name text, strategy text, reason text, wrong bigint) LANGUAGE plpgsql AS $$
DECLARE r record;
BEGIN
	FOR r IN SELECT d.name, d.query, f.strategy, f.reason
		FROM depipe.refresh('wide.*') f JOIN wide.defined d ON f.target = 'wide.' || d.name ORDER BY d.name
	LOOP
		name := r.name; strategy := r.strategy; reason := r.reason;
		EXECUTE format('SELECT count(*) FROM (((%1$s) EXCEPT ALL TABLE wide.%2$I) UNION ALL (TABLE wide.%2$I EXCEPT ALL (%1$s))) d',
			r.query, r.name) INTO wrong;
		RETURN NEXT;
	END LOOP;
END $$;
-- some changes of all tables, from a seed
CREATE PROCEDURE change(seed integer) LANGUAGE plpgsql AS $$
DECLARE
	i integer;
	h integer;
BEGIN
	FOR i IN 1..6 LOOP
		h := abs(hashint4(seed * 100 + i));
		CASE h % 8
			WHEN 0 THEN INSERT INTO wide.e SELECT coalesce(max(id), 0) + 1, nullif(h % 7, 5), (ARRAY['Ann', 'ann', 'Bob', 'BOB', 'Cy', NULL])[1 + h % 6], timestamptz '2025-12-30 00:00Z' + (h % 100) * interval '1 hour', NULL, h % 9 FROM wide.e;
			WHEN 1 THEN INSERT INTO wide.f SELECT h % 5, nullif(h % 6, 3), (ARRAY['ann', 'Bob', 'Dora', NULL])[1 + h % 4], timestamptz '2025-12-30 00:00Z' + (h % 90) * interval '1 hour', h % 7;
			WHEN 2 THEN DELETE FROM wide.e WHERE id = (SELECT min(id) FROM wide.e WHERE id >= h % 12);
			WHEN 3 THEN DELETE FROM wide.f WHERE ctid = (SELECT min(ctid) FROM wide.f WHERE n >= h % 4);
			WHEN 4 THEN UPDATE wide.e SET k = nullif(h % 7, 6), n = n + 1 WHERE id % 5 = h % 5;
			WHEN 5 THEN UPDATE wide.f SET k = nullif(h % 5, 4), name = upper(name) WHERE n % 3 = h % 3;
			WHEN 6 THEN UPDATE wide.e SET at = at + (h % 30) * interval '1 hour', name = lower(name) WHERE id % 4 = h % 4;
			ELSE INSERT INTO wide.days SELECT date_trunc('day', min(at), 'UTC'), 'day ' || h % 3 FROM wide.e WHERE date_trunc('day', at, 'UTC') NOT IN (SELECT day FROM wide.days) HAVING count(*) > 0;
				DELETE FROM wide.days WHERE label = 'day ' || h % 5;
		END CASE;
	END LOOP;
END $$;
INSERT INTO e SELECT i, i % 7, (ARRAY['Ann', 'ann', 'Bob', 'BOB'])[1 + i % 4], timestamptz '2025-12-30 00:00Z' + i * interval '7 hours', NULL, i % 9 FROM generate_series(1, 14) i;
INSERT INTO f SELECT i % 5, i % 6, (ARRAY['ann', 'Bob', 'Dora'])[1 + i % 3], timestamptz '2025-12-30 00:00Z' + i * interval '9 hours', i % 7 FROM generate_series(1, 10) i;
INSERT INTO e VALUES (50, NULL, NULL, NULL, NULL, NULL);
INSERT INTO f VALUES (50, NULL, NULL, NULL, NULL);
SELECT * FROM refreshed() WHERE wrong > 0;
CALL change(0);
SELECT d.name, substring(e.detail from 'of (\(.*) are rec') AS key FROM defined d, depipe.explain_transform('wide.' || d.name) e WHERE e.strategy = 'keys' AND e.possible AND d.name NOT LIKE 'z%' ORDER BY 1;
-- rounds: strategies of the transforms that were written by keys, and what is wrong
CREATE TABLE seen (name text, strategy text, reason text, wrong bigint, round integer);
CREATE PROCEDURE rounds(first integer, last integer) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN first..last LOOP
		CALL wide.change(i);
		COMMIT;
		INSERT INTO wide.seen SELECT r.*, i FROM wide.refreshed() r;
		COMMIT;
	END LOOP;
END $$;
CALL rounds(1, 12);
SELECT * FROM seen WHERE wrong > 0 ORDER BY round, name LIMIT 20;
SELECT name, strategy, reason FROM seen WHERE strategy NOT IN ('keys', 'nothing') AND name NOT LIKE 'z%' GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
-- each of them was served by keys, except for DISTINCT of one table, which strategy aggregate counts
SELECT name FROM defined WHERE name NOT LIKE 'z_scalar%' EXCEPT SELECT name FROM seen WHERE strategy = 'keys';
SELECT name FROM seen WHERE strategy LIKE 'full%' AND name IN ('z_few', 'z_average', 'z_outer') GROUP BY name ORDER BY name;
\echo the inner part that recurses has changed: any row may be concerned
INSERT INTO tree VALUES (21, 3);
SELECT * FROM refreshed() WHERE strategy <> 'nothing' AND name <> 'in_except' AND name NOT LIKE 'z%';
SELECT count(depipe.drop_transform(target, true)) FROM depipe.transforms WHERE target LIKE 'wide.%';
DROP SCHEMA wide CASCADE;
