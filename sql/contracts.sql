--
-- Contracts in depipe's own form: export, apply, round trip, origins, rights, and bad documents.
--
SET client_min_messages = warning;
CREATE SCHEMA con;
CREATE TABLE con.customers (id int PRIMARY KEY, email text);
CREATE TABLE con.orders (id int PRIMARY KEY, customer_id int, amount numeric, status text, created_at timestamptz, "Order No" text);
INSERT INTO con.customers VALUES (1, 'a@x.org'), (2, NULL);
INSERT INTO con.orders VALUES (1, 1, 10, 'paid', now(), 'A'), (2, 2, 20, 'open', now(), 'B');

-- SQLSTATE, message, detail and hint of a statement that must fail
CREATE FUNCTION con.raises(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	hint text;
	detail text;
BEGIN
	EXECUTE statement;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT, detail = PG_EXCEPTION_DETAIL;
	RETURN SQLSTATE || ': ' || left(SQLERRM, 200) || CASE WHEN detail <> '' THEN ' / ' || detail ELSE '' END
		|| CASE WHEN hint <> '' THEN ' | ' || hint ELSE '' END;
END
$$;
CREATE FUNCTION con.applying(contract text, rest text DEFAULT '') RETURNS text LANGUAGE sql AS $$
	SELECT con.raises(format('SELECT * FROM depipe.apply_contract(%L, ''shop''%s)', contract, rest))
$$;

-- declared by hand: the whole vocabulary of policies
SELECT depipe.add_constraint('con.orders', depipe.not_null('id', 'customer_id'));
SELECT depipe.add_constraint('con.orders', depipe.satisfies('amount >= 0'), name => 'amount', on_violation => 'quarantine',
	fail_if => '> 0.5%', filter => 'status <> ''draft''', on_null => 'skip', on_error => 'pass', owner => 'finance',
	description => 'says "no" to debts', enforce_from => '2026-12-01 00:00+02', scope => 'batch', min_rows => 10);
SELECT depipe.add_constraint('con.orders', depipe.relationships('customer_id', 'con.customers', 'id'), warn_if => '> 1', fail_if => '>= 5',
	grace => '10 minutes', on_violation => 'reject', existing => 'ignore');
SELECT depipe.add_constraint('con.orders', depipe.freshness('created_at', '1 hour'), check_every => '5 minutes', on_no_data => 'fail');
SELECT depipe.add_constraint('con.orders', depipe.accepted_values('Order No', 'A', 'B'), name => 'Weird "name"');
SELECT jsonb_pretty(depipe.export_contract('con.orders'));

-- round trip: what is there by hand is unchanged, and exactly the same after it was dropped and applied
SELECT action, target, constraint_name, reason, path
FROM depipe.apply_contract(depipe.export_contract('con.orders'), 'shop', dry_run => true);
CREATE TABLE con.exported AS SELECT depipe.export_contract('con.orders') AS contract;
SELECT depipe.drop_constraint('con.orders', name) FROM depipe.constraints WHERE target = 'con.orders';
SET timezone = 'America/St_Johns';
SET datestyle = 'SQL, DMY';
SET intervalstyle = 'iso_8601';
SELECT action, count(*) FROM depipe.apply_contract((SELECT contract FROM con.exported), 'shop', dry_run => true) GROUP BY 1;
SELECT count(*) FROM depipe.constraints WHERE target = 'con.orders';
SELECT action, count(*) FROM depipe.apply_contract((SELECT contract FROM con.exported), 'shop') GROUP BY 1;
SELECT action, count(*) FROM depipe.apply_contract((SELECT contract FROM con.exported), 'shop') GROUP BY 1;
SELECT depipe.export_contract('con.orders') = contract AS same, depipe.export_contract('con.*') = contract AS pattern,
	depipe.export_contract('con.orders', 'shop') = contract AS of_origin,
	jsonb_array_length(depipe.export_contract('con.orders', 'nobody') -> 'constraints') AS of_none FROM con.exported;
RESET timezone;
RESET datestyle;
RESET intervalstyle;
SELECT DISTINCT origin FROM depipe.constraints WHERE target = 'con.orders';

-- changed, dropped, added; what was declared by hand or by another contract is left alone
SELECT depipe.add_constraint('con.customers', depipe.not_null('id'), name => 'by_hand');
SELECT action, target, constraint_name FROM depipe.apply_contract('{"depipe_contract": 1, "constraints": [
	{"target": "con.customers", "rule": {"kind": "unique", "columns": ["email"]}}]}', 'other');
