-- strategy keys: what is recomputed when inputs change, each time compared with the query itself
CREATE SCHEMA inc;
SET search_path = inc;
SET client_min_messages = warning;
CREATE TABLE o (id integer PRIMARY KEY, k integer, c integer, n numeric);
CREATE TABLE c (id integer PRIMARY KEY, region text, m integer);
CREATE TABLE l (o integer, v integer);
INSERT INTO o SELECT i, i % 5, i % 3, i FROM generate_series(1, 12) i;
INSERT INTO o VALUES (13, NULL, 1, 1), (14, NULL, NULL, 2);
INSERT INTO c VALUES (0, 'north', 1), (1, 'south', NULL), (2, 'south', 3);
INSERT INTO l SELECT i % 6, i FROM generate_series(1, 15) i;
CREATE TABLE defined (name text PRIMARY KEY, query text);
-- make a transform of each query
CREATE PROCEDURE make(name text, query text) LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO inc.defined VALUES (name, query);
	PERFORM depipe.create_transform('inc.' || name, query, mode => 'incremental', key => '{}');
END $$;
-- refresh all; which strategy served, how many rows it wrote, and how many rows differ from the query
CREATE FUNCTION refreshed() RETURNS TABLE (name text, strategy text, reason text, written bigint, wrong bigint) LANGUAGE plpgsql AS $$
DECLARE r record;
BEGIN
	FOR r IN SELECT d.name, d.query, f.strategy, f.reason, f.inserted + f.updated + f.deleted AS written
		FROM depipe.refresh('inc.*') f JOIN inc.defined d ON f.target = 'inc.' || d.name ORDER BY d.name
	LOOP
		name := r.name; strategy := r.strategy; reason := r.reason; written := r.written;
		EXECUTE format('SELECT count(*) FROM ((%1$s EXCEPT ALL TABLE inc.%2$I) UNION ALL (TABLE inc.%2$I EXCEPT ALL (%1$s))) d',
			r.query, r.name) INTO wrong;
		IF strategy <> 'nothing' OR wrong > 0 THEN RETURN NEXT; END IF;
	END LOOP;
END $$;

CALL make('antijoin', 'SELECT o.id, o.k FROM inc.o LEFT JOIN inc.l ON l.o = o.id WHERE l.o IS NULL');
CALL make('chain', 'SELECT l.v, o.n, c.region FROM inc.l JOIN inc.o ON o.id = l.o LEFT JOIN inc.c ON c.id = o.c');
CALL make('grouped', 'SELECT o.k, count(*) AS n, (array_agg(c.region ORDER BY c.region DESC))[1] AS region FROM inc.o JOIN inc.c ON c.id = o.c GROUP BY o.k HAVING count(*) > 1');
CALL make('not_in', 'SELECT id FROM inc.o WHERE k NOT IN (SELECT m FROM inc.c)');
CALL make('outer_join', 'SELECT o.id, c.region, s.total FROM inc.o LEFT JOIN inc.c ON c.id = o.c LEFT JOIN (SELECT o, sum(v) AS total FROM inc.l GROUP BY o) s ON s.o = o.id');
CALL make('ranked', 'SELECT k, id, row_number() OVER (PARTITION BY k ORDER BY id) AS r FROM inc.o');
CALL make('union_of', 'SELECT k, n::integer AS n FROM inc.o UNION SELECT o, v FROM inc.l');
SELECT * FROM refreshed();
\echo a partner appears, another one disappears
INSERT INTO c VALUES (7, 'west', 9);
UPDATE o SET c = 7 WHERE id = 4;
DELETE FROM c WHERE id = 1;
SELECT * FROM refreshed();
\echo a row moves to another group, and to NULL
UPDATE o SET k = 4 WHERE id = 5;
UPDATE o SET k = NULL WHERE id = 1;
SELECT * FROM refreshed();
\echo groups disappear, groups appear
DELETE FROM o WHERE k = 2;
INSERT INTO o VALUES (20, 9, 0, 1), (21, 9, 2, 1);
SELECT * FROM refreshed();
\echo NULL comes into NOT IN, and goes
INSERT INTO c VALUES (8, 'east', NULL);
SELECT * FROM refreshed();
DELETE FROM c WHERE m IS NULL;
SELECT * FROM refreshed();
\echo the owner goes together with its partner; all tables change in one transaction
BEGIN;
DELETE FROM l WHERE o = 3;
DELETE FROM o WHERE id = 3;
DELETE FROM c WHERE id = 7;
UPDATE l SET o = 20 WHERE v IN (1, 2);
INSERT INTO c VALUES (1, 'south again', 4);
COMMIT;
SELECT * FROM refreshed();
\echo a table beside the path changes together with the path
BEGIN;
UPDATE o SET c = 2 WHERE c = 0;
DELETE FROM c WHERE id = 0;
UPDATE l SET v = v + 100 WHERE o = 20;
COMMIT;
SELECT * FROM refreshed();
\echo changes that concern no row, and back and forth
INSERT INTO l VALUES (999, 1);
UPDATE c SET m = m;
SELECT * FROM refreshed();
UPDATE o SET n = n + 1;
UPDATE o SET n = n - 1;
SELECT * FROM refreshed();
\echo NULL keys
UPDATE o SET c = 2 WHERE k IS NULL;
INSERT INTO o VALUES (30, NULL, 2, 30);
DELETE FROM o WHERE id = 13;
SELECT * FROM refreshed();
\echo TRUNCATE: all rows are compared
TRUNCATE l;
SELECT * FROM refreshed();
\echo an input that any row depends on
CALL make('crossed', 'SELECT o.id, c.region FROM inc.o, inc.c WHERE c.m > 3');
INSERT INTO o VALUES (40, 1, 2, 2);
SELECT * FROM refreshed() WHERE name = 'crossed';
INSERT INTO c VALUES (50, 'anywhere', 50);
SELECT * FROM refreshed() WHERE name = 'crossed';

\echo rows in quarantine are compared, too
SELECT depipe.add_constraint('inc.ranked', depipe.satisfies('id <> 60'), on_violation => 'quarantine');
INSERT INTO o VALUES (60, 1, 2, 2);
SELECT name, strategy, reason FROM refreshed() WHERE name = 'ranked';
DELETE FROM o WHERE id = 60;
SELECT name, strategy, reason, wrong FROM refreshed() WHERE name = 'ranked';
INSERT INTO o VALUES (61, 1, 2, 2);
SELECT name, strategy, reason, wrong FROM refreshed() WHERE name = 'ranked';

\echo refused at creation, with the construct and its place
CREATE FUNCTION refused(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE detail text;
BEGIN
	PERFORM depipe.create_transform('inc.refused', query, mode => 'incremental');
	RETURN 'accepted';
EXCEPTION WHEN feature_not_supported THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN detail;
END $$;
SELECT refused('SELECT count(DISTINCT k) AS n FROM inc.o');
SELECT refused('SELECT id, n FROM inc.o ORDER BY n, id LIMIT 3');
SELECT refused('SELECT id, random() AS r FROM inc.o');
SELECT refused('SELECT id, now() AS r FROM inc.o');
SELECT refused('SELECT x.n FROM (SELECT count(*) AS n FROM inc.o) x');
SELECT count(*) FROM pg_class WHERE oid = to_regclass('inc.refused');
UPDATE o SET id = -id;
SELECT possible, reason, detail FROM depipe.explain_transform('inc.ranked') WHERE strategy = 'keys';
SELECT count(depipe.drop_transform(target, true)) FROM depipe.transforms WHERE target LIKE 'inc.%';
DROP SCHEMA inc CASCADE;
