--
-- Wrong input of every function: an error with an SQLSTATE of its own class, never XX000, and
-- nothing half made.
--
SET client_min_messages TO warning;
CREATE SCHEMA bad;
CREATE TABLE bad.t (id int PRIMARY KEY, a int, b text, j jsonb, ts timestamptz, ar int[]);
INSERT INTO bad.t VALUES (1, 1, 'x', '{}', '2020-01-01', '{1}'), (2, -1, 'y', '[]', '2020-01-02', '{}');
CREATE VIEW bad.v AS SELECT * FROM bad.t;
CREATE FUNCTION bad.writes(a int) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO bad.t VALUES (100 + a);
	RETURN true;
END
$$;
CREATE FUNCTION bad.lies(a int) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO bad.t VALUES (100 + a);
	RETURN true;
END
$$;
CREATE FUNCTION bad.drops(a int) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
	DROP TABLE bad.t;
	RETURN true;
END
$$;
CREATE FUNCTION bad.many(a int) RETURNS SETOF boolean LANGUAGE sql AS 'VALUES (true), (false)';

-- What a statement does: its first value, or SQLSTATE and message.
CREATE FUNCTION bad.try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
	state text;
	message text;
BEGIN
	EXECUTE statement INTO result;
	RETURN 'ok: ' || COALESCE(result, 'null');
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT;
	RETURN state || ': ' || message;
END
$$;

-- every argument of every function is NULL
SELECT f.name, f.arguments, bad.try('SELECT ' || f.statement) AS result
FROM (
	SELECT p.proname AS name, p.pronargs AS arguments, format('depipe.%I(%s)', p.proname, string_agg(
		CASE WHEN p.provariadic <> 0 AND a.n = p.pronargs THEN 'VARIADIC ' ELSE '' END
		|| 'NULL::' || CASE WHEN a.type = 'anyelement'::regtype THEN 'bad.t'
			WHEN a.type = 'anycompatible'::regtype THEN 'text'
			WHEN a.type = 'anycompatiblearray'::regtype THEN 'text[]' ELSE format_type(a.type, NULL) END,
		', ' ORDER BY a.n)) AS statement
	FROM pg_proc p, unnest(p.proargtypes::oid[]) WITH ORDINALITY a (type, n)
	WHERE p.pronamespace = 'depipe'::regnamespace AND p.prokind = 'f' AND p.proname NOT LIKE 'may\_%'
	GROUP BY p.oid, p.proname, p.pronargs) f
ORDER BY f.statement COLLATE "C";

-- names of targets
CREATE TABLE bad.name (n int GENERATED ALWAYS AS IDENTITY, name text);
INSERT INTO bad.name (name) VALUES (''), (' '), ('nosuch.nosuch'), ('bad.nosuch'), ('a.b.c'), ('a.b.c.d'), ('"'), ('bad."'),
	('...'), ('bad.t; DROP TABLE bad.t'), ('1) FROM bad.t; DROP TABLE bad.t --'), ('pg_catalog.pg_class'),
	('depipe.target'), ('bad.v'), ('bad.t'), (E'"we""ird\n\\''n\u00e9"."x"'), ('bad.' || repeat('x', 80));
SELECT f, bad.try(format(f, name)) AS result
FROM bad.name, unnest(ARRAY[
	'SELECT depipe.check_table(%L)', 'SELECT depipe.verify(%L)', 'SELECT depipe.refresh(%L)',
	'SELECT depipe.guard(%L)', 'SELECT depipe.assert_ok(%L)', 'SELECT depipe.trip(%L, ''why'')',
	'SELECT depipe.drop_load(%L)', 'SELECT depipe.drop_transform(%L)', 'SELECT depipe.resync(%L)',
	'SELECT depipe.explain_transform(%L)', 'SELECT depipe.violations(%L)', 'SELECT depipe.resume(%L)']) f
WHERE n = 15
ORDER BY f COLLATE "C";
SELECT name, bad.try(format('SELECT depipe.check_table(%L)', name)) AS check_table,
	bad.try(format('SELECT depipe.add_constraint(%L, depipe.row_count(0))', name)) AS add_constraint
