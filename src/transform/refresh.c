/*-------------------------------------------------------------------------
 *
 * refresh.c
 *		Bringing transforms up to date: one slice of the graph.
 *
 * A slice locks all its targets and the tables that they read, then takes one
 * snapshot, S1.  All queries and comparisons of the slice run under S1, so
 * that its targets agree with each other.  Later nodes of the slice see the
 * rows written by earlier ones: statements use S1 with the current command id.
 * Inputs are locked (ACCESS SHARE) before S1 is taken, because snapshots do
 * not apply to TRUNCATE and rewrites of a table as they do to other changes.
 *
 * The delta of each node is computed and published in a subtransaction, so
 * that an error in one query fails only that node.  A node that fails or is
 * held back blocks its readers, but no other node.
 *
 * In REPEATABLE READ and SERIALIZABLE, S1 is the transaction's own snapshot,
 * which may be older than the locks.  The state row of the node is therefore
 * locked first.  If another refresh was committed in between, this raises a
 * serialization failure, so that its changes are not applied twice.  An input
 * that was truncated, rewritten or given other partitions in between raises
 * the same failure.
 *
 * A backfill computes one range of a target under S1.  If changes of the inputs
 * are pending, its rows then contain some of them, and the other rows do not.
 * The changes must not be applied a second time.  Therefore the pending changes
 * are published first, as a refresh under the same S1, which moves the frontier
 * to S1.  If this is not possible, the frontier is marked as mixed: the next
 * refresh then compares the whole table with the query.
 *
 *-------------------------------------------------------------------------
 */
#include "transform/refresh.h"

#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/published.h"
#include "catalog/transforms.h"
#include "core/covered.h"
#include "core/guarded.h"
#include "catalog/loads.h"
#include "core/identity.h"
#include "catalog/owner.h"
#include "core/sqltext.h"
#include "executor/spi.h"
#include "portability/instr_time.h"
#include "publish/publish.h"
#include "quality/incident.h"
#include "quality/time_checks.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "strategy/aggregate.h"
#include "query/binding.h"
#include "capture/capture.h"
#include "capture/capture_prune.h"
#include "strategy/choose.h"
#include "strategy/nothing.h"
#include "query/dag.h"
#include "capture/frontier.h"
#include "query/idle.h"
#include "query/table.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "publish/quarantine.h"

/*
 * Longest wait for locks that other sessions hold on a target (VACUUM, ALTER
 * TABLE), unless lock_timeout is set.
 */
#define LONGEST_WAIT_MS 10000

/* SQLSTATE program_limit_exceeded */
#define KEY_TOO_LONG "54000"

/* A target that could not be locked in time, or whose inputs could not */
typedef struct LockFailure
{
	int32 target_id;
	bool of_target;
	ErrorData *error;
} LockFailure;

/* Captures of the inputs of one transform */
typedef struct Prepared
{
	int32 target_id;
	List *captures;
} Prepared;

typedef struct Slice
{
	Dag *dag;
	List *held;          /* targets (ids) that are locked by another run */
	List *lock_failures; /* of LockFailure */
	List *prepared;      /* of Prepared */
	bool only_published; /* capture inputs only for transforms that were published before */
	Snapshot snapshot;
	TimestampTz taken_at;     /* not later than the snapshot */
	CatalogRows *loads_as_of; /* times through which loads were complete, or earlier */
} Slice;

/* One node that is being refreshed */
typedef struct SliceNode
{
	Slice *slice;
	Transform *transform;
	Run *run;
	Admission admission;
	Choice choice;
	PublishStatus outcome;
	bool quarantine;          /* rows were in quarantine before */
	bool whole;               /* the outcome covers the whole target */
	bool key_too_long;        /* a key is too long for an index entry */
	bool analysing;           /* the query is analysed and compared with the table */
	bool broken;              /* inputs are gone, or have other columns than the query needs */
	bool diverged;            /* the target lacks rows that the delta deletes */
	HiddenState *hidden;      /* changes of the numbers of groups; NULL if there are none */
	StoredFrontier *frontier; /* the frontier of the target after the delta is published */
	char *seen;               /* the inputs of the delta; NULL if not known */
	bool reads_clock;         /* the query was evaluated as of the start of the transaction */
	const Range *range;       /* compute only this range; NULL: the whole target */
	bool mixes;               /* afterwards the range is newer than the other rows */
	bool catches_up;          /* publish pending changes, or do nothing */
} SliceNode;

