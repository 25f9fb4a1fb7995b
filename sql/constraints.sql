--
-- Constraints: the vocabulary, declarations and what is wrong with them,
-- analysed forms, existing rows, check_table and violations.
--
SET client_min_messages = notice;
CREATE SCHEMA q;

-- SQLSTATE, message, detail, context and hint of a statement that must fail
CREATE FUNCTION public.raises(statement text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	hint text;
	detail text;
	state text;
	message text;
BEGIN
	EXECUTE statement;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT, detail = PG_EXCEPTION_DETAIL;
	RETURN SQLSTATE || ': ' || SQLERRM || CASE WHEN detail <> '' THEN ' / ' || detail ELSE '' END
		|| CASE WHEN hint <> '' THEN ' | ' || hint ELSE '' END;
END
$$;
CREATE FUNCTION public.adding(arguments text) RETURNS text
LANGUAGE sql AS $$
	SELECT public.raises('SELECT depipe.add_constraint(' || arguments || ')')
$$;

CREATE TYPE q.mood AS ENUM ('sad', 'ok');
CREATE DOMAIN q.positive AS int CHECK (VALUE > 0);
CREATE TYPE q.pair AS (a int, b text);
CREATE TABLE q.t (id int primary key, n int, m q.mood, p q.positive, v varchar(3), d date, ts timestamp, f float8, j json, jb jsonb, arr int[], c q.pair, "Weird ""name" text, g int GENERATED ALWAYS AS (n * 2) STORED);
INSERT INTO q.t VALUES (1, 1, 'ok', 1, 'abc', '2026-01-01', '2026-01-01 12:00', 1.5, '{}', '{}', '{1}', (1,'x'), 'w');
CREATE FUNCTION q.vol() RETURNS bool LANGUAGE sql VOLATILE AS 'SELECT true';
CREATE FUNCTION q.stab(int) RETURNS bool LANGUAGE sql STABLE AS 'SELECT $1 > 0';
CREATE FUNCTION q.srf() RETURNS SETOF bool LANGUAGE sql IMMUTABLE AS 'SELECT true';
CREATE VIEW q.view AS SELECT * FROM q.t;
SELECT adding($$NULL, depipe.not_null('n')$$);
SELECT adding($$'q.t', NULL$$);
SELECT adding($$'q.nope', depipe.not_null('n')$$);
SELECT adding($$'q.view', depipe.not_null('n')$$);
SELECT depipe.drop_constraint('q.view', 'n_not_null');
SELECT adding($$'pg_class', depipe.not_null('relname')$$);
SELECT adding($$'depipe.target', depipe.not_null('target_id')$$);
SELECT adding($$'', depipe.not_null('n')$$);
SELECT adding($$'q.t', depipe.not_null('nope')$$);
SELECT adding($$'q.t', depipe.not_null()$$);
SELECT adding($$'q.t', depipe.not_null(VARIADIC NULL)$$);
SELECT adding($$'q.t', depipe.not_null(NULL)$$);
SELECT adding($$'q.t', depipe.not_null('n', NULL)$$);
SELECT adding($$'q.t', depipe.not_null('n', 'n')$$);
SELECT adding($$'q.t', depipe.not_null('lower(n)')$$);
SELECT adding($$'q.t', '[]'$$);
SELECT adding($$'q.t', '"x"'$$);
SELECT adding($$'q.t', 'null'$$);
SELECT adding($$'q.t', '{}'$$);
SELECT adding($$'q.t', '{"kind": 5}'$$);
SELECT adding($$'q.t', '{"kind": "nope"}'$$);
SELECT adding($$'q.t', '{"kind": "not_null"}'$$);
SELECT adding($$'q.t', '{"kind": "not_null", "columns": []}'$$);
SELECT adding($$'q.t', '{"kind": "not_null", "columns": [["n"]]}'$$);
SELECT adding($$'q.t', '{"kind": "not_null", "columns": {"a": "n"}}'$$);
SELECT adding($$'q.t', '{"kind": "not_null", "columns": [5]}'$$);
SELECT adding($$'q.t', '{"kind": "not_null", "columns": "n", "column_name": "m"}'$$);
SELECT adding($$'q.t', '{"kind": "not_null", "columns": "n", "nope": "m"}'$$);
SELECT adding($$'q.t', depipe.satisfies(NULL)$$);
SELECT adding($$'q.t', depipe.satisfies('')$$);
SELECT adding($$'q.t', depipe.satisfies('n >')$$);
SELECT adding($$'q.t', depipe.satisfies('n > 0; drop table q.t')$$);
SELECT adding($$'q.t', depipe.satisfies('n > 0 FROM q.t')$$);
SELECT adding($$'q.t', depipe.satisfies('n > 0, n < 5')$$);
SELECT adding($$'q.t', depipe.satisfies('n > 0 AS x')$$);
SELECT adding($$'q.t', depipe.satisfies('DISTINCT n > 0')$$);
SELECT adding($$'q.t', depipe.satisfies('*')$$);
SELECT adding($$'q.t', depipe.satisfies('n')$$);
SELECT adding($$'q.t', depipe.satisfies('n + 1')$$);
SELECT adding($$'q.t', depipe.satisfies('nope > 1')$$);
SELECT adding($$'q.t', depipe.satisfies('nope(n)')$$);
SELECT adding($$'q.t', depipe.satisfies('$1')$$);
SELECT adding($$'q.t', depipe.satisfies('q.vol()')$$);
SELECT adding($$'q.t', depipe.satisfies('random() > 0.5')$$);
SELECT adding($$'q.t', depipe.satisfies('q.srf()')$$);
SELECT adding($$'q.t', depipe.satisfies('row_number() over () > 0')$$);
SELECT adding($$'q.t', depipe.satisfies('EXISTS (SELECT 1)')$$);
SELECT adding($$'q.t', depipe.satisfies('ctid IS NOT NULL')$$);
SELECT adding($$'q.t', depipe.satisfies('t IS NOT NULL')$$);
SELECT adding($$'q.t', depipe.satisfies('sum(n) > n')$$);
SELECT adding($$'q.t', depipe.satisfies('sum(sum(n)) > 1')$$);
SELECT adding($$'q.t', depipe.satisfies('sum(n) > 0'), on_violation => 'quarantine'$$);
SELECT adding($$'q.t', depipe.satisfies('sum(n) > 0'), fail_if => '> 10'$$);
SELECT adding($$'q.t', depipe.satisfies('n > 0'), filter => 'sum(n) > 1'$$);
SELECT adding($$'q.t', depipe.satisfies('n > 0'), filter => 'n'$$);
SELECT adding($$'q.t', depipe.satisfies('n > 0'), filter => 'random() > 0'$$);
SELECT adding($$'q.t', depipe.satisfies('n > 0'), on_violation => 'explode'$$);
SELECT adding($$'q.t', depipe.satisfies('n > 0'), on_violation => 'warn', fail_if => '> 1'$$);
SELECT adding($$'q.t', depipe.satisfies('n > 0'), on_violation => 'quarantine', warn_if => '> 1'$$);
SELECT adding($$'q.t', depipe.satisfies('n > 0'), warn_if => '10'$$);
SELECT adding($$'q.t', depipe.satisfies('n > 0'), warn_if => '< 10'$$);
SELECT adding($$'q.t', depipe.satisfies('n > 0'), warn_if => '> 101%'$$);
SELECT adding($$'q.t', depipe.satisfies('n > 0'), warn_if => '> -1'$$);
SELECT adding($$'q.t', depipe.satisfies('n > 0'), warn_if => '> nan'$$);
SELECT adding($$'q.t', depipe.satisfies('n > 0'), warn_if => '> 1 % x'$$);
SELECT adding($$'q.t', depipe.satisfies('n > 0'), scope => 'x'$$);
SELECT adding($$'q.t', depipe.satisfies('n > 0'), on_null => 'x'$$);
SELECT adding($$'q.t', depipe.satisfies('n > 0'), on_no_data => 'x'$$);
SELECT adding($$'q.t', depipe.satisfies('n > 0'), on_error => 'x'$$);
SELECT adding($$'q.t', depipe.satisfies('n > 0'), existing => 'quarantine'$$);
SELECT adding($$'q.t', depipe.satisfies('n > 5'), existing => 'fail'$$);
SELECT adding($$'q.t', depipe.satisfies('n > 0'), grace => '1 minute'$$);
SELECT adding($$'q.t', depipe.satisfies('n > 0'), grace => '-1 minute'$$);
SELECT adding($$'q.t', depipe.satisfies('n > 0'), min_rows => -1$$);
SELECT adding($$'q.t', depipe.satisfies('n > 0'), enforce_from => 'infinity'$$);
SELECT adding($$'q.t', depipe.satisfies('n > 0'), name => ''$$);
SELECT adding($$'q.t', depipe.satisfies('n > 0'), name => repeat('x', 64)$$);
SELECT adding($$'q.t', depipe.satisfies('n > 0'), replace => NULL$$);
SELECT adding($$'q.t', depipe.accepted_values('m', 'ok', 'happy')$$);
SELECT adding($$'q.t', depipe.accepted_values('m', 'ok', NULL)$$);
SELECT adding($$'q.t', depipe.accepted_values('n', 'x')$$);
SELECT adding($$'q.t', depipe.accepted_values('n', VARIADIC ARRAY[]::int[])$$);
SELECT adding($$'q.t', depipe.accepted_values('j', 'x')$$);
SELECT adding($$'q.t', depipe.accepted_values(NULL, 'x')$$);
SELECT adding($$'q.t', depipe.in_range('n', NULL, NULL)$$);
SELECT adding($$'q.t', depipe.in_range('n')$$);
SELECT adding($$'q.t', depipe.in_range('j', 1)$$);
SELECT adding($$'q.t', depipe.in_range('d', 'x')$$);
SELECT adding($$'q.t', depipe.matches('n', 'x')$$);
SELECT adding($$'q.t', depipe.matches('v', '(')$$);
SELECT adding($$'q.t', depipe.relationships('n', 'q.nope', 'id')$$);
SELECT adding($$'q.t', depipe.relationships('n', 'q.t', 'nope')$$);
SELECT adding($$'q.t', depipe.relationships('n', 'q.t', 'd')$$);
SELECT adding($$'q.t', depipe.relationships(ARRAY['n','p'], 'q.t', ARRAY['id'])$$);
SELECT adding($$'q.t', depipe.relationships('n', 'q.t', 'id'), on_violation => 'quarantine', grace => '1 minute'$$);
SELECT adding($$'q.t', depipe.relationships('n', 'q.t', 'id', 'sum(n) > 0')$$);
SELECT adding($$'q.t', depipe.row_count()$$);
SELECT adding($$'q.t', depipe.row_count(5, 1)$$);
SELECT adding($$'q.t', depipe.row_count(-5)$$);
SELECT adding($$'q.t', '{"kind": "row_count", "minimum": 1.5}'$$);
SELECT adding($$'q.t', depipe.freshness('n', '1 hour')$$);
SELECT adding($$'q.t', depipe.freshness('ts', '-1 hour')$$);
SELECT adding($$'q.t', depipe.freshness('ts', NULL)$$);
SELECT adding($$'q.t', depipe.freshness('ts', '1 hour'), on_violation => 'break'$$);
SELECT adding($$'q.t', depipe.unique('j')$$);
SELECT adding($$'q.t', depipe.unique('id'), on_violation => 'quarantine'$$);
-- nothing is half-created
SELECT count(*) FROM depipe.target WHERE schema_name = 'q';
SELECT count(*) FROM depipe.constraints WHERE target LIKE 'q.%';

-- what is stored
SELECT depipe.add_constraint('q.t', depipe.satisfies('q.stab(n) and now() > ts'));
SELECT depipe.add_constraint('q.t', depipe.accepted_values('m', 'ok'));
SELECT depipe.add_constraint('q.t', depipe.accepted_values('v', 'abc', 'abcdef'));
SELECT depipe.add_constraint('q.t', depipe.accepted_values('c', '(1,x)'));
SELECT depipe.add_constraint('q.t', depipe.accepted_values('arr', '{1}'));
SELECT depipe.add_constraint('q.t', depipe.in_range('p', 0, 5));
SELECT depipe.add_constraint('q.t', depipe.in_range('d', '2025-01-01'::date, '2027-01-01'));
SELECT depipe.add_constraint('q.t', depipe.in_range('f', 1.0, 2, strict => true));
SELECT depipe.add_constraint('q.t', depipe.in_range('m', 'sad'));
SELECT depipe.add_constraint('q.t', depipe.not_null('Weird "name', 'g', 'j', 'c'));
SELECT depipe.add_constraint('q.t', depipe.unique('m', 'arr', 'c'));
SELECT depipe.add_constraint('q.t', depipe.satisfies(E'"Weird ""name" = ''w''\n -- comment'), name => E'ünï "q" \n x');
SELECT depipe.add_constraint('q.t', depipe.relationships('n', 'q.t', 'id'));
SELECT depipe.add_constraint('q.t', depipe.matches('v', '^a'), filter => 'n > 0');
SELECT name, expression, filter_expression FROM depipe.constraint_definition c JOIN depipe.target t USING (target_id)
WHERE t.schema_name = 'q' ORDER BY constraint_id;
SELECT constraint_name, outcome, evaluated, violations, metric, detail FROM depipe.check_table('q.t');
SELECT depipe.alter_constraint('q.t', 'v_matches', on_violation => 'warn');
SELECT depipe.alter_constraint('q.t', 'v_matches', on_violation => 'warn');
SELECT depipe.alter_constraint('q.t', 'v_matches', filter => 'none', rule => depipe.matches('v', '^b'));
SELECT depipe.alter_constraint('q.t', 'nope', on_violation => 'warn');
SELECT depipe.alter_constraint('q.t', 'v_matches', fail_if => '> 5');
SELECT * FROM depipe.violations('q.t');
SELECT depipe.drop_constraint('q.t', 'v_matches');
SELECT depipe.drop_constraint('q.t', 'v_matches');
SELECT depipe.drop_constraint('q.t', 'v_matches', true);
SELECT depipe.drop_constraint('q.t', NULL);
SELECT * FROM depipe.violations('q.t', 'nope');
SELECT * FROM depipe.violations('q.t', max_rows => NULL);
SELECT * FROM depipe.violations('q.t', max_rows => -1);
SELECT * FROM depipe.check_table(NULL);
SELECT * FROM depipe.check_table('q.view');
SELECT depipe.quarantined(NULL::q.pair);
SELECT depipe.quarantined(NULL::int);
SELECT depipe.guard();
SELECT depipe.guard(NULL);
SELECT depipe.guard('q.nope');
SELECT depipe.guard('q.t');

-- NULLs: pass, fail, skip; a filter; an error in one row is that check's
CREATE TABLE q.n (id int PRIMARY KEY, x int, kind text);
INSERT INTO q.n VALUES (1, 1, 'a'), (2, NULL, 'a'), (3, -1, 'b'), (4, 0, 'b');
SELECT depipe.add_constraint('q.n', depipe.satisfies('x >= 0'), name => 'null_passes', existing => 'ignore');
SELECT depipe.add_constraint('q.n', depipe.satisfies('x >= 0'), name => 'null_fails', on_null => 'fail', existing => 'ignore');
SELECT depipe.add_constraint('q.n', depipe.satisfies('x >= 0'), name => 'null_skipped', on_null => 'skip', existing => 'ignore');
SELECT depipe.add_constraint('q.n', depipe.satisfies('x >= 0'), name => 'filtered', filter => $$kind = 'b'$$, existing => 'ignore');
SELECT depipe.add_constraint('q.n', depipe.satisfies('10 / x > 0'), name => 'divides', existing => 'ignore');
SELECT depipe.add_constraint('q.n', depipe.satisfies('10 / x > 0'), name => 'guarded', filter => 'x <> 0', existing => 'ignore');
SELECT depipe.add_constraint('q.n', depipe.satisfies('10 / x > 0'), name => 'open', on_error => 'pass', existing => 'ignore');
SELECT depipe.add_constraint('q.n', depipe.satisfies('sum(x) > 5'), name => 'sum', filter => $$kind = 'a'$$, existing => 'ignore');
SELECT depipe.add_constraint('q.n', depipe.satisfies('sum(x) > 5'), name => 'no_data', filter => $$kind = 'z'$$);
SELECT depipe.add_constraint('q.n', depipe.satisfies('sum(x) > 5'), name => 'no_data_fails', filter => $$kind = 'z'$$, on_no_data => 'fail');
SELECT depipe.add_constraint('q.n', depipe.satisfies('x > 0'), name => 'no_rows', filter => $$kind = 'z'$$);
SELECT depipe.add_constraint('q.n', depipe.satisfies('x > 0'), name => 'few', fail_if => '> 2', warn_if => '> 25%');
SELECT depipe.add_constraint('q.n', depipe.unique('kind'), existing => 'ignore');
SELECT depipe.add_constraint('q.n', depipe.unique('x', 'kind'), on_null => 'fail', existing => 'ignore');
SELECT constraint_name, outcome, evaluated, violations, metric, warn_if, fail_if, detail
FROM depipe.check_table('q.n');
SELECT constraint_name, place, key FROM depipe.violations('q.n', 'null_fails');
SELECT constraint_name, place, key FROM depipe.violations('q.n', 'kind_unique', 3);
SELECT constraint_name, place, key FROM depipe.violations('q.n', 'x_kind_unique');

-- the type of a column changes: the rule is analysed again at its next use
ALTER TABLE q.n ALTER x TYPE numeric;
SELECT constraint_name, outcome, violations FROM depipe.check_table('q.n') WHERE constraint_name = 'null_passes';
ALTER TABLE q.n RENAME x TO y;
SELECT constraint_name, outcome, violations, detail FROM depipe.check_table('q.n') WHERE constraint_name = 'null_passes';
ALTER TABLE q.n RENAME y TO x;

-- a table that was dropped and comes back under its name keeps its constraints
DROP TABLE q.n;
SELECT raises($$SELECT * FROM depipe.check_table('q.n')$$);
CREATE TABLE q.n (id int PRIMARY KEY, x int, kind text);
INSERT INTO q.n VALUES (1, -1, 'a');
SELECT constraint_name, outcome, violations FROM depipe.check_table('q.n') WHERE constraint_name = 'null_passes';

-- user-defined types, their operators outside of pg_catalog
CREATE TABLE q.ci (id int PRIMARY KEY, e q.mood, d q.positive, a int[]);
SELECT depipe.add_constraint('q.ci', '{"kind": "accepted_values", "column_name": "a", "accepted": ["{1,2}", "{}"]}');
INSERT INTO q.ci VALUES (1, 'ok', 1, '{1,2}'), (2, 'ok', 1, '{2}');
SELECT constraint_name, outcome, violations FROM depipe.check_table('q.ci');

-- partitioned tables
CREATE TABLE q.part (id int, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE q.part1 PARTITION OF q.part FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
INSERT INTO q.part VALUES (1, '2026-01-01'), (-1, '2026-01-02');
SELECT depipe.add_constraint('q.part', depipe.in_range('id', 1));
SELECT depipe.add_constraint('q.part', depipe.unique('day'));

-- rights
CREATE ROLE regress_quality_owner;
CREATE ROLE regress_quality_reader;
GRANT USAGE ON SCHEMA q TO regress_quality_owner, regress_quality_reader;
CREATE TABLE q.owned (id int PRIMARY KEY, secret text);
CREATE TABLE q.hidden (id int PRIMARY KEY);
ALTER TABLE q.owned OWNER TO regress_quality_owner;
GRANT SELECT ON q.owned TO regress_quality_reader;
INSERT INTO q.owned VALUES (1, 'x'), (-1, 'y');
SET ROLE regress_quality_owner;
SELECT adding($$'q.n', depipe.not_null('x')$$);
SELECT adding($$'q.owned', depipe.relationships('id', 'q.hidden', 'id')$$);
SELECT depipe.add_constraint('q.owned', depipe.satisfies('id > 0'));
SELECT raises($$SELECT * FROM depipe.check_table('q.n')$$);
SELECT raises($$SELECT depipe.drop_constraint('q.n', 'null_passes')$$);
SELECT count(*) FROM depipe.constraints;
SET ROLE regress_quality_reader;
SELECT target, name, kind FROM depipe.constraints;
SELECT constraint_name, outcome, violations FROM depipe.check_table('q.owned');
SELECT constraint_name, key FROM depipe.violations('q.owned');
SELECT adding($$'q.owned', depipe.not_null('id')$$);
SELECT raises($$SELECT depipe.alter_constraint('q.owned', 'id_satisfies', on_violation => 'warn')$$);
SELECT raises($$SELECT * FROM depipe.constraint_definition$$);
RESET ROLE;
ALTER TABLE q.owned ENABLE ROW LEVEL SECURITY;
SET ROLE regress_quality_reader;
SELECT raises($$SELECT * FROM depipe.violations('q.owned')$$);
SELECT raises($$SELECT depipe.quarantined(NULL::q.owned)$$);
RESET ROLE;

SET client_min_messages = warning;
DROP SCHEMA q CASCADE;
DELETE FROM depipe.target WHERE schema_name = 'q';
DROP FUNCTION public.adding(text), public.raises(text);
DROP ROLE regress_quality_owner;
DROP ROLE regress_quality_reader;
