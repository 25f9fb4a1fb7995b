/*-------------------------------------------------------------------------
 *
 * step.c
 *		The steps of a session.
 *
 * Each runs in guarded_run().  An error that belongs to one table stops that
 * table (it needs a resync, because its changes pass by) and the step is
 * repeated without it.  Any other error ends the run of all tables.
 *
 * A batch allocates temporary memory in session->turn, which lives until the
 * next batch.
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
#include "load/evolve.h"
#include "load/labels.h"
#include "load/prepare.h"
#include "load/progress.h"
#include "load/rowreader.h"
#include "load/runs.h"
#include "load/slotwait.h"
#include "load/waiting.h"
#include "load/witness.h"
#include "utils/memutils.h"

/* ---- starting ---- */

static bool
start_work(void *argument)
{
	LoadSession *session = argument;
	Transport *transport = &session->transport;
	MemoryContext old;

	if (!transport->exact && !session->set.following)
	{
		SourceNow now;

		witness_mark(&session->source, session->stream, &session->set);
		basis_look_at_leaves(&session->leaves, &session->set, &session->source, PG_UINT64_MAX);
		now = source_now(session->source.control);
		transport->stop = session->leaves.position = now.position;
		transport->stop_time = now.time;
	}
	old = MemoryContextSwitchTo(session->set.context);
	stream_start(transport,
				 &session->source,
				 session->stream,
				 take_in_binary(&session->set, &session->source, session->stream),
				 session->options->commit);
	take_begin(&session->taking, &session->set, transport);
	MemoryContextSwitchTo(old);
	return true;
}

/* The connection of a failed step was closed with it. */
ErrorData *
step_start(LoadSession *session)
{
	ErrorData *error = guarded_run(start_work, session);

	if (error != NULL)
		stream_forget(&session->transport);
	return error;
}

/* ---- preparing ---- */

static bool
prepare_work(void *argument)
{
	prepare_session(argument);
	return true;
}

/* The connection of a failed attempt was closed with it. */
static bool
was_for_slot(LoadSession *session)
{
	bool making_slot = session->prepared.making_slot;

	session->prepared.making_slot = false;
	session->source.control = NULL;
	return making_slot;
}

static void
report_waiting(LoadSession *session, const char *reason)
{
	List *ids = NIL;
	ListCell *cell;

	foreach(cell, session->set.tasks)
		ids = lappend_int(ids, ((LoadTask *) lfirst(cell))->target->id);
	loads_set_waiting(ids, reason);
}

static bool
is_late(const LoadSession *session)
{
	return session->options->deadline != 0 && session->options->deadline <= GetCurrentTimestamp();
}

/* Does the caller want the session to end? */
static bool
must_end(const LoadSession *session)
{
	return session->options->must_end != NULL && session->options->must_end();
}

static bool
goes_on(const LoadSession *session)
{
	return !session->overtaken && !must_end(session) && !is_late(session);
}

ErrorData *
step_prepare(LoadSession *session)
{
	const SlotWait wait = {.make = prepare_work,
						   .argument = session,
						   .was_for_slot = was_for_slot,
						   .report = report_waiting,
						   .goes_on = goes_on};

	return slotwait_make(session, &wait);
}

/* ---- batches ---- */

static bool
has_changes(LoadSession *session)
{
	ListCell *cell;

	foreach(cell, session->set.tasks)
		if (((LoadTask *) lfirst(cell))->delta != NULL)
			return true;
	return false;
}

/* Where the changes so far end, unless that is within a transaction. */
static XLogRecPtr
batch_end(const LoadSession *session)
{
	const Decoder *decoder = &session->taking.decoder;

	return decoder->in_transaction ? InvalidXLogRecPtr : decoder->end;
}

/*
 * Tables that arrive in another layout: their changes so far are delivered,
 * then the target follows.  The position of the batch is recorded even if no
 * later change arrives.
 */
static bool
follow_layouts(LoadSession *session)
{
	TaskSet *set = &session->set;
	bool delivered = false;
	LoadTask *task;
	List *names;
	List *types;

	while ((task = take_next_layout(&session->taking, &names, &types)) != NULL)
	{
		deliver(set, batch_end(session));
		delivered = true;
		set->current = task;
		evolve_follow(session->source.control, task, names, types);
		set->current = NULL;
	}
	return delivered;
}

static bool
batch_work(void *argument)
{
	LoadSession *session = argument;
	bool delivered = false;
	TakeResult result;
	bool changed;

	session->progress.advanced = false;
	take_begin_batch(&session->taking);
	while ((result = take_read(&session->taking)) == TAKE_LAYOUT || result == TAKE_VERSION)
	{
		if (result == TAKE_LAYOUT)
			delivered |= follow_layouts(session);
		else
		{
			deliver(&session->set, batch_end(session));
			delivered = true;
		}
	}
	session->progress.at_stop = result == TAKE_STOP;
	changed = has_changes(session);
	if (changed)
		deliver(&session->set, batch_end(session));
	progress_record(session, changed || delivered);
	if (session->set.following)
		runs_fold(&session->set);
	return true;
}

static bool
end_work(void *argument)
{
	LoadSession *session = argument;

	(void) basis_judge_leaves(&session->leaves,
							  &session->set,
							  &session->source,
							  session->taking.decoder.end);
	progress_record_stop(session);
	return true;
}

