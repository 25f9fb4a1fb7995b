--
-- What a role that sees the state of a table learns beyond what it may read:
-- no value of a row, and no name of a table that it may not see.
--
SET client_min_messages TO error;
CREATE ROLE regress_far LOGIN;
CREATE ROLE regress_near LOGIN;
CREATE ROLE regress_reader LOGIN;
CREATE ROLE regress_some_rows LOGIN;
CREATE ROLE regress_some_columns LOGIN;
CREATE ROLE regress_operator LOGIN IN ROLE depipe_operator;
CREATE ROLE regress_monitor LOGIN IN ROLE pg_monitor;
CREATE ROLE regress_locked NOLOGIN;
CREATE SCHEMA hidden_far AUTHORIZATION regress_far;
CREATE SCHEMA shared AUTHORIZATION regress_far;
CREATE SCHEMA near AUTHORIZATION regress_near;
GRANT USAGE ON SCHEMA shared, near TO PUBLIC;
GRANT USAGE ON SCHEMA hidden_far TO PUBLIC;

-- hidden_far.people -> hidden_far.clean -> shared.part -> near.report -> near.final
SET ROLE regress_far;
CREATE TABLE hidden_far.people (id int PRIMARY KEY, name text, n text);
INSERT INTO hidden_far.people VALUES (1, 'va1ue one', '1'), (2, 'va1ue two', '2');
SELECT depipe.create_transform('hidden_far.clean', 'SELECT id, name, n::int AS n FROM hidden_far.people');
SELECT depipe.create_transform('shared.part', 'SELECT id, name, n FROM hidden_far.clean');
GRANT SELECT ON shared.part TO regress_near;
SET ROLE regress_near;
SELECT depipe.create_transform('near.report', 'SELECT id, name, n FROM shared.part');
SELECT depipe.create_transform('near.final', 'SELECT id, name, n FROM near.report');
CREATE TABLE near.hidden_list (name text PRIMARY KEY);
INSERT INTO near.hidden_list VALUES ('va1ue one'), ('va1ue two');
CREATE FUNCTION near.complain(name text, n int) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF n > 100 THEN
		RAISE EXCEPTION 'I saw %', name USING HINT = name, DETAIL = name, ERRCODE = '42P01';
	END IF;
	RETURN true;
END
$$;
SELECT depipe.add_constraint('near.report', depipe.satisfies('near.complain(name, n)'), name => 'complaint');
SELECT depipe.add_constraint('near.report', depipe.satisfies('max(name) <> ''x'''), name => 'greatest', on_violation => 'warn');
SELECT depipe.add_constraint('near.report', depipe.relationships('name', 'near.hidden_list', 'name'), name => 'listed', on_violation => 'quarantine');
SELECT depipe.add_constraint('near.report', depipe.not_null('name'), name => 'named');
ALTER TABLE near.report ENABLE ROW LEVEL SECURITY;
CREATE POLICY few ON near.report TO regress_some_rows USING (id > 1000);
CREATE POLICY every ON near.report TO regress_reader USING (true);
ALTER TABLE near.final ENABLE ROW LEVEL SECURITY;
ALTER TABLE near.final DISABLE ROW LEVEL SECURITY;
GRANT SELECT ON near.report TO regress_some_rows;
GRANT SELECT (id) ON near.report TO regress_some_columns;
GRANT SELECT ON near.final TO regress_reader;
RESET ROLE;

-- everything that a role can ask for, as one text each
CREATE SCHEMA asking;
GRANT USAGE ON SCHEMA asking TO PUBLIC;
CREATE FUNCTION asking.everything() RETURNS TABLE (place text, answer text) LANGUAGE plpgsql AS $$
DECLARE
	t text;
	message text;
	detail text;
	hint text;
	context text;
	names text;
	answers text[];
