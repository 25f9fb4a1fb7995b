/*-------------------------------------------------------------------------
 *
 * transforms.c
 *		Statements on the tables of transforms.
 *
 *-------------------------------------------------------------------------
 */
#include "catalog/transforms.h"

#include "catalog/group_state.h"
#include "miscadmin.h"
#include "utils/xid8.h"

/* ---- definitions ---- */

CatalogRows *
transform_select(int32 target_id)
{
	return CATALOG_EXECUTE(
		"SELECT f.query_text, f.query_sql, f.key_columns, f.mode, f.target_lag::text,"
		" f.on_incomplete, f.on_stale, s.populated, s.state, s.made_table,"
		" CASE WHEN s.tree_version OPERATOR(pg_catalog.=)"
		" pg_catalog.current_setting('server_version_num')::integer THEN s.query_tree END,"
		" s.input_relids, s.rebuild, s.frontier_system, s.frontier_database,"
		" s.frontier_snapshot::text, s.frontier_xid::text, s.frontier_sequence,"
		" s.frontier_captures, s.frontier_query, s.frontier_table, s.frontier_time,"
		" s.frontier_hidden"
		" FROM depipe.transform f LEFT JOIN depipe.transform_state s USING (target_id)"
		" WHERE f.target_id OPERATOR(pg_catalog.=) $1",
		ARG_INT4(target_id));
}

CatalogArg
transform_target_lag(int32 target_id)
{
	CatalogRows *rows = CATALOG_EXECUTE("SELECT target_lag FROM depipe.transform"
										" WHERE target_id OPERATOR(pg_catalog.=) $1",
										ARG_INT4(target_id));
	CatalogArg lag = ARG_NULL(INTERVALOID);

	lag.value = catalog_datum(rows, 0, 1, &lag.isnull);
	return lag;
}

void
transform_store(const TransformDefinition *definition, bool made_table)
{
	(void) CATALOG_EXECUTE(
		"INSERT INTO depipe.transform (target_id, query_text, query_sql, key_columns, mode,"
		" target_lag, on_incomplete, on_stale) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
		" ON CONFLICT (target_id) DO UPDATE SET query_text = EXCLUDED.query_text,"
		" query_sql = EXCLUDED.query_sql, key_columns = EXCLUDED.key_columns,"
		" mode = EXCLUDED.mode, target_lag = EXCLUDED.target_lag,"
		" on_incomplete = EXCLUDED.on_incomplete, on_stale = EXCLUDED.on_stale",
		ARG_INT4(definition->target_id),
		ARG_TEXT(definition->query_text),
		ARG_TEXT(definition->query_sql),
		ARG_TEXT_ARRAY(definition->key),
		ARG_TEXT(definition->mode),
		definition->target_lag,
		ARG_TEXT(definition->on_incomplete),
		ARG_TEXT(definition->on_stale));
	(void) CATALOG_EXECUTE(
		"INSERT INTO depipe.transform_state (target_id, made_table)"
		" VALUES ($1, $2) ON CONFLICT (target_id) DO UPDATE SET inputs_seen = NULL,"
		" frontier_captures = NULL",
		ARG_INT4(definition->target_id),
		ARG_BOOL(made_table));
}

void
transform_set_rebuild(int32 target_id)
{
	(void) CATALOG_EXECUTE("UPDATE depipe.transform_state SET rebuild = true"
						   " WHERE target_id OPERATOR(pg_catalog.=) $1",
						   ARG_INT4(target_id));
}

void
transform_delete(int32 target_id)
{
	group_state_delete(target_id);
	(void) CATALOG_EXECUTE("DELETE FROM depipe.transform WHERE target_id OPERATOR(pg_catalog.=) $1",
						   ARG_INT4(target_id));
	(void) CATALOG_EXECUTE("DELETE FROM depipe.transform_state"
						   " WHERE target_id OPERATOR(pg_catalog.=) $1",
						   ARG_INT4(target_id));
}

void
transform_set_query_sql(int32 target_id, const char *query_sql)
{
	(void) CATALOG_EXECUTE("UPDATE depipe.transform SET query_sql = $2"
						   " WHERE target_id OPERATOR(pg_catalog.=) $1",
						   ARG_INT4(target_id),
						   ARG_TEXT(query_sql));
}