FROM bad.name WHERE name <> 'bad.t' ORDER BY n;
SELECT depipe.drop_constraint('bad.v', 'v_row_count');
SELECT name, bad.try(format('SELECT depipe.create_transform(%L, ''SELECT 1 AS a, 1 AS a'')', name)) AS create_transform,
	bad.try(format('SELECT depipe.create_load(%L, ''nosuch'')', name)) AS create_load
FROM bad.name ORDER BY n;

-- expressions of rows, filters, conditions, and of loads
CREATE TABLE bad.expression (n int GENERATED ALWAYS AS IDENTITY, expression text);
INSERT INTO bad.expression (expression) VALUES ('a'), ('1'), ('''x'''), ('NULL'), (''), (' '), (';'), ('a > 0;'), ('a >'), ('$1 > 0'),
	('a > 0; DROP TABLE bad.t'), ('a > 0) OR (true'), ('1) FROM bad.t; DROP TABLE bad.t --'), ('a > 0 /*'),
	('a > 0 --'), ('a > 0, b > 0'), ('a > 0 AS x'), ('*'), ('t.*'), ('true LIMIT 1'), ('true UNION SELECT true'),
	('(SELECT true)'), ('EXISTS (SELECT FROM pg_class)'), ('a IN (SELECT 1)'), ('random() > 0'),
	('clock_timestamp() > ts'), ('nextval(''x'') > 0'), ('pg_sleep(0) IS NULL'), ('generate_series(1, 2) > 0'),
	('bad.many(a)'), ('bad.writes(a)'), ('bad.lies(a)'), ('bad.drops(a)'), ('count(*) OVER () > 0'), ('sum(sum(a)) > 0'),
	('sum(a) > 0 AND a > 0'), ('GROUPING(a) = 0'), ('nosuch > 0'), ('nosuch(a)'), ('nosuch.a > 0'), ('old.a > 0'),
	('ctid IS NOT NULL'), ('tableoid > 0'), ('t IS NOT NULL'), ('row_to_json(t) IS NOT NULL'), ('a / 0 > 1'),
	('b::int > 0'), ('a > ''x'''), ('j'), ('ROW(a, b)'), ('a > 0 COLLATE "C"'), (repeat('(', 3000) || 'true' || repeat(')', 3000));
