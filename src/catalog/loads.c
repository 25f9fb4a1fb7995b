/*-------------------------------------------------------------------------
 *
 * loads.c
 *		Loads and streams in depipe's own tables.
 *
 *-------------------------------------------------------------------------
 */
#include "catalog/loads.h"

#include "access/transam.h"
#include "access/xact.h"
#include "catalog/copies.h"
#include "catalog/namespace.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "core/shmem.h"

static const char *const state_names[] = {
	[LOAD_NEW] = "new",
	[LOAD_COPYING] = "copying",
	[LOAD_STREAMING] = "streaming",
	[LOAD_PAUSED] = "paused",
	[LOAD_NEEDS_RESYNC] = "needs_resync",
	[LOAD_DETACHED] = "detached",
};

const char *
load_state_name(LoadState state)
{
	return state_names[state];
}

const char *const load_mode_names[] = {
	[LOAD_BY_CDC] = "cdc",
	[LOAD_BY_CURSOR] = "cursor",
	[LOAD_BY_SNAPSHOT] = "snapshot",
	[LOAD_BY_APPEND] = "append",
	[LOAD_BY_FILES] = "files",
	NULL,
};

const char *const schema_change_names[] = {
	[SCHEMA_CHANGE_SAFE] = "safe",
	[SCHEMA_CHANGE_EVOLVE] = "evolve",
	[SCHEMA_CHANGE_IGNORE] = "ignore",
	[SCHEMA_CHANGE_PAUSE] = "pause",
	NULL,
};

const char *const new_columns_names[] = {
	[NEW_COLUMNS_LOAD] = "load",
	[NEW_COLUMNS_IGNORE] = "ignore",
	[NEW_COLUMNS_PAUSE] = "pause",
	NULL,
};

const char *const on_truncate_names[] = {
	[ON_TRUNCATE_APPLY] = "apply",
	[ON_TRUNCATE_IGNORE] = "ignore",
	[ON_TRUNCATE_PAUSE] = "pause",
	NULL,
};

static const char *const stream_state_names[] = {
	[STREAM_STREAMING] = "streaming",
	[STREAM_NEEDS_RESYNC] = "needs_resync",
	[STREAM_DETACHED] = "detached",
	NULL,
};

/* The value of a word of a list that ends with NULL. */
static int
value_of(const char *const *names, const char *word)
{
	for (int i = 0; names[i] != NULL; i++)
		if (strcmp(names[i], word) == 0)
			return i;
	elog(ERROR, "unexpected word \"%s\" in a table of depipe", word);
}

/* A load without a row of state is detached. */
static LoadState
state_from_name(const char *name)
{
	for (int i = 0; name != NULL && i < lengthof(state_names); i++)
		if (strcmp(state_names[i], name) == 0)
			return (LoadState) i;
	return LOAD_DETACHED;
}

#define CATCHING_UP_REASON "copied, and catching up with the stream"

/* ---- loads ---- */

#define LOAD_COLUMNS                                                                         \
	"SELECT l.target_id, l.server_name::text, l.source_schema::text, l.source_table::text,"  \
	" l.mode, l.key_columns, l.columns::text, l.row_filter, l.schema_change, l.new_columns," \
	" l.on_truncate, l.target_lag::text, s.state, s.reason, s.applied_lsn, s.source_relid,"  \
	" s.source_columns::text, s.made_table, s.key_columns, s.published_as, s.source_leaves," \
	" s.settled_texts, l.history"                                                            \
	" FROM depipe.load l LEFT JOIN depipe.load_state s USING (target_id)"

static Load *
load_from_row(const CatalogRows *rows, uint64 row)
{
	Load *load = palloc0(sizeof(Load));

	load->target = target_get(catalog_int4(rows, row, 1));
	load->server_name = catalog_text(rows, row, 2);
	load->source_schema = catalog_text(rows, row, 3);
	load->source_table = catalog_text(rows, row, 4);
	load->mode = value_of(load_mode_names, catalog_text(rows, row, 5));
	load->key = catalog_text_list(rows, row, 6);
	load->columns = catalog_text(rows, row, 7);
	load->row_filter = catalog_text(rows, row, 8);
	load->schema_change = value_of(schema_change_names, catalog_text(rows, row, 9));
	load->new_columns = value_of(new_columns_names, catalog_text(rows, row, 10));
	load->on_truncate = value_of(on_truncate_names, catalog_text(rows, row, 11));
	load->target_lag = catalog_text(rows, row, 12);
	load->state = state_from_name(catalog_text(rows, row, 13));
	load->reason = catalog_text(rows, row, 14);
	load->applied_lsn = catalog_lsn(rows, row, 15);
	load->source_relid = catalog_oid(rows, row, 16);
	load->source_columns = catalog_text(rows, row, 17);
	load->made_table = catalog_bool(rows, row, 18);
	load->copied_key = catalog_text_list(rows, row, 19);
	load->published_as = catalog_text(rows, row, 20);
	load->leaves = catalog_text_list(rows, row, 21);
	load->settled = catalog_text_list(rows, row, 22);
	load->history = value_of(history_names, catalog_text(rows, row, 23));
	return load;
}

