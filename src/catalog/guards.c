/*-------------------------------------------------------------------------
 *
 * guards.c
 *		Tables that may not be read or written while their breaker is open.
 *
 * Every statement of every session asks, so most answers must cost nothing.  The
 * guards are cached, and read again after any table has been changed or renamed.
 * Only a statement on a guarded table looks at the state of its breaker.
 *
 * depipe's tables are scanned directly: a statement that is just starting, or a
 * parallel worker, cannot run SQL.  The scans use the snapshot of the system
 * catalogs, so that an open breaker counts from its commit on, whatever the
 * isolation level.
 *
 *-------------------------------------------------------------------------
 */
#include "catalog/guards.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

static List *guards = NIL;
static bool guards_valid = false;
static MemoryContext guards_context = NULL;

static void
forget_guards(Datum argument, Oid relid)
{
	guards_valid = false;
}

static Oid
own_table(const char *name)
{
	Oid schema = get_namespace_oid(DEPIPE_SCHEMA, true);

	return OidIsValid(schema) ? get_relname_relid(name, schema) : InvalidOid;
}

/* ---- reading depipe's tables ---- */

static Datum
column(HeapTuple tuple, Relation rel, const char *name, bool *isnull)
{
	AttrNumber attnum = get_attnum(RelationGetRelid(rel), name);

	*isnull = true;
	if (attnum == InvalidAttrNumber) /* of another version */
		return (Datum) 0;
	return heap_getattr(tuple, attnum, RelationGetDescr(rel), isnull);
}

static char *
text_column(HeapTuple tuple, Relation rel, const char *name)
{
	bool isnull;
	Datum value = column(tuple, rel, name, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

static TimestampTz
time_column(HeapTuple tuple, Relation rel, const char *name)
{
	bool isnull;
	Datum value = column(tuple, rel, name, &isnull);

	return isnull ? 0 : DatumGetTimestampTz(value);
}

/* The rows of a table, or those of one target, one after the other. */
typedef struct Scan
{
	Relation rel;
	SysScanDesc scan;
} Scan;

static bool
scan_begin(Scan *scan, const char *name, int32 target_id)
{
	Oid relid = own_table(name);
	Oid index;
	AttrNumber attnum;
	ScanKeyData key[1];

	if (!OidIsValid(relid))
		return false;
	scan->rel = table_open(relid, AccessShareLock);
	index = own_table(psprintf("%s_pkey", name));
	attnum = get_attnum(relid, "target_id");
	if (target_id != 0 && OidIsValid(index))
		attnum = 1; /* of the index */
	ScanKeyInit(&key[0], attnum, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(target_id));
	scan->scan = systable_beginscan(scan->rel,
									index,
									target_id != 0 && OidIsValid(index),
									NULL,
									target_id != 0 ? 1 : 0,
									key);
	return true;
}

static void
scan_end(Scan *scan)
{
	systable_endscan(scan->scan);
	table_close(scan->rel, AccessShareLock);
}

/* ---- guards ---- */

/* The table of a target by its stored name. */
static Oid
table_of(int32 target_id)
{
	Scan scan;
	HeapTuple tuple;
	Oid relid = InvalidOid;

	if (!scan_begin(&scan, "target", target_id))
		return InvalidOid;
	if (HeapTupleIsValid(tuple = systable_getnext(scan.scan)))
	{
		bool isnull;
		char *schema_name = NameStr(*DatumGetName(column(tuple, scan.rel, "schema_name", &isnull)));
		char *table_name = NameStr(*DatumGetName(column(tuple, scan.rel, "table_name", &isnull)));
		Oid schema = get_namespace_oid(schema_name, true);

		if (OidIsValid(schema))
			relid = get_relname_relid(table_name, schema);
	}
	scan_end(&scan);
	return relid;
}

static void
add_guard(HeapTuple tuple, Relation rel)
{
	char *on_open = text_column(tuple, rel, "on_open");
	bool all;
	bool isnull;
	TableGuard *guard;
	MemoryContext old;

	if (on_open == NULL || strncmp(on_open, "block_", 6) != 0)
		return;
	all = strcmp(on_open, "block_all") == 0;
	old = MemoryContextSwitchTo(guards_context);
	guard = palloc0(sizeof(TableGuard));
	guard->target_id = DatumGetInt32(column(tuple, rel, "target_id", &isnull));
	guard->reads = all || strcmp(on_open, "block_reads") == 0;
	guard->writes = all || strcmp(on_open, "block_writes") == 0;
	guards = lappend(guards, guard);
	MemoryContextSwitchTo(old);
}

static void
load_guards(void)
{
	Scan scan;
	HeapTuple tuple;
	ListCell *cell;

	MemoryContextReset(guards_context);
	guards = NIL;
	guards_valid = true; /* an invalidation on the way makes it false again */
	if (!scan_begin(&scan, "breaker_setting", 0))
		return;
	while (HeapTupleIsValid(tuple = systable_getnext(scan.scan)))
		add_guard(tuple, scan.rel);
	scan_end(&scan);
	foreach(cell, guards)
	{
		TableGuard *guard = lfirst(cell);

		guard->relid = table_of(guard->target_id);
	}
}

List *
guards_now(void)
{
	if (guards_context == NULL)
	{
		guards_context = AllocSetContextCreate(CacheMemoryContext,
											   "depipe guards",
											   ALLOCSET_SMALL_SIZES);
		CacheRegisterRelcacheCallback(forget_guards, (Datum) 0);
	}
	if (!guards_valid)
		load_guards();
	return guards;
}

void
guards_changed(void)
{
	Oid relid = own_table("breaker_setting");

	if (OidIsValid(relid))
		CacheInvalidateRelcacheByRelid(relid);
}

/* ---- states ---- */

/* A state that was set by hand ends at its time: see quality/breaker.c. */
static const char *
state_now(const char *state, TimestampTz until)
{
	bool by_hand = strcmp(state, "forced_open") == 0 || strcmp(state, "disabled") == 0;

	return by_hand && until != 0 && until <= GetCurrentTimestamp() ? "half_open" : state;
}

char *
guard_blocking_state(int32 target_id, char **reason)
{
	Scan scan;
	HeapTuple tuple;
	char *blocking = NULL;

	*reason = NULL;
	if (!scan_begin(&scan, "breaker_state", target_id))
		return NULL;
	if (HeapTupleIsValid(tuple = systable_getnext(scan.scan)))
	{
		const char *state = state_now(text_column(tuple, scan.rel, "state"),
									  time_column(tuple, scan.rel, "until"));

		if (strcmp(state, "closed") != 0 && strcmp(state, "disabled") != 0)
		{
			blocking = pstrdup(state);
			*reason = text_column(tuple, scan.rel, "reason");
		}
	}
	scan_end(&scan);
	return blocking;
}

Oid
guard_owner(int32 target_id)
{
	Scan scan;
	HeapTuple tuple;
	bool isnull;
	Oid owner = InvalidOid;

	if (!scan_begin(&scan, "target", target_id))
		return InvalidOid;
	if (HeapTupleIsValid(tuple = systable_getnext(scan.scan)))
		owner = DatumGetObjectId(column(tuple, scan.rel, "owner", &isnull));
	scan_end(&scan);
	return owner;
}
