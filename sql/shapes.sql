-- realistic queries of marts: which strategies can serve each, and that refreshes are exact.  What is only compared as a whole is
-- listed with the reason: a query that joins that list has been downgraded silently.
CREATE SCHEMA mart; SET search_path = mart; SET client_min_messages = warning;
CREATE TABLE customers (id integer PRIMARY KEY, name text, region text, manager_id integer, signed_up date);
CREATE TABLE orders (id integer PRIMARY KEY, customer_id integer, at timestamptz NOT NULL, status text, amount numeric(12,2), discount float8);
CREATE TABLE lines (order_id integer, line integer, product_id integer, quantity integer, price numeric(12,2), tags text[], PRIMARY KEY (order_id, line));
CREATE TABLE products (id integer PRIMARY KEY, category text, name text, cost numeric(12,2));
CREATE TABLE prices (product_id integer, valid_from date, valid_to date, price numeric(12,2));
CREATE TABLE events (id bigint PRIMARY KEY, user_id integer, at timestamptz NOT NULL, kind text, payload jsonb);
CREATE TABLE returns (order_id integer, reason text);
INSERT INTO customers SELECT i, 'c' || i, (ARRAY['north','south','east',NULL])[1 + i % 4], nullif(i / 3, 0), date '2026-01-01' + i FROM generate_series(1, 60) i;
INSERT INTO orders SELECT i, 1 + i % 50, timestamptz '2026-02-01 00:00Z' + i * interval '5 hours', (ARRAY['paid','open','sent'])[1 + i % 3], i * 1.25, i / 7.0 FROM generate_series(1, 300) i;
INSERT INTO lines SELECT 1 + i % 300, i / 300, 1 + i % 20, i % 5, i % 17, ARRAY['t' || i % 3, 'u' || i % 5] FROM generate_series(0, 899) i;
INSERT INTO products SELECT i, 'cat' || i % 4, 'p' || i, i FROM generate_series(1, 20) i;
INSERT INTO prices SELECT 1 + i % 20, date '2026-01-01' + 30 * (i / 20), date '2026-01-31' + 30 * (i / 20), i FROM generate_series(0, 79) i;
INSERT INTO events SELECT i, i % 25, timestamptz '2026-02-01 00:00Z' + i * interval '11 minutes', (ARRAY['visit','cart','buy'])[1 + i % 3], jsonb_build_object('n', i) FROM generate_series(1, 500) i;
INSERT INTO returns SELECT i * 7, 'r' || i % 3 FROM generate_series(1, 30) i;
ANALYZE;
CREATE TABLE shape (number serial, name text PRIMARY KEY, query text);
INSERT INTO shape (name, query) VALUES
('staging', $$SELECT id, customer_id, at::date AS day, upper(status) AS status, coalesce(amount, 0) AS amount FROM mart.orders WHERE status <> 'void'$$),
('fact_wide', $$SELECT l.order_id, l.line, o.at, c.region, p.category, l.quantity * l.price AS revenue, l.quantity * (l.price - p.cost) AS margin FROM mart.lines l JOIN mart.orders o ON o.id = l.order_id LEFT JOIN mart.customers c ON c.id = o.customer_id LEFT JOIN mart.products p ON p.id = l.product_id$$),
('daily_sales', $$SELECT date_trunc('day', o.at) AS day, count(*) AS orders, sum(o.amount) AS amount FROM mart.orders o GROUP BY 1$$),
('by_day_region', $$SELECT o.at::date AS day, c.region, count(*) AS n, sum(o.amount) AS amount FROM mart.orders o JOIN mart.customers c ON c.id = o.customer_id GROUP BY 1, 2$$),
('by_day_region_left', $$SELECT o.at::date AS day, c.region, count(*) AS n, sum(o.amount) AS amount FROM mart.orders o LEFT JOIN mart.customers c ON c.id = o.customer_id GROUP BY 1, 2$$),
('by_region_left', $$SELECT c.region, count(*) AS n, sum(o.amount) AS amount, max(o.at) AS last FROM mart.orders o LEFT JOIN mart.customers c ON c.id = o.customer_id GROUP BY c.region$$),
('by_region_category', $$SELECT c.region, p.category, count(DISTINCT o.id) AS orders FROM mart.lines l JOIN mart.orders o ON o.id = l.order_id JOIN mart.customers c ON c.id = o.customer_id JOIN mart.products p ON p.id = l.product_id GROUP BY c.region, p.category$$),
('customer_mart', $$SELECT c.id, c.name, s.n, s.amount, s.first_at FROM mart.customers c LEFT JOIN (SELECT customer_id, count(*) AS n, sum(amount) AS amount, min(at) AS first_at FROM mart.orders GROUP BY customer_id) s ON s.customer_id = c.id$$),
('with_chain', $$WITH paid AS (SELECT * FROM mart.orders WHERE status = 'paid'), totals AS (SELECT customer_id, sum(amount) AS total FROM paid GROUP BY customer_id) SELECT c.id, c.region, t.total FROM mart.customers c JOIN totals t ON t.customer_id = c.id WHERE t.total > 50$$),
('sessions', $$WITH gaps AS (SELECT id, user_id, at, CASE WHEN at - lag(at) OVER (PARTITION BY user_id ORDER BY at, id) < interval '30 minutes' THEN 0 ELSE 1 END AS starts FROM mart.events), numbered AS (SELECT id, user_id, at, sum(starts) OVER (PARTITION BY user_id ORDER BY at, id) AS session FROM gaps) SELECT user_id, session, min(at) AS started, max(at) AS ended, count(*) AS events FROM numbered GROUP BY user_id, session$$),
('scd_range', $$SELECT l.order_id, l.line, pr.price AS list_price FROM mart.lines l JOIN mart.orders o ON o.id = l.order_id LEFT JOIN mart.prices pr ON pr.product_id = l.product_id AND o.at::date >= pr.valid_from AND o.at::date < pr.valid_to$$),
('top_row_number', $$SELECT * FROM (SELECT customer_id, id, amount, row_number() OVER (PARTITION BY customer_id ORDER BY amount DESC, id) AS r FROM mart.orders) x WHERE r <= 3$$),
('top_distinct_on', $$SELECT DISTINCT ON (customer_id) customer_id, id, amount, at FROM mart.orders ORDER BY customer_id, at DESC, id$$),
('top_lateral', $$SELECT c.id, x.id AS order_id, x.amount FROM mart.customers c CROSS JOIN LATERAL (SELECT o.id, o.amount FROM mart.orders o WHERE o.customer_id = c.id ORDER BY o.amount DESC, o.id LIMIT 2) x$$),
('cohorts', $$WITH firsts AS (SELECT customer_id, date_trunc('month', min(at)) AS cohort FROM mart.orders GROUP BY customer_id) SELECT f.cohort, date_trunc('month', o.at) AS month, count(DISTINCT o.customer_id) AS customers FROM mart.orders o JOIN firsts f ON f.customer_id = o.customer_id GROUP BY 1, 2$$),
('running_total', $$SELECT id, customer_id, at, sum(amount) OVER (PARTITION BY customer_id ORDER BY at, id) AS running FROM mart.orders$$),
('running_total_all', $$SELECT id, at, sum(amount) OVER (ORDER BY at, id) AS running FROM mart.orders$$),
('percent_window', $$SELECT id, customer_id, amount, round(100 * amount / nullif(sum(amount) OVER (PARTITION BY customer_id), 0), 2) AS percent FROM mart.orders$$),
('percent_of_all', $$SELECT id, amount, round(100 * amount / sum(amount) OVER (), 4) AS percent FROM mart.orders$$),
('percent_scalar', $$SELECT c.region, sum(o.amount) / (SELECT sum(amount) FROM mart.orders) AS share FROM mart.orders o JOIN mart.customers c ON c.id = o.customer_id GROUP BY c.region$$),
('funnel', $$SELECT user_id, count(*) FILTER (WHERE kind = 'visit') AS visits, count(*) FILTER (WHERE kind = 'cart') AS carts, bool_or(kind = 'buy') AS bought FROM mart.events GROUP BY user_id$$),
('pivot', $$SELECT customer_id, sum(amount) FILTER (WHERE status = 'paid') AS paid, sum(CASE WHEN status = 'open' THEN amount ELSE 0 END) AS open FROM mart.orders GROUP BY customer_id$$),
('islands', $$SELECT user_id, min(day) AS first_day, max(day) AS last_day, count(*) AS days FROM (SELECT user_id, day, day - (row_number() OVER (PARTITION BY user_id ORDER BY day))::integer AS island FROM (SELECT DISTINCT user_id, at::date AS day FROM mart.events) d) x GROUP BY user_id, island$$),
('tree', $$WITH RECURSIVE tree AS (SELECT id, manager_id, 1 AS depth, ARRAY[id] AS path FROM mart.customers WHERE manager_id IS NULL UNION ALL SELECT c.id, c.manager_id, t.depth + 1, t.path || c.id FROM mart.customers c JOIN tree t ON t.id = c.manager_id) SELECT id, depth, path FROM tree$$),
('anti_left', $$SELECT c.id, c.name FROM mart.customers c LEFT JOIN mart.orders o ON o.customer_id = c.id WHERE o.id IS NULL$$),
('anti_exists', $$SELECT o.id FROM mart.orders o WHERE NOT EXISTS (SELECT FROM mart.returns r WHERE r.order_id = o.id)$$),
('not_in', $$SELECT o.id FROM mart.orders o WHERE o.id NOT IN (SELECT order_id FROM mart.returns)$$),
('in_limit', $$SELECT id, amount FROM mart.orders WHERE customer_id IN (SELECT customer_id FROM mart.orders GROUP BY customer_id ORDER BY sum(amount) DESC, customer_id LIMIT 5)$$),
('rollup', $$SELECT region, date_part('year', signed_up) AS year, count(*) AS n FROM mart.customers GROUP BY ROLLUP (region, date_part('year', signed_up))$$),
('cube', $$SELECT p.category, l.quantity, count(*) AS n FROM mart.lines l JOIN mart.products p ON p.id = l.product_id GROUP BY CUBE (p.category, l.quantity)$$),
('grouping_sets', $$SELECT customer_id, status, sum(amount) AS amount FROM mart.orders GROUP BY GROUPING SETS ((customer_id, status), (customer_id))$$),
('union_all_marts', $$SELECT 'order' AS source, id, at, amount FROM mart.orders UNION ALL SELECT 'event', id::integer, at, NULL FROM mart.events$$),
('union_marts', $$SELECT customer_id AS id FROM mart.orders UNION SELECT user_id FROM mart.events$$),
('distinct_pairs', $$SELECT DISTINCT o.customer_id, l.product_id FROM mart.orders o JOIN mart.lines l ON l.order_id = o.id$$),
('distinct_regions', $$SELECT DISTINCT c.region, p.category FROM mart.lines l JOIN mart.orders o ON o.id = l.order_id JOIN mart.customers c ON c.id = o.customer_id JOIN mart.products p ON p.id = l.product_id$$),
('distinct_one', $$SELECT DISTINCT status, customer_id FROM mart.orders$$),
('listed', $$SELECT order_id, string_agg(product_id::text, ', ' ORDER BY line) AS products, array_agg(quantity ORDER BY line) AS quantities, jsonb_agg(jsonb_build_object('p', product_id, 'q', quantity) ORDER BY line) AS doc FROM mart.lines GROUP BY order_id$$),
('percentile', $$SELECT customer_id, percentile_cont(0.5) WITHIN GROUP (ORDER BY amount) AS median, mode() WITHIN GROUP (ORDER BY status) AS usual FROM mart.orders GROUP BY customer_id$$),
('floats', $$SELECT customer_id, sum(discount) AS s, avg(discount) AS a, stddev(discount) AS d, corr(discount, amount::float8) AS c, var_pop(amount) AS v FROM mart.orders GROUP BY customer_id$$),
('unnested', $$SELECT l.order_id, l.line, t.tag FROM mart.lines l CROSS JOIN LATERAL unnest(l.tags) AS t (tag)$$),
('tag_counts', $$SELECT t.tag, count(*) AS n FROM mart.lines l CROSS JOIN LATERAL unnest(l.tags) AS t (tag) GROUP BY t.tag$$),
('calendar', $$SELECT d.day, count(o.id) AS orders, coalesce(sum(o.amount), 0) AS amount FROM generate_series(timestamp '2026-02-01', timestamp '2026-04-30', interval '1 day') AS d (day) LEFT JOIN mart.orders o ON o.at::date = d.day::date GROUP BY d.day$$),
('correlated', $$SELECT c.id, (SELECT max(o.at) FROM mart.orders o WHERE o.customer_id = c.id) AS last_order, (SELECT count(*) FROM mart.returns r JOIN mart.orders o ON o.id = r.order_id WHERE o.customer_id = c.id) AS returns FROM mart.customers c$$),
('exists', $$SELECT c.id, CASE WHEN EXISTS (SELECT FROM mart.orders o WHERE o.customer_id = c.id AND o.status = 'open') THEN 'active' ELSE 'idle' END AS state FROM mart.customers c$$),
('self_join', $$SELECT e.id, e.name, m.name AS manager FROM mart.customers e LEFT JOIN mart.customers m ON m.id = e.manager_id$$),
('date_bins', $$SELECT date_bin('15 minutes', at, timestamptz '2026-01-01 00:00Z') AS bin, kind, count(*) AS n FROM mart.events GROUP BY 1, 2$$),
('latest_state', $$SELECT user_id, (array_agg(kind ORDER BY at DESC, id DESC))[1] AS kind FROM mart.events GROUP BY user_id$$),
('full_join', $$SELECT coalesce(a.customer_id, b.user_id) AS id, a.n, b.n AS events FROM (SELECT customer_id, count(*) AS n FROM mart.orders GROUP BY 1) a FULL JOIN (SELECT user_id, count(*) AS n FROM mart.events GROUP BY 1) b ON a.customer_id = b.user_id$$),
('full_join_3', $$SELECT id, a.amount, b.name, c.reason FROM (SELECT id, amount FROM mart.orders) a FULL JOIN (SELECT id, name FROM mart.products) b USING (id) FULL JOIN (SELECT order_id AS id, reason FROM mart.returns) c USING (id)$$),
('agg_of_agg', $$SELECT n, count(*) AS customers FROM (SELECT customer_id, count(*) AS n FROM mart.orders GROUP BY customer_id) x GROUP BY n$$),
('total', $$SELECT count(*) AS n, sum(amount) AS amount, max(at) AS last FROM mart.orders$$),
('json_fields', $$SELECT id, payload ->> 'n' AS n, (payload ->> 'n')::integer % 7 AS bucket FROM mart.events WHERE payload ? 'n'$$),
('formatted', $$SELECT to_char(at, 'YYYY-MM') AS month, concat(status, '/', customer_id % 2) AS label, count(*) AS n FROM mart.orders GROUP BY 1, 2$$),
('newest_limit', $$SELECT id, at, amount FROM mart.orders ORDER BY at DESC, id LIMIT 20$$),
('having_ratio', $$SELECT customer_id, avg(amount) AS mean FROM mart.orders GROUP BY customer_id HAVING count(*) >= 3 AND sum(amount) > 100$$),
('except', $$SELECT id FROM mart.customers EXCEPT SELECT customer_id FROM mart.orders$$);