Load *
load_get(int32 target_id)
{
	CatalogRows *rows = CATALOG_EXECUTE(LOAD_COLUMNS " WHERE l.target_id OPERATOR(pg_catalog.=) $1",
										ARG_INT4(target_id));

	return rows->count == 0 ? NULL : load_from_row(rows, 0);
}

List *
loads_of_server(const char *server_name)
{
	CatalogRows *rows = CATALOG_EXECUTE(LOAD_COLUMNS
										" WHERE l.server_name OPERATOR(pg_catalog.=) $1::name"
										" ORDER BY l.source_schema, l.source_table, l.target_id",
										ARG_TEXT(server_name));
	List *loads = NIL;

	for (uint64 i = 0; i < rows->count; i++)
		loads = lappend(loads, load_from_row(rows, i));
	return loads;
}

#define LOAD_ARGUMENTS(load)                                                                      \
	ARG_INT4((load)->target->id), ARG_TEXT((load)->server_name), ARG_TEXT((load)->source_schema), \
		ARG_TEXT((load)->source_table), ARG_TEXT(load_mode_names[(load)->mode]),                  \
		ARG_TEXT_ARRAY((load)->key), ARG_JSONB((load)->columns), ARG_TEXT((load)->row_filter),    \
		ARG_TEXT(schema_change_names[(load)->schema_change]),                                     \
		ARG_TEXT(new_columns_names[(load)->new_columns]),                                         \
		ARG_TEXT(on_truncate_names[(load)->on_truncate]), ARG_TEXT((load)->target_lag),           \
		ARG_TEXT(history_names[(load)->history])

void
load_insert(const Load *load, Oid server)
{
	(void) CATALOG_EXECUTE("INSERT INTO depipe.load (target_id, server_name, source_schema,"
						   " source_table, mode, key_columns, columns, row_filter, schema_change,"
						   " new_columns, on_truncate, target_lag, history)"
						   " VALUES ($1, $2::name, $3::name, $4::name, $5, $6, $7, $8, $9, $10,"
						   " $11, $12::interval, $13)",
						   LOAD_ARGUMENTS(load));
	(void) CATALOG_EXECUTE("INSERT INTO depipe.load_state (target_id, server_oid) VALUES ($1, $2)",
						   ARG_INT4(load->target->id),
						   ARG_OID(server));
}

void
load_update(const Load *load, Oid server)
{
	(void) CATALOG_EXECUTE("UPDATE depipe.load SET server_name = $2::name,"
						   " source_schema = $3::name, source_table = $4::name, mode = $5,"
						   " key_columns = $6, columns = $7, row_filter = $8, schema_change = $9,"
						   " new_columns = $10, on_truncate = $11, target_lag = $12::interval,"
						   " history = $13 WHERE target_id OPERATOR(pg_catalog.=) $1",
						   LOAD_ARGUMENTS(load));
	(void) CATALOG_EXECUTE(
		"INSERT INTO depipe.load_state (target_id, server_oid, state) VALUES ($1, $2, 'detached')"
		" ON CONFLICT (target_id) DO UPDATE SET server_oid = EXCLUDED.server_oid",
		ARG_INT4(load->target->id),
		ARG_OID(server));
}

void
load_delete(int32 target_id)
{
	(void) CATALOG_EXECUTE("DELETE FROM depipe.load_state"
						   " WHERE target_id OPERATOR(pg_catalog.=) $1",
						   ARG_INT4(target_id));
	(void) CATALOG_EXECUTE("DELETE FROM depipe.load WHERE target_id OPERATOR(pg_catalog.=) $1",
						   ARG_INT4(target_id));
}

