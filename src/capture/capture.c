/*-------------------------------------------------------------------------
 *
 * capture.c
 *		Captures: the inputs whose changes are recorded for transforms.
 *
 * An input has one capture, regardless of how many transforms read it.  A
 * capture consists of two change tables and of the triggers that fill them.
 * Writers use the current change table; the other one waits to be emptied
 * (capture_prune.c).  The table itself and each partition or child have
 * triggers of their own, because a statement fires only the triggers of the
 * table that it names.
 *
 * A capture is created or renewed (another incarnation begins) before a
 * refresh takes its snapshot, under a lock that excludes the writers of the
 * tables that get triggers.  Therefore a change that the snapshot does not see
 * is in a change table.  A transform relies on an incarnation only if its own
 * last refresh had found that incarnation before it took its snapshot.
 *
 * Only the columns that some transform reads are captured.  A row that differs
 * only in other columns has not changed.  A transform that reads more columns
 * adds them under the same lock.  Columns that no transform reads any more are
 * removed by capture_prune.c; from then on, adding a column begins another
 * incarnation.  So a transform that relies on an incarnation has missed no
 * change of the columns that it reads.
 *
 * A refresh that uses a capture holds an ACCESS SHARE lock on both change
 * tables from before its snapshot until the end of its transaction.  Until its
 * frontier is committed, no change that the snapshot does not see is pruned,
 * and no column is removed.
 *
 *-------------------------------------------------------------------------
 */
#include "capture/capture.h"

#include "query/clock.h"

#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "commands/event_trigger.h"
#include "catalog/dependency.h"
#include "catalog/heap.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "commands/extension.h"
#include "commands/trigger.h"
#include "core/guarded.h"
#include "core/identity.h"
#include "core/sqltext.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "query/binding.h"
#include "capture/capture_wait.h"
#include "capture/change_table.h"
#include "capture/frontier.h"
#include "query/reads.h"
#include "utils/acl.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/xid8.h"

PG_FUNCTION_INFO_V1(depipe_subscription_changed);

/* An input with more pages (1 GB) is captured only at the end of a refresh. */
#define LARGE_PAGES (1024 * (1024 * 1024 / BLCKSZ))

/* ---- inputs of a query ---- */

static Capture *
find_capture(List *captures, Oid relid)
{
	ListCell *cell;

	foreach(cell, captures)
		if (((Capture *) lfirst(cell))->relid == relid)
			return lfirst(cell);
	return NULL;
}

static void
not_captured(Capture *capture, const char *reason_code, char *detail)
{
	if (capture->reason_code != NULL)
		return;
	capture->reason_code = reason_code;
	capture->detail = detail;
}

/*
 * Check whether changes of rows suffice for one occurrence of the input in the
 * query.  If not, set the reason not to capture it.
 */
static void
check_occurrence(Capture *capture, const Occurrence *occurrence)
{
	const RangeTblEntry *entry = list_nth(occurrence->block->query->rtable,
										  occurrence->rtindex - 1);

	if (occurrence->row_security)
		not_captured(capture, "row_security", psprintf("%s.", blocks_why_secured(capture->relid)));
	else if (!entry->inh && has_subclass(capture->relid))
		not_captured(capture,
					 "only",
					 psprintf("The query reads ONLY %s.", sql_relation(capture->relid)));
	else if (entry->tablesample != NULL)
		not_captured(capture,
					 "tablesample",
					 psprintf("The query reads a sample of %s.", sql_relation(capture->relid)));
}

static void
check_privilege(Capture *capture, Oid owner)
{
	if (pg_class_aclcheck(capture->relid, owner, ACL_TRIGGER) != ACLCHECK_OK)
		not_captured(capture,
					 "no_trigger_privilege",
					 psprintf("Role %s does not have the privilege TRIGGER on %s.",
							  GetUserNameFromId(owner, false),
							  sql_relation(capture->relid)));
}

/*
 * Returns one Capture for each base relation of the query.  Sets the reason not
 * to capture those that the query or the privileges of the owner exclude.
 */
