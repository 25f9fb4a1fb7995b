-- Backfills: a transform is recomputed range by range.
\set VERBOSITY terse
\set SHOW_CONTEXT never
CREATE SCHEMA bf;
SET search_path TO bf, public;
SET DateStyle TO 'ISO, MDY';
SET TimeZone TO 'Europe/Berlin';
CREATE TABLE sale (id integer PRIMARY KEY, at timestamptz, shop text, amount numeric);
INSERT INTO sale SELECT n, timestamptz '2024-01-01' + n * interval '8 hours', 's' || n % 3, n FROM generate_series(0, 299) n;
INSERT INTO sale VALUES (1000, NULL, 's0', 5);
CREATE PROCEDURE differs(name text) LANGUAGE plpgsql AS $$
BEGIN
	RAISE NOTICE '% differs in % rows', name, (SELECT count(*) FROM depipe.verify(name));
END $$;
CREATE VIEW progress AS SELECT target, state, reason, column_name, since, before, step, slices_done AS done, slices, slice_since,
	slice_before, inserted AS ins, updated AS upd, deleted AS del, quarantined AS quar FROM depipe.backfills ORDER BY target;

-- a transform that was never populated is built slice by slice
SELECT depipe.create_transform('bf.sales', 'SELECT id, at, shop, amount FROM bf.sale', populate => false);
CALL depipe.backfill('bf.sales', 'at', '2024-01-01', '2024-04-20', '1 month');
SELECT * FROM progress \gx
SELECT run_id IS NOT NULL AS run, started_by, status, strategy, inserted FROM depipe.runs WHERE target = 'bf.sales' ORDER BY run_id;
SELECT state, populated FROM depipe.transforms WHERE target = 'bf.sales';
CALL differs('bf.sales');
-- the first refresh compares, and adds what is in no range
SELECT status, strategy, reason, inserted, updated, deleted FROM depipe.refresh('bf.sales');
CALL differs('bf.sales');

-- what is not asked for
CALL depipe.backfill('bf.sales', 'nothing', '2024-01-01', '2024-04-20', '1 month');
CALL depipe.backfill('bf.sales', 'shop', 'a', 'b', '1');
CALL depipe.backfill('bf.sales', 'at', '2024-01-01', '2024-01-01', '1 month');
CALL depipe.backfill('bf.sales', 'at', '2024-01-01', 'infinity', '1 month');
CALL depipe.backfill('bf.sales', 'at', '-infinity', '2024-01-01', '1 month');
CALL depipe.backfill('bf.sales', 'at', 'gestern', '2024-01-01', '1 month');
CALL depipe.backfill('bf.sales', 'at', '2024-01-01', '2024-02-01', '0');
CALL depipe.backfill('bf.sales', 'at', '2024-01-01', '2024-02-01', '-1 day');
CALL depipe.backfill('bf.sales', 'at', '2024-01-01', '2024-02-01', 'often');
CALL depipe.backfill('bf.sales', 'at', '1924-01-01', '2024-02-01', '1 microsecond');
CALL depipe.backfill('bf.sales', 'id', '1', '10', '1.5');
CALL depipe.backfill('bf.sales', 'amount', '1', 'NaN', '1.5');
CALL depipe.backfill('bf.sales', NULL, '1', '10', '1');
CALL depipe.backfill('bf.sales', 'id', '1', '10', '1', restart => NULL);
CALL depipe.backfill('bf.sales', 'id', '1', '10', '1', wait => '-1 s');
CALL depipe.backfill('bf.sale', 'id', '1', '10', '1');
BEGIN;
CALL depipe.backfill('bf.sales', 'id', '1', '10', '1');
ROLLBACK;
DO $$ BEGIN CALL depipe.backfill('bf.sales', 'id', '1', '10', '4'); END $$;
SELECT count(*) FROM depipe.runs WHERE target = 'bf.sales';

