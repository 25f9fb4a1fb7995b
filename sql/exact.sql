-- incremental refreshes, compared with the query: what once gave wrong rows, or failed
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS depipe;
CREATE SCHEMA exact;
SET search_path = exact;
CREATE TABLE made (name text PRIMARY KEY, query text);
-- make a transform; why not
CREATE FUNCTION make(name text, query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE detail text;
BEGIN
	PERFORM depipe.create_transform('exact.' || name, query, mode => 'incremental');
	INSERT INTO exact.made VALUES (name, query);
	RETURN 'made';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN concat_ws(' ', SQLERRM, detail);
END $$;
-- refresh all whose names begin so: strategy, and the number of rows that differ from the query
CREATE FUNCTION refreshed(pattern text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	r record;
	wrong bigint;
BEGIN
	FOR r IN SELECT m.name, m.query, f.* FROM depipe.refresh('exact.' || pattern) f JOIN exact.made m ON f.target = 'exact.' || m.name ORDER BY m.name
	LOOP
		EXECUTE format('SELECT count(*) FROM ((%1$s EXCEPT ALL TABLE exact.%2$I) UNION ALL (TABLE exact.%2$I EXCEPT ALL (%1$s))) d', r.query, r.name) INTO wrong;
		RETURN NEXT concat_ws(' ', r.name, r.status, r.strategy, r.reason, wrong);
	END LOOP;
END $$;
CREATE TABLE t (id integer PRIMARY KEY, k integer NOT NULL, v numeric(8, 2));
INSERT INTO t SELECT i, i % 3, i FROM generate_series(1, 30) i;

\echo columns of the result may have any name
SELECT make('named_1', 'SELECT k AS n, count(*) AS c0, sum(id) AS s0, avg(id) AS a0 FROM exact.t GROUP BY k');
SELECT make('named_2', 'SELECT k AS s0, id % 2 AS c0, count(*) AS n, sum(id) AS g0, avg(id) AS w FROM exact.t GROUP BY 1, 2');
SELECT make('named_3', 'SELECT k AS g1, id % 2 AS u, count(*) AS s0, sum(id) AS "select", avg(id) AS "a""0" FROM exact.t GROUP BY 1, 2');
UPDATE t SET k = k + 1 WHERE id % 5 = 0;
SELECT * FROM refreshed('named*');
DELETE FROM t WHERE id = 7;
SELECT * FROM refreshed('named*');

\echo constants without decimal places
SELECT make('infinite', $$SELECT k, count(*) AS n, sum(v * 'Infinity'::numeric) AS s, count(v) AS v FROM exact.t GROUP BY k$$);
SELECT make('no_number', $$SELECT k, count(*) AS n, sum(v * 'NaN'::numeric) AS s, count(v) AS v FROM exact.t GROUP BY k$$);
INSERT INTO t VALUES (100, 1, NULL), (101, 9, 1);
SELECT * FROM refreshed('*n*');

\echo children need not have the NOT NULL of their parent
CREATE TABLE parent (g integer, x integer);
CREATE TABLE child () INHERITS (parent);
DO $$ BEGIN
	EXECUTE CASE WHEN current_setting('server_version_num')::integer >= 180000
		THEN 'ALTER TABLE exact.parent ADD NOT NULL x NO INHERIT' ELSE 'ALTER TABLE ONLY exact.parent ALTER x SET NOT NULL' END;
END $$;
SELECT make('null_1', 'SELECT g, count(x) AS n, sum(x) AS s FROM exact.parent GROUP BY g');
SELECT make('null_2', 'SELECT g, count(*) AS n, sum(x) AS s, avg(x) AS a FROM exact.parent GROUP BY g');
INSERT INTO parent VALUES (1, 1), (2, 2);
SELECT * FROM refreshed('null*');
INSERT INTO child VALUES (1, NULL), (5, NULL);
SELECT * FROM refreshed('null*');
DELETE FROM parent WHERE x = 1;
SELECT * FROM refreshed('null*');
