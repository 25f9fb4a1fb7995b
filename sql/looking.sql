--
-- Looking: status, why and as_of on states that are made up. How states come about is tested elsewhere.
--
SET client_min_messages = warning;
CREATE ROLE regress_look_owner LOGIN;
CREATE ROLE regress_look_reader;
CREATE SCHEMA look_raw AUTHORIZATION regress_look_owner;
CREATE SCHEMA look_mart AUTHORIZATION regress_look_owner;
GRANT USAGE ON SCHEMA look_raw, look_mart TO regress_look_reader;
CREATE SERVER look_shop FOREIGN DATA WRAPPER depipe OPTIONS (host '/nowhere', dbname 'shop');
GRANT USAGE ON FOREIGN SERVER look_shop TO regress_look_owner;
SET ROLE regress_look_owner;
CREATE TABLE look_raw.orders (id int PRIMARY KEY, amount int, at timestamptz);
CREATE TABLE look_raw.items (id int PRIMARY KEY, amount int);
CREATE TABLE look_raw.plain (id int PRIMARY KEY);
SELECT depipe.create_load('look_raw.orders', server => 'look_shop', source => 'public.orders', target_lag => '10 minutes');
SELECT depipe.create_load('look_raw.items', server => 'look_shop', source => 'public.items', target_lag => '10 minutes');
SELECT depipe.create_transform('look_mart.sales', 'SELECT id, amount FROM look_raw.orders', key => '{id}', populate => false);
SELECT depipe.create_transform('look_mart.report', 'SELECT sum(amount) AS amount FROM look_mart.sales', populate => false);
SELECT depipe.create_transform('look_mart.complete', 'SELECT sum(amount) AS amount FROM look_raw.items', populate => false, on_incomplete => 'block');
SELECT depipe.create_transform('look_mart.fresh', 'SELECT count(*) FROM look_mart.sales', populate => false, on_stale => 'block');
GRANT SELECT ON look_mart.report, look_mart.sales TO regress_look_reader;
RESET ROLE;

-- a made-up world in which all is well
CREATE PROCEDURE all_is_well() LANGUAGE sql AS $$
	UPDATE depipe.load_state SET state = 'streaming', reason = NULL, hint = NULL;
	UPDATE depipe.transform_state SET state = 'ok', reason = NULL, populated = true;
	UPDATE depipe.target_state SET data_as_of = now() - interval '5 seconds', paused = false;
	DELETE FROM depipe.breaker_state;
	DELETE FROM depipe.attempt;
	DELETE FROM depipe.run;
	DELETE FROM depipe.quarantined_row;
	DELETE FROM depipe.parked_item;
	UPDATE depipe.constraint_state SET outcome = 'pass';
	UPDATE depipe.incident SET closed_at = now();
$$;
-- times differ from run to run
CREATE FUNCTION timeless(text) RETURNS text LANGUAGE sql AS $$
	SELECT regexp_replace($1, '\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d', 'TIME', 'g') $$;
CREATE VIEW screen AS SELECT target, kind, state, timeless(reason) AS reason, next FROM depipe.status;
CREATE FUNCTION steps(text) RETURNS TABLE (depth int, target text, state text, reason text, next text)
LANGUAGE sql AS $$ SELECT depth, target, state, timeless(reason), next FROM depipe.why($1) $$;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO PUBLIC;

CALL all_is_well();
TABLE screen;
SELECT * FROM steps('look_mart.report');
SELECT now() - depipe.as_of('look_raw.orders') < interval '1 hour' AS known;

-- a breaker far upstream: the cause comes first, its consequences after
INSERT INTO depipe.breaker_state (target_id, state, reason, retry_at)
SELECT target_id, 'open', 'constraint "x": 1 of 3 rows violate it', now() + interval '1 hour' FROM depipe.target WHERE table_name = 'orders';
TABLE screen;
SELECT * FROM steps('look_mart.report');
SELECT target, state, timeless(reason) AS reason FROM depipe.transforms ORDER BY target;
SELECT bool_and(since = (SELECT since FROM depipe.breaker_state)) AS since_the_cause FROM depipe.why('look_mart.report');
-- of a long way the ends are told
SELECT depipe.create_transform('look_mart.far', 'SELECT amount FROM look_mart.report');
SELECT depipe.create_transform('look_mart.farther', 'SELECT amount FROM look_mart.far');
SELECT target, reason FROM depipe.status WHERE target LIKE 'look_mart.far%';
SELECT count(*) FROM depipe.why('look_mart.farther');
SELECT depipe.drop_transform('look_mart.farther', true);
SELECT depipe.drop_transform('look_mart.far', true);
-- held by hand, overridden, on trial; what has expired counts as half_open
UPDATE depipe.breaker_state SET state = 'forced_open', reason = 'migration';
TABLE screen;
UPDATE depipe.breaker_state SET until = now() - interval '1 second';
SELECT state, next FROM screen WHERE target = 'look_raw.orders';
UPDATE depipe.breaker_state SET state = 'disabled', until = now() + interval '1 hour';
SELECT * FROM screen WHERE target = 'look_raw.orders' OR state = 'blocked';
SELECT * FROM steps('look_raw.orders');
UPDATE depipe.breaker_state SET until = now() - interval '1 second';
SELECT state, next FROM screen WHERE target = 'look_raw.orders' OR target = 'look_mart.report';

