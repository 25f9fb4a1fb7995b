/*-------------------------------------------------------------------------
 *
 * task.c
 *		One load in a run, its outcome, and what the loads of a run share.
 *
 * Work on one table is done inside guarded_run(), so that an error affects that
 * table only.  The task set knows the current task.  The task keeps the
 * outcome: its run, the state of its load with the reason, its failures.
 *
 * Nothing is written while the source is examined: a problem found then stays
 * with its task until session_record().
 *
 *-------------------------------------------------------------------------
 */
#include "load/task.h"

#include "catalog/attempts.h"
#include "catalog/owner.h"
#include "core/message.h"
#include "core/sqltext.h"
#include "executor/spi.h"
#include "load/rowreader.h"
#include "utils/memutils.h"

#define LOCK_TIMEOUT_MS 3000

/* ---- tasks ---- */

void
task_look_at_owner(LoadTask *task)
{
	char *problem = owner_problem(task->target->owner, task->load->server_name);

	task->ownerless = problem != NULL && !task->paused;
	if (!task->ownerless)
		return;
	task->paused = true;
	if (task->pause_reason == NULL || strcmp(task->pause_reason, problem) != 0)
		task->pause_reason = MemoryContextStrdup(task->set->context, problem);
}

void
task_set_begin(TaskSet *set, MemoryContext context, bool quiet)
{
	set->context = context;
	set->batch = AllocSetContextCreate(context, "depipe load batch", ALLOCSET_DEFAULT_SIZES);
	set->row = AllocSetContextCreate(context, "depipe load row", ALLOCSET_DEFAULT_SIZES);
	set->serial = 1;
	set->quiet = quiet;
}

LoadTask *
task_add(TaskSet *set, Load *load)
{
	MemoryContext old = MemoryContextSwitchTo(set->context);
	LoadTask *task = palloc0(sizeof(LoadTask));

	task->set = set;
	task->load = load;
	task->target = load->target;
	task->paused = target_is_paused(load->target->id, &task->pause_reason);
	task_look_at_owner(task);
	set->tasks = lappend(set->tasks, task);
	MemoryContextSwitchTo(old);
	return task;
}

LoadTask *
task_find(const TaskSet *set, int32 target_id)
{
	ListCell *cell;

	foreach(cell, set->tasks)
		if (((LoadTask *) lfirst(cell))->target->id == target_id)
			return lfirst(cell);
	return NULL;
}

void
task_end_batch(TaskSet *set)
{
	MemoryContextReset(set->batch);
	set->serial++;
}

char *
task_resync_hint(const LoadTask *task)
{
	return psprintf("SELECT depipe.resync(%s);", sql_literal(task->target->display));
}

int
task_lock_timeout(const TaskSet *set)
{
	return set->quiet ? LOCK_TIMEOUT_MS : 0;
}

/* ---- runs ---- */

/* The context of the texts of a task's run. */
static MemoryContext
run_context(LoadTask *task)
{
	if (!task->set->following)
		return task->set->context;
	if (task->run_context == NULL)
		task->run_context = AllocSetContextCreate(task->set->context,
												  "depipe load run",
												  ALLOCSET_SMALL_SIZES);
	return task->run_context;
}

Run *
task_run(LoadTask *task)
{
	MemoryContext old = MemoryContextSwitchTo(run_context(task));

	if (task->run == NULL)
		task->run = run_create(task->target, "stream");
	if (run_insert(task->run))
		task->touched = true;
	else
		task->stopped = true; /* dropped: the next session is without it */
	MemoryContextSwitchTo(old);
	return task->run;
}

char *
task_keep(const LoadTask *task, const char *text)
{
	return text == NULL ? NULL : MemoryContextStrdup(GetMemoryChunkContext(task->run), text);
}

static void
set_run_failed(LoadTask *task, int sqlstate, const char *reason, const char *hint)
{
	MemoryContext old = MemoryContextSwitchTo(run_context(task));
	Run *run = task_run(task);

	run->status = RUN_FAILED;
	run->error_sqlstate = pstrdup(unpack_sql_state(sqlstate));
	run->error_message = pstrdup(reason);
	run->reason = run->error_message;
	run->error_hint = hint == NULL ? NULL : pstrdup(hint);
	MemoryContextSwitchTo(old);
}

