-- only columns that some transform reads are captured, and nothing that one of them reads is missed
CREATE SCHEMA cols;
SET search_path = cols;
SET client_min_messages = warning;
CREATE FUNCTION input_changes(target text, OUT input text, OUT reason text, OUT weight smallint, OUT image text)
	RETURNS SETOF record LANGUAGE C VOLATILE AS '$libdir/depipe', 'depipe_input_changes';
CREATE FUNCTION captured(input text DEFAULT 'cols.t', OUT columns text[], OUT changes bigint) LANGUAGE sql VOLATILE
	AS 'SELECT c.columns, c.changes FROM depipe.captures c WHERE c.input = captured.input';
-- refreshes, and compares the target with its query
CREATE FUNCTION refresh(target text, OUT changes text, OUT status text, OUT wrong bigint) LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	changes := (SELECT coalesce(min(i.reason), count(i.image)::text) FROM cols.input_changes(target) i);
	SELECT CASE r.strategy WHEN 'nothing' THEN r.strategy ELSE r.status END INTO status FROM depipe.refresh(target) r;
	SELECT count(*) INTO wrong FROM depipe.verify(target);
END $$;
CREATE TABLE t (id integer PRIMARY KEY, n integer, note text, extra integer DEFAULT 0, twice integer GENERATED ALWAYS AS (2 * n) STORED,
	updated_at integer DEFAULT 0);
INSERT INTO t (id, n, note) SELECT g, g, 'note ' || g FROM generate_series(1, 20) g;

-- ---- nothing is written for what nobody reads ----
SELECT depipe.create_transform('cols.narrow', 'SELECT id, n FROM cols.t WHERE id < 100', key => '{id}');
SELECT * FROM captured();
UPDATE t SET note = note || '!', extra = 1;
UPDATE t SET updated_at = updated_at + 1 WHERE id = 1;
SELECT * FROM captured();
SELECT * FROM refresh('cols.narrow');
UPDATE t SET n = 100, extra = 2 WHERE id = 1;
SELECT * FROM input_changes('cols.narrow') ORDER BY weight;
INSERT INTO t (id, n, note) VALUES (21, 21, 'new');
DELETE FROM t WHERE id = 2;
INSERT INTO t (id, n, note) VALUES (21, 22, 'upsert'), (20, 20, 'the same') ON CONFLICT (id) DO UPDATE SET n = EXCLUDED.n, note = EXCLUDED.note;
SELECT * FROM input_changes('cols.narrow') ORDER BY 4, 3;
SELECT * FROM refresh('cols.narrow');
-- back to what it was for this query, although another column is different
UPDATE t SET n = 7 WHERE id = 3;
UPDATE t SET extra = 3 WHERE id = 3;
UPDATE t SET n = 3, extra = 4 WHERE id = 3;
SELECT count(*) FROM input_changes('cols.narrow');
SELECT * FROM refresh('cols.narrow');
-- a trigger that touches each row
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.updated_at := OLD.updated_at + 1; RETURN NEW; END';
CREATE TRIGGER touch BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION touch();
SELECT changes AS before FROM captured() \gset
UPDATE t SET n = n;
SELECT changes - :before AS written FROM captured();
SELECT * FROM refresh('cols.narrow');
-- no column at all
SELECT depipe.create_transform('cols.number', 'SELECT count(*) AS n FROM cols.t', key => '{}');
SELECT * FROM captured();
UPDATE t SET n = n + 1 WHERE id = 4;
SELECT count(*) FROM input_changes('cols.number');
SELECT * FROM refresh('cols.number');
SELECT * FROM refresh('cols.narrow');
DELETE FROM t WHERE id = 4;
SELECT * FROM refresh('cols.number');
SELECT * FROM refresh('cols.narrow');