CREATE FUNCTION bad.check_with(rule text, filter text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	said text := bad.try(format('SELECT depipe.add_constraint(''bad.t'', depipe.satisfies(%L), name => ''c'','
		' filter => %L, on_violation => ''warn'')', rule, filter));
BEGIN
	IF said LIKE 'ok%' THEN
		said := bad.try('SELECT outcome || '' '' || COALESCE(detail::text, '''') FROM depipe.check_table(''bad.t'')');
		PERFORM depipe.drop_constraint('bad.t', 'c');
	END IF;
	RETURN said;
END
$$;
SET client_min_messages TO error;
SELECT left(expression, 40) AS expression, bad.check_with(expression, NULL) AS satisfies FROM bad.expression ORDER BY n;
SELECT left(expression, 40) AS expression, bad.check_with('a > -10', expression) AS filter FROM bad.expression ORDER BY n;
SET client_min_messages TO warning;
SELECT depipe.create_transform('bad.copied', 'SELECT id, a, b, j, ts FROM bad.t');
SELECT left(expression, 40) AS expression,
	bad.try(format('SELECT count(*) FROM depipe.verify(''bad.copied'', condition => %L)', expression)) AS condition
FROM bad.expression ORDER BY n;
SELECT depipe.drop_transform('bad.copied', true);
CREATE SERVER bad_server FOREIGN DATA WRAPPER depipe OPTIONS (host '/nowhere', dbname 'nosuch');
SELECT left(expression, 40) AS expression,
	bad.try(format('SELECT depipe.create_load(''bad.loaded'', ''bad_server'', row_filter => %L)', expression)) AS row_filter,
	bad.try(format('SELECT depipe.create_load(''bad.computed'', ''bad_server'', columns => %L)',
		jsonb_build_object('x', expression))) AS columns
FROM bad.expression WHERE bad.try(format('SELECT depipe.create_load(''bad.loaded'', ''bad_server'', row_filter => %L)',
	expression)) NOT LIKE 'ok%' AND bad.try('SELECT depipe.drop_load(''bad.loaded'')') <> '' ORDER BY n;
SELECT count(bad.try(format('SELECT depipe.drop_load(%L)', t))) FROM unnest('{bad.loaded,bad.computed}'::text[]) t;

-- checks of a wrong shape
CREATE TABLE bad.rule (n int GENERATED ALWAYS AS IDENTITY, rule text, more text DEFAULT '');
INSERT INTO bad.rule (rule) VALUES ('null'), ('[]'), ('1'), ('{}'), ('{"kind": 1}'), ('{"kind": "nosuch"}'), ('{"kind": "satisfies"}'),
	('{"kind": "satisfies", "expression": {"a": 1}}'), ('{"kind": "not_null", "columns": []}'),
	('{"kind": "not_null", "columns": [1]}'), ('{"kind": "not_null", "columns": ["a", "a"]}'),
	('{"kind": "not_null", "columns": ["ctid"]}'), ('{"kind": "not_null", "columns": ["a"], "x": 1}'),
	('{"kind": "accepted_values", "column_name": "a", "accepted": []}'),
	('{"kind": "accepted_values", "column_name": "a", "accepted": [[1]]}'),
	('{"kind": "accepted_values", "column_name": "a", "accepted": [null]}'),
	('{"kind": "accepted_values", "column_name": "a", "accepted": ["x"]}'),
	('{"kind": "in_range", "column_name": "a"}'), ('{"kind": "in_range", "column_name": "a", "minimum": [1]}'),
	('{"kind": "in_range", "column_name": "a", "minimum": 1, "strict": "x"}'),
	('{"kind": "in_range", "column_name": "a", "minimum": 5, "maximum": 1}'),
	('{"kind": "in_range", "column_name": "a", "minimum": 1, "maximum": 1, "strict": true}'),
	('{"kind": "rejected_values", "column_name": "a", "rejected": []}'), ('{"kind": "rejected_values", "column_name": "a", "accepted": [1]}'),
	('{"kind": "rejected_values", "column_name": "a", "rejected": ["x"]}'), ('{"kind": "rejected_values", "column_name": "a", "rejected": 1}'),
	('{"kind": "has_length", "column_name": "b"}'), ('{"kind": "has_length", "column_name": "a", "minimum": 1}'),
	('{"kind": "has_length", "column_name": "b", "minimum": 1.5}'), ('{"kind": "has_length", "column_name": "b", "minimum": 2, "maximum": 1}'),
	('{"kind": "parses_as", "column_name": "b"}'), ('{"kind": "parses_as", "column_name": "b", "type_name": "nosuch"}'),
	('{"kind": "parses_as", "column_name": "b", "type_name": "int) OR (true"}'), ('{"kind": "parses_as", "column_name": "a", "type_name": "int"}'),
	('{"kind": "parses_as", "column_name": "b", "type_name": "record"}'), ('{"kind": "parses_as", "column_name": "b", "type_name": "varchar(-1)"}'),
	('{"kind": "unique", "columns": ["a"], "nulls_equal": "yes"}'),
	('{"kind": "matches", "column_name": "b", "pattern": "("}'), ('{"kind": "matches", "column_name": "a", "pattern": "x"}'),
	('{"kind": "unique", "columns": ["nosuch"]}'),
	('{"kind": "relationships"}'),
	('{"kind": "relationships", "columns": "a", "reference": 1, "reference_columns": "id"}'),
	('{"kind": "relationships", "columns": "a", "reference": "bad.nosuch", "reference_columns": "id"}'),
	('{"kind": "relationships", "columns": "a", "reference": "bad.t", "reference_columns": "nosuch"}'),
	('{"kind": "relationships", "columns": ["a", "b"], "reference": "bad.t", "reference_columns": "id"}'),
	('{"kind": "relationships", "columns": "b", "reference": "bad.t", "reference_columns": "id"}'),
	('{"kind": "relationships", "columns": "a", "reference": "bad.t", "reference_columns": "id", "reference_filter": "true) OR (true"}'),
	('{"kind": "relationships", "columns": "a", "reference": "bad.t", "reference_columns": "id", "reference_filter": "random() > 0"}'),
	('{"kind": "row_count"}'), ('{"kind": "row_count", "minimum": -1}'), ('{"kind": "row_count", "minimum": 1.5}'),
	('{"kind": "row_count", "minimum": 1e30}'), ('{"kind": "row_count", "minimum": 2, "maximum": 1}'),
	('{"kind": "metric", "expression": "sum(a)"}'), ('{"kind": "metric", "expression": "a", "minimum": 1}'),
	('{"kind": "metric", "expression": "sum(a)) OR (true", "minimum": 1}'), ('{"kind": "metric", "expression": "sum(a)", "minimum": "x"}'),
	('{"kind": "metric", "expression": "sum(a)", "minimum": [1]}'), ('{"kind": "metric", "expression": "sum(a)", "minimum": 2, "maximum": 1}'),
	('{"kind": "distinct_values", "column_name": "a"}'), ('{"kind": "distinct_values", "column_name": "a", "accepted": 1}'),
	('{"kind": "distinct_values", "column_name": "a", "accepted": [1], "equals": [1]}'), ('{"kind": "distinct_values", "column_name": "a", "equals": ["x"]}'),
	('{"kind": "transition", "expression": "a > 0"}'), ('{"kind": "transition", "expression": "new.a) OR (true"}'),
	('{"kind": "transition", "expression": "new.a > random()"}'), ('{"kind": "transition", "expression": "new.nosuch"}'),
	('{"kind": "change_limit"}'), ('{"kind": "change_limit", "deletes": 5}'), ('{"kind": "change_limit", "deletes": "-5%"}'), ('{"kind": "change_limit", "deletes": "x"}'),
	('{"kind": "has_columns"}'), ('{"kind": "has_columns", "columns": ["a"], "types": ["nosuch"]}'), ('{"kind": "has_columns", "columns": ["a"], "types": ["int", "int"]}'),
	('{"kind": "has_columns", "columns": ["a"], "exact": 1}'), ('{"kind": "schema_unchanged", "columns": ["a"]}'),
	('{"kind": "same_count"}'), ('{"kind": "same_count", "reference": "bad.nosuch"}'), ('{"kind": "same_count", "reference": "bad.t", "tolerance": 5}'),
	('{"kind": "same_count", "reference": "bad.t", "tolerance": "1e5"}'), ('{"kind": "same_metric", "expression": "a", "reference": "bad.t"}'),
	('{"kind": "same_metric", "expression": "sum(a)) FROM x; --", "reference": "bad.t"}'), ('{"kind": "same_rows"}'),
	('{"kind": "same_rows", "reference": "bad.t", "query": "SELECT 1"}'), ('{"kind": "same_rows", "reference": "bad.t", "columns": ["nosuch"]}'),
	('{"kind": "same_rows", "query": "SELECT 1 AS a; DROP TABLE bad.t", "columns": ["a"]}'), ('{"kind": "no_rows"}'),
	('{"kind": "no_rows", "query": "DELETE FROM bad.t"}'), ('{"kind": "no_rows", "query": "SELECT 1) x; DROP TABLE bad.t; --"}'), ('{"kind": "no_rows", "query": "SELECT random()"}'),
	('{"kind": "no_gaps", "column_name": "a"}'), ('{"kind": "no_gaps", "column_name": "a", "step": "0"}'), ('{"kind": "no_gaps", "column_name": "b", "step": "1"}'),
	('{"kind": "no_gaps", "column_name": "a", "step": "1", "partition_by": ["nosuch"]}'), ('{"kind": "no_overlap", "lower_column": "a", "upper_column": "b"}'),
	('{"kind": "every_period", "column_name": "ts", "step": "0"}'), ('{"kind": "every_period", "column_name": "a", "step": "1 day"}'), ('{"kind": "every_period", "column_name": "ts", "step": "1 day", "since": "x"}'),
	('{"kind": "arrived_by", "due_time": "25:00", "column_name": "ts"}'), ('{"kind": "arrived_by", "due_time": "09:00", "column_name": "a"}'),
	('{"kind": "freshness", "column_name": "a", "max_age": "1 day"}'), ('{"kind": "freshness", "column_name": "ts"}'),
	('{"kind": "freshness", "column_name": "ts", "max_age": "x"}'), ('{"kind": "freshness", "column_name": "ts", "max_age": "-1 day"}');
INSERT INTO bad.rule (rule, more)
SELECT '{"kind": "satisfies", "expression": "a > -10"}', m FROM unnest(ARRAY[
	'name => ''''', 'name => repeat(''x'', 64)', 'on_violation => ''x''', 'warn_if => ''x''', 'warn_if => ''> -1''', 'warn_if => ''> 200%''',
	'warn_if => ''> NaN%''', 'fail_if => ''> 1''', 'scope => ''x''', 'min_rows => -1', 'on_null => ''x''', 'on_no_data => ''x''',
	'on_error => ''x''', 'grace => ''1 day''', 'grace => ''-1 day''', 'existing => ''x''', 'enforce_from => ''infinity''',
	'check_every => ''-1 day''', 'check_every => ''178000000 years''', 'replace => NULL']) m;
