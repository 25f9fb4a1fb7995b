--
-- Every function of depipe against every kind of role, every grant, every
-- relation. A function that is not in the table below fails this test: say who
-- may call it.
--
SET client_min_messages TO error;
CREATE ROLE regress_stranger LOGIN;
CREATE ROLE regress_reader LOGIN;
CREATE ROLE regress_owner LOGIN;
CREATE ROLE regress_operator LOGIN IN ROLE depipe_operator;
CREATE ROLE regress_monitor LOGIN IN ROLE pg_monitor;
CREATE SCHEMA matrix AUTHORIZATION regress_owner;
GRANT USAGE ON SCHEMA matrix TO PUBLIC;
GRANT USAGE ON FOREIGN DATA WRAPPER depipe TO regress_owner;
SET ROLE regress_owner;
CREATE SERVER matrix_server FOREIGN DATA WRAPPER depipe OPTIONS (host '/nowhere', dbname 'nothing');
CREATE TABLE matrix.base (id int PRIMARY KEY, v int, at timestamptz DEFAULT now());
INSERT INTO matrix.base VALUES (1, 1), (2, -2);
CREATE TABLE matrix.free (id int);
SELECT depipe.create_load('matrix.loaded', server => 'matrix_server');
SELECT depipe.create_transform('matrix.made', 'SELECT id, v FROM matrix.base');
SELECT depipe.add_constraint('matrix.made', depipe.satisfies('v > -10'), name => 'c');
SELECT depipe.create_transform('matrix.held', 'SELECT id, v FROM matrix.base', populate => false);
SELECT depipe.add_constraint('matrix.held', depipe.satisfies('v > 0'), name => 'c', on_violation => 'quarantine');
SELECT status FROM depipe.refresh('matrix.held');
SELECT depipe.trip('matrix.held', 'for set_aside');
GRANT SELECT ON ALL TABLES IN SCHEMA matrix TO regress_reader;
RESET ROLE;

