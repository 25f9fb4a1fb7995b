-- Loads: four tables of the shop, kept up to date by one replication stream. Typed by `etl`;
-- :shop_socket is the directory of the shop's unix socket (a host name would stand there).

CREATE SCHEMA raw;
GRANT USAGE ON SCHEMA raw TO analyst;

CREATE SERVER shop FOREIGN DATA WRAPPER depipe
	OPTIONS (host :'shop_socket', port '5432', dbname 'shop');
CREATE USER MAPPING FOR etl SERVER shop
	OPTIONS (user 'replicator', password 'swordfish');

SELECT depipe.create_load('raw.customers', server => 'shop', source => 'public.customers');
SELECT depipe.create_load('raw.products', server => 'shop', source => 'public.products');
SELECT depipe.create_load('raw.orders', server => 'shop', source => 'public.orders');
SELECT depipe.create_load('raw.order_lines', server => 'shop', source => 'public.order_lines');

-- Is the source ready for them?
SELECT item, ok, detail, hint FROM depipe.check_source('shop');
