-- changes of inputs as they are captured: exactly what the target lacks, or a reason why that is not known
CREATE SCHEMA cap;
SET search_path = cap;
SET client_min_messages = warning;
CREATE FUNCTION input_changes(target text, OUT input text, OUT reason text, OUT weight smallint, OUT image text)
	RETURNS SETOF record LANGUAGE C VOLATILE AS '$libdir/depipe', 'depipe_input_changes';
-- compares them with the difference between the input and its copy
CREATE FUNCTION verify(input text, target text DEFAULT 'cap.copy') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	why text;
	captured text[];
	expected text[];
BEGIN
	SELECT string_agg(DISTINCT i.reason, ', ') INTO why FROM cap.input_changes(target) i WHERE i.reason IS NOT NULL;
	IF why IS NOT NULL THEN
		RETURN why;
	END IF;
	captured := ARRAY(SELECT sum(i.weight) || ' x ' || i.image FROM cap.input_changes(target) i
		GROUP BY i.image HAVING sum(i.weight) <> 0 ORDER BY 1);
	EXECUTE format('SELECT ARRAY(SELECT sum(d.weight) || '' x '' || d.image FROM (
		SELECT 1 AS weight, trim(i::text, ''()'') AS image FROM %1$s i
		UNION ALL SELECT -1, trim(t::text, ''()'') FROM %2$s t) d
		GROUP BY d.image HAVING sum(d.weight) <> 0 ORDER BY 1)', input, target) INTO expected;
	IF captured IS DISTINCT FROM expected THEN
		RETURN format('captured %s, expected %s', captured, expected);
	END IF;
	RETURN CASE WHEN cardinality(captured) = 0 THEN 'nothing' ELSE array_to_string(captured, '; ') END;
END $$;
CREATE FUNCTION refresh(target text DEFAULT 'cap.copy', OUT status text, OUT strategy text, OUT reason text,
	OUT inserted bigint, OUT updated bigint, OUT deleted bigint) LANGUAGE sql VOLATILE
	AS 'SELECT status, strategy, reason, inserted, updated, deleted FROM depipe.refresh(target)';

-- ---- a plain table ----
CREATE TABLE t (id integer, note text);
INSERT INTO t VALUES (1, 'one'), (2, 'two'), (2, 'two');
SELECT depipe.create_transform('cap.copy', 'SELECT id, note FROM cap.t', key => '{}');
SELECT tgname, tgenabled, pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = 't'::regclass ORDER BY 1;
SELECT verify('t');
SELECT * FROM refresh();
INSERT INTO t VALUES (3, NULL), (2, 'two');
SELECT verify('t');
UPDATE t SET note = 'three' WHERE id = 3;
UPDATE t SET note = note;
SELECT verify('t');
DELETE FROM t WHERE id = 2;
DELETE FROM t WHERE id = 17;
SELECT verify('t');
SELECT * FROM refresh();
SELECT verify('t');
-- there and back again, in one transaction and in several: the delta has nothing
UPDATE t SET note = 'x' WHERE id = 3;
UPDATE t SET note = 'three' WHERE id = 3;
INSERT INTO t VALUES (4, 'four');
DELETE FROM t WHERE id = 4;
SELECT verify('t');
SELECT * FROM refresh();
-- COPY, upsert, MERGE, statements within others
CREATE UNIQUE INDEX ON t (id);
COPY t FROM stdin;
5	five
6	\N
\.
INSERT INTO t VALUES (5, 'V'), (7, 'seven') ON CONFLICT (id) DO UPDATE SET note = EXCLUDED.note;
INSERT INTO t VALUES (5, 'no') ON CONFLICT DO NOTHING;
MERGE INTO t USING (VALUES (6, 'six'), (7, NULL), (8, 'eight')) v (id, note) ON v.id = t.id
	WHEN MATCHED AND v.note IS NULL THEN DELETE
	WHEN MATCHED THEN UPDATE SET note = v.note
	WHEN NOT MATCHED THEN INSERT VALUES (v.id, v.note);
WITH gone AS (DELETE FROM t WHERE id = 1 RETURNING id) INSERT INTO t SELECT id + 100, 'moved' FROM gone;
SELECT verify('t');
SELECT * FROM refresh();
-- triggers of the user that change and suppress rows
CREATE FUNCTION change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.note = 'no' THEN RETURN NULL; END IF;
	NEW.note := upper(NEW.note);
	RETURN NEW;
END $$;
CREATE TRIGGER change BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION change();
CREATE FUNCTION change_again() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE cap.t SET note = note || '!' WHERE id = NEW.id;
	RETURN NULL;
