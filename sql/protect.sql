--
-- Protected tables: constraints act when others write them, in every way to write.
--
SET client_min_messages TO warning;
CREATE SCHEMA pr;
CREATE ROLE pr_writer;
GRANT USAGE ON SCHEMA pr TO pr_writer;

CREATE TABLE pr.customers (id int PRIMARY KEY);
INSERT INTO pr.customers VALUES (1), (2);
CREATE TABLE pr.orders (id int PRIMARY KEY, customer int, amount int, code text);
SELECT depipe.add_constraint('pr.orders', depipe.satisfies('amount >= 0'), name => 'positive', on_violation => 'reject');
SELECT depipe.add_constraint('pr.orders', depipe.unique('code'), name => 'one_code', on_violation => 'reject');
SELECT depipe.add_constraint('pr.orders', depipe.relationships('customer', 'pr.customers', 'id'), name => 'known',
	on_violation => 'reject', grace => '0');
SELECT depipe.add_constraint('pr.orders', depipe.satisfies('amount < 1000'), name => 'small', on_violation => 'warn');
SELECT depipe.add_constraint('pr.orders', depipe.satisfies('sum(amount) < 100000'), name => 'total');
SELECT depipe.protect('pr.orders');
SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid = 'pr.orders'::regclass AND tgname LIKE 'zz_depipe%' ORDER BY 1;
SELECT name, protected FROM depipe.constraints WHERE target = 'pr.orders' ORDER BY name;

-- good rows pass
INSERT INTO pr.orders VALUES (1, 1, 10, 'a'), (2, 2, 20, 'b');
-- each way to write
INSERT INTO pr.orders VALUES (3, 1, -1, 'c'), (4, 1, 5, 'd'), (5, 1, -2, 'e');
UPDATE pr.orders SET amount = -amount;
COPY pr.orders FROM stdin;
6	1	7	f
7	1	-7	g
\.
INSERT INTO pr.orders VALUES (1, 1, 10, 'a') ON CONFLICT (id) DO UPDATE SET amount = -5;
MERGE INTO pr.orders o USING (VALUES (1, -1), (8, 8)) v (id, amount) ON o.id = v.id
	WHEN MATCHED THEN UPDATE SET amount = v.amount
	WHEN NOT MATCHED THEN INSERT VALUES (v.id, 1, v.amount, 'm');
INSERT INTO pr.orders VALUES (9, 99, 1, 'x');
INSERT INTO pr.orders VALUES (9, 1, 1, 'a');
INSERT INTO pr.orders VALUES (9, 1, 1, 'y'), (10, 1, 1, 'y');
UPDATE pr.orders SET code = 'a' WHERE id = 2;
SELECT * FROM pr.orders ORDER BY id;
-- these pass
UPDATE pr.orders SET amount = amount + 1;
DELETE FROM pr.orders WHERE id = 2;
MERGE INTO pr.orders o USING (VALUES (1, 3), (8, 8)) v (id, amount) ON o.id = v.id
	WHEN MATCHED THEN UPDATE SET amount = v.amount
	WHEN NOT MATCHED THEN INSERT VALUES (v.id, 1, v.amount, 'm');
-- a warning is recorded
INSERT INTO pr.orders VALUES (20, 1, 5000, 'w');
CALL depipe.run_due();
SELECT constraint_name, state, action, evaluated, violations, strategy FROM depipe.verdicts
WHERE target = 'pr.orders' AND strategy = 'write' ORDER BY verdict_id;
SELECT constraint_name, state FROM depipe.incidents WHERE target = 'pr.orders';
DELETE FROM pr.orders WHERE id = 20;