SELECT action, target, constraint_name, reason, path FROM depipe.apply_contract('{"depipe_contract": 1, "constraints": [
	{"target": "con.orders", "name": "amount", "rule": {"kind": "satisfies", "expression": "amount > 0"}},
	{"target": "con.orders", "rule": {"kind": "unique", "columns": ["id"]}},
	{"target": "con.orders", "rule": {"kind": "unique", "columns": "id"}},
	{"target": "con.customers", "name": "by_hand", "rule": {"kind": "not_null", "columns": ["id"]}, "on_violation": "break"}]}',
	'shop', on_violation => 'warn');
SELECT target, name, origin, on_violation FROM depipe.constraints WHERE target LIKE 'con.%' ORDER BY 1, 2;
SELECT con.applying('{"depipe_contract": 1, "constraints": [
	{"target": "con.customers", "name": "by_hand", "rule": {"kind": "not_null", "columns": ["email"]}}]}');
SELECT con.applying('{"depipe_contract": 1, "constraints": [
	{"target": "con.customers", "name": "email_unique", "rule": {"kind": "unique", "columns": ["id"]}}]}');

-- on_violation is for constraints that have none, and that can have it
SELECT action, constraint_name, reason FROM depipe.apply_contract('{"depipe_contract": 1, "constraints": [
	{"target": "con.orders", "name": "a", "rule": {"kind": "row_count", "minimum": 1}},
	{"target": "con.orders", "name": "b", "rule": {"kind": "not_null", "columns": ["id"]}},
	{"target": "con.orders", "name": "c", "rule": {"kind": "not_null", "columns": ["id"]}, "on_violation": "reject"}]}',
	'shop', on_violation => 'quarantine');
SELECT name, on_violation FROM depipe.constraints WHERE origin = 'shop' ORDER BY 1;
-- an empty contract drops all
SELECT action, target, constraint_name FROM depipe.apply_contract('{"depipe_contract": 1, "constraints": []}', 'shop') ORDER BY 2, 3;
SELECT target, name, origin FROM depipe.constraints WHERE target LIKE 'con.%' ORDER BY 1, 2;

-- bad documents: an error with the path, and nothing half applied
CREATE TABLE con.bad (n int GENERATED ALWAYS AS IDENTITY, document text);
INSERT INTO con.bad (document) VALUES
	('[]'), ('1'), ('"x"'), ('null'), ('{}'), ('{"depipe_contract": 2, "constraints": []}'), ('{"depipe_contract": "1", "constraints": []}'),
	('{"depipe_contract": 1}'), ('{"depipe_contract": 1, "constraints": {}}'), ('{"depipe_contract": 1, "constraints": [], "more": 1}'),
	('{"depipe_contract": 1, "constraints": [7]}'), ('{"depipe_contract": 1, "constraints": [[]]}'),
	('{"depipe_contract": 1, "constraints": [{}]}'), ('{"depipe_contract": 1, "constraints": [{"rule": {"kind": "not_null"}}]}'),
	('{"depipe_contract": 1, "constraints": ["\u0000"]}'), ('{"depipe_contract": 1, "constraints": ['), (''),
	('{"depipe_contract": 1, "constraints": [{"target": 5, "rule": {"kind": "not_null"}}]}');
-- the third constraint is what is bad
INSERT INTO con.bad (document)
SELECT '{"depipe_contract": 1, "constraints": [{"target": "con.orders", "rule": {"kind": "row_count", "minimum": 0}},
	{"target": "con.orders", "rule": {"kind": "not_null", "columns": ["id"]}}, ' || third || ']}'