/* ---- identity ---- */

void
task_become_owner(const LoadTask *task, Identity *identity)
{
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	identity_become(task->target->owner, identity);
}

void
task_restore(const Identity *identity)
{
	identity_restore(identity);
	SPI_finish();
}

/* SPI switched to a memory context of its own. */
void
task_execute(const char *sql)
{
	MemoryContext caller = CurrentMemoryContext;

	if (SPI_execute(sql, false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "could not execute \"%s\"", sql);
	MemoryContextSwitchTo(caller);
}

/* ---- states ---- */

void
task_stop(LoadTask *task, LoadState state, int sqlstate, const char *reason, const char *hint)
{
	task->stopped = true;
	set_run_failed(task, sqlstate, reason, hint);
	load_set_state(task->load, state, reason, hint);
}

void
task_stop_for_resync(LoadTask *task, const char *reason)
{
	task_stop(task,
			  LOAD_NEEDS_RESYNC,
			  ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
			  reason,
			  task_resync_hint(task));
}

void
task_fail(LoadTask *task, ErrorData *error)
{
	task->stopped = true;
	set_run_failed(task, error->sqlerrcode, error->message, error->hint);
	load_set_state(task->load, task->load->state, error->message, error->hint);
	task_count_failure(task, error->message);
}

void
task_set_problem(LoadTask *task, LoadState state, int sqlstate, const char *problem,
				 const char *hint)
{
	task->stopped = true;
	task->problem = pstrdup(problem);
	task->problem_hint = hint == NULL ? NULL : pstrdup(hint);
	task->problem_state = state;
	task->problem_sqlstate = sqlstate;
}

void
task_set_lost(LoadTask *task, const char *problem)
{
	task_set_problem(task,
					 LOAD_NEEDS_RESYNC,
					 ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
					 problem,
					 task_resync_hint(task));
}

void
task_record_problem(LoadTask *task)
{
	if (task->run != NULL || task->problem_state != task->load->state)
		set_run_failed(task, task->problem_sqlstate, task->problem, task->problem_hint);
	load_set_state(task->load, task->problem_state, task->problem, task->problem_hint);
	if (task->asked)
		task_count_failure(task, task->problem);
}

/* ---- failures ---- */

void
task_count_failure(LoadTask *task, const char *reason)
{
	if (!task->set->quiet || task->counted)
		return;
	task->counted = true;
	task->failures++;
	task->retry_at = attempt_begin(unit_of_target(task->target->id));
	if (task->retry_reason != NULL)
		pfree(task->retry_reason);
	task->retry_reason = MemoryContextStrdup(task->set->context,
											 reason != NULL ? reason : "it was not published");
}

void
task_count_success(LoadTask *task)
{
	if (task->failures > 0)
		attempt_end(unit_of_target(task->target->id));
	task->failures = 0;
	task->retry_at = 0;
}

/* ---- messages ---- */

ErrorData *
task_without_values(TaskSet *set, ErrorData *error)
{
	const char *reading = set->reader == NULL ? set->reading : set->reader->reading;
	const char *state = unpack_sql_state(error->sqlerrcode);

	if (error->sqlerrcode == ERRCODE_UNSAFE_NEW_ENUM_VALUE_USAGE)
	{
		error->message = pstrdup(
			"an enum type gained a label of the source, which can be used after a commit");
		error->hint = pstrdup("Commit, and run the load again.");
		error->domain = TEXTDOMAIN; /* the text is our own now */
	}
	else if (reading != NULL)
	{
		error->message = psprintf("a value of column \"%s\" of the source cannot be read here (%s)",
								  reading,
								  state);
		error->hint = NULL;
	}
	else if (set->projecting)
	{
		error->message = psprintf("an expression of the load failed: %s (%s)",
								  message_without_values(error),
								  state);
		error->hint = NULL;
	}
	else
	{
		error->hint = hint_without_values(error);
		error->message = message_without_values(error);
	}
	error->detail = NULL;
	set->reader = NULL;
	set->reading = NULL;
	set->projecting = false;
	return error;
}
