--
-- Constraints over time: references that lose rows, breakers of ordinary tables,
-- incidents, and where the rows are that violate.
--
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA q_raw;
CREATE SCHEMA q_mart;
CREATE FUNCTION q_raw.refreshed(name text) RETURNS SETOF text
LANGUAGE sql AS $$
	SELECT target || ' ' || status || CASE WHEN status IN ('blocked', 'failed') THEN ': ' || reason ELSE '' END
	FROM depipe.refresh(name)
$$;
CREATE VIEW q_raw.b AS SELECT target, state, reason FROM depipe.breakers WHERE target LIKE 'q\_%' ORDER BY target;
CREATE VIEW q_raw.v AS
SELECT target, constraint_name, state, action, evaluated, violations
FROM depipe.verdicts WHERE target LIKE 'q\_%' ORDER BY verdict_id;

-- parents that are deleted: a threshold is asked, and what was missing before is not counted
CREATE TABLE q_raw.customer (id int PRIMARY KEY, active bool NOT NULL DEFAULT true);
CREATE TABLE q_raw.purchase (id int PRIMARY KEY, customer_id int);
INSERT INTO q_raw.customer SELECT g FROM generate_series(1, 10) g;
INSERT INTO q_raw.purchase SELECT g, g FROM generate_series(1, 12) g;
SELECT depipe.create_transform('q_mart.customer', 'SELECT * FROM q_raw.customer', key => '{id}');
SELECT depipe.create_transform('q_mart.purchase', 'SELECT * FROM q_raw.purchase', key => '{id}');
SELECT q_raw.refreshed('q_mart.*');
SELECT depipe.add_constraint('q_mart.purchase', depipe.relationships('customer_id', 'q_mart.customer', 'id'),
	name => 'some', fail_if => '> 4', grace => '0');
DELETE FROM q_raw.customer WHERE id IN (1, 2);
SELECT q_raw.refreshed('q_mart.customer');
SELECT * FROM q_raw.b;
DELETE FROM q_raw.customer WHERE id = 3;
SELECT q_raw.refreshed('q_mart.customer');
SELECT * FROM q_raw.b;
SELECT * FROM q_raw.v WHERE constraint_name = 'some';
INSERT INTO q_raw.customer VALUES (1), (2), (3);
SELECT q_raw.refreshed('q_mart.customer');
SELECT depipe.drop_constraint('q_mart.purchase', 'some');
SELECT depipe.reset('q_mart.purchase', 'test');
SELECT q_raw.refreshed('q_mart.purchase');
SELECT * FROM q_raw.b;
-- 11 and 12 have been missing all along
SELECT depipe.add_constraint('q_mart.purchase', depipe.relationships('customer_id', 'q_mart.customer', 'id', 'active'),
	name => 'active', grace => '0');
INSERT INTO q_raw.customer VALUES (11, false);
SELECT q_raw.refreshed('q_mart.customer');
SELECT * FROM q_raw.b;
SELECT count(*) FROM depipe.pending_key;
UPDATE q_raw.customer SET active = false WHERE id = 4;
SELECT q_raw.refreshed('q_mart.customer');
SELECT * FROM q_raw.b;
SELECT reference_key FROM depipe.pending_key;
SELECT constraint_name, outcome, violations, detail->'baseline' AS baseline FROM depipe.check_table('q_mart.purchase');
UPDATE q_raw.customer SET active = true WHERE id = 4;
SELECT q_raw.refreshed('q_mart.customer');
SELECT depipe.reset('q_mart.purchase', 'test');
SELECT q_raw.refreshed('q_mart.purchase');
SELECT * FROM q_raw.b;
SELECT depipe.drop_constraint('q_mart.purchase', 'active');

-- columns that are NULL, and the keys of two columns, of other types
CREATE TABLE q_raw.place (country text, zip bigint, PRIMARY KEY (country, zip));
CREATE TABLE q_raw.address (id int, country varchar(2), zip int);
INSERT INTO q_raw.place VALUES ('de', 1), ('de', 2), ('fr', 1);
INSERT INTO q_raw.address VALUES (1, 'de', 1), (2, 'fr', 2), (3, NULL, 1), (4, 'de', NULL), (5, 'fr', 1);
SELECT depipe.add_constraint('q_raw.address', depipe.relationships(ARRAY['country', 'zip'], 'q_raw.place', ARRAY['country', 'zip']), name => 'passes', existing => 'ignore');
SELECT depipe.add_constraint('q_raw.address', depipe.relationships(ARRAY['country', 'zip'], 'q_raw.place', ARRAY['country', 'zip'], 'zip < 2'), name => 'fails', on_null => 'fail', existing => 'ignore', filter => 'id < 4');
SELECT depipe.add_constraint('q_raw.address', depipe.relationships(ARRAY['zip', 'country'], 'q_raw.place', ARRAY['zip', 'country']), name => 'skips', on_null => 'skip', existing => 'ignore');
SELECT constraint_name, "row"->'id' AS id FROM depipe.violations('q_raw.address') ORDER BY 1, 2;
SELECT constraint_name, outcome, evaluated, violations FROM depipe.check_table('q_raw.address') ORDER BY 1;