-- ---- a transform that reads more ----
UPDATE t SET note = 'unseen' WHERE id = 5;
SELECT depipe.create_transform('cols.wide', 'SELECT id, note FROM cols.t', key => '{id}');
SELECT columns FROM captured();
UPDATE t SET note = 'seen' WHERE id IN (5, 6);
SELECT * FROM input_changes('cols.wide') ORDER BY weight, image;
SELECT count(*) FROM input_changes('cols.narrow');
SELECT * FROM refresh('cols.narrow');
SELECT * FROM refresh('cols.wide');
-- in the transaction of a change that was skipped
BEGIN;
UPDATE t SET extra = 50 WHERE id = 5;
SELECT depipe.alter_transform('cols.wide', query => 'SELECT id, note, extra FROM cols.t');
UPDATE t SET extra = extra + 1 WHERE id IN (5, 6);
SELECT * FROM refresh('cols.wide');
UPDATE t SET extra = extra + 1 WHERE id IN (6, 7);
COMMIT;
SELECT * FROM refresh('cols.wide');
UPDATE t SET extra = 51 WHERE id = 7;
SELECT * FROM refresh('cols.wide');
SELECT * FROM refresh('cols.narrow');
SELECT columns FROM captured();
-- a transaction whose snapshot is older than the columns
SELECT depipe.create_transform('cols.later', 'SELECT id FROM cols.t', key => '{id}');
CREATE VIEW v AS SELECT id, n FROM t;
SELECT depipe.alter_transform('cols.later', query => 'SELECT * FROM cols.v');
SELECT * FROM refresh('cols.later');
BEGIN ISOLATION LEVEL REPEATABLE READ;
CREATE OR REPLACE VIEW v AS SELECT id, n + updated_at AS n FROM t;
SELECT * FROM refresh('cols.later');
COMMIT;
SELECT columns FROM captured();
UPDATE t SET updated_at = 77 WHERE id = 8;
SELECT * FROM refresh('cols.later');
SELECT columns FROM captured();
UPDATE t SET updated_at = 78 WHERE id = 8;
SELECT * FROM refresh('cols.later');

