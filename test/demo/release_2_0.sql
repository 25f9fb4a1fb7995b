-- Release 2.0 of the shop, beside the traffic: discounts are subtracted twice, an order gets an
-- unknown status, customers may sign up without an e-mail address.

\set customer random(1, 2000)

INSERT INTO orders (customer_id, status, amount) VALUES (:customer, 'placed', -19.90);
INSERT INTO orders (customer_id, status, amount) VALUES (:customer, 'teleported', 42);
INSERT INTO customers (name, email, region) VALUES ('No address', NULL, 'east');
