--
-- What a batch really changes in its target: kept state is right whatever else writes the table,
-- and whatever the table makes of the rows.
--
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE SCHEMA kc;
CREATE TABLE kc.src (id int PRIMARY KEY, parent int, n int);
INSERT INTO kc.src SELECT i, i % 5, i FROM generate_series(1, 50) i;
SELECT depipe.create_transform('kc.t', 'SELECT * FROM kc.src', key => '{id}');
-- what the last batch said, how it found it, and what the table has
CREATE FUNCTION kc.go(target text) RETURNS TABLE (status text, rows bigint, sum text, strategy text, right_now boolean, wrong jsonb)
LANGUAGE plpgsql AS $$
BEGIN
	SELECT r.status INTO status FROM depipe.refresh(target) r;
	SELECT v.evaluated, v.metric, v.strategy INTO rows, sum, strategy FROM depipe.verdict v JOIN depipe.target t USING (target_id)
	WHERE t.schema_name || '.' || t.table_name = target AND v.constraint_name = 'sum' AND v.run_id IS NOT NULL
	ORDER BY v.verdict_id DESC LIMIT 1;
	EXECUTE 'SELECT ($1, $2) = (count(*), sum(n)::text) FROM ' || target INTO right_now USING rows, sum;
	SELECT jsonb_agg(c.detail) INTO wrong FROM depipe.check_table(target) c WHERE c.detail ? 'kept_state';
	RETURN NEXT;
END
$$;
SELECT depipe.add_constraint('kc.t', depipe.satisfies('sum(n) > 0'), name => 'sum', on_violation => 'warn');
UPDATE kc.src SET n = n + 1 WHERE id = 1;
SELECT * FROM kc.go('kc.t');
UPDATE kc.src SET n = n + 1 WHERE id = 1;
SELECT * FROM kc.go('kc.t');
-- a column that the table computes
ALTER TABLE kc.t ADD COLUMN twice int GENERATED ALWAYS AS (n * 2) STORED;
SELECT depipe.add_constraint('kc.t', depipe.satisfies('sum(twice) > 0'), name => 'twice', on_violation => 'warn');
UPDATE kc.src SET n = n + 1 WHERE id = 1;
SELECT * FROM kc.go('kc.t');
UPDATE kc.src SET n = n + 1 WHERE id < 4;
DELETE FROM kc.src WHERE id = 7;
INSERT INTO kc.src VALUES (70, 1, 70);
SELECT * FROM kc.go('kc.t');
SELECT constraint_name, metric, strategy FROM depipe.verdict WHERE constraint_name = 'twice' ORDER BY verdict_id DESC LIMIT 1;
SELECT sum(twice) FROM kc.t;
-- a trigger that changes rows before they are stored
CREATE FUNCTION kc.change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.n := NEW.n + 1000; RETURN NEW; END';
CREATE TRIGGER change BEFORE INSERT OR UPDATE ON kc.t FOR EACH ROW EXECUTE FUNCTION kc.change();
ALTER TABLE kc.t ENABLE ALWAYS TRIGGER change;
UPDATE kc.src SET n = n + 1 WHERE id = 2;
SELECT * FROM kc.go('kc.t');
DROP TRIGGER change ON kc.t;
UPDATE kc.src SET n = n + 1 WHERE id = 2;
SELECT * FROM kc.go('kc.t');
-- one that does not let them in
CREATE FUNCTION kc.leave() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER leave BEFORE INSERT OR UPDATE ON kc.t FOR EACH ROW EXECUTE FUNCTION kc.leave();
ALTER TABLE kc.t ENABLE ALWAYS TRIGGER leave;
UPDATE kc.src SET n = n + 1 WHERE id = 3;
SELECT * FROM kc.go('kc.t');
DROP TRIGGER leave ON kc.t;
UPDATE kc.src SET n = n + 1 WHERE id = 3;
SELECT * FROM kc.go('kc.t');
-- one that writes the table itself
CREATE FUNCTION kc.more() RETURNS trigger LANGUAGE plpgsql AS
'BEGIN IF NEW.id < 1000 THEN UPDATE kc.t SET n = n + 1 WHERE id = 10; END IF; RETURN NULL; END';
CREATE TRIGGER more AFTER UPDATE ON kc.t FOR EACH ROW WHEN (NEW.id <> 10) EXECUTE FUNCTION kc.more();
ALTER TABLE kc.t ENABLE ALWAYS TRIGGER more;
UPDATE kc.src SET n = n + 1 WHERE id = 4;
SELECT * FROM kc.go('kc.t');
DROP TRIGGER more ON kc.t;
UPDATE kc.src SET n = n + 7 WHERE id = 10;
SELECT * FROM kc.go('kc.t');
-- the action of a foreign key, of a table of its own and of itself
CREATE TABLE kc.parents AS SELECT i AS id, i AS n FROM generate_series(0, 4) i;
ALTER TABLE kc.parents ADD PRIMARY KEY (id);
SELECT depipe.create_transform('kc.p', 'SELECT * FROM kc.parents', key => '{id}');
ALTER TABLE kc.p ADD PRIMARY KEY (id);
UPDATE kc.src SET n = n + 1 WHERE id = 5;
SELECT * FROM kc.go('kc.t');
ALTER TABLE kc.t ADD FOREIGN KEY (parent) REFERENCES kc.p ON DELETE CASCADE;
DELETE FROM kc.parents WHERE id = 4;
SET depipe.allow_target_dml = on;
SELECT status FROM depipe.refresh('kc.p');
RESET depipe.allow_target_dml;
SELECT count(*) FROM depipe.direct_write;
DELETE FROM kc.src WHERE parent = 4;
UPDATE kc.src SET n = n + 1 WHERE id = 6;
SELECT * FROM kc.go('kc.t');
UPDATE kc.src SET n = n + 1 WHERE id = 6;
SELECT * FROM kc.go('kc.t');
SELECT depipe.drop_transform('kc.t', drop_table => true);
SELECT depipe.drop_transform('kc.p', drop_table => true);