/* ---- before the snapshot ---- */

static bool
lock_target_work(void *argument)
{
	(void) publish_lock_target(argument); /* a missing table is reported later */
	return true;
}

/* Lock the inputs of a transform and their partitions.  Missing inputs are reported later. */
static bool
lock_inputs_work(void *argument)
{
	ListCell *cell;

	foreach(cell, ((Transform *) argument)->inputs)
	{
		Oid relid = transform_input_relid(lfirst(cell));

		if (!OidIsValid(relid))
			continue;
		LockRelationOid(relid, AccessShareLock);
		(void) find_all_inheritors(relid, AccessShareLock, NULL);
	}
	return true;
}

static void
note_lock_failure(Slice *slice, int32 target_id, bool of_target, ErrorData *error)
{
	LockFailure *failure;

	if (error == NULL)
		return;
	failure = palloc(sizeof(LockFailure));
	failure->target_id = target_id;
	failure->of_target = of_target;
	failure->error = error;
	slice->lock_failures = lappend(slice->lock_failures, failure);
}

/*
 * Lock the targets.  A target that another run has taken (run_take_target) is
 * skipped.  Other locks on its table are waited for.
 */
static void
lock_targets(Slice *slice, List *targets)
{
	ListCell *cell;

	foreach(cell, publish_in_order(targets))
	{
		Target *target = lfirst(cell);

		if (!run_take_target(target->id, false))
			slice->held = lappend_int(slice->held, target->id);
		else
			note_lock_failure(slice,
							  target->id,
							  true,
							  guarded_run_waiting(lock_target_work,
												  target,
												  LockTimeout > 0 ? LockTimeout : LONGEST_WAIT_MS));
	}
}

static void
lock_inputs(Slice *slice, List *transforms)
{
	ListCell *cell;

	foreach(cell, transforms)
		note_lock_failure(slice,
						  ((Transform *) lfirst(cell))->target->id,
						  false,
						  guarded_run(lock_inputs_work, lfirst(cell)));
}

/* Returns the failure to lock the target or its inputs, or NULL if they are locked. */
static const LockFailure *
lock_failure(const Slice *slice, int32 target_id)
{
	ListCell *cell;

	foreach(cell, slice->lock_failures)
	{
		const LockFailure *failure = lfirst(cell);

		if (failure->target_id == target_id)
			return failure;
	}
	return NULL;
}

static void
prepare_captures(Slice *slice, List *transforms)
{
	ListCell *cell;

	foreach(cell, transforms)
	{
		Transform *transform = lfirst(cell);
		int32 id = transform->target->id;
		Prepared *prepared;

		if (list_member_int(slice->held, id) || lock_failure(slice, id) != NULL ||
			(slice->only_published && !transform->populated))
			continue;
		prepared = palloc(sizeof(Prepared));
		prepared->target_id = id;
		prepared->captures = captures_prepare(transform, false);
		slice->prepared = lappend(slice->prepared, prepared);
	}
}

static List *
prepared_captures(const Slice *slice, int32 target_id)
{
	ListCell *cell;

	foreach(cell, slice->prepared)
		if (((Prepared *) lfirst(cell))->target_id == target_id)
			return ((Prepared *) lfirst(cell))->captures;
	return NIL;
}

static List *
target_ids(List *targets)
{
	List *ids = NIL;
	ListCell *cell;

	foreach(cell, targets)
		ids = lappend_int(ids, ((Target *) lfirst(cell))->id);
	return ids;
}

