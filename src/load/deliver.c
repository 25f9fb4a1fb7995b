/*-------------------------------------------------------------------------
 *
 * deliver.c
 *		Delivery of the deltas of a batch to publish or to the park.
 *
 * All tables of a batch are published together, so that a child that arrives
 * with its parent in one source transaction is not an orphan.  A held table
 * that is admitted now takes older changes first: rows that wait for another
 * try, then parked deltas, then the new changes, folded into one delta.
 *
 * publish() counts into a separate run for each batch; the run of the task adds
 * them up.
 *
 *-------------------------------------------------------------------------
 */
#include "load/deliver.h"

#include "catalog/constraints.h"
#include "catalog/marks.h"
#include "core/identity.h"
#include "core/sqltext.h"
#include "delta/fill.h"
#include "load/take.h"
#include "publish/publish.h"
#include "utils/memutils.h"
#include "publish/park.h"
#include "publish/quarantine.h"

#define LOCKED_REASON "another session has locked the table"

/* Maximum number of rounds for rows that can be tried again because others were published. */
#define MAX_RETRY_ROUNDS 5

typedef struct Delivery
{
	LoadTask *task;
	PublishItem *item;
} Delivery;

/* ---- layouts ---- */

/* Under identity FULL the source sends every value, at a price. */
static char *
base_lost_hint(const LoadTask *task)
{
	if (task->projection == NULL || task->source == NULL || source_table_full(task->source))
		return task_resync_hint(task);
	return psprintf("At the source: ALTER TABLE %s REPLICA IDENTITY FULL; then %s",
					sql_table(task->source->schema_name, task->source->table_name),
					task_resync_hint(task));
}

/* The delta in the layout of the target; NULL if the table had to be stopped. */
static Delta *
projected(LoadTask *task, Delta *delta)
{
	Delta *into;
	char *reason = NULL;
	bool done;

	if (task->projection == NULL)
		return delta;
	into = take_target_delta(task);
	task->set->current = task;
	task->set->projecting = true;
	done = projection_apply(task->projection, task->target, delta, into, &reason);
	task->set->projecting = false;
	task->set->current = NULL;
	delta_destroy(delta);
	if (done)
		return into;
	delta_destroy(into);
	task_stop(task,
			  LOAD_NEEDS_RESYNC,
			  ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
			  reason,
			  base_lost_hint(task));
	return NULL;
}

/* A spilled delta is merged with operators of the key types, which may be user-defined. */
static void
finish_delta(LoadTask *task, Delta *delta)
{
	Identity identity;

	if (!delta_is_spilled(delta))
	{
		delta_finish(delta);
		return;
	}
	identity_become(task->target->owner, &identity);
	delta_finish(delta);
	identity_restore(&identity);
}

/* ---- making items ---- */

/* Returns NULL, and frees the delta, if the load was dropped. */
static Delivery *
make_delivery(LoadTask *task, Delta *delta, Admission admission, char *reason)
{
	Delivery *delivery = palloc0(sizeof(Delivery));
	PublishItem *item = palloc0(sizeof(PublishItem));
	Run *run = palloc0(sizeof(Run));

	run->id = task_run(task)->id;
	if (task->stopped)
	{
		delta_destroy(delta);
		return NULL;
	}
	run->target = task->target;
	run->started_by = task->run->started_by;
	run->started_at = task->run->started_at;
	run->status = RUN_RUNNING;
	item->target = task->target;
	item->delta = delta;
	item->run = run;
	item->admission = admission;
	item->reason = reason;
	item->park = true;
	item->lock_timeout_ms = task_lock_timeout(task->set);
	delivery->task = task;
	delivery->item = item;
	task->attempted = true;
	return delivery;
}

static List *
targets_of(List *tasks)
{
	List *targets = NIL;
	ListCell *cell;

	foreach(cell, tasks)
		targets = lappend(targets, ((LoadTask *) lfirst(cell))->target);
	return targets;
}

