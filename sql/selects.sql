--
-- A fixed selection of SELECTs of many shapes as transforms: aggregates, grouping sets, joins, subqueries, set operations,
-- windows and WITH, as in the server's own regression tests (test/property/server_selects runs those). After each batch of
-- changes every table must be its query.
--
SET client_min_messages TO warning;
CREATE SCHEMA sel;
SET search_path = sel;
SET TimeZone = 'UTC';
CREATE TABLE crew (id integer PRIMARY KEY, boss integer, ship integer, name text, pay integer, born date, skills text[], share numeric(8,2));
CREATE TABLE ship (id integer PRIMARY KEY, name text, port text, tons integer, built date);
CREATE TABLE trip (ship integer, n integer, days integer, cargo text, paid numeric(8,2), at timestamp, PRIMARY KEY (ship, n));
CREATE TABLE mark (a integer, b integer, c text);
INSERT INTO ship SELECT i, 'ship ' || i, (ARRAY['Bergen', 'Lagos', NULL, 'Turku'])[1 + i % 4], i * 10 % 70, date '1990-01-01' + i * 300 FROM generate_series(1, 12) i;
INSERT INTO crew SELECT i, NULLIF(i / 3, 0), NULLIF(i % 14, 0), 'c' || i % 17, i * 37 % 50, date '1970-01-01' + i * 97, CASE i % 3 WHEN 0 THEN '{}' WHEN 1 THEN ARRAY['cook', 'n' || i % 4] END, i / 7.0
	FROM generate_series(1, 60) i;
INSERT INTO trip SELECT s, n, (s * n) % 9, (ARRAY['salt', 'wool', 'tea', NULL])[1 + (s + n) % 4], (s * n * 11) % 100, timestamp '2020-01-01' + s * n * interval '31 hours'
	FROM generate_series(1, 14) s, generate_series(1, 6) n WHERE (s + n) % 5 > 0;
INSERT INTO mark SELECT NULLIF(i % 6, 0), i % 4, (ARRAY['x', 'y', NULL])[1 + i % 3] FROM generate_series(1, 40) i;
ANALYZE crew, ship, trip, mark;
CREATE VIEW idle AS SELECT s.* FROM ship s WHERE NOT EXISTS (SELECT FROM trip t WHERE t.ship = s.id AND t.days > 5);

