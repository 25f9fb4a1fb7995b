-- captured inputs of every kind, who writes them, and chains of refreshes within a transaction
CREATE SCHEMA cap;
SET search_path = cap;
SET client_min_messages = warning;
CREATE FUNCTION input_changes(target text, OUT input text, OUT reason text, OUT weight smallint, OUT image text)
	RETURNS SETOF record LANGUAGE C VOLATILE AS '$libdir/depipe', 'depipe_input_changes';
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

-- ---- partitions: through the root, rows that move, leaves directly, other column orders ----
CREATE TABLE p (id integer, k integer, note text) PARTITION BY LIST (k);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
CREATE TABLE p2 (note text, gone integer, k integer, id integer);
ALTER TABLE p2 DROP COLUMN gone;
ALTER TABLE p ATTACH PARTITION p2 FOR VALUES IN (2);
CREATE TABLE p3 PARTITION OF p FOR VALUES IN (3, 4) PARTITION BY LIST (k);
CREATE TABLE p31 PARTITION OF p3 FOR VALUES IN (3);
INSERT INTO p VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 3, 'c');
SELECT depipe.create_transform('cap.copy', 'SELECT * FROM cap.p', key => '{}');
SELECT tgrelid::regclass, count(*) FROM pg_trigger WHERE tgname LIKE 'depipe_capture_%' GROUP BY 1 ORDER BY 1;
INSERT INTO p VALUES (4, 2, 'root');
INSERT INTO p2 (id, k, note) VALUES (5, 2, 'leaf');
UPDATE p SET k = k % 3 + 1;
SELECT verify('p');
SELECT * FROM refresh();
UPDATE p31 SET note = 'direct';
DELETE FROM p3 WHERE id = 5;
DELETE FROM ONLY p2;
SELECT verify('p');
SELECT * FROM refresh();
-- partitions that come and go
CREATE TABLE p32 PARTITION OF p FOR VALUES IN (5);
INSERT INTO p VALUES (6, 5, 'new');
SELECT verify('p');
SELECT * FROM refresh();
UPDATE p SET note = note || '!' WHERE id = 6;
SELECT verify('p');
CREATE TABLE with_rows (LIKE p);
INSERT INTO with_rows VALUES (7, 6, 'came');
ALTER TABLE p ATTACH PARTITION with_rows FOR VALUES IN (6);
SELECT * FROM refresh();
SELECT * FROM refresh();
ALTER TABLE p DETACH PARTITION with_rows;
INSERT INTO with_rows VALUES (8, 6, 'late');
SELECT * FROM refresh();
-- detached and attached again between two refreshes
ALTER TABLE p DETACH PARTITION p32;
TRUNCATE p32;
ALTER TABLE p ATTACH PARTITION p32 FOR VALUES IN (5);
SELECT verify('p');
SELECT * FROM refresh();
TRUNCATE p31;
SELECT * FROM refresh();
DROP TABLE p32;
SELECT * FROM refresh();
SELECT verify('p');
-- columns of all partitions
ALTER TABLE p ADD COLUMN extra integer;
UPDATE p SET note = 'x' WHERE id = 1;
SELECT count(*) FROM input_changes('cap.copy') WHERE reason IS NULL;
ALTER TABLE p DROP COLUMN extra;
SELECT status FROM refresh();
UPDATE p SET note = 'y' WHERE id = 1;
SELECT verify('p');
-- a partition or child by itself
SELECT depipe.create_transform('cap.leaf', 'SELECT * FROM cap.p1', key => '{}');
SELECT reason, detail FROM depipe.explain_transform('cap.leaf') WHERE strategy = 'full_diff';
SELECT depipe.drop_transform('cap.leaf', drop_table => true);
SELECT depipe.drop_transform('cap.copy', drop_table => true);
SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'depipe_capture_%';

-- ---- inheritance ----
CREATE TABLE parent (id integer, note text);
CREATE TABLE child (extra integer) INHERITS (parent);
INSERT INTO parent VALUES (1, 'parent');
INSERT INTO child VALUES (2, 'child', 20);
SELECT depipe.create_transform('cap.copy', 'SELECT * FROM cap.parent', key => '{}');
INSERT INTO child VALUES (3, 'child', 30);
UPDATE parent SET note = note || '!';
UPDATE child SET extra = 7;
SELECT verify('parent');
SELECT * FROM refresh();
DELETE FROM ONLY parent;
SELECT verify('parent');
ALTER TABLE child NO INHERIT parent;
SELECT * FROM refresh();
CREATE TABLE other_parent (id integer);
ALTER TABLE child INHERIT parent;
ALTER TABLE child INHERIT other_parent;
SELECT * FROM refresh();
SELECT DISTINCT reason FROM input_changes('cap.copy');
DELETE FROM other_parent;
SELECT * FROM refresh();
SELECT depipe.drop_transform('cap.copy', drop_table => true);
DROP TABLE parent, other_parent CASCADE;

-- ---- a writer without any privilege on depipe's tables, a restricted one, and one who may not have triggers ----
CREATE ROLE regress_writer;
CREATE ROLE regress_reader LOGIN;
CREATE TABLE t (id integer, note text);
GRANT USAGE, CREATE ON SCHEMA cap TO regress_writer, regress_reader;
GRANT INSERT, UPDATE, DELETE, SELECT ON t TO regress_writer;
GRANT SELECT ON t TO regress_reader;
SELECT depipe.create_transform('cap.copy', 'SELECT * FROM cap.t', key => '{}');
REVOKE USAGE ON SCHEMA depipe FROM PUBLIC;
SET ROLE regress_writer;
INSERT INTO t VALUES (1, 'written');
UPDATE t SET note = 'changed';
RESET ROLE;
GRANT USAGE ON SCHEMA depipe TO PUBLIC;
SELECT verify('t');
SELECT has_table_privilege('regress_writer', segment_1, 'SELECT'), has_table_privilege('regress_reader', segment_2, 'SELECT')
FROM depipe.capture;
CREATE FUNCTION write() RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO cap.t VALUES (2, 'restricted');
	RETURN 1;
