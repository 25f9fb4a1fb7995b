/*-------------------------------------------------------------------------
 *
 * waiting.c
 *		Publication of waiting changes: parked deltas, rows that are tried
 *		again, probes.
 *
 * Rows that wait for another try, parked deltas and new changes are folded
 * into one delta, in this order.
 *
 * A park may hold far more than one batch.  Then it is published in bites, each
 * in its own transaction.  All parked tables of the set advance together, from
 * one position of the source to the next.  A bite ends at the end of a batch of
 * the stream, so that source transactions stay whole, across tables as well.
 * The last bite includes the rows that wait for another try.  Until then the
 * table counts as parked, and its new changes are parked after the rest.
 *
 * For a history a bite is one batch of the park, that is, one transaction of the
 * source: its versions do not depend on how long they were parked.
 *
 * The items of a bite stay in the park until it is published, and its
 * transaction deletes them; nothing else records how far the park has been
 * published.  A bite may contain a bad row that a later change in the park
 * corrects.  So a bite that cannot be published is rolled back, and the whole
 * park is judged as one delta.
 *
 *-------------------------------------------------------------------------
 */
#include "load/waiting.h"

#include "catalog/marks.h"
#include "core/guarded.h"
#include "delta/fill.h"
#include "load/delivery.h"
#include "load/take.h"
#include "publish/park.h"
#include "publish/quarantine.h"
#include "utils/memutils.h"

/* Maximum number of rounds for rows that can be tried again because others were published. */
#define MAX_RETRY_ROUNDS 5

/* A fold takes several times the size of the parked images. */
#define BITE_SHARE 4

/* A table with waiting changes that may be published now. */
typedef struct Waiting
{
	LoadTask *task;
	uint32 marks;
	Admission admission;
	char *reason;
} Waiting;

typedef struct Bites
{
	List *deliveries; /* of Delivery */
	List *ends;       /* of int64 *: the last items of their bites */
	bool retries;     /* rows became worth another try */
	bool published;
} Bites;

/* ---- deltas ---- */

static Delta *
new_delta(LoadTask *task)
{
	return delta_begin_fold(
		delta_create(task->target->relid, task->columns, task->key, task->set->batch));
}

Delta *
waiting_fold(LoadTask *task, uint32 marks, Delta *delta)
{
	Delta *all;

	if ((marks & (MARK_PARKED | MARK_RETRIES)) == 0)
		return delta;
	all = new_delta(task);
	/* a delta that cannot be read back is a failure of this table */
	task->set->current = task;
	(void) quarantine_take_retries(task->target, all);
	park_take(task->target, all);
	task->set->current = NULL;
	if (delta != NULL)
	{
		delta_fold_onto(delta, all);
		all->batch_end = delta->batch_end;
		delta_destroy(delta);
	}
	delivery_finish_delta(task, all);
	return all;
}

/* Does it matter how the changes of the table are folded? */
static bool
is_history(const LoadTask *task)
{
	return task->load->history != HISTORY_NONE;
}

/* Bytes of parked images in a bite if this number of tables share the memory. */
static int64
bite_bytes(int ntables)
{
	return Max((int64) depipe_batch_memory * 1024 / BITE_SHARE / Max(ntables, 1), 1);
}

bool
waiting_comes_first(LoadTask *task)
{
	return is_history(task) || park_bite_end(task->target, bite_bytes(1)) != InvalidXLogRecPtr;
}

/* ---- tables for which something waits ---- */

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
	delta = new_delta(task);
	delta_finish(delta);
	delivery = delivery_make(task, delta, ADMIT_PROBE, reason);
	if (delivery != NULL)
		delivery->item->always_gate = true;
	return delivery;
}