INSERT INTO bad.rule (rule, more) VALUES
	('{"kind": "satisfies", "expression": "sum(a) > 0"}', 'on_violation => ''quarantine'''),
	('{"kind": "satisfies", "expression": "sum(a) > 0"}', 'on_violation => ''break'', fail_if => ''> 1'''),
	('{"kind": "unique", "columns": ["a"]}', 'on_violation => ''quarantine'''),
	('{"kind": "relationships", "columns": "a", "reference": "bad.t", "reference_columns": "id"}', 'grace => ''178000000 years''');
SELECT rule, more, bad.try(format('SELECT depipe.add_constraint(''bad.t'', %L%s%s)', rule,
	CASE WHEN more LIKE '%on_violation%' THEN '' ELSE ', on_violation => ''warn''' END, ', ' || NULLIF(more, ''))) AS add_constraint
FROM bad.rule ORDER BY n;
SELECT name FROM depipe.constraints WHERE target LIKE 'bad.%' ORDER BY name;
SELECT depipe.drop_constraint(target, name) FROM depipe.constraints WHERE target LIKE 'bad.%';

-- breakers
SELECT depipe.add_constraint('bad.t', depipe.satisfies('a > -10'), name => 'c');
SELECT s, bad.try('SELECT depipe.' || s) AS result FROM unnest(ARRAY[
	'trip(''bad.t'', '''')', 'trip(''bad.t'', ''why'', ''2000-01-01'')', 'trip(''bad.t'', ''why'', ''infinity'')',
	'reset(''bad.t'', '' '')', 'override(''bad.t'', ''why'', ''2000-01-01'')', 'override(''bad.t'', ''why'', now() + ''100 days'')',
	'override(''bad.t'', '''', now() + ''1 hour'')', 'release(''bad.t'', '''')', 'release(''bad.t'', ''why'')', 'release(''bad.t'', ''why'', ''{}'')',
	'release(''bad.t'', ''why'', ''{{1}}'')', 'discard(''bad.t'', '''')', 'discard(''bad.t'', NULL)', 'accept(''bad.t'', ''nope'', ''why'')',
	'accept(''bad.t'', NULL, ''why'')', 'set_aside(''bad.t'', ''why'')', 'set_aside(''bad.t'', NULL)',
	'waive(''bad.t'', ''nope'', ''why'', now() + ''1 hour'')', 'waive(''bad.t'', ''nope'', ''why'', NULL)', 'configure_breaker(''bad.t'', mode => ''x'')',
	'configure_breaker(''bad.t'', on_open => ''x'')', 'configure_breaker(''bad.t'', bad_runs => 0)',
	'configure_breaker(''bad.t'', bad_runs => 5, of_runs => 2)', 'configure_breaker(''bad.t'', close_after => -1)',
	'configure_breaker(''bad.t'', retry_wait => ''-1 s'')', 'configure_breaker(''bad.t'', retry_wait => ''178000000 years'')',
	'configure_breaker(''bad.t'', max_wait => ''178000000 years'')', 'configure_breaker(''bad.t'', probe_timeout => ''178000000 years'')',
	'pause('''')', 'pause(''why'', ''nosuch'')', 'pause(''why'', ''*'', ''nosuch'')', 'pause(''why'', ''*'', NULL, ''2000-01-01'')',
	'alter_constraint(''bad.t'', ''nosuch'', on_null => ''fail'')', 'alter_constraint(''bad.t'', ''c'', on_null => ''x'')',
	'drop_constraint(''bad.t'', ''nosuch'')', 'violations(''bad.t'', ''nosuch'')', 'violations(''bad.t'', NULL, -1)',
	'guard(VARIADIC ''{}'')', 'guard(VARIADIC ''{{a},{b}}'')', 'quarantined(NULL::int)', 'quarantined(NULL::bad.v)',
	'check_source(''nosuch'')', 'detach_source(''nosuch'')']) WITH ORDINALITY x (s, n) ORDER BY n;
SELECT state, mode, retry_wait FROM depipe.breakers WHERE target = 'bad.t';

-- transforms
SELECT q, bad.try(format('SELECT depipe.create_transform(''bad.x'', %L)', q)) AS create_transform
FROM unnest(ARRAY['', ';', 'SELECT', 'SELECT 1', 'SELECT 1 AS a; SELECT 2', 'SELECT 1 AS a, 2 AS a', 'INSERT INTO bad.t VALUES (9) RETURNING id',
	'WITH x AS (DELETE FROM bad.t RETURNING id) SELECT id FROM x', 'SELECT * INTO bad.y FROM bad.t', 'SELECT id FROM bad.t FOR UPDATE',
	'SELECT $1 AS a', 'SELECT id FROM bad.nosuch', 'SELECT nosuch FROM bad.t', 'VALUES (1)', 'TABLE bad.x', 'SELECT a FROM bad.x',
	'SELECT ROW(1, 2) AS r', 'SELECT NULL AS n', 'SELECT ctid AS c FROM bad.t', 'SELECT ''x''::unknown AS u', 'DROP TABLE bad.t', 'EXPLAIN SELECT 1',
	'SELECT bad.lies(id) AS w FROM bad.t', 'SELECT bad.drops(id) AS w FROM bad.t',
	'SELECT 1 AS "_depipe_here"', 'SELECT 1 AS ctid', 'SELECT set_config(''search_path'', ''x'', false) AS s', 'CALL depipe.run(''*'')']) WITH ORDINALITY x (q, n)
WHERE bad.try('SELECT depipe.drop_transform(''bad.x'', true)') <> '' ORDER BY n;
SELECT bad.try('SELECT depipe.drop_transform(''bad.x'', true)') <> '';
SELECT s, bad.try('SELECT depipe.create_transform(''bad.x'', ''SELECT id, a FROM bad.t'', ' || s || ')') AS create_transform
FROM unnest(ARRAY['key => ''{}''', 'key => ''{nosuch}''', 'key => ''{id,id}''', 'key => ''{NULL}''', 'key => ''{{id},{a}}''', 'mode => ''x''',
	'mode => ''incremental''', 'mode => NULL', 'target_lag => ''-1 s''', 'on_incomplete => ''x''', 'on_stale => ''x''', 'populate => NULL', 'replace => NULL']) s