FROM (VALUES (1, '{"target": "con.orders", "rule": {"kind": "nosuch"}}'),
	(2, '{"target": "con.orders", "rule": {"kind": "not_null", "column": "id"}}'),
	(3, '{"target": "con.orders", "rule": {"kind": "not_null", "columns": 5}}'),
	(4, '{"target": "con.orders", "rule": {"kind": "not_null", "columns": []}}'),
	(5, '{"target": "con.orders", "rule": {"kind": "not_null", "columns": ["nosuch"]}}'),
	(6, '{"target": "con.orders", "rule": "amount > 0"}'),
	(7, '{"target": "con.orders", "rule": {"kind": "satisfies", "expression": "amount >"}}'),
	(8, '{"target": "con.orders", "rule": {"kind": "satisfies", "expression": "amount > 0"}, "fail_if": "> -1"}'),
	(9, '{"target": "con.orders", "rule": {"kind": "satisfies", "expression": "amount > 0"}, "fail_if": "> 200%"}'),
	(10, '{"target": "con.orders", "rule": {"kind": "satisfies", "expression": "amount > 0"}, "warn_if": "5"}'),
	(11, '{"target": "con.orders", "rule": {"kind": "satisfies", "expression": "amount > 0"}, "warn_if": 5}'),
	(12, '{"target": "con.orders", "rule": {"kind": "satisfies", "expression": "amount > 0"}, "min_rows": "many"}'),
	(13, '{"target": "con.orders", "rule": {"kind": "satisfies", "expression": "amount > 0"}, "min_rows": -1}'),
	(14, '{"target": "con.orders", "rule": {"kind": "satisfies", "expression": "amount > 0"}, "grace": "soon"}'),
	(15, '{"target": "con.orders", "rule": {"kind": "satisfies", "expression": "amount > 0"}, "on_violation": "explode"}'),
	(16, '{"target": "con.orders", "rule": {"kind": "satisfies", "expression": "amount > 0"}, "filter": "nosuch > 1"}'),
	(17, '{"target": "con.orders", "rule": {"kind": "satisfies", "expression": "amount > 0"}, "name": ""}'),
	(18, '{"target": "con.orders", "rule": {"kind": "satisfies", "expression": "amount > 0"}, "name": {"a": 1}}'),
	(19, '{"target": "con.orders", "rule": {"kind": "satisfies", "expression": "amount > 0"}, "severity": "high"}'),
	(20, '{"target": "con.orders", "rule": {"kind": "satisfies", "expression": "amount > 0"}, "replace": true}'),
	(21, '{"target": "con.orders", "rule": {"kind": "satisfies", "expression": "amount > 0"}, "settings": ["nosuch=1"]}'),
	(22, '{"target": "con.orders", "rule": {"kind": "satisfies", "expression": "amount > 0"}, "settings": [1]}'),
	(23, '{"target": "con.nosuch", "rule": {"kind": "not_null", "columns": ["id"]}}'),
	(24, '{"target": "nosuch.nosuch", "rule": {"kind": "not_null", "columns": ["id"]}}'),
	(25, '{"target": "a.b.c.d", "rule": {"kind": "not_null", "columns": ["id"]}}'),
	(26, '{"target": "", "rule": {"kind": "not_null", "columns": ["id"]}}'),
	(27, '{"target": "pg_catalog.pg_class", "rule": {"kind": "not_null", "columns": ["oid"]}}'),
	(28, '{"target": "con.orders", "name": "orders_row_count", "rule": {"kind": "unique", "columns": ["id"]}}'),
	(29, '{"target": "con.orders", "rule": {"kind": "satisfies", "expression": "amount > 0"}, "enforce_from": "infinity"}')) t (n, third)
ORDER BY t.n;
SELECT n, con.applying(document) FROM con.bad ORDER BY n;
SELECT count(*) FROM depipe.constraints WHERE target = 'con.orders';
SELECT con.applying('{"depipe_contract": 1, "constraints": [
	{"target": "con.orders", "name": "twice", "rule": {"kind": "not_null", "columns": ["id"]}},
	{"target": "con.orders", "name": "twice", "rule": {"kind": "unique", "columns": ["id"]}}]}');

-- arguments
SELECT con.raises($$SELECT * FROM depipe.apply_contract('{"depipe_contract": 1, "constraints": []}', ' ')$$);
SELECT con.raises($$SELECT * FROM depipe.apply_contract('{"depipe_contract": 1, "constraints": []}', 'x', on_violation => 'explode')$$);
SELECT con.raises($$SELECT * FROM depipe.apply_contract('{"depipe_contract": 1, "constraints": []}', 'x', format => 'yaml')$$);
SELECT con.raises($$SELECT * FROM depipe.apply_contract('{"depipe_contract": 1, "constraints": []}', 'x', schema_map => '[]')$$);
SELECT con.raises($$SELECT * FROM depipe.apply_contract('{"depipe_contract": 1, "constraints": []}', 'x', schema_map => '{"a": 1}')$$);
SELECT con.raises($$SELECT depipe.export_contract('con.nosuch')$$);
SELECT con.raises($$SELECT depipe.export_contract('')$$);

