--
-- Loads without a server, whose source is in this database. No mode of this version makes one, so
-- the definitions are made by hand: everything that groups, joins or prints loads by server.
--
SET client_min_messages = warning;
CREATE SCHEMA no_server;
CREATE SERVER no_server FOREIGN DATA WRAPPER depipe OPTIONS (host '/nowhere', dbname 'shop');
CREATE TABLE no_server.a (id int PRIMARY KEY);
CREATE TABLE no_server.b (id int PRIMARY KEY);
CREATE TABLE no_server.c (id int PRIMARY KEY);

-- a mode that needs a server, and those that are not there yet
SELECT depipe.create_load('no_server.a', server => NULL, source => 'app.a');
SELECT depipe.create_load('no_server.a', server => NULL, source => 'app.a', mode => 'cdc');
SELECT depipe.create_load('no_server.a', server => NULL, source => 'app.a', mode => 'snapshot');

SELECT depipe.create_load('no_server.' || name, server => 'no_server', source => 'app.' || name) FROM unnest('{a,b,c}'::text[]) name;
UPDATE depipe.load l SET server_name = NULL, mode = 'snapshot' FROM depipe.target t
WHERE t.target_id = l.target_id AND t.schema_name = 'no_server' AND t.table_name <> 'c';
UPDATE depipe.load_state SET server_oid = NULL WHERE target_id IN (SELECT target_id FROM depipe.load WHERE server_name IS NULL);

-- views show every load
SELECT target, state, server, source, mode FROM depipe.loads WHERE target LIKE 'no_server.%' ORDER BY 1;
SELECT target, kind, state FROM depipe.status WHERE target LIKE 'no_server.%' ORDER BY 1;
SELECT target, input, through, input_kind FROM depipe.lineage WHERE target LIKE 'no_server.%' ORDER BY 1;
SELECT depipe.definition('no_server.*');
SELECT server FROM depipe.stat_streams WHERE server = 'no_server' OR server IS NULL;

-- each is refreshed on its own: one that cannot run does not stop another
SELECT target, status, reason FROM depipe.refresh('no_server.a');
SELECT target, status FROM depipe.refresh('no_server.*') ORDER BY 1;
CALL depipe.run('no_server.b');
SELECT target, state, reason, next FROM depipe.status WHERE target LIKE 'no_server._' AND target <> 'no_server.c' ORDER BY 1;
DELETE FROM depipe.run;
DELETE FROM depipe.attempt;
CALL depipe.run_due();
SELECT 'no_server.' || t.table_name AS target, a.failures FROM depipe.attempt a
JOIN depipe.target t ON a.unit = 'target ' || t.target_id WHERE t.schema_name = 'no_server' ORDER BY 1;
SELECT unit, failures FROM depipe.attempt WHERE unit LIKE 'server %';
SELECT target, status, started_by FROM depipe.runs WHERE target LIKE 'no_server.%' ORDER BY 1;

-- by hand
SELECT depipe.pause('by hand', 'no_server.*', server => 'no_server');
SELECT depipe.pause('by hand', 'no_server.*');
SELECT target, state FROM depipe.loads WHERE target LIKE 'no_server.%' ORDER BY 1;
SELECT depipe.resume('no_server.*');
SELECT count(*) FROM depipe.attempt a JOIN depipe.target t ON a.unit = 'target ' || t.target_id WHERE t.schema_name = 'no_server';
CALL depipe.wait('no_server.a', timeout => '0');
SELECT depipe.resync('no_server.a');

-- restored from a dump
DELETE FROM depipe.load_state WHERE target_id = (SELECT target_id FROM depipe.target WHERE schema_name = 'no_server' AND table_name = 'b');
SELECT target, state, reason, hint FROM depipe.loads WHERE target = 'no_server.b';
SELECT target, state, next FROM depipe.status WHERE target = 'no_server.b';
SELECT depipe.resync('no_server.b');
SELECT target, state FROM depipe.loads WHERE target = 'no_server.b';

SELECT depipe.drop_load('no_server.' || name) FROM unnest('{a,b,c}'::text[]) name;
DROP SERVER no_server CASCADE;
DROP SCHEMA no_server CASCADE;