void
load_set_state(Load *load, LoadState state, const char *reason, const char *hint)
{
	LoadState stored = load->beside && state == LOAD_STREAMING ? LOAD_COPYING : state;
	const char *stored_reason = stored != state && reason == NULL ? CATCHING_UP_REASON : reason;
	CatalogRows *rows;
	char *was;

	if (load->state == state && state == LOAD_STREAMING && load->reason == NULL && reason == NULL)
		return;
	/* compare with the stored state: the caller's may date from before a rollback */
	rows = CATALOG_EXECUTE(
		"WITH was AS (SELECT state FROM depipe.load_state"
		" WHERE target_id OPERATOR(pg_catalog.=) $1), is_now AS ("
		/* the load may have been dropped meanwhile */
		"INSERT INTO depipe.load_state (target_id, state, reason, hint)"
		" SELECT target_id, $2, $3, $4 FROM depipe.target WHERE target_id OPERATOR(pg_catalog.=) $1"
		" ON CONFLICT (target_id) DO UPDATE SET state = EXCLUDED.state,"
		" reason = EXCLUDED.reason, hint = EXCLUDED.hint,"
		/* a load that was to be copied again has no position to continue from */
		" applied_lsn = CASE WHEN EXCLUDED.state OPERATOR(pg_catalog.=) 'detached'"
		" AND depipe.load_state.state IN ('new', 'copying') THEN NULL"
		" ELSE depipe.load_state.applied_lsn END,"
		" since = CASE WHEN depipe.load_state.state OPERATOR(pg_catalog.=) EXCLUDED.state"
		" THEN depipe.load_state.since ELSE pg_catalog.clock_timestamp() END"
		" WHERE $5 OR depipe.load_state.state OPERATOR(pg_catalog.<>) 'new' RETURNING state)"
		" SELECT was.state FROM is_now LEFT JOIN was ON true",
		ARG_INT4(load->target->id),
		ARG_TEXT(load_state_name(stored)),
		ARG_TEXT(stored_reason),
		ARG_TEXT(hint),
		ARG_BOOL(load->state == LOAD_NEW));
	was = rows->count == 0 ? NULL : catalog_text(rows, 0, 1);
	if (rows->count > 0 && (was == NULL || strcmp(was, load_state_name(stored)) != 0))
		event_record(load->target->id, "load", load_state_name(stored), reason);
	load->state = state;
	load->reason = reason == NULL ? NULL : MemoryContextStrdup(GetMemoryChunkContext(load), reason);
}

void
load_set_copied(Load *load, XLogRecPtr applied_lsn, Oid source_relid, const char *source_columns,
				List *key, int64 rows)
{
	(void) CATALOG_EXECUTE("UPDATE depipe.load_state SET applied_lsn = $2, source_relid = $3,"
						   " source_columns = $4, key_columns = $5, rows_copied = $6"
						   " WHERE target_id OPERATOR(pg_catalog.=) $1",
						   ARG_INT4(load->target->id),
						   ARG_LSN(applied_lsn),
						   ARG_OID(source_relid),
						   ARG_JSONB(source_columns),
						   ARG_TEXT_ARRAY(key),
						   ARG_INT8(rows));
	load->applied_lsn = applied_lsn;
	load->source_relid = source_relid;
	load->source_columns = MemoryContextStrdup(GetMemoryChunkContext(load), source_columns);
	load_set_state(load, LOAD_STREAMING, NULL, NULL);
}

void
load_set_published(Load *load, const char *published_as)
{
	(void) CATALOG_EXECUTE("UPDATE depipe.load_state SET published_as = $2"
						   " WHERE target_id OPERATOR(pg_catalog.=) $1",
						   ARG_INT4(load->target->id),
						   ARG_TEXT(published_as));
	load->published_as = MemoryContextStrdup(GetMemoryChunkContext(load), published_as);
}

/* The list belongs to the caller and must live as long as the load. */
void
load_set_leaves(Load *load, List *leaves)
{
	(void) CATALOG_EXECUTE("UPDATE depipe.load_state SET source_leaves = $2"
						   " WHERE target_id OPERATOR(pg_catalog.=) $1",
						   ARG_INT4(load->target->id),
						   ARG_TEXT_ARRAY(leaves));
	load->leaves = leaves;
}

/* The list belongs to the caller and must live as long as the load. */
void
load_set_settled(Load *load, List *settled)
{
	(void) CATALOG_EXECUTE("UPDATE depipe.load_state SET settled_texts = $2"
						   " WHERE target_id OPERATOR(pg_catalog.=) $1",
						   ARG_INT4(load->target->id),
						   ARG_TEXT_ARRAY(settled));
	load->settled = settled;
}

void
load_set_columns(Load *load, const char *source_columns)
{
	(void) CATALOG_EXECUTE("UPDATE depipe.load_state SET source_columns = $2"
						   " WHERE target_id OPERATOR(pg_catalog.=) $1",
						   ARG_INT4(load->target->id),
						   ARG_JSONB(source_columns));
	load->source_columns = MemoryContextStrdup(GetMemoryChunkContext(load), source_columns);
}

bool
load_resync_table(int32 target_id)
{
	CatalogRows *rows = CATALOG_EXECUTE("UPDATE depipe.load_state SET state = 'new',"
										" reason = 'the target table was replaced', hint = NULL,"
										" since = pg_catalog.clock_timestamp()"
										" WHERE target_id OPERATOR(pg_catalog.=) $1"
										" AND state OPERATOR(pg_catalog.=) 'streaming'",
										ARG_INT4(target_id));

	if (rows->processed > 0)
		catalog_changed();
	return rows->processed > 0;
}

