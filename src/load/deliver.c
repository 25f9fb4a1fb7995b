/*-------------------------------------------------------------------------
 *
 * deliver.c
 *		Delivery of the deltas of a batch to publish or to the park.
 *
 * All tables of a batch are published at once, so that a parent and its child
 * that arrive in one source transaction are no orphan.  A table that was held
 * and is admitted now takes older changes first; see waiting.c.
 *
 *-------------------------------------------------------------------------
 */
#include "load/deliver.h"

#include "catalog/constraints.h"
#include "catalog/marks.h"
#include "delta/fill.h"
#include "load/delivery.h"
#include "load/take.h"
#include "load/waiting.h"
#include "publish/park.h"
#include "utils/memutils.h"

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
			  delivery_base_lost_hint(task));
	return NULL;
}

/* Park the changes; false: that cannot be, and the table is stopped. */
static bool
park_behind(LoadTask *task, Delta *delta)
{
	Run *run = task_run(task);
	const char *problem;

	run->rows_in += delta->changes;
	problem = park_append(task->target, delta);
	if (problem != NULL)
		task_stop_for_resync(task, problem);
	delta_destroy(delta);
	return problem == NULL;
}

/* Two changes of the batch cannot both belong to the row with this key. */
static bool
stop_contradicted(LoadTask *task, Delta *delta)
{
	if (!delta->contradicted)
		return false;
	delta_destroy(delta);
	delivery_stop_diverged(task, "the key does not identify one row of the source at all times");
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
	delivery_finish_delta(task, delta);
	if (stop_contradicted(task, delta))
		return NULL;
	return projected(task, delta);
}

/* ---- the changed tables ---- */

/* A table that the batch has changed. */
typedef struct Changed
{
	LoadTask *task;
	Delta *delta;
	uint32 marks; /* of its target */
	Admission admission;
	char *reason;
} Changed;

static void
admit(Changed *changed)
{
	if (changed->task->paused)
		return;
	changed->admission = delivery_admit(changed->task, changed->marks, true, &changed->reason);
	if (changed->admission == ADMIT_NOT)
		breaker_note_change(changed->task->target->id); /* a probe is worth while after its wait */
}

/* May it be published, and is there something in its park? */
static bool
comes_behind_park(const Changed *changed)
{
	return !changed->task->paused && changed->admission != ADMIT_NOT &&
		   (changed->marks & MARK_PARKED) != 0;
}

/* Is something parked for a table that the batch has not changed? */
static bool
others_are_parked(TaskSet *set, List *all)
{
	uint32 *marks = targets_marks(delivery_targets(set->tasks));
	int nparked = 0;
	ListCell *cell;

	foreach(cell, set->tasks)
	{
		const LoadTask *task = lfirst(cell);

		if (!task->paused && (marks[foreach_current_index(cell)] & MARK_PARKED) != 0)
			nparked++;
	}
	foreach(cell, all)
	{
		const Changed *changed = lfirst(cell);

		if (!changed->task->paused && (changed->marks & MARK_PARKED) != 0)
			nparked--;
	}
	return nparked > 0;
}

/*
 * Parked tables move together.  So none of them is published to here if there
 * are others, or if the park of one is larger than what is published at once.
 */
static bool
parks_wait(TaskSet *set, List *all)
{
	bool behind = false;
	ListCell *cell;

	foreach(cell, all)
	{
		const Changed *changed = lfirst(cell);

		if (!comes_behind_park(changed))
			continue;
		behind = true;
		if (set->more || waiting_comes_first(changed->task))
			return true;
	}
	return behind && others_are_parked(set, all);
}

/* NULL when there is nothing to publish. */
static Delivery *
deliver_changed(Changed *changed, bool parks_wait)
{
	LoadTask *task = changed->task;
	Delta *delta = changed->delta;

	if (task->paused)
	{
		if (park_behind(task, delta))
			task->blocked = true;
		return NULL;
	}
	if (parks_wait && comes_behind_park(changed))
	{
		task->rest = task->set->more = park_behind(task, delta);
		return NULL;
	}
	if (changed->admission != ADMIT_NOT)
		delta = waiting_fold(task, changed->marks, delta);
	return delivery_make(task, delta, changed->admission, changed->reason);
}

/* The tables that the batch has changed, with their finished deltas. */
static List *
changed_tables(TaskSet *set)
{
	List *all = NIL;
	ListCell *cell;

	foreach(cell, set->tasks)
	{
		LoadTask *task = lfirst(cell);
		Delta *delta = task->delta == NULL ? NULL : finished_delta(task);
		Changed *changed;

		if (delta == NULL)
			continue;
		delta->batch_end = set->batch_end;
		changed = palloc0(sizeof(Changed));
		changed->task = task;
		changed->delta = delta;
		all = lappend(all, changed);
	}
	return all;
}

static List *
tasks_of(List *all)
{
	List *tasks = NIL;
	ListCell *cell;

	foreach(cell, all)
		tasks = lappend(tasks, ((Changed *) lfirst(cell))->task);
	return tasks;
}

/*
 * Deliveries of the deltas of the changed tables.  The tables are locked first,
 * if that needs no wait: then the marks of their targets need not be read
 * again.
 */
static List *
changed_deliveries(TaskSet *set)
{
	List *all = changed_tables(set);
	List *tasks = tasks_of(all);
	int nlocked = publish_lock_free(delivery_targets(tasks));
	uint32 *marks = delivery_look_at_targets(set, tasks);
	List *deliveries = NIL;
	bool wait;
	ListCell *cell;

	foreach(cell, all)
	{
		Changed *changed = lfirst(cell);

		changed->marks = marks[foreach_current_index(cell)];
		admit(changed);
	}
	wait = parks_wait(set, all);
	foreach(cell, all)
	{
		Changed *changed = lfirst(cell);
		bool locked = foreach_current_index(cell) < nlocked;
		Delivery *delivery = deliver_changed(changed, wait);

		if (delivery != NULL)
		{
			delivery->item->marks = changed->marks;
			delivery->item->marks_are_known = locked;
			deliveries = lappend(deliveries, delivery);
		}
		if (locked && (delivery == NULL || changed->admission == ADMIT_NOT))
			publish_unlock(changed->task->target);
	}
	return deliveries;
}

void
deliver(TaskSet *set, XLogRecPtr end)
{
	MemoryContext old = MemoryContextSwitchTo(set->batch);

	set->batch_end = end;
	waiting_publish_with(set, changed_deliveries(set));
	MemoryContextSwitchTo(old);
	task_end_batch(set);
}
