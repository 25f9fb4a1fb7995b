-- a large bag: rows that go are found by a hash of the row, and compared by value
CREATE SCHEMA bags;
SET search_path = bags;
SET client_min_messages = warning;
CREATE TABLE input (id integer, t text, n numeric);
INSERT INTO input SELECT i, repeat('x', 950), i FROM generate_series(1, 9000) i;
INSERT INTO input SELECT 0, NULL, 1.5 FROM generate_series(1, 3);
CREATE TABLE places (strategy text);
SELECT depipe.create_transform('bags.made', 'SELECT t, n, id % 10 AS id FROM bags.input');
SELECT count(*) FROM pg_index WHERE indrelid = 'made'::regclass;
-- only more rows: none is looked for
INSERT INTO input VALUES (1, 'more', 1);
SELECT status, strategy, inserted, deleted FROM depipe.refresh('bags.made');
SELECT count(*) FROM pg_index WHERE indrelid = 'made'::regclass;
-- the first few that go make the index
DELETE FROM input WHERE id BETWEEN 11 AND 14;
UPDATE input SET t = 'changed' WHERE id = 20;
SELECT status, strategy, inserted, deleted FROM depipe.refresh('bags.made');
SELECT indexdef FROM pg_indexes WHERE schemaname = 'bags' AND tablename = 'made';
SELECT count(*) FROM depipe.verify('bags.made');
-- ... and others use it: the table is not scanned
ANALYZE made;
DELETE FROM input WHERE ctid = (SELECT ctid FROM input WHERE id = 0 LIMIT 1);
UPDATE input SET n = 1.50 WHERE ctid = (SELECT ctid FROM input WHERE id = 0 LIMIT 1);
UPDATE input SET t = NULL WHERE id BETWEEN 101 AND 200;
SELECT pg_stat_force_next_flush();
BEGIN;
CREATE TEMP TABLE before AS SELECT pg_stat_get_xact_numscans('made'::regclass) AS scans;
SELECT status, strategy, inserted, deleted FROM depipe.refresh('bags.made');
SELECT pg_stat_get_xact_numscans('made'::regclass) - scans AS table_scans FROM before;
SELECT pg_stat_get_xact_numscans(indexrelid) > 50 AS by_index FROM pg_index WHERE indrelid = 'made'::regclass;
COMMIT;
SELECT count(*), count(DISTINCT n::text) FROM made WHERE id = 0 AND t IS NULL AND n < 2;
SELECT count(*) FROM depipe.verify('bags.made');
-- many rows: the index is no help
DELETE FROM input WHERE id > 4000;
SELECT pg_stat_force_next_flush();
BEGIN;
SELECT status, strategy, inserted, deleted FROM depipe.refresh('bags.made');
COMMIT;
SELECT count(*) FROM depipe.verify('bags.made');
-- it goes with the extension, not before; other columns get another one
SELECT d.deptype FROM pg_depend d JOIN pg_index i ON i.indexrelid = d.objid
WHERE i.indrelid = 'made'::regclass AND d.refclassid = 'pg_extension'::regclass;
SELECT depipe.alter_transform('bags.made', 'SELECT t, n, id % 10 AS id, 1 AS more FROM bags.input');
INSERT INTO input SELECT i, repeat('x', 950), i FROM generate_series(4001, 9000) i;
SELECT status, inserted, deleted FROM depipe.refresh('bags.made');
DELETE FROM input WHERE id = 30;
SELECT status, inserted, deleted FROM depipe.refresh('bags.made');
SELECT indexdef FROM pg_indexes WHERE schemaname = 'bags' AND tablename = 'made';
-- an owner who may make no index does without
CREATE ROLE bags_owner LOGIN;
GRANT USAGE ON SCHEMA bags TO bags_owner;
GRANT SELECT ON input TO bags_owner;
CREATE TABLE poor (t text, n numeric);
ALTER TABLE poor OWNER TO bags_owner;
SET ROLE bags_owner;
SELECT depipe.create_transform('bags.poor', 'SELECT t, n FROM bags.input');
RESET ROLE;
DELETE FROM input WHERE id = 31;
SELECT status, inserted, deleted FROM depipe.refresh('bags.poor');
SELECT count(*) FROM pg_index WHERE indrelid = 'poor'::regclass;
SELECT count(*) FROM depipe.verify('bags.poor');

SELECT depipe.drop_transform('bags.made', drop_table => true);
SELECT depipe.drop_transform('bags.poor', drop_table => true);
RESET search_path;
DROP SCHEMA bags CASCADE;
DROP ROLE bags_owner;