/* A copied table is ahead of the stream until the stream has caught up. */
#define SET_APPLIED(ids, lsn)                                                   \
	"UPDATE depipe.load_state SET applied_lsn = GREATEST(applied_lsn, " lsn ")" \
	" WHERE target_id OPERATOR(pg_catalog.=) ANY (" ids ")"

/* Loads of the same server whose changes are parked, although they stream. */
static CatalogRows *
parked_neighbours(const Target *target)
{
	return CATALOG_EXECUTE("SELECT l.target_id, g.relid FROM depipe.load l"
						   " JOIN depipe.load o ON o.server_name OPERATOR(pg_catalog.=)"
						   " l.server_name JOIN depipe.load_state s"
						   " ON s.target_id OPERATOR(pg_catalog.=) l.target_id"
						   " JOIN depipe.target_state g"
						   " ON g.target_id OPERATOR(pg_catalog.=) l.target_id"
						   " WHERE o.target_id OPERATOR(pg_catalog.=) $1"
						   " AND l.target_id OPERATOR(pg_catalog.<>) $1"
						   " AND s.state OPERATOR(pg_catalog.=) 'streaming'"
						   " AND g.paused IS NOT TRUE AND g.parked OPERATOR(pg_catalog.>) 0"
						   " AND g.relid IS NOT NULL",
						   ARG_INT4(target->id));
}

/* Does one of these foreign keys join the two tables? */
static bool
are_joined(const CatalogRows *keys, Oid one, Oid other)
{
	for (uint64 i = 0; i < keys->count; i++)
	{
		Oid from = catalog_oid(keys, i, 1);
		Oid to = catalog_oid(keys, i, 2);

		if ((from == one && to == other) || (from == other && to == one))
			return true;
	}
	return false;
}

void
loads_copy_along(const Target *target)
{
	CatalogRows *parked = parked_neighbours(target);
	List *relids = list_make1_oid(target->relid);
	List *ids = NIL;
	CatalogRows *rows;

	for (uint64 i = 0; i < parked->count; i++)
		relids = lappend_oid(relids, catalog_oid(parked, i, 2));
	rows = foreign_keys_between(relids);
	for (uint64 i = 0; i < parked->count; i++)
		if (are_joined(rows, target->relid, catalog_oid(parked, i, 2)))
			ids = lappend_int(ids, catalog_int4(parked, i, 1));
	if (ids == NIL)
		return;
	rows = CATALOG_EXECUTE("UPDATE depipe.load_state s SET state = 'new', hint = NULL, reason ="
						   " pg_catalog.concat('is copied together with ', $2,"
						   " ', whose copy failed: foreign keys join their rows'),"
						   " since = pg_catalog.clock_timestamp()"
						   " WHERE s.target_id OPERATOR(pg_catalog.=) ANY ($1)"
						   " RETURNING s.target_id, s.reason",
						   ARG_INT4_ARRAY(ids),
						   ARG_TEXT(target->display));
	for (uint64 i = 0; i < rows->count; i++)
		event_record(catalog_int4(rows, i, 1), "load", "new", catalog_text(rows, i, 2));
}

void
loads_set_applied(List *target_ids, XLogRecPtr applied_lsn)
{
	if (target_ids == NIL)
		return;
	(void) CATALOG_EXECUTE(SET_APPLIED("$1", "$2"),
						   ARG_INT4_ARRAY(target_ids),
						   ARG_LSN(applied_lsn));
}

void
load_set_made_table(int32 target_id)
{
	(void) CATALOG_EXECUTE("UPDATE depipe.load_state SET made_table = true"
						   " WHERE target_id OPERATOR(pg_catalog.=) $1",
						   ARG_INT4(target_id));
}

#define SET_DATA_AS_OF(ids, time)                                                \
	"UPDATE depipe.target_state SET data_as_of = GREATEST(data_as_of, " time ")" \
	" WHERE target_id OPERATOR(pg_catalog.=) ANY (" ids ")"

/* The database was restored from a dump, or a load is being dropped. */
static void
insert_data_as_of(List *target_ids, TimestampTz data_as_of)
{
	(void) CATALOG_EXECUTE("INSERT INTO depipe.target_state (target_id, data_as_of)"
						   " SELECT t.target_id, $2 FROM depipe.target t"
						   " WHERE t.target_id OPERATOR(pg_catalog.=) ANY ($1) FOR KEY SHARE"
						   " ON CONFLICT (target_id) DO NOTHING",
						   ARG_INT4_ARRAY(target_ids),
						   ARG_TIME(data_as_of));
}

void
loads_set_data_as_of(List *target_ids, TimestampTz data_as_of)
{
	if (target_ids == NIL || data_as_of == 0)
		return;
	if (CATALOG_EXECUTE(SET_DATA_AS_OF("$1", "$2"),
						ARG_INT4_ARRAY(target_ids),
						ARG_TIME(data_as_of))
			->processed != list_length(target_ids))
		insert_data_as_of(target_ids, data_as_of);
}