/* The waiting deltas of the table, followed by the new changes (NULL: none), as one delta. */
static Delta *
with_waiting(LoadTask *task, uint32 marks, Delta *delta)
{
	Delta *all;

	if ((marks & (MARK_PARKED | MARK_RETRIES)) == 0)
		return delta;
	all = delta_begin_fold(
		delta_create(task->target->relid, task->columns, task->key, task->set->batch));
	/* a delta that cannot be read back is a failure of this table */
	task->set->current = task;
	(void) quarantine_take_retries(task->target, all);
	park_take(task->target, all);
	task->set->current = NULL;
	if (delta != NULL)
	{
		delta_fold_onto(delta, all);
		delta_destroy(delta);
	}
	finish_delta(task, all);
	return all;
}

/* ---- waits after batches that were not published ---- */

static Admission
admit(LoadTask *task, uint32 marks, bool changed, char **reason)
{
	if (task->locked)
	{
		*reason = pstrdup(LOCKED_REASON);
		return ADMIT_NOT;
	}
	if (!take_is_waiting(task))
		return (marks & MARK_BREAKER) == 0 ? ADMIT : breaker_admit(task->target, changed, reason);
	*reason = pstrdup(task->retry_reason);
	return ADMIT_NOT;
}

static void
park_by_hand(LoadTask *task, Delta *delta)
{
	Run *run = task_run(task);
	const char *problem;

	run->rows_in += delta->changes;
	problem = park_append(task->target, delta);
	if (problem != NULL)
		task_stop_for_resync(task, problem);
	else
		task->blocked = true;
	delta_destroy(delta);
}

/* The key does not identify the source's rows, or the target was changed by hand. */
static void
stop_diverged(LoadTask *task, const char *reason)
{
	park_discard(task->target->id);
	task_stop_for_resync(task, reason);
}

/* Two changes of the batch cannot both belong to the row with this key. */
static bool
stop_contradicted(LoadTask *task, Delta *delta)
{
	if (!delta->contradicted)
		return false;
	delta_destroy(delta);
	stop_diverged(task, "the key does not identify one row of the source at all times");
	return true;
}

/* The delta of the batch for the table, in the table's columns; NULL if the table is stopped. */
static Delta *
finished_delta(LoadTask *task)
{
	Delta *delta = task->delta;

	task->delta = NULL;
	if (task->stopped)
	{
		delta_destroy(delta);
		return NULL;
	}
	finish_delta(task, delta);
	if (stop_contradicted(task, delta))
		return NULL;
	return projected(task, delta);
}

/* NULL if there is nothing to publish. marks: those of the target. */
static Delivery *
deliver_task(LoadTask *task, Delta *delta, uint32 marks)
{
	Admission admission;
	char *reason = NULL;

	if (task->paused)
	{
		park_by_hand(task, delta);
		return NULL;
	}
	admission = admit(task, marks, true, &reason);
	if (admission != ADMIT_NOT)
		delta = with_waiting(task, marks, delta);
	else
		breaker_note_change(task->target->id); /* a probe is due after its wait */
	return make_delivery(task, delta, admission, reason);
}

/* ---- results ---- */

static void
add_counts(Run *run, const Run *batch)
{
	run->rows_in += batch->rows_in;
	run->inserted += batch->inserted;
	run->updated += batch->updated;
	run->deleted += batch->deleted;
	run->quarantined += batch->quarantined;
	run->gate_ms += batch->gate_ms;
	run->apply_ms += batch->apply_ms;
}

static void
note_locked(LoadTask *task)
{
	task_count_failure(task, LOCKED_REASON);
	load_set_state(task->load, task->load->state, LOCKED_REASON, NULL);
}