-- call; who may: s(tranger), r(eader), o(wner), p (operator), m(onitor)
CREATE TABLE matrix.function (name name, call text, may text);
INSERT INTO matrix.function VALUES
	('satisfies', $$depipe.satisfies('true')$$, 'sropm'),
	('not_null', $$depipe.not_null('a')$$, 'sropm'),
	('unique', $$depipe.unique('a')$$, 'sropm'),
	('accepted_values', $$depipe.accepted_values('a', 1, 2)$$, 'sropm'),
	('rejected_values', $$depipe.rejected_values('a', 1, 2)$$, 'sropm'),
	('in_range', $$depipe.in_range('a', 1, 2)$$, 'sropm'),
	('has_length', $$depipe.has_length('a', 1, 2)$$, 'sropm'),
	('parses_as', $$depipe.parses_as('a', 'date')$$, 'sropm'),
	('parses', $$depipe.parses('a', 'date', -1)$$, 'sropm'),
	('unique', $$depipe.unique('{a}', true)$$, 'sropm'),
	('matches', $$depipe.matches('a', 'b')$$, 'sropm'),
	('relationships', $$depipe.relationships('a', 'matrix.base', 'id')$$, 'sropm'),
	('row_count', $$depipe.row_count(1, 2)$$, 'sropm'),
	('metric', $$depipe.metric('sum(a)', 1, 2)$$, 'sropm'),
	('distinct_values', $$depipe.distinct_values('a', '{1}')$$, 'sropm'),
	('transition', $$depipe.transition('new.a > old.a')$$, 'sropm'),
	('change_limit', $$depipe.change_limit('1', '2', '3%')$$, 'sropm'),
	('has_columns', $$depipe.has_columns('{a}')$$, 'sropm'),
	('schema_unchanged', $$depipe.schema_unchanged()$$, 'sropm'),
	('same_count', $$depipe.same_count('matrix.base')$$, 'sropm'),
	('same_metric', $$depipe.same_metric('sum(a)', 'matrix.base')$$, 'sropm'),
	('same_rows', $$depipe.same_rows('matrix.base')$$, 'sropm'),
	('no_rows', $$depipe.no_rows('SELECT 1')$$, 'sropm'),
	('no_gaps', $$depipe.no_gaps('a')$$, 'sropm'),
	('no_overlap', $$depipe.no_overlap('a', 'b')$$, 'sropm'),
	('every_period', $$depipe.every_period('a', '1 day')$$, 'sropm'),
	('arrived_by', $$depipe.arrived_by('09:00', 'a')$$, 'sropm'),
	('freshness', $$depipe.freshness('at', '1 hour')$$, 'sropm'),
	-- they say only what the catalogs say, or filter by themselves
	('local_identity', $$depipe.local_identity()$$, 'sropm'),
	('foreign_streams', $$depipe.foreign_streams()$$, 'sropm'),
	('stream_workers', $$depipe.stream_workers()$$, 'sropm'),
	('conditions', $$depipe.conditions()$$, 'sropm'),
	('column_origins', $$depipe.column_origins()$$, 'sropm'),
	('copies', $$depipe.copies()$$, 'sropm'),
	('definition', $$depipe.definition('*')$$, 'sropm'),
	('may_see', $$depipe.may_see('matrix', 'made', 'regress_owner')$$, 'sropm'),
	('may_inspect', $$depipe.may_inspect('regress_owner')$$, 'sropm'),
	('role_in', $$depipe.role_in('regress_owner')$$, 'sropm'),
	('key_hash', $$depipe.key_hash('{a}')$$, 'sropm'),
	('row_image', $$depipe.row_image(ROW(1))$$, 'sropm'),
	('row_hash', $$depipe.row_hash(ROW(1))$$, 'sropm'),
	('role_out', $$depipe.role_out('regress_owner')$$, 'sropm'),
	('owner_problem', $$depipe.owner_problem('regress_owner', NULL)$$, 'sropm'),
	('reason_for_reader', $$depipe.reason_for_reader('regress_owner', 'because')$$, 'sropm'),
	('may_see_definition', $$depipe.may_see_definition('matrix.made')$$, 'sropm'),
	('may_read', $$depipe.may_read('matrix', 'made')$$, 'sropm'),
	('validator', $$depipe.validator('{}', 'pg_catalog.pg_foreign_server'::regclass)$$, 'sropm'),
	-- only for depipe's own statements
	('unexpected_row', NULL, NULL),
	-- triggers: refused by the server to be called at all
	('refuse_dml', NULL, NULL),
	('count_kept', NULL, NULL),
	('note_write', NULL, NULL),
	('protect_write', NULL, NULL),
	-- in protect.sql
	('protect', NULL, NULL),
	('unprotect', NULL, NULL),
	('names_changed', NULL, NULL),
	('server_altered', NULL, NULL),
	('server_dropped', NULL, NULL),
	('extension_dropped', NULL, NULL),
	-- sources
	('check_source', $$depipe.check_source('matrix_server')$$, 'o'),
	('detach_source', $$depipe.detach_source('matrix_server')$$, 'o'),
	('adopt', $$depipe.adopt('matrix_server')$$, 'o'),
	-- definitions
	('create_load', $$depipe.create_load('matrix.other', server => 'matrix_server')$$, 'o'),
	('create_load', $$depipe.create_load('matrix.free', server => 'matrix_server')$$, 'o'),
	('create_load', $$depipe.create_load('matrix.loaded', server => 'matrix_server', target_lag => '1 hour', replace => true)$$, 'o'),
	('drop_load', $$depipe.drop_load('matrix.loaded')$$, 'o'),
	('create_transform', $$depipe.create_transform('matrix.other', 'SELECT 1 AS one')$$, 'o'),
	('create_transform', $$depipe.create_transform('matrix.free', 'SELECT 1 AS id')$$, 'o'),
	('create_transform', $$depipe.create_transform('matrix.made', 'SELECT id, v FROM matrix.base WHERE v > 0', replace => true)$$, 'o'),
	('alter_transform', $$depipe.alter_transform('matrix.made', target_lag => '1 hour')$$, 'o'),
	('alter_transform', $$depipe.alter_transform('matrix.made', target_lag => '1 hour', dry_run => true)$$, 'o'),
	('drop_transform', $$depipe.drop_transform('matrix.made')$$, 'o'),
	('drop_transform', $$depipe.drop_transform('matrix.made', true)$$, 'o'),
	('explain_transform', $$depipe.explain_transform('matrix.made')$$, 'o'),
	('add_constraint', $$depipe.add_constraint('matrix.made', depipe.not_null('id'))$$, 'o'),
	('add_constraint', $$depipe.add_constraint('matrix.free', depipe.not_null('id'))$$, 'o'),
	('alter_constraint', $$depipe.alter_constraint('matrix.made', 'c', on_violation => 'warn')$$, 'o'),
	('drop_constraint', $$depipe.drop_constraint('matrix.made', 'c')$$, 'o'),
	('export_contract', $$depipe.export_contract('matrix.made')$$, 'opm'),
	('apply_contract', $$depipe.apply_contract(
		'{"depipe_contract": 1, "constraints": [{"target": "matrix.made", "rule": {"kind": "not_null", "columns": ["id"]}}]}', 'matrix')$$, 'o'),
	('set_owner', $$depipe.set_owner('matrix.loaded', 'regress_owner')$$, 'o'),
	('configure_breaker', $$depipe.configure_breaker('matrix.made', mode => 'metrics_only')$$, 'o'),
	-- rows
	('check_table', $$depipe.check_table('matrix.made')$$, 'ro'),
	('violations', $$depipe.violations('matrix.made')$$, 'ro'),
	('quarantined', $$depipe.quarantined(NULL::matrix.made)$$, 'ro'),
	('verify', $$depipe.verify('matrix.made')$$, 'o'),
	-- running
	('refresh', $$depipe.refresh('matrix.made')$$, 'op'),
	('pause', $$depipe.pause('a test', 'matrix.made')$$, 'op'),
	('resume', $$depipe.resume('matrix.made')$$, 'op'),
	('resync', $$depipe.resync('matrix.loaded')$$, 'op'),
	('trip', $$depipe.trip('matrix.made', 'a test')$$, 'op'),
	('reset', $$depipe.reset('matrix.made', 'a test')$$, 'op'),
	('override', $$depipe.override('matrix.made', 'a test', now() + interval '1 hour')$$, 'op'),
	('release', $$depipe.release('matrix.held', 'a test')$$, 'op'),
	('accept', $$depipe.accept('matrix.held', 'c', 'a test')$$, 'op'),
	('set_aside', $$depipe.set_aside('matrix.held', 'a test')$$, 'op'),
	('waive', $$depipe.waive('matrix.made', 'c', 'a test', now() + interval '1 hour')$$, 'op'),
	('acknowledge', NULL, NULL), -- operate.sql
	('discard', NULL, NULL), -- of a load with rows in quarantine: operate.sql
	('guard', $$depipe.guard('matrix.made')$$, 'ropm'),
	('why', $$depipe.why('matrix.made')$$, 'ropm'),
	('as_of', $$depipe.as_of('matrix.made')$$, 'ropm'),
	('assert_ok', $$depipe.assert_ok('matrix.made')$$, 'op'),
	-- procedures: below
	('run', NULL, NULL),
	('backfill', NULL, NULL),
	('wait', NULL, NULL),
	('run_due', NULL, NULL),
	('check', NULL, NULL),
	('session_settings', NULL, NULL),
	('capture_changes', NULL, NULL),
	('subscription_changed', NULL, NULL),
	('captured_changes', NULL, NULL);