-- ---- columns that nobody reads any more, and then again ----
SELECT depipe.drop_transform('cols.later', drop_table => true);
SELECT * FROM refresh('cols.narrow');
SELECT columns FROM captured();
SELECT changes AS before FROM captured() \gset
UPDATE t SET updated_at = 0;
SELECT changes - :before AS written FROM captured();
SELECT depipe.alter_transform('cols.wide', query => 'SELECT id, note FROM cols.t');
SELECT * FROM refresh('cols.wide');
SELECT * FROM refresh('cols.wide');
SELECT columns FROM captured();
-- a refresh that fails leaves the frontier of the query before: what it read then was not captured all the time
SELECT depipe.create_transform('cols.shaky', 'SELECT id, extra FROM cols.t', key => '{id}');
CREATE FUNCTION fails(integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RAISE EXCEPTION ''fails''; END';
CREATE VIEW shaky_view AS SELECT id, extra FROM t;
SELECT depipe.alter_transform('cols.shaky', query => 'SELECT * FROM cols.shaky_view');
SELECT * FROM refresh('cols.shaky');
CREATE OR REPLACE VIEW shaky_view AS SELECT id, fails(id) AS extra FROM t;
SELECT status, reason FROM depipe.refresh('cols.shaky');
SELECT * FROM refresh('cols.narrow');
SELECT columns FROM captured();
UPDATE t SET extra = 1000 WHERE id = 9;
CREATE OR REPLACE VIEW shaky_view AS SELECT id, extra FROM t;
SELECT * FROM refresh('cols.shaky');
UPDATE t SET extra = 1001 WHERE id = 9;
SELECT * FROM refresh('cols.shaky');
SELECT * FROM refresh('cols.narrow');
SELECT * FROM refresh('cols.narrow');
-- names that change places
UPDATE t SET extra = 2000 WHERE id = 10;
ALTER TABLE t RENAME COLUMN extra TO other;
ALTER TABLE t RENAME COLUMN updated_at TO extra;
ALTER TABLE t RENAME COLUMN other TO updated_at;
UPDATE t SET updated_at = 2001 WHERE id = 11;
SELECT * FROM refresh('cols.shaky');
SELECT columns FROM captured();
UPDATE t SET updated_at = 2002 WHERE id = 11;
SELECT * FROM refresh('cols.shaky');
SELECT depipe.drop_transform('cols.' || name, drop_table => true) FROM unnest('{shaky,wide,number}'::text[]) name;
SELECT * FROM refresh('cols.narrow');
SELECT columns FROM captured();
DROP TRIGGER touch ON t;

-- ---- which columns a query reads ----
CREATE FUNCTION reads(query text, OUT columns text[], OUT reason text) LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	PERFORM depipe.create_transform('cols.probe', query, key => '{}');
	columns := (SELECT u.reads FROM depipe.capture_use u JOIN depipe.target t USING (target_id)
		JOIN depipe.capture c USING (capture_id)
		WHERE t.table_name = 'probe' AND c.relid = 'cols.t'::regclass);
	reason := (SELECT min(i.reason) FROM cols.input_changes('cols.probe') i WHERE i.input LIKE '%t');
	PERFORM depipe.drop_transform('cols.probe', drop_table => true);
EXCEPTION WHEN OTHERS THEN
	reason := sqlerrm;
END $$;
CREATE TABLE u (id integer, n integer);
ALTER TABLE t RENAME COLUMN extra TO swapped;
ALTER TABLE t RENAME COLUMN updated_at TO extra;
CREATE VIEW everything AS SELECT * FROM t;
CREATE VIEW sums AS SELECT n, count(*) AS count, sum(extra) AS sum FROM t GROUP BY n;
CREATE FUNCTION whole(t) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1.note';
SELECT q AS query, r.columns, r.reason FROM unnest(ARRAY[
	'SELECT 1 AS one FROM cols.t',
	'SELECT * FROM cols.t',
	'SELECT twice FROM cols.t',
	'SELECT id FROM cols.everything WHERE n > 1',
	'SELECT e IS NULL AS j FROM cols.everything e',
	'SELECT count FROM cols.sums',
	'SELECT sum FROM cols.sums WHERE n > 1',
	'SELECT cols.whole(t) AS w FROM cols.t',
	'SELECT t.whole AS w FROM cols.t',
	'SELECT t IS NULL AS j FROM cols.t',
	'SELECT (t).note FROM cols.t',
	'SELECT count(t) AS n FROM cols.t',
	'SELECT tableoid AS o FROM cols.t',
	'SELECT x.place FROM cols.everything, LATERAL (SELECT t.ctid AS place FROM cols.t) x',
	'SELECT n FROM cols.t JOIN cols.u USING (id, n)',
	'SELECT j IS NULL AS j FROM (cols.t JOIN cols.u USING (id)) AS j',
	'SELECT id FROM cols.t NATURAL FULL JOIN cols.u',
	'SELECT x.id FROM cols.u LEFT JOIN (SELECT id, note AS remark, extra FROM cols.t) x ON u.n = x.extra',
	'SELECT u.id FROM cols.u WHERE EXISTS (SELECT * FROM cols.t WHERE t.id = u.id)',
	'SELECT u.id FROM cols.u WHERE (u.id, 1) IN (SELECT n, extra FROM cols.t)',
	'SELECT (SELECT max(note) FROM cols.t WHERE t.id = u.n) AS m FROM cols.u',
	'WITH a AS (SELECT * FROM cols.t), b AS (SELECT id, note, n FROM a WHERE extra = 1) SELECT b.id FROM b',
	'WITH a AS (SELECT * FROM cols.t) SELECT x.id, y.note FROM a x JOIN a y ON x.n = y.n',
	'WITH RECURSIVE r AS (SELECT id, n FROM cols.t UNION ALL SELECT r.id, t.extra FROM r JOIN cols.t ON t.id = r.n) SELECT id FROM r',
	'SELECT a FROM (SELECT id AS a, note AS b FROM cols.t UNION ALL SELECT id, NULL FROM cols.u) x',
	'SELECT id FROM (SELECT DISTINCT id, note FROM cols.t) x',
	'SELECT id FROM (SELECT DISTINCT ON (n) id, note FROM cols.t ORDER BY n, extra) x',
	'SELECT id FROM (SELECT id, note FROM cols.t ORDER BY n LIMIT 3) x',
	'SELECT id FROM (SELECT id, generate_series(1, extra) AS s, note FROM cols.t) x',
	'SELECT n, sum(extra) FILTER (WHERE note > '''') AS s FROM cols.t GROUP BY n HAVING max(id) > 1',
	'SELECT n, grouping(n) AS g FROM cols.t GROUP BY ROLLUP (n, extra)',
	'SELECT id, rank() OVER (PARTITION BY n ORDER BY extra) AS r FROM cols.t',
	'SELECT id, count(*) OVER w AS c FROM cols.t WINDOW w AS (PARTITION BY n), unused AS (PARTITION BY note)',
	'SELECT g.x FROM cols.t, LATERAL generate_series(1, t.extra) g (x)',
	'SELECT v.x FROM cols.t, LATERAL (VALUES (t.extra), (1)) v (x)',
	'SELECT x.a FROM cols.t, LATERAL (SELECT t.n + u.n AS a, t.note AS b FROM cols.u WHERE u.id = t.id) x'
]) WITH ORDINALITY AS q (q, i), reads(q) r
ORDER BY i;

-- ---- partitions, and children with more columns ----
CREATE TABLE p (id integer, k integer, note text, n integer) PARTITION BY LIST (k);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
CREATE TABLE p2 (note text, gone integer, n integer, k integer, id integer);
ALTER TABLE p2 DROP COLUMN gone;
ALTER TABLE p ATTACH PARTITION p2 FOR VALUES IN (2);
INSERT INTO p VALUES (1, 1, 'a', 1), (2, 2, 'b', 2);
SELECT depipe.create_transform('cols.parts', 'SELECT id, n FROM cols.p', key => '{}');
UPDATE p SET note = 'x';
UPDATE p2 SET note = 'y';
UPDATE p SET k = 3 - k;
SELECT count(*) FROM input_changes('cols.parts');
SELECT * FROM refresh('cols.parts');
UPDATE p2 SET n = 5, note = 'z';
SELECT * FROM input_changes('cols.parts') ORDER BY weight;
SELECT * FROM refresh('cols.parts');
CREATE TABLE parent (id integer, n integer);
CREATE TABLE child (extra integer) INHERITS (parent);
INSERT INTO child VALUES (1, 1, 1);
SELECT depipe.create_transform('cols.family', 'SELECT id FROM cols.parent', key => '{}');
UPDATE child SET extra = 2;
UPDATE parent SET n = 2;
SELECT * FROM captured('cols.parent');
UPDATE child SET id = 2;
SELECT * FROM refresh('cols.family');
-- values in TOAST tables
CREATE TABLE wide_rows (id integer, long text, n integer);
ALTER TABLE wide_rows ALTER COLUMN long SET STORAGE EXTERNAL;
SELECT depipe.create_transform('cols.short', 'SELECT id, n FROM cols.wide_rows', key => '{}');
INSERT INTO wide_rows SELECT g, repeat(md5(g::text), 1000), 0 FROM generate_series(1, 50) g;
UPDATE wide_rows SET long = long || 'x';
UPDATE wide_rows SET n = 1 WHERE id = 1;
SELECT changes, bytes < 100000 AS small FROM depipe.captures WHERE input = 'cols.wide_rows';
SELECT * FROM refresh('cols.short');

SELECT depipe.drop_transform('cols.' || name, drop_table => true) FROM unnest('{narrow,parts,family,short}'::text[]) name;
SELECT count(*) FROM depipe.capture;
RESET search_path;
DROP SCHEMA cols CASCADE;