-- the breaker of a table that nothing publishes to: looking at it is the probe
SELECT * FROM q_raw.b;
SELECT target, state, reason, next FROM depipe.status WHERE target = 'q_raw.address';
SELECT depipe.reset('q_raw.address', 'somebody looked');
SELECT target, state, next FROM depipe.status WHERE target = 'q_raw.address';
SELECT count(*) FROM depipe.check_table('q_raw.address');
SELECT state, wait FROM depipe.breaker_state WHERE target_id = (SELECT target_id FROM depipe.target WHERE table_name = 'address');
UPDATE q_raw.address SET country = 'de', zip = 1;
SELECT constraint_name, outcome FROM depipe.check_table('q_raw.address') ORDER BY 1;
SELECT * FROM q_raw.b;
SELECT depipe.trip('q_raw.address', 'maintenance');
SELECT count(*) FROM depipe.check_table('q_raw.address');
SELECT * FROM q_raw.b;
SELECT depipe.reset('q_raw.address', 'done');
SELECT depipe.guard('q_raw.address');
CALL depipe.run_due();
SELECT * FROM q_raw.b;
SELECT depipe.trip('q_raw.address', 'again', now() + interval '1 hour');
UPDATE depipe.breaker_state SET until = now() WHERE state = 'forced_open';
CALL depipe.run_due();
SELECT * FROM q_raw.b;
SELECT depipe.guard('q_raw.address');
-- k of n: what was bad before it closed is forgotten
SELECT depipe.configure_breaker('q_raw.address', bad_runs => 2, of_runs => 3);
UPDATE q_raw.address SET zip = 7 WHERE id = 1;
SELECT count(*) FROM depipe.check_table('q_raw.address');
SELECT * FROM q_raw.b;
UPDATE q_raw.address SET zip = 1 WHERE id = 1;
SELECT depipe.trip('q_raw.address', 'again');
SELECT depipe.reset('q_raw.address', 'done');
SELECT count(*) FROM depipe.check_table('q_raw.address');
UPDATE q_raw.address SET zip = 7 WHERE id = 1;
SELECT count(*) FROM depipe.check_table('q_raw.address');
SELECT * FROM q_raw.b;
SELECT count(*) FROM depipe.check_table('q_raw.address');
SELECT * FROM q_raw.b;

-- incidents: one cause is one incident, with one event at each end
CREATE TABLE q_raw.item (id int PRIMARY KEY, x int);
INSERT INTO q_raw.item SELECT g, 1 FROM generate_series(1, 5) g;
SELECT depipe.create_transform('q_mart.item', 'SELECT * FROM q_raw.item', key => '{id}');
SELECT depipe.create_transform('q_mart.bag', 'SELECT x FROM q_raw.item');
SELECT q_raw.refreshed('q_mart.*');
SELECT depipe.add_constraint('q_mart.item', depipe.satisfies('x NOT IN (-1, -6)'), on_violation => 'warn', name => 'rows');
SELECT depipe.add_constraint('q_mart.item', depipe.satisfies('x <> -2'), fail_if => '> 1', name => 'tolerated');
SELECT depipe.add_constraint('q_mart.item', depipe.satisfies('x <> -3'), warn_if => '> 0', scope => 'batch', name => 'batch');
SELECT depipe.add_constraint('q_mart.item', depipe.satisfies('x <> -4'), name => 'held');
SELECT depipe.add_constraint('q_mart.item', depipe.satisfies('x <> -5'), on_violation => 'quarantine', name => 'aside');
SELECT depipe.add_constraint('q_mart.bag', depipe.satisfies('x NOT IN (-1, -6)'), on_violation => 'warn', name => 'rows');
CREATE FUNCTION q_raw.change(statement text) RETURNS TABLE (constraint_name text, state text, occurrences bigint, now bigint, how text)
LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	-- a look that took long on a busy machine would put off the next one
	UPDATE depipe.incident SET look_ms = 0;
	PERFORM depipe.refresh('q_mart.item');
	PERFORM depipe.refresh('q_mart.bag');
	RETURN QUERY SELECT DISTINCT ON (i.constraint_name, i.target) CASE WHEN i.target = 'q_mart.bag' THEN 'bag.' ELSE '' END || i.constraint_name, i.state, i.occurrences, i.violations_now, i.closed_how
	FROM depipe.incidents i WHERE i.target IN ('q_mart.item', 'q_mart.bag') 
	ORDER BY i.constraint_name, i.target, i.incident_id DESC;
