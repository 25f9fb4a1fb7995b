--
-- Owners that cannot be run as: without LOGIN, without USAGE, dropped; and
-- definitions that are given away.
--
SET datestyle = 'ISO, MDY';
SET intervalstyle = 'postgres';
SET timezone = 'UTC';
SET default_text_search_config = 'pg_catalog.simple';
SET client_min_messages TO warning;
CREATE ROLE regress_first LOGIN;
CREATE ROLE regress_second LOGIN;
CREATE ROLE regress_third LOGIN;
CREATE ROLE regress_group NOLOGIN;
GRANT USAGE ON FOREIGN DATA WRAPPER depipe TO regress_third;
GRANT regress_group TO regress_first;
CREATE SCHEMA ownerless;
GRANT CREATE, USAGE ON SCHEMA ownerless TO regress_first, regress_second, regress_group;
CREATE SERVER ownerless_server FOREIGN DATA WRAPPER depipe OPTIONS (host '/nowhere', dbname 'nothing');
CREATE USER MAPPING FOR CURRENT_USER SERVER ownerless_server;
GRANT USAGE ON FOREIGN SERVER ownerless_server TO regress_first, regress_second, regress_group;
CREATE VIEW ownerless.seen AS SELECT target, kind, state, reason, next FROM depipe.status WHERE target LIKE 'ownerless.%' ORDER BY target;

-- refused at definition, also on a table of a group
SET ROLE regress_group;
SELECT depipe.create_load('ownerless.loaded', server => 'ownerless_server');
SELECT depipe.create_transform('ownerless.made', 'SELECT 1 AS one');
CREATE TABLE ownerless.of_group (one int);
SET ROLE regress_first;
SELECT depipe.create_load('ownerless.of_group', server => 'ownerless_server');
SELECT depipe.create_transform('ownerless.of_group', 'SELECT 1 AS one');
-- constraints of an ordinary table run nothing by themselves
SELECT depipe.add_constraint('ownerless.of_group', depipe.not_null('one'));
SELECT constraint_name, outcome FROM depipe.check_table('ownerless.of_group');
SELECT depipe.drop_constraint('ownerless.of_group', 'one_not_null');

-- given to a group, and a role that may not log in any more
CREATE TABLE ownerless.base (id int PRIMARY KEY, v int);
GRANT SELECT ON ownerless.base TO regress_second, regress_group;
INSERT INTO ownerless.base VALUES (1, 1);
SELECT depipe.create_transform('ownerless.made', 'SELECT id, v FROM ownerless.base');
SELECT depipe.create_transform('ownerless.reader', 'SELECT id, v FROM ownerless.made');
RESET ROLE;
ALTER TABLE ownerless.made OWNER TO regress_group;
GRANT SELECT ON ownerless.made TO regress_first;
INSERT INTO ownerless.base VALUES (2, 2);
SELECT target, status, reason FROM depipe.refresh('ownerless.*');
SELECT * FROM ownerless.seen;
SELECT count(*) FROM ownerless.made;
ALTER TABLE ownerless.made OWNER TO regress_first;
SELECT target, status FROM depipe.refresh('ownerless.*');
ALTER ROLE regress_first NOLOGIN;
SELECT target, status, reason FROM depipe.refresh('ownerless.made');
ALTER ROLE regress_first LOGIN;
SELECT target, status FROM depipe.refresh('ownerless.made');

-- a server that may not be used any more
SET ROLE regress_first;
SELECT depipe.create_load('ownerless.loaded', server => 'ownerless_server');
RESET ROLE;
REVOKE USAGE ON FOREIGN SERVER ownerless_server FROM regress_first, regress_group;
SELECT * FROM ownerless.seen WHERE target = 'ownerless.loaded';
SELECT target, state, reason FROM depipe.loads WHERE target = 'ownerless.loaded';
GRANT USAGE ON FOREIGN SERVER ownerless_server TO regress_first;
SELECT * FROM ownerless.seen WHERE target = 'ownerless.loaded';

-- what it reads may not be read any more
SET ROLE regress_second;
SELECT depipe.create_transform('ownerless.copy', 'SELECT id, v FROM ownerless.base');
RESET ROLE;
REVOKE SELECT ON ownerless.base FROM regress_second;
INSERT INTO ownerless.base VALUES (3, 3);
SELECT target, status, reason FROM depipe.refresh('ownerless.copy');
SELECT * FROM ownerless.seen WHERE target = 'ownerless.copy';
SELECT depth, target, state, reason FROM depipe.why('ownerless.copy');
GRANT SELECT ON ownerless.base TO regress_second;
SELECT target, status FROM depipe.refresh('ownerless.copy');
SELECT target, state FROM ownerless.seen WHERE target = 'ownerless.copy';
SET ROLE regress_second;
SELECT depipe.drop_transform('ownerless.copy', true);
RESET ROLE;