-- The trap: a slice contains changes that the frontier does not cover.  Applied once more, they would
-- count twice.
CREATE TABLE event (id integer PRIMARY KEY, day date, n integer);
INSERT INTO event SELECT i, date '2024-01-01' + i % 20, i FROM generate_series(1, 2000) i;
SELECT depipe.create_transform('bf.daily', 'SELECT day, sum(n) AS total, count(*) AS events FROM bf.event GROUP BY day', key => '{day}');
SELECT depipe.create_transform('bf.pairs', 'SELECT day, n % 10 AS last FROM bf.event', key => '{}');
-- keeps numbers beside the table
SELECT depipe.create_transform('bf.means', 'SELECT day, avg(n) AS mean FROM bf.event GROUP BY day', key => '{day}');
SELECT count(*) FROM depipe.refresh('bf.*');
INSERT INTO event VALUES (3001, '2024-01-03', 1000);
SELECT target, strategy FROM depipe.refresh('bf.*') WHERE target <> 'bf.sales' ORDER BY target;
INSERT INTO event VALUES (3002, '2024-01-03', 1000), (3003, '2024-01-12', 100);
UPDATE event SET n = n + 1 WHERE id = 2;
DELETE FROM event WHERE id = 3001;
CALL depipe.backfill('bf.daily', 'day', '2024-01-03', '2024-01-04', '1 day');
CALL depipe.backfill('bf.pairs', 'day', '2024-01-03', '2024-01-04', '1 day');
CALL depipe.backfill('bf.means', 'day', '2024-01-03', '2024-01-04', '1 day');
-- what was pending was published before
SELECT target, started_by, status, strategy, inserted, updated, deleted FROM depipe.runs WHERE started_by = 'backfill' AND target <> 'bf.sales' ORDER BY run_id;
CALL differs('bf.daily');
CALL differs('bf.pairs');
CALL differs('bf.means');
INSERT INTO event VALUES (3004, '2024-01-03', 7);
SELECT target, strategy, reason FROM depipe.refresh('bf.*') WHERE target <> 'bf.sales' ORDER BY target;
CALL differs('bf.daily');
CALL differs('bf.pairs');
CALL differs('bf.means');

-- the changes are not known: the table is compared next time
TRUNCATE event;
INSERT INTO event SELECT i, date '2024-01-01' + i % 20, 2 * i FROM generate_series(1, 2000) i;
CALL depipe.backfill('bf.daily', 'day', '2024-01-03', '2024-01-05', '1 day');
CALL depipe.backfill('bf.pairs', 'day', '2024-01-03', '2024-01-05', '1 day');
CALL depipe.backfill('bf.means', 'day', '2024-01-03', '2024-01-05', '1 day');
INSERT INTO event VALUES (3005, '2024-01-03', 7);
SELECT target, strategy, reason FROM depipe.refresh('bf.*') WHERE target <> 'bf.sales' ORDER BY target;
CALL differs('bf.daily');
CALL differs('bf.pairs');
CALL differs('bf.means');
INSERT INTO event VALUES (3006, '2024-01-03', 7);
SELECT target, strategy, reason FROM depipe.refresh('bf.*') WHERE target <> 'bf.sales' ORDER BY target;
CALL differs('bf.daily');
CALL differs('bf.pairs');
CALL differs('bf.means');

-- rows that were changed by hand come right, and refreshes go on
BEGIN;
SET LOCAL depipe.allow_target_dml = on;
UPDATE daily SET total = 0 WHERE day < '2024-01-08';
COMMIT;
CALL depipe.backfill('bf.daily', 'day', '2024-01-01', '2024-01-06', '2 days');
SELECT day, total FROM daily WHERE day < '2024-01-09' ORDER BY day;
SELECT strategy, reason, updated FROM depipe.refresh('bf.daily');
CALL differs('bf.daily');

-- a key that moves between ranges, and keys that are NULL
CREATE TABLE moving (k integer, part integer, v integer);
INSERT INTO moving SELECT i, i / 10, i FROM generate_series(0, 49) i;
INSERT INTO moving VALUES (NULL, 2, -1);
SELECT depipe.create_transform('bf.moved', 'SELECT k, part, v FROM bf.moving', key => '{k}');
UPDATE moving SET part = 1 WHERE k IN (35, 36) OR k IS NULL;
UPDATE moving SET part = 4 WHERE k = 15;
UPDATE moving SET part = NULL WHERE k = 16;
ALTER TABLE moving DISABLE TRIGGER ALL;
UPDATE moving SET v = v + 100;
ALTER TABLE moving ENABLE TRIGGER ALL;
CALL depipe.backfill('bf.moved', 'part', '1', '2', '1');
SELECT state, ins, upd, del FROM progress WHERE target = 'bf.moved';
SELECT k, part, v FROM moved WHERE part = 1 ORDER BY k;
SELECT count(*), count(DISTINCT k) FROM moved;
CALL depipe.backfill('bf.moved', 'part', '0', '100', '1');
SELECT state, done, slices, ins, upd, del FROM progress WHERE target = 'bf.moved';
CALL differs('bf.moved');
SELECT status, strategy, inserted, updated, deleted FROM depipe.refresh('bf.moved');
CALL differs('bf.moved');