-- states of loads
CALL all_is_well();
UPDATE depipe.load_state SET state = 'needs_resync', reason = 'slot "s" of the source is gone', hint = 'SELECT depipe.resync(''look_raw.orders'');'
WHERE target_id = (SELECT target_id FROM depipe.target WHERE table_name = 'orders');
SELECT * FROM steps('look_mart.sales');
CALL all_is_well();
DELETE FROM depipe.load_state WHERE target_id = (SELECT target_id FROM depipe.target WHERE table_name = 'orders');
SELECT * FROM steps('look_mart.sales');
INSERT INTO depipe.load_state (target_id) SELECT target_id FROM depipe.target WHERE table_name = 'orders';
SELECT * FROM steps('look_mart.sales');
UPDATE depipe.load_state SET state = 'copying' WHERE state = 'new';
SELECT * FROM steps('look_mart.sales');
CALL all_is_well();
SELECT depipe.pause('migration of the shop', 'look_raw.orders');
SELECT * FROM steps('look_mart.sales');
SELECT now() - since < interval '1 minute' AS since_the_pause FROM depipe.why('look_raw.orders');
SELECT depipe.resume('look_raw.orders');
INSERT INTO depipe.parked_item (target_id, item, kind) SELECT target_id, 1, 'clear' FROM depipe.target WHERE table_name = 'orders';
SELECT * FROM steps('look_raw.orders');

-- failures, and when the next try is
CALL all_is_well();
INSERT INTO depipe.run (target_id, started_by, role_name, pid, started_at, finished_at, status, reason)
SELECT target_id, 'worker', 'postgres', 1, now() - interval '2 minutes', now() - interval '1 minute', 'failed', 'could not connect to server "look_shop"' FROM depipe.target WHERE table_name IN ('orders', 'items');
SELECT * FROM steps('look_raw.orders');
INSERT INTO depipe.attempt VALUES ('server look_shop', now() - interval '2 minutes', 1, now() + interval '1 minute');
SELECT * FROM steps('look_raw.orders');
-- another try is going on
UPDATE depipe.attempt SET started_at = now(), failures = 4;
SELECT * FROM steps('look_raw.orders');
-- the first one after a success is no failure yet
UPDATE depipe.attempt SET failures = 1;
SELECT * FROM steps('look_raw.orders');
-- it went well
UPDATE depipe.attempt SET failures = 0, retry_at = NULL;
SELECT * FROM steps('look_raw.orders');
-- of one table
UPDATE depipe.run SET finished_at = now();
UPDATE depipe.attempt SET started_at = now() - interval '2 minutes';
INSERT INTO depipe.attempt SELECT 'target ' || target_id, now() - interval '1 minute', 2, now() + interval '1 minute' FROM depipe.target WHERE table_name = 'orders';
SELECT * FROM steps('look_raw.orders');
SELECT * FROM steps('look_mart.report');
UPDATE depipe.transform_state SET state = 'failed', reason = 'division by zero' WHERE target_id = (SELECT target_id FROM depipe.target WHERE table_name = 'sales');
SELECT * FROM steps('look_mart.report');

-- wait: what is there already, what only a person can bring there, and what may still come
CALL all_is_well();
CALL depipe.wait();
CALL depipe.wait('look_*.*', 'streaming', '0');
CALL depipe.wait('look_mart.report', 'ok');
SELECT depipe.pause('migration of the shop', 'look_raw.orders');
CALL depipe.wait('look_raw.orders', 'paused');
CALL depipe.wait('look_raw.*');
CALL depipe.wait('look_mart.report');
SELECT depipe.pause('migration of the shop', 'look_raw.orders', until => now() + interval '1 hour');
CALL depipe.wait('look_raw.orders', timeout => '0');
CALL all_is_well();
SELECT depipe.trip('look_raw.orders', 'because');
CALL depipe.wait('look_mart.report');
\echo :LAST_ERROR_SQLSTATE
CALL all_is_well();
UPDATE depipe.load_state SET state = 'paused', reason = 'column x was dropped' WHERE target_id = (SELECT target_id FROM depipe.target WHERE table_name = 'orders');
CALL depipe.wait('look_raw.orders');
\echo :LAST_ERROR_SQLSTATE
UPDATE depipe.load_state SET state = 'copying', reason = NULL;
CALL depipe.wait('look_raw.*', timeout => '20 ms');
\echo :LAST_ERROR_SQLSTATE
CALL depipe.wait('look_raw.*', 'needs_resync', '0');
CALL depipe.wait('look_raw.nothing');
CALL depipe.wait('nothing.*');
CALL depipe.wait(NULL);
CALL depipe.wait('*', 'good');
CALL depipe.wait('*', timeout => NULL);
CALL depipe.wait('*', timeout => '-1 s');
BEGIN;
CALL depipe.wait();
ROLLBACK;
SET ROLE regress_look_reader;
CALL depipe.wait('look_raw.orders');
CALL depipe.wait('look_raw.*');
CALL depipe.wait('look_*.*', timeout => '0');
RESET ROLE;

