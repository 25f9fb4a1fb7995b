--
-- Contracts of Great Expectations: both spellings, what maps and what does not.
--
SET client_min_messages = error;
CREATE SCHEMA gx;
CREATE TABLE gx.orders (id int, code text, amount numeric, paid numeric, status text, body text, "Due Date" date);
INSERT INTO gx.orders SELECT n, 'A-' || n, n, n, 'open', '{}', '2026-01-01' FROM generate_series(1, 20) n;

CREATE TABLE gx.suite AS SELECT '{"name": "orders suite", "meta": {"made": "by hand"}, "expectations": [
	{"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "id"}, "severity": "critical"},
	{"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "Due Date", "mostly": 0.95}},
	{"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "code", "mostly": 0.9}, "severity": "warning"},
	{"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "status", "value_set": ["open", "paid"]}},
	{"type": "expect_column_values_to_not_be_in_set", "kwargs": {"column": "status", "value_set": ["lost"]}},
	{"type": "expect_column_values_to_be_between", "kwargs": {"column": "amount", "min_value": 0, "max_value": 100}},
	{"type": "expect_column_values_to_be_between", "kwargs": {"column": "amount", "min_value": 0, "strict_min": true, "mostly": 0.999}},
	{"type": "expect_column_values_to_match_regex", "kwargs": {"column": "code", "regex": "^A-[0-9]+$"}},
	{"type": "expect_column_values_to_not_match_regex", "kwargs": {"column": "code", "regex": "O''Brien"}},
	{"type": "expect_column_value_lengths_to_be_between", "kwargs": {"column": "code", "min_value": 2, "max_value": 9}},
	{"type": "expect_column_values_to_be_json_parseable", "kwargs": {"column": "body"}},
	{"type": "expect_column_values_to_be_unique", "kwargs": {"column": "id"}},
	{"type": "expect_compound_columns_to_be_unique", "kwargs": {"column_list": ["id", "code"], "ignore_row_if": "any_value_is_missing"}},
	{"type": "expect_compound_columns_to_be_unique", "kwargs": {"column_list": ["id", "status"]}},
	{"type": "expect_column_pair_values_a_to_be_greater_than_b", "kwargs": {"column_A": "amount", "column_B": "paid", "or_equal": true}},
	{"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 1, "max_value": 1000}},
	{"type": "expect_column_mean_to_be_between", "kwargs": {"column": "amount", "min_value": 1, "max_value": 50.5}},
	{"type": "expect_column_most_common_value_to_be_in_set", "kwargs": {"column": "status", "value_set": ["open"]}},
	{"type": "expect_column_kl_divergence_to_be_less_than", "kwargs": {"column": "amount", "threshold": 0.1}},
	{"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "paid", "row_condition": "status==\"paid\"", "condition_parser": "pandas"}},
	{"type": "expect_column_values_to_be_between", "kwargs": {"column": "amount", "min_value": {"$PARAMETER": "low"}}},
	{"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "nosuch"}},
	{"type": "expect_column_values_to_not_be_null", "kwargs": {}},
	{"type": "expect_column_values_to_be_null", "kwargs": {"column": "paid", "mostly": "most"}},
	{"kwargs": {"column": "id"}}]}'::jsonb AS suite;
SELECT action, constraint_name, reason, path
FROM depipe.apply_contract((SELECT suite FROM gx.suite), 'gx', schema_map => '{"orders suite": "gx.orders"}');
SELECT name, rule, on_violation, warn_if, fail_if, on_null FROM depipe.constraints WHERE origin = 'gx' ORDER BY name COLLATE "C";
-- again: nothing changes; the older spelling means the same
SELECT action, count(*) FROM depipe.apply_contract((SELECT suite FROM gx.suite), 'gx', schema_map => '{"orders suite": "gx.orders"}') GROUP BY 1 ORDER BY 1;
SELECT action, count(*) FROM depipe.apply_contract(replace(replace((SELECT suite - 'name' FROM gx.suite)::text, '"type"', '"expectation_type"'),
	'{"meta"', '{"expectation_suite_name": "gx.orders", "meta"')::jsonb, 'gx') GROUP BY 1 ORDER BY 1;
-- the policy of the caller, where the check can have it
SELECT action, count(*), count(reason) FROM depipe.apply_contract((SELECT suite FROM gx.suite), 'gx', on_violation => 'quarantine',
	schema_map => '{"orders suite": "gx.orders"}') GROUP BY 1 ORDER BY 1;
SELECT on_violation, count(*) FROM depipe.constraints WHERE origin = 'gx' GROUP BY 1 ORDER BY 1;
-- no table, and documents that are none
SELECT action, reason, path FROM depipe.apply_contract('{"expectations": [{"type": "expect_column_to_exist", "kwargs": {"column": "a"}}]}', 'x');
SELECT action, reason FROM depipe.apply_contract('{"name": "gx.nosuch", "expectations": [{"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "a"}}]}', 'x');
\set VERBOSITY terse
SELECT * FROM depipe.apply_contract('{"expectations": [5]}', 'x');
SELECT * FROM depipe.apply_contract('{"expectations": 5}', 'x', format => 'great_expectations');
SELECT * FROM depipe.apply_contract('[]', 'x', format => 'great_expectations');
-- a function of somebody else's in the path is not called
CREATE TABLE gx.names (n varchar(20));
INSERT INTO gx.names VALUES ('');
CREATE FUNCTION gx.char_length(varchar) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 5';
SET search_path = gx, pg_catalog;
SELECT action, constraint_name FROM depipe.apply_contract('{"name": "gx.names", "expectations": [{"type": "expect_column_value_lengths_to_be_between", "kwargs": {"column": "n", "min_value": 1, "strict_min": true}}]}', 'planted');
RESET search_path;
SELECT outcome, violations FROM depipe.check_table('gx.names');
DO $$ BEGIN PERFORM depipe.drop_constraint(target, name) FROM depipe.constraints WHERE target LIKE 'gx.%'; END $$;
DROP SCHEMA gx CASCADE;