static void
begin_slice(Slice *slice, List *targets, List *transforms)
{
	slice->dag = dag_load();
	lock_targets(slice, targets);
	lock_inputs(slice, transforms);
	prepare_captures(slice, transforms);
	/*
	 * The times that a worker reports for its loads may be later than the
	 * transaction's own snapshot.
	 */
	slice->loads_as_of = loads_as_of(!IsolationUsesXactSnapshot());
	slice->taken_at = IsolationUsesXactSnapshot() ? GetCurrentTransactionStartTimestamp()
												  : GetCurrentTimestamp();
	slice->snapshot = RegisterSnapshot(GetTransactionSnapshot());
}

/* ---- admission ---- */

/* Set the run aside with a reason.  Returns true. */
static bool
set_aside(Run *run, RunStatus status, char *reason)
{
	run->status = status;
	run->reason = reason;
	return true;
}

static bool
table_is_missing(SliceNode *node)
{
	Target *target = node->transform->target;
	ListCell *cell;

	if (!OidIsValid(target->relid))
	{
		node->run->error_sqlstate = pstrdup(unpack_sql_state(ERRCODE_UNDEFINED_TABLE));
		node->run->error_message = target_why_missing(target);
		return set_aside(node->run, RUN_FAILED, node->run->error_message);
	}
	foreach(cell, node->transform->inputs)
	{
		TransformInput *input = lfirst(cell);

		/* a missing target blocks by itself */
		if (input->direct && !OidIsValid(transform_input_relid(input)))
		{
			node->broken = input->target_id == 0;
			return set_aside(node->run,
							 RUN_BLOCKED,
							 psprintf("input %s does not exist",
									  sql_table(input->schema_name, input->table_name)));
		}
	}
	return false;
}

static bool
is_blocked_upstream(SliceNode *node)
{
	char *path;
	char *reason;

	if (!dag_find_block(node->slice->dag, node->transform->target->id, &path, &reason))
		return false;
	return set_aside(node->run, RUN_BLOCKED, psprintf("%s: %s", path, reason));
}

static bool
waits_for(SliceNode *node, int32 input_id, const char *why)
{
	return set_aside(
		node->run,
		RUN_BLOCKED,
		psprintf("%s: %s", dag_path(node->slice->dag, input_id, node->transform->target->id), why));
}

/*
 * Returns true if the node has to wait because of on_incomplete or on_stale.
 * Both apply to inputs at any depth.
 */
static bool
waits_for_inputs(SliceNode *node)
{
	Transform *transform = node->transform;
	bool complete = strcmp(transform->on_incomplete, "block") == 0;
	bool fresh = strcmp(transform->on_stale, "block") == 0;
	ListCell *cell;

	if (!complete && !fresh)
		return false;
	foreach(cell, dag_upstream_ids(node->slice->dag, transform->target->id))
	{
		int32 id = lfirst_int(cell);
		char *reason;

		if (complete && quarantine_lacks_rows(id))
			return waits_for(node, id, "incomplete: it has rows in quarantine");
		if (fresh && time_checks_fail(id, &reason))
			return waits_for(node, id, psprintf("stale: %s", reason));
	}
	return false;
}

static bool
is_held_back(SliceNode *node)
{
	Target *target = node->transform->target;
	char *reason = NULL;

	if (list_member_int(node->slice->held, target->id))
		return set_aside(node->run, RUN_SKIPPED, pstrdup("another run holds the target"));
	if (target_is_paused(target->id, &reason))
		return set_aside(node->run,
						 RUN_BLOCKED,
						 reason == NULL ? pstrdup("paused") : psprintf("paused: %s", reason));
	if ((reason = owner_problem(target->owner, NULL)) != NULL)
		return set_aside(node->run, RUN_BLOCKED, psprintf(OWNERLESS ": %s", reason));
	if (table_is_missing(node) || is_blocked_upstream(node) || waits_for_inputs(node))
		return true;
	node->admission = breaker_admit(target, true, &reason);
	if (node->admission == ADMIT_NOT)
		return set_aside(node->run, RUN_BLOCKED, reason);
	return false;
}

/* ---- computing and publishing the delta ---- */