-- late: nothing runs
CALL all_is_well();
UPDATE depipe.target_state SET data_as_of = now() - interval '2 hours';
SELECT * FROM screen ORDER BY target COLLATE "C";
SELECT lag >= interval '2 hours' AS lag_has_grown FROM depipe.status WHERE target = 'look_raw.orders';
SET depipe.enabled = off;
SELECT * FROM steps('look_raw.orders');
RESET depipe.enabled;
-- and a late transform is the consequence of a late load
UPDATE depipe.transform SET target_lag = '1 minute';
SELECT * FROM steps('look_mart.report');
UPDATE depipe.target_state s SET data_as_of = now() FROM depipe.load l WHERE l.target_id = s.target_id;
SELECT * FROM steps('look_mart.report');
UPDATE depipe.transform SET target_lag = NULL;

-- incomplete
CALL all_is_well();
INSERT INTO depipe.row_layout (target_id, columns, types) SELECT target_id, '{id}', '{int}' FROM depipe.target WHERE table_name = 'items';
INSERT INTO depipe.quarantined_row (target_id, layout_id, image, constraint_ids, reasons) SELECT target_id, layout_id, '{1}', '{1}', '{c}' FROM depipe.row_layout;
SELECT target, state, reason, incomplete, next FROM depipe.status WHERE incomplete;
SELECT * FROM steps('look_mart.complete');

-- stale: as the last evaluation of a time check said
CALL all_is_well();
SELECT depipe.add_constraint('look_raw.orders', depipe.freshness('at', '1 hour'), name => 'arrives');
INSERT INTO depipe.constraint_state (constraint_id, outcome, outcome_since) SELECT constraint_id, 'fail', now() FROM depipe.constraint_definition
ON CONFLICT (constraint_id) DO UPDATE SET outcome = 'fail', outcome_since = now();
TABLE screen;
SELECT * FROM steps('look_mart.fresh');
SELECT * FROM steps('look_mart.report');
UPDATE depipe.constraint_state SET outcome = 'error';
SELECT target, state, reason FROM screen WHERE target = 'look_raw.orders';
UPDATE depipe.constraint_definition SET on_error = 'pass';
SELECT target, state, reason FROM screen WHERE target = 'look_raw.orders';
SELECT depipe.drop_constraint('look_raw.orders', 'arrives');

-- missing
CALL all_is_well();
ALTER TABLE look_raw.plain RENAME TO renamed;
CREATE TABLE look_raw.other (id int);
SELECT depipe.create_transform('look_mart.other', 'SELECT id FROM look_raw.other');
DROP TABLE look_raw.orders, look_raw.other;
SELECT * FROM steps('look_mart.other');
SELECT depipe.drop_transform('look_mart.other', drop_table => true);
SELECT * FROM steps('look_mart.report');
CALL all_is_well();
SELECT * FROM steps('look_raw.orders');

-- names that a reader may not see are hidden
SET ROLE regress_look_reader;
SELECT target, state, reason, next FROM depipe.status;
SELECT * FROM steps('look_mart.report');
SELECT * FROM steps('look_raw.orders');
SELECT depipe.as_of('look_raw.orders');
SELECT depipe.as_of('look_raw.nothing');
RESET ROLE;

SELECT depipe.as_of(NULL);
SELECT depipe.as_of('look_raw.nothing');
SELECT depipe.why('look_raw.nothing');
SELECT depipe.as_of('look.raw.orders.x.y');
UPDATE depipe.target_state SET data_as_of = NULL;
SELECT depipe.as_of('look_mart.report') IS NULL AS unknown;

DROP SCHEMA look_raw, look_mart CASCADE;
SELECT depipe.drop_load(target) FROM depipe.loads;
SELECT depipe.drop_transform(target) FROM depipe.transforms;
DELETE FROM depipe.event;
DROP PROCEDURE all_is_well();
DROP VIEW screen;
DROP FUNCTION timeless, steps;
DROP SERVER look_shop;
DROP OWNED BY regress_look_owner, regress_look_reader;
DROP ROLE regress_look_owner, regress_look_reader;