/*
 * target_state changes with every batch, so the fingerprint contains its
 * columns instead of its xmin.  For a load that waits for its copy, after a
 * failure or for its breaker, the fingerprint changes when the wait is over.
 */
char *
loads_fingerprint(const char *server_name)
{
	CatalogRows *rows = CATALOG_EXECUTE(
		"SELECT pg_catalog.concat((SELECT pg_catalog.string_agg(pg_catalog.concat_ws(',',"
		" l.target_id, l.xmin, t.xmin, s.state, g.relid,"
		" g.paused AND (g.paused_until IS NULL"
		" OR g.paused_until OPERATOR(pg_catalog.>) pg_catalog.clock_timestamp()),"
		" depipe.owner_problem(t.owner, l.server_name),"
		" CASE WHEN s.state OPERATOR(pg_catalog.=) 'new' THEN pg_catalog.concat(b.state, b.changed,"
		" b.retry_at OPERATOR(pg_catalog.<=) pg_catalog.clock_timestamp(),"
		" u.retry_at OPERATOR(pg_catalog.<=) pg_catalog.clock_timestamp()) END), ';'"
		" ORDER BY l.target_id)"
		" FROM depipe.load l JOIN depipe.target t USING (target_id)"
		" LEFT JOIN depipe.load_state s USING (target_id)"
		" LEFT JOIN depipe.target_state g USING (target_id)"
		" LEFT JOIN depipe.breaker_state b USING (target_id)"
		" LEFT JOIN depipe.attempt u ON u.unit OPERATOR(pg_catalog.=) ('target ' || l.target_id)"
		" WHERE l.server_name OPERATOR(pg_catalog.=) $1::name), '/',"
		" (SELECT pg_catalog.concat(f.oid, ',', f.xmin) FROM pg_catalog.pg_foreign_server f"
		" WHERE f.srvname OPERATOR(pg_catalog.=) $1::name), '/',"
		" (SELECT pg_catalog.string_agg(m.xmin::text, ',' ORDER BY m.oid)"
		" FROM pg_catalog.pg_user_mapping m JOIN pg_catalog.pg_foreign_server f"
		" ON f.oid OPERATOR(pg_catalog.=) m.umserver"
		" WHERE f.srvname OPERATOR(pg_catalog.=) $1::name), '/',"
		" (SELECT pg_catalog.concat(r.state, r.slot_incarnation) FROM depipe.stream r"
		" WHERE r.server_name OPERATOR(pg_catalog.=) $1::name))",
		ARG_TEXT(server_name));

	return catalog_text(rows, 0, 1);
}

bool
server_has_waiting(const char *server_name)
{
	CatalogRows *rows = CATALOG_EXECUTE(
		"SELECT EXISTS (SELECT FROM depipe.load l"
		" WHERE l.server_name OPERATOR(pg_catalog.=) $1::name AND ("
		" EXISTS (SELECT FROM depipe.target_state k"
		" WHERE k.target_id OPERATOR(pg_catalog.=) l.target_id"
		" AND (k.parked OPERATOR(pg_catalog.>) 0 OR k.retries OPERATOR(pg_catalog.>) 0))"
		" OR EXISTS (SELECT FROM depipe.breaker_state b"
		" WHERE b.target_id OPERATOR(pg_catalog.=) l.target_id"
		" AND b.state OPERATOR(pg_catalog.<>) 'closed')))",
		ARG_TEXT(server_name));

	return catalog_bool(rows, 0, 1);
}

CatalogRows *
loads_as_of(bool live)
{
	if (!live)
		return CATALOG_EXECUTE0("SELECT l.target_id, g.data_as_of FROM depipe.load l"
								" JOIN depipe.target_state g USING (target_id)"
								" WHERE g.data_as_of IS NOT NULL");
	return CATALOG_EXECUTE0("SELECT l.target_id, GREATEST(g.data_as_of, v.as_of)"
							" FROM depipe.load l JOIN depipe.target_state g USING (target_id)"
							" LEFT JOIN depipe.live_load v USING (target_id)"
							" WHERE g.data_as_of IS NOT NULL OR v.as_of IS NOT NULL");
}

bool
load_changed_here(int32 target_id)
{
	CatalogRows *rows = CATALOG_EXECUTE(
		"SELECT l.xmin, s.xmin FROM depipe.load l LEFT JOIN depipe.load_state s"
		" USING (target_id) WHERE l.target_id OPERATOR(pg_catalog.=) $1",
		ARG_INT4(target_id));

	for (int column = 1; rows->count > 0 && column <= 2; column++)
	{
		bool isnull;
		Datum xmin = catalog_datum(rows, 0, column, &isnull);

		if (!isnull && TransactionIdIsCurrentTransactionId(DatumGetTransactionId(xmin)))
			return true;
	}
	return false;
}