-- without a key
CREATE TABLE kc.bag (a int, n int);
INSERT INTO kc.bag SELECT i % 3, i % 7 FROM generate_series(1, 40) i;
SELECT depipe.create_transform('kc.b', 'SELECT * FROM kc.bag');
SELECT depipe.add_constraint('kc.b', depipe.satisfies('sum(n) > 0'), name => 'sum', on_violation => 'warn');
INSERT INTO kc.bag VALUES (1, 1), (1, 1);
SELECT * FROM kc.go('kc.b');
DELETE FROM kc.bag WHERE ctid = (SELECT min(ctid) FROM kc.bag WHERE a = 1 AND n = 1);
INSERT INTO kc.bag SELECT 2, 3 FROM generate_series(1, 3);
SELECT * FROM kc.go('kc.b');
TRUNCATE kc.bag;
INSERT INTO kc.bag VALUES (5, 5);
SELECT * FROM kc.go('kc.b');
SELECT depipe.drop_transform('kc.b', drop_table => true);

-- tables that cannot be watched are read
CREATE TABLE kc.parted (id int PRIMARY KEY, n int) PARTITION BY RANGE (id);
CREATE TABLE kc.part1 PARTITION OF kc.parted FOR VALUES FROM (0) TO (100);
SELECT depipe.create_transform('kc.parted', 'SELECT id, n FROM kc.src', key => '{id}');
SELECT depipe.add_constraint('kc.parted', depipe.satisfies('sum(n) > 0'), name => 'sum', on_violation => 'warn');
UPDATE kc.src SET n = n + 1 WHERE id = 6;
SELECT * FROM kc.go('kc.parted');
UPDATE kc.src SET n = n + 1 WHERE id = 6;
SELECT * FROM kc.go('kc.parted');
SELECT count(*) FROM depipe.kept_state;
SELECT depipe.drop_transform('kc.parted', drop_table => true);
DROP SCHEMA kc CASCADE;
