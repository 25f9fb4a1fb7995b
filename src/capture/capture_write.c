/*-------------------------------------------------------------------------
 *
 * capture_write.c
 *		The trigger function on inputs: records what a statement has
 *		changed.
 *
 * It runs in the statements of all writers of the input.  It requires no
 * privilege of the writer, evaluates nothing that a user has defined, and
 * avoids errors where it can.  Changes that cannot be kept are replaced by a
 * row that says so, and the next refresh evaluates its whole query.
 *
 * The function looks up the table of the trigger among the members of
 * captures.  A table that is not a member, such as a restored one, is ignored.
 * Each session caches the result until a relcache invalidation of that table.
 * An outdated result does no harm: refreshes read both change tables of a
 * capture, and neither is emptied or dropped while a writer holds its lock.
 * Columns are added only while no writer holds a lock on the table.
 *
 * A row has not changed if only columns differ that no transform reads.
 *
 * The function locks no other table of the user, so it adds no possible
 * deadlock to the statement of the writer.
 *
 * The triggers also fire for rows that publish writes to targets.  publish
 * could record these changes itself, as a companion (publish/companion.h).
 * But it would have to read the old images again, by key, which costs more
 * than twice as much as all of the triggers: the executor already has these
 * images.  A trigger also sees how other triggers, foreign key actions, and
 * the table itself change a row.
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

/* size in bytes of a row of a change table without its images */
#define ROW_OVERHEAD 64

/* Allocations for this many rows need no separate memory context. */
#define FEW_ROWS 16

PG_FUNCTION_INFO_V1(depipe_capture_changes);

/* A table with the trigger */
typedef struct Member
{
	Oid relid; /* key */
	bool valid;
	Oid segments[2]; /* the current one first; InvalidOid if no capture has the table as a member */
	BlockNumber last_block; /* the last block that this session has written to */
	int image_bytes;        /* average bytes per image in the last row written */
	bool *reads;            /* captured columns, by attribute number less 1; NULL: all */
} Member;

/* One firing of the trigger */
typedef struct Firing
{
	Relation segment;
	ChangeRow row;
	ChangeImages images;   /* images of the row that is being filled */
	MemoryContext scratch; /* for the images of one row of the input, and for writing */
	Member *member;
} Firing;

static HTAB *members = NULL;
static uint64 invalidations = 0;

/* ---- members ---- */

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

/* Convert the captured columns.  The result is allocated in CacheMemoryContext. */
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

/* Lock one of the two change tables and return it.  Either will do, because refreshes read both. */
static Oid
lock_segment(const Member *member)
{
	for (int i = 0; i < 2; i++)
		if (ConditionalLockRelationOid(member->segments[i], RowExclusiveLock))
			return member->segments[i];
	LockRelationOid(member->segments[0], RowExclusiveLock);
	return member->segments[0];
}

/* Open and lock a change table.  Returns NULL if the table is not captured. */
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

/* ---- writing ---- */

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

/*
 * Add the images of one row of the input.  Images share a row of the change
 * table as long as it fits into a page.
 */
static void
add_images(Firing *firing, MinimalTuple old_row, MinimalTuple new_row)
{
	ChangeImages before = firing->images;

	change_images_add(&firing->images, old_row, new_row);
	if (before.count == 0 || change_images_bytes(&firing->images) <= CHANGE_ROW_BYTES)
		return;
	/* write the row without the last images; the buffer may have been moved */
	firing->images.data.len = before.data.len;
	firing->images.count = before.count;
	write_row(firing, CHANGE_ROWS);
	change_images_add(&firing->images, old_row, new_row);
}

/*
 * The rows of a transition table, or none.  It has a read pointer of its own,
 * because other triggers may read the same table.
 */
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
	/* the default read pointer */
	tuplestore_select_read_pointer(transition->rows, 0);
}

/* Read the next row.  Returns false if it is too long to be kept. */
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

/* Write the images of all rows.  Returns false if not all of them can be kept. */
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
		/* a row whose update changed nothing is not a change */
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
 * Returns true if the change table contains about as many changes as are kept.
 * This is an estimate from the size of the table and the last row that this
 * session has written; refreshes count exactly.
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
	images_per_page = (double) BLCKSZ / Max(member->image_bytes, 1);
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
	/* the context of a trigger is reset after it, which suffices for few rows */
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
	table_close(firing.segment, NoLock); /* the lock is held until the commit */
}

/*
 * SQL function capture_changes(): trigger after each statement, and before an
 * UPDATE of a partitioned table.
 */
Datum
depipe_capture_changes(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	int64 nrows = 0;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called for a statement", "capture_changes")));
	/* the only purpose was to load the library: see capture_moves.c */
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
