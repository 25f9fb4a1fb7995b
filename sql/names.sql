--
-- Tables that are renamed, dropped and come back: what becomes of a name is
-- decided at commit.
--
CREATE SCHEMA raw;
CREATE SCHEMA mart;
CREATE TABLE raw.orders (id integer PRIMARY KEY, region text, amount integer);
INSERT INTO raw.orders VALUES (1, 'north', 10), (2, 'south', 20);
CREATE VIEW raw.named AS SELECT region AS name, amount FROM raw.orders;
SELECT depipe.create_transform('mart.sales', 'SELECT region, sum(amount) AS amount FROM raw.orders GROUP BY region');
SELECT depipe.create_transform('mart.total', 'SELECT sum(amount) AS amount FROM mart.sales');
SELECT depipe.create_transform('mart.joined', 'SELECT o.id, n.name FROM raw.orders o JOIN raw.named n ON n.name = o.region', key => '{}');
CREATE VIEW definitions AS SELECT target, inputs, query_sql FROM depipe.transforms ORDER BY target;
\pset format unaligned
TABLE definitions;

-- renamed: followed, tables and columns and schemas
ALTER TABLE raw.orders RENAME TO sales;
ALTER TABLE raw.sales RENAME COLUMN amount TO "Amount €";
ALTER TABLE raw.sales RENAME COLUMN region TO area;
TABLE definitions;
SELECT target, status FROM depipe.refresh('mart.*');
ALTER TABLE mart.sales RENAME TO revenue;
ALTER SCHEMA raw RENAME TO "R aw";
ALTER VIEW "R aw".named SET SCHEMA mart;
ALTER TABLE mart.revenue SET SCHEMA "R aw";
TABLE definitions;
SELECT * FROM depipe.lineage ORDER BY target, input;
SELECT target, state FROM depipe.status;
INSERT INTO "R aw".sales VALUES (3, 'north', 5);
SELECT target, status, updated FROM depipe.refresh('mart.total', upstream => true);
TABLE mart.total;
INSERT INTO "R aw".revenue VALUES ('x', 1);

-- several renames in one transaction, and one that is rolled back
BEGIN;
ALTER TABLE "R aw".revenue SET SCHEMA mart;
ALTER TABLE mart.revenue RENAME TO x;
ALTER TABLE mart.x RENAME TO sales;
ALTER SCHEMA "R aw" RENAME TO raw;
ALTER TABLE raw.sales RENAME COLUMN "Amount €" TO amount;
SAVEPOINT s;
ALTER TABLE mart.sales RENAME TO lost;
ROLLBACK TO s;
COMMIT;
TABLE definitions;
BEGIN;
ALTER TABLE mart.sales RENAME TO never;
ROLLBACK;
SELECT target FROM definitions;

-- swapped, as dbt does it: definitions stay with the name
BEGIN;
CREATE TABLE raw.sales__tmp (id bigint, area text, amount integer);
INSERT INTO raw.sales__tmp VALUES (1, 'west', 7);
ALTER TABLE raw.sales RENAME TO sales__backup;
ALTER TABLE raw.sales__tmp RENAME TO sales;
DROP TABLE raw.sales__backup CASCADE;
COMMIT;
SELECT target, inputs FROM definitions;
SELECT target, status, reason, inserted, deleted FROM depipe.refresh('mart.total', upstream => true);
TABLE mart.total;
-- the new table is followed again
ALTER TABLE raw.sales RENAME TO orders;
SELECT target, inputs, query_sql FROM definitions WHERE target = 'mart.sales';

