--
-- The gate: every policy, threshold and scope, driven by transforms.
--
SET client_min_messages = warning;
CREATE SCHEMA g_raw;
CREATE SCHEMA g_mart;

CREATE FUNCTION public.refreshed(name text) RETURNS text
LANGUAGE sql AS $$
	SELECT string_agg(format('%s%s: +%s ~%s -%s, quarantined %s', status,
		CASE WHEN status IN ('blocked', 'failed') THEN ' (' || reason || ')' ELSE '' END,
		inserted, updated, deleted, quarantined), '; ')
	FROM depipe.refresh(name)
$$;
CREATE VIEW public.last_verdicts AS
	SELECT target, constraint_name, state, action, evaluated, violations, metric, strategy, detail
	FROM depipe.verdicts
	WHERE run_id = (SELECT max(run_id) FROM depipe.verdicts)
	ORDER BY target, constraint_name;

CREATE TABLE g_raw.customers (id int PRIMARY KEY, name text);
CREATE TABLE g_raw.orders (id int PRIMARY KEY, customer_id int, amount numeric, status text);
INSERT INTO g_raw.customers SELECT g, 'c' || g FROM generate_series(1, 10) g;
INSERT INTO g_raw.orders SELECT g, g % 10 + 1, g, 'new' FROM generate_series(1, 20) g;
SELECT depipe.create_transform('g_mart.customers', 'SELECT * FROM g_raw.customers', key => '{id}', populate => false);
SELECT depipe.create_transform('g_mart.orders', 'SELECT * FROM g_raw.orders', key => '{id}', populate => false);

-- the table and its reference may be empty or not there yet
SELECT depipe.add_constraint('g_mart.orders', depipe.satisfies('amount > 0'), on_violation => 'quarantine');
SELECT depipe.add_constraint('g_mart.orders', depipe.not_null('status'), on_violation => 'quarantine');
SELECT depipe.add_constraint('g_mart.orders', depipe.accepted_values('status', 'new', 'paid'));
SELECT depipe.add_constraint('g_mart.orders', depipe.in_range('amount', 0, 1000), on_violation => 'warn');
SELECT depipe.add_constraint('g_mart.orders', depipe.satisfies('sum(amount) < 100000'), name => 'total', on_violation => 'reject');
SELECT depipe.add_constraint('g_mart.orders', depipe.relationships('customer_id', 'g_mart.customers', 'id'), on_violation => 'quarantine');
SELECT depipe.add_constraint('g_mart.orders', depipe.unique('id'));
SELECT depipe.add_constraint('g_mart.orders', depipe.unique('status', 'amount'), on_violation => 'warn');
SELECT depipe.add_constraint('g_mart.orders', depipe.row_count(1));
SELECT refreshed('g_mart.customers'), refreshed('g_mart.orders');
SELECT * FROM last_verdicts;

-- quarantine: a row with two reasons, one with a missing reference, a new one
UPDATE g_raw.orders SET amount = -1, status = NULL WHERE id = 3;
UPDATE g_raw.orders SET customer_id = 99 WHERE id = 4;
INSERT INTO g_raw.orders VALUES (21, 1, -5, 'new'), (22, 1, 22, 'new');
SELECT refreshed('g_mart.orders');
SELECT * FROM last_verdicts;
SELECT target, state, reason, key, "row" FROM depipe.quarantine WHERE target = 'g_mart.orders' ORDER BY key;
SELECT * FROM depipe.quarantined(NULL::g_mart.orders) ORDER BY id;
SELECT * FROM g_mart.orders WHERE id IN (3, 4, 21, 22) ORDER BY id;
SELECT constraint_name, place, "row" ->> 'id' AS id FROM depipe.violations('g_mart.orders') ORDER BY 1, 2, 3;
SELECT target, state, reason, occurrences FROM depipe.incidents WHERE target = 'g_mart.orders' ORDER BY 3;

-- the reference arrives: the row is tried again; good versions replace bad ones
INSERT INTO g_raw.customers VALUES (99, 'late');
SELECT refreshed('g_mart.customers'), refreshed('g_mart.orders');
SELECT id FROM depipe.quarantined(NULL::g_mart.orders) ORDER BY id;
UPDATE g_raw.orders SET amount = 33, status = 'paid' WHERE id = 3;
DELETE FROM g_raw.orders WHERE id = 21;
SELECT refreshed('g_mart.orders');
SELECT * FROM g_mart.orders WHERE id IN (3, 4, 21) ORDER BY id;