static List *
base_relations(const Transform *transform, Shape *shape)
{
	List *captures = NIL;
	ListCell *cell;

	foreach(cell, blocks_occurrences(shape_blocks(shape), InvalidOid))
	{
		const Occurrence *occurrence = lfirst(cell);
		Capture *capture = find_capture(captures, occurrence->relid);

		if (capture == NULL)
		{
			capture = palloc0(sizeof(Capture));
			capture->relid = occurrence->relid;
			captures = lappend(captures, capture);
		}
		check_occurrence(capture, occurrence);
	}
	foreach(cell, captures)
	{
		Capture *capture = lfirst(cell);

		check_privilege(capture, transform->target->owner);
		capture->reads = reads_of_query(shape_blocks(shape), capture->relid);
	}
	return captures;
}

/* A system column can change although the row does not: ctid, for example. */
static bool
reads_system_column(Node *node, void *detail)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var) && ((Var *) node)->varattno < 0)
	{
		*(char **) detail = psprintf(
			"The query reads the system column %s.",
			NameStr(SystemAttributeDefinition(((Var *) node)->varattno)->attname));
		return true;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, reads_system_column, detail, 0);
	return expression_tree_walker(node, reads_system_column, detail);
}

/* Returns the reason code why the transform cannot use changes of its inputs, or NULL if it can. */
static const char *
why_useless(const Transform *transform, Shape *shape, char **detail)
{
	*detail = NULL;
	if (strcmp(transform->mode, "full") == 0)
		return "mode_full";
	if (shape->volatility.is_volatile)
		return "volatile_function";
	if (shape->volatility.is_stable && !clock_moves_rows(shape))
		return "stable_function";
	if (reads_system_column((Node *) shape_blocks(shape)->query, detail))
		return "system_column";
	return NULL;
}

/* ---- reading captures ---- */

static void
take_row(Capture *capture, const CatalogRows *rows, uint64 row)
{
	bool isnull;

	capture->id = catalog_int8(rows, row, CAPTURE_ID);
	capture->incarnation = catalog_int8(rows, row, CAPTURE_INCARNATION);
	capture->since = DatumGetFullTransactionId(
		catalog_datum(rows, row, CAPTURE_SINCE_XID, &isnull));
	capture->renewed = catalog_text(rows, row, CAPTURE_REASON);
	capture->segments[0] = catalog_oid(rows, row, CAPTURE_SEGMENT_1);
	capture->segments[1] = catalog_oid(rows, row, CAPTURE_SEGMENT_2);
	capture->current = catalog_int4(rows, row, CAPTURE_CURRENT);
	capture->used = catalog_bool(rows, row, CAPTURE_IS_USED);
	capture->captured.all = catalog_bool(rows, row, CAPTURE_READS_ALL);
	capture->captured.names = catalog_text_list(rows, row, CAPTURE_READS);
	capture->registered.all = catalog_bool(rows, row, CAPTURE_USE_READS_ALL);
	capture->registered.names = catalog_text_list(rows, row, CAPTURE_USE_READS);
	capture->shrunk = catalog_bool(rows, row, CAPTURE_HAS_SHRUNK);
	capture->excess = catalog_bool(rows, row, CAPTURE_HAS_EXCESS);
	capture->basis.columns = catalog_text(rows, row, CAPTURE_COLUMNS);
	capture->basis.members = catalog_text(rows, row, CAPTURE_MEMBERS);
	capture->basis.files = catalog_text(rows, row, CAPTURE_FILES);
	capture->basis.triggers = catalog_text(rows, row, CAPTURE_TRIGGERS);
	capture->basis.relids = catalog_oid_list(rows, row, CAPTURE_RELIDS);
}

static void
read_capture(Capture *capture, int32 target_id)
{
	CatalogRows *rows = captures_select(list_make1_oid(capture->relid), target_id);

	capture->id = 0;
	for (uint64 i = 0; i < rows->count; i++)
		if (catalog_oid(rows, i, CAPTURE_RELID) == capture->relid)
			take_row(capture, rows, i);
}

/*
 * Read the captures of all inputs that have no reason against it.  Returns
 * true if the transform has registered the use of a capture that it no longer
 * needs.
 */
