--
-- The gate: every policy, threshold and scope, driven by transforms.
--
SET client_min_messages = warning;
CREATE SCHEMA raw;
CREATE SCHEMA mart;

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

CREATE TABLE raw.customers (id int PRIMARY KEY, name text);
CREATE TABLE raw.orders (id int PRIMARY KEY, customer_id int, amount numeric, status text);
INSERT INTO raw.customers SELECT g, 'c' || g FROM generate_series(1, 10) g;
INSERT INTO raw.orders SELECT g, g % 10 + 1, g, 'new' FROM generate_series(1, 20) g;
SELECT depipe.create_transform('mart.customers', 'SELECT * FROM raw.customers', key => '{id}', populate => false);
SELECT depipe.create_transform('mart.orders', 'SELECT * FROM raw.orders', key => '{id}', populate => false);

-- the table and its reference may be empty or not there yet
SELECT depipe.add_constraint('mart.orders', depipe.satisfies('amount > 0'), on_violation => 'quarantine');
SELECT depipe.add_constraint('mart.orders', depipe.not_null('status'), on_violation => 'quarantine');
SELECT depipe.add_constraint('mart.orders', depipe.accepted_values('status', 'new', 'paid'));
SELECT depipe.add_constraint('mart.orders', depipe.in_range('amount', 0, 1000), on_violation => 'warn');
SELECT depipe.add_constraint('mart.orders', depipe.satisfies('sum(amount) < 100000'), name => 'total', on_violation => 'reject');
SELECT depipe.add_constraint('mart.orders', depipe.relationships('customer_id', 'mart.customers', 'id'), on_violation => 'quarantine');
SELECT depipe.add_constraint('mart.orders', depipe.unique('id'));
SELECT depipe.add_constraint('mart.orders', depipe.unique('status', 'amount'), on_violation => 'warn');
SELECT depipe.add_constraint('mart.orders', depipe.row_count(1));
SELECT refreshed('mart.customers'), refreshed('mart.orders');
SELECT * FROM last_verdicts;

-- quarantine: a row with two reasons, one with a missing reference, a new one
UPDATE raw.orders SET amount = -1, status = NULL WHERE id = 3;
UPDATE raw.orders SET customer_id = 99 WHERE id = 4;
INSERT INTO raw.orders VALUES (21, 1, -5, 'new'), (22, 1, 22, 'new');
SELECT refreshed('mart.orders');
SELECT * FROM last_verdicts;
SELECT target, state, reason, key, "row" FROM depipe.quarantine ORDER BY key;
SELECT * FROM depipe.quarantined(NULL::mart.orders) ORDER BY id;
SELECT * FROM mart.orders WHERE id IN (3, 4, 21, 22) ORDER BY id;
SELECT constraint_name, place, "row" ->> 'id' AS id FROM depipe.violations('mart.orders') ORDER BY 1, 2, 3;
SELECT target, state, reason, occurrences FROM depipe.incidents ORDER BY 3;

-- the reference arrives: the row is tried again; good versions replace bad ones
INSERT INTO raw.customers VALUES (99, 'late');
SELECT refreshed('mart.customers'), refreshed('mart.orders');
SELECT id FROM depipe.quarantined(NULL::mart.orders) ORDER BY id;
UPDATE raw.orders SET amount = 33, status = 'paid' WHERE id = 3;
DELETE FROM raw.orders WHERE id = 21;
SELECT refreshed('mart.orders');
SELECT * FROM mart.orders WHERE id IN (3, 4, 21) ORDER BY id;

-- warn: published, with an incident
UPDATE raw.orders SET amount = 2000 WHERE id = 5;
SELECT refreshed('mart.orders');
SELECT constraint_name, state, action, violations FROM last_verdicts WHERE state <> 'pass';
UPDATE raw.orders SET amount = 5 WHERE id = 5;
SELECT refreshed('mart.orders');
SELECT state, reason, occurrences FROM depipe.incidents WHERE constraint_name = 'amount_in_range';

-- reject: not published, the breaker stays closed, the next run tries again
UPDATE raw.orders SET amount = 1000000 WHERE id = 5;
SELECT refreshed('mart.orders');
SELECT refreshed('mart.orders');
SELECT target, state FROM depipe.breakers WHERE target = 'mart.orders';
SELECT constraint_name, state, action, metric FROM last_verdicts WHERE constraint_name = 'total';
UPDATE raw.orders SET amount = 5 WHERE id = 5;

-- break: the breaker opens; verdicts survive what is rolled back
UPDATE raw.orders SET status = 'lost' WHERE id = 5;
SELECT refreshed('mart.orders');
SELECT refreshed('mart.orders');
SELECT target, state, reason FROM depipe.breakers WHERE target = 'mart.orders';
SELECT status FROM mart.orders WHERE id = 5;
UPDATE raw.orders SET status = 'new' WHERE id = 5;
INSERT INTO raw.orders VALUES (23, 1, 23, 'new');
SELECT depipe.reset('mart.orders', 'fixed');
SELECT refreshed('mart.orders');
SELECT target, state, reason FROM depipe.breakers WHERE target = 'mart.orders';
SELECT state, reason FROM depipe.incidents WHERE constraint_name = 'status_accepted_values';