/* NULL when the wait is not over. */
static Waiting *
admit_waiting(LoadTask *task, uint32 marks)
{
	Waiting *waiting = palloc0(sizeof(Waiting));

	task->locked = !take_is_waiting(task) && !take_lock(task);
	if (task->locked)
		delivery_note_locked(task);
	waiting->task = task;
	waiting->marks = marks;
	waiting->admission = delivery_admit(task, marks, task->set->by_hand, &waiting->reason);
	if (waiting->admission != ADMIT_NOT)
		return waiting;
	task->blocked = true;
	if (task->run != NULL)
		task->run->reason = task_keep(task, waiting->reason);
	return NULL;
}

/*
 * Tables with waiting changes but none in the stream (a list of Waiting).
 * again: only tables with rows that can be tried again, unless the rest of the
 * park comes before these.  Deliveries of probes are added to *probes.
 */
static List *
waiting_tables(TaskSet *set, bool again, List **probes)
{
	uint32 *marks = delivery_look_at_targets(set, set->tasks);
	uint32 wanted = again ? MARK_RETRIES : MARK_RETRIES | MARK_PARKED;
	List *tables = NIL;
	ListCell *cell;

	foreach(cell, set->tasks)
	{
		LoadTask *task = lfirst(cell);
		uint32 mark = marks[foreach_current_index(cell)];
		Waiting *waiting = NULL;
		Delivery *probe;

		if (again ? task->rest : task->attempted && !task->rest)
			continue;
		task->rest = false;
		if (!can_take_waiting(task))
			continue;
		if (set->by_hand)
			task->retry_at = 0;
		if ((mark & wanted) != 0)
			waiting = admit_waiting(task, mark);
		else if (!again && (probe = empty_probe(task, mark)) != NULL)
			*probes = lappend(*probes, probe);
		if (waiting != NULL)
			tables = lappend(tables, waiting);
	}
	return tables;
}

/* ---- bites ---- */

static bool
is_parked(const Waiting *waiting)
{
	return (waiting->marks & MARK_PARKED) != 0;
}

/* The end of the next bite; InvalidXLogRecPtr: everything is published at once. */
static XLogRecPtr
next_bite_end(List *tables)
{
	XLogRecPtr end = InvalidXLogRecPtr;
	int nparked = 0;
	ListCell *cell;

	foreach(cell, tables)
		nparked += is_parked(lfirst(cell));
	foreach(cell, tables)
	{
		Waiting *waiting = lfirst(cell);
		XLogRecPtr own;

		if (!is_parked(waiting))
			continue;
		own = park_bite_end(waiting->task->target,
							is_history(waiting->task) ? 1 : bite_bytes(nparked));
		if (own != InvalidXLogRecPtr && (end == InvalidXLogRecPtr || own < end))
			end = own;
	}
	return end;
}

/* Add the part of the table to the bite; false if it has nothing that old. */
static bool
add_bite(Bites *bites, Waiting *waiting, XLogRecPtr end)
{
	LoadTask *task = waiting->task;
	int64 *last = palloc(sizeof(int64));
	Delta *delta = new_delta(task);
	Delivery *delivery;

	task->set->current = task;
	*last = park_take_bite(task->target, delta, end);
	delivery_finish_delta(task, delta);
	task->set->current = NULL;
	if (*last == PARK_NO_ITEM)
	{
		delta_destroy(delta);
		return false;
	}
	delivery = delivery_make(task, delta, waiting->admission, waiting->reason);
	if (delivery == NULL)
		return false;
	delivery->item->park = false; /* it stays where it is */
	bites->deliveries = lappend(bites->deliveries, delivery);
	bites->ends = lappend(bites->ends, last);
	return true;
}

/* Another session has locked the table: that does not concern its rows. */
static bool
is_for_lock(const PublishItem *item)
{
	return item->status == PUBLISH_ERROR && item->run->error_sqlstate != NULL &&
		   strcmp(item->run->error_sqlstate, unpack_sql_state(ERRCODE_LOCK_NOT_AVAILABLE)) == 0;
}