-- large and deep
SELECT con.raises(format('SELECT * FROM depipe.apply_contract(%L, ''x'')', repeat('[', 200000) || repeat(']', 200000))) ~ '^54001' AS deep;
SELECT con.applying(format('{"depipe_contract": 1, "constraints": [{"target": "con.orders", "rule": {"kind": "not_null", "columns": "id"}, "filter": %s1%s}]}',
	repeat('[', 2000), repeat(']', 2000)));
SELECT con.applying(format('{"depipe_contract": 1, "constraints": [{"target": "con.orders", "rule": {"kind": "not_null", "columns": ["%s"]}}]}', repeat('x', 10000000))) ~ '^42703' AS name;
SELECT con.applying(format('{"depipe_contract": 1, "constraints": [{"target": "con.orders", "rule": {"kind": "not_null", "columns": "id"}, "%s": 1}]}', repeat('x', 10000000))) AS key;
SELECT con.applying((SELECT jsonb_build_object('depipe_contract', 1, 'constraints', jsonb_agg(jsonb_build_object('target', 'con.orders', 'rule', n)))
	FROM generate_series(1, 200000) n)::text) AS many;
SELECT action FROM depipe.apply_contract((SELECT jsonb_build_object('depipe_contract', 1, 'constraints', jsonb_build_array(jsonb_build_object(
	'target', 'con.orders', 'rule', depipe.accepted_values('status', VARIADIC array_agg('a value ' || n))))) FROM generate_series(1, 20000) n), 'x', dry_run => true);
SELECT count(*) FROM depipe.constraints WHERE target = 'con.orders';

-- rights: of the caller on each table; constraints of the same origin on tables of others stay
CREATE ROLE regress_contractor;
GRANT USAGE ON SCHEMA con TO regress_contractor;
GRANT SELECT ON con.orders TO regress_contractor;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA con TO regress_contractor;
CREATE TABLE con.mine (id int);
ALTER TABLE con.mine OWNER TO regress_contractor;
SELECT action, target, constraint_name FROM depipe.apply_contract('{"depipe_contract": 1, "constraints": [
	{"target": "con.orders", "rule": {"kind": "not_null", "columns": ["id"]}}]}', 'shop');
SET ROLE regress_contractor;
SELECT con.applying('{"depipe_contract": 1, "constraints": [
	{"target": "con.mine", "rule": {"kind": "not_null", "columns": ["id"]}},
	{"target": "con.orders", "rule": {"kind": "unique", "columns": ["id"]}}]}');
SELECT action, target, constraint_name FROM depipe.apply_contract('{"depipe_contract": 1, "constraints": [
	{"target": "con.mine", "rule": {"kind": "not_null", "columns": ["id"]}}]}', 'shop');
SELECT con.raises($$SELECT depipe.export_contract('con.orders')$$);
SELECT jsonb_array_length(depipe.export_contract('con.*') -> 'constraints');
RESET ROLE;
SELECT target, name, origin FROM depipe.constraints WHERE origin = 'shop' ORDER BY 1, 2;

-- who did what
SELECT action, target, constraint_name FROM depipe.audit WHERE acting_role = 'regress_contractor' ORDER BY audit_id;
SELECT count(*) > 20 AS recorded, count(*) FILTER (WHERE action NOT IN ('add_constraint', 'drop_constraint')) AS others
FROM depipe.audit WHERE target LIKE 'con.%';

-- by hand again: replaced constraints belong to no contract
SELECT depipe.add_constraint('con.orders', depipe.not_null('id'), name => 'id_not_null', on_violation => 'warn', replace => true);
SELECT name, origin FROM depipe.constraints WHERE target = 'con.orders' ORDER BY 1;

DO $$ BEGIN PERFORM depipe.drop_constraint(target, name) FROM depipe.constraints WHERE target LIKE 'con.%'; END $$;
DROP SCHEMA con CASCADE;
DROP ROLE regress_contractor;
