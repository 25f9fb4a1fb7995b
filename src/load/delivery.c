/*-------------------------------------------------------------------------
 *
 * delivery.c
 *		A delta on its way to publish, and the consequences of its outcome
 *		for its load.
 *
 * publish() counts into a separate run for each batch; the run of the task adds
 * them up.
 *
 *-------------------------------------------------------------------------
 */
#include "load/delivery.h"

#include "catalog/marks.h"
#include "core/identity.h"
#include "core/sqltext.h"
#include "delta/fill.h"
#include "load/take.h"
#include "publish/park.h"
#include "utils/memutils.h"

#define LOCKED_REASON "another session has locked the table"

/* Under identity FULL the source sends every value, at a price. */
char *
delivery_base_lost_hint(const LoadTask *task)
{
	if (task->projection == NULL || task->source == NULL || source_table_full(task->source))
		return task_resync_hint(task);
	return psprintf("At the source: ALTER TABLE %s REPLICA IDENTITY FULL; then %s",
					sql_table(task->source->schema_name, task->source->table_name),
					task_resync_hint(task));
}

/* A spilled delta is merged with operators of the key types, which may be user-defined. */
void
delivery_finish_delta(LoadTask *task, Delta *delta)
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

/* ---- pauses and admission ---- */

List *
delivery_targets(List *tasks)
{
	List *targets = NIL;
	ListCell *cell;

	foreach(cell, tasks)
		targets = lappend(targets, ((LoadTask *) lfirst(cell))->target);
	return targets;
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

uint32 *
delivery_look_at_targets(TaskSet *set, List *tasks)
{
	List *pauses;
	uint32 *marks = targets_marks_and_pauses(delivery_targets(tasks), &pauses);

	take_pauses(set, pauses);
	return marks;
}

Admission
delivery_admit(LoadTask *task, uint32 marks, bool changed, char **reason)
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

/* ---- making items ---- */

Delivery *
delivery_make(LoadTask *task, Delta *delta, Admission admission, char *reason)
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

/* ---- results ---- */

void
delivery_stop_diverged(LoadTask *task, const char *reason)
{
	park_discard(task->target->id);
	task_stop_for_resync(task, reason);
}

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

void
delivery_note_locked(LoadTask *task)
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
				delivery_note_locked(task);
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
			delivery_stop_diverged(task, item->reason);
			break;
		case PUBLISH_BASE_LOST:
			park_discard(task->target->id);
			task_stop(task,
					  LOAD_NEEDS_RESYNC,
					  ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
					  item->reason != NULL ? item->reason : "a value cannot be recovered",
					  delivery_base_lost_hint(task));
			break;
	}
}

bool
delivery_publish(List *deliveries)
{
	List *items = NIL;
	ListCell *cell;

	if (deliveries == NIL)
		return false;
	foreach(cell, deliveries)
		items = lappend(items, ((Delivery *) lfirst(cell))->item);
	return publish(items, NULL);
}

void
delivery_take_results(List *deliveries)
{
	ListCell *cell;

	foreach(cell, deliveries)
	{
		Delivery *delivery = lfirst(cell);

		take_result(delivery);
		delta_destroy(delivery->item->delta);
	}
}