-- a slice that a constraint stops
SELECT depipe.add_constraint('bf.moved', depipe.satisfies('v < 1000'), on_violation => 'reject');
UPDATE moving SET v = v + 1;
UPDATE moving SET v = 5000 WHERE k = 25;
CALL depipe.backfill('bf.moved', 'part', '0', '5', '1');
SELECT * FROM progress WHERE target = 'bf.moved' \gx
SELECT next FROM depipe.backfills WHERE target = 'bf.moved';
SELECT k, v FROM moved WHERE k IN (5, 15, 25) ORDER BY k;
-- it continues there
UPDATE moving SET v = 500 WHERE k = 25;
CALL depipe.backfill('bf.moved', 'part', ' 0', '05', '1');
SELECT state, done, slices FROM progress WHERE target = 'bf.moved';
SELECT status, strategy FROM depipe.refresh('bf.moved');
CALL differs('bf.moved');
-- other arguments begin again, and restart does
UPDATE moving SET v = 5000 WHERE k = 25;
CALL depipe.backfill('bf.moved', 'part', '0', '5', '1');
CALL depipe.backfill('bf.moved', 'part', '1', '5', '1');
CALL depipe.backfill('bf.moved', 'part', '1', '5', '1', restart => true);
SELECT done, slices FROM progress WHERE target = 'bf.moved';
-- as does another definition
SELECT depipe.drop_constraint('bf.moved', name) FROM depipe.constraints WHERE target = 'bf.moved' AND name IS NOT NULL;
SELECT depipe.alter_transform('bf.moved', 'SELECT k, part, v + 0 AS v FROM bf.moving', key => '{k}');
CALL depipe.backfill('bf.moved', 'part', '1', '5', '1');
SELECT state, done, slices FROM progress WHERE target = 'bf.moved';

-- the breaker
SELECT depipe.trip('bf.moved', 'by hand');
CALL depipe.backfill('bf.moved', 'part', '1', '5', '1');
SELECT depipe.reset('bf.moved', 'again');
CALL depipe.backfill('bf.moved', 'part', '1', '5', '1');
SELECT state FROM depipe.breakers WHERE target = 'bf.moved';
SELECT status FROM depipe.refresh('bf.moved');
CALL depipe.backfill('bf.moved', 'part', '1', '5', '1');
SELECT state, done, slices FROM progress WHERE target = 'bf.moved';
SELECT depipe.pause('maintenance', 'bf.moved');
CALL depipe.backfill('bf.moved', 'part', '1', '5', '1');
SELECT count(*) FROM depipe.resume('bf.moved');
-- a key that is not unique
INSERT INTO moving VALUES (11, 1, 1);
CALL depipe.backfill('bf.moved', 'part', '1', '5', '1');
DELETE FROM moving WHERE k = 11 AND v = 1;

-- rows in quarantine are there once
SELECT depipe.create_transform('bf.kept', 'SELECT day, n % 10 AS last FROM bf.event', key => '{}', populate => false);
SELECT depipe.add_constraint('bf.kept', depipe.satisfies('last <> 4'), on_violation => 'quarantine');
CALL depipe.backfill('bf.kept', 'day', '2024-01-01', '2024-01-21', '5 days');
SELECT state, done, slices, quar FROM progress WHERE target = 'bf.kept';
CALL depipe.backfill('bf.kept', 'day', '2024-01-01', '2024-01-21', '5 days');
SELECT state, done, slices, quar FROM progress WHERE target = 'bf.kept';
SELECT count(*) FROM depipe.quarantine WHERE target = 'bf.kept';
SELECT strategy FROM depipe.refresh('bf.kept');
SELECT count(*) FROM depipe.quarantine WHERE target = 'bf.kept';