-- warn: published, with an incident
UPDATE g_raw.orders SET amount = 2000 WHERE id = 5;
SELECT refreshed('g_mart.orders');
SELECT constraint_name, state, action, violations FROM last_verdicts WHERE state <> 'pass';
UPDATE g_raw.orders SET amount = 5 WHERE id = 5;
SELECT refreshed('g_mart.orders');
SELECT state, reason, occurrences FROM depipe.incidents WHERE target = 'g_mart.orders' AND constraint_name = 'amount_in_range' ORDER BY 3;

-- reject: not published, the breaker stays closed, the next run tries again
UPDATE g_raw.orders SET amount = 1000000 WHERE id = 5;
SELECT refreshed('g_mart.orders');
SELECT refreshed('g_mart.orders');
SELECT target, state FROM depipe.breakers WHERE target = 'g_mart.orders';
SELECT constraint_name, state, action, metric FROM last_verdicts WHERE constraint_name = 'total';
UPDATE g_raw.orders SET amount = 5 WHERE id = 5;

-- break: the breaker opens; verdicts survive what is rolled back
UPDATE g_raw.orders SET status = 'lost' WHERE id = 5;
SELECT refreshed('g_mart.orders');
SELECT refreshed('g_mart.orders');
SELECT target, state, reason FROM depipe.breakers WHERE target = 'g_mart.orders';
SELECT status FROM g_mart.orders WHERE id = 5;
UPDATE g_raw.orders SET status = 'new' WHERE id = 5;
INSERT INTO g_raw.orders VALUES (23, 1, 23, 'new');
SELECT depipe.reset('g_mart.orders', 'fixed');
SELECT refreshed('g_mart.orders');
SELECT target, state, reason FROM depipe.breakers WHERE target = 'g_mart.orders';
SELECT state, reason FROM depipe.incidents WHERE target = 'g_mart.orders' AND constraint_name = 'status_accepted_values';

-- thresholds over the table, with a baseline; over the batch
CREATE TABLE g_raw.t (id int PRIMARY KEY, x int);
INSERT INTO g_raw.t SELECT g, CASE WHEN g <= 5 THEN -1 ELSE g END FROM generate_series(1, 100) g;
SELECT depipe.create_transform('g_mart.t', 'SELECT * FROM g_raw.t', key => '{id}');
SET client_min_messages = notice;
SELECT depipe.add_constraint('g_mart.t', depipe.satisfies('x > 0'), name => 'table_count', fail_if => '> 2', warn_if => '> 0', on_violation => 'reject');
SELECT depipe.add_constraint('g_mart.t', depipe.satisfies('x > 0'), name => 'table_count', fail_if => '> 2', warn_if => '> 0', on_violation => 'reject', existing => 'ignore');
SELECT depipe.add_constraint('g_mart.t', depipe.satisfies('x > 0'), name => 'table_percent', fail_if => '> 4%', on_violation => 'reject', existing => 'ignore', filter => 'id > 0');
SELECT depipe.add_constraint('g_mart.t', depipe.satisfies('x > 0'), name => 'batch_count', fail_if => '> 3', scope => 'batch', on_violation => 'reject', existing => 'ignore', filter => 'id > -1');
SELECT depipe.add_constraint('g_mart.t', depipe.satisfies('x > 0'), name => 'batch_percent', fail_if => '> 60%', scope => 'batch', min_rows => 2, on_violation => 'reject', existing => 'ignore', filter => 'id > -2');
SELECT depipe.add_constraint('g_mart.t', depipe.satisfies('x > 0'), name => 'toothless', warn_if => '> 1000', existing => 'ignore', filter => 'id > -3');
SET client_min_messages = warning;
UPDATE g_raw.t SET x = -1 WHERE id IN (10);
SELECT refreshed('g_mart.t');
SELECT * FROM last_verdicts;
UPDATE g_raw.t SET x = -1 WHERE id IN (11, 12);
SELECT refreshed('g_mart.t');
SELECT * FROM last_verdicts;
SELECT depipe.drop_constraint('g_mart.t', 'batch_percent');
-- rows of the baseline that are repaired do not make room for others
UPDATE g_raw.t SET x = 1 WHERE id IN (1, 2, 3, 4, 5, 11, 12);
SELECT refreshed('g_mart.t');
SELECT name, baseline, violations FROM depipe.constraints WHERE target = 'g_mart.t' AND name LIKE 'table%' ORDER BY 1;
UPDATE g_raw.t SET x = -1 WHERE id IN (1, 2, 3);
SELECT refreshed('g_mart.t');
SELECT * FROM last_verdicts;

