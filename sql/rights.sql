--
-- Who may do what, and as whom a user's expressions are evaluated.
--
CREATE ROLE regress_owner LOGIN;
CREATE ROLE regress_reader LOGIN;
CREATE ROLE regress_stranger;
CREATE ROLE regress_operator IN ROLE depipe_operator;
CREATE SCHEMA rights_raw AUTHORIZATION regress_owner;
CREATE SCHEMA rights_mart AUTHORIZATION regress_owner;
GRANT USAGE ON SCHEMA rights_raw, rights_mart TO regress_reader, regress_stranger, regress_operator;

SET ROLE regress_owner;
CREATE TABLE rights_raw.orders (id int PRIMARY KEY, customer int, amount numeric);
INSERT INTO rights_raw.orders SELECT i, i % 3, i * 10 FROM generate_series(1, 9) i;
SELECT depipe.create_transform('rights_mart.totals',
	'SELECT customer, sum(amount) AS total FROM rights_raw.orders GROUP BY customer');
SELECT depipe.add_constraint('rights_raw.orders', depipe.satisfies('amount >= 0'));
SELECT depipe.add_constraint('rights_mart.totals', depipe.not_null('customer'), on_violation => 'quarantine');
GRANT SELECT ON rights_mart.totals TO regress_reader;
RESET ROLE;

-- a stranger sees nothing and changes nothing
SET ROLE regress_stranger;
SELECT count(*) FROM depipe.status;
SELECT count(*) FROM depipe.runs;
SELECT count(*) FROM depipe.transforms;
SELECT count(*) FROM depipe.constraints;
SELECT count(*) FROM depipe.lineage;
SELECT count(*) FROM depipe.events;
SELECT * FROM depipe.refresh('rights_mart.totals');
CALL depipe.run('rights_mart.totals');
SELECT depipe.add_constraint('rights_raw.orders', depipe.satisfies('false'));
SELECT depipe.drop_constraint('rights_raw.orders', 'amount_satisfies');
SELECT depipe.drop_transform('rights_mart.totals');
SELECT depipe.create_transform('rights_mart.other', 'SELECT 1 AS one');
SELECT depipe.trip('rights_mart.totals', 'because');
SELECT depipe.override('rights_mart.totals', 'because', now() + interval '1 hour');
SELECT * FROM depipe.verify('rights_mart.totals');
SELECT * FROM depipe.check_table('rights_raw.orders');
SELECT * FROM depipe.violations('rights_raw.orders');
SELECT * FROM depipe.target;
INSERT INTO depipe.target (schema_name, table_name, kind, owner) VALUES ('a', 'b', 't', 'regress_stranger');
CREATE TRIGGER t BEFORE INSERT ON depipe.run FOR EACH ROW EXECUTE FUNCTION pg_catalog.suppress_redundant_updates_trigger();
SET depipe.allow_target_dml = on;
SET depipe.enabled = off;
SET depipe.max_override = '1000d';
RESET ROLE;

-- a reader of the table sees its state, and cannot act
SET ROLE regress_reader;
SELECT target, state FROM depipe.status;
SELECT target, status FROM depipe.runs;
SELECT * FROM depipe.refresh('rights_mart.totals');
RESET ROLE;

-- an operator runs and trips, and is no owner
SET ROLE regress_operator;
SELECT target, status FROM depipe.refresh('rights_mart.totals');
SELECT depipe.trip('rights_mart.totals', 'maintenance');
SELECT target, status, reason FROM depipe.refresh('rights_mart.totals');
SELECT depipe.reset('rights_mart.totals', 'done');
SELECT depipe.drop_transform('rights_mart.totals');
SELECT depipe.add_constraint('rights_mart.totals', depipe.satisfies('total > 0'));
RESET ROLE;

-- expressions are evaluated as the owner, never as whoever refreshes
SET ROLE regress_owner;
CREATE TABLE rights_raw.seen (who name, path text);
CREATE FUNCTION rights_raw.spy(numeric) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
	RAISE NOTICE 'spy: % with path %', current_user, current_setting('search_path');
	RETURN true;
END
$$;
SELECT depipe.add_constraint('rights_mart.totals', depipe.satisfies('rights_raw.spy(total)'), name => 'spy');
UPDATE rights_raw.orders SET amount = amount + 1 WHERE id = 1;
RESET ROLE;
SELECT target, status FROM depipe.refresh('rights_mart.totals');

-- a restricted operation: no way out of it
SET ROLE regress_owner;
CREATE FUNCTION rights_raw.escape(numeric) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
	EXECUTE 'RESET ROLE';
	RETURN true;
END
$$;
SELECT depipe.add_constraint('rights_mart.totals', depipe.satisfies('rights_raw.escape(total)'), name => 'escape');
UPDATE rights_raw.orders SET amount = amount + 1 WHERE id = 1;
RESET ROLE;
SELECT target, status FROM depipe.refresh('rights_mart.totals');
SELECT current_user = session_user AS unchanged;
SELECT name, state FROM depipe.constraints WHERE name = 'escape';
SELECT depipe.drop_constraint('rights_mart.totals', 'escape');
SELECT depipe.drop_constraint('rights_mart.totals', 'spy');
SELECT depipe.reset('rights_mart.totals', 'constraint dropped');
SELECT target, status FROM depipe.refresh('rights_mart.totals');

