--
-- The audit: what people change and override, by whom and why.
--
SET client_min_messages = error;
CREATE SCHEMA au;
CREATE ROLE regress_audit_owner LOGIN;
CREATE ROLE regress_audit_operator LOGIN IN ROLE depipe_operator;
CREATE ROLE regress_audit_reader LOGIN;
GRANT ALL ON SCHEMA au TO regress_audit_owner;
GRANT USAGE ON SCHEMA au TO PUBLIC;
CREATE VIEW public.a AS
	SELECT target, action, constraint_name, reason, session_role = current_setting('au.me') AS session, acting_role,
		arguments - 'settings' AS arguments
	FROM depipe.audit WHERE target LIKE 'au.%' ORDER BY audit_id;
GRANT SELECT ON public.a TO PUBLIC;
SELECT set_config('au.me', session_user, false) IS NOT NULL;

SET ROLE regress_audit_owner;
CREATE TABLE au.src (id int PRIMARY KEY, x int);
INSERT INTO au.src VALUES (1, 1);
SELECT depipe.create_transform('au.t', 'SELECT * FROM au.src', key => '{id}');
SELECT depipe.add_constraint('au.t', depipe.satisfies('x > 0'), name => 'positive');
SELECT depipe.alter_constraint('au.t', 'positive', on_violation => 'reject');
SELECT depipe.alter_transform('au.t', target_lag => '1 hour');
SELECT depipe.configure_breaker('au.t', bad_runs => 2, of_runs => 3);
-- nothing changes, so nothing is recorded; nor is what fails or is rolled back
SELECT depipe.add_constraint('au.t', depipe.satisfies('x > 0'), name => 'positive', on_violation => 'reject');
SELECT depipe.create_transform('au.t', 'SELECT * FROM au.src', key => '{id}', target_lag => '1 hour');
SELECT depipe.alter_constraint('au.t', 'positive', on_violation => 'reject');
SELECT depipe.drop_constraint('au.t', 'nope', missing_ok => true);
SELECT depipe.reset('au.t', 'it is closed');
SELECT depipe.trip('au.t', '');
BEGIN;
SELECT depipe.trip('au.t', 'a mistake');
ROLLBACK;
SET ROLE regress_audit_operator;
SELECT depipe.trip('au.t', 'the shop migrates', '2100-01-01');
SELECT depipe.reset('au.t', 'it has migrated');
SELECT depipe.override('au.t', 'the report cannot wait', now() + interval '1 hour') IS NOT NULL;
SELECT depipe.pause('upgrade', 'au.t');
SELECT depipe.resume('au.t');
SET ROLE regress_audit_owner;
SELECT depipe.drop_constraint('au.t', 'positive');
SELECT target, action, constraint_name, reason, session, acting_role,
	CASE WHEN action = 'override' THEN arguments - 'until' ELSE arguments END AS arguments FROM a;
GRANT SELECT ON au.t TO regress_audit_reader;
SET ROLE regress_audit_reader;
SELECT target, action, reason, acting_role, arguments FROM a WHERE action IN ('trip', 'create_transform');
SELECT * FROM depipe.audit_entry;
-- it outlives its target
SET ROLE regress_audit_owner;
SELECT depipe.drop_transform('au.t', drop_table => true);
SELECT target, action FROM a ORDER BY 2, 1;
SET ROLE regress_audit_reader;
SELECT target, action FROM a;
RESET ROLE;

-- it is kept longer than the history
UPDATE depipe.audit_entry SET happened_at = now() - interval '300 days' WHERE target LIKE 'au.%' AND action <> 'trip';
UPDATE depipe.audit_entry SET happened_at = now() - interval '400 days' WHERE target LIKE 'au.%' AND action = 'trip';
UPDATE depipe.attempt SET started_at = now() - interval '1 day' WHERE unit = 'history';
CALL depipe.run_due();
SELECT count(*), count(*) FILTER (WHERE action = 'trip') AS trips FROM a;

DROP VIEW public.a;
DELETE FROM depipe.audit_entry WHERE target LIKE 'au.%';
DROP OWNED BY regress_audit_owner;
DROP SCHEMA au CASCADE;
DROP ROLE regress_audit_owner, regress_audit_operator, regress_audit_reader;
