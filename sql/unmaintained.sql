--
-- Constraints on tables and views that depipe does not maintain: evaluated every
-- check_every where something may have changed, or now by CALL depipe.check.
--
SET client_min_messages TO warning;
DELETE FROM depipe.target; -- of tests before
CREATE SCHEMA um;

CREATE TABLE um.orders (id int PRIMARY KEY, amount int);
INSERT INTO um.orders VALUES (1, 10), (2, 20);
CREATE TABLE um.parted (id int, part int) PARTITION BY LIST (part);
CREATE TABLE um.parted_1 PARTITION OF um.parted FOR VALUES IN (1);
CREATE VIEW um.big AS SELECT id, amount FROM um.orders WHERE amount > 5;
CREATE MATERIALIZED VIEW um.sums AS SELECT sum(amount) AS total FROM um.orders;

SELECT depipe.add_constraint('um.orders', depipe.satisfies('amount >= 0'), name => 'positive');
SELECT depipe.add_constraint('um.orders', depipe.satisfies('sum(amount) < 1000'), name => 'limit',
	check_every => '1 hour');
SELECT depipe.add_constraint('um.parted', depipe.not_null('id'), name => 'has_id');
SELECT depipe.add_constraint('um.big', depipe.satisfies('amount < 100'), name => 'small');
SELECT depipe.add_constraint('um.sums', depipe.satisfies('total > 0'), name => 'some');

-- what makes no sense
SELECT depipe.add_constraint('um.big', depipe.not_null('id'), on_violation => 'quarantine');
CREATE SEQUENCE um.numbers;
SELECT depipe.add_constraint('um.numbers', depipe.satisfies('last_value > 0'));

-- a constraint that was never looked at is due
SELECT pg_stat_force_next_flush() IS NOT NULL AS flushed;
CREATE VIEW um.seen AS
	SELECT d.name, s.outcome, s.violations, (SELECT count(*) FROM depipe.verdict v WHERE v.constraint_id = d.constraint_id) AS verdicts,
		l.fingerprint IS NOT NULL AS watched
	FROM depipe.constraint_definition d LEFT JOIN depipe.constraint_state s USING (constraint_id)
	LEFT JOIN depipe.table_look l USING (constraint_id);
CALL depipe.run_due();
SELECT * FROM um.seen ORDER BY name;
SELECT target, strategy, status, reason, started_by FROM depipe.runs ORDER BY run_id;

-- time passes, for the constraints with a check_every of a minute
CREATE PROCEDURE um.pass_time() LANGUAGE SQL AS $$
	UPDATE depipe.table_look SET looked_at = looked_at - interval '61 seconds';
$$;
-- nothing has changed: nothing is evaluated
CALL um.pass_time();
CALL depipe.run_due();
SELECT name, outcome, verdicts FROM um.seen ORDER BY name;

-- a change of a table, and of what a view reads; the sum is due in an hour
INSERT INTO um.orders VALUES (3, -1), (4, 2000);
INSERT INTO um.parted VALUES (NULL, 1);
SELECT pg_stat_force_next_flush() IS NOT NULL AS flushed;
CALL um.pass_time();
CALL depipe.run_due();
SELECT name, outcome, violations, verdicts FROM um.seen ORDER BY name;
SELECT target, state, reason FROM depipe.breakers WHERE state <> 'closed' ORDER BY target;
SELECT target, constraint_name, state FROM depipe.incidents ORDER BY target, constraint_name;
SELECT target, status, reason FROM depipe.runs WHERE status = 'blocked' ORDER BY target;
SELECT target, state FROM depipe.status WHERE state <> 'ok' ORDER BY target;
SELECT depipe.guard('um.orders');
SELECT depipe.assert_ok('um.big');
SELECT target, state FROM depipe.why('um.big');
SELECT constraint_name, place FROM depipe.violations('um.big');

-- what reads it waits
SELECT depipe.create_transform('um.copy', 'SELECT id, amount FROM um.big');
SELECT status, reason FROM depipe.refresh('um.copy');

