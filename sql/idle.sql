-- transforms whose inputs have not changed are not run

CREATE SCHEMA idle;
CREATE TABLE idle.ordinary (id integer PRIMARY KEY, n integer);
INSERT INTO idle.ordinary VALUES (1, 10), (2, 20);
CREATE VIEW idle.seen AS SELECT id, n FROM idle.ordinary WHERE n > 0;
SELECT depipe.create_transform('idle.base', 'SELECT id, n FROM idle.seen', key => '{id}', target_lag => '0');
SELECT depipe.create_transform('idle.middle', 'SELECT id, n * 2 AS n FROM idle.base', target_lag => '0');
CREATE VIEW idle.of_middle AS SELECT id, n + 1 AS n FROM idle.middle;
SELECT depipe.create_transform('idle.top', 'SELECT sum(n) AS n FROM idle.of_middle', target_lag => '0');
SELECT depipe.create_transform('idle.at_night', 'SELECT n, now() AS at FROM idle.middle', target_lag => '0');
CREATE FUNCTION idle.times(integer) RETURNS integer IMMUTABLE LANGUAGE sql AS 'SELECT $1 * 10';
SELECT depipe.create_transform('idle.by_function', 'SELECT id, idle.times(n) AS n FROM idle.middle', target_lag => '0');
CREATE FUNCTION idle.pass() RETURNS TABLE (target text, runs bigint, published bigint) LANGUAGE sql AS $$
	SELECT t.table_name::text, count(run_id), count(*) FILTER (WHERE status = 'succeeded')
	FROM depipe.target t LEFT JOIN depipe.run r ON r.target_id = t.target_id AND started_by IN ('run_due', 'upstream')
	WHERE schema_name = 'idle' GROUP BY 1 ORDER BY 1
$$;
CALL depipe.run_due();
DELETE FROM depipe.run;
CALL depipe.run_due();
CALL depipe.run_due();
SELECT * FROM idle.pass();
-- ... but they stay complete as of now
SELECT bool_and(data_as_of > now() - interval '1 minute') AS complete FROM depipe.target_state JOIN depipe.target USING (target_id)
WHERE schema_name = 'idle';
-- a change goes through all of them, once
INSERT INTO idle.ordinary VALUES (3, 30);
CALL depipe.run_due();
CALL depipe.run_due();
SELECT * FROM idle.pass();
TABLE idle.top;
-- what is done with rows of a target by hand is put right
DELETE FROM depipe.run;
BEGIN; SET LOCAL depipe.allow_target_dml = on; DELETE FROM idle.middle WHERE id = 1; COMMIT;
CALL depipe.run_due();
CALL depipe.run_due();
SELECT * FROM idle.pass();
TABLE idle.top;
-- a view, a function, the table itself, the query
DELETE FROM depipe.run;
CREATE OR REPLACE VIEW idle.of_middle AS SELECT id, n + 2 AS n FROM idle.middle;
CREATE OR REPLACE FUNCTION idle.times(integer) RETURNS integer IMMUTABLE LANGUAGE sql AS 'SELECT $1 * 100';
CALL depipe.run_due();
TABLE idle.top;
SELECT * FROM idle.by_function ORDER BY 1;
BEGIN; SET LOCAL depipe.allow_target_dml = on; TRUNCATE idle.top; COMMIT;
CALL depipe.run_due();
TABLE idle.top;
SELECT depipe.alter_transform('idle.top', 'SELECT sum(n) AS n FROM idle.middle');
CALL depipe.run_due();
TABLE idle.top;
-- a constraint that refers to a table that depipe keeps, and to one that it does not
DELETE FROM depipe.run;
SELECT depipe.add_constraint('idle.middle', depipe.relationships('id', 'idle.base', 'id'));
CALL depipe.run_due();
DELETE FROM depipe.run; DELETE FROM depipe.verdict;
CALL depipe.run_due();
SELECT * FROM idle.pass();
SELECT count(*) AS verdicts FROM depipe.verdict;
SELECT depipe.add_constraint('idle.top', depipe.relationships('n', 'idle.ordinary', 'n'), on_violation => 'warn', existing => 'ignore');
CALL depipe.run_due();
CALL depipe.run_due();
SELECT * FROM idle.pass();
-- by hand it is run all the same
SELECT target, status FROM depipe.refresh('idle.middle');
-- a function that is called by a function of the query is replaced
CREATE FUNCTION idle.least(integer) RETURNS integer IMMUTABLE LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION idle.at_least(integer, integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN idle.least(greatest($1, $2)); END';
CREATE AGGREGATE idle.most(integer) (SFUNC = idle.at_least, STYPE = integer, INITCOND = '0');
SELECT depipe.create_transform('idle.nested', 'SELECT id % 2 AS odd, idle.most(n) AS n FROM idle.ordinary GROUP BY id % 2');
SELECT strategy, reason, inserted, updated FROM depipe.refresh('idle.nested');
SELECT strategy, reason, inserted, updated FROM depipe.refresh('idle.nested');
CREATE OR REPLACE FUNCTION idle.least(integer) RETURNS integer IMMUTABLE LANGUAGE sql AS 'SELECT $1 + 1000';
SELECT count(*) FROM depipe.verify('idle.nested');
SELECT strategy, reason, inserted, updated FROM depipe.refresh('idle.nested');
SELECT count(*) FROM depipe.verify('idle.nested');
SET client_min_messages = warning;
SELECT depipe.drop_transform('idle.nested', true);
DROP VIEW idle.of_middle CASCADE;
SELECT count(depipe.drop_transform(target, true)) FROM unnest(ARRAY['idle.by_function', 'idle.at_night', 'idle.top', 'idle.middle', 'idle.base']) AS target;
DROP SCHEMA idle CASCADE;
