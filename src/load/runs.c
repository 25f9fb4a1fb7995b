/*-------------------------------------------------------------------------
 *
 * runs.c
 *		The runs of a session's tasks.
 *
 * A session that ends has one run for each table that was requested or changed.
 * In a continuing stream, a run covers the batches of one table in one minute,
 * as long as they end in the same way: the first one writes the row, and the
 * next ones add to it.  The row is written in the transaction of the batch, and
 * others never see it as 'running': a crash leaves nothing to correct.
 *
 *-------------------------------------------------------------------------
 */
#include "load/runs.h"

#include "catalog/owner.h"
#include "utils/memutils.h"

/* ---- ends ---- */

static void
fail_run(LoadTask *task, const ErrorData *error)
{
	MemoryContext old = MemoryContextSwitchTo(task->set->context);

	if (task->asked && task_run(task)->error_sqlstate == NULL)
	{
		run_set_error(task->run, error);
		if (error->sqlerrcode == ERRCODE_OBJECT_IN_USE)
			task->run->status = RUN_SKIPPED;
	}
	MemoryContextSwitchTo(old);
}

void
runs_fail(LoadSession *session, const ErrorData *error)
{
	ListCell *cell;

	if (session->options->server_failed != NULL)
		*session->options->server_failed = error->sqlerrcode != ERRCODE_OBJECT_IN_USE;
	foreach(cell, session->set.tasks)
		fail_run(lfirst(cell), error);
}

void
runs_skip(List *runs, const char *reason, bool quiet)
{
	ListCell *cell;

	foreach(cell, runs)
	{
		Run *run = lfirst(cell);

		run->status = RUN_SKIPPED;
		run->reason = pstrdup(reason);
		if (!quiet || run->id != 0)
			run_finish(run);
	}
}

/* The status of a run follows from the outcome of its batches. */
static void
settle(LoadTask *task)
{
	Run *run = task->run;

	if (run->status != RUN_RUNNING)
		return;
	if (task->paused && run->reason == NULL)
		run->reason = psprintf("%s: %s",
							   task->ownerless ? OWNERLESS : "paused",
							   task->pause_reason != NULL ? task->pause_reason : "");
	if (task->blocked || task->paused)
		run->status = RUN_BLOCKED;
	else if (task->published || run->rows_in > 0)
		run->status = RUN_SUCCEEDED;
	else
		run->status = RUN_NOTHING;
}

void
runs_finish(TaskSet *set)
{
	ListCell *cell;

	foreach(cell, set->tasks)
	{
		LoadTask *task = lfirst(cell);

		if (task->run == NULL)
			continue;
		settle(task);
		run_finish(task->run);
	}
}

/* ---- in a stream that goes on ---- */

static void
close_run(LoadTask *task)
{
	if (task->run == NULL)
		return;
	if (task->folded) /* the row contains nothing of an unfinished batch */
		run_log(task->run->status == RUN_RUNNING ? &task->before : task->run);
	task->run = NULL;
	task->folded = false;
	if (task->run_context != NULL)
		MemoryContextReset(task->run_context);
}

void
runs_begin_batch(TaskSet *set)
{
	int64 minute = GetCurrentTimestamp() / USECS_PER_MINUTE;
	ListCell *cell;

	foreach(cell, set->tasks)
	{
		LoadTask *task = lfirst(cell);

		if (task->run != NULL && (!task->folded || task->run->status == RUN_FAILED ||
								  task->run->started_at / USECS_PER_MINUTE != minute))
			close_run(task);
		task->touched = false;
		task->attempted = false;
		task->published = false;
		task->counted = false;
		if (task->run == NULL)
			continue;
		task->run->status = RUN_RUNNING;
		task->run->reason = NULL;
	}
}

void
runs_forget_batch(TaskSet *set)
{
	ListCell *cell;

	foreach(cell, set->tasks)
	{
		LoadTask *task = lfirst(cell);

		task->touched = false;
		task->attempted = false;
		task->counted = false;
		if (task->run != NULL && task->folded)
		{
			*task->run = task->before;
			task->run->status = RUN_RUNNING;
			task->run->reason = NULL;
		}
	}
}

/*
 * The batch ended in another way than the earlier ones: their row stays, and
 * its outcome gets a row of its own.
 */
static void
split_run(LoadTask *task)
{
	Run *run = task->run;
	const Run *before = &task->before;

	run_log(before);
	run->id = 0;
	run->started_at = GetCurrentTransactionStartTimestamp();
	run->rows_in -= before->rows_in;
	run->inserted -= before->inserted;
	run->updated -= before->updated;
	run->deleted -= before->deleted;
	run->quarantined -= before->quarantined;
	run->gate_ms -= before->gate_ms;
	run->apply_ms -= before->apply_ms;
	if (run_insert(run))
		run_move_details(before->id, run->id);
}

void
runs_fold(TaskSet *set)
{
	List *runs = NIL;
	ListCell *cell;

	foreach(cell, set->tasks)
	{
		LoadTask *task = lfirst(cell);
		MemoryContext old;

		if (task->run == NULL || !task->touched)
			continue;
		old = MemoryContextSwitchTo(GetMemoryChunkContext(task->run));
		settle(task);
		MemoryContextSwitchTo(old);
		if (task->folded && task->run->status != task->before.status)
			split_run(task);
		task->run->finished_at = GetCurrentTimestamp();
		runs = lappend(runs, task->run);
		task->before = *task->run;
		task->folded = true;
	}
	runs_update(runs);
}

void
runs_close(TaskSet *set)
{
	ListCell *cell;

	foreach(cell, set->tasks)
		close_run(lfirst(cell));
}