BEGIN
	FOREACH t IN ARRAY ARRAY['status', 'loads', 'transforms', 'constraints', 'breakers', 'verdicts', 'runs', 'quarantine',
		'incidents', 'events', 'audit', 'lineage', 'column_lineage', 'stat_streams', 'definition()', 'why(''near.report'')', 'why(''near.final'')',
		'guard(''near.report'')', 'guard(''near.final'')', 'refresh(''near.*'')', 'refresh(''*'')', 'refresh(''hidden_far.clean'')',
		'check_table(''near.report'')', 'violations(''near.report'')', 'quarantined(NULL::near.report)', 'verify(''near.report'')',
		'assert_ok(''near.final'')', 'explain_transform(''near.report'')', 'conditions()',
		'as_of(''near.report'')', 'as_of(''near.final'')', 'copies()', 'verify(''near.final'')', 'check_table(''near.final'')',
		'why(''hidden_far.clean'')', 'as_of(''hidden_far.clean'')', 'definition(''hidden_far.clean'')', 'pause(''because'', ''hidden_far.clean'')',
		'set_owner(''near.report'', ''regress_reader'')',
		'drop_transform(''near.report'')', 'trip(''near.report'', '''')',
		'create_transform(''near.report'', ''SELECT 1 AS one'')', 'add_constraint(''near.report'', depipe.not_null(''name''))']
	LOOP
		BEGIN
			EXECUTE format('SELECT array_agg(x::text) FROM depipe.%s x', t) INTO answers;
			RAISE EXCEPTION USING ERRCODE = 'MX000'; -- nothing is to be done
		EXCEPTION WHEN OTHERS THEN
			GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT,
				context = PG_EXCEPTION_CONTEXT, names = TABLE_NAME;
			IF SQLSTATE <> 'MX000' THEN
				answers := ARRAY[concat_ws(' | ', 'error', message, detail, hint, context, names)];
			END IF;
		END;
		RETURN QUERY SELECT t, a FROM unnest(answers) a;
	END LOOP;
END
$$;
-- names: of tables that near.report's readers do not see; values: of rows
CREATE FUNCTION asking.leaks(role text, pattern text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('role', role, true);
	RETURN QUERY SELECT e.place || ': ' || e.answer FROM asking.everything() e
		WHERE replace(e.answer, COALESCE(substring(e.place FROM '[a-z_]+\.[a-z]+'), 'nothing'), '') ~ pattern;
	PERFORM set_config('role', 'none', true);
END
$$;
CREATE VIEW asking.all_leaks AS
SELECT r.role, l.leak FROM (VALUES
	('regress_reader', 'hidden_|shared\.part|va1ue'),
	('regress_some_rows', 'hidden_|shared\.part|va1ue'),
	('regress_some_columns', 'hidden_|shared\.part|va1ue|near\.report|near\.final'),
	('regress_near', 'hidden_far'),
	('regress_operator', 'va1ue'),
	('regress_monitor', 'va1ue')) r (role, pattern)
CROSS JOIN LATERAL asking.leaks(r.role, r.pattern) l (leak);

-- the owner of near.report reads its rows; whoever asks gets an answer
SELECT count(*) > 0 AS answers FROM asking.leaks('regress_near', 'near\.report');
SELECT count(*) > 0 AS answers FROM asking.leaks('regress_reader', 'near\.final');
SELECT count(*) > 0 AS answers FROM asking.leaks('regress_some_rows', 'complaint');
SELECT count(*) > 0 AS answers FROM asking.leaks('regress_monitor', 'hidden_far\.clean');
SELECT role, leak FROM asking.all_leaks;

-- rows in quarantine, a metric, a check that fails with a message of its own
UPDATE hidden_far.people SET name = 'va1ue of nobody' WHERE id = 2;
SELECT target, status FROM depipe.refresh('*');
SELECT count(*) FROM depipe.quarantine;
SELECT role, leak FROM asking.all_leaks;
UPDATE hidden_far.people SET n = '101' WHERE id = 1;
SELECT target, status FROM depipe.refresh('*');
SELECT role, leak FROM asking.all_leaks;
UPDATE hidden_far.people SET n = '1' WHERE id = 1;
SELECT depipe.reset('near.report', 'mended');
SELECT target, status FROM depipe.refresh('*');

-- errors that quote a value, far upstream
UPDATE hidden_far.people SET n = 'va1ue' WHERE id = 1;
SELECT target, status, reason FROM depipe.refresh('*');
SELECT role, leak FROM asking.all_leaks;
UPDATE hidden_far.people SET n = '99999999999' WHERE id = 1;
SELECT target, status, reason FROM depipe.refresh('hidden_far.*');
SELECT role, leak FROM asking.all_leaks;
UPDATE hidden_far.people SET n = '1' WHERE id = 1;
SET ROLE regress_far;
SELECT depipe.create_transform('hidden_far.clean', 'SELECT id, name, length(name::regclass::text) AS n FROM hidden_far.people', populate => false, replace => true);
RESET ROLE;
SELECT target, status, reason FROM depipe.refresh('hidden_far.*');
SELECT role, leak FROM asking.all_leaks;
SET ROLE regress_far;
SELECT depipe.create_transform('hidden_far.clean', 'SELECT id, name, n::int AS n FROM hidden_far.people', replace => true);
RESET ROLE;
SELECT target, status FROM depipe.refresh('*');

-- breakers, pauses, what is missing
SELECT depipe.trip('hidden_far.clean', 'because');
SELECT target, status, reason FROM depipe.refresh('*');
SELECT role, leak FROM asking.all_leaks;
SELECT depipe.reset('hidden_far.clean', 'done');
SELECT target, status FROM depipe.refresh('*');
SELECT depipe.pause('because', 'hidden_far.clean');
SELECT target, status, reason FROM depipe.refresh('*');
SELECT role, leak FROM asking.all_leaks;
SELECT depipe.resume('hidden_far.clean');
ALTER TABLE hidden_far.clean OWNER TO regress_locked;
SELECT target, status, reason FROM depipe.refresh('*');
CALL depipe.run_due();
SELECT role, leak FROM asking.all_leaks;
ALTER TABLE hidden_far.clean OWNER TO regress_far;
CALL depipe.run_due();
SELECT target, status, reason FROM depipe.refresh('*');
SET ROLE regress_far;
DROP TABLE hidden_far.people;
RESET ROLE;
SELECT target, status, reason FROM depipe.refresh('*');
SELECT role, leak FROM asking.all_leaks;
SET ROLE regress_far;
CREATE TABLE hidden_far.people (id int PRIMARY KEY, name text, n text);
INSERT INTO hidden_far.people VALUES (1, 'va1ue one', '1'), (2, 'va1ue two', '2');
RESET ROLE;
SELECT count(*) FROM depipe.refresh('*');
REVOKE SELECT ON shared.part FROM regress_near;
SELECT target, status, reason FROM depipe.refresh('near.report');
SELECT role, leak FROM asking.all_leaks;

DROP SCHEMA asking CASCADE;
SELECT depipe.drop_transform(target, true) FROM (SELECT target FROM depipe.transforms WHERE target IN ('near.final')) t;
SELECT depipe.drop_transform(target, true) FROM (SELECT target FROM depipe.transforms WHERE target IN ('near.report')) t;
SELECT depipe.drop_transform(target, true) FROM (SELECT target FROM depipe.transforms WHERE target IN ('shared.part')) t;
SELECT depipe.drop_transform('hidden_far.clean', true);
DROP SCHEMA hidden_far, shared, near CASCADE;
DROP ROLE regress_far, regress_near, regress_reader, regress_some_rows, regress_some_columns, regress_operator, regress_monitor,
	regress_locked;