bool
load_waits_for_copy(int32 target_id)
{
	CatalogRows *rows = CATALOG_EXECUTE(
		"SELECT FROM depipe.load_state s LEFT JOIN depipe.target_state g USING (target_id)"
		" LEFT JOIN depipe.breaker_state b USING (target_id)"
		" LEFT JOIN depipe.attempt u ON u.unit OPERATOR(pg_catalog.=) ('target ' || s.target_id)"
		" WHERE s.target_id OPERATOR(pg_catalog.=) $1 AND s.state IN ('new', 'copying')"
		" AND g.paused IS NOT TRUE AND COALESCE(b.state, 'closed') OPERATOR(pg_catalog.=) 'closed'"
		" AND (u.retry_at IS NULL"
		" OR u.retry_at OPERATOR(pg_catalog.<=) pg_catalog.clock_timestamp())",
		ARG_INT4(target_id));

	return rows->count > 0;
}

void
loads_set_waiting(List *target_ids, const char *reason)
{
	(void) CATALOG_EXECUTE("UPDATE depipe.load_state SET reason = $2, hint = NULL"
						   " WHERE target_id OPERATOR(pg_catalog.=) ANY ($1)"
						   " AND state OPERATOR(pg_catalog.=) 'new'"
						   " AND reason IS DISTINCT FROM $2",
						   ARG_INT4_ARRAY(target_ids),
						   ARG_TEXT(reason));
}

char *
load_condition(int32 target_id, char **reason)
{
	CatalogRows *rows = CATALOG_EXECUTE("SELECT state, reason FROM depipe.conditions()"
										" WHERE target_id OPERATOR(pg_catalog.=) $1",
										ARG_INT4(target_id));

	*reason = rows->count == 0 ? NULL : catalog_text(rows, 0, 2);
	return rows->count == 0 ? pstrdup("dropped") : catalog_text(rows, 0, 1);
}

void
loads_detach(const char *server_name)
{
	CatalogRows *rows = CATALOG_EXECUTE("DELETE FROM depipe.load_state WHERE target_id IN"
										" (SELECT target_id FROM depipe.load"
										" WHERE server_name OPERATOR(pg_catalog.=) $1::name)"
										" RETURNING target_id",
										ARG_TEXT(server_name));

	for (uint64 i = 0; i < rows->count; i++)
		event_record(catalog_int4(rows, i, 1), "load", load_state_name(LOAD_DETACHED), NULL);
}

/* ---- streams ---- */

/* A load without a position was not copied yet. */
void
stream_take_over(const char *server_name, const char *instance_id)
{
	(void) CATALOG_EXECUTE("UPDATE depipe.stream SET instance_id = $2::uuid, reason = NULL,"
						   " state = CASE state WHEN 'detached' THEN 'streaming' ELSE state END"
						   " WHERE server_name OPERATOR(pg_catalog.=) $1::name",
						   ARG_TEXT(server_name),
						   ARG_TEXT(instance_id));
	(void) CATALOG_EXECUTE(
		"UPDATE depipe.load_state s SET reason = NULL, hint = NULL,"
		" state = CASE WHEN s.applied_lsn IS NULL THEN 'new' ELSE 'streaming' END,"
		" since = pg_catalog.clock_timestamp() FROM depipe.load l"
		" WHERE l.server_name OPERATOR(pg_catalog.=) $1::name"
		" AND l.target_id OPERATOR(pg_catalog.=) s.target_id"
		" AND s.state OPERATOR(pg_catalog.=) 'detached'",
		ARG_TEXT(server_name));
}

Stream *
stream_get(const char *server_name)
{
	CatalogRows *rows = CATALOG_EXECUTE(
		"SELECT server_name::text, slot_name::text, slot_incarnation, publication::text,"
		" publication_oid, publication_managed, system_identifier, timeline,"
		" instance_id::text, applied_lsn, batch_number, state, reason, xmin,"
		" commit_lsn, commit_end, commit_xid, commit_time, source_started"
		" FROM depipe.stream WHERE server_name OPERATOR(pg_catalog.=) $1::name",
		ARG_TEXT(server_name));
	Stream *stream;
	bool isnull;

	if (rows->count == 0)
		return NULL;
	stream = palloc0(sizeof(Stream));
	stream->server_name = catalog_text(rows, 0, 1);
	stream->slot_name = catalog_text(rows, 0, 2);
	stream->incarnation = catalog_int8(rows, 0, 3);
	stream->publication = catalog_text(rows, 0, 4);
	stream->publication_oid = catalog_oid(rows, 0, 5);
	stream->publication_managed = catalog_bool(rows, 0, 6);
	stream->system_identifier = catalog_text(rows, 0, 7);
	stream->timeline = catalog_int4(rows, 0, 8);
	stream->instance_id = catalog_text(rows, 0, 9);
	stream->applied_lsn = catalog_lsn(rows, 0, 10);
	stream->batch_number = catalog_int8(rows, 0, 11);
	stream->state = value_of(stream_state_names, catalog_text(rows, 0, 12));
	stream->reason = catalog_text(rows, 0, 13);
	stream->own_write = TransactionIdIsCurrentTransactionId(
		DatumGetTransactionId(catalog_datum(rows, 0, 14, &isnull)));
	stream->commit.lsn = catalog_lsn(rows, 0, 15);
	stream->commit.end = catalog_lsn(rows, 0, 16);
	stream->commit.xid = catalog_isnull(rows, 0, 17) ? 0 : catalog_int8(rows, 0, 17);
	stream->commit.time = catalog_time(rows, 0, 18);
	stream->source_started = catalog_time(rows, 0, 19);
	return stream;
}

