-- explain_transform names the indexes that incremental refreshes lack.
CREATE SCHEMA advice;
SET search_path = advice, public;
SET client_min_messages = warning;
CREATE TABLE orders (id integer PRIMARY KEY, customer_id integer NOT NULL, status text NOT NULL, amount numeric NOT NULL, note text);
CREATE TABLE lines (order_id integer NOT NULL, product text NOT NULL, price numeric NOT NULL, note text);
CREATE TABLE customers (id integer PRIMARY KEY, region text NOT NULL);
CREATE TABLE small (customer_id integer NOT NULL, factor integer NOT NULL);
INSERT INTO orders SELECT i, i % 2000, 's' || i % 5, i, repeat('x', 60) FROM generate_series(1, 20000) i;
INSERT INTO lines SELECT i / 2, 'p' || i % 100, i, repeat('x', 60) FROM generate_series(2, 20000) i;
INSERT INTO customers SELECT i, 'r' || i % 7 FROM generate_series(0, 1999) i;
INSERT INTO small SELECT i, i FROM generate_series(1, 20) i;
ANALYZE orders, lines, customers, small;

CREATE FUNCTION advised(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM depipe.create_transform('advice.t', query);
	PERFORM depipe.refresh('advice.t');
	RETURN QUERY SELECT (regexp_matches(detail, 'Without an index on it, refreshes read all of [^:]*: [^;]*;', 'g'))[1]
		FROM depipe.explain_transform('advice.t') WHERE strategy = 'keys';
	PERFORM depipe.drop_transform('advice.t', drop_table => true);
END $$;

-- from a changed order to its customer, whose orders are then searched
SELECT advised('SELECT c.id, max(o.amount) AS amount FROM orders o JOIN customers c ON c.id = o.customer_id GROUP BY c.id');
-- along a path of two steps
SELECT advised('SELECT c.id, max(l.price) AS price FROM orders o JOIN customers c ON c.id = o.customer_id
	JOIN lines l ON l.order_id = o.id GROUP BY c.id');
-- the rows of the values of a key, of one column or an expression
SELECT advised('SELECT status, max(amount) AS amount FROM orders GROUP BY status');
SELECT advised('SELECT upper(status) AS status, max(amount) AS amount FROM orders GROUP BY upper(status)');
SELECT advised('SELECT lower(product) AS product, max(price) AS price FROM lines GROUP BY lower(product)');
-- small tables are read as a whole
SELECT advised('SELECT customer_id, max(factor) AS factor FROM small GROUP BY customer_id');
SELECT advised('SELECT o.id, s.factor FROM orders o LEFT JOIN small s USING (customer_id)');
-- with the indexes that were named, none is
CREATE INDEX ON orders (customer_id);
CREATE INDEX ON lines (order_id);
CREATE INDEX ON lines ((lower(product)));
SELECT advised('SELECT c.id, max(l.price) AS price FROM orders o JOIN customers c ON c.id = o.customer_id
	JOIN lines l ON l.order_id = o.id GROUP BY c.id');
SELECT advised('SELECT lower(product) AS product, max(price) AS price FROM lines GROUP BY lower(product)');
-- an index that does not begin with the column, or is partial, does not count
CREATE INDEX ON orders (amount, status);
CREATE INDEX ON orders (status) WHERE amount > 100;
SELECT advised('SELECT status, max(amount) AS amount FROM orders GROUP BY status');
DROP SCHEMA advice CASCADE;