-- quarantine with a limit
CREATE TABLE g_raw.q (id int PRIMARY KEY, x int);
INSERT INTO g_raw.q SELECT g, g FROM generate_series(1, 10) g;
SELECT depipe.create_transform('g_mart.q', 'SELECT * FROM g_raw.q', key => '{id}');
SELECT depipe.add_constraint('g_mart.q', depipe.satisfies('x > 0'), on_violation => 'quarantine', fail_if => '> 20%');
UPDATE g_raw.q SET x = -1 WHERE id <= 2;
SELECT refreshed('g_mart.q');
SELECT * FROM last_verdicts;
UPDATE g_raw.q SET x = -1 WHERE id <= 3;
SELECT refreshed('g_mart.q');
SELECT * FROM last_verdicts;
SELECT count(*) FROM g_mart.q WHERE x < 0;

-- a column that only the table has: rows of the table are looked at
CREATE TABLE g_raw.g (id int PRIMARY KEY, x int);
INSERT INTO g_raw.g VALUES (1, 1), (2, 2);
CREATE TABLE g_mart.g (id int PRIMARY KEY, x int, y int GENERATED ALWAYS AS (x * 2) STORED);
SELECT depipe.create_transform('g_mart.g', 'SELECT id, x FROM g_raw.g', key => '{id}', populate => false);
SELECT depipe.add_constraint('g_mart.g', depipe.satisfies('y < 10'), on_violation => 'quarantine');
SELECT refreshed('g_mart.g');
UPDATE g_raw.g SET x = 50 WHERE id = 2;
INSERT INTO g_raw.g VALUES (3, 3);
SELECT refreshed('g_mart.g');
SELECT * FROM last_verdicts;
SELECT * FROM g_mart.g ORDER BY id;

-- a bag: equal rows count each
CREATE TABLE g_raw.bag (x int, y text);
INSERT INTO g_raw.bag VALUES (1, 'a'), (1, 'a'), (2, NULL);
SELECT depipe.create_transform('g_mart.bag', 'SELECT * FROM g_raw.bag', populate => false);
SELECT depipe.add_constraint('g_mart.bag', depipe.satisfies('x > 1'), on_violation => 'warn');
SELECT depipe.add_constraint('g_mart.bag', depipe.unique('x', 'y'), on_violation => 'warn');
SELECT refreshed('g_mart.bag');
SELECT constraint_name, state, evaluated, violations, detail FROM last_verdicts;

-- errors in an evaluation are charged to their check; on_error decides
CREATE TABLE g_raw.e (id int PRIMARY KEY, x int);
INSERT INTO g_raw.e VALUES (1, 1);
SELECT depipe.create_transform('g_mart.e', 'SELECT * FROM g_raw.e', key => '{id}', populate => false);
SELECT depipe.add_constraint('g_mart.e', depipe.satisfies('10 / x > 0'), name => 'closed', on_violation => 'reject');
SELECT depipe.add_constraint('g_mart.e', depipe.satisfies('10 / x > 0'), name => 'open', on_violation => 'reject', on_error => 'pass', filter => 'id > 0');
SELECT depipe.add_constraint('g_mart.e', depipe.satisfies('x < 100'), name => 'other', on_violation => 'quarantine');
SELECT refreshed('g_mart.e');
INSERT INTO g_raw.e VALUES (2, 0), (3, 1000);
SELECT refreshed('g_mart.e');
SELECT * FROM last_verdicts;
SELECT depipe.alter_constraint('g_mart.e', 'closed', on_error => 'pass');
SELECT refreshed('g_mart.e');
SELECT * FROM last_verdicts;

-- enforce_from: until then it only says what it would have done
CREATE TABLE g_raw.f (id int PRIMARY KEY, x int);
INSERT INTO g_raw.f VALUES (1, -1), (2, -1);
SELECT depipe.create_transform('g_mart.f', 'SELECT * FROM g_raw.f', key => '{id}', populate => false);
SELECT depipe.add_constraint('g_mart.f', depipe.satisfies('x > 0'), name => 'breaks', enforce_from => '9999-01-01');
SELECT depipe.add_constraint('g_mart.f', depipe.satisfies('x > 0'), name => 'sets_aside', on_violation => 'quarantine', enforce_from => '9999-01-01', filter => 'id = 1');
SELECT refreshed('g_mart.f');
SELECT constraint_name, state, action, violations, would_have_blocked FROM depipe.verdicts WHERE target = 'g_mart.f' ORDER BY 1;
SELECT name, state, would_have_blocked FROM depipe.constraints WHERE target = 'g_mart.f' ORDER BY 1;

