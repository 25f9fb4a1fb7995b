/*-------------------------------------------------------------------------
 *
 * capture_write.c
 *		The trigger function on inputs: keeps what a statement has changed.
 *
 * It runs in the statements of whoever writes the input.  It needs no privilege
 * of his, evaluates nothing of a user's, and does not fail where it can be
 * helped: what cannot be kept becomes a row that says so, and the next refresh
 * evaluates its whole query.
 *
 * The table on which the trigger fires is looked up among the members of
 * captures; one that is none, such as a restored table, is left alone.  What
 * was found is kept per session until the server tells of a change of that
 * table.  A stale answer does no harm: readers look at both change tables of a
 * capture, and none of them is emptied or dropped while a writer has its lock;
 * columns are added while no writer has the lock of the table.
 *
 * A row of which only columns have changed that no transform reads has not
 * changed.
 *
 * No lock is taken on any other table of the user's, so that no writer can get
 * into a deadlock that he would not have had.
 *
 * The triggers fire for what publish writes to targets as well.  publish could
 * write the changes itself, as a companion (publish/companion.h).  But it would
 * have to read the old images once more, by key, which costs more than twice as
 * much as all of the triggers: the executor has these images in its hands.  A
 * trigger also sees what other triggers, actions of foreign keys, and the table
 * itself make of a row.
 *
 *-------------------------------------------------------------------------
 */
#include "depipe.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/captures.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "capture/change_table.h"
#include "capture/frontier.h"
#include "query/reads.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

/* bytes of a row of a change table beside its images */
#define ROW_OVERHEAD 64

/* Allocations for so many rows need no memory context of their own. */
#define FEW_ROWS 16

PG_FUNCTION_INFO_V1(depipe_capture_changes);

/* A table with the trigger. */
typedef struct Member
{
	Oid relid; /* key */
	bool valid;
	Oid segments[2];        /* the current one first; InvalidOid: no capture has it */
	BlockNumber last_block; /* that this session has written to */
	int image_bytes;        /* as written there, for one image */
	bool *reads;            /* by attribute number: captured columns; NULL: all */
} Member;

/* One firing of the trigger. */
typedef struct Firing
{
	Relation segment;
	ChangeRow row;
	ChangeImages images;   /* of the row that is being filled */
	MemoryContext scratch; /* for the images of one row of the input, and what is written */
	Member *member;
} Firing;

static HTAB *members = NULL;
static uint64 invalidations = 0;

/* ---- which table ---- */

static void
forget_member(Datum argument, Oid relid)
{
	HASH_SEQ_STATUS all;
	Member *member;

	invalidations++;
	if (OidIsValid(relid))
	{
		member = hash_search(members, &relid, HASH_FIND, NULL);
		if (member != NULL)
			member->valid = false;
		return;
	}
	hash_seq_init(&all, members);
	while ((member = hash_seq_search(&all)) != NULL)
		member->valid = false;
}

