-- column_lineage: the columns that each column of a transform comes from.
CREATE EXTENSION IF NOT EXISTS depipe;
SET client_min_messages = warning;
CREATE SCHEMA lin;
CREATE TABLE lin.orders (id int PRIMARY KEY, customer_id int, amount numeric, status text, at timestamptz);
CREATE TABLE lin.customers (id int PRIMARY KEY, region text, name text, parent int);
CREATE VIEW lin.good AS SELECT o.id, o.customer_id, o.amount * 2 AS twice, o.at FROM lin.orders o WHERE o.status = 'good';
CREATE FUNCTION lin.guess(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN upper($1); END $$;
CREATE FUNCTION lin.constant() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 42';

CREATE FUNCTION lin.show(name text) RETURNS TABLE (column_name text, effect text, use text, input text, input_column text, through text)
LANGUAGE sql AS $$ SELECT column_name, effect, use, input, input_column, through FROM depipe.column_lineage WHERE target = name
	ORDER BY column_name NULLS LAST, effect, use, input, input_column, through $$;
CREATE PROCEDURE lin.make(query text) LANGUAGE plpgsql AS $$
BEGIN
	IF to_regclass('lin.t') IS NOT NULL THEN PERFORM depipe.drop_transform('lin.t', drop_table => true); END IF;
	PERFORM depipe.create_transform('lin.t', query, populate => false);
END $$;

-- joins, grouping, filters
CALL lin.make($$SELECT c.region, upper(c.name) AS name, sum(o.amount) AS amount, count(*) AS n, count(*) FILTER (WHERE o.status = 'x') AS x,
	1 AS one, max(o.at)::date AS last FROM lin.orders o JOIN lin.customers c ON c.id = o.customer_id
	WHERE o.amount > 0 GROUP BY c.region, upper(c.name) HAVING min(o.at) > '2020-01-01'$$);
SELECT * FROM lin.show('lin.t');

-- a condition in WHERE that connects two tables joins them; a view; USING; whole rows
CALL lin.make($$SELECT g.id, g.twice, c.region::varchar AS region, to_jsonb(c) AS whole FROM lin.good g, lin.customers c
	WHERE g.customer_id = c.id$$);
SELECT * FROM lin.show('lin.t');
CALL lin.make($$SELECT id, a.amount, b.name FROM lin.orders a FULL JOIN lin.customers b USING (id)$$);
SELECT * FROM lin.show('lin.t');

-- WITH that is read twice, a recursive one
CALL lin.make($$WITH w AS (SELECT customer_id, sum(amount) AS total FROM lin.orders GROUP BY 1)
	SELECT a.customer_id, a.total - b.total AS difference FROM w a JOIN w b ON a.customer_id = b.customer_id + 1$$);
SELECT * FROM lin.show('lin.t');
CALL lin.make($$WITH RECURSIVE r AS (SELECT id, parent, name FROM lin.customers WHERE parent IS NULL
	UNION ALL SELECT c.id, c.parent, r.name || c.region FROM r JOIN lin.customers c ON c.parent = r.id) SELECT id, name FROM r$$);
SELECT * FROM lin.show('lin.t');

-- set operations
CALL lin.make($$SELECT id, name FROM lin.customers UNION ALL SELECT customer_id, lower(status) FROM lin.orders$$);
SELECT * FROM lin.show('lin.t');
CALL lin.make($$SELECT id FROM lin.customers EXCEPT SELECT customer_id FROM lin.orders$$);
SELECT * FROM lin.show('lin.t');
CALL lin.make($$SELECT id FROM lin.customers INTERSECT SELECT customer_id FROM lin.orders$$);
SELECT * FROM lin.show('lin.t');

-- windows, DISTINCT ON, LIMIT
CALL lin.make($$SELECT id, sum(amount) OVER (PARTITION BY customer_id ORDER BY at) AS running, lag(status) OVER (ORDER BY at) AS before FROM lin.orders$$);
SELECT * FROM lin.show('lin.t');
CALL lin.make($$SELECT DISTINCT ON (customer_id) customer_id, amount FROM lin.orders ORDER BY customer_id, at DESC LIMIT 10$$);
SELECT * FROM lin.show('lin.t');

-- sublinks, LATERAL, functions and VALUES in FROM
CALL lin.make($$SELECT c.id, (SELECT max(o.amount) FROM lin.orders o WHERE o.customer_id = c.id) AS largest FROM lin.customers c
	WHERE EXISTS (SELECT FROM lin.orders o WHERE o.customer_id = c.id) AND c.region NOT IN (SELECT status FROM lin.orders)$$);
SELECT * FROM lin.show('lin.t');
CALL lin.make($$SELECT c.id, l.amount, s.part, v.b FROM lin.customers c
	CROSS JOIN LATERAL (SELECT o.amount FROM lin.orders o WHERE o.customer_id = c.id ORDER BY o.at LIMIT 1) l,
	LATERAL string_to_table(c.name, ' ') s(part), (VALUES (1, 'x'), (2, 'y')) v(a, b)$$);
SELECT * FROM lin.show('lin.t');

-- functions that may read anything
CALL lin.make($$SELECT id, lin.guess(name) AS g, lin.constant() AS k FROM lin.customers WHERE lin.guess(region) = 'A'$$);
SELECT * FROM lin.show('lin.t');

-- grouping sets
CALL lin.make($$SELECT region, name, count(*) AS n, GROUPING(region) AS g FROM lin.customers GROUP BY GROUPING SETS ((region, name), (region))$$);
SELECT * FROM lin.show('lin.t');

-- a query that cannot be analysed stops no other target
SELECT depipe.create_transform('lin.other', 'SELECT id FROM lin.orders', populate => false);
ALTER TABLE lin.customers RENAME TO gone;
DROP TABLE lin.gone CASCADE;
SELECT * FROM lin.show('lin.t');
SELECT * FROM lin.show('lin.other');

-- readers of the target see no names of inputs that they may not read
CREATE ROLE lin_reader;
GRANT USAGE ON SCHEMA lin TO lin_reader;
GRANT SELECT ON lin.t TO lin_reader;
CALL lin.make($$SELECT id, lin.guess(status) AS status FROM lin.orders WHERE amount > 1$$);
GRANT SELECT ON lin.t TO lin_reader;
SET ROLE lin_reader;
SELECT * FROM depipe.column_lineage ORDER BY 1, 2, 3, 4, 5, 6;
RESET ROLE;
GRANT SELECT ON lin.orders TO lin_reader;
SET ROLE lin_reader;
SELECT * FROM depipe.column_lineage WHERE target = 'lin.t' ORDER BY 1, 2, 3, 4, 5, 6;
RESET ROLE;

-- inside a read-only transaction
BEGIN READ ONLY;
SELECT count(*) > 0 AS shown FROM depipe.column_lineage;
COMMIT;

SELECT depipe.drop_transform('lin.t', drop_table => true), depipe.drop_transform('lin.other', drop_table => true);
DROP SCHEMA lin CASCADE;
DROP ROLE lin_reader;