/*
 * Raises an error if S1, which is active, does not see the inputs and the
 * target in their current state.
 */
static void
check_covered(const Transform *transform, const Shape *shape)
{
	ListCell *cell;

	foreach(cell, shape->inputs)
		covered_check(((ShapeInput *) lfirst(cell))->relid, GetActiveSnapshot());
	covered_check(transform->target->relid, GetActiveSnapshot());
}

/*
 * Returns the inputs that the transform was computed from, as a later refresh
 * compares them, or NULL.  It has none if it reads an ordinary table, whose
 * changes are not counted.
 */
static char *
inputs_seen(const Transform *transform)
{
	ListCell *cell;

	foreach(cell, transform->inputs)
	{
		Oid relid = transform_input_relid(lfirst(cell));

		if (((TransformInput *) lfirst(cell))->target_id == 0 && OidIsValid(relid) &&
			get_rel_relkind(relid) == RELKIND_RELATION && !get_rel_relispartition(relid))
			return NULL;
	}
	return transform_inputs_seen(transform->target->id);
}

/*
 * Returns true if the rows outside of the range may be older than S1: changes
 * of the inputs are pending or not known.
 */
static bool
has_pending_changes(const SliceNode *node, const Shape *shape, List *changes)
{
	const Transform *transform = node->transform;
	ListCell *cell;

	if (transform->frontier == NULL || changes == NIL || changes_first_unknown(changes) != NULL)
		return true;
	if ((shape->volatility.is_stable || shape->volatility.reads_clock) &&
		transform->frontier->taken_at != node->frontier->taken_at)
		return true;
	foreach(cell, changes)
		if (((InputChanges *) lfirst(cell))->count > 0)
			return true;
	return false;
}

/*
 * Make the delta of a range.  If it contains anything, stored numbers of groups
 * do not belong to the rows of the target any more.  A row in quarantine may
 * have left the range for one that is not computed, so the next refresh compares.
 */
static Delta *
make_range(SliceNode *node, Shape *shape, List *changes)
{
	Delta *delta = range_make_delta(node->transform, shape, node->range, CurrentMemoryContext);

	node->run->strategy = "range";
	node->mixes = has_pending_changes(node, shape, changes) ||
				  node->transform->frontier->hidden != 0 ||
				  quarantine_count(node->transform->target->id) > 0;
	return delta;
}

/* Make the delta with the strategy of the lowest cost.  Returns NULL if there is nothing to do. */
static Delta *
make_whole(SliceNode *node, Shape *shape, List *changes)
{
	StrategyContext context;
	Delta *delta = NULL;

	strategy_begin(&context, node->transform, shape, node->slice->snapshot, node->frontier);
	context.changes = changes;
	context.distrusted = node->diverged;
	strategy_choose(&context, &node->choice);
	if (!node->catches_up ||
		(!node->choice.chosen->whole && node->choice.chosen != &strategy_nothing))
	{
		delta = strategy_make_delta(&context, &node->choice);
		node->run->strategy = node->choice.chosen->name;
		node->hidden = aggregate_hidden(&context, node->choice.chosen, node->choice.offer->cost);
	}
	node->quarantine = delta != NULL && context.quarantine;
	strategies_end(&context);
	return delta;
}

/*
 * Compute the delta as the owner under S1.  SPI is connected.  Returns NULL if
 * pending changes were to be published, and there are none or they are not
 * known.
 */
static Delta *
make_delta(SliceNode *node)
{
	Transform *transform = node->transform;
	List *changes;
	Shape *shape;
	Identity identity;
	Delta *delta;

	CommandCounterIncrement();
	PushCopiedSnapshot(node->slice->snapshot);
	UpdateActiveSnapshotCommandId();
	node->frontier = frontier_take();
	node->seen = inputs_seen(transform);
	identity_become_with(transform->target->owner, transform->target->settings, &identity);
	node->analysing = true;
	shape = transform_analyse(transform);
	node->reads_clock = shape->volatility.reads_clock;
	check_covered(transform, shape);
	table_check_columns(transform, shape);
	node->analysing = false;
	frontier_describe(node->frontier, transform, shape);
	changes = changes_read(transform,
						   prepared_captures(node->slice, transform->target->id),
						   node->frontier);
	delta = node->range != NULL ? make_range(node, shape, changes)
								: make_whole(node, shape, changes);
	changes_release(changes);
	identity_restore(&identity);
	PopActiveSnapshot();
	if (transform_rebind(transform, shape) || !idle_query_is_pure(shape))
		node->seen = NULL;
	return delta;
}