-- functions that are not in the table
SELECT DISTINCT p.proname FROM pg_proc p
WHERE p.pronamespace = 'depipe'::regnamespace AND p.proname NOT IN (SELECT name FROM matrix.function);
SELECT name FROM matrix.function
WHERE name NOT IN (SELECT proname FROM pg_proc WHERE pronamespace = 'depipe'::regnamespace);

CREATE FUNCTION matrix.outcome(role text, call text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('role', role, true);
	EXECUTE 'SELECT * FROM ' || call;
	RAISE EXCEPTION USING ERRCODE = 'MX000';
EXCEPTION WHEN OTHERS THEN
	RETURN CASE SQLSTATE WHEN 'MX000' THEN 'allowed' ELSE SQLSTATE END;
END
$$;

-- what is not as the table says
SELECT f.call, r.role, m.outcome, r.letter
FROM matrix.function f
CROSS JOIN (VALUES ('s', 'regress_stranger'), ('r', 'regress_reader'), ('o', 'regress_owner'), ('p', 'regress_operator'),
	('m', 'regress_monitor')) r (letter, role)
CROSS JOIN LATERAL matrix.outcome(r.role, f.call) m (outcome)
WHERE f.call IS NOT NULL
	AND m.outcome <> CASE WHEN strpos(f.may, r.letter) > 0 THEN 'allowed' ELSE '42501' END;

-- procedures are called at the top only
\set VERBOSITY sqlstate
SET ROLE regress_stranger;
CALL depipe.backfill('matrix.made', 'id', '0', '10', '10');
CALL depipe.check('matrix.made');
CALL depipe.check('matrix.*');
CALL depipe.run('matrix.made');
CALL depipe.run('matrix.*');
CALL depipe.wait('matrix.made');
CALL depipe.wait('matrix.*');
CALL depipe.run_due();
SET ROLE regress_reader;
CALL depipe.backfill('matrix.made', 'id', '0', '10', '10');
CALL depipe.check('matrix.made');
CALL depipe.wait('matrix.made');
CALL depipe.run('matrix.made');
CALL depipe.run('matrix.*');
CALL depipe.run_due();
SET ROLE regress_monitor;
CALL depipe.backfill('matrix.made', 'id', '0', '10', '10');
CALL depipe.run('matrix.made');
CALL depipe.run_due();
SET ROLE regress_operator;
CALL depipe.backfill('matrix.made', 'id', '0', '10', '10');
CALL depipe.check('matrix.made');
CALL depipe.run('matrix.made');
CALL depipe.run_due();
SET ROLE regress_owner;
CALL depipe.backfill('matrix.made', 'id', '0', '10', '10');
CALL depipe.run('matrix.made');
CALL depipe.run_due();
RESET ROLE;
\set VERBOSITY default

-- a pattern that matches nothing the role may see says so, and names nothing
SET ROLE regress_stranger;
SELECT * FROM depipe.refresh('*');
CALL depipe.run('matrix.*');
SELECT depipe.pause('a test');
SELECT depipe.resume('*');
RESET ROLE;

-- who may execute what: PUBLIC, but for these
SELECT p.oid::regprocedure FROM pg_proc p
WHERE p.pronamespace = 'depipe'::regnamespace AND NOT has_function_privilege('public', p.oid, 'EXECUTE')
ORDER BY 1;
-- with another's rights: none, or with a pinned search_path that ends in pg_temp
SELECT p.oid::regprocedure FROM pg_proc p
WHERE p.pronamespace = 'depipe'::regnamespace AND p.prosecdef
	AND NOT EXISTS (SELECT FROM unnest(p.proconfig) c WHERE c ~ '^search_path=.*, pg_temp$');
-- SQL functions see pg_catalog and nothing else
SELECT p.oid::regprocedure FROM pg_proc p
JOIN pg_language l ON l.oid = p.prolang AND l.lanname <> 'c'
WHERE p.pronamespace = 'depipe'::regnamespace
	AND NOT p.proconfig @> ARRAY['search_path=pg_catalog, pg_temp'];
-- relations: some views may be read, and that is all that anybody was granted
SELECT c.relname, c.relkind, a.privilege_type, a.grantee::regrole
FROM pg_class c, aclexplode(c.relacl) a
WHERE c.relnamespace = 'depipe'::regnamespace AND a.grantee <> c.relowner
ORDER BY 1;
SELECT c.relname, p.privilege
FROM pg_class c, unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER',
		CASE WHEN current_setting('server_version_num')::int >= 170000 THEN 'MAINTAIN' ELSE 'TRIGGER' END]) p (privilege),
	unnest(ARRAY['regress_stranger', 'regress_reader', 'regress_owner', 'regress_operator', 'regress_monitor']) r (role)