CREATE TABLE defined (n integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, query text);
INSERT INTO defined (query) VALUES
	-- aggregates
	('SELECT count(*) AS n, sum(pay) AS pay, avg(pay) AS mean, min(born) AS first, max(name COLLATE "C") AS last FROM crew'),
	('SELECT ship, count(DISTINCT pay % 5) AS kinds, sum(DISTINCT pay) AS pay, array_agg(id ORDER BY id DESC) AS ids FROM crew GROUP BY ship'),
	('SELECT ship, string_agg(name, ''-'' ORDER BY id) FILTER (WHERE pay > 20) AS names, bool_and(pay > 3) AS all_paid, every(boss IS NOT NULL) AS bossed FROM crew GROUP BY ship HAVING count(*) > 2'),
	('SELECT a, percentile_disc(0.5) WITHIN GROUP (ORDER BY b) AS p, mode() WITHIN GROUP (ORDER BY c COLLATE "C") AS m, rank(2) WITHIN GROUP (ORDER BY b) AS r FROM mark GROUP BY a'),
	('SELECT b, bit_and(a) AS ba, bit_or(a) AS bo, bit_xor(a) AS bx, count(a) AS n, count(*) - count(a) AS nulls FROM mark GROUP BY b'),
	('SELECT jsonb_agg(id ORDER BY id) AS j, jsonb_object_agg(id, pay ORDER BY id) AS o FROM crew WHERE ship = 3'),
	('SELECT stddev_pop(pay) IS NULL AS none, variance(pay)::numeric(12,4) AS v, regr_count(pay, id) AS n, covar_pop(pay, id) > 0 AS c FROM crew WHERE pay > 10'),
	('SELECT ship % 3 AS g, sum(pay) FILTER (WHERE born > date ''1975-01-01'') AS young, max(share) - min(share) AS spread FROM crew GROUP BY ship % 3'),
	('SELECT max(m.n) AS most FROM (SELECT ship, count(*) AS n FROM crew GROUP BY ship) m'),
	('SELECT g.n, count(*) AS ships FROM (SELECT ship, count(*) AS n FROM crew GROUP BY ship) g GROUP BY g.n'),
	('SELECT s.id, (SELECT max((SELECT count(*) FROM trip t WHERE t.ship = c.ship)) FROM crew c WHERE c.ship = s.id) AS m FROM ship s'),
	('SELECT s.port, sum(s.tons) AS tons FROM ship s GROUP BY s.port HAVING sum(s.tons) > (SELECT avg(tons) FROM ship)'),
	('SELECT s.id, s.name, count(c.id) AS n FROM ship s LEFT JOIN crew c ON c.ship = s.id GROUP BY s.id'),
	('SELECT ARRAY(SELECT c.id FROM crew c WHERE c.ship = s.id ORDER BY c.id) AS ids, s.id FROM ship s'),
	('SELECT DISTINCT ON (ship) ship, id, name FROM crew ORDER BY ship, pay DESC, id'),
	('SELECT DISTINCT port, tons > 30 AS big FROM ship'),
	-- grouping sets
	('SELECT a, b, grouping(a, b) AS g, count(*) AS n FROM mark GROUP BY GROUPING SETS ((a), (b), (a, b), ())'),
	('SELECT a, c, count(*) AS n, sum(b) AS b FROM mark GROUP BY ROLLUP (a, c)'),
	('SELECT a, b, c, max(b) AS m FROM mark GROUP BY CUBE (a, b), c'),
	('SELECT a, b, count(*) AS n FROM mark GROUP BY a, ROLLUP (b) HAVING grouping(b) = 0 OR count(*) > 3'),
	('SELECT a + 1 AS e, count(*) AS n FROM mark GROUP BY GROUPING SETS ((a + 1), (a + 1, c))'),
	('SELECT s.port, t.cargo, sum(t.paid) AS paid FROM ship s JOIN trip t ON t.ship = s.id GROUP BY GROUPING SETS ((s.port, t.cargo), (s.port))'),
	('SELECT a, count(*) AS n, rank() OVER (ORDER BY count(*), a NULLS FIRST) AS r FROM mark GROUP BY ROLLUP (a)'),
	('SELECT c, count(*) AS n FROM mark GROUP BY DISTINCT ROLLUP (c), ROLLUP (c)'),
	-- joins
	('SELECT c.id, s.name AS ship, b.name AS boss FROM crew c JOIN ship s ON s.id = c.ship LEFT JOIN crew b ON b.id = c.boss'),
	('SELECT s.id, t.n, t.cargo FROM ship s FULL JOIN trip t ON t.ship = s.id'),
	('SELECT COALESCE(s.id, c.ship) AS id, s.name, c.name AS crew FROM ship s FULL JOIN crew c ON s.id = c.ship AND c.pay > 25'),
	('SELECT s.id, x.n FROM ship s RIGHT JOIN (SELECT ship, max(n) AS n FROM trip GROUP BY ship) x ON x.ship = s.id'),
	('SELECT ship, n, name FROM trip NATURAL JOIN (SELECT id AS ship, name FROM ship) s'),
	('SELECT a.id AS one, b.id AS other FROM ship a JOIN ship b ON a.port = b.port AND a.id < b.id'),
	('SELECT a.id, b.id AS later FROM ship a, ship b WHERE b.built BETWEEN a.built AND a.built + 700'),
	('SELECT s.id, l.n, l.days FROM ship s CROSS JOIN LATERAL (SELECT t.n, t.days FROM trip t WHERE t.ship = s.id ORDER BY t.days DESC, t.n LIMIT 2) l'),
	('SELECT s.id, l.total FROM ship s LEFT JOIN LATERAL (SELECT sum(t.paid) AS total FROM trip t WHERE t.ship = s.id AND t.days > s.tons % 5) l ON true'),
	('SELECT c.id, k.skill, k.o FROM crew c CROSS JOIN LATERAL unnest(c.skills) WITH ORDINALITY k (skill, o)'),
	('SELECT c.id, v.w FROM crew c JOIN (VALUES (1, ''one''), (2, ''two''), (NULL, ''none'')) v (k, w) ON v.k IS NOT DISTINCT FROM c.boss'),
	('SELECT s.id, c.id AS crew, t.n FROM ship s LEFT JOIN (crew c JOIN trip t ON t.ship = c.ship AND t.days = c.pay % 9) ON c.ship = s.id'),
	('SELECT m.a, n.b FROM mark m LEFT JOIN mark n ON m.a = n.b AND (m.c = n.c OR m.c IS NULL)'),
	('SELECT s.name, g FROM ship s, generate_series(1, s.tons / 20) g'),
	('SELECT i.id, i.port FROM idle i LEFT JOIN crew c ON c.ship = i.id WHERE c.id IS NULL'),
	('SELECT s.id, t1.n AS one, t2.n AS two FROM ship s JOIN trip t1 ON t1.ship = s.id JOIN trip t2 ON t2.ship = s.id AND t2.n = t1.n + 1'),
	-- subqueries
	('SELECT id FROM ship WHERE id IN (SELECT ship FROM trip WHERE cargo = ''tea'')'),
	('SELECT id FROM ship WHERE id NOT IN (SELECT ship FROM trip WHERE days > 6)'),
	('SELECT id FROM crew WHERE ship NOT IN (SELECT a FROM mark WHERE b = 1)'),
	('SELECT c.id FROM crew c WHERE EXISTS (SELECT FROM trip t WHERE t.ship = c.ship AND t.days > c.pay % 8)'),
	('SELECT s.id FROM ship s WHERE NOT EXISTS (SELECT FROM crew c WHERE c.ship = s.id AND NOT EXISTS (SELECT FROM mark m WHERE m.a = c.pay % 6))'),
	('SELECT s.id, (SELECT count(*) FROM crew c WHERE c.ship = s.id) AS n, EXISTS (SELECT FROM trip t WHERE t.ship = s.id AND t.cargo IS NULL) AS odd FROM ship s'),
	('SELECT id, pay FROM crew c WHERE pay >= ALL (SELECT o.pay FROM crew o WHERE o.ship = c.ship)'),
	('SELECT id FROM crew WHERE (ship, pay % 4) IN (SELECT a, b FROM mark)'),
	('SELECT id FROM crew WHERE pay > (SELECT avg(pay) FROM crew)'),
	('SELECT id, CASE WHEN ship IN (SELECT id FROM ship WHERE port IS NULL) THEN ''adrift'' ELSE ''home'' END AS w FROM crew'),
	('SELECT x.ship, x.days FROM (SELECT ship, sum(days) AS days FROM trip GROUP BY ship) x WHERE x.days > (SELECT min(tons) FROM ship)'),
	('SELECT * FROM (SELECT ship, n, days FROM trip ORDER BY days DESC, ship, n LIMIT 7) top'),
	('SELECT id FROM crew ORDER BY pay DESC, id OFFSET 5 LIMIT 10'),
	('SELECT days, count(*) AS n FROM (SELECT days FROM trip ORDER BY days FETCH FIRST 9 ROWS WITH TIES) w GROUP BY days'),
	-- set operations
	('SELECT ship AS id FROM crew UNION SELECT ship FROM trip'),
	('SELECT ship, pay FROM crew UNION ALL SELECT ship, days FROM trip'),
	('SELECT a FROM mark INTERSECT SELECT ship FROM crew'),
	('SELECT a, b FROM mark INTERSECT ALL SELECT b, a FROM mark'),
	('SELECT a FROM mark EXCEPT SELECT id FROM ship WHERE tons > 20'),
	('SELECT a FROM mark EXCEPT ALL SELECT b FROM mark'),
	('(SELECT a FROM mark UNION SELECT b FROM mark) EXCEPT SELECT ship FROM trip WHERE cargo = ''salt'''),
	('SELECT id, ''ship'' AS what FROM ship UNION ALL SELECT id, ''crew'' FROM crew WHERE pay > 30 UNION ALL SELECT ship, cargo FROM trip WHERE days = 0'),
	('SELECT u.k, count(*) AS n FROM (SELECT a AS k FROM mark UNION ALL SELECT ship FROM trip) u GROUP BY u.k'),
	-- windows
	('SELECT id, ship, row_number() OVER (PARTITION BY ship ORDER BY pay, id) AS r, sum(pay) OVER (PARTITION BY ship) AS total FROM crew'),
	('SELECT ship, n, lag(days) OVER w AS before, lead(days, 2, -1) OVER w AS after, first_value(cargo) OVER w AS first FROM trip WINDOW w AS (PARTITION BY ship ORDER BY n)'),
	('SELECT ship, n, sum(days) OVER (PARTITION BY ship ORDER BY n ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING EXCLUDE CURRENT ROW) AS s FROM trip'),
	('SELECT ship, n, count(*) OVER (PARTITION BY ship ORDER BY days RANGE BETWEEN 2 PRECEDING AND CURRENT ROW) AS c, ntile(3) OVER (PARTITION BY ship ORDER BY n) AS t FROM trip'),
	('SELECT ship, n, count(*) OVER (PARTITION BY ship ORDER BY at RANGE BETWEEN interval ''3 days'' PRECEDING AND CURRENT ROW) AS c FROM trip'),
	('SELECT id, dense_rank() OVER (ORDER BY pay) AS r, cume_dist() OVER (ORDER BY pay) AS d FROM crew'),
	('SELECT ship, sum(days) AS days, sum(sum(days)) OVER (ORDER BY ship) AS running FROM trip GROUP BY ship'),
	('SELECT * FROM (SELECT id, ship, rank() OVER (PARTITION BY ship ORDER BY pay DESC) AS r FROM crew) x WHERE x.r <= 2'),
	('SELECT s.ship, min(s.n) AS first, count(*) AS n FROM (SELECT ship, n, n - row_number() OVER (PARTITION BY ship ORDER BY n) AS g FROM trip) s GROUP BY s.ship, s.g'),
	('SELECT ship, n, nth_value(paid, 2) OVER (PARTITION BY ship ORDER BY n GROUPS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS p FROM trip'),
	-- WITH
	('WITH big AS (SELECT * FROM ship WHERE tons > 30) SELECT b.id, count(c.id) AS n FROM big b LEFT JOIN crew c ON c.ship = b.id GROUP BY b.id'),
	('WITH s AS MATERIALIZED (SELECT ship, sum(paid) AS paid FROM trip GROUP BY ship) SELECT x.ship, y.ship AS other FROM s x JOIN s y ON x.paid = y.paid'),
	('WITH RECURSIVE r AS (SELECT id, boss, 1 AS depth FROM crew WHERE boss IS NULL UNION ALL SELECT c.id, c.boss, r.depth + 1 FROM crew c JOIN r ON c.boss = r.id WHERE r.depth < 9) SELECT id, depth FROM r'),
	('WITH RECURSIVE r (n) AS (SELECT min(id) FROM ship UNION SELECT (SELECT min(id) FROM ship WHERE id > r.n) FROM r WHERE r.n IS NOT NULL) SELECT n FROM r'),
	('WITH a AS (SELECT ship FROM crew WHERE pay > 20), b AS (SELECT ship FROM a UNION ALL SELECT ship FROM trip WHERE days > 4) SELECT ship, count(*) AS n FROM b GROUP BY ship'),
	('WITH w AS (SELECT a, b FROM mark) SELECT w.a, (WITH v AS (SELECT b FROM mark m WHERE m.a = w.b) SELECT count(*) FROM v) AS n FROM w');