-- thresholds over the table, with a baseline; over the batch
CREATE TABLE raw.t (id int PRIMARY KEY, x int);
INSERT INTO raw.t SELECT g, CASE WHEN g <= 5 THEN -1 ELSE g END FROM generate_series(1, 100) g;
SELECT depipe.create_transform('mart.t', 'SELECT * FROM raw.t', key => '{id}');
SET client_min_messages = notice;
SELECT depipe.add_constraint('mart.t', depipe.satisfies('x > 0'), name => 'table_count', fail_if => '> 2', warn_if => '> 0', on_violation => 'reject');
SELECT depipe.add_constraint('mart.t', depipe.satisfies('x > 0'), name => 'table_percent', fail_if => '> 4%', on_violation => 'reject', filter => 'id > 0');
SELECT depipe.add_constraint('mart.t', depipe.satisfies('x > 0'), name => 'batch_count', fail_if => '> 3', scope => 'batch', on_violation => 'reject', existing => 'ignore', filter => 'id > -1');
SELECT depipe.add_constraint('mart.t', depipe.satisfies('x > 0'), name => 'batch_percent', fail_if => '> 60%', scope => 'batch', min_rows => 2, on_violation => 'reject', existing => 'ignore', filter => 'id > -2');
SELECT depipe.add_constraint('mart.t', depipe.satisfies('x > 0'), name => 'toothless', warn_if => '> 1000', existing => 'ignore', filter => 'id > -3');
SET client_min_messages = warning;
UPDATE raw.t SET x = -1 WHERE id IN (10);
SELECT refreshed('mart.t');
SELECT * FROM last_verdicts;
UPDATE raw.t SET x = -1 WHERE id IN (11, 12);
SELECT refreshed('mart.t');
SELECT * FROM last_verdicts;
SELECT depipe.drop_constraint('mart.t', 'batch_percent');
-- rows of the baseline that are repaired do not make room for others
UPDATE raw.t SET x = 1 WHERE id IN (1, 2, 3, 4, 5, 11, 12);
SELECT refreshed('mart.t');
SELECT name, baseline, violations FROM depipe.constraints WHERE target = 'mart.t' AND name LIKE 'table%';
UPDATE raw.t SET x = -1 WHERE id IN (1, 2, 3);
SELECT refreshed('mart.t');
SELECT * FROM last_verdicts;

-- quarantine with a limit
CREATE TABLE raw.q (id int PRIMARY KEY, x int);
INSERT INTO raw.q SELECT g, g FROM generate_series(1, 10) g;
SELECT depipe.create_transform('mart.q', 'SELECT * FROM raw.q', key => '{id}');
SELECT depipe.add_constraint('mart.q', depipe.satisfies('x > 0'), on_violation => 'quarantine', fail_if => '> 20%');
UPDATE raw.q SET x = -1 WHERE id <= 2;
SELECT refreshed('mart.q');
SELECT * FROM last_verdicts;
UPDATE raw.q SET x = -1 WHERE id <= 3;
SELECT refreshed('mart.q');
SELECT * FROM last_verdicts;
SELECT count(*) FROM mart.q WHERE x < 0;

-- a column that only the table has: rows of the table are looked at
CREATE TABLE raw.g (id int PRIMARY KEY, x int);
INSERT INTO raw.g VALUES (1, 1), (2, 2);
CREATE TABLE mart.g (id int PRIMARY KEY, x int, y int GENERATED ALWAYS AS (x * 2) STORED);
SELECT depipe.create_transform('mart.g', 'SELECT id, x FROM raw.g', key => '{id}', populate => false);
SELECT depipe.add_constraint('mart.g', depipe.satisfies('y < 10'), on_violation => 'quarantine');
SELECT refreshed('mart.g');
UPDATE raw.g SET x = 50 WHERE id = 2;
INSERT INTO raw.g VALUES (3, 3);
SELECT refreshed('mart.g');
SELECT * FROM last_verdicts;
SELECT * FROM mart.g ORDER BY id;

-- a bag: equal rows count each
CREATE TABLE raw.bag (x int, y text);
INSERT INTO raw.bag VALUES (1, 'a'), (1, 'a'), (2, NULL);
SELECT depipe.create_transform('mart.bag', 'SELECT * FROM raw.bag', populate => false);
SELECT depipe.add_constraint('mart.bag', depipe.satisfies('x > 1'), on_violation => 'warn');
SELECT depipe.add_constraint('mart.bag', depipe.unique('x', 'y'), on_violation => 'warn');
SELECT refreshed('mart.bag');
SELECT constraint_name, state, evaluated, violations, detail FROM last_verdicts;

