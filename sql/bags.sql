-- Tables without a key: rows are told apart as images, byte by byte, and no function of a user's is asked.
CREATE SCHEMA bag;
CREATE TYPE bag.money AS (amount numeric);
CREATE FUNCTION bag.as_text(bag.money) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'a cast was called'; END $$;
CREATE CAST (bag.money AS text) WITH FUNCTION bag.as_text(bag.money) AS IMPLICIT;
CREATE TABLE bag.source (number integer, c character(6), n numeric, j json, price bag.money, d double precision, a numeric[]);
INSERT INTO bag.source VALUES
	(1, 'x', 1.5, '{"a": 1}', ROW(1.5), 0, '{1.0}'), (1, 'x', 1.50, '{"a":1}', ROW(1.50), '-0', '{1}'),
	(2, NULL, NULL, NULL, NULL, NULL, NULL), (2, NULL, NULL, NULL, NULL, NULL, NULL), (3, 'x', 'NaN', 'null', NULL, 'NaN', NULL);
CREATE VIEW bag.blanks AS SELECT number, c::bpchar AS c, n, j, price, d, a FROM bag.source;
SELECT depipe.create_transform('bag.rows', 'SELECT * FROM bag.blanks');
SELECT status, inserted, deleted FROM depipe.refresh('bag.rows');
SELECT * FROM depipe.verify('bag.rows');
-- equal by their types, but not the same
UPDATE bag.source SET n = 1.500 WHERE j::text = '{"a":1}';
SELECT status, inserted, deleted FROM depipe.refresh('bag.rows');
UPDATE bag.source SET price = ROW(1.500) WHERE j::text = '{"a":1}';
SELECT status, inserted, deleted FROM depipe.refresh('bag.rows');
UPDATE bag.source SET d = 0 WHERE j::text = '{"a":1}';
SELECT status, inserted, deleted FROM depipe.refresh('bag.rows');
UPDATE bag.source SET a = '{1.0}' WHERE j::text = '{"a":1}';
SELECT status, inserted, deleted FROM depipe.refresh('bag.rows');
UPDATE bag.source SET j = '{"a": 1}' WHERE j::text = '{"a":1}';
SELECT status, inserted, deleted FROM depipe.refresh('bag.rows');
CREATE OR REPLACE VIEW bag.blanks AS SELECT number, rpad(c, 3)::bpchar AS c, n, j, price, d, a FROM bag.source;
SELECT status, inserted, deleted FROM depipe.refresh('bag.rows');
SELECT number, octet_length(c::bytea), n, (price).amount, d, a FROM bag.rows ORDER BY 1, n::text;
SELECT * FROM depipe.verify('bag.rows');
-- so many copies as there are, with an index on a column and without
DELETE FROM bag.source WHERE ctid = (SELECT min(ctid) FROM bag.source WHERE number = 2);
SELECT status, inserted, deleted FROM depipe.refresh('bag.rows');
INSERT INTO bag.source SELECT s.* FROM bag.source s, generate_series(1, 3);
INSERT INTO bag.source (c) VALUES ('y'), ('y');
SELECT status, inserted, deleted FROM depipe.refresh('bag.rows');
CREATE INDEX ON bag.rows (number);
DELETE FROM bag.source WHERE ctid IN (SELECT min(ctid) FROM bag.source GROUP BY number, c);
SELECT status, inserted, deleted FROM depipe.refresh('bag.rows');
SELECT * FROM depipe.verify('bag.rows');
SELECT number, c, count(*) FROM bag.rows GROUP BY 1, 2 ORDER BY 1, 2;
-- in a table with partitions the same place is there more than once
CREATE TABLE bag.parts (number integer, n numeric) PARTITION BY LIST (number);
CREATE TABLE bag.parts_1 PARTITION OF bag.parts FOR VALUES IN (1);
CREATE TABLE bag.parts_2 PARTITION OF bag.parts DEFAULT;
SELECT depipe.create_transform('bag.parts', 'SELECT number, n FROM bag.source WHERE n IS NOT NULL');
DELETE FROM bag.source WHERE number = 1 AND ctid IN (SELECT min(ctid) FROM bag.source WHERE number = 1);
SELECT status, inserted, deleted FROM depipe.refresh('bag.parts');
SELECT * FROM depipe.verify('bag.parts');
SELECT depipe.row_image(ROW(1.5, 'x')) = depipe.row_image(ROW(1.50, 'x')) AS numbers,
	depipe.row_image(ROW(repeat('x', 10000))) = depipe.row_image(ROW((SELECT repeat('x', 10000)))) AS long,
	depipe.row_image(ROW(NULL::text, 'x')) = depipe.row_image(ROW('x', NULL::text)) AS nulls;
SET client_min_messages = warning;
SELECT count(depipe.drop_transform(target, true)) FROM unnest(ARRAY['bag.rows', 'bag.parts']) AS target;
DROP SCHEMA bag CASCADE;
