/*-------------------------------------------------------------------------
 *
 * step.c
 *		The steps of a session.
 *
 * Each runs in guarded_run().  An error that belongs to one table stops that
 * table (it needs a resync: changes of it pass by) and the step is done again
 * without it; any other error ends the run of all tables.
 *
 * What a batch allocates on its way lives in session->turn, until the next.
 *
 *-------------------------------------------------------------------------
 */
#include "load/step.h"

#include "access/xlog.h"
#include "core/guarded.h"
#include "core/transaction.h"
#include "load/basis.h"
#include "load/copy.h"
#include "load/deliver.h"
#include "load/labels.h"
#include "load/rowreader.h"
#include "load/runs.h"
#include "load/stream.h"
#include "load/witness.h"
#include "utils/memutils.h"

/* An idle stream is recorded only when it has moved so far, or so long ago. */
#define IDLE_ADVANCE (8 * 1024 * 1024)
#define IDLE_ADVANCE_AFTER USECS_PER_MINUTE

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

	if (!session->exact && !session->following)
	{
		SourceNow now;

		witness_mark(session);
		basis_look_at_leaves(session, PG_UINT64_MAX);
		now = source_now(session->control);
		session->stop = session->leaves_position = now.position;
		session->stop_time = now.time;
	}
	stream_start(session);
	return true;
}

/* What a failed step had opened was closed with it. */
ErrorData *
step_start(LoadSession *session)
{
	ErrorData *error = guarded_run(start_work, session);

	if (error != NULL)
	{
		session->streaming = NULL;
		session->state = NULL;
	}
	return error;
}

typedef struct Waiting
{
	LoadSession *session;
	char *reason;
} Waiting;

static bool
waiting_work(void *argument)
{
	Waiting *waiting = argument;
	LoadSession *session = waiting->session;

	session->control = connection_open(session->server);
	waiting->reason = copy_waits_for(session);
	connection_close(session->control);
	session->control = NULL;
	return true;
}

static List *
all_targets(const LoadSession *session)
{
	List *ids = NIL;
	ListCell *cell;

	foreach(cell, session->tasks)
		ids = lappend_int(ids, ((LoadTask *) lfirst(cell))->target->id);
	return ids;
}

/* Was it for a transaction of the source that the slot of the stream was not made? */
static bool
waits_for_slot(LoadSession *session, ErrorData *error)
{
	bool waits = session->making_slot && error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE;

	session->making_slot = false;
	return waits;
}

/* Say for what the stream waits; false when it is not to wait any longer. */
static bool
say_waiting(LoadSession *session, ErrorData **error)
{
	const LoadRefreshOptions *options = session->options;
	Waiting waiting = {.session = session};
	ErrorData *failed = guarded_run(waiting_work, &waiting);

	if (failed != NULL)
	{
		*error = failed;
		session->control = NULL;
		return false;
	}
	(*error)->message = waiting.reason;
	loads_set_waiting(all_targets(session), waiting.reason);
	session_commit(session);
	return !session->overtaken && (options->must_end == NULL || !options->must_end()) &&
		   (options->deadline == 0 || GetCurrentTimestamp() < options->deadline);
}

/* Where it can be said, the slot of a stream is waited for in turns, each longer. */
ErrorData *
step_prepare(LoadSession *session)
{
	ErrorData *error;
	bool waited = false;

	session->slot_wait_ms = session->options->commit ? FIRST_WAIT_MS : 0;
	while ((error = guarded_run(prepare_work, session)) != NULL)
	{
		session->control = NULL;
		if (!waits_for_slot(session, error) || !say_waiting(session, &error))
			break;
		waited = true;
		session->slot_wait_ms = Min(session->slot_wait_ms * 2, LONGEST_WAIT_MS);
	}
	if (error == NULL && waited)
		loads_set_waiting(all_targets(session), NULL);
	return error;
}

List *
step_current_targets(LoadSession *session)
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

