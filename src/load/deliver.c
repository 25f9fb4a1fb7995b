/*-------------------------------------------------------------------------
 *
 * deliver.c
 *		Giving the deltas of a batch to publish, or to the park.
 *
 * All tables of a batch are published at once, so that a parent and its child
 * that arrive in one source transaction are no orphan.  A table that was held
 * and is admitted now takes what is older first: rows that wait for another
 * try, then what is parked, then the new changes, folded into one delta.
 *
 * publish() counts into a run of its own per batch; the task's run adds them up.
 *
 *-------------------------------------------------------------------------
 */
#include "load/deliver.h"

#include "catalog/constraints.h"
#include "catalog/marks.h"
#include "core/guarded.h"
#include "core/identity.h"
#include "core/sqltext.h"
#include "publish/publish.h"
#include "storage/lmgr.h"
#include "utils/memutils.h"
#include "publish/park.h"
#include "publish/quarantine.h"

#define LOCKED_REASON "another session has locked the table"

/* Rounds of rows that become worth another try by publishing others. */
#define MAX_RETRY_ROUNDS 5

typedef struct Delivery
{
	LoadTask *task;
	PublishItem *item;
} Delivery;

/* ---- tables that another session has locked ---- */

static bool
is_waiting(const LoadTask *task)
{
	return task->retry_at != 0 && task->retry_at > GetCurrentTimestamp();
}

static bool
lock_work(void *argument)
{
	LockRelationOid(*(Oid *) argument, AccessShareLock);
	return true;
}

/*
 * One table that is locked against reading does not stop the others of its
 * server.  It is waited for, since most locks are short and an autovacuum gives
 * way to who waits, but not with each batch again.
 */
static bool
lock_to_read(LoadSession *session, LoadTask *task)
{
	Oid relid = task->target->relid;

	if (!session->options->quiet || ConditionalLockRelationOid(relid, AccessShareLock))
		return true;
	return !is_waiting(task) &&
		   guarded_run_waiting(lock_work, &relid, session_lock_timeout(session)) == NULL;
}

/* A delta of the target's own columns. */
static Delta *
target_delta(LoadSession *session, LoadTask *task, List *key, FoldMode fold)
{
	return (task->locked
				? delta_create_to_park
				: delta_create)(task->target->relid, task->columns, key, fold, session->batch);
}

Delta *
deliver_delta(LoadSession *session, LoadTask *task)
{
	if (task->delta != NULL)
		return task->delta;
	task->locked = !lock_to_read(session, task);
	if (task->projection != NULL)
		task->delta = delta_create_for_columns(projection_source(task->projection),
											   task->key,
											   FOLD_BATCH,
											   session->batch);
	else
		task->delta = target_delta(session, task, task->key, FOLD_BATCH);
	return task->delta;
}

/* Under identity FULL the source sends every value, at a price. */
static char *
base_lost_hint(const LoadTask *task)
{
	if (task->projection == NULL || task->source == NULL || source_table_full(task->source))
		return session_resync_hint(task);
	return psprintf("At the source: ALTER TABLE %s REPLICA IDENTITY FULL; then %s",
					sql_table(task->source->schema_name, task->source->table_name),
					session_resync_hint(task));
}

/* The delta in the target's layout; NULL when the table had to be stopped. */
static Delta *
projected(LoadSession *session, LoadTask *task, Delta *delta)
{
	Delta *into;
	char *reason = NULL;
	bool done;

	if (task->projection == NULL)
		return delta;
	into = target_delta(session, task, task->key, FOLD_NONE);
	session->current = task;
	session->projecting = true;
	done = projection_apply(task->projection, task->target, delta, into, &reason);
	session->projecting = false;
	session->current = NULL;
	delta_destroy(delta);
	if (done)
		return into;
	delta_destroy(into);
	session_stop_task(session,
					  task,
					  LOAD_NEEDS_RESYNC,
					  ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
					  reason,
					  base_lost_hint(task));
	return NULL;
}

/* What is on disk is put together by operators of the key's types, which may be a user's. */
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