static bool
read_captures(List *captures, int32 target_id)
{
	List *relids = NIL;
	bool stale = false;
	CatalogRows *rows;
	ListCell *cell;

	foreach(cell, captures)
		relids = lappend_oid(relids, ((Capture *) lfirst(cell))->relid);
	rows = captures_select(relids, target_id);
	for (uint64 i = 0; i < rows->count; i++)
	{
		Capture *capture = find_capture(captures, catalog_oid(rows, i, CAPTURE_RELID));

		if (capture != NULL && capture->reason_code == NULL)
			take_row(capture, rows, i);
		else if (catalog_bool(rows, i, CAPTURE_IS_USED))
			stale = true;
	}
	return stale;
}

/* Returns the inputs of a query, with the reasons not to capture them that the query gives. */
static List *
inputs_of(const Transform *transform, Shape *shape)
{
	List *captures = base_relations(transform, shape);
	char *detail;
	const char *useless = why_useless(transform, shape, &detail);
	ListCell *cell;

	foreach(cell, captures)
		if (useless != NULL)
			not_captured(lfirst(cell), useless, detail);
	return captures;
}

List *
captures_find(const Transform *transform, Shape *shape)
{
	List *captures = inputs_of(transform, shape);
	ListCell *cell;

	(void) read_captures(captures, transform->target->id);
	foreach(cell, captures)
	{
		Capture *capture = lfirst(cell);
		CaptureLook look;

		if (capture->id != 0 || capture->reason_code != NULL)
			continue;
		capture_look(capture->relid, &look);
		if (look.reason_code != NULL)
			not_captured(capture, look.reason_code, look.detail);
		not_captured(capture, "not_captured", NULL);
	}
	return captures;
}

List *
captures_all(void)
{
	CatalogRows *rows = captures_select_all();
	List *captures = NIL;

	for (uint64 i = 0; i < rows->count; i++)
	{
		Capture *capture = palloc0(sizeof(Capture));

		capture->relid = catalog_oid(rows, i, CAPTURE_RELID);
		take_row(capture, rows, i);
		captures = lappend(captures, capture);
	}
	return captures;
}

/* ---- creating captures ---- */

static Node *
transition_table(const char *name, bool is_new)
{
	TriggerTransition *transition = makeNode(TriggerTransition);

	transition->name = pstrdup(name);
	transition->isNew = is_new;
	transition->isTable = true;
	return (Node *) transition;
}

/*
 * Create a trigger.  It replaces a trigger of the same name, which was
 * restored from a dump or left behind.
 */
static void
make_trigger(Oid relid, const char *name, int16 timing, int16 event, bool with_old, bool with_new)
{
	CreateTrigStmt *statement = makeNode(CreateTrigStmt);
	ObjectAddress trigger;
	ObjectAddress extension;

	statement->replace = true;
	statement->trigname = pstrdup(name);
	statement->timing = timing;
	statement->events = event;
	if (with_old)
		statement->transitionRels = lappend(statement->transitionRels,
											transition_table("_depipe_old", false));
	if (with_new)
		statement->transitionRels = lappend(statement->transitionRels,
											transition_table("_depipe_new", true));
	trigger = CreateTriggerFiringOn(statement,
									NULL,
									relid,
									InvalidOid,
									InvalidOid,
									InvalidOid,
									capture_function(),
									InvalidOid,
									NULL,
									false,
									false,
									TRIGGER_FIRES_ALWAYS);
	/* DROP EXTENSION drops the trigger */
	ObjectAddressSet(extension, ExtensionRelationId, get_extension_oid("depipe", false));
	recordDependencyOn(&trigger, &extension, DEPENDENCY_AUTO_EXTENSION);
}

static void
make_triggers(Oid relid)
{
	const int16 after = TRIGGER_TYPE_AFTER;

	make_trigger(relid, "depipe_capture_insert", after, TRIGGER_TYPE_INSERT, false, true);
	make_trigger(relid, "depipe_capture_update", after, TRIGGER_TYPE_UPDATE, true, true);
	make_trigger(relid, "depipe_capture_delete", after, TRIGGER_TYPE_DELETE, true, false);
	make_trigger(relid, "depipe_capture_truncate", after, TRIGGER_TYPE_TRUNCATE, false, false);
	/* see capture_moves.c */
	if (get_rel_relkind(relid) == RELKIND_PARTITIONED_TABLE)
		make_trigger(relid,
					 "depipe_capture_begin",
					 TRIGGER_TYPE_BEFORE,
					 TRIGGER_TYPE_UPDATE,
					 false,
					 false);
	CommandCounterIncrement();
}