/* Is a position worth a write although no change came with it? */
static bool
is_far(const LoadSession *session, XLogRecPtr position)
{
	return position - session->stream->applied_lsn >= IDLE_ADVANCE ||
		   GetCurrentTimestamp() - session->recorded_at >= IDLE_ADVANCE_AFTER;
}

/*
 * Which tables are complete as of the batch: all that are current, but in a
 * stream that goes on that is written for tables without a change once in a
 * while only; what is known meanwhile is in shared memory (see follow.c).
 */
static List *
complete_targets(LoadSession *session, List *attempted)
{
	TimestampTz now = GetCurrentTimestamp();

	if (session->following && now - session->all_recorded_at < IDLE_ADVANCE_AFTER)
		return list_intersection_int(attempted, step_current_targets(session));
	session->all_recorded_at = now;
	return step_current_targets(session);
}

static void
record_progress(LoadSession *session, bool changed)
{
	TimestampTz time;
	XLogRecPtr end = stream_batch_end(session, &time);
	const SourceCommit *commit = stream_last_commit(session);
	List *attempted = NIL;
	ListCell *cell;

	if (end <= session->stream->applied_lsn)
		return;
	if (session->beside)
	{
		/* the slot is its own: what is written is the position of the tables */
		session->stream->applied_lsn = end;
		session->advanced = true;
		if (changed)
			loads_set_applied(step_current_targets(session), end);
		return;
	}
	changed |= commit->end > session->stream->commit.end && witness_wanted(session);
	if (!changed && !is_far(session, end))
		return;
	foreach(cell, session->tasks)
	{
		LoadTask *task = lfirst(cell);

		if (task->attempted && !task->stopped)
			attempted = lappend_int(attempted, task->target->id);
	}
	stream_advance(session->stream,
				   end,
				   commit,
				   attempted,
				   complete_targets(session, attempted),
				   time);
	/* what the caller may still roll back must not be told to the source */
	if (!session->options->commit)
		session->stream->own_write = true;
	session->advanced = true;
	session->recorded_at = GetCurrentTimestamp();
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
	session->delivered = false;
	session->at_stop = stream_read_batch(session);
	changed = has_changes(session);
	if (changed)
		deliver(session);
	record_progress(session, changed || session->delivered);
	if (session->following)
		runs_fold(session);
	return true;
}

static bool
end_work(void *argument)
{
	LoadSession *session = argument;
	SourceSlot *slot;

	deliver_waiting(session);
	(void) basis_judge_leaves(session);
	loads_set_data_as_of(step_current_targets(session), session->stop_time);
	slot = source_slot_describe(session->control, session->stream->slot_name);
	stream_set_source(session->server->name,
					  Max(session->stream->applied_lsn, session->stop),
					  session->stop,
					  slot->retained_bytes,
					  slot->safe_wal_size);
	return true;
}

ErrorData *
step_end(LoadSession *session)
{
	return guarded_run(end_work, session);
}

/* ---- batches ---- */

/* The reader goes with the batch; the column that it read is needed for the message. */
static void
keep_reading(LoadSession *session)
{
	session->reading = session->reader == NULL || session->reader->reading == NULL
						   ? NULL
						   : MemoryContextStrdup(session->turn, session->reader->reading);
	session->reader = NULL;
}

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
	runs_forget_batch(session);
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
	return step_start(session);
}

/*
 * Was it for a label that the source's enum type has got?  Then the batch can be
 * read again, after a commit.  *error: why it cannot.
 */
static bool
added_labels(LoadSession *session, LoadTask *task, ErrorData **error)
{
	ErrorData *failed = *error;
	bool invalid = failed->sqlerrcode == ERRCODE_INVALID_TEXT_REPRESENTATION;

	if (!invalid && failed->sqlerrcode != ERRCODE_UNSAFE_NEW_ENUM_VALUE_USAGE)
		return false;
	if (invalid && !labels_add(session, task, error))
	{
		if (*error == NULL)
			*error = failed;
		return false;
	}
	stream_stop(session);
	if (session->options->commit)
	{
		session->reading = NULL;
		session_commit(session);
		*error = session->overtaken ? NULL : step_start(session);
		return true;
	}
	failed->sqlerrcode = ERRCODE_UNSAFE_NEW_ENUM_VALUE_USAGE;
	*error = session_without_values(session, failed);
	return true;
}