void
stream_insert(const Stream *stream, Oid server)
{
	(void) CATALOG_EXECUTE(
		"INSERT INTO depipe.stream (server_name, server_oid, slot_name, slot_incarnation,"
		" publication, publication_oid, publication_managed, system_identifier, timeline,"
		" instance_id, applied_lsn, source_started, state)"
		" VALUES ($1::name, $2, $3::name, $4, $5::name, $6, $7, $8, $9, $10::uuid, $11, $12,"
		" 'streaming')"
		" ON CONFLICT (server_name) DO UPDATE SET slot_name = EXCLUDED.slot_name,"
		" slot_incarnation = EXCLUDED.slot_incarnation, publication = EXCLUDED.publication,"
		" publication_oid = EXCLUDED.publication_oid,"
		" publication_managed = EXCLUDED.publication_managed,"
		" system_identifier = EXCLUDED.system_identifier, timeline = EXCLUDED.timeline,"
		" instance_id = EXCLUDED.instance_id, applied_lsn = EXCLUDED.applied_lsn,"
		" source_started = EXCLUDED.source_started, commit_lsn = NULL, commit_end = NULL,"
		" commit_xid = NULL, state = EXCLUDED.state, reason = NULL",
		ARG_TEXT(stream->server_name),
		ARG_OID(server),
		ARG_TEXT(stream->slot_name),
		ARG_INT8(stream->incarnation),
		ARG_TEXT(stream->publication),
		ARG_OID(stream->publication_oid),
		ARG_BOOL(stream->publication_managed),
		ARG_TEXT(stream->system_identifier),
		ARG_INT4(stream->timeline),
		ARG_TEXT(stream->instance_id),
		ARG_LSN(stream->applied_lsn),
		ARG_TIME(stream->source_started));
	event_record_stream(stream->server_name, "streaming", "a slot was created");
}

CatalogRows *
streams_select(void)
{
	return CATALOG_EXECUTE0("SELECT server_name, slot_name FROM depipe.stream"
							" ORDER BY server_name");
}

void
stream_delete(const char *server_name)
{
	CatalogRows *rows = CATALOG_EXECUTE("DELETE FROM depipe.stream"
										" WHERE server_name OPERATOR(pg_catalog.=) $1::name",
										ARG_TEXT(server_name));

	if (rows->processed > 0)
		event_record_stream(server_name, "removed", NULL);
}

void
stream_set_state(const char *server_name, StreamState state, const char *reason)
{
	const char *name = stream_state_names[state];
	CatalogRows *rows = CATALOG_EXECUTE(
		"UPDATE depipe.stream r SET state = $2, reason = $3 FROM (SELECT server_name, state"
		" FROM depipe.stream WHERE server_name OPERATOR(pg_catalog.=) $1::name FOR UPDATE) was"
		" WHERE r.server_name OPERATOR(pg_catalog.=) was.server_name RETURNING was.state",
		ARG_TEXT(server_name),
		ARG_TEXT(name),
		ARG_TEXT(reason));

	if (rows->count > 0 && strcmp(catalog_text(rows, 0, 1), name) != 0)
		event_record_stream(server_name, name, reason);
}