WHERE c.relnamespace = 'depipe'::regnamespace AND c.relkind IN ('r', 'v')
	AND has_table_privilege(r.role, c.oid, p.privilege);
SELECT c.relname FROM pg_class c,
	unnest(ARRAY['regress_stranger', 'regress_reader', 'regress_owner', 'regress_operator']) r (role)
WHERE c.relnamespace = 'depipe'::regnamespace AND c.relkind IN ('r', 'S')
	AND CASE c.relkind WHEN 'r' THEN has_table_privilege(r.role, c.oid, 'SELECT') ELSE has_sequence_privilege(r.role, c.oid, 'USAGE, SELECT, UPDATE') END;
SELECT has_schema_privilege(r.role, 'depipe', 'CREATE') AS may_create, count(*)
FROM unnest(ARRAY['regress_stranger', 'regress_reader', 'regress_owner', 'regress_operator', 'regress_monitor', 'depipe_operator']) r (role)
GROUP BY 1;
-- views hide rows before anything of the reader's looks at them
SELECT c.relname FROM pg_class c
WHERE c.relnamespace = 'depipe'::regnamespace AND c.relkind = 'v' AND c.relacl IS NOT NULL
	AND NOT COALESCE(c.reloptions @> ARRAY['security_barrier=true'], false);