/* Guarded: either published with their positions, or without any effect. */
static bool
publish_bites_work(void *argument)
{
	Bites *bites = argument;
	ListCell *cell;
	ListCell *end;

	bites->retries = delivery_publish(bites->deliveries);
	forboth(cell, bites->deliveries, end, bites->ends)
	{
		Delivery *delivery = lfirst(cell);
		PublishItem *item = delivery->item;

		if (item->status == PUBLISH_DONE || item->status == PUBLISH_NOTHING)
			park_forget(item->target, *(int64 *) lfirst(end));
		else if (!is_for_lock(item))
			return false;
	}
	bites->published = true;
	return true;
}

static void
forget_bites(const Bites *bites)
{
	ListCell *cell;

	foreach(cell, bites->deliveries)
		delta_destroy(((Delivery *) lfirst(cell))->item->delta);
}

/* The tables of a published bite have more to publish, except locked ones, for now. */
static void
note_rest(const Bites *bites, List *later)
{
	ListCell *cell;

	foreach(cell, bites->deliveries)
	{
		const Delivery *delivery = lfirst(cell);

		delivery->task->rest = !is_for_lock(delivery->item);
	}
	foreach(cell, later)
		((LoadTask *) lfirst(cell))->rest = true;
}

/*
 * Publish the next bite of the parked tables.  Returns false, without any
 * effect, if it is not published.
 */
static bool
publish_bites(List *tables, XLogRecPtr end, bool *retries)
{
	Bites bites = {NIL, NIL, false, false};
	List *later = NIL;
	ErrorData *error;
	ListCell *cell;

	foreach(cell, tables)
	{
		Waiting *waiting = lfirst(cell);

		if (is_parked(waiting) && !add_bite(&bites, waiting, end))
			later = lappend(later, waiting->task);
	}
	if (bites.deliveries == NIL)
		return false;
	error = guarded_run(publish_bites_work, &bites);
	if (error != NULL)
		ReThrowError(error);
	if (!bites.published)
	{
		forget_bites(&bites);
		return false;
	}
	note_rest(&bites, later);
	delivery_take_results(bites.deliveries);
	*retries = bites.retries;
	return true;
}

/* ---- rounds ---- */

static bool
publish_and_take(List *deliveries)
{
	bool retries = delivery_publish(deliveries);

	delivery_take_results(deliveries);
	return retries;
}

/* Returns true if rows can be tried again. */
static bool
publish_round(TaskSet *set, bool again)
{
	List *deliveries = NIL;
	List *tables = waiting_tables(set, again, &deliveries);
	XLogRecPtr end = again ? InvalidXLogRecPtr : next_bite_end(tables);
	bool retries = false;
	bool bitten = end != InvalidXLogRecPtr && publish_bites(tables, end, &retries);
	ListCell *cell;

	foreach(cell, tables)
	{
		Waiting *waiting = lfirst(cell);
		Delivery *delivery;

		if (bitten && is_parked(waiting))
			continue;
		delivery = delivery_make(waiting->task,
								 waiting_fold(waiting->task, waiting->marks, NULL),
								 waiting->admission,
								 waiting->reason);
		if (delivery != NULL)
			deliveries = lappend(deliveries, delivery);
	}
	return publish_and_take(deliveries) || retries;
}

static void
publish_retries(TaskSet *set, bool retries)
{
	for (int round = 0; retries && round < MAX_RETRY_ROUNDS; round++)
		retries = publish_round(set, true);
}

void
waiting_publish_with(TaskSet *set, List *deliveries)
{
	publish_retries(set, publish_and_take(deliveries));
}

void
waiting_publish(TaskSet *set)
{
	MemoryContext old = MemoryContextSwitchTo(set->batch);
	ListCell *cell;

	publish_retries(set, publish_round(set, false));
	set->more = false;
	foreach(cell, set->tasks)
	{
		const LoadTask *task = lfirst(cell);

		set->more |= task->rest && !task->stopped;
	}
	MemoryContextSwitchTo(old);
	task_end_batch(set);
}
