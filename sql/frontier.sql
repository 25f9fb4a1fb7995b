-- frontiers: what a transform has taken in, by snapshot and by what its own transaction has done
CREATE SCHEMA front;
SET search_path = front;
SET client_min_messages = warning;
CREATE FUNCTION next_sequence() RETURNS bigint LANGUAGE C VOLATILE AS '$libdir/depipe', 'depipe_next_sequence';
CREATE FUNCTION beyond(target text, changes regclass) RETURNS text LANGUAGE C VOLATILE AS '$libdir/depipe', 'depipe_beyond';
CREATE TABLE input (id integer PRIMARY KEY);
-- changes as they are captured
CREATE TABLE change (xid xid8 DEFAULT pg_current_xact_id(), sequence bigint DEFAULT front.next_sequence(), id integer);
CREATE FUNCTION capture() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO front.change (id) SELECT id FROM added;
	RETURN NULL;
END $$;
CREATE TRIGGER capture AFTER INSERT ON input REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION capture();
SELECT depipe.create_transform('front.copy', 'SELECT id FROM front.input', key => '{id}');
CREATE VIEW stored AS SELECT s.* FROM depipe.transform_state s JOIN depipe.target t USING (target_id)
	WHERE t.schema_name = 'front';
-- what the next delta has, and what it must have: the difference to the table as it is
CREATE VIEW next_delta AS SELECT
	beyond('front.copy', 'front.change'),
	(SELECT string_agg(id::text, ' ' ORDER BY id) FROM (TABLE input EXCEPT TABLE copy) d) AS missing;
SELECT frontier_database = (SELECT oid FROM pg_database WHERE datname = current_database()) AS here,
	frontier_system = (SELECT system_identifier::text FROM pg_control_system()) AS this_system,
	frontier_sequence AS own_sequence FROM stored;

INSERT INTO input VALUES (1);
TABLE next_delta;
SELECT status FROM depipe.refresh('front.copy');
TABLE next_delta;
-- a transaction that has already written, and goes on
BEGIN;
INSERT INTO input VALUES (2), (3);
TABLE next_delta;
SELECT status FROM depipe.refresh('front.copy');
TABLE next_delta;
SELECT frontier_xid = pg_current_xact_id() AS own, frontier_sequence AS own_sequence FROM stored;
INSERT INTO input VALUES (4);
TABLE next_delta;
SELECT status FROM depipe.refresh('front.copy');
TABLE next_delta;
INSERT INTO input VALUES (5);
TABLE next_delta;
COMMIT;
TABLE next_delta;
SELECT status FROM depipe.refresh('front.copy');
TABLE next_delta;
-- REPEATABLE READ: one snapshot for all refreshes
BEGIN ISOLATION LEVEL REPEATABLE READ;
INSERT INTO input VALUES (6);
SELECT status FROM depipe.refresh('front.copy');
SELECT frontier_snapshot::text = pg_current_snapshot()::text AS same_snapshot FROM stored;
TABLE next_delta;
INSERT INTO input VALUES (7);
TABLE next_delta;
SELECT status FROM depipe.refresh('front.copy');
TABLE next_delta;
INSERT INTO input VALUES (8);
COMMIT;
TABLE next_delta;
-- subtransactions: what is rolled back takes its frontier along
BEGIN;
INSERT INTO input VALUES (9);
SAVEPOINT s;
INSERT INTO input VALUES (10);
SELECT status FROM depipe.refresh('front.copy');
TABLE next_delta;
ROLLBACK TO s;
TABLE next_delta;
INSERT INTO input VALUES (11);
SAVEPOINT s;
SELECT status FROM depipe.refresh('front.copy');
INSERT INTO input VALUES (12);
RELEASE s;
TABLE next_delta;
COMMIT;
TABLE next_delta;
SELECT status FROM depipe.refresh('front.copy');
TABLE next_delta;
-- what is not published is not covered
SELECT depipe.trip('front.copy', 'by hand');
INSERT INTO input VALUES (14);
SELECT status FROM depipe.refresh('front.copy');
TABLE next_delta;
SELECT depipe.reset('front.copy', 'by hand');
SELECT status FROM depipe.refresh('front.copy');
TABLE next_delta;
-- elsewhere it means nothing: everything is compared, and the run says why
UPDATE depipe.transform_state SET frontier_system = '1' WHERE frontier_system IS NOT NULL;
INSERT INTO input VALUES (15);
SELECT strategy, reason, detail FROM depipe.explain_transform('front.copy') WHERE chosen;
SELECT status, strategy, reason, inserted FROM depipe.refresh('front.copy');
SELECT status, strategy, reason, inserted FROM depipe.refresh('front.copy');
UPDATE depipe.transform_state SET frontier_database = 1 WHERE frontier_system IS NOT NULL;
SELECT status, strategy, reason, inserted FROM depipe.refresh('front.copy');
TABLE next_delta;

DROP VIEW next_delta;
SELECT depipe.drop_transform('front.copy', drop_table => true);
RESET search_path;
DROP SCHEMA front CASCADE;