END $$;
CREATE TRIGGER change_again AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION change_again();
INSERT INTO t VALUES (20, 'a'), (21, 'no'), (22, 'b');
UPDATE t SET note = 'no' WHERE id = 20;
SELECT verify('t');
DROP TRIGGER change ON t;
DROP TRIGGER change_again ON t;
SELECT * FROM refresh();
-- foreign keys that cascade
CREATE TABLE parent (id integer PRIMARY KEY);
INSERT INTO parent SELECT id FROM t;
ALTER TABLE t ADD FOREIGN KEY (id) REFERENCES parent ON UPDATE CASCADE ON DELETE CASCADE;
SELECT * FROM refresh();
DELETE FROM parent WHERE id = 5;
UPDATE parent SET id = 60 WHERE id = 6;
SELECT verify('t');
SELECT * FROM refresh();
-- savepoints; what is rolled back is not there
BEGIN;
INSERT INTO parent VALUES (30), (31), (32);
INSERT INTO t VALUES (30, 'kept');
SAVEPOINT s;
INSERT INTO t VALUES (31, 'gone');
ROLLBACK TO s;
SAVEPOINT s;
INSERT INTO t VALUES (32, 'kept');
RELEASE s;
SELECT verify('t');
COMMIT;
SELECT verify('t');
BEGIN;
DELETE FROM t;
ROLLBACK;
SELECT verify('t');
SELECT * FROM refresh();
-- session_replication_role
SET session_replication_role = replica;
UPDATE t SET note = 'replica' WHERE id = 30;
RESET session_replication_role;
SELECT verify('t');
SELECT * FROM refresh();
-- values in TOAST tables, also those that an update leaves alone; long rows, many rows
CREATE TABLE wide (id integer, long text, n integer);
ALTER TABLE wide ALTER COLUMN long SET STORAGE EXTERNAL;
SELECT depipe.create_transform('cap.wide_copy', 'SELECT * FROM cap.wide', key => '{}');
INSERT INTO wide SELECT g, repeat(md5(g::text), 1000), 0 FROM generate_series(1, 3) g;
SELECT count(*), sum(length(image)) FROM input_changes('cap.wide_copy');
SELECT status, inserted FROM refresh('cap.wide_copy');
UPDATE wide SET n = 1 WHERE id < 3;
DELETE FROM wide WHERE id = 3;
VACUUM wide;
SELECT weight, length(image), right(image, 1) FROM input_changes('cap.wide_copy') ORDER BY 1, 3, image;
SELECT status, inserted, deleted FROM refresh('cap.wide_copy');
INSERT INTO wide SELECT g, 'short', g FROM generate_series(1, 9000) g;
SELECT count(*), sum(weight), count(DISTINCT image) FROM input_changes('cap.wide_copy');
SELECT depipe.drop_transform('cap.wide_copy', drop_table => true);

-- new images are kept as differences from the old ones, whatever these have in common
CREATE TABLE alike (id integer, s text, n numeric, v text);
INSERT INTO alike SELECT g, repeat(chr(97 + g % 2), g % 50 + 1), nullif(g % 7, 0), repeat('t', g % 300 + 2) FROM generate_series(1, 2000) g;
SELECT depipe.create_transform('cap.alike_copy', 'SELECT * FROM cap.alike', key => '{}');
UPDATE alike SET s = repeat(chr(97 + id % 3), id % 37 + 1), n = nullif(id % 5, 0);
UPDATE alike SET s = s || 'a', v = 'x' || v WHERE id % 4 = 0;
UPDATE alike SET s = 'a' || s, v = left(v, -1) WHERE id % 3 = 0;
UPDATE alike SET s = overlay(s placing 'bc' from 2 for 0) || NULL, v = v || repeat('t', 9000) WHERE id % 101 = 0;
SELECT verify('alike', 'cap.alike_copy') LIKE 'captured%' AS wrong;
SELECT status FROM refresh('cap.alike_copy');
SELECT count(*) FROM ((TABLE alike EXCEPT ALL TABLE alike_copy) UNION ALL (TABLE alike_copy EXCEPT ALL TABLE alike)) d;
SELECT depipe.drop_transform('cap.alike_copy', drop_table => true);

