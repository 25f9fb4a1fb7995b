-- What happens to the table of a transform that is altered, and what its guard lets pass.
\set VERBOSITY terse
CREATE SCHEMA alt;
CREATE TABLE alt.source (id integer PRIMARY KEY, n integer, t text);
INSERT INTO alt.source VALUES (1, 10, '7'), (2, 20, '8');
SELECT depipe.create_transform('alt.made', 'SELECT id, n, t FROM alt.source', key => '{id}');
CREATE INDEX made_n ON alt.made (n);
CREATE INDEX made_t ON alt.made (t);
CREATE STATISTICS alt.made_stats ON n, t FROM alt.made;
CREATE TABLE alt.child (id integer REFERENCES alt.made (id) ON DELETE CASCADE);
INSERT INTO alt.child VALUES (1), (2);
-- more columns: rows are updated
SELECT depipe.alter_transform('alt.made', 'SELECT id, n, t, n * 2 AS twice FROM alt.source', dry_run => true);
SELECT depipe.alter_transform('alt.made', 'SELECT id, n, t, n * 2 AS twice FROM alt.source');
SELECT started_by, strategy, inserted, updated, deleted FROM depipe.runs WHERE target = 'alt.made' ORDER BY run_id DESC LIMIT 1;
TABLE alt.child;
TABLE alt.made;
-- another type: in place, with what the user has made on the column
SELECT depipe.alter_transform('alt.made', 'SELECT id, n::bigint, t::integer AS t, n * 2 AS twice FROM alt.source');
SELECT strategy, inserted, updated, deleted FROM depipe.runs WHERE target = 'alt.made' ORDER BY run_id DESC LIMIT 1;
TABLE alt.child;
SELECT indexrelid::regclass FROM pg_index WHERE indrelid = 'alt.made'::regclass ORDER BY 1;
SELECT stxname FROM pg_statistic_ext WHERE stxrelid = 'alt.made'::regclass;
SELECT attname, atttypid::regtype FROM pg_attribute WHERE attrelid = 'alt.made'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum;
-- the key, too
SELECT depipe.alter_transform('alt.made', 'SELECT id::bigint, n::bigint, t::integer AS t, n * 2 AS twice FROM alt.source', key => '{id}');
SELECT strategy, inserted, updated, deleted FROM depipe.runs WHERE target = 'alt.made' ORDER BY run_id DESC LIMIT 1;
TABLE alt.child;
-- values that cannot be cast: the column is made anew, and what goes is said
SELECT depipe.alter_transform('alt.made', 'SELECT id::bigint, daterange(NULL, NULL) AS n, t::integer AS t FROM alt.source', key => '{id}');
SELECT strategy, inserted, updated, deleted FROM depipe.runs WHERE target = 'alt.made' ORDER BY run_id DESC LIMIT 1;
TABLE alt.child;
TABLE alt.made;
-- all rows at once never: other tables would be emptied
SELECT depipe.alter_transform('alt.made', mode => 'full');
UPDATE alt.source SET t = '9' WHERE id = 1;
SELECT status, strategy, inserted, updated, deleted FROM depipe.refresh('alt.made');
SELECT strategy, possible, reason FROM depipe.explain_transform('alt.made');
SELECT depipe.alter_transform('alt.made', key => '{t}');
SELECT depipe.alter_transform('alt.made', 'SELECT id::text, t FROM alt.source', key => '{}');
TABLE alt.child;
DROP TABLE alt.child;
SELECT depipe.alter_transform('alt.made', key => '{t}');

-- the guard lets pass what is published, and nothing else
SELECT depipe.alter_transform('alt.made', mode => 'auto');
CREATE TABLE alt.audit (t integer);
SELECT depipe.create_transform('alt.other', 'SELECT id FROM alt.source', key => '{id}');
CREATE FUNCTION alt.meddle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM alt.other;
	RETURN NULL;
END $$;
CREATE TRIGGER meddle AFTER UPDATE ON alt.made FOR EACH STATEMENT EXECUTE FUNCTION alt.meddle();
ALTER TABLE alt.made ENABLE ALWAYS TRIGGER meddle;
UPDATE alt.source SET n = 11 WHERE id = 1;
SELECT depipe.alter_transform('alt.made', 'SELECT t::integer, n FROM alt.source', key => '{t}');
UPDATE alt.source SET t = '10' WHERE id = 1;
SELECT status, reason FROM depipe.refresh('alt.made');
SELECT count(*) FROM alt.other;
DROP TRIGGER meddle ON alt.made;
SELECT status, reason FROM depipe.refresh('alt.made');
-- partitions, also those that come later
CREATE TABLE alt.parts (id integer, n integer) PARTITION BY RANGE (id);
CREATE TABLE alt.parts_1 PARTITION OF alt.parts FOR VALUES FROM (0) TO (100);
CREATE TABLE alt.parts_2 (id integer, n integer);
SELECT depipe.create_transform('alt.parts', 'SELECT id, n FROM alt.source', key => '{id}');
ALTER TABLE alt.parts ATTACH PARTITION alt.parts_2 FOR VALUES FROM (100) TO (200);
CREATE TABLE alt.parts_3 PARTITION OF alt.parts FOR VALUES FROM (200) TO (300) PARTITION BY RANGE (id);
CREATE TABLE alt.parts_4 PARTITION OF alt.parts_3 FOR VALUES FROM (200) TO (300);
INSERT INTO alt.source VALUES (101, 1), (201, 2);
SELECT status, inserted FROM depipe.refresh('alt.parts');
INSERT INTO alt.parts VALUES (5, 5);
INSERT INTO alt.parts_1 VALUES (5, 5);
UPDATE alt.parts_1 SET n = 5;
DELETE FROM alt.parts_2;
DELETE FROM alt.parts_3;
DELETE FROM alt.parts_4;
TRUNCATE alt.parts_1;
TRUNCATE alt.parts_4;
TRUNCATE alt.parts;
UPDATE alt.source SET n = n + 1, id = id + 110 WHERE id < 100;
SELECT status, inserted, updated, deleted FROM depipe.refresh('alt.parts');
SELECT tableoid::regclass, * FROM alt.parts ORDER BY id;
ALTER TABLE alt.parts DETACH PARTITION alt.parts_1;
INSERT INTO alt.parts_1 VALUES (50, 1);
TRUNCATE alt.parts_1;
BEGIN;
SET LOCAL depipe.allow_target_dml = on;
DELETE FROM alt.parts_2;
COMMIT;
SELECT status, inserted, updated, deleted FROM depipe.refresh('alt.parts');
SELECT depipe.drop_transform('alt.parts');
DELETE FROM alt.parts_2;
TRUNCATE alt.parts_4;
SET client_min_messages = warning;
SELECT count(depipe.drop_transform(target, true)) FROM unnest(ARRAY['alt.made', 'alt.other']) AS target;
DROP SCHEMA alt CASCADE;
