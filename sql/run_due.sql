--
-- One pass of what is due: arguments, and where it can be called. The passes are in test/t/020.
--
CALL depipe.run_due(NULL);
CALL depipe.run_due('0');
CALL depipe.run_due('-1 minute');
CALL depipe.run_due('soon');
BEGIN;
CALL depipe.run_due();
ROLLBACK;
DO $$ BEGIN CALL depipe.run_due(); END $$;

-- nothing to do
CALL depipe.run_due();
CALL depipe.run_due(max_duration => '100000 years');
SET depipe.enabled = off;
CALL depipe.run_due();
RESET depipe.enabled;

-- a transform becomes due when its target_lag has passed
CREATE SCHEMA due;
CREATE TABLE due.orders (id int, amount int);
INSERT INTO due.orders VALUES (1, 10);
SELECT depipe.create_transform('due.sales', 'SELECT sum(amount) AS amount FROM due.orders', target_lag => '1 hour');
INSERT INTO due.orders VALUES (2, 20);
CALL depipe.run_due();
TABLE due.sales;
UPDATE depipe.target_state SET data_as_of = data_as_of - interval '2 hours';
CALL depipe.run_due();
TABLE due.sales;
SELECT target, status, started_by FROM depipe.runs WHERE target = 'due.sales' ORDER BY run_id;
SELECT failures, retry_at FROM depipe.attempt WHERE unit LIKE 'target %';

-- what waited for a pause does not wait on when it is over
SELECT depipe.create_transform('due.report', 'SELECT amount FROM due.sales', target_lag => '1 second');
SELECT depipe.pause('a look', 'due.sales');
UPDATE depipe.target_state SET data_as_of = data_as_of - interval '2 hours';
CALL depipe.run_due();
SELECT status, reason FROM depipe.runs WHERE target = 'due.report' ORDER BY run_id DESC LIMIT 1;
SELECT a.failures, a.retry_at IS NOT NULL AS waits FROM depipe.attempt a JOIN depipe.target t ON a.unit = 'target ' || t.target_id
WHERE t.table_name = 'report';
SELECT depipe.resume('due.sales');
SELECT a.failures, a.retry_at IS NOT NULL AS waits FROM depipe.attempt a JOIN depipe.target t ON a.unit = 'target ' || t.target_id
WHERE t.table_name = 'report';
SELECT depipe.pause('a look', 'due.sales', until => now() + interval '1 hour');
CALL depipe.run_due();
UPDATE depipe.target_state SET paused_until = now() - interval '1 second', data_as_of = data_as_of - interval '2 hours' WHERE paused;
CALL depipe.run_due();
SELECT target, state FROM depipe.status WHERE target LIKE 'due.%' ORDER BY 1;
SELECT depipe.drop_transform('due.report', drop_table => true);

-- settings
-- the wording of the range is the server's
\set VERBOSITY sqlstate
SET depipe.history_retention = '-2';
\set VERBOSITY default
SET depipe.history_retention = 'long';
SET depipe.quarantine_retention = '2d';
SHOW depipe.quarantine_retention;
RESET depipe.quarantine_retention;
SHOW depipe.quarantine_retention;
SHOW depipe.history_retention;

SET client_min_messages = warning;
SELECT depipe.drop_transform('due.sales');
DROP SCHEMA due CASCADE;
