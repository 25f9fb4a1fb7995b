-- The shop: the source that the examples of these pages load from. For a server with
-- wal_level = logical:
--
--	createdb shop
--	psql -d shop -f shop.sql

CREATE TABLE customers
(
	id bigint PRIMARY KEY,
	name text NOT NULL,
	email text,
	phone text,
	region text NOT NULL
);

CREATE TABLE orders
(
	id bigint PRIMARY KEY,
	customer_id bigint,
	status text NOT NULL,
	amount numeric(10, 2) NOT NULL,
	day date NOT NULL
);

INSERT INTO customers VALUES
	(1, 'Ada', 'Ada@example.com', '555-0101', 'north'),
	(2, 'Bob', 'bob@example.com', '555-0102', 'south'),
	(3, 'Eve', 'eve@example.com', NULL, 'north');

INSERT INTO orders VALUES
	(1, 1, 'shipped', 10.00, '2026-03-01'),
	(2, 1, 'paid', 5.00, '2026-03-01'),
	(3, 2, 'paid', 7.00, '2026-03-02'),
	(4, 3, 'placed', 20.00, '2026-03-02');
