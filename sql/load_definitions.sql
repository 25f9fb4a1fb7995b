-- Loads: servers, definitions, and bad input. Nothing here connects to a source.
CREATE ROLE load_admin SUPERUSER LOGIN;
CREATE ROLE load_owner LOGIN;
CREATE ROLE load_stranger LOGIN;
CREATE ROLE load_group NOLOGIN;
CREATE SCHEMA raw;
GRANT ALL ON SCHEMA raw TO load_owner;

-- servers
SET ROLE load_admin;
CREATE SERVER shop FOREIGN DATA WRAPPER depipe OPTIONS (host 'nowhere.invalid', port '5432', dbname 'shop');
RESET ROLE;
CREATE SERVER bad FOREIGN DATA WRAPPER depipe OPTIONS (host 'x', password 'secret');
CREATE SERVER bad FOREIGN DATA WRAPPER depipe OPTIONS (hots 'x');
CREATE SERVER bad FOREIGN DATA WRAPPER depipe OPTIONS (replication 'database');
CREATE SERVER bad FOREIGN DATA WRAPPER depipe OPTIONS (service 'x');
CREATE SERVER bad FOREIGN DATA WRAPPER depipe OPTIONS (passfile 'x');
CREATE SERVER bad FOREIGN DATA WRAPPER depipe OPTIONS (publication '');
CREATE USER MAPPING FOR load_owner SERVER shop OPTIONS (user 'etl', host 'x');
CREATE USER MAPPING FOR load_owner SERVER shop OPTIONS (user 'etl', password 'secret');
ALTER FOREIGN DATA WRAPPER depipe OPTIONS (host 'x');
CREATE FOREIGN DATA WRAPPER other;
CREATE SERVER other FOREIGN DATA WRAPPER other;
GRANT USAGE ON FOREIGN SERVER shop TO load_owner;
SET ROLE load_owner;
ALTER USER MAPPING FOR load_owner SERVER shop OPTIONS (ADD sslkey '/etc/passwd');
RESET ROLE;
SELECT depipe.validator(NULL, 'pg_foreign_server'::regclass);

-- create_load: arguments
SELECT depipe.create_load(NULL, server => 'shop');
SELECT depipe.create_load('', server => 'shop');
SELECT depipe.create_load('a.b.c', server => 'shop');
SELECT depipe.create_load('nowhere.orders', server => 'shop');
SELECT depipe.create_load('pg_catalog.orders', server => 'shop');
SELECT depipe.create_load('depipe.run', server => 'shop');
SELECT depipe.create_load('raw.orders');
SELECT depipe.create_load('raw.orders', mode => 'cdc');
SELECT depipe.create_load('raw.orders', server => 'nowhere');
SELECT depipe.create_load('raw.orders', server => 'other');
SELECT depipe.create_load('raw.orders', server => 'shop', mode => 'cursor');
SELECT depipe.create_load('raw.orders', server => 'shop', mode => 'magic');
SELECT depipe.create_load('raw.orders', server => 'shop', source => 'a.b.c');
SELECT depipe.create_load('raw.orders', server => 'shop', source => '');
SELECT depipe.create_load('raw.orders', server => 'shop', key => '{}');
SELECT depipe.create_load('raw.orders', server => 'shop', key => '{id,id}');
SELECT depipe.create_load('raw.orders', server => 'shop', key => '{id,NULL}');
SELECT depipe.create_load('raw.orders', server => 'shop', columns => '[1]');
SELECT depipe.create_load('raw.orders', server => 'shop', columns => '"x"');
SELECT depipe.create_load('raw.orders', server => 'shop', columns => '{"email": 1}');
SELECT depipe.create_load('raw.orders', server => 'shop', columns => '{"email": {"a": "b"}}');
SELECT depipe.create_load('raw.orders', server => 'shop', columns => '{"": null}');
SELECT depipe.create_load('raw.orders', server => 'shop', columns => '{"email": "lower(email"}');
SELECT depipe.create_load('raw.orders', server => 'shop', columns => '{"email": "1; DROP TABLE x"}');
SELECT depipe.create_load('raw.orders', server => 'shop', columns => '{"email": "email FROM secrets"}');
SELECT depipe.create_load('raw.orders', server => 'shop', columns => '{"id": null}', key => '{id}');
SELECT depipe.create_load('raw.orders', server => 'shop', row_filter => 'a, b');
SELECT depipe.create_load('raw.orders', server => 'shop', row_filter => '');
SELECT depipe.create_load('raw.orders', server => 'shop', schema_change => 'maybe');
SELECT depipe.create_load('raw.orders', server => 'shop', schema_change => 'evolve');
SELECT depipe.create_load('raw.orders', server => 'shop', schema_change => NULL);
SELECT depipe.create_load('raw.orders', server => 'shop', new_columns => 'x');
SELECT depipe.create_load('raw.orders', server => 'shop', on_truncate => 'x');
SELECT depipe.create_load('raw.orders', server => 'shop', target_lag => '-1 second');
SELECT depipe.create_load('raw.orders', server => 'shop', target_lag => NULL);
SELECT depipe.create_load('raw.orders', server => 'shop', replace => NULL);
CREATE VIEW raw.a_view AS SELECT 1 AS x;
SELECT depipe.create_load('raw.a_view', server => 'shop');
SELECT count(*) AS nothing_was_made FROM depipe.loads;

