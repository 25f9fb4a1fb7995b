/*-------------------------------------------------------------------------
 *
 * group_state.c
 *		Statements on the stored numbers of the groups of transforms.
 *
 * A group is found by the hash of its image and identified by the image
 * itself.  The numbers are stored as the bytes of a row (strategy/hidden.c),
 * so the table has no column of a user-defined type.
 *
 * The table is unlogged.  A server that crashes, or is restored or promoted,
 * empties it.  Therefore a row with an empty key shows that the numbers of a
 * target are stored.  A target without GROUP BY keeps its only group in that
 * row.
 *
 * A refresh reads and writes the groups of its change, which may be thousands
 * of a million.  They are read by the index, one by one, and written where they
 * were found: the place of a row is known to the refresh that has read it, which
 * holds the lock of its target.  Pages have room for new versions of their rows,
 * so that the index seldom changes.
 *
 *-------------------------------------------------------------------------
 */
#include "catalog/group_state.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "compat.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#define GROUPS "_depipe_state"

/* columns of the table, and of its index */
enum
{
	COLUMN_TARGET = 1,
	COLUMN_HASH,
	COLUMN_KEY,
	COLUMN_NUMBERS
};

#define NCOLUMNS COLUMN_NUMBERS

struct GroupStateReader
{
	MemoryContext context; /* of the reader: the scan allocates memory as it goes on */
	int32 target_id;
	Relation rel;
	Relation index;
	IndexScanDesc scan;
	TupleTableSlot *slot;
};

TupleDesc
group_state_desc(void)
{
	TupleDesc desc = CreateTemplateTupleDesc(5);

	TupleDescInitEntry(desc, GROUP_STATE_KEY, "key", BYTEAOID, -1, 0);
	TupleDescInitEntry(desc, GROUP_STATE_HASH, "hash", INT8OID, -1, 0);
	TupleDescInitEntry(desc, GROUP_STATE_CHANGE, "change", INT4OID, -1, 0);
	TupleDescInitEntry(desc, GROUP_STATE_PLACE, "place", TIDOID, -1, 0);
	TupleDescInitEntry(desc, GROUP_STATE_NUMBERS, "numbers", BYTEAOID, -1, 0);
	return desc;
}

/* Returns the OID of a relation of the extension. */
static Oid
find_relation(const char *name)
{
	Oid relid = get_relname_relid(name, get_namespace_oid(DEPIPE_SCHEMA, false));

	if (!OidIsValid(relid))
		elog(ERROR, "relation %s of the extension does not exist", name);
	return relid;
}

/* ---- reading ---- */

GroupStateReader *
group_state_open(int32 target_id)
{
	GroupStateReader *reader = palloc(sizeof(GroupStateReader));

	reader->context = CurrentMemoryContext;
	reader->target_id = target_id;
	reader->rel = table_open(find_relation("group_state"), AccessShareLock);
	reader->index = index_open(find_relation("group_state_hash"), AccessShareLock);
	reader->scan = index_beginscan_compat(reader->rel, reader->index, GetActiveSnapshot(), 2, 0);
	reader->slot = table_slot_create(reader->rel, NULL);
	return reader;
}

static bool
next_row(GroupStateReader *reader)
{
	MemoryContext caller = MemoryContextSwitchTo(reader->context);
	bool found = index_getnext_slot(reader->scan, ForwardScanDirection, reader->slot);

	MemoryContextSwitchTo(caller);
	return found;
}

static bool
has_key(TupleTableSlot *slot, const bytea *key)
{
	bool isnull;
	bytea *found = DatumGetByteaPP(slot_getattr(slot, COLUMN_KEY, &isnull));

	return VARSIZE_ANY_EXHDR(found) == VARSIZE_ANY_EXHDR(key) &&
		   memcmp(VARDATA_ANY(found), VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key)) == 0;
}

