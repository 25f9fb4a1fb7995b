--
-- definition(): the statements that declare everything again.
--
SET datestyle = 'ISO, MDY';
SET intervalstyle = 'postgres';
SET timezone = 'UTC';
SET default_text_search_config = 'pg_catalog.simple';
CREATE SCHEMA defs;
CREATE TABLE defs.sales (id int PRIMARY KEY, shop int, amount numeric);
CREATE SERVER defs_shop FOREIGN DATA WRAPPER depipe OPTIONS (host '/nowhere');
SELECT depipe.create_load('defs.orders', server => 'defs_shop', source => 'public."odd name"',
	columns => '{"secret": null}', row_filter => $$kind <> 'it''s'$$, target_lag => '5 minutes');
-- the reader comes before what it reads in the order of names
SELECT depipe.create_transform('defs.z_shops', 'SELECT shop, sum(amount) AS amount FROM defs.sales GROUP BY shop');
SELECT depipe.create_transform('defs.a_best', 'SELECT shop FROM defs.z_shops WHERE amount > 10', mode => 'full');
SELECT depipe.add_constraint('defs.sales', depipe.satisfies('amount >= 0'), warn_if => '> 1%', fail_if => '> 10',
	description => 'no refunds; it''s the law');
SELECT depipe.add_constraint('defs.z_shops', depipe.in_range('shop', 1, 9), on_violation => 'quarantine');
SELECT depipe.configure_breaker('defs.z_shops', retry_wait => '5 seconds', bad_runs => 2, of_runs => 3);

SELECT statement FROM depipe.definition('defs.*');
SELECT count(*) FROM depipe.definition('defs.z*');
SELECT count(*) FROM depipe.definition('sales');
SELECT count(*) FROM depipe.definition('nothing.*');
SELECT count(*) FROM depipe.definition(NULL);

-- the same again is nothing new
SELECT statement FROM depipe.definition('defs.*') \gexec

-- and from nothing, everything comes back
CREATE TABLE defs.before AS SELECT statement FROM depipe.definition('defs.*');
SELECT depipe.drop_transform('defs.a_best', drop_table => true);
SELECT depipe.drop_transform('defs.z_shops', drop_table => true);
SELECT depipe.drop_load('defs.orders');
SELECT depipe.drop_constraint('defs.sales', 'amount_satisfies');
SELECT count(*) FROM depipe.definition('defs.*');
SET client_min_messages = warning;
\o /dev/null
SELECT statement FROM defs.before \gexec
\o
SELECT * FROM defs.before EXCEPT SELECT statement FROM depipe.definition('defs.*');
SELECT (SELECT count(*) FROM defs.before) = (SELECT count(*) FROM depipe.definition('defs.*')) AS complete;

-- what a reader may not see is not told
CREATE ROLE regress_nobody;
SET ROLE regress_nobody;
SELECT count(*) FROM depipe.definition();
RESET ROLE;
DROP ROLE regress_nobody;

SELECT depipe.drop_transform('defs.a_best', drop_table => true);
SELECT depipe.drop_transform('defs.z_shops', drop_table => true);
SELECT depipe.drop_load('defs.orders');
SELECT depipe.drop_constraint('defs.sales', 'amount_satisfies');
DROP SERVER defs_shop;
DROP SCHEMA defs CASCADE;