void
stream_advance(Stream *stream, XLogRecPtr applied_lsn, const SourceCommit *commit, List *applied,
			   List *complete, TimestampTz data_as_of)
{
	XLogRecPtr end = commit->lsn != 0 ? commit->end : stream->commit.end;
	int ncomplete = data_as_of == 0 ? 0 : list_length(complete);
	CatalogRows *rows = CATALOG_EXECUTE(
		"WITH moved AS (UPDATE depipe.stream SET applied_lsn = $3,"
		" commit_time = COALESCE($4, commit_time),"
		" commit_lsn = COALESCE($5, commit_lsn), commit_end = COALESCE($6, commit_end),"
		" commit_xid = COALESCE($7, commit_xid),"
		" batch_number = batch_number OPERATOR(pg_catalog.+) 1"
		" WHERE server_name OPERATOR(pg_catalog.=) $1::name"
		" AND batch_number OPERATOR(pg_catalog.=) $2 RETURNING 1),"
		" applied AS (" SET_APPLIED(
			"$8",
			"$9") " AND EXISTS (SELECT FROM moved)),"
				  " complete AS (" SET_DATA_AS_OF(
					  "$10",
					  "$11") " AND EXISTS (SELECT FROM moved)"
							 " RETURNING 1)"
							 " SELECT (SELECT pg_catalog.count(*) FROM moved),"
							 " (SELECT pg_catalog.count(*) FROM complete)",
		ARG_TEXT(stream->server_name),
		ARG_INT8(stream->batch_number),
		ARG_LSN(applied_lsn),
		ARG_TIME(commit->time),
		ARG_LSN(commit->lsn),
		ARG_LSN(commit->end),
		commit->lsn == 0 ? ARG_NULL(INT8OID) : ARG_INT8(commit->xid),
		ARG_INT4_ARRAY(applied),
		ARG_LSN(end),
		ARG_INT4_ARRAY(ncomplete == 0 ? NIL : complete),
		ARG_TIME(data_as_of));

	if (catalog_int8(rows, 0, 1) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("another run advanced the stream of server \"%s\"", stream->server_name)));
	if (catalog_int8(rows, 0, 2) != ncomplete)
		insert_data_as_of(complete, data_as_of);
	stream->batch_number++;
	stream->applied_lsn = applied_lsn;
	if (commit->lsn != 0)
		stream->commit = *commit;
}

void
stream_set_started(const char *server_name, TimestampTz source_started)
{
	(void) CATALOG_EXECUTE("UPDATE depipe.stream SET source_started = $2"
						   " WHERE server_name OPERATOR(pg_catalog.=) $1::name",
						   ARG_TEXT(server_name),
						   ARG_TIME(source_started));
}

void
stream_set_source(const char *server_name, XLogRecPtr received_lsn, XLogRecPtr source_lsn,
				  int64 retained_bytes, int64 safe_wal_size)
{
	(void) CATALOG_EXECUTE(
		"UPDATE depipe.stream SET received_lsn = $2, source_lsn = $3, retained_bytes = $4,"
		" safe_wal_size = $5, checked_at = pg_catalog.clock_timestamp()"
		" WHERE server_name OPERATOR(pg_catalog.=) $1::name",
		ARG_TEXT(server_name),
		ARG_LSN(received_lsn),
		ARG_LSN(source_lsn),
		retained_bytes < 0 ? ARG_NULL(INT8OID) : ARG_INT8(retained_bytes),
		safe_wal_size < 0 ? ARG_NULL(INT8OID) : ARG_INT8(safe_wal_size));
}

/* ---- servers ---- */

void
loads_follow_renames(void)
{
	(void) CATALOG_EXECUTE0("UPDATE depipe.load l SET server_name = f.srvname"
							" FROM depipe.load_state s, pg_catalog.pg_foreign_server f"
							" WHERE s.target_id OPERATOR(pg_catalog.=) l.target_id"
							" AND f.oid OPERATOR(pg_catalog.=) s.server_oid"
							" AND l.server_name OPERATOR(pg_catalog.<>) f.srvname");
	(void) CATALOG_EXECUTE0("UPDATE depipe.stream s SET server_name = f.srvname"
							" FROM pg_catalog.pg_foreign_server f"
							" WHERE f.oid OPERATOR(pg_catalog.=) s.server_oid"
							" AND s.server_name OPERATOR(pg_catalog.<>) f.srvname");
}

List *
dropped_servers(void)
{
	CatalogRows *rows = CATALOG_EXECUTE0(
		"SELECT o.object_name FROM pg_catalog.pg_event_trigger_dropped_objects() o"
		" WHERE o.object_type OPERATOR(pg_catalog.=) 'server'");
	List *names = NIL;

	for (uint64 i = 0; i < rows->count; i++)
		if (!catalog_isnull(rows, i, 1))
			names = lappend(names, catalog_text(rows, i, 1));
	return names;
}

bool
server_in_use(const char *server_name)
{
	CatalogRows *rows = CATALOG_EXECUTE(
		"SELECT 1 FROM depipe.load"
		" WHERE server_name OPERATOR(pg_catalog.=) $1::name"
		" UNION ALL SELECT 1 FROM depipe.stream"
		" WHERE server_name OPERATOR(pg_catalog.=) $1::name LIMIT 1",
		ARG_TEXT(server_name));

	return rows->count > 0;
}

Oid
stream_class(void)
{
	return get_relname_relid("stream", get_namespace_oid(DEPIPE_SCHEMA, false));
}