/* NULL, and the delta is freed, when the load was dropped. */
static Delivery *
make_delivery(LoadSession *session, LoadTask *task, Delta *delta, Admission admission, char *reason)
{
	Delivery *delivery = palloc0(sizeof(Delivery));
	PublishItem *item = palloc0(sizeof(PublishItem));
	Run *run = palloc0(sizeof(Run));

	run->id = session_run(session, task)->id;
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
	item->lock_timeout_ms = session_lock_timeout(session);
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

/* What waits for the table, then the new changes (NULL: none), in one delta. */
static Delta *
with_waiting(LoadSession *session, LoadTask *task, uint32 marks, Delta *delta)
{
	Delta *all;

	if ((marks & (MARK_PARKED | MARK_RETRIES)) == 0)
		return delta;
	all = delta_create(task->target->relid, task->columns, task->key, FOLD_BATCH, session->batch);
	/* what cannot be read back is this table's failure */
	session->current = task;
	(void) quarantine_take_retries(task->target, all);
	park_take(task->target, all);
	session->current = NULL;
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
	if (!is_waiting(task))
		return (marks & MARK_BREAKER) == 0 ? ADMIT : breaker_admit(task->target, changed, reason);
	*reason = pstrdup(task->retry_reason);
	return ADMIT_NOT;
}

static void
park_by_hand(LoadSession *session, LoadTask *task, Delta *delta)
{
	Run *run = session_run(session, task);
	const char *problem;

	run->rows_in += delta->changes;
	problem = park_append(task->target, delta);
	if (problem != NULL)
		session_stop_task(session,
						  task,
						  LOAD_NEEDS_RESYNC,
						  ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
						  problem,
						  session_resync_hint(task));
	else
		task->blocked = true;
	delta_destroy(delta);
}

/* The key does not tell the source's rows apart, or somebody has changed the table. */
static void
stop_diverged(LoadSession *session, LoadTask *task, const char *reason)
{
	park_discard(task->target->id);
	session_stop_task(session,
					  task,
					  LOAD_NEEDS_RESYNC,
					  ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
					  reason,
					  session_resync_hint(task));
}

/* Two changes of the batch cannot both be of the row that the key names. */
static bool
stop_contradicted(LoadSession *session, LoadTask *task, Delta *delta)
{
	if (!delta->contradicted)
		return false;
	delta_destroy(delta);
	stop_diverged(session, task, "the key does not identify one row of the source at each moment");
	return true;
}

/* What the batch brings for the table, in its own columns; NULL for a table that is stopped. */
static Delta *
finished_delta(LoadSession *session, LoadTask *task)
{
	Delta *delta = task->delta;

	task->delta = NULL;
	if (task->stopped)
	{
		delta_destroy(delta);
		return NULL;
	}
	finish_delta(task, delta);
	if (stop_contradicted(session, task, delta))
		return NULL;
	return projected(session, task, delta);
}

/* NULL when there is nothing to publish.  marks: of the target. */
static Delivery *
deliver_task(LoadSession *session, LoadTask *task, Delta *delta, uint32 marks)
{
	Admission admission;
	char *reason = NULL;

	if (task->paused)
	{
		park_by_hand(session, task, delta);
		return NULL;
	}
	admission = admit(task, marks, true, &reason);
	if (admission != ADMIT_NOT)
		delta = with_waiting(session, task, marks, delta);
	else
		breaker_note_change(task->target->id); /* worth a probe when its wait is over */
	return make_delivery(session, task, delta, admission, reason);
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
note_locked(LoadSession *session, LoadTask *task)
{
	session_failed(session, task, LOCKED_REASON);
	load_set_state(task->load, task->load->state, LOCKED_REASON, NULL);
}

static void
take_result(LoadSession *session, Delivery *delivery)
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
			session_succeeded(task);
			run->status = RUN_RUNNING;
			run->reason = run->error_sqlstate = run->error_message = run->error_hint = NULL;
			load_set_state(task->load, LOAD_STREAMING, NULL, NULL);
			break;
		case PUBLISH_NOTHING:
			break;
		case PUBLISH_REJECTED:
			session_failed(session, task, item->reason);
			load_set_state(task->load, LOAD_STREAMING, item->reason, NULL);
			/* FALLTHROUGH */
		case PUBLISH_BROKEN:
		case PUBLISH_BLOCKED:
			if (task->locked && !is_waiting(task))
				note_locked(session, task);
			task->blocked = true;
			run->reason = session_keep(task, item->reason);
			break;
		case PUBLISH_ERROR:
			session_failed(session, task, item->reason);
			task->blocked = session->following;
			run->status = RUN_FAILED;
			run->reason = session_keep(task, item->reason);
			run->error_sqlstate = session_keep(task, item->run->error_sqlstate);
			run->error_message = session_keep(task, item->run->error_message);
			run->error_hint = session_keep(task, item->run->error_hint);
			load_set_state(task->load, LOAD_STREAMING, item->reason, run->error_hint);
			break;
		case PUBLISH_DIVERGED:
			stop_diverged(session, task, item->reason);
			break;
		case PUBLISH_BASE_LOST:
			park_discard(task->target->id);
			session_stop_task(session,
							  task,
							  LOAD_NEEDS_RESYNC,
							  ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
							  item->reason != NULL ? item->reason : "a value cannot be recovered",
							  base_lost_hint(task));
			break;
	}
}

/* Publish; returns whether rows became worth another try. */
static bool
publish_deliveries(LoadSession *session, List *deliveries)
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

		take_result(session, delivery);
		delta_destroy(delivery->item->delta);
	}
	return retries;
}

static bool
can_take_waiting(const LoadTask *task)
{
	return !task->stopped && !task->paused && task->load->state == LOAD_STREAMING;
}