-- the writer needs no rights on the reference, and sees no keys that it may not read
GRANT INSERT ON pr.orders TO pr_writer;
SET ROLE pr_writer;
INSERT INTO pr.orders VALUES (30, 2, 3, 'p');
INSERT INTO pr.orders VALUES (31, 77, 3, 'q');
INSERT INTO pr.orders VALUES (31, 1, -3, 'q');
RESET ROLE;
GRANT SELECT (id) ON pr.orders TO pr_writer;
SET ROLE pr_writer;
INSERT INTO pr.orders VALUES (31, 1, -3, 'q');
-- what the writer plants is not called
RESET ROLE;
CREATE SCHEMA pr_planted AUTHORIZATION pr_writer;
SET ROLE pr_writer;
CREATE FUNCTION pr_planted.ge(int, int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'planted'; END $$;
CREATE OPERATOR pr_planted.>= (LEFTARG = int, RIGHTARG = int, FUNCTION = pr_planted.ge);
SET search_path TO pr_planted, pg_catalog;
INSERT INTO pr.orders VALUES (32, 2, 3, 'r');
RESET search_path;
RESET ROLE;

-- partitions and children, each written by itself or through the root, and rows that move
CREATE TABLE pr.root (part int, amount int) PARTITION BY LIST (part);
CREATE TABLE pr.leaf_1 PARTITION OF pr.root FOR VALUES IN (1);
CREATE TABLE pr.leaf_2 (amount int, gone int, part int);
ALTER TABLE pr.leaf_2 DROP COLUMN gone;
ALTER TABLE pr.root ATTACH PARTITION pr.leaf_2 FOR VALUES IN (2);
SELECT depipe.add_constraint('pr.root', depipe.satisfies('amount + part > 0'), name => 'sum', on_violation => 'reject');
SELECT depipe.protect('pr.root');
INSERT INTO pr.root VALUES (1, 5), (2, -1);
INSERT INTO pr.root VALUES (1, 5), (2, -5);
INSERT INTO pr.leaf_2 VALUES (-7, 2);
INSERT INTO pr.leaf_1 VALUES (1, -7);
UPDATE pr.root SET part = 1 WHERE part = 2;
CREATE TABLE pr.leaf_3 PARTITION OF pr.root FOR VALUES IN (3);
INSERT INTO pr.root VALUES (3, -9);
SELECT * FROM pr.root ORDER BY 1, 2;
CREATE TABLE pr.parent (n int);
CREATE TABLE pr.child (extra text) INHERITS (pr.parent);
SELECT depipe.add_constraint('pr.parent', depipe.satisfies('n > 0'), name => 'n', on_violation => 'reject');
SELECT depipe.protect('pr.parent');
INSERT INTO pr.child VALUES (-1, 'x');
INSERT INTO pr.child VALUES (1, 'x');
UPDATE pr.parent SET n = -1;

-- cascades of foreign keys
CREATE TABLE pr.up (id int PRIMARY KEY);
CREATE TABLE pr.down (id int REFERENCES pr.up ON UPDATE CASCADE ON DELETE SET NULL);
INSERT INTO pr.up VALUES (1);
INSERT INTO pr.down VALUES (1);
SELECT depipe.add_constraint('pr.down', depipe.satisfies('id < 10'), name => 'low', on_violation => 'reject');
SELECT depipe.add_constraint('pr.down', depipe.not_null('id'), name => 'set', on_violation => 'reject');
SELECT depipe.protect('pr.down');
UPDATE pr.up SET id = 100;
DELETE FROM pr.up;
UPDATE pr.up SET id = 2;
SELECT * FROM pr.down;

-- rows set aside
CREATE TABLE pr.aside (id int PRIMARY KEY, n int, big int GENERATED ALWAYS AS (n * 2) STORED);
SELECT depipe.add_constraint('pr.aside', depipe.satisfies('n >= 0'), name => 'n', on_violation => 'quarantine');
SELECT depipe.add_constraint('pr.aside', depipe.satisfies('100 / n > 0'), name => 'divides', on_violation => 'quarantine');
SELECT depipe.add_constraint('pr.aside', depipe.satisfies('big < 100'), name => 'big', on_violation => 'quarantine');
SELECT depipe.protect('pr.aside');
\set QUIET off
INSERT INTO pr.aside VALUES (1, 1), (2, -2), (3, 3), (4, 0);
UPDATE pr.aside SET n = n - 2;
INSERT INTO pr.aside VALUES (5, 60);
\set QUIET on
COPY pr.aside (id, n) FROM stdin;
6	6
7	-7
\.
SELECT id, n FROM pr.aside ORDER BY id;
SELECT "row" ->> 'id' AS id, "row" ->> 'n' AS n FROM depipe.quarantine WHERE target = 'pr.aside' ORDER BY 1, 2;

-- while the breaker is open, writes are refused; after the wait the next one is the probe
SELECT depipe.trip('pr.orders', 'a test');
INSERT INTO pr.orders VALUES (40, 1, 1, 'z');
UPDATE pr.orders SET amount = 1;
DELETE FROM pr.orders WHERE id = 30;
SELECT depipe.reset('pr.orders', 'a test');
INSERT INTO pr.orders VALUES (40, 1, -1, 'z');
SELECT state FROM depipe.breakers WHERE target = 'pr.orders';
INSERT INTO pr.orders VALUES (40, 1, 1, 'z');
SELECT state FROM depipe.breakers WHERE target = 'pr.orders';
SELECT depipe.override('pr.orders', 'a test', now() + interval '1 hour');
INSERT INTO pr.orders VALUES (41, 1, -1, 'zz');
SELECT depipe.reset('pr.orders', 'a test');

-- nothing of the owner's is evaluated as the writer, with strange settings or without
CREATE ROLE pr_owner LOGIN;
GRANT USAGE, CREATE ON SCHEMA pr TO pr_owner;
GRANT USAGE ON SCHEMA depipe TO pr_owner;
SET ROLE pr_owner;
SET DateStyle TO 'German, DMY';
CREATE TABLE pr.owned (d date, who text);
CREATE FUNCTION pr.is_owner(text) RETURNS bool STABLE LANGUAGE plpgsql AS $$
BEGIN
	IF current_user <> 'pr_owner' THEN RAISE EXCEPTION 'evaluated as %', current_user; END IF;
	RETURN true;
END $$;
SELECT depipe.add_constraint('pr.owned', depipe.satisfies('pr.is_owner(who)'), name => 'owner', on_violation => 'reject');
SELECT depipe.add_constraint('pr.owned', depipe.satisfies($$d > '2.3.2020'$$), name => 'late', on_violation => 'reject');
SELECT depipe.protect('pr.owned');
RESET DateStyle;
RESET ROLE;
INSERT INTO pr.owned VALUES ('2020-03-03', 'x');
INSERT INTO pr.owned VALUES ('2020-03-01', 'x');
SET ROLE pr_owner;
SELECT depipe.protect('pr.orders');
RESET ROLE;

-- a constraint that is declared later, and one that cannot be evaluated
SELECT depipe.add_constraint('pr.child', depipe.not_null('extra'), name => 'extra');
ALTER TABLE pr.down ADD COLUMN more int;
SELECT depipe.add_constraint('pr.down', depipe.satisfies('more > 0'), name => 'more', on_violation => 'quarantine');
INSERT INTO pr.down VALUES (NULL, 1);
INSERT INTO pr.up VALUES (3);
INSERT INTO pr.down VALUES (3, -1);
SELECT * FROM pr.down;
ALTER TABLE pr.down DROP COLUMN more;
INSERT INTO pr.down VALUES (3);

-- a partition, and a MERGE that only updates and moves the row
SELECT depipe.add_constraint('pr.leaf_1', depipe.satisfies('amount > 0'), name => 'leaf', on_violation => 'reject');
SELECT depipe.protect('pr.leaf_1');
SELECT depipe.drop_constraint('pr.leaf_1', 'leaf');
CREATE TABLE pr.move (part int, v int) PARTITION BY LIST (part);
CREATE TABLE pr.move_1 PARTITION OF pr.move FOR VALUES IN (1);
CREATE TABLE pr.move_2 PARTITION OF pr.move FOR VALUES IN (2);
INSERT INTO pr.move VALUES (1, 5);
SELECT depipe.add_constraint('pr.move', depipe.satisfies('v > 0'), name => 'positive', on_violation => 'reject');
SELECT depipe.protect('pr.move');
MERGE INTO pr.move USING (VALUES (1)) s (x) ON part = x WHEN MATCHED THEN UPDATE SET v = -5;
MERGE INTO pr.move USING (VALUES (1)) s (x) ON part = x WHEN MATCHED THEN UPDATE SET v = -5, part = 2;
MERGE INTO pr.move USING (VALUES (1)) s (x) ON part = x WHEN MATCHED THEN UPDATE SET v = 6, part = 2;
SELECT * FROM pr.move;

-- a good version replaces what was set aside
CREATE TABLE pr.later (id int PRIMARY KEY, v int);
SELECT depipe.add_constraint('pr.later', depipe.satisfies('v > 0'), name => 'positive', on_violation => 'quarantine');
SELECT depipe.protect('pr.later');
INSERT INTO pr.later VALUES (1, -1), (2, -2), (3, 3);
INSERT INTO pr.later VALUES (1, 1);
SELECT "row" FROM depipe.quarantine WHERE target = 'pr.later';
SELECT depipe.release('pr.later', 'try again');
SELECT depipe.discard('pr.later', 'written again');

-- a large statement whose rows are looked up
CREATE TABLE pr.large (id int, t text);
SELECT depipe.add_constraint('pr.large', depipe.unique('id'), name => 'once', on_violation => 'reject');
SELECT depipe.protect('pr.large');
SET work_mem = '64kB';
INSERT INTO pr.large SELECT g, repeat('x', 100) FROM generate_series(1, 5000) g;
RESET work_mem;

-- what makes no sense
CREATE VIEW pr.view AS SELECT * FROM pr.orders;
SELECT depipe.add_constraint('pr.view', depipe.not_null('id'));
SELECT depipe.protect('pr.view');
SELECT depipe.protect('pr.nosuch');
SELECT depipe.protect(NULL);
SELECT depipe.unprotect('pr.view');
SELECT count(*) FROM depipe.definition('pr.*') d WHERE d LIKE 'SELECT depipe.protect(%';

-- unprotected
SELECT depipe.unprotect('pr.orders');
INSERT INTO pr.orders VALUES (50, 1, -1, 'u');
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'pr.orders'::regclass AND tgname LIKE 'zz_depipe%';
SELECT depipe.unprotect('pr.orders');

SET client_min_messages TO error;
DROP SCHEMA pr CASCADE;
DROP SCHEMA pr_planted CASCADE;
DELETE FROM depipe.target;
REVOKE ALL ON SCHEMA depipe FROM pr_owner;
DROP ROLE pr_owner, pr_writer;