-- REASSIGN OWNED takes along what has no table (yet, or any more)
SET ROLE regress_first;
CREATE TABLE ownerless.checked (id int);
SELECT depipe.add_constraint('ownerless.checked', depipe.not_null('id'));
DROP TABLE ownerless.checked, ownerless.reader;
RESET ROLE;
SELECT target_id IS NOT NULL, table_name, owner FROM depipe.target WHERE schema_name = 'ownerless' ORDER BY table_name;
REASSIGN OWNED BY regress_first TO regress_second;
SELECT table_name, owner FROM depipe.target WHERE schema_name = 'ownerless' ORDER BY table_name;
SELECT target, status FROM depipe.refresh('ownerless.made');
REASSIGN OWNED BY regress_second TO regress_first;

-- a server that loads use does not go with its owner
ALTER SERVER ownerless_server OWNER TO regress_third;
DROP OWNED BY regress_third CASCADE;
SELECT count(*) FROM pg_foreign_server WHERE srvname = 'ownerless_server';
ALTER SERVER ownerless_server OWNER TO CURRENT_USER;
-- the role goes; what it owned stays, and says so
SET ROLE regress_first;
DROP TABLE ownerless.made;
RESET ROLE;
DROP OWNED BY regress_first;
DROP ROLE regress_first;
SELECT * FROM ownerless.seen;
SELECT depth, target, state, reason, next FROM depipe.why('ownerless.made');
SELECT target, status, reason FROM depipe.refresh('ownerless.made');
SELECT target, state, reason, hint FROM depipe.loads WHERE target LIKE 'ownerless.%';
CALL depipe.run_due();
SELECT target, event, state, reason FROM depipe.events WHERE event = 'owner' AND target LIKE 'ownerless.%' ORDER BY target;
CALL depipe.run_due();
SELECT count(*) FROM depipe.events WHERE event = 'owner' AND target LIKE 'ownerless.%';
SELECT target, status, reason FROM depipe.runs WHERE target = 'ownerless.loaded';
SELECT depipe.definition('ownerless.made');
-- not to be taken over by whoever makes the table
SET ROLE regress_second;
SELECT depipe.set_owner('ownerless.made', 'regress_second');
CREATE TABLE ownerless.made (id int, v int);
SELECT depipe.drop_transform('ownerless.made');
SELECT depipe.create_transform('ownerless.made', 'SELECT 1 AS id, 2 AS v', replace => true);
RESET ROLE;
SELECT next FROM ownerless.seen WHERE target = 'ownerless.made';
SELECT target, status, reason FROM depipe.refresh('ownerless.made');

-- given on
CREATE TABLE ownerless.base (id int PRIMARY KEY, v int);
GRANT SELECT ON ownerless.base TO regress_second;
INSERT INTO ownerless.base VALUES (7, 7);
SELECT depipe.set_owner('ownerless.made', 'regress_group');
SELECT depipe.set_owner('ownerless.made', 'nobody');
SELECT depipe.set_owner('ownerless.made', 'regress_third');
SELECT depipe.set_owner('ownerless.made', NULL);
SELECT depipe.set_owner('ownerless.nothing', 'regress_second');
SELECT depipe.set_owner('ownerless.made', 'regress_second');
SELECT target, status FROM depipe.refresh('ownerless.made');
SELECT depipe.set_owner('ownerless.loaded', 'regress_second');
SELECT * FROM ownerless.seen;
CALL depipe.run_due();
SELECT target, state, reason FROM depipe.events WHERE event = 'owner' AND target LIKE 'ownerless.%' ORDER BY target, event_id;
-- of one's own, to a role that one can be
SET ROLE regress_second;
SELECT depipe.set_owner('ownerless.loaded', 'regress_third');
RESET ROLE;
GRANT regress_third TO regress_second;
SET ROLE regress_second;
SELECT depipe.set_owner('ownerless.loaded', 'regress_third');
RESET ROLE;
SELECT target, owner FROM depipe.loads WHERE target = 'ownerless.loaded';

SELECT depipe.drop_load('ownerless.loaded');
SELECT depipe.drop_transform('ownerless.reader');
SELECT depipe.drop_transform('ownerless.made', true);
SELECT depipe.drop_constraint('ownerless.checked', 'id_not_null');
DROP SCHEMA ownerless CASCADE;
DROP SERVER ownerless_server CASCADE;
DROP OWNED BY regress_second, regress_group, regress_third;
DROP ROLE regress_second, regress_group, regress_third;
