-- incremental refreshes of targets with rows in quarantine, each compared with the query: target plus quarantine
CREATE SCHEMA aside;
SET search_path = aside;
SET client_min_messages = warning;
CREATE TABLE o (id integer PRIMARY KEY, k integer, c integer, v integer);
CREATE TABLE c (id integer PRIMARY KEY, name text);
INSERT INTO o SELECT i, i % 4, i % 3, i FROM generate_series(1, 12) i;
INSERT INTO o VALUES (13, NULL, 1, 1), (14, NULL, 2, 2);
INSERT INTO c VALUES (0, 'zero'), (1, 'one'), (2, 'two');
CREATE TABLE allowed (name text PRIMARY KEY);
INSERT INTO allowed VALUES ('zero'), ('one'), ('two');
CREATE TABLE defined (name text PRIMARY KEY, query text, key text[]);
CREATE PROCEDURE make(name text, query text, key text, rule depipe.check) LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO aside.defined VALUES (name, query, key::text[]);
	PERFORM depipe.create_transform('aside.' || name, query, key => key::text[], mode => 'incremental');
	PERFORM depipe.add_constraint('aside.' || name, rule, name => 'good', on_violation => 'quarantine');
END $$;
-- strategy, rows written, rows in quarantine, rows by which target and quarantine together differ from the query, and bad rows in the target
CREATE FUNCTION refreshed() RETURNS TABLE (name text, strategy text, reason text, written bigint, aside bigint, wrong bigint) LANGUAGE plpgsql AS $$
DECLARE r record;
BEGIN
	FOR r IN SELECT d.name, d.query, d.key, f.strategy, f.reason, f.inserted + f.updated + f.deleted AS written
		FROM depipe.refresh('aside.*') f JOIN aside.defined d ON f.target = 'aside.' || d.name ORDER BY d.name
	LOOP
		name := r.name; strategy := CASE WHEN r.strategy IN ('nothing', 'full', 'full_diff') THEN r.strategy ELSE 'incremental' END; reason := r.reason; written := r.written;
		EXECUTE format('SELECT count(*) FROM depipe.quarantined(NULL::aside.%I)', r.name) INTO aside;
		EXECUTE format('WITH q AS (SELECT * FROM depipe.quarantined(NULL::aside.%2$I)), t AS (SELECT * FROM aside.%2$I t WHERE NOT EXISTS (SELECT FROM q WHERE '
			|| coalesce((SELECT string_agg(format('q.%1$I IS NOT DISTINCT FROM t.%1$I', x), ' AND ') FROM unnest(r.key) x), 'false') || ')), '
			|| 'v AS (TABLE t UNION ALL TABLE q) SELECT count(*) FROM ((%1$s EXCEPT ALL TABLE v) UNION ALL (TABLE v EXCEPT ALL (%1$s))) d', r.query, r.name) INTO wrong;
		IF strategy <> 'nothing' OR wrong > 0 THEN RETURN NEXT; END IF;
	END LOOP;