typedef struct Preparing
{
	Transform *transform;
	bool late;        /* the refresh is done */
	List *captures;   /* of Capture */
	Capture *capture; /* the current one */
} Preparing;

/*
 * Returns the tables whose writers will capture something else, in the order in
 * which they will be locked.  These are all members if columns will be added,
 * otherwise those that are new or lack triggers.
 */
static List *
to_be_changed(const Capture *capture, const CaptureLook *look)
{
	List *relids = NIL;
	ListCell *cell;

	if (capture->id != 0 && !reads_contain(&capture->captured, &capture->reads))
		return look->basis.relids;
	foreach(cell, look->basis.relids)
		if (capture->id == 0 || list_member_oid(look->incomplete, lfirst_oid(cell)) ||
			!list_member_oid(capture->basis.relids, lfirst_oid(cell)))
			relids = lappend_oid(relids, lfirst_oid(cell));
	return relids;
}

void
capture_write_sentinel(Oid segment)
{
	Relation rel = table_open(segment, RowExclusiveLock);
	ChangeRow row = {.xid = GetTopFullTransactionId(), .kind = CHANGE_SENTINEL};

	(void) change_insert(rel, &row, NULL);
	table_close(rel, NoLock);
}

static bool
is_whole(const Capture *capture)
{
	bool whole;

	PushActiveSnapshot(GetLatestSnapshot());
	whole = change_table_is_whole(capture->segments[0], GetActiveSnapshot()) &&
			change_table_is_whole(capture->segments[1], GetActiveSnapshot());
	PopActiveSnapshot();
	return whole;
}

/*
 * Empty both change tables and write their sentinels.  A crash has emptied
 * them without leaving sentinels.
 */
static void
empty_segments(const Capture *capture)
{
	for (int i = 0; i < 2; i++)
	{
		LockRelationOid(capture->segments[i], AccessExclusiveLock);
		capture_truncate(capture->segments[i]);
		CommandCounterIncrement();
		capture_write_sentinel(capture->segments[i]);
	}
}

static bool
was_truncated(const Capture *capture)
{
	bool found = false;

	PushActiveSnapshot(GetLatestSnapshot());
	for (int i = 0; i < 2 && !found; i++)
		found = change_table_has(capture->segments[i],
								 GetActiveSnapshot(),
								 CHANGE_TRUNCATE,
								 capture->since);
	PopActiveSnapshot();
	return found;
}

/*
 * Returns the reason code why the capture cannot be used as it is, or NULL if
 * it can.  Sets *look.
 */
static const char *
why_not_valid(Capture *capture, CaptureLook *look)
{
	const char *reason;
	char *detail;

	capture_look(capture->relid, look);
	if (capture->id == 0)
		return "not_captured";
	reason = capture_difference(&capture->basis, &look->basis, &detail);
	if (reason == NULL && !is_whole(capture))
		return "changes_lost";
	if (reason == NULL)
		return reads_contain(&capture->captured, &capture->reads) ? NULL : "more_columns";
	return strcmp(reason, "input_rewritten") == 0 && was_truncated(capture) ? "truncated" : reason;
}

/*
 * Create the capture, add columns to it, or begin another incarnation, for
 * this reason.  The caller has locked the tables in "lacking".
 */
static void
make_capture(Preparing *preparing, List *lacking, const char *reason)
{
	Capture *capture = preparing->capture;
	bool more = capture->id != 0 && strcmp(reason, "more_columns") == 0;
	ReadColumns kept = reads_existing(&capture->captured, capture->relid);
	ReadColumns reads = reads_union(&kept, &capture->reads);
	CaptureLook look;
	ListCell *cell;

	if (capture->id != 0 && strcmp(reason, "changes_lost") == 0)
		empty_segments(capture);
	foreach(cell, more ? NIL : lacking)
		make_triggers(lfirst_oid(cell));
	capture_look(capture->relid, &look);
	if (capture->id == 0)
		(void) capture_create(capture->relid, &look.basis, &capture->reads);
	else if (more && !capture->shrunk)
		capture_widen(capture->id, &reads);
	else
		capture_renew(capture->id, &look.basis, &reads, reason);
	CommandCounterIncrement();
	foreach(cell, look.basis.relids)
		CacheInvalidateRelcacheByRelid(lfirst_oid(cell));
	if (capture->id == 0)
	{
		read_capture(capture, preparing->transform->target->id);
		capture_write_sentinel(capture->segments[0]);
		capture_write_sentinel(capture->segments[1]);
	}
	else
		read_capture(capture, preparing->transform->target->id);
	CommandCounterIncrement();
}

