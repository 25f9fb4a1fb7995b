-- Release 2.1 makes it worse: the order of a guest belongs to no customer, and a line is written
-- for an order that does not exist.

\set number random(1, 1000000000)

INSERT INTO orders (customer_id, status, amount) VALUES (NULL, 'placed', 12.50);
INSERT INTO order_lines (order_id, line, product_id, quantity, price)
	VALUES (1000000000 + :number, 1, 1, 1, 1.99) ON CONFLICT DO NOTHING;