void
transform_set_binding(int32 target_id, const char *query_tree, List *relids)
{
	(void) CATALOG_EXECUTE(
		"INSERT INTO depipe.transform_state (target_id, query_tree, tree_version, input_relids)"
		" VALUES ($1, $2, pg_catalog.current_setting('server_version_num')::integer, $3)"
		" ON CONFLICT (target_id) DO UPDATE SET query_tree = EXCLUDED.query_tree,"
		" tree_version = EXCLUDED.tree_version, input_relids = EXCLUDED.input_relids",
		ARG_INT4(target_id),
		ARG_TEXT(query_tree),
		ARG_OID_ARRAY(relids));
}

/* ---- inputs ---- */

CatalogRows *
transform_select_inputs(int32 target_id)
{
	return CATALOG_EXECUTE("SELECT i.schema_name, i.table_name, i.direct, t.target_id"
						   " FROM depipe.transform_input i"
						   " LEFT JOIN depipe.target t USING (schema_name, table_name)"
						   " WHERE i.target_id OPERATOR(pg_catalog.=) $1"
						   " ORDER BY i.schema_name, i.table_name",
						   ARG_INT4(target_id));
}

void
transform_delete_inputs(int32 target_id)
{
	(void) CATALOG_EXECUTE("DELETE FROM depipe.transform_input"
						   " WHERE target_id OPERATOR(pg_catalog.=) $1",
						   ARG_INT4(target_id));
}

void
transform_insert_input(int32 target_id, const char *schema_name, const char *table_name,
					   bool direct)
{
	(void) CATALOG_EXECUTE(
		"INSERT INTO depipe.transform_input (target_id, schema_name, table_name, direct)"
		" VALUES ($1, $2::name, $3::name, $4)",
		ARG_INT4(target_id),
		ARG_TEXT(schema_name),
		ARG_TEXT(table_name),
		ARG_BOOL(direct));
}

bool
target_has_constraints(int32 target_id)
{
	CatalogRows *rows = CATALOG_EXECUTE("SELECT FROM depipe.constraint_definition"
										" WHERE target_id OPERATOR(pg_catalog.=) $1 LIMIT 1",
										ARG_INT4(target_id));

	return rows->count > 0;
}

bool
target_forget_if_gone(const Target *target)
{
	if (OidIsValid(target->relid) || target->kind != TARGET_TABLE ||
		target_has_constraints(target->id))
		return false;
	target_delete(target->id);
	return true;
}

bool
target_has_trouble(int32 target_id)
{
	CatalogRows *rows = CATALOG_EXECUTE("SELECT EXISTS (SELECT FROM depipe.incident"
										" WHERE target_id OPERATOR(pg_catalog.=) $1"
										" AND closed_at IS NULL) OR EXISTS ("
										"SELECT FROM depipe.target_state"
										" WHERE target_id OPERATOR(pg_catalog.=) $1"
										" AND quarantined OPERATOR(pg_catalog.>) 0)",
										ARG_INT4(target_id));

	return catalog_bool(rows, 0, 1);
}

/* ---- state ---- */

void
transform_set_state(int32 target_id, const char *state, const char *reason, bool populated)
{
	CatalogRows *rows = CATALOG_EXECUTE(
		"WITH was AS (SELECT state FROM depipe.transform_state"
		" WHERE target_id OPERATOR(pg_catalog.=) $1), is_now AS ("
		/* the transform may have been dropped meanwhile */
		"INSERT INTO depipe.transform_state AS s (target_id, state, reason, populated)"
		" SELECT target_id, $2, $3, $4 FROM depipe.target WHERE target_id OPERATOR(pg_catalog.=) $1"
		" ON CONFLICT (target_id) DO UPDATE SET state = EXCLUDED.state, reason = EXCLUDED.reason,"
		" populated = s.populated OR EXCLUDED.populated,"
		" rebuild = s.rebuild AND NOT EXCLUDED.populated,"
		" since = CASE WHEN s.state OPERATOR(pg_catalog.=) EXCLUDED.state THEN s.since"
		" ELSE pg_catalog.clock_timestamp() END RETURNING state)"
		" SELECT was.state FROM is_now LEFT JOIN was ON true",
		ARG_INT4(target_id),
		ARG_TEXT(state),
		ARG_TEXT(reason),
		ARG_BOOL(populated));
	char *was;

	if (rows->count == 0)
		return;
	was = catalog_text(rows, 0, 1);
	if (was == NULL || strcmp(was, state) != 0)
		event_record(target_id, "transform", state, reason);
}

