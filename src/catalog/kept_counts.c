/*-------------------------------------------------------------------------
 *
 * kept_counts.c
 *		Counts of the parked and quarantined rows of each target.
 *
 * Every batch needs to know whether there are any, and counting them takes
 * time in proportion to their number.  So triggers on the two tables keep the
 * counts in target_state, in the transaction that changes the rows.  The
 * counts are exact after any statement and after any rollback.
 *
 * The changed rows of a statement are counted one by one, and the counts are
 * written at its end.  Transition tables would do this in one step, but large
 * ones are written to disk, and if the disk is full, a rollback that must
 * close them fails as well.
 *
 * Invariants: One statement updates the counts of its targets in the order of
 * their ids, so that two statements cannot deadlock.  A target that is being
 * dropped has no counts.
 *
 *-------------------------------------------------------------------------
 */
#include "catalog/kept_rows.h"

#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

typedef struct KeptChange
{
	int32 target_id; /* hash key */
	int64 rows;
	int64 retries;
	int64 discarded;
} KeptChange;

/*
 * Changes of the counts by the running statement, one table each for parked
 * and quarantined rows.  They live in the memory context of the
 * (sub)transaction.  Each statement starts with NULL, because a failed
 * statement may have left a pointer to freed memory.
 */
static HTAB *changes_of[2];

static HTAB *
make_changes(void)
{
	HASHCTL control = {0};

	control.keysize = sizeof(int32);
	control.entrysize = sizeof(KeptChange);
	control.hcxt = CurTransactionContext;
	return hash_create("depipe kept rows", 16, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* A boolean column that only quarantined rows have. */
static bool
is_marked(Relation rel, TupleTableSlot *row, const char *column)
{
	AttrNumber mark = get_attnum(RelationGetRelid(rel), column);
	bool isnull;

	return mark != InvalidAttrNumber && DatumGetBool(slot_getattr(row, mark, &isnull));
}

static void
count_row(HTAB *changes, Relation rel, TupleTableSlot *row, int sign)
{
	AttrNumber target_id = get_attnum(RelationGetRelid(rel), "target_id");
	bool isnull;
	int32 id = DatumGetInt32(slot_getattr(row, target_id, &isnull));
	bool found;
	KeptChange *change = hash_search(changes, &id, HASH_ENTER, &found);

	if (!found)
		change->rows = change->retries = change->discarded = 0;
	change->rows += sign;
	if (is_marked(rel, row, "retry"))
		change->retries += sign;
	if (is_marked(rel, row, "discarded"))
		change->discarded += sign;
}

static void
count_rows(HTAB *changes, const TriggerData *trigger)
{
	TriggerEvent event = trigger->tg_event;

	if (!TRIGGER_FIRED_BY_INSERT(event)) /* the old row */
		count_row(changes, trigger->tg_relation, trigger->tg_trigslot, -1);
	if (!TRIGGER_FIRED_BY_DELETE(event)) /* the new row */
		count_row(changes,
				  trigger->tg_relation,
				  TRIGGER_FIRED_BY_UPDATE(event) ? trigger->tg_newslot : trigger->tg_trigslot,
				  1);
}

#define ADD_KEPT                                              \
	" parked = s.parked OPERATOR(pg_catalog.+) $2,"           \
	" quarantined = s.quarantined OPERATOR(pg_catalog.+) $3," \
	" retries = s.retries OPERATOR(pg_catalog.+) $4,"         \
	" discarded = s.discarded OPERATOR(pg_catalog.+) $5"

static void
add_kept(int32 target_id, int64 parked, int64 quarantined, int64 retries, int64 discarded)
{
	CatalogArg args[] = {ARG_INT4(target_id),
						 ARG_INT8(parked),
						 ARG_INT8(quarantined),
						 ARG_INT8(retries),
						 ARG_INT8(discarded)};

	if (catalog_execute("UPDATE depipe.target_state s SET" ADD_KEPT
						" WHERE s.target_id OPERATOR(pg_catalog.=) $1",
						lengthof(args),
						args)
			->processed > 0)
		return;
	/* the target may have been dropped meanwhile, or by this statement */
	(void) catalog_execute("INSERT INTO depipe.target_state AS s"
						   " (target_id, parked, quarantined, retries, discarded)"
						   " SELECT t.target_id, $2, $3, $4, $5 FROM depipe.target t"
						   " WHERE t.target_id OPERATOR(pg_catalog.=) $1 FOR KEY SHARE"
						   " ON CONFLICT (target_id) DO UPDATE SET" ADD_KEPT,
						   lengthof(args),
						   args);
}

static int
compare_changes(const ListCell *a, const ListCell *b)
{
	int32 left = ((KeptChange *) lfirst(a))->target_id;
	int32 right = ((KeptChange *) lfirst(b))->target_id;

	return (left > right) - (left < right);
}

static void
write_changes(HTAB *changes, bool parked)
{
	HASH_SEQ_STATUS scan;
	KeptChange *change;
	List *sorted = NIL;
	ListCell *cell;

	hash_seq_init(&scan, changes);
	while ((change = hash_seq_search(&scan)) != NULL)
		if (change->rows != 0 || change->retries != 0 || change->discarded != 0)
			sorted = lappend(sorted, change);
	list_sort(sorted, compare_changes);
	foreach(cell, sorted)
	{
		change = lfirst(cell);
		if (parked)
			add_kept(change->target_id, change->rows, 0, 0, 0);
		else
			add_kept(change->target_id, 0, change->rows, change->retries, change->discarded);
	}
}

static void
forget_all(bool parked)
{
	if (parked)
		(void) CATALOG_EXECUTE0("UPDATE depipe.target_state SET parked = 0"
								" WHERE parked OPERATOR(pg_catalog.<>) 0");
	else
		(void) CATALOG_EXECUTE0("UPDATE depipe.target_state SET quarantined = 0, retries = 0,"
								" discarded = 0"
								" WHERE quarantined OPERATOR(pg_catalog.<>) 0");
}

PG_FUNCTION_INFO_V1(depipe_count_kept);
Datum
depipe_count_kept(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	HTAB **changes;
	bool parked;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("depipe.count_kept is a trigger of depipe's own tables")));
	parked = strcmp(RelationGetRelationName(trigger->tg_relation), "parked_item") == 0;
	changes = &changes_of[parked ? 0 : 1];
	if (TRIGGER_FIRED_BEFORE(trigger->tg_event))
		*changes = NULL;
	else if (TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
	{
		if (*changes == NULL)
			*changes = make_changes();
		count_rows(*changes, trigger);
	}
	else if (TRIGGER_FIRED_BY_TRUNCATE(trigger->tg_event))
		forget_all(parked);
	else if (*changes != NULL)
	{
		write_changes(*changes, parked);
		hash_destroy(*changes);
		*changes = NULL;
	}
	PG_RETURN_POINTER(NULL);
}