static bool
waiting_work(void *argument)
{
	LoadSession *session = argument;

	waiting_publish(&session->set);
	return true;
}

/*
 * A stream that is followed takes what remains of a park between its batches.
 * In a function all bites are in the caller's transaction, but only one at a
 * time is in memory.
 */
static ErrorData *
publish_waiting(LoadSession *session)
{
	for (;;)
	{
		ErrorData *error = guarded_run(waiting_work, session);

		if (error != NULL || !session->set.more || session->options->must_end != NULL ||
			is_late(session))
			return error;
		if (session->options->commit)
			session_commit(session);
		if (session->overtaken)
			return NULL;
	}
}

ErrorData *
step_end(LoadSession *session)
{
	ErrorData *error = publish_waiting(session);

	return error != NULL || session->overtaken ? error : guarded_run(end_work, session);
}

/* ---- errors ---- */

/* The reader is freed with the batch; the column that it read is needed for the message. */
static void
keep_reading(LoadSession *session)
{
	session->set.reading = session->set.reader == NULL || session->set.reader->reading == NULL
							   ? NULL
							   : MemoryContextStrdup(session->turn, session->set.reader->reading);
	session->set.reader = NULL;
}

/* Everything from an aborted batch is lost, including the rows of its new runs. */
static void
forget_batch(LoadSession *session, List *without_run)
{
	ListCell *cell;

	foreach(cell, session->set.tasks)
	{
		LoadTask *task = lfirst(cell);

		task->delta = NULL;
		if (task->run != NULL && list_member_ptr(without_run, task))
			task->run->id = 0;
	}
	runs_forget_batch(&session->set);
	MemoryContextReset(session->set.row);
	task_end_batch(&session->set);
}

static List *
tasks_without_run(LoadSession *session)
{
	List *tasks = NIL;
	ListCell *cell;

	foreach(cell, session->set.tasks)
	{
		LoadTask *task = lfirst(cell);

		if (task->run == NULL || task->run->id == 0)
			tasks = lappend(tasks, task);
	}
	return tasks;
}

/*
 * After an error of one table: leave the table out, and read the stream again
 * from the last position.
 */
static ErrorData *
leave_out(LoadSession *session, LoadTask *task, ErrorData *error)
{
	error = task_without_values(&session->set, error);
	task_stop(task, LOAD_NEEDS_RESYNC, error->sqlerrcode, error->message, task_resync_hint(task));
	stream_stop(&session->transport);
	return step_start(session);
}

/*
 * Was the error caused by a new label of an enum type of the source?  Then the
 * batch can be read again after a commit.  *error: the reason why not.
 */
static bool
added_labels(LoadSession *session, LoadTask *task, ErrorData **error)
{
	ErrorData *failed = *error;
	bool invalid = failed->sqlerrcode == ERRCODE_INVALID_TEXT_REPRESENTATION;

	if (!invalid && failed->sqlerrcode != ERRCODE_UNSAFE_NEW_ENUM_VALUE_USAGE)
		return false;
	if (invalid && !labels_add(session->source.control, task, error))
	{
		if (*error == NULL)
			*error = failed;
		return false;
	}
	stream_stop(&session->transport);
	if (session->options->commit)
	{
		session->set.reading = NULL;
		session_commit(session);
		*error = session->overtaken ? NULL : step_start(session);
		return true;
	}
	failed->sqlerrcode = ERRCODE_UNSAFE_NEW_ENUM_VALUE_USAGE;
	*error = task_without_values(&session->set, failed);
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

		session->set.current = NULL;
		error = guarded_run(batch_work, session);
		if (error == NULL)
			return NULL;
		/* a lack of memory or disk space is not the fault of the table */
		blamed = guarded_is_no_room(error) ? NULL : session->set.current;
		*session->stream = before;
		keep_reading(session);
		forget_batch(session, without_run);
		if (blamed == NULL)
			return error;
		if (session->beside)
		{
			ErrorData *labels = NULL;

			/* it has no position from which to begin again */
			if (error->sqlerrcode == ERRCODE_INVALID_TEXT_REPRESENTATION)
				(void) labels_add(session->source.control, blamed, &labels);
			error = task_without_values(&session->set, error);
			task_fail(blamed, error);
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

	session->set.reading = NULL;
	MemoryContextReset(session->turn);
	old = MemoryContextSwitchTo(session->turn);
	if (session->set.following)
		runs_begin_batch(&session->set);
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

	stream_confirm(&confirmation->session->transport, confirmation->position);
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
	if (session->overtaken || !session->progress.advanced)
		return NULL;
	XLogFlush(XactLastCommitEnd);
	if (!transaction_is_safe(XactLastCommitEnd))
		return NULL; /* a later commit confirms it */
	old = MemoryContextSwitchTo(session->turn);
	error = step_confirm(session, session->stream->applied_lsn);
	MemoryContextSwitchTo(old);
	return error;
}

ErrorData *
step_read(LoadSession *session)
{
	ErrorData *error = step_start(session);

	session->progress.at_stop = false;
	while (error == NULL && !session->progress.at_stop && goes_on(session))
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
	prepare_record(session);
	if (session_has_stream(session))
		labels_add_all(session->source.control, &session->set);
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
	if (error == NULL && session->progress.at_stop && !session->overtaken)
		error = step_end(session);
	if (error != NULL)
		runs_fail(session, error);
	return error;
}