-- relationships over time
CREATE TABLE g_raw.parents (id int PRIMARY KEY, live bool);
CREATE TABLE g_raw.children (id int PRIMARY KEY, parent_id int);
INSERT INTO g_raw.parents VALUES (1, true), (2, true);
INSERT INTO g_raw.children VALUES (1, 1), (2, 2), (3, NULL);
SELECT depipe.create_transform('g_mart.parents', 'SELECT * FROM g_raw.parents', key => '{id}');
SELECT depipe.create_transform('g_mart.children', 'SELECT * FROM g_raw.children', key => '{id}');
SELECT depipe.add_constraint('g_mart.children', depipe.relationships('parent_id', 'g_mart.parents', 'id', 'live'), grace => '1 hour');
-- a younger violation is pending, and passes when the parent comes
INSERT INTO g_raw.children VALUES (4, 3);
SELECT refreshed('g_mart.children');
SELECT constraint_name, state, action, evaluated, violations, detail FROM last_verdicts;
INSERT INTO g_raw.parents VALUES (3, true);
SELECT refreshed('g_mart.parents');
SELECT name, state, violations FROM depipe.constraints WHERE target = 'g_mart.children';
SELECT count(*) FROM depipe.pending_key;
-- without grace the next batch is held
SELECT depipe.alter_constraint('g_mart.children', 'parent_id_relationships', grace => '0');
INSERT INTO g_raw.children VALUES (5, 5);
SELECT refreshed('g_mart.children');
DELETE FROM g_raw.children WHERE id = 5;
SELECT depipe.reset('g_mart.children', 'repaired');
INSERT INTO g_raw.children VALUES (6, 1);
SELECT refreshed('g_mart.children');
SELECT target, state FROM depipe.breakers WHERE target IN ('g_mart.children', 'g_mart.parents') ORDER BY 1;
-- a parent that goes, or that the filter leaves out, is charged to the children;
-- its own batch is published
DELETE FROM g_raw.parents WHERE id = 2;
SELECT refreshed('g_mart.parents');
SELECT target, state, reason FROM depipe.breakers WHERE target IN ('g_mart.children', 'g_mart.parents') ORDER BY 1;
SELECT target, state, reason FROM depipe.incidents WHERE target = 'g_mart.children' ORDER BY 2;
SELECT place, key FROM depipe.violations('g_mart.children');
INSERT INTO g_raw.children VALUES (7, 1);
SELECT depipe.reset('g_mart.children', 'still wrong');
SELECT refreshed('g_mart.children');
INSERT INTO g_raw.parents VALUES (2, true);
SELECT refreshed('g_mart.parents');
SELECT depipe.reset('g_mart.children', 'the parent is back');
SELECT refreshed('g_mart.children');
SELECT target, state, reason FROM depipe.breakers WHERE target = 'g_mart.children';
UPDATE g_raw.parents SET live = false WHERE id = 1;
SELECT refreshed('g_mart.parents');
SELECT target, state, reason FROM depipe.breakers WHERE target = 'g_mart.children';
SELECT name, state, violations FROM depipe.constraints WHERE target = 'g_mart.children';
UPDATE g_raw.parents SET live = true WHERE id = 1;
SELECT refreshed('g_mart.parents');
SELECT name, state, violations FROM depipe.constraints WHERE target = 'g_mart.children';
-- a reference that is held: children are pending, not wrong
SELECT depipe.trip('g_mart.parents', 'maintenance');
INSERT INTO g_raw.children VALUES (8, 8);
SELECT depipe.reset('g_mart.children', 'go on');
SELECT refreshed('g_mart.children');
SELECT constraint_name, state, action, violations, detail FROM last_verdicts;

DROP VIEW public.last_verdicts;
DROP FUNCTION public.refreshed(text);
SET client_min_messages = warning;
DROP SCHEMA g_raw, g_mart CASCADE;
DELETE FROM depipe.target WHERE schema_name IN ('g_raw', 'g_mart');