static ErrorData *
try_batch(LoadSession *session)
{
	for (;;)
	{
		List *without_run = tasks_without_run(session);
		Stream before = *session->stream;
		LoadTask *blamed;
		ErrorData *error;

		session->current = NULL;
		error = guarded_run(batch_work, session);
		if (error == NULL)
			return NULL;
		/* that there is no room to read a change is not for its table to mend */
		blamed = guarded_is_no_room(error) ? NULL : session->current;
		*session->stream = before;
		keep_reading(session);
		forget_batch(session, without_run);
		if (blamed == NULL)
			return error;
		if (session->beside)
		{
			ErrorData *labels = NULL;

			/* it has no position to begin again from */
			if (error->sqlerrcode == ERRCODE_INVALID_TEXT_REPRESENTATION)
				(void) labels_add(session, blamed, &labels);
			error = session_without_values(session, error);
			session_task_error(session, blamed, error);
			return error;
		}
		if (added_labels(session, blamed, &error))
		{
			if (error != NULL || session->overtaken)
				return error;
			continue;
		}
		error = leave_out(session, blamed, error);
		if (error != NULL)
			return error;
	}
}

ErrorData *
step_batch(LoadSession *session)
{
	MemoryContext old;
	ErrorData *error;

	session->reading = NULL;
	MemoryContextReset(session->turn);
	old = MemoryContextSwitchTo(session->turn);
	if (session->following)
		runs_begin_batch(session);
	error = try_batch(session);
	MemoryContextSwitchTo(old);
	return error;
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

ErrorData *
step_confirm(LoadSession *session, XLogRecPtr position)
{
	Confirmation confirmation = {session, position};

	return guarded_run(confirm_work, &confirmation);
}

ErrorData *
step_commit(LoadSession *session)
{
	MemoryContext old;
	ErrorData *error;

	session_commit(session);
	if (session->overtaken || !session->advanced)
		return NULL;
	XLogFlush(XactLastCommitEnd);
	if (!transaction_is_safe(XactLastCommitEnd))
		return NULL; /* a later one tells it */
	old = MemoryContextSwitchTo(session->turn);
	error = step_confirm(session, session->stream->applied_lsn);
	MemoryContextSwitchTo(old);
	return error;
}

static bool
is_late(const LoadSession *session)
{
	return session->options->deadline != 0 && session->options->deadline <= GetCurrentTimestamp();
}

static bool
is_told(const LoadSession *session)
{
	return session->options->must_end != NULL && session->options->must_end();
}

ErrorData *
step_read(LoadSession *session)
{
	ErrorData *error = step_start(session);

	session->at_stop = false;
	while (error == NULL && !session->at_stop && !session->overtaken && !is_late(session) &&
		   !is_told(session))
	{
		error = step_batch(session);
		if (error == NULL && session->options->commit)
			error = step_commit(session);
	}
	return error;
}


/* ---- all of them ---- */

ErrorData *
step_catch_up(LoadSession *session)
{
	ErrorData *error = step_prepare(session);

	if (error != NULL)
	{
		runs_fail(session, error);
		return error;
	}
	session_record(session);
	if (session_has_stream(session))
		labels_add_all(session);
	if (session->options->commit)
		session_commit(session);
	if (!session_has_stream(session) || session->overtaken)
		return NULL;
	if (session->options->copied_beside)
		copy_mark_tables(session);
	else
		copy_new_tables(session);
	if (session->options->commit)
		session_commit(session);
	if (session->overtaken)
		return NULL;
	error = step_read(session);
	if (error == NULL && session->at_stop && !session->overtaken)
		error = step_end(session);
	if (error != NULL)
		runs_fail(session, error);
	return error;
}
