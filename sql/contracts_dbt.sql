--
-- Contracts of dbt: manifest.json, with tests of dbt, dbt_utils and dbt_expectations.
--
SET client_min_messages = error;
CREATE SCHEMA analytics;
CREATE TABLE analytics.customers (id int PRIMARY KEY);
CREATE TABLE analytics.orders (id int, customer_id int, amount numeric, status text, "Order No" text, updated_at timestamptz);
INSERT INTO analytics.customers SELECT generate_series(1, 5);
INSERT INTO analytics.orders SELECT n, n, n, 'open', 'A' || n, now() FROM generate_series(1, 5) n;

CREATE FUNCTION analytics.test(name text, package text, kwargs jsonb, config jsonb DEFAULT '{}', attached text DEFAULT 'model.shop.orders')
RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_build_object('resource_type', 'test', 'attached_node', attached, 'config', config,
		'test_metadata', jsonb_build_object('name', name, 'namespace', package, 'kwargs', kwargs),
		'depends_on', '{"nodes": ["model.shop.customers", "model.shop.orders"]}'::jsonb)
$$;
CREATE TABLE analytics.tests (id text, node jsonb);
INSERT INTO analytics.tests VALUES
	('test.shop.01', analytics.test('not_null', NULL, '{"column_name": "ID"}') || '{"name": "orders have an id", "description": "always"}'),
	('test.shop.02', analytics.test('unique', NULL, '{"column_name": "\"Order No\""}')),
	('test.shop.03', analytics.test('accepted_values', NULL, '{"column_name": "status", "values": ["open", "paid"]}', '{"severity": "warn"}')),
	('test.shop.04', analytics.test('relationships', NULL, '{"column_name": "customer_id", "to": "ref(''customers'')", "field": "id"}',
		'{"severity": "ERROR", "error_if": "> 10"}')),
	('test.shop.05', analytics.test('not_null', NULL, '{"column_name": "amount"}', '{"severity": "warn", "warn_if": ">= 5", "where": "status = ''paid''"}')),
	('test.shop.06', analytics.test('not_null', NULL, '{"column_name": "coalesce(amount, 0)"}')),
	('test.shop.07', analytics.test('expression_is_true', 'dbt_utils', '{"expression": "amount >= 0"}')),
	('test.shop.08', analytics.test('expression_is_true', 'dbt_utils', '{"column_name": "amount", "expression": "< 1000"}')),
	('test.shop.09', analytics.test('accepted_range', 'dbt_utils', '{"column_name": "amount", "min_value": 0, "inclusive": false}')),
	('test.shop.10', analytics.test('unique_combination_of_columns', 'dbt_utils', '{"combination_of_columns": ["id", "customer_id"]}')),
	('test.shop.11', analytics.test('recency', 'dbt_utils', '{"field": "updated_at", "datepart": "day", "interval": 1}')),
	('test.shop.12', analytics.test('expect_column_values_to_match_regex', 'dbt_expectations', '{"column_name": "status", "regex": "^[a-z]+$"}')),
	('test.shop.13', analytics.test('expect_table_row_count_to_be_between', 'dbt_expectations', '{"min_value": 1, "max_value": 100}')),
	('test.shop.14', analytics.test('expect_column_mean_to_be_between', 'dbt_expectations', '{"column_name": "amount", "max_value": 100}')),
	('test.shop.15', analytics.test('not_null', NULL, '{"column_name": "nosuch"}')),
	('test.shop.16', analytics.test('not_null', NULL, '{"column_name": "id"}', '{"enabled": false}')),
	('test.shop.17', analytics.test('not_null', NULL, '{"column_name": "id"}', '{"error_if": "< 5"}')),
	('test.shop.18', analytics.test('not_null', NULL, '{"column_name": "id"}', '{"where": "day > {{ var(1) }}"}')),
	('test.shop.19', analytics.test('equal_rowcount', 'audit_helper', '{}')),
	('test.shop.20', analytics.test('not_null', NULL, '{"column_name": "id"}', attached => 'model.shop.gone')),
	('test.shop.21', analytics.test('relationships', NULL, '{"column_name": "id", "to": "ref(''elsewhere'')", "field": "id"}')),
	('test.shop.22', '{"resource_type": "test", "name": "singular", "attached_node": "model.shop.orders", "config": {}}');
CREATE TABLE analytics.manifest AS SELECT jsonb_build_object('metadata', '{}'::jsonb, 'sources', '{}'::jsonb, 'nodes', jsonb_object_agg(id, node)
	|| '{"model.shop.orders": {"resource_type": "model", "name": "orders", "alias": "orders", "schema": "prod", "database": "wh"},
	"model.shop.customers": {"resource_type": "model", "name": "customers", "schema": "prod", "database": "wh"}}') AS manifest
FROM analytics.tests;

SELECT action, target, constraint_name, reason, path
FROM depipe.apply_contract((SELECT manifest FROM analytics.manifest), 'dbt', schema_map => '{"wh.prod": "analytics"}') ORDER BY path;
SELECT name, rule, filter, on_violation, warn_if, fail_if FROM depipe.constraints WHERE origin = 'dbt' ORDER BY name COLLATE "C";
SELECT action, count(*) FROM depipe.apply_contract((SELECT manifest FROM analytics.manifest), 'dbt', schema_map => '{"prod": "analytics"}') GROUP BY 1 ORDER BY 1;
-- a test that is gone
SELECT action, constraint_name FROM depipe.apply_contract((SELECT manifest #- '{nodes,test.shop.01}' FROM analytics.manifest), 'dbt',
	schema_map => '{"wh": "analytics"}', dry_run => true) WHERE action = 'dropped';
\set VERBOSITY terse
SELECT * FROM depipe.apply_contract('{"metadata": {}, "nodes": {"a": 1}}', 'x');
SELECT * FROM depipe.apply_contract('{"nodes": []}', 'x', format => 'dbt');
DO $$ BEGIN PERFORM depipe.drop_constraint(target, name) FROM depipe.constraints WHERE target LIKE 'analytics.%'; END $$;
DROP SCHEMA analytics CASCADE;