bool
group_state_find(GroupStateReader *reader, int64 hash, const bytea *key, ItemPointer place,
				 Datum *numbers)
{
	ScanKeyData keys[2];
	bool isnull;

	ScanKeyInit(&keys[0],
				COLUMN_TARGET,
				BTEqualStrategyNumber,
				F_INT4EQ,
				Int32GetDatum(reader->target_id));
	ScanKeyInit(&keys[1], COLUMN_HASH, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(hash));
	index_rescan(reader->scan, keys, lengthof(keys), NULL, 0);
	while (next_row(reader))
	{
		if (!has_key(reader->slot, key))
			continue;
		*place = reader->slot->tts_tid;
		*numbers = slot_getattr(reader->slot, COLUMN_NUMBERS, &isnull);
		return true;
	}
	return false;
}

void
group_state_close(GroupStateReader *reader)
{
	ExecDropSingleTupleTableSlot(reader->slot);
	index_endscan(reader->scan);
	index_close(reader->index, AccessShareLock);
	table_close(reader->rel, NoLock); /* VACUUM FULL would move the rows */
	pfree(reader);
}

/* ---- writing ---- */

static HeapTuple
form_row(Relation rel, int32 target_id, TupleTableSlot *group)
{
	Datum values[NCOLUMNS];
	bool nulls[NCOLUMNS] = {false};

	values[COLUMN_TARGET - 1] = Int32GetDatum(target_id);
	values[COLUMN_HASH - 1] = group->tts_values[GROUP_STATE_HASH - 1];
	values[COLUMN_KEY - 1] = group->tts_values[GROUP_STATE_KEY - 1];
	values[COLUMN_NUMBERS - 1] = group->tts_values[GROUP_STATE_NUMBERS - 1];
	return heap_form_tuple(RelationGetDescr(rel), values, nulls);
}

/* The place of a row must be known unless it is new. */
static void
write_group(Relation rel, CatalogIndexState indexes, int32 target_id, TupleTableSlot *group)
{
	int32 change = DatumGetInt32(group->tts_values[GROUP_STATE_CHANGE - 1]);
	ItemPointer place = (ItemPointer) DatumGetPointer(group->tts_values[GROUP_STATE_PLACE - 1]);
	HeapTuple row;

	if (change <= 0 && group->tts_isnull[GROUP_STATE_PLACE - 1])
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED), errmsg("numbers of groups are missing")));
	if (change < 0)
	{
		CatalogTupleDelete(rel, place);
		return;
	}
	row = form_row(rel, target_id, group);
	if (change == 0)
		CatalogTupleUpdateWithInfo(rel, place, row, indexes);
	else
		CatalogTupleInsertWithInfo(rel, row, indexes);
	heap_freetuple(row);
}

void
group_state_change(int32 target_id, TupleDesc desc, Tuplestorestate *groups)
{
	Relation rel = table_open(find_relation("group_state"), RowExclusiveLock);
	CatalogIndexState indexes = CatalogOpenIndexes(rel);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);

	tuplestore_rescan(groups);
	while (tuplestore_gettupleslot(groups, true, false, slot))
	{
		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(slot);
		write_group(rel, indexes, target_id, slot);
	}
	ExecDropSingleTupleTableSlot(slot);
	CatalogCloseIndexes(indexes);
	table_close(rel, NoLock);
	CommandCounterIncrement();
}

void
group_state_replace(int32 target_id, TupleDesc desc, Tuplestorestate *groups, uint64 ngroups)
{
	CatalogArg args[] = {ARG_INT4(target_id)};

	group_state_delete(target_id);
	(void) catalog_execute_from("INSERT INTO depipe.group_state (target_id, hash, key, numbers)"
								" SELECT $1, r.hash, r.key, r.numbers FROM " GROUPS " r"
								" UNION ALL SELECT $1, 0, '', '' WHERE NOT EXISTS ("
								"SELECT FROM " GROUPS " r"
								" WHERE r.key OPERATOR(pg_catalog.=) ''::pg_catalog.bytea)"
								/* neighbours in the index are neighbours in the table */
								" ORDER BY 2",
								lengthof(args),
								args,
								GROUPS,
								desc,
								groups,
								ngroups);
}

void
group_state_delete(int32 target_id)
{
	(void) CATALOG_EXECUTE("DELETE FROM depipe.group_state"
						   " WHERE target_id OPERATOR(pg_catalog.=) $1",
						   ARG_INT4(target_id));
}
