--
-- The graph of transforms: order, cycles, what blocks what, one snapshot.
--
CREATE SCHEMA raw;
CREATE SCHEMA mart;
CREATE TABLE raw.sale (id integer PRIMARY KEY, shop integer, amount integer);
CREATE TABLE raw.shop (id integer PRIMARY KEY, name text);
INSERT INTO raw.shop VALUES (1, 'one'), (2, 'two');
INSERT INTO raw.sale SELECT i, 1 + i % 2, i FROM generate_series(1, 10) i;

-- a diamond: top reads left and right, both read base
SELECT depipe.create_transform('mart.base', 'SELECT s.id, h.name, s.amount FROM raw.sale s JOIN raw.shop h ON h.id = s.shop', key => '{id}');
SELECT depipe.create_transform('mart.left', 'SELECT name, sum(amount) AS amount FROM mart.base GROUP BY name');
SELECT depipe.create_transform('mart.right', 'SELECT name, count(*) AS n FROM mart.base GROUP BY name');
CREATE VIEW mart.both AS SELECT name, amount, n FROM mart."left" JOIN mart."right" USING (name);
SELECT depipe.create_transform('mart.top', 'SELECT sum(amount) AS amount, sum(n) AS n FROM mart.both');
SELECT depipe.create_transform('mart.aside', 'SELECT count(*) AS n FROM raw.shop');
TABLE mart.top;
SELECT * FROM depipe.lineage ORDER BY target, input;

-- with upstream: in order, each once, all from one snapshot
INSERT INTO raw.sale VALUES (11, 1, 100);
SELECT target, status, inserted, updated, deleted FROM depipe.refresh('mart.top', upstream => true);
TABLE mart.top;
-- without: only what was named
INSERT INTO raw.sale VALUES (12, 1, 1000);
SELECT target, status FROM depipe.refresh('mart.top');
SELECT target, status FROM depipe.refresh('mart.*');
TABLE mart.top;

-- a cycle is refused with its path, also through a view, and at once
SELECT depipe.create_transform('mart.base', 'SELECT 1 AS id, name, 1 AS amount FROM mart."left"', key => '{id}', replace => true);
SELECT depipe.create_transform('mart.base', 'SELECT 1 AS id, ''''::text AS name, t.n::int AS amount FROM mart.top t', key => '{id}', replace => true);
SELECT depipe.create_transform('mart.aside', 'SELECT n FROM mart.aside', replace => true);
CREATE VIEW mart.self AS SELECT n FROM mart.aside;
SELECT depipe.create_transform('mart.aside', 'SELECT n FROM mart.self', replace => true);

-- ... and when a view is replaced under a transform
SELECT depipe.create_transform('mart.low', 'SELECT 1 AS n');
CREATE VIEW mart.window AS SELECT n FROM mart.low;
SELECT depipe.create_transform('mart.high', 'SELECT n FROM mart.window');
SELECT depipe.create_transform('mart.higher', 'SELECT n FROM mart.high');
CREATE OR REPLACE VIEW mart.window AS SELECT n FROM mart.higher;
SELECT status, reason FROM depipe.refresh('mart.high');
CREATE OR REPLACE VIEW mart.window AS SELECT n + 1 AS n FROM mart.low;
SELECT target, status FROM depipe.refresh('mart.high*');
TABLE mart.higher;

-- a node that fails blocks what reads it, and only that
INSERT INTO raw.shop VALUES (3, NULL);
SELECT depipe.create_transform('mart.fragile', 'SELECT id, 1 / amount AS inverse FROM mart.base', key => '{id}');
SELECT depipe.create_transform('mart.after', 'SELECT count(*) AS n FROM mart.fragile');
SELECT depipe.create_transform('mart.last', 'SELECT n FROM mart.after');
INSERT INTO raw.sale VALUES (13, 2, 0);
SELECT target, status, reason FROM depipe.refresh('mart.*') ORDER BY target;
SELECT target, state, reason, next FROM depipe.status WHERE state <> 'ok';
SELECT target, state, reason FROM depipe.transforms WHERE state <> 'ok' ORDER BY target;
SELECT n FROM mart.last;
-- one blocked earlier is not blocked for ever
DELETE FROM raw.sale WHERE id = 13;
SELECT target, status FROM depipe.refresh('mart.last');
SELECT target, status FROM depipe.refresh('mart.last', upstream => true);
SELECT count(*) FROM depipe.status WHERE state <> 'ok';
SELECT target, event, state, reason FROM depipe.events WHERE target = 'mart.last' ORDER BY event_id;

-- never populated: readers wait
SELECT depipe.create_transform('mart.unborn', 'SELECT 1 AS n', populate => false);
SELECT depipe.create_transform('mart.child', 'SELECT n FROM mart.unborn');
SELECT target, state, reason, next FROM depipe.status WHERE state <> 'ok';
SELECT target, status FROM depipe.refresh('mart.child', upstream => true);
TABLE mart.child;

-- a missing input
DROP TABLE mart.unborn;
SELECT target, status, reason FROM depipe.refresh('mart.child');
SELECT target, state, next FROM depipe.status WHERE state <> 'ok';
SELECT target, status, reason, error_sqlstate FROM depipe.runs WHERE target = 'mart.child' ORDER BY run_id DESC LIMIT 1;
SELECT target, status, reason FROM depipe.refresh('mart.unborn');
SELECT depipe.drop_transform('mart.unborn');
SELECT target, status, reason FROM depipe.refresh('mart.child');

-- dropping what others read
SELECT depipe.drop_transform('mart.base', drop_table => true);
SELECT depipe.drop_transform('mart.base');
SELECT target, status FROM depipe.refresh('mart.top', upstream => true);

-- inside a transaction that has written, and what an error leaves
BEGIN;
INSERT INTO raw.shop VALUES (4, 'four');
SELECT target, status, updated FROM depipe.refresh('mart.aside');
INSERT INTO raw.shop VALUES (5, 'five');
SELECT target, status, inserted FROM depipe.refresh('mart.aside');
TABLE mart.aside;
ROLLBACK;
TABLE mart.aside;
BEGIN ISOLATION LEVEL REPEATABLE READ;
INSERT INTO raw.shop VALUES (4, 'four');
SELECT target, status, inserted, deleted FROM depipe.refresh('mart.aside');
SAVEPOINT s;
DELETE FROM raw.shop WHERE id > 2;
SELECT target, status, inserted, deleted FROM depipe.refresh('mart.aside');
TABLE mart.aside;
ROLLBACK TO s;
TABLE mart.aside;
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
INSERT INTO raw.shop VALUES (6, 'six');
SELECT target, status, inserted, deleted FROM depipe.refresh('mart.aside');
COMMIT;
SELECT * FROM depipe.verify('mart.aside');

-- refresh needs a target that can be refreshed
SELECT * FROM depipe.refresh('raw.sale');
SELECT * FROM depipe.refresh('mart.base');
SELECT target, path, reason FROM depipe.conditions() WHERE path IS NOT NULL;

SET client_min_messages = warning;
DROP SCHEMA raw, mart CASCADE;
SELECT target, state FROM depipe.status ORDER BY 1;
DROP EXTENSION depipe;
CREATE EXTENSION depipe;
