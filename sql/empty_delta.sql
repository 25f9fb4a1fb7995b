-- a refresh that finds no change is gated all the same where the gate was not content before
CREATE SCHEMA empty_delta;
SET search_path = empty_delta;
SET client_min_messages = warning;
CREATE TABLE orders (id integer PRIMARY KEY, amount integer);
INSERT INTO orders VALUES (1, 10), (2, 20);
SELECT depipe.create_transform('empty_delta.sales', 'SELECT id, amount FROM empty_delta.orders', key => '{id}');
SELECT depipe.add_constraint('empty_delta.sales', depipe.satisfies('sum(amount) < 100'), name => 'total');
CREATE FUNCTION look() RETURNS TABLE (status text, reason text, written bigint, verdicts bigint, breaker text) LANGUAGE sql AS $$
	SELECT r.status, r.reason, r.inserted + r.updated + r.deleted,
		(SELECT count(*) FROM depipe.verdict v WHERE v.run_id = r.run_id),
		(SELECT state FROM depipe.breakers b WHERE b.target = r.target)
	FROM depipe.runs r WHERE r.target = 'empty_delta.sales' ORDER BY r.run_id DESC LIMIT 1
$$;
-- nothing wrong, no change: nothing to do
SELECT count(*) FROM depipe.refresh('empty_delta.sales');
SELECT * FROM look();
-- by hand: the probe is gated, and closes the breaker
SELECT depipe.trip('empty_delta.sales', 'by hand');
SELECT count(*) FROM depipe.refresh('empty_delta.sales');
SELECT depipe.reset('empty_delta.sales', 'looked at');
SELECT * FROM look();
SELECT count(*) FROM depipe.refresh('empty_delta.sales');
SELECT * FROM look();
SELECT count(*) FROM depipe.refresh('empty_delta.sales');
SELECT * FROM look();
-- blocked, and mended at the source: no change is left, but a verdict is due
INSERT INTO orders VALUES (3, 1000);
SELECT count(*) FROM depipe.refresh('empty_delta.sales');
SELECT * FROM look();
DELETE FROM orders WHERE id = 3;
SELECT depipe.reset('empty_delta.sales', 'mended');
SELECT count(*) FROM depipe.refresh('empty_delta.sales');
SELECT * FROM look();
SELECT count(*) FROM depipe.incidents WHERE target = 'empty_delta.sales' AND closed_at IS NULL;
-- blocked, and the table itself is what is wrong: the probe opens the breaker again
SELECT depipe.drop_constraint('empty_delta.sales', 'total');
SELECT depipe.add_constraint('empty_delta.sales', depipe.satisfies('sum(amount) < 5'), name => 'small');
SELECT depipe.trip('empty_delta.sales', 'by hand');
SELECT depipe.reset('empty_delta.sales', 'looked at');
SELECT count(*) FROM depipe.refresh('empty_delta.sales');
SELECT * FROM look();

SELECT depipe.drop_transform('empty_delta.sales', drop_table => true);
RESET search_path;
DROP SCHEMA empty_delta CASCADE;