-- the next good evaluation is the probe that closes it, also of the constraint that was not due
UPDATE um.orders SET amount = 1 WHERE id IN (3, 4);
SELECT pg_stat_force_next_flush() IS NOT NULL AS flushed;
CALL um.pass_time();
CALL depipe.run_due();
SELECT name, outcome, violations, verdicts FROM um.seen ORDER BY name;
SELECT target, state, reason FROM depipe.breakers WHERE state <> 'closed' ORDER BY target;
SELECT status, reason FROM depipe.refresh('um.copy');
SELECT target, constraint_name, state, closed_how FROM depipe.incidents ORDER BY target, constraint_name;
SELECT depipe.assert_ok('um.big');

-- check: now, with an error
CALL depipe.check('um.orders');
CALL depipe.check('um.*');
SELECT name, outcome, violations FROM um.seen ORDER BY name;
DELETE FROM um.parted;
CALL depipe.check('um.*');
SELECT target, state, reason FROM depipe.breakers WHERE state <> 'closed' ORDER BY target;
BEGIN;
CALL depipe.check('um.*');
ROLLBACK;
DO $$ BEGIN CALL depipe.check('um.orders'); END $$;
CALL depipe.check('nowhere.*');
CALL depipe.check('um.seen');
CALL depipe.check(NULL);
CALL depipe.check('um.orders'::text);

-- a missing table is an error, never a pass; it binds again when a table of that name comes back
DROP TABLE um.parted;
CALL depipe.check('um.parted');
SELECT name, outcome FROM um.seen WHERE name = 'has_id';
SELECT status, strategy, reason, error_sqlstate FROM depipe.runs WHERE target = 'um.parted' ORDER BY run_id DESC LIMIT 1;
SELECT v.state, v.detail FROM depipe.verdicts v WHERE target = 'um.parted' ORDER BY verdict_id DESC LIMIT 1;
SELECT state FROM depipe.status WHERE target = 'um.parted';
CALL depipe.run_due();
SELECT status, strategy, reason FROM depipe.runs WHERE target = 'um.parted' ORDER BY run_id DESC LIMIT 1;
CREATE TABLE um.parted (id int, part int);
CALL depipe.check('um.parted');
SELECT name, outcome FROM um.seen WHERE name = 'has_id';
SELECT state FROM depipe.status WHERE target = 'um.parted';

-- an evaluation that cannot be watched takes place each time
CREATE TABLE um.clock (at timestamptz);
CREATE VIEW um.today AS SELECT at FROM um.clock WHERE at < now();
INSERT INTO um.clock VALUES (now() - interval '1 day');
SELECT depipe.add_constraint('um.clock', depipe.satisfies('at < now()'), name => 'past');
SELECT depipe.add_constraint('um.today', depipe.not_null('at'), name => 'known');
CALL depipe.run_due();
CALL um.pass_time();
CALL depipe.run_due();
SELECT name, outcome, verdicts, watched FROM um.seen WHERE name IN ('past', 'known') ORDER BY name;

-- the expressions are evaluated as the owner
CREATE ROLE um_owner LOGIN;
GRANT USAGE, CREATE ON SCHEMA um TO um_owner;
GRANT USAGE ON SCHEMA depipe TO um_owner;
SET ROLE um_owner;
CREATE TABLE um.mine (id int);
INSERT INTO um.mine VALUES (1);
CREATE FUNCTION um.who(int) RETURNS bool STABLE LANGUAGE plpgsql AS $$
BEGIN RETURN current_user = 'um_owner' AND session_user <> 'um_owner'; END $$;
CREATE VIEW um.my_view AS SELECT id FROM um.mine WHERE um.who(id);
SELECT depipe.add_constraint('um.my_view', depipe.satisfies('um.who(id)'), name => 'as_owner');
SELECT depipe.add_constraint('um.my_view', depipe.satisfies('count(*) = 1'), name => 'as_owner_too');
RESET ROLE;
CALL depipe.check('um.my_view');
SELECT name, outcome FROM um.seen WHERE name LIKE 'as_owner%' ORDER BY name;
SET ROLE um_owner;
CALL depipe.check('um.orders');
RESET ROLE;
SELECT count(*) FROM depipe.definition('um.my_view');

-- views as targets of other things
SELECT depipe.create_transform('um.big', 'SELECT 1 AS id');
SELECT depipe.verify('um.big');
SELECT * FROM depipe.refresh('um.big');

SET client_min_messages TO error;
SELECT depipe.drop_transform('um.copy');
DROP SCHEMA um CASCADE;
DELETE FROM depipe.target;
REVOKE ALL ON SCHEMA depipe FROM um_owner;
DROP ROLE um_owner;
