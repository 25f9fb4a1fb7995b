-- Transforms: three levels above the loads. The order is found in the queries. Readers
-- see the shop at most a second late; stage.sold_items is brought up to date when the others need it.

CREATE SCHEMA stage;
CREATE SCHEMA mart;
GRANT USAGE ON SCHEMA stage, mart TO analyst;

SELECT depipe.create_transform('stage.sold_items', $$
	SELECT l.order_id, l.line, o.created_at::date AS day, o.status, c.region, c.tier,
		p.name AS product, l.quantity, l.quantity * l.price AS amount
	FROM raw.order_lines AS l
		JOIN raw.orders AS o ON o.id = l.order_id
		JOIN raw.customers AS c ON c.id = o.customer_id
		JOIN raw.products AS p ON p.id = l.product_id
	$$, key => '{order_id, line}');

SELECT depipe.create_transform('mart.sales_by_day', $$
	SELECT day, region, count(DISTINCT order_id) AS orders, sum(quantity) AS items,
		sum(amount) AS amount
	FROM stage.sold_items
	WHERE status <> 'returned'
	GROUP BY day, region
	$$, key => '{day, region}', target_lag => '1 second');

SELECT depipe.create_transform('mart.sales_by_region', $$
	SELECT region, sum(orders) AS orders, sum(amount) AS amount,
		round(sum(amount) / sum(orders), 2) AS basket
	FROM mart.sales_by_day
	GROUP BY region
	$$, key => '{region}', target_lag => '1 second');

-- One that does not read the orders: it goes on while the orders are held.
SELECT depipe.create_transform('mart.price_list', $$
	SELECT id, name, price, length(description) AS description_length, attributes ->> 'colour' AS colour
	FROM raw.products
	$$, key => '{id}', target_lag => '1 second');

GRANT SELECT ON mart.sales_by_day, mart.sales_by_region, mart.price_list TO analyst;
