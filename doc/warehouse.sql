-- The warehouse: loads of the two tables of shop.sql. The host is the directory of the shop's unix
-- socket, or its host name.
--
--	createdb warehouse
--	psql -d warehouse -f warehouse.sql

CREATE EXTENSION depipe;

CREATE SERVER shop FOREIGN DATA WRAPPER depipe OPTIONS (host '/var/run/postgresql', dbname 'shop');
CREATE USER MAPPING FOR CURRENT_USER SERVER shop OPTIONS (user 'postgres');

CREATE SCHEMA raw;
CREATE SCHEMA mart;

SELECT depipe.create_load('raw.customers', server => 'shop', source => 'public.customers');
SELECT depipe.create_load('raw.orders', server => 'shop', source => 'public.orders');
CALL depipe.run('raw.*');
