--
-- Numbers of parked and quarantined rows are kept beside the state of a target: they are always
-- those of the rows.
--
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE SCHEMA kept;
-- what is not as it should be, of all targets
CREATE VIEW kept.wrong AS
SELECT t.table_name, s.parked, s.quarantined, s.retries, r.* FROM depipe.target t LEFT JOIN depipe.target_state s USING (target_id),
LATERAL (SELECT (SELECT count(*) FROM depipe.parked_item p WHERE p.target_id = t.target_id) AS parked_rows,
	(SELECT count(*) FROM depipe.quarantined_row q WHERE q.target_id = t.target_id) AS quarantined_rows,
	(SELECT count(*) FROM depipe.quarantined_row q WHERE q.target_id = t.target_id AND q.retry) AS retry_rows) r
WHERE (COALESCE(s.parked, 0), COALESCE(s.quarantined, 0), COALESCE(s.retries, 0))
	IS DISTINCT FROM (r.parked_rows, r.quarantined_rows, r.retry_rows);
CREATE VIEW kept.counts AS
SELECT t.table_name, s.parked, s.quarantined, s.retries FROM depipe.target t JOIN depipe.target_state s USING (target_id)
WHERE t.schema_name = 'kept' ORDER BY 1;

CREATE TABLE kept.src (id int PRIMARY KEY, amount int);
INSERT INTO kept.src SELECT n, n FROM generate_series(1, 10) n;
SELECT depipe.create_transform('kept.t', 'SELECT id, amount FROM kept.src', key => '{id}');
SELECT depipe.create_transform('kept.u', 'SELECT id, amount FROM kept.src', key => '{id}');
SELECT depipe.add_constraint('kept.t', depipe.satisfies('amount < 100'), name => 'small', on_violation => 'quarantine');
SELECT depipe.add_constraint('kept.u', depipe.satisfies('amount < 100'), name => 'small', on_violation => 'quarantine');
UPDATE kept.src SET amount = amount + 100 WHERE id > 6;
SELECT status, quarantined FROM depipe.refresh('kept.t');
SELECT status, quarantined FROM depipe.refresh('kept.u');
TABLE kept.counts;
TABLE kept.wrong;
-- newer versions replace and release them
UPDATE kept.src SET amount = CASE id WHEN 7 THEN 7 ELSE 1000 + id END WHERE id < 9 AND id > 5;
SELECT status, quarantined FROM depipe.refresh('kept.t');
TABLE kept.counts;
TABLE kept.wrong;
-- a rollback takes the change back, with that of the rows
BEGIN;
SAVEPOINT s;
UPDATE kept.src SET amount = 0;
SELECT status, quarantined FROM depipe.refresh('kept.t');
TABLE kept.counts;
ROLLBACK TO s;
TABLE kept.counts;
COMMIT;
TABLE kept.wrong;
-- whatever statement it is, of however many targets, also where triggers do not fire
INSERT INTO depipe.parked_item (target_id, item, kind) SELECT target_id, n, 'clear'
FROM depipe.target, generate_series(1, 1000) n WHERE schema_name = 'kept' AND (table_name = 't' OR n < 100);
TABLE kept.counts;
UPDATE depipe.quarantined_row SET retry = true WHERE image[1]::int IN (9, 10);
TABLE kept.counts;
UPDATE depipe.quarantined_row SET retry = false WHERE image[1]::int = 10;
SET session_replication_role = replica;
DELETE FROM depipe.parked_item WHERE item <= 10;
DELETE FROM depipe.quarantined_row WHERE retry AND target_id = (SELECT target_id FROM depipe.target WHERE table_name = 'u' AND schema_name = 'kept');
RESET session_replication_role;
TABLE kept.counts;
TABLE kept.wrong;
SELECT target, parked FROM depipe.breakers WHERE target LIKE 'kept.%' ORDER BY 1;
-- no row of state yet
DELETE FROM depipe.target_state s USING depipe.target t WHERE t.target_id = s.target_id AND t.schema_name = 'kept' AND t.table_name = 'u';
DELETE FROM depipe.parked_item p USING depipe.target t WHERE t.target_id = p.target_id AND t.schema_name = 'kept' AND t.table_name = 'u';
DELETE FROM depipe.quarantined_row p USING depipe.target t WHERE t.target_id = p.target_id AND t.schema_name = 'kept' AND t.table_name = 'u';
DELETE FROM depipe.target_state s USING depipe.target t WHERE t.target_id = s.target_id AND t.schema_name = 'kept' AND t.table_name = 'u';
INSERT INTO depipe.parked_item (target_id, item, kind) SELECT target_id, 1, 'clear' FROM depipe.target WHERE schema_name = 'kept' AND table_name = 'u';
TABLE kept.counts;
TABLE kept.wrong;
BEGIN;
TRUNCATE depipe.parked_item;
TABLE kept.counts;
TRUNCATE depipe.quarantined_row;
TABLE kept.counts;
ROLLBACK;
TABLE kept.wrong;
-- what is dropped has none
SELECT depipe.drop_transform('kept.t', drop_table => true);
TABLE kept.counts;
TABLE kept.wrong;
SELECT depipe.drop_transform('kept.u', drop_table => true);
TABLE kept.counts;
TABLE kept.wrong;
SELECT depipe.count_kept();
DROP SCHEMA kept CASCADE;
