-- The daily work of the shop's application, as a script for pgbench. Customers order; orders are
-- paid, shipped, cancelled; prices change (the long description does not, so its value is not in
-- the stream); texts are rewritten; lines are renumbered (their key changes).

\set what random(1, 100)
\set customer random(1, 2000)
\set product random(1, 199)
\set quantity random(1, 5)
\set number random(1, 10000)

\if :what <= 55
BEGIN;
INSERT INTO orders (customer_id, status) VALUES (:customer, 'placed') RETURNING id AS order_id \gset
INSERT INTO order_lines (order_id, line, product_id, quantity, price)
	SELECT :order_id, id - :product + 1, id, :quantity, price FROM products
	WHERE id BETWEEN :product AND :product + 1;
UPDATE orders SET amount = (SELECT sum(quantity * price) FROM order_lines WHERE order_id = :order_id)
	WHERE id = :order_id;
COMMIT;
\elif :what <= 75
UPDATE orders SET status = CASE status WHEN 'placed' THEN 'paid' ELSE 'shipped' END
	WHERE id = :number AND status IN ('placed', 'paid');
\elif :what <= 85
UPDATE products SET price = CASE WHEN price < 5 THEN price * 10 ELSE round(price * 0.9, 2) END,
	updated_at = now() WHERE id = :product;
\elif :what <= 88
UPDATE products SET description = reverse(description), updated_at = now() WHERE id = :product;
\elif :what <= 92
BEGIN;
DELETE FROM order_lines WHERE order_id = :number;
DELETE FROM orders WHERE id = :number;
COMMIT;
\elif :what <= 96
UPDATE order_lines SET line = line + 10 WHERE order_id = :number;
\elif :what <= 98
INSERT INTO customers (name, email, region) VALUES ('New customer', 'new@example.com', 'west');
\else
UPDATE customers SET tier = 'gold', profile = profile || '{"vip": true}' WHERE id = :customer;
\endif
