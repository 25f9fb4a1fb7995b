-- The shop's developers correct what releases 2.0 and 2.1 wrote. Corrections are made at the
-- source; they arrive in the warehouse like any other change.

BEGIN;
UPDATE orders SET amount = -amount WHERE amount < 0;
UPDATE orders SET status = 'placed' WHERE status = 'teleported';
UPDATE customers SET email = 'unknown@example.com' WHERE email IS NULL;
INSERT INTO customers (id, name, email, region) VALUES (0, 'Guests', 'guests@example.com', 'north');
UPDATE orders SET customer_id = 0 WHERE customer_id IS NULL;
DELETE FROM order_lines AS l WHERE NOT EXISTS (SELECT FROM orders AS o WHERE o.id = l.order_id);
COMMIT;