-- an input is dropped, and comes back
DROP TABLE raw.orders CASCADE;
SELECT target, status, reason FROM depipe.refresh('mart.sales');
SELECT target, status, reason FROM depipe.refresh('mart.joined');
CREATE TABLE raw.orders AS SELECT 1 AS id, 'east'::text AS area, 3 AS amount;
SELECT target, status, reason FROM depipe.refresh('mart.sales');
TABLE mart.sales;
-- with other columns
DROP TABLE raw.orders;
CREATE TABLE raw.orders (id integer, area text);
SELECT target, status, reason FROM depipe.refresh('mart.sales');
SELECT error_sqlstate, error_message FROM depipe.runs WHERE target = 'mart.sales' ORDER BY run_id DESC LIMIT 1;
DROP TABLE raw.orders;
CREATE TABLE raw.orders AS SELECT 1 AS id, 'east'::text AS area, 4 AS amount;

-- a column that a query uses is dropped
ALTER TABLE raw.orders DROP COLUMN amount;
SELECT target, status, reason FROM depipe.refresh('mart.sales');
ALTER TABLE raw.orders ADD COLUMN amount integer DEFAULT 6;
SELECT target, status, reason FROM depipe.refresh('mart.sales');
TABLE mart.sales;

-- the target is dropped, and comes back: guarded again, with its key
DROP TABLE mart.sales;
SELECT target, state, next FROM depipe.status WHERE target = 'mart.sales';
SELECT state FROM depipe.transforms WHERE target = 'mart.sales';
SELECT target, status, reason FROM depipe.refresh('mart.sales');
SELECT target, status, reason FROM depipe.refresh('mart.total');
CREATE TABLE mart.sales (region text, amount bigint);
SELECT target, status, reason FROM depipe.refresh('mart.total', upstream => true);
\pset format aligned
\d mart.sales
INSERT INTO mart.sales VALUES ('x', 1);
SELECT target, event, state, reason FROM depipe.events
WHERE event IN ('renamed', 'bound', 'missing') ORDER BY event_id;

-- an input is broken: the state says so at once, what is below is blocked with the path, and it heals by itself
CREATE TABLE raw.price (id integer PRIMARY KEY, region text, amount integer, other integer);
INSERT INTO raw.price VALUES (1, 'a', 1, 1);
SELECT depipe.create_transform('mart.prices', 'SELECT region, sum(amount) AS amount FROM raw.price GROUP BY region');
SELECT depipe.create_transform('mart.below', 'SELECT sum(amount) AS amount FROM mart.prices');
CREATE VIEW broken AS SELECT target, state, reason, next FROM depipe.status WHERE target IN ('mart.prices', 'mart.below') ORDER BY 1;
ALTER TABLE raw.price ADD COLUMN more integer;
ALTER TABLE raw.price DROP COLUMN other;
ALTER TABLE raw.price ALTER COLUMN more TYPE bigint;
TABLE broken;
SELECT target, status, reason FROM depipe.refresh('mart.below', upstream => true);
-- a column is dropped
ALTER TABLE raw.price DROP COLUMN amount;
TABLE broken;
SELECT state, reason FROM depipe.transforms WHERE target = 'mart.prices';
SELECT depth, target, state, reason, next FROM depipe.why('mart.below');
SELECT target, status, reason FROM depipe.refresh('mart.below', upstream => true);
CALL depipe.run('mart.prices');
CALL depipe.wait('mart.prices', 'broken');
CALL depipe.wait('mart.below');
TABLE broken;
TABLE mart.prices;
TABLE mart.below;
ALTER TABLE raw.price ADD COLUMN amount integer DEFAULT 5;
TABLE broken;
SELECT target, status, inserted, updated FROM depipe.refresh('mart.below', upstream => true);
TABLE broken;
TABLE mart.below;
-- a type that changes the result
ALTER TABLE raw.price ALTER COLUMN amount TYPE bigint;
TABLE broken;
SELECT target, status, reason FROM depipe.refresh('mart.below', upstream => true);
SELECT depipe.alter_transform('mart.prices', dry_run => true);
SELECT depipe.alter_transform('mart.prices');
TABLE broken;
SELECT target, status FROM depipe.refresh('mart.below', upstream => true);
TABLE mart.below;
-- the input is gone, and comes back
DROP TABLE raw.price;
TABLE broken;
SELECT target, status, reason FROM depipe.refresh('mart.below', upstream => true);
SELECT state FROM depipe.transforms WHERE target = 'mart.prices';
SELECT target, event, state FROM depipe.events WHERE target = 'mart.prices' AND event = 'transform' ORDER BY event_id;
CREATE TABLE raw.price (id integer, region text, amount bigint);
INSERT INTO raw.price VALUES (2, 'b', 7);
TABLE broken;
SELECT target, status, inserted, deleted FROM depipe.refresh('mart.below', upstream => true);
TABLE broken;
-- renamed inside of a view, of a schema, and its columns
CREATE VIEW raw.viewed AS SELECT region AS r, amount AS a FROM raw.price;
SELECT depipe.create_transform('mart.through', 'SELECT r, sum(a) AS a FROM raw.viewed GROUP BY r');
ALTER TABLE raw.price RENAME COLUMN region TO area;
ALTER TABLE raw.price RENAME TO tariff;
ALTER VIEW raw.viewed RENAME COLUMN a TO "A b";
SET client_min_messages = warning;
CREATE SCHEMA raw2;
RESET client_min_messages;
ALTER TABLE raw.tariff SET SCHEMA raw2;
ALTER SCHEMA raw2 RENAME TO raw3;
INSERT INTO raw3.tariff VALUES (3, 'c', 1);
SELECT target, status, strategy, inserted FROM depipe.refresh('mart.through');
SELECT query_sql FROM depipe.transforms WHERE target = 'mart.through';
DROP VIEW raw.viewed;
SELECT target, state, reason FROM depipe.status WHERE target = 'mart.through';
DROP VIEW broken;
SET client_min_messages = warning;
SELECT count(depipe.drop_transform(target, true)) FROM unnest(ARRAY['mart.through', 'mart.below', 'mart.prices']) AS target;
DROP SCHEMA raw3 CASCADE;
RESET client_min_messages;

