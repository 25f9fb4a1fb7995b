/*-------------------------------------------------------------------------
 *
 * refresh.c
 *		Bringing the loads of a server up to date.
 *
 * The steps are: look at the source, make what is missing there (nothing is
 * written here before); copy new tables; read the stream batch by batch up to
 * where the source was when the stream began.  In a procedure each step is
 * committed, and the source is told what it may forget after the commit is on
 * disk.  In a function all belongs to the caller's transaction, and the next
 * run tells it.
 *
 * Each step runs in guarded_run().  An error that belongs to one table stops
 * that table (it needs a resync: changes of it pass by) and the step is done
 * again without it; any other error ends the run of all tables.
 *
 *-------------------------------------------------------------------------
 */
#include "load/session.h"

#include "access/xlog.h"
#include "core/guarded.h"
#include "core/sqltext.h"
#include "load/rowreader.h"
#include "publish/publish.h"
#include "utils/memutils.h"

/* An idle stream is recorded only when it has moved so far. */
#define IDLE_ADVANCE (8 * 1024 * 1024)

/* ---- ends of runs ---- */

static void
fail_run(LoadSession *session, LoadTask *task, const ErrorData *error)
{
	MemoryContext old = MemoryContextSwitchTo(session->context);

	if (task->asked && session_run(session, task)->error_sqlstate == NULL)
	{
		run_set_error(task->run, error);
		if (error->sqlerrcode == ERRCODE_OBJECT_IN_USE)
			task->run->status = RUN_SKIPPED;
	}
	MemoryContextSwitchTo(old);
}

static void
fail_all(LoadSession *session, const ErrorData *error)
{
	ListCell *cell;

	if (session->options->server_failed != NULL)
		*session->options->server_failed = error->sqlerrcode != ERRCODE_OBJECT_IN_USE;
	foreach(cell, session->tasks)
		fail_run(session, lfirst(cell), error);
}

/* The whole run's status, from those of its batches. */
static void
finish_task(LoadTask *task)
{
	Run *run = task->run;

	if (run->status == RUN_RUNNING)
	{
		if (task->paused && run->reason == NULL)
			run->reason = psprintf("paused: %s",
								   task->pause_reason != NULL ? task->pause_reason : "");
		if (task->blocked || task->paused)
			run->status = RUN_BLOCKED;
		else if (task->published || run->rows_in > 0)
			run->status = RUN_SUCCEEDED;
		else
			run->status = RUN_NOTHING;
	}
	run_finish(run);
}

static void
finish_runs(LoadSession *session)
{
	ListCell *cell;

	foreach(cell, session->tasks)
	{
		LoadTask *task = lfirst(cell);

		if (task->run != NULL)
			finish_task(task);
	}
}

static void
skip_all(List *runs, const char *reason, bool quiet)
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

/* ---- steps ---- */

static bool
prepare_work(void *argument)
{
	session_prepare(argument);
	return true;
}

static bool
start_work(void *argument)
{
	LoadSession *session = argument;

	if (!session->exact)
		session->stop = source_position(session->control, &session->stop_time);
	stream_start(session);
	return true;
}

/* What a failed step had opened was closed with it. */
static ErrorData *
start_stream(LoadSession *session)
{
	ErrorData *error = guarded_run(start_work, session);

	if (error != NULL)
	{
		session->streaming = NULL;
		session->state = NULL;
	}
	return error;
}

static ErrorData *
prepare(LoadSession *session)
{
	ErrorData *error = guarded_run(prepare_work, session);

	if (error != NULL)
		session->control = NULL;
	return error;
}

static List *
current_targets(LoadSession *session)
{
	List *ids = NIL;
	ListCell *cell;

	foreach(cell, session->tasks)
	{
		LoadTask *task = lfirst(cell);

		if (!task->stopped && !task->paused && !task->blocked &&
			task->load->state == LOAD_STREAMING &&
			(task->run == NULL || task->run->error_sqlstate == NULL))
			ids = lappend_int(ids, task->target->id);
	}
	return ids;
}

static void
record_progress(LoadSession *session, bool changed)
{
	TimestampTz time;
	XLogRecPtr end = stream_batch_end(session, &time);
	ListCell *cell;

	if (end <= session->stream->applied_lsn ||
		(!changed && end - session->stream->applied_lsn < IDLE_ADVANCE))
		return;
	stream_advance(session->stream, end, time);
	/* what the caller may still roll back must not be told to the source */
	if (!session->options->commit)
		session->stream->own_write = true;
	session->advanced = true;
	foreach(cell, session->tasks)
	{
		LoadTask *task = lfirst(cell);

		if (task->attempted && !task->stopped)
			load_set_applied(task->target->id, end);
	}
	loads_set_data_as_of(current_targets(session), time);
}

static bool
has_changes(LoadSession *session)
{
	ListCell *cell;

	foreach(cell, session->tasks)
		if (((LoadTask *) lfirst(cell))->delta != NULL)
			return true;
	return false;
}

