-- What a refresh meets: inputs that change their shape, tables that are gone.
\set ON_ERROR_STOP off
\set VERBOSITY terse
CREATE SCHEMA r;

-- partitions come and go between two refreshes
CREATE TABLE r.part (id integer, d integer) PARTITION BY LIST (d);
CREATE TABLE r.part_1 PARTITION OF r.part FOR VALUES IN (1);
INSERT INTO r.part VALUES (1, 1);
SELECT depipe.create_transform('r.of_part', 'SELECT id, d FROM r.part');
CREATE TABLE r.part_2 PARTITION OF r.part FOR VALUES IN (2);
INSERT INTO r.part VALUES (2, 2);
SELECT status, inserted, deleted FROM depipe.refresh('r.of_part');
TABLE r.of_part ORDER BY 1;
DROP TABLE r.part_1;
SELECT status, inserted, deleted FROM depipe.refresh('r.of_part');
TABLE r.of_part ORDER BY 1;
SELECT i.table_name, direct FROM depipe.transform_input i JOIN depipe.target t USING (target_id)
WHERE t.table_name = 'of_part' ORDER BY 1;

-- a view is replaced by one on other tables
CREATE VIEW r.seen AS SELECT id FROM r.part;
CREATE TABLE r.other (id integer PRIMARY KEY);
INSERT INTO r.other VALUES (7), (8);
SELECT depipe.create_transform('r.of_view', 'SELECT id FROM r.seen');
SELECT depipe.create_transform('r.of_view_keyed', 'SELECT id, count(*) AS n FROM r.seen GROUP BY id');
CREATE OR REPLACE VIEW r.seen AS SELECT id FROM r.other;
SELECT target, status, inserted, deleted FROM depipe.refresh('r.of_view*');
TABLE r.of_view ORDER BY 1;
TABLE r.of_view_keyed ORDER BY 1;
CREATE OR REPLACE VIEW r.seen AS SELECT o.id FROM r.other o LEFT JOIN r.part p USING (id);
INSERT INTO r.other VALUES (9);
SELECT target, status, inserted, deleted FROM depipe.refresh('r.of_view*');
SELECT i.table_name, direct FROM depipe.transform_input i JOIN depipe.target t USING (target_id)
WHERE t.table_name = 'of_view' ORDER BY 1;

-- the table of a target is gone: every function says so, or makes it again
SELECT depipe.create_transform('r.gone', 'SELECT id, d FROM r.part', key => '{id}');
DROP TABLE r.gone;
SELECT depipe.create_transform('r.gone', 'SELECT id, d FROM r.part', key => '{id, d}', replace => true);
TABLE r.gone;
DROP TABLE r.gone;
SELECT depipe.alter_transform('r.gone', key => '{d}', dry_run => true);
SELECT depipe.alter_transform('r.gone', key => '{d}');
DROP TABLE r.gone;
SELECT depipe.alter_transform('r.gone', target_lag => '1 minute');
DROP TABLE r.gone;
SELECT depipe.alter_transform('r.gone', key => '{}', populate => false);
DROP TABLE r.gone;
SELECT status, reason FROM depipe.refresh('r.gone');
CALL depipe.run('r.gone');
SELECT depipe.explain_transform('r.gone');
SELECT depipe.verify('r.gone');
SELECT depipe.check_table('r.gone');
SELECT depipe.violations('r.gone');
SELECT depipe.add_constraint('r.gone', depipe.not_null('id'));
SELECT depipe.add_constraint('r.gone', depipe.relationships('id', 'r.other', 'id'), existing => 'baseline');
SELECT depipe.alter_constraint('r.gone', 'id_not_null', on_violation => 'warn');
SELECT depipe.drop_constraint('r.gone', 'id_not_null');
SELECT depipe.configure_breaker('r.gone', bad_runs => 2);
SELECT depipe.trip('r.gone', 'test');
SELECT depipe.override('r.gone', 'test', now() + interval '1 hour');
SELECT depipe.reset('r.gone', 'test');
SELECT depipe.guard('r.gone');
SELECT depipe.assert_ok('r.gone');
SELECT depipe.as_of('r.gone') IS NOT NULL AS as_of;
SELECT depipe.pause('test', 'r.gone');
SELECT depipe.resume('r.gone');
SELECT depipe.set_owner('r.gone', current_user::name);
SELECT state, reason FROM depipe.why('r.gone');
SELECT count(*) FROM depipe.definition('r.gone');
SELECT depipe.drop_transform('r.gone', drop_table => true);
-- ... that of a load
CREATE SERVER gone FOREIGN DATA WRAPPER depipe OPTIONS (host '/nonexistent', dbname 'x');
CREATE TABLE r.loaded (id integer PRIMARY KEY, n integer);
SELECT depipe.create_load('r.loaded', server => 'gone', source => 'public.x');
DROP TABLE r.loaded;
SELECT depipe.create_load('r.loaded', server => 'gone', source => 'public.x', key => '{n}', replace => true);
SELECT depipe.create_load('r.loaded', server => 'gone', source => 'public.y', key => '{id}', replace => true);
SELECT depipe.resync('r.loaded');
SELECT depipe.verify('r.loaded');
SELECT depipe.add_constraint('r.loaded', depipe.not_null('id'));
SELECT depipe.drop_load('r.loaded', drop_table => true);
DROP SERVER gone;

