--
-- Transforms behind gates: what a breaker, a rejected batch and quarantined
-- rows do to what reads the table.
--
CREATE SCHEMA raw;
CREATE SCHEMA mart;
CREATE TABLE raw.orders (id integer PRIMARY KEY, region text, amount integer);
INSERT INTO raw.orders SELECT i, 'r' || i % 3, i FROM generate_series(1, 6) i;
SELECT depipe.create_transform('mart.orders', 'SELECT id, region, amount FROM raw.orders');
SELECT depipe.create_transform('mart.sales', 'SELECT region, sum(amount) AS amount FROM mart.orders GROUP BY region');
SELECT depipe.create_transform('mart.regions', 'SELECT count(*) AS n FROM mart.sales');
SELECT depipe.create_transform('mart.complete', 'SELECT count(*) AS n FROM mart.sales', on_incomplete => 'block');
SELECT depipe.create_transform('mart.aside', 'SELECT count(*) AS n FROM raw.orders');
SELECT depipe.add_constraint('mart.orders', depipe.satisfies('amount >= 0'), on_violation => 'quarantine');
SELECT depipe.add_constraint('mart.sales', depipe.satisfies('sum(amount) < 1000'));

-- quarantine: the rest is published, and who wants complete inputs waits
INSERT INTO raw.orders VALUES (7, 'new', -7), (8, 'new', 8);
UPDATE raw.orders SET amount = -1 WHERE id = 1;
SELECT target, status, reason, inserted, updated, deleted, quarantined FROM depipe.refresh('mart.*');
SELECT target, state, incomplete, next FROM depipe.status;
SELECT * FROM mart.orders WHERE id IN (1, 7, 8) ORDER BY id;
SELECT * FROM depipe.verify('mart.orders') ORDER BY key;
SELECT * FROM depipe.verify('mart.orders', 'counts');
SELECT count(*) FROM depipe.verify('mart.sales');
-- evaluated again at each refresh, never twice in quarantine
SELECT target, status, inserted, updated, deleted, quarantined FROM depipe.refresh('mart.orders');
SELECT count(*) FROM depipe.quarantine;
-- better rows leave it, and so do rows that are gone
UPDATE raw.orders SET amount = 1 WHERE id = 1;
SELECT target, status, inserted, updated, deleted, quarantined FROM depipe.refresh('mart.orders');
DELETE FROM raw.orders WHERE id = 7;
SELECT count(*) FROM depipe.refresh('mart.*') WHERE status IN ('blocked', 'failed');
SELECT count(*) FROM depipe.quarantine;
SELECT target, state, incomplete FROM depipe.status;

-- break: nothing is published, readers keep the last good version
INSERT INTO raw.orders VALUES (9, 'new', 5000);
SELECT target, status, reason, inserted FROM depipe.refresh('mart.*');
SELECT sum(amount) FROM mart.sales;
SELECT target, state, reason, next FROM depipe.status WHERE state <> 'ok';
SELECT path, reason FROM depipe.conditions() WHERE path IS NOT NULL ORDER BY path;
SELECT difference, key, explained_by FROM depipe.verify('mart.sales');
SELECT target, status, strategy FROM depipe.refresh('mart.sales');
-- trip upstream: the root of it all is named
SELECT depipe.trip('mart.orders', 'maintenance');
SELECT target, state, reason FROM depipe.status WHERE state <> 'ok';
SELECT target, status, reason FROM depipe.refresh('mart.regions', upstream => true);
SELECT depipe.reset('mart.orders', 'done');
-- fixed at the source, and tried again
DELETE FROM raw.orders WHERE id = 9;
SELECT depipe.reset('mart.sales', 'fixed');
SELECT target, status FROM depipe.refresh('mart.*');
SELECT target, state, reason FROM depipe.status WHERE state <> 'ok';
SELECT target, (SELECT count(*) FROM depipe.verify(target)) AS differences FROM depipe.transforms ORDER BY target;

-- a reader who may not see the cause is not told its name
CREATE ROLE regress_dp_reader;
GRANT USAGE ON SCHEMA mart TO regress_dp_reader;
GRANT SELECT ON mart.regions TO regress_dp_reader;
SELECT depipe.trip('mart.sales', 'secret');
SET ROLE regress_dp_reader;
SELECT target, state, reason FROM depipe.status;
SELECT target, state, reason FROM depipe.transforms;
SELECT path, reason FROM depipe.conditions() WHERE path IS NOT NULL ORDER BY path;
RESET ROLE;

-- a table that was constrained before it became a transform's, and stays so
CREATE TABLE mart.guarded (n bigint);
SELECT depipe.add_constraint('mart.guarded', depipe.satisfies('n < 100'), name => 'small');
SELECT depipe.create_transform('mart.guarded', 'SELECT count(*) AS n FROM raw.orders');
SELECT kind, state FROM depipe.status WHERE target = 'mart.guarded';
SELECT depipe.drop_transform('mart.guarded');
SELECT kind, state FROM depipe.status WHERE target = 'mart.guarded';
-- the first contents do not pass
DELETE FROM mart.guarded;
SELECT depipe.create_transform('mart.guarded', 'SELECT count(*) + 1000 AS n FROM raw.orders');
TABLE mart.guarded;
SELECT kind, state, reason FROM depipe.status WHERE target = 'mart.guarded';
-- a definition with another key is replaced with contents that pass, or not at all
SELECT depipe.create_transform('mart.guarded', 'SELECT DISTINCT 2000::bigint AS n FROM raw.orders', replace => true);
SELECT query_sql, key_columns FROM depipe.transforms WHERE target = 'mart.guarded';

SET client_min_messages = warning;
DROP EXTENSION depipe;
DROP SCHEMA raw, mart CASCADE;
DROP ROLE regress_dp_reader;
CREATE EXTENSION depipe;