static void
publish_delta(SliceNode *node, Delta *delta)
{
	PublishItem item = {.target = node->transform->target,
						.delta = delta,
						.run = node->run,
						.admission = node->admission,
						.park = false,
						.settled = true,
						.hidden = node->hidden,
						.always_gate = node->admission == ADMIT_PROBE ||
									   strcmp(node->transform->state, "rejected") == 0 ||
									   target_has_trouble(node->transform->target->id)};

	(void) publish(list_make1(&item), node->slice->snapshot);
	node->outcome = item.status;
	hidden_release(node->hidden);
	node->hidden = NULL;
	if (node->run->reason == NULL && item.reason != NULL)
		node->run->reason = item.reason;
	if (item.delta != NULL)
		delta_destroy(item.delta);
}

static void
refuse_other_definition(const Target *target)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("rows of %s belong to another definition", target->display),
			 errhint("Refresh it as a whole first: CALL depipe.run(%s).",
					 sql_literal(target->display))));
}

/* Returns the number of rows that a target without a key must lose, or -1 if it is not known. */
static int64
copies_gone(const SliceNode *node, Delta *delta)
{
	TupleTableSlot *slot;
	int64 copies = 0;

	if (delta->nkeys > 0 || node->range != NULL || node->choice.chosen->whole)
		return -1;
	slot = MakeSingleTupleTableSlot(delta->desc, &TTSOpsMinimalTuple);
	delta_rewind(delta);
	while (delta_next(delta, slot))
	{
		bool isnull;
		int64 weight = DatumGetInt64(slot_getattr(slot, DELTA_WEIGHT, &isnull));

		copies -= Min(weight, 0);
	}
	ExecDropSingleTupleTableSlot(slot);
	return copies;
}

/*
 * Returns true if a target without a key did not contain all rows that the
 * delta deletes.  Then its rows are not those of the last refresh.
 */
static bool
has_diverged(const SliceNode *node, int64 gone)
{
	return node->outcome == PUBLISH_DONE && gone >= 0 && node->run->deleted != gone;
}

static bool
make_and_publish(void *argument)
{
	SliceNode *node = argument;
	Target *target = node->transform->target;
	MemoryContext context = CurrentMemoryContext;
	instr_time started;
	instr_time elapsed;
	Delta *delta;
	int64 gone;

	transform_lock_state(target->id);
	table_ensure_guard(target);
	/* without its unique index, the table may contain duplicate keys */
	if (!table_has_key(target, node->transform->key))
		node->transform->rebuild = true;
	if (node->range != NULL && node->transform->rebuild)
		refuse_other_definition(target);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	MemoryContextSwitchTo(context);
	INSTR_TIME_SET_CURRENT(started);
	delta = make_delta(node);
	INSTR_TIME_SET_CURRENT(elapsed);
	INSTR_TIME_SUBTRACT(elapsed, started);
	node->run->read_ms = INSTR_TIME_GET_MILLISEC(elapsed);
	SPI_finish();
	if (delta == NULL)
	{
		node->run->id = node->catches_up ? 0 : node->run->id;
		return false;
	}
	if (node->catches_up)
		run_insert_or_fail(node->run);
	gone = copies_gone(node, delta);
	publish_delta(node, delta);
	node->whole = node->range == NULL && node->choice.chosen->whole;
	/* roll back, and repeat with another index */
	node->key_too_long = node->outcome == PUBLISH_ERROR &&
						 strcmp(node->run->error_sqlstate, KEY_TOO_LONG) == 0 &&
						 table_key_is_plain(target, node->transform->key);
	if (node->key_too_long)
		return false;
	/* roll back, and compare the table with the query */
	node->diverged = has_diverged(node, gone);
	if (node->diverged)
		return false;
	if (node->outcome == PUBLISH_DONE || node->outcome == PUBLISH_NOTHING)
		table_make_key(target, node->transform->key);
	return true;
}