-- rights
SET ROLE load_stranger;
SELECT depipe.create_load('raw.orders', server => 'shop');
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER shop TO load_stranger, load_group;
SET ROLE load_stranger;
SELECT depipe.create_load('raw.orders', server => 'shop');
RESET ROLE;
GRANT USAGE ON SCHEMA raw TO load_stranger;
SET ROLE load_stranger;
SELECT depipe.create_load('raw.orders', server => 'shop');
RESET ROLE;
CREATE TABLE raw.of_group (id int PRIMARY KEY);
ALTER TABLE raw.of_group OWNER TO load_group;
SELECT depipe.create_load('raw.of_group', server => 'shop');

-- idempotent, replace
SET ROLE load_owner;
SELECT depipe.create_load('raw.orders', server => 'shop', source => 'public.orders', key => '{id}');
SELECT depipe.create_load('raw.orders', server => 'shop', source => 'public.orders', key => '{id}');
SELECT depipe.create_load('raw.orders', server => 'shop', source => 'orders', key => '{id}', target_lag => '1 minute');
SELECT depipe.create_load('raw.orders', server => 'shop', source => 'public.orders2',
	row_filter => 'amount > 0', columns => '{"email": "lower(email)", "ssn": null}', replace => true);
SELECT target, state, reason, server, source, mode, key, columns, row_filter, schema_change, new_columns,
	on_truncate, target_lag, owner FROM depipe.loads;
SELECT depipe.create_load('raw."odd ""name"', server => 'shop', source => 'public."odd ""source"');
SELECT target, source FROM depipe.loads ORDER BY target;
CREATE TABLE raw.mine (id int PRIMARY KEY, x text);
SELECT depipe.create_load('raw.mine', server => 'shop');
RESET ROLE;
SELECT depipe.create_transform('raw.t', 'SELECT 1 AS x', key => '{x}', populate => false);
SELECT depipe.create_load('raw.t', server => 'shop');
SET ROLE load_stranger;
SELECT depipe.create_load('raw.mine', server => 'shop', replace => true);
SELECT depipe.drop_load('raw.mine');
SELECT depipe.resync('raw.mine');
SELECT depipe.pause('because', 'raw.mine');
SELECT depipe.resume('raw.mine');
SELECT depipe.detach_source('shop');
SELECT count(*) AS seen_by_a_stranger FROM depipe.loads;
RESET ROLE;

-- pause, resume, resync
SELECT depipe.pause(NULL);
SELECT depipe.pause('  ');
SELECT depipe.pause('because', 'nothing.*');
SELECT depipe.pause('because', 'raw.mine', until => '2000-01-01');
SELECT depipe.pause('because', 'raw.*', server => 'elsewhere');
SELECT depipe.pause('moving house', 'raw.*', server => 'shop');
SELECT target, state, reason FROM depipe.loads ORDER BY target;
SELECT depipe.resume(NULL);
SELECT depipe.resume('nothing.*');
SELECT depipe.resume();
SELECT depipe.resume();
SELECT depipe.pause('until next century', 'raw.mine', until => '2100-01-01');
SELECT depipe.resume('raw.mine');
SELECT depipe.resync(NULL);
SELECT depipe.resync('raw.nothing');
SELECT depipe.resync('raw.t');
SELECT depipe.resync('raw.mine');
SELECT state, reason FROM depipe.loads WHERE target = 'raw.mine';

-- a run that cannot connect says so and raises nothing; the server's owner has no user mapping here
SELECT target, status, reason FROM depipe.refresh('raw.mine');
SELECT error_sqlstate, error_message, error_hint FROM depipe.runs WHERE target = 'raw.mine';
CALL depipe.run('raw.mine');
SELECT item, ok, detail, hint FROM depipe.check_source('shop');
SELECT * FROM depipe.check_source(NULL);
SELECT * FROM depipe.check_source('nowhere');
SELECT * FROM depipe.check_source('other');
-- a server of a role that is no superuser needs a password
ALTER SERVER shop OWNER TO load_owner;
ALTER USER MAPPING FOR load_owner SERVER shop OPTIONS (DROP password);
SELECT target, status, reason FROM depipe.refresh('raw.mine');

-- DROP SERVER, rename, detach_source, drop_load
DROP SERVER shop CASCADE;
DROP FOREIGN DATA WRAPPER depipe CASCADE;
ALTER SERVER shop RENAME TO "Shop 2";
SELECT DISTINCT server FROM depipe.loads;
SELECT depipe.detach_source(NULL);
SELECT depipe.detach_source('nowhere');
SELECT depipe.detach_source('Shop 2');
SELECT target, state, reason, hint FROM depipe.loads ORDER BY target;
SELECT target, status, reason FROM depipe.refresh('raw.mine');
SELECT depipe.drop_load(NULL);
SELECT depipe.drop_load('raw.nothing');
SELECT depipe.drop_load('raw.t');
SELECT depipe.drop_load('raw.mine', drop_table => NULL);
SELECT depipe.add_constraint('raw.mine', depipe.not_null('x'));
SELECT depipe.drop_load('raw.mine');
SELECT kind, state FROM depipe.status WHERE target = 'raw.mine';
SELECT depipe.create_load('raw.mine', server => 'Shop 2');
SELECT depipe.drop_load('raw.mine', drop_table => true);
SELECT to_regclass('raw.mine');
SELECT depipe.drop_load(target) FROM depipe.loads ORDER BY target;
DROP SERVER "Shop 2" CASCADE;
SELECT count(*) FROM depipe.stat_streams;

SELECT depipe.drop_transform('raw.t', drop_table => true);
DROP FOREIGN DATA WRAPPER other CASCADE;
DROP SCHEMA raw CASCADE;
DROP ROLE load_admin, load_owner, load_stranger, load_group;