static void
take_result(Delivery *delivery)
{
	LoadTask *task = delivery->task;
	PublishItem *item = delivery->item;
	Run *run = task->run;

	add_counts(run, item->run);
	if (run->strategy == NULL)
		run->strategy = "stream";
	switch (item->status)
	{
		case PUBLISH_DONE:
			task->published = true;
			task->blocked = false;
			task_count_success(task);
			run->status = RUN_RUNNING;
			run->reason = run->error_sqlstate = run->error_message = run->error_hint = NULL;
			load_set_state(task->load, LOAD_STREAMING, NULL, NULL);
			break;
		case PUBLISH_NOTHING:
			break;
		case PUBLISH_REJECTED:
			task_count_failure(task, item->reason);
			load_set_state(task->load, LOAD_STREAMING, item->reason, NULL);
			/* FALLTHROUGH */
		case PUBLISH_BROKEN:
		case PUBLISH_BLOCKED:
			if (task->locked && !take_is_waiting(task))
				note_locked(task);
			task->blocked = true;
			run->reason = task_keep(task, item->reason);
			break;
		case PUBLISH_ERROR:
			task_count_failure(task, item->reason);
			task->blocked = task->set->following;
			run->status = RUN_FAILED;
			run->reason = task_keep(task, item->reason);
			run->error_sqlstate = task_keep(task, item->run->error_sqlstate);
			run->error_message = task_keep(task, item->run->error_message);
			run->error_hint = task_keep(task, item->run->error_hint);
			load_set_state(task->load, LOAD_STREAMING, item->reason, run->error_hint);
			break;
		case PUBLISH_DIVERGED:
			stop_diverged(task, item->reason);
			break;
		case PUBLISH_BASE_LOST:
			park_discard(task->target->id);
			task_stop(task,
					  LOAD_NEEDS_RESYNC,
					  ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
					  item->reason != NULL ? item->reason : "a value cannot be recovered",
					  base_lost_hint(task));
			break;
	}
}

/* Publish; returns true if rows can be tried again. */
static bool
publish_deliveries(TaskSet *set, List *deliveries)
{
	List *items = NIL;
	ListCell *cell;
	bool retries;

	if (deliveries == NIL)
		return false;
	foreach(cell, deliveries)
		items = lappend(items, ((Delivery *) lfirst(cell))->item);
	retries = publish(items, NULL);
	foreach(cell, deliveries)
	{
		Delivery *delivery = lfirst(cell);

		take_result(delivery);
		delta_destroy(delivery->item->delta);
	}
	return retries;
}

static bool
can_take_waiting(const LoadTask *task)
{
	return !task->stopped && !task->paused && task->load->state == LOAD_STREAMING;
}

/* A probe without waiting deltas is decided by the gate of an empty delta. */
static Delivery *
empty_probe(LoadTask *task, uint32 marks)
{
	Delta *delta;
	Delivery *delivery;
	char *reason = NULL;

	if ((marks & MARK_BREAKER) == 0 || breaker_state(task->target->id) == BREAKER_CLOSED ||
		breaker_admit(task->target, task->set->by_hand, &reason) != ADMIT_PROBE || !take_lock(task))
		return NULL;
	delta = delta_begin_fold(
		delta_create(task->target->relid, task->columns, task->key, task->set->batch));
	delta_finish(delta);
	delivery = make_delivery(task, delta, ADMIT_PROBE, reason);
	if (delivery != NULL)
		delivery->item->always_gate = true;
	return delivery;
}

/* NULL if nothing waits, or if the wait is not over. */
static Delivery *
waiting_delivery(LoadTask *task, uint32 marks, bool again)
{
	Admission admission;
	char *reason = NULL;

	if (!can_take_waiting(task) || (task->attempted && !again))
		return NULL;
	if (task->set->by_hand)
		task->retry_at = 0;
	if ((marks & (again ? MARK_RETRIES : MARK_RETRIES | MARK_PARKED)) == 0)
		return again ? NULL : empty_probe(task, marks);
	task->locked = !take_is_waiting(task) && !take_lock(task);
	if (task->locked)
		note_locked(task);
	admission = admit(task, marks, task->set->by_hand, &reason);
	if (admission == ADMIT_NOT)
	{
		task->blocked = true;
		if (task->run != NULL)
			task->run->reason = task_keep(task, reason);
		return NULL;
	}
	return make_delivery(task, with_waiting(task, marks, NULL), admission, reason);
}