void
transform_lock_state(int32 target_id)
{
	(void) CATALOG_EXECUTE("SELECT FROM depipe.transform_state"
						   " WHERE target_id OPERATOR(pg_catalog.=) $1 FOR UPDATE",
						   ARG_INT4(target_id));
}

StoredFrontier *
transform_frontier(const CatalogRows *rows, uint64 row)
{
	StoredFrontier *frontier;

	if (catalog_text(rows, row, TRANSFORM_SYSTEM_IDENTIFIER) == NULL)
		return NULL;
	frontier = palloc(sizeof(StoredFrontier));
	frontier->system_identifier = catalog_text(rows, row, TRANSFORM_SYSTEM_IDENTIFIER);
	frontier->database_oid = catalog_oid(rows, row, TRANSFORM_DATABASE);
	frontier->snapshot = catalog_text(rows, row, TRANSFORM_SNAPSHOT);
	frontier->own_xid = FullTransactionIdFromU64(
		strtou64(catalog_text(rows, row, TRANSFORM_OWN_XID), NULL, 10));
	frontier->own_sequence = catalog_int8(rows, row, TRANSFORM_OWN_SEQUENCE);
	frontier->incarnations = catalog_int8_list(rows, row, TRANSFORM_CAPTURES);
	frontier->query_hash = catalog_int8(rows, row, TRANSFORM_QUERY_HASH);
	frontier->table_hash = catalog_int8(rows, row, TRANSFORM_TABLE_HASH);
	frontier->taken_at = catalog_time(rows, row, TRANSFORM_TAKEN_AT);
	frontier->hidden = catalog_int8(rows, row, TRANSFORM_HIDDEN);
	return frontier;
}

void
transform_set_covered(int32 target_id, const StoredFrontier *frontier, const char *seen)
{
	(void) CATALOG_EXECUTE("UPDATE depipe.transform_state"
						   " SET frontier_system = $2, frontier_database = $3,"
						   " frontier_snapshot = $4::pg_snapshot, frontier_xid = $5,"
						   " frontier_sequence = $6, inputs_seen = $7, frontier_captures = $8,"
						   " frontier_query = $9, frontier_table = $10, frontier_time = $11,"
						   " frontier_hidden = $12"
						   " WHERE target_id OPERATOR(pg_catalog.=) $1",
						   ARG_INT4(target_id),
						   ARG_TEXT(frontier->system_identifier),
						   ARG_OID(frontier->database_oid),
						   ARG_TEXT(frontier->snapshot),
						   ARG_DATUM(XID8OID, FullTransactionIdGetDatum(frontier->own_xid)),
						   ARG_INT8(frontier->own_sequence),
						   ARG_TEXT(seen),
						   ARG_INT8_ARRAY(frontier->incarnations),
						   ARG_INT8(frontier->query_hash),
						   ARG_INT8(frontier->table_hash),
						   ARG_DATUM(TIMESTAMPTZOID, TimestampTzGetDatum(frontier->taken_at)),
						   ARG_INT8(frontier->hidden));
}

void
transform_forget_captures(int32 target_id)
{
	(void) CATALOG_EXECUTE("UPDATE depipe.transform_state SET frontier_captures = '{}'"
						   " WHERE target_id OPERATOR(pg_catalog.=) $1",
						   ARG_INT4(target_id));
}

void
transform_mix(int32 target_id)
{
	(void) CATALOG_EXECUTE("UPDATE depipe.transform_state"
						   " SET frontier_captures = ARRAY[$2], inputs_seen = NULL"
						   " WHERE target_id OPERATOR(pg_catalog.=) $1",
						   ARG_INT4(target_id),
						   ARG_INT8(INCARNATION_MIXED));
}

