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

\echo MERGE moves rows between partitions; triggers of users fire for the actions that it has
CREATE TABLE p (id integer, k integer, v integer) PARTITION BY LIST (k);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
CREATE TABLE p2 (v integer, gone integer, k integer, id integer);
ALTER TABLE p2 DROP COLUMN gone;
ALTER TABLE p ATTACH PARTITION p2 FOR VALUES IN (2);
CREATE TABLE p3 PARTITION OF p FOR VALUES IN (3, 4, 5) PARTITION BY LIST (k);
CREATE TABLE p34 PARTITION OF p3 FOR VALUES IN (3, 4);
CREATE TABLE p5 PARTITION OF p3 FOR VALUES IN (5);
INSERT INTO p SELECT i, i % 5 + 1, i FROM generate_series(1, 10) i;
CREATE FUNCTION fired() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING '% fired', TG_OP; RETURN NULL; END $$;
CREATE TRIGGER fired AFTER INSERT OR UPDATE OR DELETE ON p FOR EACH STATEMENT EXECUTE FUNCTION fired();
SELECT make('moved_1', 'SELECT id, k, v FROM exact.p');
SELECT make('moved_2', 'SELECT k, count(*) AS n, sum(v) AS s, count(v) AS c FROM exact.p GROUP BY k');
MERGE INTO p USING (VALUES (1), (2)) s (id) ON p.id = s.id WHEN MATCHED THEN UPDATE SET k = 1;
SELECT * FROM refreshed('moved*');
MERGE INTO p USING (VALUES (3), (77)) s (id) ON p.id = s.id WHEN MATCHED THEN UPDATE SET k = 1, v = 0 WHEN NOT MATCHED THEN INSERT VALUES (s.id, 5, 77);
SELECT * FROM refreshed('moved*');
MERGE INTO p USING (VALUES (3), (4)) s (id) ON p.id = s.id WHEN MATCHED AND v = 0 THEN UPDATE SET k = 2 WHEN MATCHED THEN DELETE;
SELECT * FROM refreshed('moved*');
MERGE INTO p USING (VALUES (5), (6), (78)) s (id) ON p.id = s.id WHEN MATCHED AND v = 5 THEN UPDATE SET k = 5 WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s.id, 5, 78);
SELECT * FROM refreshed('moved*');
MERGE INTO p3 USING (VALUES (7), (8), (9)) s (id) ON p3.id = s.id WHEN MATCHED THEN UPDATE SET k = 8 - k;
SELECT * FROM refreshed('moved*');
CREATE FUNCTION move() RETURNS void LANGUAGE sql AS 'MERGE INTO exact.p USING (VALUES (9)) s (id) ON p.id = s.id WHEN MATCHED THEN UPDATE SET k = 1';
SELECT move();
SELECT * FROM refreshed('moved*');
DO $$ BEGIN
	EXECUTE CASE WHEN current_setting('server_version_num')::integer >= 170000
		THEN 'WITH m AS (MERGE INTO exact.p USING (VALUES (9)) s (id) ON p.id = s.id WHEN MATCHED THEN UPDATE SET k = 5 RETURNING p.id) TABLE m'
		ELSE 'MERGE INTO exact.p USING (VALUES (9)) s (id) ON p.id = s.id WHEN MATCHED THEN UPDATE SET k = 5' END;
END $$;
SELECT * FROM refreshed('moved*');
\c
SET client_min_messages = warning;
SET search_path = exact;
\echo in a session that has not loaded the library yet
MERGE INTO p USING (VALUES (9)) s (id) ON p.id = s.id WHEN MATCHED THEN UPDATE SET k = 2;
SELECT * FROM refreshed('moved*');