-- a planted operator and function in a schema on the caller's path are not looked at
CREATE SCHEMA rights_trap;
CREATE FUNCTION rights_trap.trap(numeric, numeric) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'trapped as %', current_user;
END
$$;
CREATE OPERATOR rights_trap.>= (LEFTARG = numeric, RIGHTARG = numeric, FUNCTION = rights_trap.trap);
CREATE OPERATOR rights_trap.= (LEFTARG = numeric, RIGHTARG = numeric, FUNCTION = rights_trap.trap);
CREATE FUNCTION rights_trap.count() RETURNS bigint LANGUAGE sql AS 'SELECT -1::bigint';
SET search_path TO rights_trap, pg_catalog, public;
UPDATE rights_raw.orders SET amount = amount + 1 WHERE id = 2;
SELECT target, status FROM depipe.refresh('rights_mart.totals');
SELECT * FROM depipe.verify('rights_mart.totals');
SELECT constraint_name, outcome FROM depipe.check_table('rights_raw.orders');
RESET search_path;

-- the definition goes with its table
ALTER TABLE rights_mart.totals OWNER TO regress_reader;
SELECT target, status, reason FROM depipe.refresh('rights_mart.totals');
ALTER TABLE rights_mart.totals OWNER TO regress_owner;
-- and must still be allowed to read the inputs
CREATE ROLE regress_other;
ALTER TABLE rights_raw.orders OWNER TO regress_other;
SELECT target, status, reason FROM depipe.refresh('rights_mart.totals');
ALTER TABLE rights_raw.orders OWNER TO regress_owner;
SELECT target, status FROM depipe.refresh('rights_mart.totals');

SELECT depipe.drop_transform('rights_mart.totals', drop_table => true);
SELECT depipe.drop_constraint('rights_raw.orders', 'amount_satisfies');
-- stored errors carry no values
SET ROLE regress_owner;
CREATE TABLE rights_raw.secrets (id int PRIMARY KEY, note text);
INSERT INTO rights_raw.secrets VALUES (1, 's3cret');
CREATE FUNCTION rights_raw.tell(note text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'the note is %', note USING HINT = note;
END
$$;
SELECT depipe.create_transform('rights_mart.numbers',
	'SELECT id, note::int AS n FROM rights_raw.secrets', populate => false);
SELECT depipe.create_transform('rights_mart.told',
	'SELECT id, rights_raw.tell(note) AS n FROM rights_raw.secrets', populate => false);
SELECT target, status, reason FROM depipe.refresh('rights_mart.*');
SELECT target, error_sqlstate, error_message, error_hint FROM depipe.runs WHERE error_sqlstate IS NOT NULL
	AND target IN ('rights_mart.numbers', 'rights_mart.told') ORDER BY target;
SELECT depipe.drop_transform('rights_mart.numbers', drop_table => true);
SELECT depipe.drop_transform('rights_mart.told', drop_table => true);
RESET ROLE;
-- who sees the state of a table, but may not read it, sees no values
CREATE ROLE regress_monitor IN ROLE pg_monitor;
CREATE SCHEMA rights_values AUTHORIZATION regress_owner;
SET ROLE regress_owner;
CREATE TABLE rights_values.secrets (id int PRIMARY KEY, v text);
INSERT INTO rights_values.secrets VALUES (1, 'the "secret" value');
CREATE FUNCTION rights_values.complain(v text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	RAISE EXCEPTION 'saw %', v USING ERRCODE = '22023', HINT = 'it was ' || v;
END
$$;
SELECT depipe.create_transform('rights_values.longest', 'SELECT id, v FROM rights_values.secrets', populate => false);
SELECT depipe.add_constraint('rights_values.longest', depipe.satisfies('max(v) < ''a'''), on_violation => 'warn');
SELECT depipe.create_transform('rights_values.number', 'SELECT id, v::int AS v FROM rights_values.secrets', populate => false);
SELECT depipe.create_transform('rights_values.complaint',
	'SELECT id, rights_values.complain(v) AS v FROM rights_values.secrets', populate => false);
SELECT target, status, reason FROM depipe.refresh('rights_values.*');
SELECT target, metric FROM depipe.verdicts WHERE target LIKE 'rights_values.%';
RESET ROLE;
SET ROLE regress_monitor;
SELECT target, metric FROM depipe.verdicts WHERE target LIKE 'rights_values.%';
SELECT target, metric FROM depipe.constraints WHERE target LIKE 'rights_values.%';
SELECT target, reason, error_message, error_hint FROM depipe.runs
	WHERE target LIKE 'rights_values.%' AND status = 'failed' ORDER BY run_id;
RESET ROLE;
SELECT depipe.drop_transform('rights_values.' || t, true) FROM unnest('{longest,number,complaint}'::text[]) t;
DROP SCHEMA rights_values CASCADE;
DROP ROLE regress_monitor;
DROP SCHEMA rights_trap CASCADE;
DROP SCHEMA rights_mart CASCADE;
DROP SCHEMA rights_raw CASCADE;
DROP ROLE regress_owner, regress_reader, regress_stranger, regress_operator, regress_other;