int64
transform_forget_quarantine(int32 target_id, int64 run_id)
{
	return CATALOG_EXECUTE("DELETE FROM depipe.quarantined_row"
						   " WHERE target_id OPERATOR(pg_catalog.=) $1"
						   " AND run_id IS DISTINCT FROM $2",
						   ARG_INT4(target_id),
						   ARG_INT8(run_id))
		->processed;
}

/* The images have the texts of the values, which only built-in types read here. */
void
transform_forget_quarantined_range(int32 target_id, int64 run_id, const char *column, Oid type,
								   const char *since, const char *before)
{
	(void) CATALOG_EXECUTE(
		"DELETE FROM depipe.quarantined_row WHERE quarantine_id IN ("
		"SELECT q.quarantine_id FROM depipe.quarantined_row q JOIN depipe.row_layout l"
		" USING (layout_id),"
		" LATERAL (SELECT q.image[pg_catalog.array_position(l.columns, $3)] AS text) v"
		" WHERE q.target_id OPERATOR(pg_catalog.=) $1 AND q.run_id IS DISTINCT FROM $2"
		" AND CASE $4"
		" WHEN 'pg_catalog.timestamptz'::pg_catalog.regtype THEN"
		" v.text::timestamptz OPERATOR(pg_catalog.>=) $5::timestamptz"
		" AND v.text::timestamptz OPERATOR(pg_catalog.<) $6::timestamptz"
		" WHEN 'pg_catalog.timestamp'::pg_catalog.regtype THEN"
		" v.text::timestamp OPERATOR(pg_catalog.>=) $5::timestamp"
		" AND v.text::timestamp OPERATOR(pg_catalog.<) $6::timestamp"
		" WHEN 'pg_catalog.date'::pg_catalog.regtype THEN"
		" v.text::date OPERATOR(pg_catalog.>=) $5::date"
		" AND v.text::date OPERATOR(pg_catalog.<) $6::date"
		" ELSE v.text::numeric OPERATOR(pg_catalog.>=) $5::numeric"
		" AND v.text::numeric OPERATOR(pg_catalog.<) $6::numeric END)",
		ARG_INT4(target_id),
		ARG_INT8(run_id),
		ARG_TEXT(column),
		ARG_OID(type),
		ARG_TEXT(since),
		ARG_TEXT(before));
}

/* ---- the graph ---- */

CatalogRows *
dag_select_nodes(void)
{
	return CATALOG_EXECUTE0(NODE_COLUMNS NODE_TABLES NODE_ORDER);
}

CatalogRows *
dag_select_edges(void)
{
	return CATALOG_EXECUTE0("SELECT i.target_id, t.target_id FROM depipe.transform_input i"
							" JOIN depipe.target t USING (schema_name, table_name)"
							" ORDER BY i.target_id, t.schema_name, t.table_name");
}

/* ---- names ---- */

CatalogRows *
names_select_moved(void)
{
	return CATALOG_EXECUTE0(
		"SELECT t.target_id, t.schema_name, t.table_name, s.relid FROM depipe.target t"
		" LEFT JOIN depipe.target_state s USING (target_id)"
		" LEFT JOIN pg_catalog.pg_namespace n ON n.nspname OPERATOR(pg_catalog.=) t.schema_name"
		" LEFT JOIN pg_catalog.pg_class c ON c.relnamespace OPERATOR(pg_catalog.=) n.oid"
		" AND c.relname OPERATOR(pg_catalog.=) t.table_name"
		" WHERE COALESCE(s.relid, 0) OPERATOR(pg_catalog.<>) COALESCE(c.oid, 0)"
		" ORDER BY t.target_id");
}

bool
names_rename_target(int32 target_id, const char *schema_name, const char *table_name)
{
	return CATALOG_EXECUTE("UPDATE depipe.target SET schema_name = $2::name, table_name = $3::name"
						   " WHERE target_id OPERATOR(pg_catalog.=) $1 AND NOT EXISTS ("
						   "SELECT FROM depipe.target"
						   " WHERE schema_name OPERATOR(pg_catalog.=) $2::name"
						   " AND table_name OPERATOR(pg_catalog.=) $3::name)",
						   ARG_INT4(target_id),
						   ARG_TEXT(schema_name),
						   ARG_TEXT(table_name))
			   ->processed > 0;
}