static bool
batch_work(void *argument)
{
	LoadSession *session = argument;
	bool changed;

	session->advanced = false;
	session->at_stop = stream_read_batch(session);
	changed = has_changes(session);
	if (changed)
		deliver(session);
	record_progress(session, changed || session->delivered);
	return true;
}

static bool
end_work(void *argument)
{
	LoadSession *session = argument;
	SourceSlot *slot;

	deliver_waiting(session);
	loads_set_data_as_of(current_targets(session), session->stop_time);
	slot = source_slot_describe(session->control, session->stream->slot_name);
	stream_set_source(session->server->name,
					  Max(session->stream->applied_lsn, session->stop),
					  session->stop,
					  slot->retained_bytes,
					  slot->safe_wal_size);
	return true;
}

/* ---- batches ---- */

/* What an aborted batch had made is gone, with the rows of the runs begun in it. */
static void
forget_batch(LoadSession *session, List *without_run)
{
	ListCell *cell;

	foreach(cell, session->tasks)
	{
		LoadTask *task = lfirst(cell);

		task->delta = NULL;
		if (task->run != NULL && list_member_ptr(without_run, task))
			task->run->id = 0;
	}
	MemoryContextReset(session->batch);
	MemoryContextReset(session->row);
	session->serial++;
}

static List *
tasks_without_run(LoadSession *session)
{
	List *tasks = NIL;
	ListCell *cell;

	foreach(cell, session->tasks)
	{
		LoadTask *task = lfirst(cell);

		if (task->run == NULL || task->run->id == 0)
			tasks = lappend(tasks, task);
	}
	return tasks;
}

/* An error of one table: it is left out, and the stream read again from the last position. */
static ErrorData *
leave_out(LoadSession *session, LoadTask *task, ErrorData *error)
{
	error = session_without_values(session, error);
	session_stop_task(session,
					  task,
					  LOAD_NEEDS_RESYNC,
					  error->sqlerrcode,
					  error->message,
					  session_resync_hint(task));
	stream_stop(session);
	return start_stream(session);
}

static ErrorData *
one_batch(LoadSession *session)
{
	for (;;)
	{
		List *without_run = tasks_without_run(session);
		int64 batch_number = session->stream->batch_number;
		XLogRecPtr applied = session->stream->applied_lsn;
		LoadTask *blamed;
		ErrorData *error;

		session->current = NULL;
		error = guarded_run(batch_work, session);
		if (error == NULL)
			return NULL;
		blamed = session->current;
		session->stream->batch_number = batch_number;
		session->stream->applied_lsn = applied;
		forget_batch(session, without_run);
		if (blamed == NULL)
			return error;
		error = leave_out(session, blamed, error);
		if (error != NULL)
			return error;
	}
}

typedef struct Confirmation
{
	LoadSession *session;
	XLogRecPtr position;
} Confirmation;

static bool
confirm_work(void *argument)
{
	Confirmation *confirmation = argument;

	stream_confirm(confirmation->session, confirmation->position);
	return true;
}

/* Commit the batch, and let the source forget it once it is on disk here. */
static ErrorData *
commit_batch(LoadSession *session)
{
	Confirmation confirmation = {session, session->stream->applied_lsn};

	session_commit(session);
	if (session->overtaken || !session->advanced)
		return NULL;
	XLogFlush(XactLastCommitEnd);
	return guarded_run(confirm_work, &confirmation);
}

static bool
is_late(const LoadSession *session)
{
	return session->options->deadline != 0 && session->options->deadline <= GetCurrentTimestamp();
}

static ErrorData *
read_stream(LoadSession *session)
{
	ErrorData *error = start_stream(session);

	session->at_stop = false;
	while (error == NULL && !session->at_stop && !session->overtaken && !is_late(session))
	{
		error = one_batch(session);
		if (error == NULL && session->options->commit)
			error = commit_batch(session);
	}
	return error;
}

static void
run_session(LoadSession *session)
{
	ErrorData *error = prepare(session);

	if (error != NULL)
	{
		fail_all(session, error);
		return;
	}
	session_record(session);
	if (session->options->commit)
		session_commit(session);
	if (!session_has_stream(session) || session->overtaken)
		return;
	copy_new_tables(session);
	if (session->options->commit)
		session_commit(session);
	if (session->overtaken)
		return;
	error = read_stream(session);
	if (error == NULL && session->at_stop && !session->overtaken)
		error = guarded_run(end_work, session);
	if (error != NULL)
		fail_all(session, error);
}

/* ---- entry points ---- */

static LoadTask *
find_task(LoadSession *session, int32 target_id)
{
	ListCell *cell;

	foreach(cell, session->tasks)
		if (((LoadTask *) lfirst(cell))->target->id == target_id)
			return lfirst(cell);
	return NULL;
}