END $$;
CALL make('linear', 'SELECT id, k, v FROM aside.o', '{id}', depipe.satisfies('v < 100'));
CALL make('joined', 'SELECT o.id, o.v, c.name FROM aside.o JOIN aside.c ON c.id = o.c', '{id}', depipe.satisfies('v < 100'));
CALL make('grouped', 'SELECT k, count(*) AS n, count(v) AS m, sum(v) AS v FROM aside.o GROUP BY k', '{k}', depipe.satisfies('v < 100'));
CALL make('hidden', 'SELECT k, sum(v) + 0 AS v FROM aside.o GROUP BY k HAVING count(*) > 0', '{k}', depipe.satisfies('v < 100'));
CALL make('keyed', 'SELECT o.id, o.k, rank() OVER (PARTITION BY o.k ORDER BY o.v, o.id) AS r, o.v FROM aside.o LEFT JOIN aside.c ON c.id = o.c', '{id}', depipe.satisfies('v < 100'));
CALL make('bag', 'SELECT k, v FROM aside.o', '{}', depipe.satisfies('v < 100'));
CALL make('bag_keys', 'SELECT o.k, o.v, c.name FROM aside.o LEFT JOIN aside.c ON c.id = o.c', '{}', depipe.satisfies('v < 100'));
CALL make('referring', 'SELECT o.id, c.name FROM aside.o JOIN aside.c ON c.id = o.c', '{id}', depipe.relationships('name', 'aside.allowed', 'name'));
SELECT * FROM refreshed();
\echo a new bad row stays out, a bad update leaves the row as it was
INSERT INTO o VALUES (20, 1, 1, 200), (21, NULL, 1, 201);
UPDATE o SET v = 300 WHERE id IN (3, 14);
UPDATE c SET name = 'deux' WHERE id = 2;
SELECT * FROM refreshed();
SELECT * FROM linear WHERE id IN (3, 14, 20, 21) ORDER BY id;
SELECT count(*) FROM (SELECT FROM depipe.runs WHERE target LIKE 'aside.%' AND strategy IN ('linear', 'join', 'aggregate', 'keys') GROUP BY strategy) s;
\echo nothing has changed
SELECT * FROM refreshed();
\echo other rows change, also of the same groups
UPDATE o SET v = v + 1 WHERE id IN (1, 7, 11);
INSERT INTO o VALUES (22, 3, 2, 5), (23, 1, 0, 6);
SELECT * FROM refreshed();
\echo a bad row changes to another bad one, a bad row moves to another group
UPDATE o SET v = 222 WHERE id = 20;
UPDATE o SET k = 2 WHERE id = 3;
SELECT * FROM refreshed();
\echo a later good version replaces both; back to what the table has; a delete removes both
UPDATE o SET v = 33 WHERE id = 20;
UPDATE o SET v = 2 WHERE id = 14;
DELETE FROM o WHERE id = 21;
SELECT * FROM refreshed();
SELECT * FROM linear WHERE id IN (3, 14, 20, 21) ORDER BY id;
DELETE FROM o WHERE id = 3;
SELECT * FROM refreshed();
SELECT * FROM linear WHERE id IN (3, 14, 20, 21) ORDER BY id;
\echo several copies in quarantine, and of the same image
INSERT INTO o VALUES (30, 1, 1, 500), (31, 1, 1, 500), (32, 1, 1, 500);
SELECT * FROM refreshed();
DELETE FROM o WHERE id = 31;
UPDATE o SET v = 50 WHERE id = 32;
SELECT * FROM refreshed();
\echo the same key comes again in one transaction
BEGIN;
DELETE FROM o WHERE id = 30;
INSERT INTO o VALUES (30, 0, 2, 3);
UPDATE o SET id = 40, v = 400 WHERE id = 8;
COMMIT;
SELECT * FROM refreshed();
\echo what the rows refer to appears, the constraint is dropped
INSERT INTO allowed VALUES ('deux');
SELECT * FROM refreshed();
SELECT count(*) FROM referring;
SELECT count(depipe.drop_constraint(target, name)) FROM depipe.constraints WHERE target LIKE 'aside.%';
SELECT * FROM refreshed();
SELECT target, count(*) FROM depipe.transforms, depipe.verify(target) WHERE target LIKE 'aside.%' GROUP BY 1;
\echo the query and the columns change while rows are in quarantine
SELECT depipe.add_constraint('aside.linear', depipe.satisfies('v < 100'), name => 'good', on_violation => 'quarantine');
INSERT INTO o VALUES (50, 1, 1, 600);
SELECT * FROM refreshed() WHERE name = 'linear';
SELECT depipe.alter_transform('aside.linear', 'SELECT id, k, v, c FROM aside.o');
UPDATE defined SET query = 'SELECT id, k, v, c FROM aside.o' WHERE name = 'linear';
INSERT INTO o VALUES (51, 1, 1, 601), (52, 1, 1, 1);
SELECT * FROM refreshed() WHERE name = 'linear';
UPDATE o SET v = 7 WHERE id = 50;
SELECT * FROM refreshed() WHERE name = 'linear';
SELECT * FROM linear WHERE id >= 50 ORDER BY id;

SELECT count(depipe.drop_transform(target, drop_table => true)) FROM depipe.transforms WHERE target LIKE 'aside.%';
RESET search_path;
DROP SCHEMA aside CASCADE;
