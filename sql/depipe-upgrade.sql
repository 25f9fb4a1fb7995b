/*
 * depipe: the part of the upgrade from the previous version that is written by hand.
 *
 * The build puts what is generated in place of the marked line (see
 * test/upgrade/changes.awk): new objects, functions and views.  Here stand
 * before it what makes room for that (views and functions whose result has
 * other columns, tables), and after it what needs it (rows that are there).
 */

-- complain if script is sourced in psql, rather than via ALTER EXTENSION
\echo Use "ALTER EXTENSION depipe UPDATE" to load this file. \quit

SET LOCAL search_path TO pg_catalog, pg_temp;

ALTER TABLE depipe.stream ADD COLUMN instance_id uuid, ADD COLUMN commit_lsn pg_lsn,
	ADD COLUMN commit_end pg_lsn, ADD COLUMN commit_xid bigint, ADD COLUMN source_started timestamptz;
ALTER TABLE depipe.load_state ADD COLUMN published_as text, ADD COLUMN source_leaves text[],
	ADD COLUMN settled_texts text[];
ALTER TABLE depipe.parked_item ADD COLUMN before smallint;
ALTER TABLE depipe.target_state ADD COLUMN paused_at timestamptz;
ALTER TABLE depipe.target_state ADD COLUMN owner_problem text;
ALTER TABLE depipe.target_state ADD COLUMN owner_problem_since timestamptz;
ALTER TABLE depipe.event ADD COLUMN server_name name;
ALTER TABLE depipe.incident ADD COLUMN published boolean NOT NULL DEFAULT false;
ALTER TABLE depipe.incident ADD COLUMN violations_now bigint;
ALTER TABLE depipe.incident ADD COLUMN accepted bigint;
ALTER TABLE depipe.incident ADD COLUMN accepted_of bigint;
ALTER TABLE depipe.incident ADD COLUMN known_keys text[];
ALTER TABLE depipe.incident ADD COLUMN looked_at timestamptz;
ALTER TABLE depipe.incident ADD COLUMN look_ms double precision;
ALTER TABLE depipe.incident ADD COLUMN look_again boolean NOT NULL DEFAULT false;
ALTER TABLE depipe.incident ADD COLUMN closed_how text;
ALTER TABLE depipe.target_state ADD COLUMN parked bigint NOT NULL DEFAULT 0;
ALTER TABLE depipe.target_state ADD COLUMN quarantined bigint NOT NULL DEFAULT 0;
ALTER TABLE depipe.target_state ADD COLUMN retries bigint NOT NULL DEFAULT 0;
ALTER TABLE depipe.transform_state ADD COLUMN inputs_seen text;
ALTER TABLE depipe.target ADD COLUMN settings text[];
ALTER TABLE depipe.constraint_definition ADD COLUMN settings text[];

-- Finds the last verdict of a constraint in a run.
DROP INDEX depipe.verdict_run_idx;
CREATE INDEX verdict_run_idx ON depipe.verdict (run_id, constraint_id, verdict_id);

-- Their indexes are over hashes now.
ALTER TABLE depipe.pending_key DROP CONSTRAINT pending_key_pkey;
ALTER TABLE depipe.pending_key ALTER COLUMN constraint_id SET NOT NULL, ALTER COLUMN reference_key SET NOT NULL;
ALTER TABLE depipe.row_layout DROP CONSTRAINT row_layout_columns_key;
ALTER TABLE depipe.quarantined_row DROP CONSTRAINT quarantined_row_key;

-- Queries follow renamed functions, types, operators and collations, too.
DROP EVENT TRIGGER depipe_names_changed;
CREATE EVENT TRIGGER depipe_names_changed ON ddl_command_end
WHEN TAG IN ('ALTER AGGREGATE', 'ALTER COLLATION', 'ALTER DOMAIN', 'ALTER EXTENSION', 'ALTER FOREIGN TABLE',
	'ALTER FUNCTION', 'ALTER MATERIALIZED VIEW', 'ALTER OPERATOR', 'ALTER PROCEDURE', 'ALTER ROUTINE',
	'ALTER SCHEMA', 'ALTER TABLE', 'ALTER TYPE', 'ALTER VIEW', 'CREATE FOREIGN TABLE',
	'CREATE MATERIALIZED VIEW', 'CREATE SCHEMA', 'CREATE TABLE', 'CREATE TABLE AS', 'CREATE VIEW',
	'DROP FOREIGN TABLE', 'DROP OWNED', 'DROP SCHEMA', 'DROP TABLE', 'IMPORT FOREIGN SCHEMA', 'SELECT INTO')
EXECUTE FUNCTION depipe.names_changed();

-- @changes@

-- Whether rows of open incidents are in their tables is not known: they are looked at.
UPDATE depipe.incident SET published = true WHERE closed_at IS NULL;

-- Streams that were made here are this instance's; others were copied with their database.
UPDATE depipe.stream s SET instance_id = i.instance_id
FROM depipe.instance i
WHERE s.local_system_identifier OPERATOR(pg_catalog.=) i.system_identifier
	AND s.local_database OPERATOR(pg_catalog.=) i.database_oid;

-- What definitions meant depended on who ran them: from now on they mean what they mean here.
UPDATE depipe.target SET settings = CASE WHEN kind IN ('l', 'f') THEN depipe.session_settings() ELSE '{}' END;
ALTER TABLE depipe.target ALTER COLUMN settings SET NOT NULL,
	ALTER COLUMN settings SET DEFAULT depipe.session_settings();
UPDATE depipe.constraint_definition SET settings = depipe.session_settings();
ALTER TABLE depipe.constraint_definition ALTER COLUMN settings SET NOT NULL,
	ALTER COLUMN settings SET DEFAULT depipe.session_settings();

ALTER TABLE depipe.stream DROP COLUMN local_system_identifier, DROP COLUMN local_database;

-- Rows that were kept before anybody counted.
INSERT INTO depipe.target_state AS s (target_id, parked, quarantined, retries)
SELECT k.target_id, pg_catalog.sum(k.parked), pg_catalog.sum(k.quarantined), pg_catalog.sum(k.retries)
FROM (SELECT target_id, 1 AS parked, 0 AS quarantined, 0 AS retries FROM depipe.parked_item
	UNION ALL SELECT target_id, 0, 1, retry::integer FROM depipe.quarantined_row) k
GROUP BY k.target_id
ON CONFLICT (target_id) DO UPDATE SET parked = EXCLUDED.parked, quarantined = EXCLUDED.quarantined,
	retries = EXCLUDED.retries;