-- errors in an evaluation are charged to their check; on_error decides
CREATE TABLE raw.e (id int PRIMARY KEY, x int);
INSERT INTO raw.e VALUES (1, 1);
SELECT depipe.create_transform('mart.e', 'SELECT * FROM raw.e', key => '{id}', populate => false);
SELECT depipe.add_constraint('mart.e', depipe.satisfies('10 / x > 0'), name => 'closed', on_violation => 'reject');
SELECT depipe.add_constraint('mart.e', depipe.satisfies('10 / x > 0'), name => 'open', on_violation => 'reject', on_error => 'pass', filter => 'id > 0');
SELECT depipe.add_constraint('mart.e', depipe.satisfies('x < 100'), name => 'other', on_violation => 'quarantine');
SELECT refreshed('mart.e');
INSERT INTO raw.e VALUES (2, 0), (3, 1000);
SELECT refreshed('mart.e');
SELECT * FROM last_verdicts;
SELECT depipe.alter_constraint('mart.e', 'closed', on_error => 'pass');
SELECT refreshed('mart.e');
SELECT * FROM last_verdicts;

-- enforce_from: until then it only says what it would have done
CREATE TABLE raw.f (id int PRIMARY KEY, x int);
INSERT INTO raw.f VALUES (1, -1), (2, -1);
SELECT depipe.create_transform('mart.f', 'SELECT * FROM raw.f', key => '{id}', populate => false);
SELECT depipe.add_constraint('mart.f', depipe.satisfies('x > 0'), name => 'breaks', enforce_from => '9999-01-01');
SELECT depipe.add_constraint('mart.f', depipe.satisfies('x > 0'), name => 'sets_aside', on_violation => 'quarantine', enforce_from => '9999-01-01', filter => 'id = 1');
SELECT refreshed('mart.f');
SELECT constraint_name, state, action, violations, would_have_blocked FROM depipe.verdicts WHERE target = 'mart.f';
SELECT name, state, would_have_blocked FROM depipe.constraints WHERE target = 'mart.f';

-- relationships over time
CREATE TABLE raw.parents (id int PRIMARY KEY, live bool);
CREATE TABLE raw.children (id int PRIMARY KEY, parent_id int);
INSERT INTO raw.parents VALUES (1, true), (2, true);
INSERT INTO raw.children VALUES (1, 1), (2, 2), (3, NULL);
SELECT depipe.create_transform('mart.parents', 'SELECT * FROM raw.parents', key => '{id}');
SELECT depipe.create_transform('mart.children', 'SELECT * FROM raw.children', key => '{id}');
SELECT depipe.add_constraint('mart.children', depipe.relationships('parent_id', 'mart.parents', 'id', 'live'), grace => '1 hour');
-- a younger violation is pending, and passes when the parent comes
INSERT INTO raw.children VALUES (4, 3);
SELECT refreshed('mart.children');
SELECT constraint_name, state, action, evaluated, violations, detail FROM last_verdicts;
INSERT INTO raw.parents VALUES (3, true);
SELECT refreshed('mart.parents');
SELECT name, state, violations FROM depipe.constraints WHERE target = 'mart.children';
SELECT count(*) FROM depipe.pending_key;
-- without grace the next batch is held
SELECT depipe.alter_constraint('mart.children', 'parent_id_relationships', grace => '0');
INSERT INTO raw.children VALUES (5, 5);
SELECT refreshed('mart.children');
DELETE FROM raw.children WHERE id = 5;
SELECT depipe.reset('mart.children', 'repaired');
INSERT INTO raw.children VALUES (6, 1);
SELECT refreshed('mart.children');
SELECT target, state FROM depipe.breakers WHERE target IN ('mart.children', 'mart.parents');
-- a parent that goes, or that the filter leaves out, is charged to the children;
-- its own batch is published
DELETE FROM raw.parents WHERE id = 2;
SELECT refreshed('mart.parents');
SELECT target, state, reason FROM depipe.breakers WHERE target IN ('mart.children', 'mart.parents');
SELECT target, state, reason FROM depipe.incidents WHERE target = 'mart.children';
SELECT place, key FROM depipe.violations('mart.children');
INSERT INTO raw.children VALUES (7, 1);
SELECT depipe.reset('mart.children', 'still wrong');
SELECT refreshed('mart.children');
INSERT INTO raw.parents VALUES (2, true);
SELECT refreshed('mart.parents');
SELECT depipe.reset('mart.children', 'the parent is back');
SELECT refreshed('mart.children');
SELECT target, state, reason FROM depipe.breakers WHERE target = 'mart.children';
UPDATE raw.parents SET live = false WHERE id = 1;
SELECT refreshed('mart.parents');
SELECT target, state, reason FROM depipe.breakers WHERE target = 'mart.children';
SELECT name, state, violations FROM depipe.constraints WHERE target = 'mart.children';
UPDATE raw.parents SET live = true WHERE id = 1;
SELECT refreshed('mart.parents');
SELECT name, state, violations FROM depipe.constraints WHERE target = 'mart.children';
-- a reference that is held: children are pending, not wrong
SELECT depipe.trip('mart.parents', 'maintenance');
INSERT INTO raw.children VALUES (8, 8);
SELECT depipe.reset('mart.children', 'go on');
SELECT refreshed('mart.children');
SELECT constraint_name, state, action, violations, detail FROM last_verdicts;

DROP VIEW public.last_verdicts;
DROP FUNCTION public.refreshed(text);
SET client_min_messages = warning;
DROP SCHEMA raw, mart CASCADE;