-- the bounds: months, days of 23 and 25 hours, numbers
CREATE DOMAIN price AS numeric(10, 2);
CREATE TABLE step (tz timestamptz, ts timestamp, d date, i integer, s smallint, b bigint, n numeric, p price);
INSERT INTO step SELECT t, t, t, i, i, 9223372036854775000 + i, i / 4.0, i / 4.0
FROM generate_series(0, 400) i, LATERAL (SELECT timestamptz '2024-03-01' + i * interval '6 hours' AS t) x;
SELECT depipe.create_transform('bf.steps', 'SELECT tz, ts, d, i, s, b, n, p FROM bf.step', key => '{}', populate => false);
CALL depipe.backfill('bf.steps', 'tz', '2024-03-30', '2024-04-02', '1 day');
SELECT slice_since, slice_before, slices FROM depipe.backfills WHERE target = 'bf.steps';
CALL depipe.backfill('bf.steps', 'tz', '2024-03-31', '2024-04-01', '1 day');
SELECT since, before, slices FROM depipe.backfills WHERE target = 'bf.steps';
CALL depipe.backfill('bf.steps', 'd', '2024-01-31', '2024-05-31', '1 month');
SELECT slice_since, slice_before, slices FROM depipe.backfills WHERE target = 'bf.steps';
CALL depipe.backfill('bf.steps', 'd', '2024-01-31', '2024-05-31', '12 hours');
CALL depipe.backfill('bf.steps', 'ts', '2024-03-01', '2024-03-02 00:00:01', '0.5 days');
SELECT slice_since, slice_before, slices FROM depipe.backfills WHERE target = 'bf.steps';
CALL depipe.backfill('bf.steps', 'i', '0', '2147483647', '1000000000');
SELECT slice_since, slice_before, slices FROM depipe.backfills WHERE target = 'bf.steps';
CALL depipe.backfill('bf.steps', 's', '-32768', '32767', '60000');
SELECT slice_since, slice_before, slices FROM depipe.backfills WHERE target = 'bf.steps';
CALL depipe.backfill('bf.steps', 'b', '9223372036854775000', '9223372036854775807', '500');
SELECT slice_since, slice_before, slices FROM depipe.backfills WHERE target = 'bf.steps';
CALL depipe.backfill('bf.steps', 'n', '0', '1', '0.3');
SELECT slice_since, slice_before, slices FROM depipe.backfills WHERE target = 'bf.steps';
CALL depipe.backfill('bf.steps', 'p', '0', '1000', '400');
SELECT slice_since, slice_before, slices FROM depipe.backfills WHERE target = 'bf.steps';
CALL differs('bf.steps');

-- in sessions whose transactions have one snapshot
SET default_transaction_isolation = serializable;
INSERT INTO event VALUES (3007, '2024-01-03', 7);
CALL depipe.backfill('bf.daily', 'day', '2024-01-01', '2024-01-10', '3 days');
SET default_transaction_isolation = 'repeatable read';
INSERT INTO event VALUES (3008, '2024-01-03', 7);
CALL depipe.backfill('bf.daily', 'day', '2024-01-01', '2024-01-10', '3 days');
RESET default_transaction_isolation;
SELECT strategy, reason FROM depipe.refresh('bf.daily');
CALL differs('bf.daily');

-- a row in quarantine has left the range
CREATE TABLE bf.leaves (id int PRIMARY KEY, part int, v int);
INSERT INTO bf.leaves SELECT g, g % 3, g % 50 FROM generate_series(1, 3000) g;
SELECT depipe.create_transform('bf.leaving', 'SELECT id, part, v FROM bf.leaves', key => '{id}');
SELECT depipe.add_constraint('bf.leaving', depipe.satisfies('v < 100'), name => 'good', on_violation => 'quarantine');
UPDATE bf.leaves SET part = 2, v = 500 WHERE id = 3;
SELECT status FROM depipe.refresh('bf.leaving');
CALL depipe.backfill('bf.leaving', 'part', '0', '1', '1');
SELECT status, reason FROM depipe.refresh('bf.leaving');
SELECT "row" FROM depipe.quarantine WHERE target = 'bf.leaving';
SELECT depipe.drop_constraint('bf.leaving', 'good');
SELECT status FROM depipe.refresh('bf.leaving');
CALL differs('bf.leaving');

-- the table is gone
DROP TABLE moved;
CALL depipe.backfill('bf.moved', 'part', '1', '5', '1');

SET client_min_messages = warning;
SELECT count(depipe.drop_constraint(target, name)) FROM depipe.constraints WHERE target LIKE 'bf.%';
SELECT count(depipe.drop_transform(target)) FROM depipe.transforms WHERE target LIKE 'bf.%';
SELECT count(*) FROM depipe.backfills;
RESET search_path;
DROP SCHEMA bf CASCADE;