static void
begin_again(SliceNode *node)
{
	Run *run = node->run;

	run->status = RUN_RUNNING;
	run->reason = run->error_sqlstate = run->error_message = run->error_hint = NULL;
	run->error_detail = NULL;
	run->rows_in = run->inserted = run->updated = run->deleted = run->quarantined = 0;
	node->outcome = PUBLISH_BLOCKED;
	if (node->catches_up)
		run->id = 0; /* its row was rolled back */
}

static bool
publish_compared(void *argument)
{
	begin_again(argument);
	return make_and_publish(argument);
}

static bool
publish_with_hashed_key(void *argument)
{
	SliceNode *node = argument;

	begin_again(node);
	table_hash_key(node->transform->target, node->transform->key);
	CommandCounterIncrement();
	return make_and_publish(node);
}

/* ---- results ---- */

static TimestampTz
load_as_of(const Slice *slice, int32 target_id)
{
	for (uint64 i = 0; i < slice->loads_as_of->count; i++)
		if (catalog_int4(slice->loads_as_of, i, 1) == target_id)
			return catalog_time(slice->loads_as_of, i, 2);
	return 0;
}

/*
 * Returns the time through which the target is complete: the earliest of those
 * of its inputs, or 0 if one is not known.
 */
static TimestampTz
inputs_as_of(const Slice *slice, const Transform *transform)
{
	TimestampTz oldest = slice->taken_at;
	ListCell *cell;

	foreach(cell, transform->inputs)
	{
		TransformInput *input = lfirst(cell);
		TimestampTz as_of;
		DagNode *read = input->target_id == 0 ? NULL : dag_node(slice->dag, input->target_id);

		/* ordinary tables are complete as of the snapshot */
		if (read == NULL || read->kind == TARGET_TABLE)
			continue;
		as_of = read->kind == TARGET_LOAD ? load_as_of(slice, read->id)
										  : target_data_as_of(read->id);
		if (as_of == 0)
			return 0;
		oldest = Min(oldest, as_of);
	}
	return oldest;
}

/*
 * Returns the time for the target.  If the query reads the clock, it is not
 * later than the start of the transaction.
 */
static TimestampTz
data_as_of(const SliceNode *node)
{
	TimestampTz oldest = inputs_as_of(node->slice, node->transform);

	return node->reads_clock ? Min(oldest, node->frontier->taken_at) : oldest;
}

static void
record_published(SliceNode *node)
{
	int32 id = node->transform->target->id;

	if (node->run->status == RUN_RUNNING)
		node->run->status = node->outcome == PUBLISH_NOTHING ? RUN_NOTHING : RUN_SUCCEEDED;
	if (node->run->reason == NULL && !node->choice.offer->routine)
		node->run->reason = pstrdup(node->choice.offer->reason_code);
	/* the delta contained all these rows, so rows quarantined by earlier runs are obsolete */
	if ((node->whole || node->quarantine) && transform_forget_quarantine(id, node->run->id) > 0)
		incidents_settle(node->transform->target);
	target_set_data_as_of(id, data_as_of(node));
	transform_set_state(id, "ok", NULL, true);
	transform_set_covered(id, node->frontier, node->seen);
	dag_set_cause(node->slice->dag, id, NULL);
}

