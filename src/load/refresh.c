/*-------------------------------------------------------------------------
 *
 * refresh.c
 *		Refresh of the loads of a server.
 *
 * The steps are: examine the source, create missing objects there (nothing is
 * written here before); copy new tables; read the stream batch by batch up to
 * the position of the source at the start of the stream.  In a procedure each
 * step is committed, and the position is confirmed to the source after the
 * commit is on disk.  In a function everything belongs to the transaction of
 * the caller, and the next run confirms it.
 *
 * Each step runs in guarded_run().  An error that belongs to one table stops
 * that table (it needs a resync, because its changes pass by) and the step is
 * repeated without it.  Any other error ends the run of all tables.
 *
 *-------------------------------------------------------------------------
 */
#include "load/refresh.h"

#include "core/guarded.h"
#include "core/shmem.h"
#include "load/copy.h"
#include "load/prepare.h"
#include "load/runs.h"
#include "load/step.h"
#include "load/streamlock.h"

/* ---- the run of a session ---- */

/* The runs of the tasks that the caller requested. */
void
refresh_attach(LoadSession *session, List *targets, List *runs)
{
	ListCell *target;
	ListCell *run;

	forboth(target, targets, run, runs)
	{
		LoadTask *task = task_find(&session->set, ((Target *) lfirst(target))->id);

		if (task == NULL)
			continue; /* dropped since */
		if (!session->set.quiet || ((Run *) lfirst(run))->id != 0)
			task->run = lfirst(run);
		task->asked = true;
	}
}

static char *
copied(const char *text)
{
	return text == NULL ? NULL : pstrdup(text);
}

/* The outcome of the runs, with texts in the caller's memory context. */
static void
return_runs(LoadSession *session, List *targets, List *runs)
{
	ListCell *target;
	ListCell *run;

	forboth(target, targets, run, runs)
	{
		Run *kept = lfirst(run);
		LoadTask *task = task_find(&session->set, ((Target *) lfirst(target))->id);

		if (task == NULL || task->run == NULL)
			kept->status = RUN_NOTHING;
		else if (task->run != kept)
		{
			Target *own = kept->target;

			*kept = *task->run;
			kept->target = own; /* that of the task ends with the session */
		}
		kept->reason = copied(kept->reason);
		kept->error_sqlstate = copied(kept->error_sqlstate);
		kept->error_message = copied(kept->error_message);
		kept->error_hint = copied(kept->error_hint);
	}
}

/* ---- entry points ---- */

void
refresh_by_stream(const char *server, List *targets, List *runs, const LoadRefreshOptions *options)
{
	MemoryContext old = CurrentMemoryContext;
	LoadSession *session;

	if (!streamlock_take(server, options->wait))
	{
		runs_skip(runs, STREAM_IS_TAKEN, options->quiet);
		return;
	}
	session = session_begin(server, options);
	MemoryContextSwitchTo(session->set.context);
	refresh_attach(session, targets, runs);
	(void) step_catch_up(session);
	runs_finish(&session->set);
	MemoryContextSwitchTo(old);
	return_runs(session, targets, runs);
	session_end(session);
}

bool
load_stream_is_free(const char *server)
{
	return streamlock_take(server, false);
}

XLogRecPtr
load_source_position(const char *server)
{
	Connection *connection = connection_open(source_server_open(server));
	XLogRecPtr position = source_now(connection).position;

	connection_close(connection);
	return position;
}

/* ---- for verify ---- */

typedef struct Reading
{
	LoadSession *session;
	LoadTask *task;
	SourceSnapshot *snapshot;
	TupleDesc columns;
	Tuplestorestate *rows;
	uint64 count;
} Reading;

static bool
open_reading_work(void *argument)
{
	Reading *reading = argument;

	reading->snapshot = copy_open_snapshot(reading->session);
	return true;
}

static bool
read_rows_work(void *argument)
{
	Reading *reading = argument;

	reading->count = snapshot_rows(reading->snapshot,
								   reading->task,
								   reading->columns,
								   NULL,
								   reading->rows,
								   NULL);
	return true;
}

/* Bring the stream exactly to the position of the reading. Returns the reason if that fails. */
static char *
catch_up_exactly(Reading *reading)
{
	LoadSession *session = reading->session;
	LoadTask *task = reading->task;
	ErrorData *error = step_prepare(session);

	if (error != NULL)
		return error->message;
	prepare_record(session);
	if (!session_has_stream(session) || task->stopped || task->load->state != LOAD_STREAMING)
		return task->load->reason != NULL
				   ? task->load->reason
				   : psprintf("the load is %s", load_state_name(task->load->state));
	error = guarded_run(open_reading_work, reading);
	if (error != NULL)
		return error->message;
	session->transport.exact = true;
	session->transport.stop = reading->snapshot->position;
	error = step_read(session);
	if (error == NULL)
		error = step_end(session);
	if (error != NULL)
		return error->message;
	return task->stopped ? task->load->reason : NULL;
}

/* The columns that the load owns, in the order of its deltas. */
static TupleDesc
owned_columns(const LoadTask *task)
{
	Delta *delta =
		delta_create(task->target->relid, task->columns, task->key, CurrentMemoryContext);
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
	return task_without_values(&reading->session->set, error)->message;
}

bool
read_source_by_stream(const char *server, Target *target, Tuplestorestate **rows, TupleDesc *desc,
					  uint64 *nrows, char **reason)
{
	static const LoadRefreshOptions options = {.commit = false, .wait = false};
	Reading reading = {0};
	char *problem;

	run_check_enabled();
	/* a worker that follows the stream lends it */
	if (!streamlock_take(server, stream_ask(server, 0)))
	{
		*reason = pstrdup(STREAM_IS_TAKEN);
		return false;
	}
	reading.session = session_begin(server, &options);
	reading.task = task_find(&reading.session->set, target->id);
	problem = read_source(&reading);
	*reason = problem == NULL ? NULL : pstrdup(problem);
	*rows = reading.rows;
	*desc = reading.columns;
	*nrows = reading.count;
	runs_finish(&reading.session->set);
	if (reading.snapshot != NULL)
		snapshot_close(reading.snapshot);
	session_end(reading.session);
	return problem == NULL;
}