-- operators make no operators
\set VERBOSITY sqlstate
SET ROLE regress_operator;
GRANT depipe_operator TO regress_stranger;
GRANT SELECT ON depipe.target TO regress_stranger;
GRANT USAGE ON SCHEMA depipe TO regress_stranger;
CREATE TABLE depipe.mine ();
ALTER ROLE depipe_operator RENAME TO mine;
SELECT * FROM matrix.made;
UPDATE matrix.made SET v = 0;
RESET ROLE;
\set VERBOSITY default
SELECT rolcanlogin, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls FROM pg_roles WHERE rolname = 'depipe_operator';

-- a stranger sees nothing in any view
SET client_min_messages TO warning;
SET ROLE regress_stranger;
DO $$
DECLARE
	v record;
	n bigint;
BEGIN
	FOR v IN SELECT c.oid::regclass AS name FROM pg_class c
		WHERE c.relnamespace = 'depipe'::regnamespace AND c.relkind = 'v' AND has_table_privilege(c.oid, 'SELECT')
	LOOP
		EXECUTE 'SELECT count(*) FROM ' || v.name INTO n;
		IF n > 0 THEN
			RAISE WARNING 'a stranger sees % rows of %', n, v.name;
		END IF;
	END LOOP;
END
$$;
RESET ROLE;
SET client_min_messages TO error;

-- the role is the cluster's: without it, everything works
ALTER ROLE depipe_operator RENAME TO regress_was_operator;
SET ROLE regress_stranger;
SELECT count(*) FROM depipe.status;
SET ROLE regress_owner;
SELECT target, status FROM depipe.refresh('matrix.made');
SELECT target FROM depipe.status ORDER BY 1;
RESET ROLE;
ALTER ROLE regress_was_operator RENAME TO depipe_operator;

SELECT depipe.drop_load('matrix.loaded');
SELECT depipe.drop_transform('matrix.made', true);
SELECT depipe.drop_transform('matrix.held', true);
DROP SCHEMA matrix CASCADE;
DROP SERVER matrix_server CASCADE;
DROP OWNED BY regress_owner;
DROP ROLE regress_stranger, regress_reader, regress_owner, regress_operator, regress_monitor;
