/*
 * depipe: the part of the upgrade from the previous version that is written by hand.
 *
 * The build puts what is generated in place of the marked line (see
 * test/upgrade/changes.awk): new objects, new columns, functions and views.  Here stand
 * before it what makes room for that (views and functions whose result has
 * other columns, tables), and after it what needs it (rows that are there).
 */

-- complain if script is sourced in psql, rather than via ALTER EXTENSION
\echo Use "ALTER EXTENSION depipe UPDATE" to load this file. \quit

SET LOCAL search_path TO pg_catalog, pg_temp;

-- Finds the last verdict of a constraint in a run.
DROP INDEX depipe.verdict_run_idx;
CREATE INDEX verdict_run_idx ON depipe.verdict (run_id, constraint_id, verdict_id);

-- A load from this database has no server.
ALTER TABLE depipe.load ALTER COLUMN server_name DROP NOT NULL;

-- Their indexes are over hashes now.
ALTER TABLE depipe.pending_key DROP CONSTRAINT pending_key_pkey;
ALTER TABLE depipe.pending_key ALTER COLUMN constraint_id SET NOT NULL, ALTER COLUMN reference_key SET NOT NULL;
ALTER TABLE depipe.row_layout DROP CONSTRAINT row_layout_columns_key;
ALTER TABLE depipe.quarantined_row DROP CONSTRAINT quarantined_row_key;

-- @changes@

-- Only indexes with this comment are dropped when the key of a transform changes.
DO $$
DECLARE
	index regclass;
BEGIN
	FOR index IN
		SELECT x.indexrelid::regclass
		FROM depipe.transform f
		JOIN depipe.target t USING (target_id)
		JOIN pg_catalog.pg_namespace n ON n.nspname OPERATOR(pg_catalog.=) t.schema_name
		JOIN pg_catalog.pg_class c ON c.relnamespace OPERATOR(pg_catalog.=) n.oid
			AND c.relname OPERATOR(pg_catalog.=) t.table_name
		JOIN pg_catalog.pg_index x ON x.indrelid OPERATOR(pg_catalog.=) c.oid
		WHERE x.indisunique AND x.indnullsnotdistinct AND x.indpred IS NULL AND x.indexprs IS NULL
			AND pg_catalog.obj_description(x.indexrelid, 'pg_class') IS NULL
			AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint o WHERE o.conindid OPERATOR(pg_catalog.=) x.indexrelid)
			AND f.key_columns OPERATOR(pg_catalog.=) ARRAY(SELECT a.attname::text
				FROM pg_catalog.unnest(x.indkey::smallint[]) WITH ORDINALITY k (attnum, place)
				JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) c.oid
					AND a.attnum OPERATOR(pg_catalog.=) k.attnum
				ORDER BY k.place)
	LOOP
		EXECUTE pg_catalog.format('COMMENT ON INDEX %s IS %L', index, 'key of a transform, created by depipe');
	END LOOP;
END
$$;

-- Whether rows of open incidents are in their tables is not known: they are looked at.
UPDATE depipe.incident SET published = true WHERE closed_at IS NULL;

-- Streams that were made here are this instance's; others were copied with their database.
UPDATE depipe.stream s SET instance_id = i.instance_id
FROM depipe.instance i
WHERE s.local_system_identifier OPERATOR(pg_catalog.=) i.system_identifier
	AND s.local_database OPERATOR(pg_catalog.=) i.database_oid;

-- What definitions meant depended on who ran them: from now on they mean what they mean here.
UPDATE depipe.target SET settings = '{}' WHERE kind NOT IN ('l', 'f');

ALTER TABLE depipe.stream DROP COLUMN local_system_identifier, DROP COLUMN local_database;

-- Rows that were kept before anybody counted.
INSERT INTO depipe.target_state AS s (target_id, parked, quarantined, retries)
SELECT k.target_id, pg_catalog.sum(k.parked), pg_catalog.sum(k.quarantined), pg_catalog.sum(k.retries)
FROM (SELECT target_id, 1 AS parked, 0 AS quarantined, 0 AS retries FROM depipe.parked_item
	UNION ALL SELECT target_id, 0, 1, retry::integer FROM depipe.quarantined_row) k
GROUP BY k.target_id
ON CONFLICT (target_id) DO UPDATE SET parked = EXCLUDED.parked, quarantined = EXCLUDED.quarantined,
	retries = EXCLUDED.retries;