\echo a key whose type has a modifier, of a table with children
CREATE TABLE coded (id integer, k integer, code character(3), j integer);
CREATE TABLE coded_1 () INHERITS (coded);
CREATE TABLE codes (k integer);
INSERT INTO coded SELECT i, i % 5, 'c' || i % 3, i % 7 FROM generate_series(1, 200) i;
INSERT INTO coded_1 SELECT i, i % 5, 'd' || i % 3, i % 7 FROM generate_series(201, 400) i;
SELECT make('coded_2', 'SELECT k, code, max(id) AS id FROM exact.coded c WHERE j NOT IN (SELECT k FROM exact.codes WHERE c.j = k) GROUP BY k, code');
SET enable_hashagg = off;
INSERT INTO codes VALUES (3);
SELECT * FROM refreshed('coded*');
DELETE FROM codes;
UPDATE coded SET k = 9 WHERE id IN (1, 300);
SELECT * FROM refreshed('coded*');
RESET enable_hashagg;

\echo inputs whose changes can never be captured are refused
CREATE ROLE regress_dp_reader_only LOGIN;
GRANT USAGE, CREATE ON SCHEMA exact TO regress_dp_reader_only;
CREATE MATERIALIZED VIEW mat AS SELECT id, k FROM t;
CREATE EXTENSION IF NOT EXISTS file_fdw;
CREATE SERVER nowhere FOREIGN DATA WRAPPER file_fdw;
CREATE FOREIGN TABLE far (id integer, k integer) SERVER nowhere OPTIONS (filename '/dev/null');
CREATE VIEW over_far AS SELECT f.id, t.k FROM far f JOIN t USING (id);
CREATE TABLE secured (id integer PRIMARY KEY, k integer);
ALTER TABLE secured ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON secured USING (k > 0);
GRANT SELECT ON t, secured TO regress_dp_reader_only;
CREATE FUNCTION refused(query text, mode text DEFAULT 'incremental') RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
	hint text;
BEGIN
	PERFORM depipe.create_transform('exact.refused', query, mode => mode, populate => false);
	PERFORM depipe.drop_transform('exact.refused', true);
	RETURN NEXT 'made';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN NEXT SQLERRM;
	RETURN NEXT detail;
	RETURN NEXT hint;
END $$;
SELECT refused('SELECT id, k FROM exact.mat');
SELECT refused('SELECT id, k FROM exact.mat', 'auto');
SELECT refused('SELECT f.id, t.k FROM exact.t LEFT JOIN exact.far f USING (id)');
SELECT refused('SELECT id, k FROM exact.over_far');
SELECT refused('SELECT oid, relname FROM pg_class');
SELECT refused('SELECT id, k FROM exact.p1');
SELECT refused('SELECT id, k FROM ONLY exact.t');
SELECT refused('SELECT g, x FROM ONLY exact.parent');
SELECT refused('SELECT id, k FROM exact.t TABLESAMPLE system (10) REPEATABLE (1)');
SELECT refused('SELECT id, k FROM exact.secured');
SET ROLE regress_dp_reader_only;
SELECT refused('SELECT id, k FROM exact.t');
SELECT refused('SELECT id, k FROM exact.secured');
SELECT refused('SELECT id, k FROM exact.t', 'auto');
RESET ROLE;
GRANT TRIGGER ON t, secured TO regress_dp_reader_only;
SET ROLE regress_dp_reader_only;
SELECT refused('SELECT id, k FROM exact.t');
SELECT refused('SELECT id, k FROM exact.secured');
RESET ROLE;
\echo nor does a change of the mode accept them
SELECT depipe.create_transform('exact.of_mat', 'SELECT id, k FROM exact.mat', key => '{id}');
SELECT depipe.alter_transform('exact.of_mat', mode => 'incremental');
SELECT mode FROM depipe.transforms WHERE target = 'exact.of_mat';

SELECT count(depipe.drop_transform(target, true)) FROM depipe.transforms WHERE target LIKE 'exact.%';
DROP SCHEMA exact CASCADE;
DROP OWNED BY regress_dp_reader_only;
DROP ROLE regress_dp_reader_only;