-- the table of a target is gone, and what reads it
SELECT depipe.create_transform('r.first', 'SELECT id FROM r.other');
SELECT depipe.create_transform('r.second', 'SELECT id FROM r.first');
DROP TABLE r.first;
SELECT target, status, reason FROM depipe.refresh('r.second', upstream => true);
SELECT depipe.create_transform('r.first', 'SELECT id FROM r.other', key => '{id}', replace => true);
SELECT target, status FROM depipe.refresh('r.second', upstream => true);

-- a key that is longer than an entry of an index
CREATE TABLE r.texts (id integer, body text);
INSERT INTO r.texts SELECT g, (SELECT string_agg(md5(g::text || h), '') FROM generate_series(1, 200) h) FROM generate_series(1, 2) g;
SELECT depipe.create_transform('r.long', 'SELECT DISTINCT id, body FROM r.texts');
SELECT id, length(body) FROM r.long ORDER BY id;
INSERT INTO r.texts SELECT 3, body || 'x' FROM r.texts WHERE id = 1;
INSERT INTO r.texts SELECT 3, body || 'x' FROM r.texts WHERE id = 1;
DELETE FROM r.texts WHERE id = 1;
SELECT status, strategy, inserted, updated, deleted FROM depipe.refresh('r.long');
SELECT status, strategy FROM depipe.refresh('r.long');
SELECT id, length(body) FROM r.long ORDER BY id;
SELECT regexp_replace(pg_get_indexdef(indexrelid), '.* USING ', '') FROM pg_index WHERE indrelid = 'r.long'::regclass;
-- ... that comes later
DELETE FROM r.texts;
INSERT INTO r.texts VALUES (1, 'short');
SELECT depipe.create_transform('r.later', 'SELECT body, count(*) AS n FROM r.texts GROUP BY body');
INSERT INTO r.texts SELECT 2, (SELECT string_agg(md5(h::text), '') FROM generate_series(1, 200) h);
SELECT status, strategy, reason, inserted, updated, deleted FROM depipe.refresh('r.later');
INSERT INTO r.texts SELECT 2, body FROM r.texts WHERE id = 2;
SELECT status, strategy, reason, inserted, updated, deleted FROM depipe.refresh('r.later');
SELECT regexp_replace(pg_get_indexdef(indexrelid), '.* USING ', '') FROM pg_index WHERE indrelid = 'r.later'::regclass;
SELECT depipe.verify('r.later');
-- ... of the same rows twice
SELECT depipe.create_transform('r.twice', 'SELECT body FROM r.texts', key => '{body}');

-- more rows in quarantine than fit into memory: no file is left
SET work_mem = '64kB';
CREATE TABLE r.many (id integer PRIMARY KEY, body text);
INSERT INTO r.many SELECT g, repeat(md5(g::text), 3) FROM generate_series(1, 5000) g;
SELECT depipe.create_transform('r.many_made', 'SELECT id, body FROM r.many', populate => false);
SELECT depipe.add_constraint('r.many_made', depipe.satisfies('id % 2 = 0'), on_violation => 'quarantine');
SELECT status, inserted, quarantined FROM depipe.refresh('r.many_made');
SELECT status, inserted, quarantined FROM depipe.refresh('r.many_made');
RESET work_mem;

SET client_min_messages = warning;
SELECT count(depipe.drop_transform(target, true))
FROM unnest(ARRAY['r.many_made', 'r.long', 'r.later', 'r.second', 'r.first', 'r.of_view', 'r.of_view_keyed', 'r.of_part']) AS target;
DROP SCHEMA r CASCADE;
