-- the same change of the inputs on different ways: the same rows, and the same rows written
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS depipe;
CREATE SCHEMA one;
CREATE SCHEMA other;
CREATE SCHEMA meta;
SET search_path = meta;
CREATE FUNCTION make(place text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE q record;
BEGIN
	EXECUTE format('SET LOCAL search_path = %I', place);
	CREATE TABLE a (id integer PRIMARY KEY, k integer, v integer NOT NULL, note text);
	CREATE TABLE b (id integer PRIMARY KEY, k integer, w numeric(6, 2), note text);
	CREATE TABLE p (id integer, k integer NOT NULL, v integer) PARTITION BY LIST (k);
	CREATE TABLE p_1 PARTITION OF p FOR VALUES IN (1, 2, 3);
	CREATE TABLE p_2 PARTITION OF p DEFAULT;
	INSERT INTO a SELECT i, i % 20, i FROM generate_series(1, 1000) i;
	INSERT INTO b SELECT i, i % 20, i FROM generate_series(1, 40) i;
	INSERT INTO p SELECT i, i % 8, i FROM generate_series(1, 400) i;
	ANALYZE a, b, p;
	FOR q IN VALUES
		('plain', 'SELECT id, k, v FROM a WHERE v % 7 > 1'),
		('bag', 'SELECT k, v % 5 AS v FROM a'),
		('joined', 'SELECT a.id AS a, b.id AS b, a.v * b.w AS vw FROM a JOIN b ON a.k = b.k'),
		('sums', 'SELECT k, count(*) AS n, sum(v) AS v FROM a GROUP BY k'),
		('parts', 'SELECT k, count(*) AS n, sum(v) AS v, count(v) AS c FROM p GROUP BY k'),
		('ranked', 'SELECT id, k, row_number() OVER (PARTITION BY k ORDER BY v, id) AS r FROM a'),
		('outer_joined', 'SELECT b.id, count(a.id) AS n, max(a.v) AS v FROM b LEFT JOIN a ON a.k = b.k GROUP BY b.id'),
		('without', 'SELECT id, v FROM a WHERE NOT EXISTS (SELECT FROM b WHERE b.k = a.k AND b.w > a.v)'),
		('excepted', 'SELECT k, v FROM a EXCEPT SELECT k, v FROM p')
	LOOP
		PERFORM depipe.create_transform(place || '.' || q.column1, q.column2, mode => 'incremental');
	END LOOP;
	PERFORM depipe.refresh(place || '.*');
END $$;
SELECT make('one'), make('other');
-- execute statements at a place, with a refresh after each, or one at the end, whose rows written are returned
CREATE FUNCTION change(place text, at_once boolean, VARIADIC statements text[]) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE statement text;
BEGIN
	EXECUTE format('SET LOCAL search_path = %I', place);
	FOREACH statement IN ARRAY statements LOOP
		EXECUTE statement;
		CONTINUE WHEN at_once;
		PERFORM depipe.refresh(place || '.*');
	END LOOP;
	RETURN QUERY SELECT format('%s %s %s %s', split_part(r.target, '.', 2), r.inserted, r.updated, r.deleted)
		FROM depipe.refresh(place || '.*') r WHERE r.strategy NOT LIKE 'full%';
END $$;
-- transforms whose rows differ between the places, or from the query
CREATE FUNCTION differing() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	name text;
	n bigint;
BEGIN
	FOR name IN SELECT split_part(target, '.', 2) FROM depipe.transforms WHERE target LIKE 'one.%' LOOP
		EXECUTE format('SELECT count(*) FROM ((TABLE one.%1$I EXCEPT ALL TABLE other.%1$I) UNION ALL (TABLE other.%1$I EXCEPT ALL TABLE one.%1$I)) d', name) INTO n;
		IF n > 0 THEN RETURN NEXT name; END IF;
		IF EXISTS (SELECT FROM depipe.verify('one.' || name)) THEN RETURN NEXT name || ' is wrong'; END IF;
	END LOOP;
END $$;

\echo UPDATE is DELETE and INSERT
CREATE TEMPORARY TABLE written AS SELECT 'one' AS place, c FROM change('one', true,
	'UPDATE a SET k = k + 1, v = v + 1 WHERE id BETWEEN 10 AND 15',
	'UPDATE p SET k = 9 - k WHERE id < 5', 'UPDATE b SET w = w + 1 WHERE id = 3') c;
INSERT INTO written SELECT 'other', change('other', true,
	'CREATE TEMPORARY TABLE gone AS SELECT * FROM a WHERE id BETWEEN 10 AND 15', 'DELETE FROM a WHERE id BETWEEN 10 AND 15',
	'INSERT INTO a SELECT id, k + 1, v + 1, note FROM gone',
	'WITH moved AS (DELETE FROM p WHERE id < 5 RETURNING *) INSERT INTO p SELECT id, 9 - k, v FROM moved',
	'INSERT INTO b VALUES (1000, 5, 5)', 'DELETE FROM b WHERE id = 3', 'INSERT INTO b VALUES (3, 3, 4)', 'DELETE FROM b WHERE id = 1000');
SELECT differing();
SELECT c, string_agg(place, ' ') FROM written GROUP BY c HAVING count(*) <> 2 ORDER BY c;
SELECT c FROM written WHERE place = 'one' ORDER BY c;

\echo the order of statements does not matter, nor do some that take themselves back
TRUNCATE written;
INSERT INTO written SELECT 'one', change('one', true, 'DELETE FROM a WHERE id % 100 = 7', 'UPDATE b SET k = 3 WHERE id = 11',
	'INSERT INTO a SELECT i, i % 7, i FROM generate_series(2010, 2019) i', 'UPDATE p SET v = v + 1 WHERE k = 4', 'UPDATE a SET k = 2 WHERE id BETWEEN 500 AND 503');
INSERT INTO written SELECT 'other', change('other', true, 'UPDATE a SET k = 2 WHERE id BETWEEN 500 AND 503', 'UPDATE p SET v = v + 1 WHERE k = 4',
	'UPDATE a SET v = v + 1', 'INSERT INTO a SELECT i, i % 7, i + 1 FROM generate_series(2019, 2010, -1) i', 'UPDATE b SET k = 5 WHERE id = 11', 'UPDATE b SET k = 3 WHERE id = 11',
	'UPDATE a SET v = v - 1', 'DELETE FROM a WHERE id % 100 = 7');
SELECT differing();
SELECT c, string_agg(place, ' ') FROM written GROUP BY c HAVING count(*) <> 2 ORDER BY c;

\echo many small batches are one large one
SELECT count(*) > 0 AS refreshed FROM change('one', false, 'DELETE FROM a WHERE id % 90 = 1', 'INSERT INTO b VALUES (41, 4, 1), (42, NULL, 2)', 'UPDATE a SET k = NULL WHERE id % 77 = 0',
	'MERGE INTO p USING b ON p.id = b.id WHEN MATCHED AND b.id % 2 = 0 THEN UPDATE SET k = 1 WHEN MATCHED AND b.id % 3 = 0 THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (b.id, 6, 6)',
	'UPDATE b SET k = k + 1', 'DELETE FROM b WHERE id < 4', 'INSERT INTO a VALUES (3000, 5, 5), (3001, NULL, 5)', 'UPDATE a SET id = id + 1 WHERE id = 3001',
	'UPDATE p SET k = (k + 1) % 8 WHERE id % 50 = 0', 'DELETE FROM a WHERE k = 19');
SELECT count(*) > 0 AS refreshed FROM change('other', true, 'DELETE FROM a WHERE id % 90 = 1', 'INSERT INTO b VALUES (41, 4, 1), (42, NULL, 2)', 'UPDATE a SET k = NULL WHERE id % 77 = 0',
	'MERGE INTO p USING b ON p.id = b.id WHEN MATCHED AND b.id % 2 = 0 THEN UPDATE SET k = 1 WHEN MATCHED AND b.id % 3 = 0 THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (b.id, 6, 6)',
	'UPDATE b SET k = k + 1', 'DELETE FROM b WHERE id < 4', 'INSERT INTO a VALUES (3000, 5, 5), (3001, NULL, 5)', 'UPDATE a SET id = id + 1 WHERE id = 3001',
	'UPDATE p SET k = (k + 1) % 8 WHERE id % 50 = 0', 'DELETE FROM a WHERE k = 19');
SELECT differing();

\echo a column that nothing reads: nothing is captured, nothing is run, nothing is written
SELECT count(*), sum(changes) AS changes FROM depipe.captures WHERE input LIKE 'one.%';
UPDATE one.a SET note = 'x';
UPDATE one.b SET note = 'y' WHERE id > 5;
SELECT DISTINCT status, strategy, inserted, updated, deleted FROM depipe.refresh('one.*');
SELECT sum(changes) AS changes FROM depipe.captures WHERE input LIKE 'one.%';

\echo memory of a session stays the same over many refreshes
CREATE TABLE memory (refreshes integer, bytes bigint);
DO $$
BEGIN
	FOR i IN 1 .. 1000 LOOP
		UPDATE one.a SET v = v + 1, k = (k + i) % 20 WHERE id = i;
		COMMIT;
		PERFORM depipe.refresh(CASE WHEN i % 2 = 0 THEN 'one.sums' ELSE 'one.ranked' END);
		COMMIT;
		IF i IN (200, 1000) THEN
			INSERT INTO meta.memory SELECT i, sum(used_bytes) FROM pg_backend_memory_contexts;
			COMMIT;
		END IF;
	END LOOP;
END $$;
SELECT l.bytes - f.bytes < 100000 AS the_same, CASE WHEN l.bytes - f.bytes >= 100000 THEN l.bytes - f.bytes END AS more
	FROM memory f, memory l WHERE f.refreshes = 200 AND l.refreshes = 1000;
SELECT count(*) FROM depipe.refresh('one.*') WHERE status NOT IN ('succeeded', 'nothing');
SELECT count(*) FROM depipe.transforms t, depipe.verify(t.target) WHERE t.target LIKE 'one.%';

SELECT count(depipe.drop_transform(target, true)) FROM depipe.transforms WHERE target ~ '^(one|other)\.';
DROP SCHEMA one, other, meta CASCADE;