CREATE FUNCTION made(name text, query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE detail text;
BEGIN
	PERFORM depipe.create_transform('mart.t_' || name, query, mode => 'incremental');
	RETURN NULL;
EXCEPTION WHEN feature_not_supported THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	PERFORM depipe.create_transform('mart.t_' || name, query);
	RETURN detail;
END $$;
SELECT name, made AS "only compared" FROM shape, made(name, query) WHERE made IS NOT NULL ORDER BY number;
SELECT count(*) FROM depipe.refresh('mart.t_*') WHERE status NOT IN ('succeeded', 'nothing');
CREATE FUNCTION change(n integer) RETURNS void LANGUAGE sql AS $$
	INSERT INTO mart.orders VALUES (1000 + n, 7 + n, '2026-03-03 10:00Z', 'paid', 12.5, 0.5), (2000 + n, NULL, '2026-03-03 11:00Z', 'open', NULL, NULL);
	UPDATE mart.orders SET amount = amount + 1, at = at + interval '26 hours' WHERE id = 17 + n;
	DELETE FROM mart.orders WHERE id = 40 + n;
	INSERT INTO mart.lines VALUES (1000 + n, 1, 5, 2, 9.5, ARRAY['t9']), (41 + n, 9, 6, 1, 1, NULL);
	DELETE FROM mart.lines WHERE order_id = 50 + n;
	UPDATE mart.customers SET region = 'west', manager_id = 2 WHERE id = 9 + n;
	UPDATE mart.products SET category = 'cat9' WHERE id = 3 + n;
	INSERT INTO mart.events VALUES (9000 + n, 3, '2026-02-03 03:03Z', 'buy', '{"n": 5}');
	DELETE FROM mart.events WHERE id = 33 + n;
	INSERT INTO mart.returns VALUES (1000 + n, 'r9');
	UPDATE mart.prices SET price = price + 1 WHERE product_id = 4 + n;
$$;
SELECT change(1);
-- the strategies on changes that can serve
SELECT s.name, string_agg(e.strategy, ' ' ORDER BY e.strategy) AS strategies FROM shape s, depipe.explain_transform('mart.t_' || s.name) e
WHERE e.strategy IN ('linear', 'join', 'aggregate', 'keys') AND (e.possible OR e.reason IN ('more_expensive', 'not_tried', 'mode_incremental', 'no_numbers', 'no_path'))
GROUP BY s.number, s.name ORDER BY s.number;
CREATE FUNCTION served() RETURNS TABLE (evaluated text, reason text, shapes text, wrong bigint) LANGUAGE sql AS $$
	SELECT r.kind, r.reason, CASE r.kind WHEN 'as a whole' THEN string_agg(substr(r.target, 8), ' ' ORDER BY r.target) ELSE count(*)::text END,
		sum((SELECT count(*) FROM depipe.verify(r.target)))::bigint
	FROM (SELECT target, reason, CASE WHEN strategy IN ('full', 'full_diff') THEN 'as a whole' ELSE 'on changes' END AS kind FROM depipe.refresh('mart.t_*')) r GROUP BY 1, 2 ORDER BY 1, 2 $$;
SELECT * FROM served();
SELECT change(2);
SELECT * FROM served();
\echo orders alone
UPDATE orders SET amount = amount * 2, status = 'sent' WHERE id % 50 = 3;
SELECT * FROM served();

-- DISTINCT is a group with a count: a row stays until its last copy goes
CREATE TABLE copies (a integer, b text, c integer);
INSERT INTO copies VALUES (1, 'x', 1), (1, 'x', 2), (1, 'y', 3), (NULL, NULL, 4), (NULL, NULL, 5);
SELECT depipe.create_transform('mart.t_copies', 'SELECT DISTINCT a, b FROM mart.copies', mode => 'incremental');
INSERT INTO copies VALUES (2, 'z', 6);
SELECT possible OR reason = 'no_numbers' AS by_counts FROM depipe.explain_transform('mart.t_copies') WHERE strategy = 'aggregate';
SELECT count(*) FROM depipe.refresh('mart.t_copies') WHERE status = 'succeeded';
DELETE FROM copies WHERE c IN (1, 4);
SELECT inserted, updated, deleted FROM depipe.refresh('mart.t_copies');
DELETE FROM copies WHERE c IN (2, 5);
SELECT inserted, updated, deleted FROM depipe.refresh('mart.t_copies');
UPDATE copies SET a = NULL, b = NULL WHERE c = 3;
SELECT inserted, updated, deleted FROM depipe.refresh('mart.t_copies');
SELECT count(*) FROM depipe.verify('mart.t_copies');
SELECT * FROM t_copies ORDER BY 1, 2;

SELECT count(depipe.drop_transform(target, true)) FROM depipe.transforms WHERE target LIKE 'mart.%';
RESET search_path;
DROP SCHEMA mart CASCADE;