END
$$;
-- it stays while the row does, whatever else comes
SELECT * FROM q_raw.change('UPDATE q_raw.item SET x = -1 WHERE id IN (1, 2)');
SELECT * FROM q_raw.change('UPDATE q_raw.item SET x = 2 WHERE id = 3');
SELECT * FROM q_raw.change('UPDATE q_raw.item SET x = 3 WHERE id = 3');
SELECT * FROM q_raw.change('UPDATE q_raw.item SET x = -6 WHERE id = 3');
SELECT * FROM q_raw.change('UPDATE q_raw.item SET x = 1 WHERE id = 1');
SELECT * FROM q_raw.change('DELETE FROM q_raw.item WHERE id = 2');
SELECT * FROM q_raw.change('DELETE FROM q_raw.item WHERE id = 3');
-- with a threshold: until the count is back at what it was
SELECT * FROM q_raw.change('UPDATE q_raw.item SET x = -2 WHERE id = 4') WHERE constraint_name = 'tolerated';
SELECT * FROM q_raw.change('UPDATE q_raw.item SET x = -2 WHERE id >= 4') WHERE constraint_name = 'tolerated';
SELECT depipe.override('q_mart.item', 'test', now() + interval '1 hour');
SELECT * FROM q_raw.change('INSERT INTO q_raw.item VALUES (6, -2)') WHERE constraint_name = 'tolerated';
SELECT * FROM q_raw.change('UPDATE q_raw.item SET x = 1 WHERE id = 6') WHERE constraint_name = 'tolerated';
SELECT * FROM q_raw.change('UPDATE q_raw.item SET x = 1 WHERE id = 5') WHERE constraint_name = 'tolerated';
SELECT * FROM q_raw.change('DELETE FROM q_raw.item WHERE id = 4') WHERE constraint_name = 'tolerated';
SELECT depipe.reset('q_mart.item', 'test');
-- of a batch: it lingers
SELECT * FROM q_raw.change('INSERT INTO q_raw.item VALUES (7, -3)') WHERE constraint_name = 'batch';
SELECT * FROM q_raw.change('UPDATE q_raw.item SET x = 1 WHERE id = 7') WHERE constraint_name = 'batch';
SELECT * FROM q_raw.change('INSERT INTO q_raw.item VALUES (8, -3)') WHERE constraint_name = 'batch';
SELECT * FROM q_raw.change('UPDATE q_raw.item SET x = 1 WHERE id = 8') WHERE constraint_name = 'batch';
CALL depipe.run_due();
SELECT state FROM depipe.incidents WHERE constraint_name = 'batch';
SET depipe.incident_linger = 0;
CALL depipe.run_due();
SELECT state, closed_how FROM depipe.incidents WHERE constraint_name = 'batch';
RESET depipe.incident_linger;
-- held: the table never had the row
SELECT * FROM q_raw.change('INSERT INTO q_raw.item VALUES (9, -4)') WHERE constraint_name = 'held';
SELECT depipe.reset('q_mart.item', 'test');
SELECT * FROM q_raw.change('DELETE FROM q_raw.item WHERE id = 9') WHERE constraint_name = 'held';
-- in quarantine
SELECT * FROM q_raw.change('INSERT INTO q_raw.item VALUES (10, -5)') WHERE constraint_name = 'aside';
SELECT * FROM q_raw.change('UPDATE q_raw.item SET x = 4 WHERE id = 1') WHERE constraint_name = 'aside';
SELECT * FROM q_raw.change('UPDATE q_raw.item SET x = 4 WHERE id = 10') WHERE constraint_name = 'aside';
SELECT e.target, i.constraint_name, e.state FROM depipe.events e, LATERAL (SELECT substring(e.reason FROM '"(.*)"')) i (constraint_name)
WHERE e.event = 'incident' AND e.target IN ('q_mart.item', 'q_mart.bag') ORDER BY event_id;