-- ---- what passes by the triggers, and what is known of it ----
TRUNCATE t;
SELECT verify('t');
INSERT INTO t VALUES (30, 'after');
SELECT * FROM refresh();
SELECT verify('t');
SELECT * FROM refresh();
INSERT INTO t VALUES (32, 'after');
SELECT verify('t');
ALTER TABLE t DROP CONSTRAINT t_id_fkey;
ALTER TABLE t DISABLE TRIGGER ALL;
INSERT INTO t VALUES (33, 'unseen');
SELECT verify('t');
ALTER TABLE t ENABLE TRIGGER ALL;
ALTER TABLE t ENABLE ALWAYS TRIGGER depipe_capture_insert;
ALTER TABLE t ENABLE ALWAYS TRIGGER depipe_capture_update;
ALTER TABLE t ENABLE ALWAYS TRIGGER depipe_capture_delete;
ALTER TABLE t ENABLE ALWAYS TRIGGER depipe_capture_truncate;
SELECT verify('t');
SELECT * FROM refresh();
SELECT * FROM refresh();
DROP TRIGGER depipe_capture_insert ON t;
INSERT INTO t VALUES (34, 'unseen');
SELECT * FROM refresh();
SELECT verify('t');
DELETE FROM t WHERE id = 34;
SELECT verify('t');
-- changes of columns are never refused
ALTER TABLE t ADD COLUMN extra integer DEFAULT 7;
SELECT verify('t');
SELECT * FROM refresh();
SELECT * FROM refresh();
UPDATE t SET note = 'x' WHERE id = 30;
SELECT i.weight, i.image FROM input_changes('cap.copy') i ORDER BY 1;
ALTER TABLE t ALTER COLUMN note TYPE varchar(20), ALTER COLUMN id TYPE bigint;
SELECT * FROM refresh();
ALTER TABLE t ALTER COLUMN note TYPE text, ALTER COLUMN id TYPE integer;
SELECT * FROM refresh();
SELECT * FROM refresh();
ALTER TABLE t RENAME COLUMN note TO remark;
INSERT INTO t VALUES (35, 'renamed');
SELECT * FROM refresh();
SELECT * FROM refresh();
ALTER TABLE t DROP COLUMN extra;
INSERT INTO t VALUES (36, 'narrower');
SELECT * FROM refresh();
UPDATE t SET remark = 'y' WHERE id = 36;
SELECT verify('t');
VACUUM FULL t;
SELECT * FROM refresh();
SELECT * FROM refresh();
-- a native subscription that comes and goes between two refreshes
UPDATE t SET remark = 'z' WHERE id = 36;
SET client_min_messages = error;
CREATE SUBSCRIPTION cap_passing CONNECTION 'dbname=none' PUBLICATION none WITH (connect = false);
ALTER SUBSCRIPTION cap_passing SET (slot_name = NONE);
DROP SUBSCRIPTION cap_passing;
SET client_min_messages = warning;
SELECT * FROM refresh();
UPDATE t SET remark = 'y' WHERE id = 36;
SELECT * FROM refresh();
-- types and domains of its columns are the user's as before
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE TYPE pair AS (a integer, b integer);
CREATE DOMAIN small AS integer;
CREATE TABLE typed (m mood, p pair, s small);
SELECT depipe.create_transform('cap.typed_copy', 'SELECT s FROM cap.typed WHERE typed IS NOT NULL', key => '{}');
INSERT INTO typed VALUES ('good', '(1,2)', 99);
SELECT image FROM input_changes('cap.typed_copy');
UPDATE typed SET s = 1;
ALTER DOMAIN small ADD CHECK (VALUE < 10);
SELECT image FROM input_changes('cap.typed_copy');
ALTER TABLE typed DROP COLUMN p, DROP COLUMN m;
ALTER TYPE pair ALTER ATTRIBUTE a TYPE text;
DROP TYPE pair;
DROP TYPE mood;
SELECT * FROM refresh('cap.typed_copy');
SELECT * FROM refresh('cap.typed_copy');
DROP TABLE typed;
SELECT status, reason FROM refresh('cap.typed_copy');
SELECT count(*) FROM depipe.capture;
SELECT count(*) FROM pg_class WHERE relname ~ '^change_[0-9]+_[12]$';
SELECT depipe.drop_transform('cap.typed_copy', drop_table => true);
DROP DOMAIN small;
-- the query, its functions and views, and the table itself
CREATE FUNCTION twice(integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 2 * $1; END';
CREATE VIEW v AS SELECT id, twice(id) AS twice FROM t;
SELECT depipe.create_transform('cap.seen', 'SELECT * FROM cap.v', key => '{}');
SELECT * FROM refresh('cap.seen');
CREATE OR REPLACE FUNCTION twice(integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 3 * $1; END';
SELECT * FROM refresh('cap.seen');
SELECT * FROM refresh('cap.seen');
CREATE OR REPLACE VIEW v AS SELECT id, twice(id) AS twice FROM t WHERE id > 30;
SELECT * FROM refresh('cap.seen');
SET depipe.allow_target_dml = on;
DELETE FROM seen;
RESET depipe.allow_target_dml;
SELECT * FROM refresh('cap.seen');
ALTER TABLE seen DISABLE TRIGGER depipe_refuse_dml;
DELETE FROM seen;
ALTER TABLE seen ENABLE ALWAYS TRIGGER depipe_refuse_dml;
SELECT * FROM refresh('cap.seen');
SELECT * FROM refresh('cap.seen');
-- one capture for several transforms; it goes with the last one
SELECT count(*) FROM depipe.capture;
SELECT input, reason, transforms, changes, bytes > 0 AS has_bytes FROM depipe.captures;
SELECT depipe.drop_transform('cap.seen', drop_table => true);
SELECT count(*) FROM pg_trigger WHERE tgrelid = 't'::regclass AND tgname LIKE 'depipe%';
SELECT depipe.drop_transform('cap.copy', drop_table => true);
SELECT count(*) FROM pg_trigger WHERE tgrelid = 't'::regclass AND tgname LIKE 'depipe%';
SELECT count(*) FROM depipe.capture;
SELECT count(*) FROM pg_class WHERE relname ~ '^change_[0-9]+_[12]$';
RESET search_path;
DROP SCHEMA cap CASCADE;