END $$;
CREATE MATERIALIZED VIEW restricted AS SELECT write();
SELECT verify('t');
SELECT * FROM refresh();
SET SESSION AUTHORIZATION regress_reader;
SELECT depipe.create_transform('cap.mine', 'SELECT * FROM cap.t', key => '{}');
SELECT strategy, reason, detail FROM depipe.explain_transform('cap.mine') WHERE chosen;
RESET SESSION AUTHORIZATION;
GRANT TRIGGER ON t TO regress_reader;
SELECT * FROM refresh('cap.mine');
SELECT * FROM refresh('cap.mine');
SELECT depipe.drop_transform('cap.mine', drop_table => true);

-- ---- chains within one transaction ----
SELECT depipe.create_transform('cap.next', 'SELECT id, note FROM cap.copy', key => '{}');
BEGIN;
INSERT INTO t VALUES (3, 'own');
SELECT verify('copy', 'cap.next');
SELECT * FROM refresh('cap.copy');
SELECT verify('copy', 'cap.next');
INSERT INTO t VALUES (4, 'own');
SELECT * FROM refresh('cap.copy');
SELECT verify('copy', 'cap.next');
SELECT * FROM refresh('cap.next');
SELECT verify('copy', 'cap.next'), verify('t');
DELETE FROM t WHERE id = 3;
SELECT verify('t');
COMMIT;
SELECT verify('t'), verify('copy', 'cap.next');
SELECT target, status, strategy FROM depipe.refresh('cap.*', upstream => true) ORDER BY 1;
SELECT target, status, strategy FROM depipe.refresh('cap.*', upstream => true) ORDER BY 1;
BEGIN ISOLATION LEVEL REPEATABLE READ;
INSERT INTO t VALUES (5, 'rr');
SELECT verify('t');
SELECT * FROM refresh('cap.copy');
INSERT INTO t VALUES (6, 'rr');
SELECT verify('t'), verify('copy', 'cap.next');
SELECT * FROM refresh('cap.next');
SELECT * FROM refresh('cap.copy');
SELECT verify('t'), verify('copy', 'cap.next');
COMMIT;
SELECT verify('t'), verify('copy', 'cap.next');
-- a batch that is rolled back takes its changes along
SELECT * FROM refresh('cap.next');
SELECT depipe.add_constraint('cap.copy', depipe.satisfies('id < 100'), on_violation => 'reject', name => 'small');
INSERT INTO t VALUES (100, 'bad');
SELECT status FROM refresh('cap.copy');
SELECT verify('copy', 'cap.next');
SELECT depipe.drop_constraint('cap.copy', 'small');
-- a refresh that a statement on its input calls: what else the statement does is not lost
CREATE FUNCTION refresh_now() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM depipe.refresh('cap.copy');
	RETURN NEW;
END $$;
CREATE TRIGGER refresh_now BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION refresh_now();
INSERT INTO t VALUES (11, 'a'), (12, 'b'), (13, 'c');
DROP TRIGGER refresh_now ON t;
SELECT verify('t');
SELECT status FROM refresh();
SELECT count(*) FROM t EXCEPT SELECT count(*) FROM copy;
SELECT depipe.drop_transform('cap.next', drop_table => true);

-- ---- pruning ----
SELECT status FROM refresh();
SELECT current FROM depipe.capture;
INSERT INTO t SELECT g, repeat('x', 500) FROM generate_series(1, 3000) g;
SELECT status, inserted FROM refresh();
SELECT current FROM depipe.capture;
INSERT INTO t VALUES (0, 'after');
SELECT verify('t');
SELECT status FROM refresh();
SELECT pg_relation_size(segment_1) < 20000 AS emptied FROM depipe.capture;
INSERT INTO t VALUES (0, 'later');
SELECT verify('t');
-- not what another transform has not taken in
SELECT depipe.create_transform('cap.slow', 'SELECT id FROM cap.t', key => '{}');
INSERT INTO t SELECT g, repeat('x', 500) FROM generate_series(1, 3000) g;
SELECT status, inserted FROM refresh();
SELECT status FROM refresh();
SELECT status FROM refresh();
SELECT count(*) FROM input_changes('cap.slow');
SELECT status, inserted FROM refresh('cap.slow');
SELECT status FROM refresh('cap.slow');
SELECT verify('t');
-- more than is kept
SET depipe.max_changes = 100;
INSERT INTO t SELECT g, 'many' FROM generate_series(1, 101) g;
SELECT verify('t');
SELECT * FROM refresh();
RESET depipe.max_changes;
INSERT INTO t VALUES (0, 'later');
SELECT verify('t');
-- the whole extension, with everything that it has made
DROP TABLE copy, slow;
SELECT count(*) FROM pg_class WHERE relname ~ '^change_[0-9]+_[12]$';
DROP MATERIALIZED VIEW restricted;
DROP FUNCTION input_changes;
BEGIN;
DROP EXTENSION depipe CASCADE;
SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'depipe_capture_%';
SELECT count(*) FROM pg_class WHERE relname ~ '^change_[0-9]+_[12]$';
INSERT INTO t VALUES (0, 'without');
ROLLBACK;
SELECT count(*) FROM depipe.capture;
SELECT depipe.drop_transform('cap.copy'), depipe.drop_transform('cap.slow');
SELECT count(*) FROM depipe.capture;
RESET search_path;
DROP SCHEMA cap CASCADE;
DROP ROLE regress_writer, regress_reader;