/*
 * Create or renew the capture, unless that is no longer needed.  This is rare,
 * and capture_lock() lets only one transaction at a time do it.
 */
static void
make_valid(Preparing *preparing)
{
	Capture *capture = preparing->capture;
	const char *reason;
	CaptureLook look;
	Identity identity;
	List *lacking;
	ListCell *cell;

	capture_lock(capture->relid);
	read_capture(capture, preparing->transform->target->id);
	identity_become_extension(&identity);
	capture_look(capture->relid, &look);
	lacking = to_be_changed(capture, &look);
	foreach(cell, lacking)
		capture_lock_out_writers(lfirst_oid(cell));
	reason = why_not_valid(capture, &look);
	if (reason != NULL && capture_has_members(capture->relid, look.basis.relids))
		not_captured(capture, "shared_member", "A table of it belongs to another input, too.");
	else if (reason != NULL)
		make_capture(preparing, lacking, reason);
	identity_restore(&identity);
}

/*
 * Returns true if the capture has to wait for the end of the refresh: its lock
 * would exclude writers while a large input is read.
 */
static bool
must_be_late(const Preparing *preparing, const CaptureLook *look)
{
	uint64 pages = 0;
	ListCell *cell;

	if (preparing->late || to_be_changed(preparing->capture, look) == NIL)
		return false;
	foreach(cell, look->basis.relids)
	{
		Relation rel = relation_open(lfirst_oid(cell), AccessShareLock);

		if (rel->rd_rel->relkind == RELKIND_RELATION)
			pages += RelationGetNumberOfBlocks(rel);
		relation_close(rel, NoLock);
	}
	return pages > LARGE_PAGES;
}

static bool
prepare_work(void *argument)
{
	Preparing *preparing = argument;
	Capture *capture = preparing->capture;
	CaptureLook look;
	const char *reason = why_not_valid(capture, &look);

	if (look.reason_code != NULL)
		not_captured(capture, look.reason_code, look.detail);
	else if (reason != NULL && must_be_late(preparing, &look))
	{
		capture->late = true;
		not_captured(capture,
					 capture->id == 0 ? "not_captured" : reason,
					 "It is captured from the end of this refresh on.");
	}
	else if (reason != NULL && !IsolationUsesXactSnapshot())
		make_valid(preparing);
	if (capture->id == 0)
		not_captured(capture, "not_captured", NULL);
	if (capture->reason_code != NULL)
		return true;
	/* held until the frontier is committed */
	LockRelationOid(capture->segments[0], AccessShareLock);
	LockRelationOid(capture->segments[1], AccessShareLock);
	/* a concurrent transaction may have removed columns before the locks were taken */
	if (!capture_reads_now(capture->id, &capture->captured))
		not_captured(capture, "not_captured", NULL);
	return true;
}

/* Prepare the capture of one input.  An error becomes the reason of this input only. */
static void
prepare(Preparing *preparing, Capture *capture)
{
	ErrorData *error;

	if (capture->reason_code != NULL)
		return;
	preparing->capture = capture;
	error = guarded_run_waiting(prepare_work, preparing, capture_longest_wait(capture->relid));
	capture_note_wait(capture->relid,
					  error != NULL && error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE);
	if (error == NULL)
		return;
	if (error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE)
		not_captured(capture,
					 "capture_waits",
					 psprintf("%s is being written: its changes are captured as soon as no"
							  " transaction that has written it is open.",
							  sql_relation(capture->relid)));
	else
		not_captured(capture,
					 "not_captured",
					 psprintf("Its changes cannot be captured: %s.", error->message));
}

