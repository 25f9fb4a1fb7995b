/*-------------------------------------------------------------------------
 *
 * kept_counts.c
 *		How many rows of a target are parked and in quarantine.
 *
 * Every batch asks whether there are any, and counting them takes as long as
 * there are many.  So triggers on the two tables keep the numbers beside the
 * other state of the target, in the transaction that changes the rows: they
 * are exact whatever statement it was, and after each rollback.
 *
 * The rows of a statement are counted one by one and written when it ends.
 * Transition tables would do the same in one step, but they go to disk when they
 * are large, and where that is full a rollback that has to close them fails, too.
 *
 * Invariants: one statement changes the counts of its targets in the order of
 * their ids, so that two of them do not wait for each other; a target that is
 * being dropped has none.
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
} KeptChange;

/*
 * What the rows of the statement that is running have changed, by table: parked,
 * quarantined.  In the memory context of its (sub)transaction; each statement
 * begins with none, for what one that failed has left behind is gone.
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

static bool
waits_for_retry(Relation rel, TupleTableSlot *row)
{
	AttrNumber retry = get_attnum(RelationGetRelid(rel), "retry");
	bool isnull;

	return retry != InvalidAttrNumber && DatumGetBool(slot_getattr(row, retry, &isnull));
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
		change->rows = change->retries = 0;
	change->rows += sign;
	if (waits_for_retry(rel, row))
		change->retries += sign;
}

static void
count_rows(HTAB *changes, const TriggerData *trigger)
{
	TriggerEvent event = trigger->tg_event;

	if (!TRIGGER_FIRED_BY_INSERT(event)) /* what was */
		count_row(changes, trigger->tg_relation, trigger->tg_trigslot, -1);
	if (!TRIGGER_FIRED_BY_DELETE(event)) /* what is */
		count_row(changes,
				  trigger->tg_relation,
				  TRIGGER_FIRED_BY_UPDATE(event) ? trigger->tg_newslot : trigger->tg_trigslot,
				  1);
}

#define ADD_KEPT                                              \
	" parked = s.parked OPERATOR(pg_catalog.+) $2,"           \
	" quarantined = s.quarantined OPERATOR(pg_catalog.+) $3," \
	" retries = s.retries OPERATOR(pg_catalog.+) $4"

static void
add_kept(int32 target_id, int64 parked, int64 quarantined, int64 retries)
{
	CatalogArg args[] = {ARG_INT4(target_id),
						 ARG_INT8(parked),
						 ARG_INT8(quarantined),
						 ARG_INT8(retries)};

	if (catalog_execute("UPDATE depipe.target_state s SET" ADD_KEPT
						" WHERE s.target_id OPERATOR(pg_catalog.=) $1",
						lengthof(args),
						args)
			->processed > 0)
		return;
	/* it may have been dropped meanwhile, or in this statement */
	(void) catalog_execute("INSERT INTO depipe.target_state AS s"
						   " (target_id, parked, quarantined, retries)"
						   " SELECT t.target_id, $2, $3, $4 FROM depipe.target t"
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
		if (change->rows != 0 || change->retries != 0)
			sorted = lappend(sorted, change);
	list_sort(sorted, compare_changes);
	foreach(cell, sorted)
	{
		change = lfirst(cell);
		if (parked)
			add_kept(change->target_id, change->rows, 0, 0);
		else
			add_kept(change->target_id, 0, change->rows, change->retries);
	}
}

static void
forget_all(bool parked)
{
	if (parked)
		(void) CATALOG_EXECUTE0("UPDATE depipe.target_state SET parked = 0"
								" WHERE parked OPERATOR(pg_catalog.<>) 0");
	else
		(void) CATALOG_EXECUTE0("UPDATE depipe.target_state SET quarantined = 0, retries = 0"
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