static void
record_not_published(SliceNode *node)
{
	Target *target = node->transform->target;
	const char *state = "blocked";

	if (node->run->status == RUN_RUNNING)
		node->run->status = RUN_FAILED;
	if (node->run->status == RUN_SKIPPED)
		return;
	if (node->broken)
		state = "broken";
	else if (node->run->status == RUN_FAILED)
		state = "failed";
	else if (node->outcome == PUBLISH_REJECTED)
		state = "rejected";
	transform_set_state(target->id, state, node->run->reason, false);
	if (strcmp(state, "blocked") != 0 || node->outcome == PUBLISH_BROKEN)
		dag_set_cause(node->slice->dag,
					  target->id,
					  node->run->reason == NULL ? state
												: psprintf("%s: %s", state, node->run->reason));
}

/*
 * Make and publish the delta of an admitted node.  Sets the outcome, and the
 * error of the run if there was one.
 */
static void
publish_node(SliceNode *node)
{
	Target *target = node->transform->target;
	Run *run = node->run;
	const LockFailure *failure = lock_failure(node->slice, target->id);
	ErrorData *error = failure != NULL ? failure->error : guarded_run(make_and_publish, node);

	if (error == NULL && node->diverged)
		error = guarded_run(publish_compared, node);
	if (error == NULL && node->key_too_long)
		error = guarded_run(publish_with_hashed_key, node);
	if (error != NULL)
	{
		run_set_error(run, error);
		node->outcome = PUBLISH_ERROR;
		node->broken = node->analysing && binding_error_breaks(error->sqlerrcode);
	}
	if (failure != NULL && failure->of_target && error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE)
		run->reason = run->error_message = psprintf(
			"could not lock %s in time: another session holds a lock",
			target->display);
}

static bool
is_published(const SliceNode *node)
{
	return node->outcome == PUBLISH_DONE || node->outcome == PUBLISH_NOTHING;
}

static void
record(SliceNode *node)
{
	if (is_published(node))
		record_published(node);
	else
		record_not_published(node);
	run_finish(node->run);
}

static void
refresh_node(Slice *slice, Target *target, Run *run)
{
	SliceNode node = {.slice = slice, .run = run, .outcome = PUBLISH_BLOCKED};

	/*
	 * The row of the run locks that of the target.  A transaction that renames
	 * the table updates the latter when it commits, and holds the lock on the
	 * table that this refresh has waited for until now.
	 */
	node.transform = transform_find(target->id);
	if (node.transform == NULL || !run_insert(run))
	{
		run->finished_at = GetCurrentTimestamp();
		(void) set_aside(run, RUN_SKIPPED, pstrdup("the transform was dropped"));
		return;
	}
	if (!is_held_back(&node))
		publish_node(&node);
	record(&node);
}

/* ---- ranges ---- */

/*
 * Publish the pending changes of the inputs, if they are known and few enough.
 * Leaves no run if there are none.
 */
static void
catch_up(Slice *slice, Target *target)
{
	Run *run = run_create(target, "backfill");
	SliceNode node = {.slice = slice, .run = run, .outcome = PUBLISH_BLOCKED, .catches_up = true};

	node.transform = transform_find(target->id);
	if (node.transform == NULL || !node.transform->populated || is_held_back(&node))
		return;
	publish_node(&node);
	if (node.outcome == PUBLISH_BLOCKED && run->id == 0)
		return;
	if (node.outcome == PUBLISH_ERROR)
		run->id = 0; /* the row was rolled back */
	record(&node);
	CommandCounterIncrement();
}

/* A backfill is no probe of a breaker: it does not contain the batch that was held. */
static bool
is_range_held_back(SliceNode *node)
{
	char *reason;

	if (breaker_blocks(node->transform->target->id, &reason))
		return set_aside(node->run, RUN_BLOCKED, reason);
	return is_held_back(node);
}

static void
record_range(SliceNode *node)
{
	int32 id = node->transform->target->id;
	Run *run = node->run;

	if (is_published(node))
		run->status = node->outcome == PUBLISH_NOTHING ? RUN_NOTHING : RUN_SUCCEEDED;
	else if (run->status == RUN_RUNNING)
		run->status = RUN_FAILED;
	if (node->outcome == PUBLISH_DONE && node->mixes)
		transform_mix(id);
	/* the query has returned the rows of the range anew */
	if (is_published(node) && quarantine_count(id) > 0)
		transform_forget_quarantined_range(id,
										   run->id,
										   node->range->column,
										   node->range->type,
										   node->range->since,
										   node->range->before);
	run_finish(run);
}