static bool
find_inputs_work(void *argument)
{
	Preparing *preparing = argument;
	Transform *transform = preparing->transform;
	Identity identity;

	PushActiveSnapshot(GetTransactionSnapshot());
	identity_become_with(transform->target->owner, transform->target->settings, &identity);
	preparing->captures = inputs_of(transform, transform_analyse(transform));
	identity_restore(&identity);
	PopActiveSnapshot();
	return true;
}

static bool
register_work(void *argument)
{
	Preparing *preparing = argument;
	List *ids = NIL;
	ListCell *cell;

	foreach(cell, preparing->captures)
	{
		Capture *capture = lfirst(cell);

		if (capture->reason_code == NULL)
			ids = lappend(ids, &capture->id);
	}
	captures_set_used(preparing->transform->target->id, ids);
	foreach(cell, preparing->captures)
	{
		const Capture *capture = lfirst(cell);

		if (capture->reason_code == NULL)
			capture_set_use(capture->id, preparing->transform->target->id, &capture->reads);
	}
	captures_sweep(false);
	return true;
}

static bool
is_registered(const Capture *capture)
{
	return capture->used && reads_contain(&capture->registered, &capture->reads) &&
		   reads_contain(&capture->reads, &capture->registered);
}

List *
captures_prepare(Transform *transform, bool late)
{
	Preparing preparing = {.transform = transform, .late = late};
	bool changed;
	ListCell *cell;

	/* the refresh will raise an error in the query again */
	if (guarded_run(find_inputs_work, &preparing) != NULL)
		return NIL;
	changed = read_captures(preparing.captures, transform->target->id);
	foreach(cell, preparing.captures)
	{
		Capture *capture = lfirst(cell);

		prepare(&preparing, capture);
		changed |= capture->reason_code == NULL && !is_registered(capture);
	}
	if (changed && !IsolationUsesXactSnapshot() && guarded_run(register_work, &preparing) != NULL)
		foreach(cell, preparing.captures)
			not_captured(lfirst(cell), "not_captured", NULL);
	return preparing.captures;
}

/* ---- removing captures ---- */

/*
 * Lock a table without waiting, because another session may hold it for long.
 * Returns false if the table is locked or does not exist.
 */
static bool
take_table(Oid relid)
{
	if (!ConditionalLockRelationOid(relid, AccessExclusiveLock))
		return false;
	if (get_rel_name(relid) != NULL)
		return true;
	UnlockRelationOid(relid, AccessExclusiveLock); /* the table does not exist any more */
	return false;
}

static void
drop_stray_triggers(void)
{
	CatalogRows *rows = captures_select_stray_triggers();

	for (uint64 i = 0; i < rows->count; i++)
	{
		ObjectAddress trigger;

		if (!take_table(catalog_oid(rows, i, 2)))
			continue;
		ObjectAddressSet(trigger, TriggerRelationId, catalog_oid(rows, i, 1));
		performDeletion(&trigger, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
		CommandCounterIncrement();
	}
}

static void
drop_stray_tables(void)
{
	CatalogRows *rows = captures_select_stray_tables();

	for (uint64 i = 0; i < rows->count; i++)
		if (take_table(catalog_oid(rows, i, 1)))
			capture_drop_table(catalog_oid(rows, i, 1));
}

static bool
sweep_work(void *argument)
{
	List *members = captures_delete_unused();
	ListCell *cell;

	if (members == NIL && !*(bool *) argument)
		return true;
	/* after the commit their triggers do nothing */
	foreach(cell, members)
		if (get_rel_name(lfirst_oid(cell)) != NULL)
			CacheInvalidateRelcacheByRelid(lfirst_oid(cell));
	CommandCounterIncrement();
	drop_stray_triggers();
	drop_stray_tables();
	return true;
}

void
captures_sweep(bool leftovers)
{
	/* leftovers do no harm; a later call removes them */
	(void) guarded_run(sweep_work, &leftovers);
}

/* ---- subscriptions ---- */

/*
 * SQL function subscription_changed(): event trigger on subscriptions.
 *
 * A native subscription changes tables without firing statement-level
 * triggers.  Each refresh notices a subscription that exists, but not one that
 * was created and dropped between two refreshes.  Therefore creating, altering
 * or dropping a subscription ends all incarnations.
 */
Datum
depipe_subscription_changed(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function must be called by an event trigger")));
	captures_renew_all("subscription");
	PG_RETURN_NULL();
}