/* A probe that nothing waits for: an empty delta through the gate decides it. */
static Delivery *
empty_probe(LoadSession *session, LoadTask *task, uint32 marks)
{
	Delta *delta;
	Delivery *delivery;
	char *reason = NULL;

	if ((marks & MARK_BREAKER) == 0 || breaker_state(task->target->id) == BREAKER_CLOSED ||
		breaker_admit(task->target, session->by_hand, &reason) != ADMIT_PROBE ||
		!lock_to_read(session, task))
		return NULL;
	delta = delta_create(task->target->relid, task->columns, task->key, FOLD_BATCH, session->batch);
	delta_finish(delta);
	delivery = make_delivery(session, task, delta, ADMIT_PROBE, reason);
	if (delivery != NULL)
		delivery->item->always_gate = true;
	return delivery;
}

/* NULL when nothing waits, or is to be tried now. */
static Delivery *
waiting_delivery(LoadSession *session, LoadTask *task, uint32 marks, bool again)
{
	Admission admission;
	char *reason = NULL;

	if (!can_take_waiting(task) || (task->attempted && !again))
		return NULL;
	if (session->by_hand)
		task->retry_at = 0;
	if ((marks & (again ? MARK_RETRIES : MARK_RETRIES | MARK_PARKED)) == 0)
		return again ? NULL : empty_probe(session, task, marks);
	task->locked = !is_waiting(task) && !lock_to_read(session, task);
	if (task->locked)
		note_locked(session, task);
	admission = admit(task, marks, session->by_hand, &reason);
	if (admission == ADMIT_NOT)
	{
		task->blocked = true;
		if (task->run != NULL)
			task->run->reason = session_keep(task, reason);
		return NULL;
	}
	return make_delivery(session,
						 task,
						 with_waiting(session, task, marks, NULL),
						 admission,
						 reason);
}

static void
set_pause_reason(LoadSession *session, LoadTask *task, const char *reason)
{
	if (task->pause_reason != NULL && reason != NULL && strcmp(task->pause_reason, reason) == 0)
		return;
	task->pause_reason = reason == NULL ? NULL : MemoryContextStrdup(session->context, reason);
}

/* A pause by hand holds from the moment when it is committed. */
static void
take_pauses(LoadSession *session, List *pauses)
{
	ListCell *cell;
	ListCell *other;

	foreach(cell, session->tasks)
	{
		LoadTask *task = lfirst(cell);

		task->paused = false;
		foreach(other, pauses)
		{
			const Pause *pause = lfirst(other);

			if (pause->target_id != task->target->id)
				continue;
			task->paused = true;
			set_pause_reason(session, task, pause->reason);
		}
		task_look_at_owner(task, session->context);
	}
}

/* The marks of the targets of these tasks; looks at all pauses with the same statement. */
static uint32 *
look_at_targets(LoadSession *session, List *tasks)
{
	List *pauses;
	uint32 *marks = targets_marks_and_pauses(targets_of(tasks), &pauses);

	take_pauses(session, pauses);
	return marks;
}

/* Deliveries of what waits, for tables that the stream brought nothing to. */
static List *
waiting_deliveries(LoadSession *session, bool again)
{
	uint32 *all_marks = look_at_targets(session, session->tasks);
	List *deliveries = NIL;
	ListCell *cell;

	foreach(cell, session->tasks)
	{
		Delivery *delivery =
			waiting_delivery(session, lfirst(cell), all_marks[foreach_current_index(cell)], again);

		if (delivery != NULL)
			deliveries = lappend(deliveries, delivery);
	}
	return deliveries;
}

static void
publish_with_retries(LoadSession *session, List *deliveries)
{
	bool retries = publish_deliveries(session, deliveries);

	for (int round = 0; retries && round < MAX_RETRY_ROUNDS; round++)
		retries = publish_deliveries(session, waiting_deliveries(session, true));
}

/*
 * The deltas of the changed tables, given to publish.  The tables are locked
 * first, where nobody has to be waited for: what is read of their targets then
 * need not be read again.
 */
static List *
changed_deliveries(LoadSession *session)
{
	List *tasks = NIL;
	List *deltas = NIL;
	List *deliveries = NIL;
	uint32 *marks;
	int nlocked;
	ListCell *cell;

	foreach(cell, session->tasks)
	{
		LoadTask *task = lfirst(cell);
		Delta *delta = task->delta == NULL ? NULL : finished_delta(session, task);

		if (delta == NULL)
			continue;
		tasks = lappend(tasks, task);
		deltas = lappend(deltas, delta);
	}
	nlocked = publish_lock_free(targets_of(tasks));
	marks = look_at_targets(session, tasks);
	foreach(cell, tasks)
	{
		int n = foreach_current_index(cell);
		LoadTask *task = lfirst(cell);
		Delivery *delivery = deliver_task(session, task, list_nth(deltas, n), marks[n]);

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
deliver(LoadSession *session)
{
	MemoryContext old = MemoryContextSwitchTo(session->batch);

	publish_with_retries(session, changed_deliveries(session));
	MemoryContextSwitchTo(old);
	MemoryContextReset(session->batch);
	session->serial++;
}

void
deliver_waiting(LoadSession *session)
{
	MemoryContext old = MemoryContextSwitchTo(session->batch);

	publish_with_retries(session, waiting_deliveries(session, false));
	MemoryContextSwitchTo(old);
	MemoryContextReset(session->batch);
	session->serial++;
}