-- where the rows are: of a transform that is held they are nowhere else
CREATE TABLE q_raw.held (id int PRIMARY KEY, x int, y text);
INSERT INTO q_raw.held SELECT g, g, 'a' || g FROM generate_series(1, 20) g;
SELECT depipe.create_transform('q_mart.held', 'SELECT * FROM q_raw.held', key => '{id}');
SELECT depipe.create_transform('q_mart.after', 'SELECT count(*) AS n FROM q_mart.held');
SELECT depipe.add_constraint('q_mart.held', depipe.satisfies('x > 0'), name => 'positive', on_violation => 'reject');
SELECT depipe.add_constraint('q_mart.held', depipe.unique('y'), name => 'once');
SELECT depipe.add_constraint('q_mart.held', depipe.satisfies('100 / (x - 7) < 1000'), name => 'quotient', existing => 'ignore');
SELECT depipe.add_constraint('q_mart.held', depipe.satisfies('x <> 99'), name => 'many', fail_if => '> 1');
SELECT q_raw.refreshed('q_mart.held');
SELECT * FROM depipe.violations('q_mart.held', 'quotient');
UPDATE q_raw.held SET x = 8 WHERE id = 7;
UPDATE q_raw.held SET x = -1 WHERE id = 3;
SELECT depipe.reset('q_mart.held', 'test');
SELECT q_raw.refreshed('q_mart.held');
SELECT state, reason, next FROM depipe.status WHERE target = 'q_mart.held';
SELECT * FROM depipe.violations('q_mart.held');
SELECT state, target, reason FROM depipe.why('q_mart.after');
SELECT state FROM depipe.breakers WHERE target = 'q_mart.held';
UPDATE q_raw.held SET x = 3, y = 'a4' WHERE id = 3;
SELECT depipe.reset('q_mart.held', 'test');
SELECT q_raw.refreshed('q_mart.held');
SELECT * FROM depipe.violations('q_mart.held') ORDER BY "row"->'id';
UPDATE q_raw.held SET x = 99, y = 'a' || id WHERE id < 4;
SELECT depipe.reset('q_mart.held', 'test');
SELECT q_raw.refreshed('q_mart.held');
SELECT constraint_name, place, key FROM depipe.violations('q_mart.held') ORDER BY key;
UPDATE q_raw.held SET x = id + 20, y = 'a' || id;
SELECT depipe.reset('q_mart.held', 'test');
SELECT q_raw.refreshed('q_mart.*');
SELECT * FROM depipe.violations('q_mart.held');
SELECT depipe.guard('q_mart.after');
UPDATE q_raw.held SET x = -1 WHERE id = 3;
SELECT q_raw.refreshed('q_mart.held');
SELECT state FROM depipe.breakers WHERE target = 'q_mart.held';
SELECT depipe.guard('q_mart.after');
SELECT depipe.guard('q_mart.held');

-- rows on which a check raises an error are named, and set aside alone
UPDATE q_raw.held SET x = 7 WHERE id IN (3, 11);
SELECT q_raw.refreshed('q_mart.held');
SELECT * FROM depipe.violations('q_mart.held') ORDER BY length(key::text), key::text;
SELECT depipe.alter_constraint('q_mart.held', 'quotient', on_violation => 'quarantine');
UPDATE q_raw.held SET x = x + 1 WHERE id = 12;
SELECT depipe.reset('q_mart.held', 'test');
SELECT q_raw.refreshed('q_mart.held');
SELECT * FROM depipe.violations('q_mart.held');
SELECT constraint_name, outcome, action, evaluated, violations, detail FROM depipe.verdict WHERE constraint_name = 'quotient' ORDER BY verdict_id DESC LIMIT 1;
SELECT id, x FROM q_mart.held WHERE id IN (3, 11, 12) ORDER BY id;
SELECT depipe.alter_constraint('q_mart.held', 'quotient', on_violation => 'break', on_error => 'pass');
SELECT q_raw.refreshed('q_mart.held');
SELECT constraint_name, outcome, action, evaluated, violations, detail FROM depipe.verdict WHERE constraint_name = 'quotient' ORDER BY verdict_id DESC LIMIT 1;
SELECT id, x FROM q_mart.held WHERE id IN (3, 11, 12) ORDER BY id;
SELECT count(*) FROM depipe.quarantined(NULL::q_mart.held);

SELECT depipe.drop_transform(target, true) FROM unnest(ARRAY['q_mart.after', 'q_mart.held', 'q_mart.item', 'q_mart.bag', 'q_mart.purchase', 'q_mart.customer']) target;
DROP SCHEMA q_raw, q_mart CASCADE;