static void
init_members(void)
{
	HASHCTL control = {0};

	control.keysize = sizeof(Oid);
	control.entrysize = sizeof(Member);
	control.hcxt = CacheMemoryContext;
	members =
		hash_create("depipe captured tables", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	CacheRegisterRelcacheCallback(forget_member, (Datum) 0);
}

/* In CacheMemoryContext. */
static bool *
keep_reads(const ReadColumns *columns, TupleDesc desc)
{
	MemoryContext old = MemoryContextSwitchTo(CacheMemoryContext);
	bool *reads = reads_by_number(columns, desc);

	MemoryContextSwitchTo(old);
	return reads;
}

static Member *
find_member(Relation rel)
{
	Oid relid = RelationGetRelid(rel);
	Member *member;
	Oid segments[2];
	ReadColumns columns;
	uint64 before;
	bool captured;
	bool found;

	if (members == NULL)
		init_members();
	member = hash_search(members, &relid, HASH_ENTER, &found);
	if (found && member->valid)
		return member;
	if (found && member->reads != NULL)
		pfree(member->reads);
	member->reads = NULL;
	member->valid = false;
	do
	{
		before = invalidations;
		captured = capture_of_member(relid, segments, &columns);
	} while (before != invalidations);
	member->segments[0] = captured ? segments[0] : InvalidOid;
	member->segments[1] = captured ? segments[1] : InvalidOid;
	member->last_block = 0;
	if (captured)
		member->reads = keep_reads(&columns, RelationGetDescr(rel));
	member->valid = true;
	return member;
}

/* One of the two, locked: the other one, too, is read by everybody. */
static Oid
lock_segment(const Member *member)
{
	for (int i = 0; i < 2; i++)
		if (ConditionalLockRelationOid(member->segments[i], RowExclusiveLock))
			return member->segments[i];
	LockRelationOid(member->segments[0], RowExclusiveLock);
	return member->segments[0];
}

/* NULL: the table is not captured. */
static Relation
open_segment(Relation rel, Member **found)
{
	for (;;)
	{
		Member *member = find_member(rel);
		Relation segment;
		Oid oid;

		if (!OidIsValid(member->segments[0]))
			return NULL;
		oid = lock_segment(member);
		segment = try_table_open(oid, NoLock);
		if (segment != NULL && member->valid)
		{
			*found = member;
			return segment;
		}
		if (segment != NULL)
			table_close(segment, NoLock);
		UnlockRelationOid(oid, RowExclusiveLock);
		member->valid = false;
	}
}

/* ---- what is written ---- */

static void
write_row(Firing *firing, char kind)
{
	MemoryContext old = MemoryContextSwitchTo(firing->scratch);
	bool has_images = kind == CHANGE_ROWS;

	firing->row.kind = kind;
	firing->row.nimages = has_images ? firing->images.count : 0;
	if (has_images)
		firing->member->image_bytes = (ROW_OVERHEAD + change_images_bytes(&firing->images)) /
									  firing->images.count;
	firing->member->last_block = change_insert(firing->segment,
											   &firing->row,
											   has_images ? &firing->images : NULL);
	change_images_reset(&firing->images);
	MemoryContextSwitchTo(old);
}

/* Several images share a row as long as it fits into a page. */
static void
add_images(Firing *firing, MinimalTuple old_row, MinimalTuple new_row)
{
	ChangeImages before = firing->images;

	change_images_add(&firing->images, old_row, new_row);
	if (before.count == 0 || change_images_bytes(&firing->images) <= CHANGE_ROW_BYTES)
		return;
	/* without the last ones; the memory may have been moved */
	firing->images.data.len = before.data.len;
	firing->images.count = before.count;
	write_row(firing, CHANGE_ROWS);
	change_images_add(&firing->images, old_row, new_row);
}

/* The rows of a transition table, or none; read apart from others that read it. */
typedef struct Transition
{
	Tuplestorestate *rows;
	TupleTableSlot *slot;
	int reader;
	MinimalTuple row; /* the current one; NULL at the end */
} Transition;

static void
begin_reading(Transition *transition, Tuplestorestate *rows, TupleDesc desc)
{
	memset(transition, 0, sizeof(Transition));
	transition->rows = rows;
	if (rows == NULL)
		return;
	transition->reader = tuplestore_alloc_read_pointer(rows, EXEC_FLAG_REWIND);
	tuplestore_select_read_pointer(rows, transition->reader);
	tuplestore_rescan(rows);
	transition->slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
}

static void
end_reading(Transition *transition)
{
	if (transition->rows == NULL)
		return;
	ExecDropSingleTupleTableSlot(transition->slot);
	/* the one that belongs to nobody */
	tuplestore_select_read_pointer(transition->rows, 0);
}

/* Returns false when a row is too long to be kept. */
static bool
read_row(Firing *firing, Transition *transition)
{
	MemoryContext old;

	transition->row = NULL;
	if (transition->rows == NULL)
		return true;
	tuplestore_select_read_pointer(transition->rows, transition->reader);
	if (!tuplestore_gettupleslot(transition->rows, true, false, transition->slot))
		return true;
	old = MemoryContextSwitchTo(firing->scratch);
	transition->row = change_tuple(transition->slot, firing->member->reads);
	MemoryContextSwitchTo(old);
	return transition->row != NULL;
}

/* Returns false when they cannot all be kept. */
static bool
write_images(Firing *firing, TriggerData *trigger)
{
	TupleDesc desc = RelationGetDescr(trigger->tg_relation);
	Transition old_rows;
	Transition new_rows;
	bool kept;

	begin_reading(&old_rows, trigger->tg_oldtable, desc);
	begin_reading(&new_rows, trigger->tg_newtable, desc);
	for (;;)
	{
		kept = read_row(firing, &old_rows) && read_row(firing, &new_rows);
		if (!kept || (old_rows.row == NULL && new_rows.row == NULL))
			break;
		/* a row that was updated to what it was is no change */
		if (old_rows.row == NULL || new_rows.row == NULL ||
			!change_tuples_equal(old_rows.row, new_rows.row))
			add_images(firing, old_rows.row, new_rows.row);
		if (firing->scratch != CurrentMemoryContext)
			MemoryContextReset(firing->scratch);
	}
	end_reading(&old_rows);
	end_reading(&new_rows);
	if (kept && firing->images.count > 0)
		write_row(firing, CHANGE_ROWS);
	return kept;
}

/*
 * Has the change table about as many changes as are kept?  Estimated by its
 * size and the last row that this session has written: readers count.
 */
static bool
is_full(const Firing *firing, int64 nrows)
{
	const Member *member = firing->member;
	double images_per_page;

	if (nrows > depipe_max_changes)
		return true;
	if (member->last_block < depipe_max_changes / (BLCKSZ / sizeof(ItemIdData)))
		return false;
	images_per_page = BLCKSZ / Max(member->image_bytes, 1);
	return RelationGetNumberOfBlocks(firing->segment) * images_per_page + nrows >
		   depipe_max_changes;
}

static void
capture(TriggerData *trigger, int64 nrows)
{
	Firing firing = {0};

	firing.segment = open_segment(trigger->tg_relation, &firing.member);
	if (firing.segment == NULL)
		return;
	firing.row.xid = GetTopFullTransactionId();
	firing.row.sequence = frontier_next_sequence();
	firing.row.relid = RelationGetRelid(trigger->tg_relation);
	/* that of a trigger is reset after it: good enough for few rows */
	firing.scratch = CurrentMemoryContext;
	if (nrows > FEW_ROWS)
		firing.scratch = AllocSetContextCreate(CurrentMemoryContext,
											   "depipe captured changes",
											   ALLOCSET_DEFAULT_SIZES);
	change_images_begin(&firing.images, nrows > FEW_ROWS ? CHANGE_ROW_BYTES : 0);
	if (TRIGGER_FIRED_BY_TRUNCATE(trigger->tg_event))
		write_row(&firing, CHANGE_TRUNCATE);
	else if (is_full(&firing, nrows) || !write_images(&firing, trigger))
		write_row(&firing, CHANGE_OVERFLOW);
	table_close(firing.segment, NoLock); /* its rows are there until the commit */
}

/* capture_changes(): trigger at the end of each statement, and before an UPDATE of partitions. */
Datum
depipe_capture_changes(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	int64 nrows = 0;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called for a statement", "capture_changes")));
	/* the library is loaded now: see capture_moves.c */
	if (TRIGGER_FIRED_BEFORE(trigger->tg_event))
		return PointerGetDatum(NULL);
	if (trigger->tg_oldtable != NULL)
		nrows += tuplestore_tuple_count(trigger->tg_oldtable);
	if (trigger->tg_newtable != NULL)
		nrows += tuplestore_tuple_count(trigger->tg_newtable);
	if (nrows > 0 || TRIGGER_FIRED_BY_TRUNCATE(trigger->tg_event))
		capture(trigger, nrows);
	return PointerGetDatum(NULL);
}
