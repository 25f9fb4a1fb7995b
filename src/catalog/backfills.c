/*-------------------------------------------------------------------------
 *
 * backfills.c
 *		Statements on the progress of backfills.
 *
 * The row of a slice is updated in the transaction that publishes the slice.
 * So the number of finished slices is right after any crash.
 *
 *-------------------------------------------------------------------------
 */
#include "catalog/backfills.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/lsyscache.h"

/*
 * An object lock of the server's own kind: unlike an advisory lock, a session
 * holds it beyond a commit, but not beyond an error.
 */
static void
set_lock_tag(LOCKTAG *tag, int32 target_id)
{
	Oid table = get_relname_relid("backfill", get_namespace_oid(DEPIPE_SCHEMA, false));

	SET_LOCKTAG_OBJECT(*tag, MyDatabaseId, table, (Oid) target_id, 0);
}

bool
backfill_claim(int32 target_id)
{
	LOCKTAG tag;

	set_lock_tag(&tag, target_id);
	return LockAcquire(&tag, ExclusiveLock, true, true) == LOCKACQUIRE_OK;
}

void
backfill_disclaim(int32 target_id)
{
	LOCKTAG tag;

	set_lock_tag(&tag, target_id);
	(void) LockRelease(&tag, ExclusiveLock, true);
}

int32
backfill_begin(const BackfillRequest *request, bool restart)
{
	CatalogArg arguments[] = {ARG_INT4(request->target_id),
							  ARG_TEXT(request->column_name),
							  ARG_TEXT(request->since),
							  ARG_TEXT(request->before),
							  ARG_TEXT(request->step),
							  ARG_TEXT(request->time_zone),
							  ARG_TEXT(request->definition),
							  ARG_INT4(request->slices),
							  ARG_TEXT(GetUserNameFromId(GetSessionUserId(), false))};

	if (restart)
		(void) CATALOG_EXECUTE("DELETE FROM depipe.backfill"
							   " WHERE target_id OPERATOR(pg_catalog.=) $1",
							   ARG_INT4(request->target_id));
	else
		(void) catalog_execute("DELETE FROM depipe.backfill"
							   " WHERE target_id OPERATOR(pg_catalog.=) $1"
							   " AND (state OPERATOR(pg_catalog.=) 'done' OR (column_name, since,"
							   " before, step, time_zone, definition) IS DISTINCT FROM"
							   " ($2, $3, $4, $5, $6, $7))",
							   7,
							   arguments);
	return catalog_int4(
		catalog_execute("INSERT INTO depipe.backfill AS b (target_id, column_name, since, before,"
						" step, time_zone, definition, slices, role_name)"
						" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::name)"
						" ON CONFLICT (target_id) DO UPDATE SET state = 'running', reason = NULL,"
						" role_name = EXCLUDED.role_name RETURNING b.slices_done",
						lengthof(arguments),
						arguments),
		0,
		1);
}

void
backfill_set_slice(int32 target_id, int64 run_id, const char *since, const char *before)
{
	(void) CATALOG_EXECUTE("UPDATE depipe.backfill SET run_id = $2, slice_since = $3,"
						   " slice_before = $4, changed_at = pg_catalog.clock_timestamp()"
						   " WHERE target_id OPERATOR(pg_catalog.=) $1",
						   ARG_INT4(target_id),
						   ARG_INT8(run_id),
						   ARG_TEXT(since),
						   ARG_TEXT(before));
}

void
backfill_add(int32 target_id, int32 done, const Run *run)
{
	(void) CATALOG_EXECUTE("UPDATE depipe.backfill SET slices_done = $2,"
						   " inserted = inserted OPERATOR(pg_catalog.+) $3,"
						   " updated = updated OPERATOR(pg_catalog.+) $4,"
						   " deleted = deleted OPERATOR(pg_catalog.+) $5,"
						   " quarantined = quarantined OPERATOR(pg_catalog.+) $6,"
						   " changed_at = pg_catalog.clock_timestamp()"
						   " WHERE target_id OPERATOR(pg_catalog.=) $1",
						   ARG_INT4(target_id),
						   ARG_INT4(done),
						   ARG_INT8(run->inserted),
						   ARG_INT8(run->updated),
						   ARG_INT8(run->deleted),
						   ARG_INT8(run->quarantined));
}

void
backfill_end(int32 target_id, const char *state, const char *reason)
{
	(void) CATALOG_EXECUTE("UPDATE depipe.backfill SET state = $2, reason = $3,"
						   " changed_at = pg_catalog.clock_timestamp()"
						   " WHERE target_id OPERATOR(pg_catalog.=) $1",
						   ARG_INT4(target_id),
						   ARG_TEXT(state),
						   ARG_TEXT(reason));
	event_record(target_id, "backfill", state, reason);
}