static void
refresh_range(Slice *slice, Target *target, Run *run, const Range *range)
{
	SliceNode node = {.slice = slice, .run = run, .outcome = PUBLISH_BLOCKED, .range = range};

	node.transform = transform_find(target->id);
	if (node.transform == NULL)
	{
		(void) set_aside(run, RUN_SKIPPED, pstrdup("the transform was dropped"));
		return;
	}
	if (!is_range_held_back(&node))
	{
		catch_up(slice, target);
		/* the frontier has moved, and the breaker may have opened */
		node.transform = transform_find(target->id);
		if (!is_range_held_back(&node))
			publish_node(&node);
	}
	record_range(&node);
}

/* ---- one node after the other ---- */

/*
 * Refresh a node in a memory context of its own, because there may be many
 * transforms.  The texts of the run are copied, because they outlive that
 * context.
 */
static void
refresh_and_forget(Slice *slice, Target *target, Run *run)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "depipe transform",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);

	refresh_node(slice, target, run);
	MemoryContextSwitchTo(old);
	run_copy_texts(run);
	MemoryContextDelete(context);
}

/*
 * The times of loads are read before the inputs are examined, so that they are
 * not later than the state that is found.
 */
bool
transform_rest(Target *target)
{
	Slice slice = {.dag = dag_load(),
				   .loads_as_of = loads_as_of(!IsolationUsesXactSnapshot()),
				   .taken_at = GetCurrentTimestamp()};
	Transform *transform = transform_find(target->id);
	char *path;
	char *reason;

	if (transform == NULL || !OidIsValid(target->relid) ||
		dag_find_block(slice.dag, target->id, &path, &reason) || !transform_is_settled(target->id))
		return false;
	target_set_data_as_of(target->id, inputs_as_of(&slice, transform));
	return true;
}

/*
 * Capture large inputs now: before the refresh, this would have blocked their
 * writers until its end.
 */
static void
prepare_late(const Slice *slice, List *transforms)
{
	ListCell *cell;
	ListCell *other;

	foreach(cell, transforms)
		foreach(other, prepared_captures(slice, ((Transform *) lfirst(cell))->target->id))
			if (((Capture *) lfirst(other))->late)
			{
				(void) captures_prepare(lfirst(cell), true);
				break;
			}
}

/* Prune captures, but not in a transaction block, where the locks would last until its end. */
static void
prune_captures(const Slice *slice)
{
	ListCell *cell;

	if (IsTransactionBlock())
		return;
	foreach(cell, slice->prepared)
		captures_prune(((Prepared *) lfirst(cell))->captures);
}

void
transform_refresh(List *targets, List *runs)
{
	Slice slice = {0};
	List *transforms = NIL;
	ListCell *cell;
	ListCell *other;

	foreach(cell, targets)
	{
		Transform *transform = transform_find(((Target *) lfirst(cell))->id);

		if (transform != NULL)
			transforms = lappend(transforms, transform);
	}
	begin_slice(&slice, targets, transforms);
	foreach(cell, dag_order(slice.dag, target_ids(targets)))
	{
		ListCell *run_cell;

		forboth(other, targets, run_cell, runs)
		{
			Target *target = lfirst(other);

			if (target->id == lfirst_int(cell))
				refresh_and_forget(&slice, target, lfirst(run_cell));
		}
	}
	UnregisterSnapshot(slice.snapshot);
	prepare_late(&slice, transforms);
	prune_captures(&slice);
}

void
transform_refresh_range(Target *target, Run *run, const Range *range)
{
	Slice slice = {.only_published = true};
	Transform *transform = transform_find(target->id);
	List *transforms = transform == NULL ? NIL : list_make1(transform);

	begin_slice(&slice, list_make1(target), transforms);
	refresh_range(&slice, target, run, range);
	UnregisterSnapshot(slice.snapshot);
	prune_captures(&slice);
}
