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

-- what users have made on the table stays through every kind of change
CREATE SCHEMA alt2;
CREATE ROLE regress_alter_reader;
GRANT USAGE ON SCHEMA alt2 TO regress_alter_reader;
CREATE TABLE alt2.item (id integer PRIMARY KEY, shop text, amount integer);
INSERT INTO alt2.item SELECT i, 's' || i % 3, i FROM generate_series(1, 9) i;
SELECT depipe.create_transform('alt2.made', 'SELECT id, shop, amount FROM alt2.item', key => '{id}');
SELECT depipe.create_transform('alt2.below', 'SELECT shop, max(id) AS last FROM alt2.made GROUP BY shop', key => '{shop}');
SELECT 'alt2.made'::regclass::oid AS made \gset
CREATE VIEW alt2.seen AS SELECT id, shop FROM alt2.made;
CREATE MATERIALIZED VIEW alt2.stored AS SELECT id FROM alt2.made;
GRANT SELECT ON alt2.made TO regress_alter_reader;
GRANT UPDATE (shop) ON alt2.made TO regress_alter_reader;
CREATE INDEX made_shop ON alt2.made (shop) WHERE id > 0;
CREATE STATISTICS alt2.made_stats ON id, shop FROM alt2.made;
COMMENT ON TABLE alt2.made IS 'of the user';
COMMENT ON COLUMN alt2.made.shop IS 'a shop';
ALTER TABLE alt2.made ALTER COLUMN shop SET STATISTICS 500, SET (fillfactor = 70);
ALTER TABLE alt2.made ADD CONSTRAINT positive CHECK (id > 0);
ALTER TABLE alt2.made REPLICA IDENTITY FULL;
SET client_min_messages = error;
CREATE PUBLICATION regress_alter FOR TABLE alt2.made;
RESET client_min_messages;
CREATE VIEW alt2.kept AS
SELECT 'alt2.made'::regclass::oid AS made, (SELECT relacl FROM pg_class WHERE oid = 'alt2.made'::regclass) AS acl,
	(SELECT attacl FROM pg_attribute WHERE attrelid = 'alt2.made'::regclass AND attname = 'shop') AS column_acl,
	obj_description('alt2.made'::regclass, 'pg_class') AS comment,
	(SELECT col_description('alt2.made'::regclass, attnum) FROM pg_attribute WHERE attrelid = 'alt2.made'::regclass AND attname = 'shop') AS column_comment,
	(SELECT reloptions FROM pg_class WHERE oid = 'alt2.made'::regclass) AS options,
	(SELECT relreplident FROM pg_class WHERE oid = 'alt2.made'::regclass) AS identity,
	to_regclass('alt2.made_shop') AS index, (SELECT count(*) FROM pg_statistic_ext WHERE stxname = 'made_stats') AS statistics,
	(SELECT count(*) FROM pg_constraint WHERE conname = 'positive') AS checks,
	(SELECT count(*) FROM pg_publication_tables WHERE pubname = 'regress_alter') AS published,
	(SELECT count(*) FROM alt2.seen) AS seen;
CREATE TEMP TABLE before AS SELECT * FROM alt2.kept;
CREATE PROCEDURE alt2.is_kept() LANGUAGE plpgsql AS $$
BEGIN
	RAISE NOTICE 'kept: %, downstream: %', (SELECT a.* = b.* FROM before a, alt2.kept b),
		(SELECT string_agg(status, ',') FROM depipe.refresh('alt2.below', upstream => true));
	ASSERT NOT EXISTS (SELECT FROM depipe.verify('alt2.made')) AND NOT EXISTS (SELECT FROM depipe.verify('alt2.below'));
END $$;
-- compatible
SELECT depipe.alter_transform('alt2.made', 'SELECT id, shop, amount + 1 AS amount FROM alt2.item', key => '{id}');
CALL alt2.is_kept();
-- add columns
SELECT depipe.alter_transform('alt2.made', 'SELECT id, shop, amount + 1 AS amount, amount * 2 AS twice FROM alt2.item', key => '{id}');
SELECT min(twice), max(twice) FROM alt2.made;
CALL alt2.is_kept();
-- rebuild: a type, a column less, the key
SELECT depipe.alter_transform('alt2.made', 'SELECT id, shop, amount::numeric AS amount, amount * 2 AS twice FROM alt2.item', key => '{id}');
CALL alt2.is_kept();
SELECT depipe.alter_transform('alt2.made', 'SELECT id, shop, amount::numeric AS amount FROM alt2.item', key => '{id}');
CALL alt2.is_kept();
SELECT depipe.alter_transform('alt2.made', key => '{shop,id}');
CALL alt2.is_kept();
SELECT depipe.alter_transform('alt2.made', key => '{}');
CALL alt2.is_kept();
-- a column that a view or a transform uses: refused, and nothing has changed
SELECT depipe.alter_transform('alt2.made', 'SELECT id, amount::numeric AS amount FROM alt2.item', key => '{id}');
SELECT depipe.alter_transform('alt2.made', 'SELECT id, length(shop) AS shop, amount::numeric AS amount FROM alt2.item', key => '{id}');
SELECT query_text, key_columns FROM depipe.transforms WHERE target = 'alt2.made';
CALL alt2.is_kept();
SELECT :made = 'alt2.made'::regclass::oid AS same_table;
SET client_min_messages = warning;
DROP PUBLICATION regress_alter;
DROP VIEW alt2.kept, alt2.seen;
DROP MATERIALIZED VIEW alt2.stored;
SELECT count(depipe.drop_transform(target, true)) FROM unnest(ARRAY['alt2.below', 'alt2.made']) AS target;
DROP SCHEMA alt2 CASCADE;
DROP ROLE regress_alter_reader;

-- only the index that depipe has made goes with the key; one of the user is his
CREATE SCHEMA alt3;
CREATE TABLE alt3.item (id integer PRIMARY KEY, code integer NOT NULL);
INSERT INTO alt3.item VALUES (1, 1), (2, 2);
CREATE TABLE alt3.made (id integer, code integer);
CREATE UNIQUE INDEX of_user ON alt3.made (id) NULLS NOT DISTINCT;
SELECT depipe.create_transform('alt3.made', 'SELECT id, code FROM alt3.item', key => '{id}');
SELECT depipe.alter_transform('alt3.made', key => '{code}');
CREATE VIEW alt3.indexes AS SELECT c.relname, obj_description(c.oid, 'pg_class') FROM pg_index JOIN pg_class c ON c.oid = indexrelid
WHERE indrelid = 'alt3.made'::regclass ORDER BY 1;
TABLE alt3.indexes;
-- a renamed one is depipe's still; beside one of the user's on the same columns, too
ALTER INDEX alt3.made_code_idx RENAME TO renamed;
CREATE UNIQUE INDEX second_of_user ON alt3.made (code) NULLS NOT DISTINCT;
SELECT depipe.alter_transform('alt3.made', key => '{id,code}');
TABLE alt3.indexes;
SELECT depipe.alter_transform('alt3.made', key => '{id}');
TABLE alt3.indexes;
SELECT depipe.alter_transform('alt3.made', key => '{}');
TABLE alt3.indexes;
SET client_min_messages = warning;
DROP VIEW alt3.indexes;
SELECT depipe.drop_transform('alt3.made', true);
DROP SCHEMA alt3 CASCADE;
