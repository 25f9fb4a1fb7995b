/*-------------------------------------------------------------------------
 *
 * capture_prune.c
 *		Emptying change tables whose changes all transforms have taken in.
 *
 * A capture has two change tables.  Writers write to the current one.  When it
 * has grown and the other one is empty, the other one becomes current.  When
 * every transform that relies on the capture has taken in all rows of the
 * table that is not current, that table is emptied.  Rows are never deleted
 * one by one.
 *
 * A change table is emptied only under an ACCESS EXCLUSIVE lock.  This
 * excludes writers whose transaction is open or prepared, and refreshes that
 * may have taken their snapshot already.  The rows that are visible under the
 * lock are therefore all rows.  Pruning does not wait for the lock.
 *
 * Under such locks on both change tables, the columns that no transform reads
 * any more are removed from the capture: at that moment no refresh relies on
 * them.
 *
 *-------------------------------------------------------------------------
 */
#include "capture/capture_prune.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "core/guarded.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "capture/capture.h"
#include "capture/change_table.h"
#include "capture/frontier.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* Smaller change tables stay current. */
#define PAGES_TO_ROTATE 128

static BlockNumber
pages_of(Oid segment)
{
	Relation rel = try_table_open(segment, AccessShareLock);
	BlockNumber pages;

	if (rel == NULL)
		return 0;
	pages = RelationGetNumberOfBlocks(rel);
	table_close(rel, AccessShareLock);
	return pages;
}

/* Returns the frontiers of the transforms that rely on the capture, as an array of *count. */
static FrontierTest *
frontiers_of(int64 incarnation, int *count)
{
	CatalogRows *rows = capture_select_frontiers(incarnation);
	FrontierTest *tests = palloc(sizeof(FrontierTest) * Max(rows->count, 1));

	*count = rows->count;
	for (uint64 i = 0; i < rows->count; i++)
	{
		StoredFrontier frontier = {.snapshot = catalog_text(rows, i, FRONTIER_SNAPSHOT),
								   .own_sequence = catalog_int8(rows, i, FRONTIER_SEQUENCE)};

		frontier.own_xid = FullTransactionIdFromU64(
			strtou64(catalog_text(rows, i, FRONTIER_XID), NULL, 10));
		frontier_begin_test(&tests[i], &frontier);
	}
	return tests;
}

/* Returns true if all transforms have taken in all rows.  The caller has locked the table. */
static bool
is_taken_in(Oid segment, int64 incarnation)
{
	int count;
	FrontierTest *tests = frontiers_of(incarnation, &count);
	Relation rel = table_open(segment, NoLock);
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	bool taken_in = true;
	TableScanDesc scan;

	PushActiveSnapshot(GetLatestSnapshot());
	UpdateActiveSnapshotCommandId();
	scan = table_beginscan(rel, GetActiveSnapshot(), 0, NULL);
	while (taken_in && table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		FullTransactionId xid;
		int64 sequence;

		CHECK_FOR_INTERRUPTS();
		if (!change_row_position(slot, &xid, &sequence))
			continue; /* the sentinel */
		for (int i = 0; i < count && taken_in; i++)
			taken_in = frontier_covers(&tests[i], xid, sequence);
	}
	table_endscan(scan);
	PopActiveSnapshot();
	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, NoLock);
	return taken_in;
}

static bool
empty_work(void *argument)
{
	const Capture *capture = argument;
	Oid segment = capture->segments[2 - capture->current];

	if (!ConditionalLockRelationOid(segment, AccessExclusiveLock))
		return false;
	if (!is_taken_in(segment, capture->incarnation))
		return false; /* the subtransaction is rolled back and releases the lock */
	capture_truncate(segment);
	CommandCounterIncrement();
	capture_write_sentinel(segment);
	return true;
}

static void
invalidate_members(const Capture *capture)
{
	ListCell *cell;

	foreach(cell, capture->basis.relids)
		if (get_rel_name(lfirst_oid(cell)) != NULL)
			CacheInvalidateRelcacheByRelid(lfirst_oid(cell));
}

static bool
rotate_work(void *argument)
{
	const Capture *capture = argument;

	capture_set_current(capture->id, 3 - capture->current);
	invalidate_members(capture);
	return true;
}

/* Remove the columns that no transform reads.  Writers that still capture them do no harm. */
static bool
shrink_work(void *argument)
{
	const Capture *capture = argument;

	for (int i = 0; i < 2; i++)
		if (!ConditionalLockRelationOid(capture->segments[i], AccessExclusiveLock))
			return false;
	capture_shrink(capture->id);
	invalidate_members(capture);
	return true;
}

static void
prune(Capture *capture)
{
	if (capture->excess)
		(void) guarded_run(shrink_work, capture);
	/* the sentinel takes one page */
	if (pages_of(capture->segments[2 - capture->current]) > 1)
		(void) guarded_run(empty_work, capture);
	else if (pages_of(capture->segments[capture->current - 1]) > PAGES_TO_ROTATE)
		(void) guarded_run(rotate_work, capture);
}

void
captures_prune(List *captures)
{
	ListCell *cell;

	/* the snapshot may be too old to show all transforms that rely on the capture */
	if (IsolationUsesXactSnapshot())
		return;
	foreach(cell, captures)
		if (((Capture *) lfirst(cell))->id != 0)
			prune(lfirst(cell));
}