static void
set_pause_reason(LoadTask *task, const char *reason)
{
	if (task->pause_reason != NULL && reason != NULL && strcmp(task->pause_reason, reason) == 0)
		return;
	task->pause_reason = reason == NULL ? NULL : MemoryContextStrdup(task->set->context, reason);
}

/* A pause takes effect when it is committed. */
static void
take_pauses(TaskSet *set, List *pauses)
{
	ListCell *cell;
	ListCell *other;

	foreach(cell, set->tasks)
	{
		LoadTask *task = lfirst(cell);

		task->paused = false;
		foreach(other, pauses)
		{
			const Pause *pause = lfirst(other);

			if (pause->target_id != task->target->id)
				continue;
			task->paused = true;
			set_pause_reason(task, pause->reason);
		}
		task_look_at_owner(task);
	}
}

/* The marks of the targets of these tasks. The same statement reads all pauses. */
static uint32 *
look_at_targets(TaskSet *set, List *tasks)
{
	List *pauses;
	uint32 *marks = targets_marks_and_pauses(targets_of(tasks), &pauses);

	take_pauses(set, pauses);
	return marks;
}

/* Deliveries of waiting deltas, for tables without changes in the stream. */
static List *
waiting_deliveries(TaskSet *set, bool again)
{
	uint32 *all_marks = look_at_targets(set, set->tasks);
	List *deliveries = NIL;
	ListCell *cell;

	foreach(cell, set->tasks)
	{
		Delivery *delivery = waiting_delivery(lfirst(cell),
											  all_marks[foreach_current_index(cell)],
											  again);

		if (delivery != NULL)
			deliveries = lappend(deliveries, delivery);
	}
	return deliveries;
}

static void
publish_with_retries(TaskSet *set, List *deliveries)
{
	bool retries = publish_deliveries(set, deliveries);

	for (int round = 0; retries && round < MAX_RETRY_ROUNDS; round++)
		retries = publish_deliveries(set, waiting_deliveries(set, true));
}

/*
 * Deliveries of the deltas of the changed tables.  The tables are locked first,
 * if that needs no wait: then the marks of their targets need not be read
 * again.
 */
static List *
changed_deliveries(TaskSet *set)
{
	List *tasks = NIL;
	List *deltas = NIL;
	List *deliveries = NIL;
	uint32 *marks;
	int nlocked;
	ListCell *cell;

	foreach(cell, set->tasks)
	{
		LoadTask *task = lfirst(cell);
		Delta *delta = task->delta == NULL ? NULL : finished_delta(task);

		if (delta == NULL)
			continue;
		tasks = lappend(tasks, task);
		deltas = lappend(deltas, delta);
	}
	nlocked = publish_lock_free(targets_of(tasks));
	marks = look_at_targets(set, tasks);
	foreach(cell, tasks)
	{
		int n = foreach_current_index(cell);
		LoadTask *task = lfirst(cell);
		Delivery *delivery = deliver_task(task, list_nth(deltas, n), marks[n]);

		if (delivery != NULL)
		{
			delivery->item->marks = marks[n];
			delivery->item->marks_are_known = n < nlocked;
			deliveries = lappend(deliveries, delivery);
		}
		if (n < nlocked && (delivery == NULL || delivery->item->admission == ADMIT_NOT))
			publish_unlock(task->target);
	}
	return deliveries;
}

void
deliver(TaskSet *set)
{
	MemoryContext old = MemoryContextSwitchTo(set->batch);

	publish_with_retries(set, changed_deliveries(set));
	MemoryContextSwitchTo(old);
	task_end_batch(set);
}

void
deliver_waiting(TaskSet *set)
{
	MemoryContext old = MemoryContextSwitchTo(set->batch);

	publish_with_retries(set, waiting_deliveries(set, false));
	MemoryContextSwitchTo(old);
	task_end_batch(set);
}