-- a name that another definition has is not taken
SELECT depipe.create_transform('mart.one', 'SELECT 1 AS n');
SELECT depipe.create_transform('mart.two', 'SELECT 2 AS n');
BEGIN;
DROP TABLE mart.two;
ALTER TABLE mart.one RENAME TO two;
COMMIT;
SELECT target, state FROM depipe.status WHERE target IN ('mart.one', 'mart.two');

-- prepared transactions and procedures commit, too
CREATE PROCEDURE public.renames() LANGUAGE plpgsql AS $$
BEGIN
	ALTER TABLE mart.total RENAME TO total_1;
	COMMIT;
	ALTER TABLE mart.total_1 RENAME TO total_2;
END
$$;
CALL public.renames();
SELECT target FROM definitions WHERE target LIKE 'mart.total%';
BEGIN;
ALTER TABLE mart.total_2 RENAME TO total;
PREPARE TRANSACTION 'regress_dp_names';
COMMIT PREPARED 'regress_dp_names';
SELECT target FROM definitions WHERE target LIKE 'mart.total%';

-- somebody without any rights on depipe renames what is his
CREATE ROLE regress_dp_names LOGIN;
GRANT ALL ON SCHEMA mart TO regress_dp_names;
ALTER TABLE mart.total OWNER TO regress_dp_names;
SET ROLE regress_dp_names;
ALTER TABLE mart.total RENAME TO his;
CREATE TEMP TABLE passing AS SELECT 1 AS a;
DROP TABLE passing;
RESET ROLE;
SELECT target FROM definitions WHERE target LIKE 'mart.%i%s';

-- the extension goes while names change
DROP VIEW definitions;
BEGIN;
ALTER TABLE mart.his RENAME TO total;
SET LOCAL client_min_messages = warning;
DROP EXTENSION depipe CASCADE;
COMMIT;
ALTER TABLE mart.total RENAME TO his;

SET client_min_messages = warning;
DROP SCHEMA raw, mart CASCADE;
DROP PROCEDURE public.renames();
DROP ROLE regress_dp_names;
CREATE EXTENSION depipe;