-- incremental where that is possible
CREATE FUNCTION make(n integer, query text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM depipe.create_transform('sel.t' || n, query, key => '{}', mode => 'incremental');
	RETURN 'incremental';
EXCEPTION WHEN feature_not_supported THEN
	PERFORM depipe.create_transform('sel.t' || n, query, key => '{}');
	RETURN 'auto';
END $$;
SELECT count(*) AS made, count(*) FILTER (WHERE m.mode = 'incremental') > 50 AS incremental FROM defined, LATERAL make(n, query) AS m (mode);

-- tables that are not their queries
CREATE FUNCTION wrong() RETURNS TABLE (n integer, differences bigint, strategy text, query text) LANGUAGE plpgsql AS $$
BEGIN
	FOR n, query IN SELECT d.n, d.query FROM sel.defined d ORDER BY d.n LOOP
		EXECUTE format('SELECT count(*) FROM ((%1$s EXCEPT ALL TABLE sel.%2$I) UNION ALL (TABLE sel.%2$I EXCEPT ALL %1$s)) d', '(SELECT * FROM (' || query || ') q)', 't' || n) INTO differences;
		CONTINUE WHEN differences = 0;
		SELECT r.strategy INTO strategy FROM depipe.runs r WHERE r.target = 'sel.t' || n ORDER BY r.run_id DESC LIMIT 1;
		RETURN NEXT;
	END LOOP;
END $$;
CREATE FUNCTION refreshed() RETURNS SETOF text LANGUAGE sql AS $$
	SELECT format('%s %s: %s', f.target, f.status, f.reason) FROM depipe.refresh('sel.t*') f WHERE f.status NOT IN ('succeeded', 'nothing')
	UNION ALL SELECT 'differs: ' || w::text FROM sel.wrong() w
$$;
SELECT * FROM refreshed();
\echo rows come and go
INSERT INTO crew SELECT i, i / 4, i % 9, 'new ' || i % 3, i % 50, date '1999-01-01', '{mate}', 5 FROM generate_series(61, 66) i;
DELETE FROM trip WHERE ship = 4 OR n = 6;
DELETE FROM ship WHERE id IN (2, 9);
INSERT INTO mark VALUES (NULL, NULL, NULL), (3, 3, 'x'), (3, 3, 'x');
SELECT * FROM refreshed();
\echo values change, and keys move
UPDATE crew SET pay = pay + 1, ship = NULLIF(ship % 5, 0) WHERE id % 6 = 1;
UPDATE crew SET boss = NULL, skills = skills || 'sail'::text WHERE id IN (5, 11, 30);
UPDATE trip SET n = n + 10, cargo = NULLIF(cargo, 'wool') WHERE ship IN (3, 7);
UPDATE mark SET a = b, b = a WHERE c = 'y';
UPDATE ship SET port = NULL, tons = tons + 15 WHERE id = 5;
SELECT * FROM refreshed();
\echo one row, nothing at all, and everything
UPDATE ship SET id = 102 WHERE id = 3;
SELECT * FROM refreshed();
UPDATE crew SET pay = pay;
SELECT count(*) AS written FROM depipe.refresh('sel.t*') WHERE inserted + updated + deleted > 0;
TRUNCATE mark;
DELETE FROM trip;
SELECT * FROM refreshed();
INSERT INTO trip SELECT s, n, (s * n) % 7, 'tea', s, timestamp '2021-01-01' + s * n * interval '31 hours' FROM generate_series(1, 12) s, generate_series(1, 3) n;
INSERT INTO mark SELECT i % 6, i % 3, 'z' FROM generate_series(1, 20) i;
SELECT * FROM refreshed();
-- most of them did not need the whole query for a few rows
SELECT count(DISTINCT target) > 50 AS by_changes FROM depipe.runs WHERE target LIKE 'sel.t%' AND strategy IN ('linear', 'join', 'aggregate', 'keys');
SELECT count(depipe.drop_transform(target, true)) AS dropped FROM depipe.transforms WHERE target LIKE 'sel.t%';
DROP SCHEMA sel CASCADE;