ORDER BY s COLLATE "C";
SELECT depipe.drop_transform('bad.x', true);
SELECT count(*) FROM depipe.transforms;

-- loads
SELECT s, bad.try('SELECT depipe.create_load(''bad.x'', ' || s || ')') AS create_load
FROM unnest(ARRAY['NULL', '''nosuch''', '''bad_server'', source => ''''', '''bad_server'', source => ''a.b.c''', '''bad_server'', source => ''"''', '''bad_server'', mode => ''x''',
	'''bad_server'', mode => ''snapshot''', '''bad_server'', key => ''{}''', '''bad_server'', key => ''{id,id}''', '''bad_server'', key => ''{NULL}''',
	'''bad_server'', columns => ''[]''', '''bad_server'', columns => ''{"a": 1}''', '''bad_server'', columns => ''{"": null}''',
	'''bad_server'', schema_change => ''x''', '''bad_server'', schema_change => ''evolve''', '''bad_server'', new_columns => ''x''', '''bad_server'', on_truncate => ''x''',
	'''bad_server'', target_lag => ''-1 s''', '''bad_server'', replace => NULL']) s
ORDER BY s COLLATE "C";
SELECT o, bad.try(format('CREATE SERVER bad_option FOREIGN DATA WRAPPER depipe OPTIONS (%s)', o)) AS create_server
FROM unnest(ARRAY['nosuch ''x''', 'user ''x''', 'password ''x''', 'passfile ''x''', 'service ''x''', 'sslkey ''x''', 'replication ''database''', 'publication ''''']) o ORDER BY o COLLATE "C";
SELECT count(*) FROM depipe.loads;

-- names with quotes, backslashes, newlines and 63 bytes, all the way
CREATE SCHEMA "Bad 'Schema""";
CREATE TABLE "Bad 'Schema"""."we""ird
\'name" ("i""d" int PRIMARY KEY, "a
b\" int, "sel'ect" text, aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa int);
INSERT INTO "Bad 'Schema"""."we""ird
\'name" VALUES (1, 1, 'x''y', 1), (2, -2, '\', 2);
SELECT depipe.create_transform(E'"Bad ''Schema"""."t''""\n"', E'SELECT "i""d", "a\nb\\", "sel''ect", ' || repeat('a', 63)
	|| E' FROM "Bad ''Schema"""."we""ird\n\\''name"', populate => false);
SELECT depipe.add_constraint(E'"Bad ''Schema"""."t''""\n"', depipe.in_range(E'a\nb\\', 0), name => E'q''"\n', on_violation => 'quarantine');
SELECT depipe.add_constraint(E'"Bad ''Schema"""."t''""\n"', depipe.relationships('i"d', E'"Bad ''Schema"""."we""ird\n\\''name"', 'i"d'), name => repeat('n', 63));
SELECT depipe.add_constraint(E'"Bad ''Schema"""."t''""\n"', depipe.accepted_values('sel''ect', 'x''y', '\'), name => 'accepted');
SELECT depipe.add_constraint(E'"Bad ''Schema"""."t''""\n"', depipe.unique('i"d', repeat('a', 63)));
SELECT target, status, inserted, quarantined FROM depipe.refresh('Bad*.*');
SELECT constraint_name, outcome, violations FROM depipe.check_table(E'"Bad ''Schema"""."t''""\n"')
ORDER BY constraint_name COLLATE "C";
SELECT target, key, reason, "row" FROM depipe.quarantine;
SELECT * FROM depipe.verify(E'"Bad ''Schema"""."t''""\n"');
SELECT constraint_name, place, key FROM depipe.violations(E'"Bad ''Schema"""."t''""\n"');
SELECT target, state, next FROM depipe.status;
SELECT depipe.drop_transform(E'"Bad ''Schema"""."t''""\n"', true);

-- nothing is left, and nothing was touched
SELECT * FROM bad.t ORDER BY id;
SELECT depipe.drop_constraint('bad.t', 'c');
SELECT count(*) FROM depipe.status;
DROP SERVER bad_server;
DROP SCHEMA "Bad 'Schema""" CASCADE;
DROP SCHEMA bad CASCADE;
-- a table without constraints that is gone is forgotten
SELECT count(*) FROM depipe.status;