void
names_forget_table(int32 target_id)
{
	(void) CATALOG_EXECUTE("UPDATE depipe.target_state SET relid = NULL"
						   " WHERE target_id OPERATOR(pg_catalog.=) $1",
						   ARG_INT4(target_id));
}

void
names_record_event(int32 target_id, const char *event, const char *state, const char *reason)
{
	(void) CATALOG_EXECUTE(
		"INSERT INTO depipe.event (target_id, target, event, state, reason)"
		" SELECT target_id, pg_catalog.format('%I.%I', schema_name, table_name), $2, $3, $4"
		" FROM depipe.target WHERE target_id OPERATOR(pg_catalog.=) $1",
		ARG_INT4(target_id),
		ARG_TEXT(event),
		ARG_TEXT(state),
		ARG_TEXT(reason));
}

CatalogRows *
names_select_readers(List *relids)
{
	return CATALOG_EXECUTE(
		"SELECT target_id FROM depipe.transform_state"
		" WHERE input_relids OPERATOR(pg_catalog.&&) $1"
		" OR ($2 AND input_relids IS NOT NULL)"
		" UNION SELECT i.target_id FROM depipe.transform_input i"
		" JOIN depipe.transform_state s ON s.target_id OPERATOR(pg_catalog.=) i.target_id"
		" JOIN pg_catalog.pg_class c ON c.relname OPERATOR(pg_catalog.=) i.table_name"
		" JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace"
		" AND n.nspname OPERATOR(pg_catalog.=) i.schema_name"
		" WHERE i.direct AND c.oid OPERATOR(pg_catalog.=) ANY ($1)"
		" ORDER BY target_id",
		ARG_OID_ARRAY(relids),
		ARG_BOOL(relids == NIL));
}

List *
verify_load_key(int32 target_id)
{
	CatalogRows *rows = CATALOG_EXECUTE(
		"SELECT COALESCE(s.key_columns, l.key_columns)"
		" FROM depipe.load l LEFT JOIN depipe.load_state s"
		" USING (target_id) WHERE target_id OPERATOR(pg_catalog.=) $1",
		ARG_INT4(target_id));

	return rows->count == 0 ? NIL : catalog_text_list(rows, 0, 1);
}

int64
verify_quarantined(int32 target_id)
{
	CatalogRows *rows = CATALOG_EXECUTE("SELECT quarantined FROM depipe.target_state"
										" WHERE target_id OPERATOR(pg_catalog.=) $1",
										ARG_INT4(target_id));

	return rows->count == 0 ? 0 : catalog_int8(rows, 0, 1);
}

char *
verify_explanation(int32 target_id, List *key, ArrayType *row_key, ArrayType *image)
{
	CatalogArg key_image = row_key == NULL ? ARG_NULL(TEXTARRAYOID)
										   : ARG_DATUM(TEXTARRAYOID, PointerGetDatum(row_key));
	CatalogRows *rows = CATALOG_EXECUTE(
		"SELECT CASE WHEN EXISTS (SELECT FROM depipe.quarantined_row"
		" WHERE target_id OPERATOR(pg_catalog.=) $1 AND (row_key OPERATOR(pg_catalog.=) $2"
		" OR ($2 IS NULL AND image OPERATOR(pg_catalog.=) $3))) THEN 'quarantined'"
		" WHEN EXISTS (SELECT FROM depipe.parked_item p"
		" LEFT JOIN depipe.row_layout l USING (layout_id)"
		" WHERE p.target_id OPERATOR(pg_catalog.=) $1"
		" AND (p.kind OPERATOR(pg_catalog.<>) 'row' OR CASE WHEN $2 IS NULL"
		" THEN p.image OPERATOR(pg_catalog.=) $3 ELSE"
		" ARRAY(SELECT p.image[pg_catalog.array_position(l.columns, k.name)]"
		" FROM pg_catalog.unnest($4) WITH ORDINALITY AS k (name, number) ORDER BY k.number)"
		" OPERATOR(pg_catalog.=) $2 END)) THEN 'parked' END",
		ARG_INT4(target_id),
		key_image,
		ARG_DATUM(TEXTARRAYOID, PointerGetDatum(image)),
		ARG_TEXT_ARRAY(key));

	return catalog_text(rows, 0, 1);
}