void
load_refresh(List *targets, List *runs, const LoadRefreshOptions *options)
{
	char *server = load_server(((Target *) linitial(targets))->id);
	MemoryContext old = CurrentMemoryContext;
	LoadSession *session;
	ListCell *target;
	ListCell *run;

	if (!session_lock(server, options->wait))
	{
		skip_all(runs, "another run reads the stream of the server", options->quiet);
		return;
	}
	session = session_begin(server, options);
	MemoryContextSwitchTo(session->context);
	forboth(target, targets, run, runs)
	{
		LoadTask *task = find_task(session, ((Target *) lfirst(target))->id);

		if (!options->quiet || ((Run *) lfirst(run))->id != 0)
			task->run = lfirst(run);
		task->asked = true;
	}
	run_session(session);
	finish_runs(session);
	/* the texts of the runs are the caller's */
	MemoryContextSwitchTo(old);
	forboth(target, targets, run, runs)
	{
		Run *kept = lfirst(run);
		LoadTask *task = find_task(session, ((Target *) lfirst(target))->id);

		if (task->run == NULL)
			kept->status = RUN_NOTHING;
		else if (task->run != kept)
			*kept = *task->run;
		/* that of the task goes with the session */
		kept->target = lfirst(target);
		kept->reason = kept->reason == NULL ? NULL : pstrdup(kept->reason);
		kept->error_sqlstate = kept->error_sqlstate == NULL ? NULL : pstrdup(kept->error_sqlstate);
		kept->error_message = kept->error_message == NULL ? NULL : pstrdup(kept->error_message);
		kept->error_hint = kept->error_hint == NULL ? NULL : pstrdup(kept->error_hint);
	}
	session_end(session);
}

char *
load_server(int32 target_id)
{
	Load *load = load_get(target_id);

	if (load == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("target %d has no load", target_id)));
	return load->server_name;
}

/* ---- for verify ---- */

typedef struct Reading
{
	LoadSession *session;
	LoadTask *task;
	CopySource *source;
	TupleDesc columns;
	Tuplestorestate *rows;
	uint64 count;
} Reading;

static bool
open_reading_work(void *argument)
{
	Reading *reading = argument;

	reading->source = copy_source_open(reading->session);
	return true;
}

static bool
read_rows_work(void *argument)
{
	Reading *reading = argument;

	reading->count = copy_rows(reading->session,
							   reading->task,
							   reading->source,
							   reading->columns,
							   NULL,
							   reading->rows);
	return true;
}

/* Bring the stream exactly to the position of the reading; returns why not. */
static char *
catch_up_exactly(Reading *reading)
{
	LoadSession *session = reading->session;
	LoadTask *task = reading->task;
	ErrorData *error = prepare(session);

	if (error != NULL)
		return error->message;
	session_record(session);
	if (!session_has_stream(session) || task->stopped || task->load->state != LOAD_STREAMING)
		return task->load->reason != NULL
				   ? task->load->reason
				   : psprintf("the load is %s", load_state_name(task->load->state));
	error = guarded_run(open_reading_work, reading);
	if (error != NULL)
		return error->message;
	session->exact = true;
	session->stop = reading->source->position;
	error = read_stream(session);
	if (error == NULL)
		error = guarded_run(end_work, session);
	if (error != NULL)
		return error->message;
	return task->stopped ? task->load->reason : NULL;
}

/* The columns that the load owns, in the order of its deltas. */
static TupleDesc
owned_columns(const LoadTask *task)
{
	Delta *delta = delta_create(task->target->relid,
								task->columns,
								task->key,
								FOLD_NONE,
								CurrentMemoryContext);
	TupleDesc columns = CreateTupleDescCopy(delta->columns);

	delta_destroy(delta);
	return columns;
}

static char *
read_source(Reading *reading)
{
	char *problem = catch_up_exactly(reading);
	ErrorData *error;

	if (problem != NULL)
		return problem;
	reading->columns = owned_columns(reading->task);
	reading->rows = tuplestore_begin_heap(true, false, work_mem);
	error = guarded_run(read_rows_work, reading);
	if (error == NULL)
		return NULL;
	return session_without_values(reading->session, error)->message;
}

bool
load_read_source(Target *target, Tuplestorestate **rows, TupleDesc *desc, uint64 *nrows,
				 char **reason)
{
	static const LoadRefreshOptions options = {.commit = false, .wait = false};
	char *server = load_server(target->id);
	Reading reading = {0};
	char *problem;

	run_check_enabled();
	if (!session_lock(server, false))
	{
		*reason = pstrdup("another run reads the stream of the server");
		return false;
	}
	reading.session = session_begin(server, &options);
	reading.task = find_task(reading.session, target->id);
	problem = read_source(&reading);
	*reason = problem == NULL ? NULL : pstrdup(problem);
	*rows = reading.rows;
	*desc = reading.columns;
	*nrows = reading.count;
	finish_runs(reading.session);
	if (reading.source != NULL)
		copy_source_close(reading.source);
	session_end(reading.session);
	return problem == NULL;
}
