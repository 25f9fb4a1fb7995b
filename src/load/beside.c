/*-------------------------------------------------------------------------
 *
 * beside.c
 *		Copies beside the stream that somebody follows.
 *
 * The one who follows the stream of a server does not wait for a copy: it
 * publishes the table at the source, marks the load 'copying', and passes over
 * its changes.  A process of its own copies it, as a native subscription does:
 *
 *		claim	an advisory lock per table: nobody else copies it
 *		copy	from the snapshot of a temporary slot (copy.c); what it has is
 *				committed, and the load stays 'copying'
 *		catch up	the same slot has kept what has changed since: read up to
 *				where the source is, again and again until that takes no time
 *		join	take the stream from its follower for a moment; read up to
 *				where that has got; the load is 'streaming' from there
 *
 * What holds, whatever ends in the middle:
 *
 *	- A load is 'streaming' only with a position at or behind that of the
 *	  stream.  Both are compared while nobody else has the stream, and the one
 *	  who has it next reads them anew: no change falls between, and none comes
 *	  twice, because the stream passes over what is before the load's position.
 *	- Until then it is 'copying', and what was copied has no position that
 *	  anybody goes on from.  A crash, a lost connection or an error leaves it so:
 *	  it is copied again, and then only the differences are written.
 *	- Whoever drops, pauses or resyncs the load meanwhile changes its state, and
 *	  wins: the state is looked at while it is copied, and again when it joins.
 *	- The slot is temporary: it ends with its connection.
 *	- A stream that was lost and made again is another one (its incarnation):
 *	  what was published for the old one does not join it.
 *
 * Tables that are small are copied several from one snapshot, each in its own
 * transaction, and join together, because for that the follower begins anew.
 *
 * What a copied table refers to is of another moment, until it joins: a key that
 * its reference lacks is pending, and looked at again afterwards.
 *
 * A slot is consistent only when all transactions of the source have ended that
 * ran when it was begun.  One that idles holds up the copy, and nothing else;
 * the load says which.
 *
 *-------------------------------------------------------------------------
 */
#include "load/beside.h"

#include "catalog/copies.h"
#include "catalog/attempts.h"
#include "core/guarded.h"
#include "core/shmem.h"
#include "core/transaction.h"
#include "load/copy.h"
#include "load/queue.h"
#include "load/runs.h"
#include "load/step.h"
#include "load/stream.h"
#include "load/streamlock.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "quality/references.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "utils/memutils.h"

/*
 * Tables of one snapshot: their number, and their size beyond which it is one
 * alone.  Each snapshot that joins makes the follower look at all tables of the
 * server again: where many wait, there are more in one, up to a number whose
 * locks are no burden.
 */
#define GROUP_TABLES 100
#define GROUP_TABLES_MOST 500
#define GROUP_SHARE 16
#define GROUP_BYTES (16 * 1024 * 1024)

/* A round of catching up that took no longer is the last, or one so late. */
#define SHORT_ROUND (500 * INT64CONST(1000))
#define ROUNDS_MOST 20

#define LOCK_POLL_MS 20

/* ---- which tables ---- */

static List *
waiting_candidates(const char *server)
{
	CatalogRows *rows = copies_waiting(server);
	List *candidates = NIL;

	for (uint64 i = 0; i < rows->count; i++)
	{
		CopyCandidate *candidate = palloc0(sizeof(CopyCandidate));

		candidate->target_id = catalog_int4(rows, i, WAITING_TARGET_ID);
		candidate->source_schema = catalog_text(rows, i, WAITING_SCHEMA);
		candidate->source_table = catalog_text(rows, i, WAITING_TABLE);
		candidate->relid = catalog_oid(rows, i, WAITING_RELID);
		candidate->failures = catalog_int4(rows, i, WAITING_FAILURES);
		candidate->due = catalog_bool(rows, i, WAITING_IS_DUE);
		candidates = lappend(candidates, candidate);
	}
	return candidates;
}

static void
release(int32 target_id)
{
	LOCKTAG tag = copy_lock_tag(target_id);

	(void) LockRelease(&tag, ExclusiveLock, true);
}

/* All of the group, or none; the locks are the process's, which copies nothing else. */
static bool
claim_group(List *group)
{
	ListCell *cell;

	foreach(cell, group)
	{
		LOCKTAG tag = copy_lock_tag(((CopyCandidate *) lfirst(cell))->target_id);

		if (LockAcquire(&tag, ExclusiveLock, true, true) != LOCKACQUIRE_NOT_AVAIL)
			continue;
		for (int i = 0; i < foreach_current_index(cell); i++)
			release(((CopyCandidate *) list_nth(group, i))->target_id);
		return false;
	}
	return true;
}

/* What has failed before may end the snapshot of the others: it is copied alone. */
static bool
has_failed(const List *group)
{
	ListCell *cell;

	foreach(cell, group)
		if (((CopyCandidate *) lfirst(cell))->failures > 0)
			return true;
	return false;
}

/*
 * One that is due brings the others along: those that refer to each other would
 * else be tried one by one for ever, and fail.
 */
static bool
is_due(const List *group)
{
	ListCell *cell;

	foreach(cell, group)
		if (((CopyCandidate *) lfirst(cell))->due)
			return true;
	return false;
}

/* Tasks for tables that are ours now; those that have changed since are let go. */
static List *
add_tasks(LoadSession *session, List *group)
{
	List *tasks = NIL;
	ListCell *cell;

	foreach(cell, group)
	{
		CopyCandidate *candidate = lfirst(cell);
		LoadTask *task = session_add_task(session, candidate->target_id);

		if (task == NULL || task->load->state != LOAD_COPYING || task->paused)
		{
			release(candidate->target_id);
			if (task != NULL)
				session->tasks = list_delete_ptr(session->tasks, task);
			continue;
		}
		task->asked = true;
		task->failures = candidate->failures;
		task->load->beside = true;
		tasks = lappend(tasks, task);
	}
	return tasks;
}

/* Lists of tasks, each of one transaction; all from one snapshot. */
static List *
choose_tables(LoadSession *session)
{
	List *candidates = waiting_candidates(session->server_name);
	int most = Min(Max(list_length(candidates) / GROUP_SHARE, GROUP_TABLES), GROUP_TABLES_MOST);
	List *chosen = NIL;
	int64 size = 0;
	int count = 0;
	ListCell *cell;

	if (list_length(candidates) > 1)
		queue_ask_sizes(session->control, candidates);
	foreach(cell, queue_groups(candidates))
	{
		List *group = lfirst(cell);
		ListCell *other;
		List *tasks;

		if (!is_due(group))
			continue;
		foreach(other, group)
			size += ((CopyCandidate *) lfirst(other))->size;
		count += list_length(group);
		if (chosen != NIL && (size > GROUP_BYTES || count > most || has_failed(group)))
			break;
		if (!claim_group(group))
			continue;
		tasks = add_tasks(session, group);
		if (tasks == NIL)
			continue;
		chosen = lappend(chosen, tasks);
		if (has_failed(group))
			break;
	}
	return chosen;
}

/* ---- the copy ---- */

static List *
ids_of_tasks(const LoadSession *session)
{
	List *ids = NIL;
	ListCell *cell;

	foreach(cell, session->tasks)
		if (!((LoadTask *) lfirst(cell))->stopped)
			ids = lappend_int(ids, ((LoadTask *) lfirst(cell))->target->id);
	return ids;
}

/* The one who follows the stream has published them: a change of that is for that one to see. */
static void
check_task(LoadSession *session, LoadTask *task, List *published)
{
	session_find_problem(task);
	if (task->problem != NULL)
		session_stop_task(session,
						  task,
						  task->problem_state,
						  task->problem_sqlstate,
						  task->problem,
						  task->problem_hint);
	else if (session->stream->publication_managed &&
			 !list_member_oid(published, task->source->relid))
		session_stop_task(session,
						  task,
						  LOAD_NEW,
						  ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
						  "its source table is not published (yet)",
						  NULL);
	if (task->stopped)
		session_failed(session, task, task->load->reason);
}

static void
check_tasks(LoadSession *session, List *tasks)
{
	MemoryContext old = MemoryContextSwitchTo(session->context);
	List *published = NIL;
	ListCell *cell;

	session_describe(session, tasks, session->control);
	if (session->stream->publication_managed)
		published = source_publication_relids(session->control, session->stream->publication);
	foreach(cell, tasks)
		check_task(session, lfirst(cell), published);
	MemoryContextSwitchTo(old);
}

/* Their runs are there before the copy begins; nothing is kept locked. */
static void
begin_runs(LoadSession *session)
{
	List *tasks = NIL;
	ListCell *cell;

	foreach(cell, session->tasks)
	{
		LoadTask *task = lfirst(cell);

		task->run = run_create(task->target, "worker");
		(void) session_run(session, task);
		if (!task->stopped)
			tasks = lappend(tasks, task);
	}
	check_tasks(session, tasks);
	copies_set_reason(ids_of_tasks(session), NULL);
	session_commit(session);
}

typedef struct Opening
{
	LoadSession *session;
	CopySource *source;
	char *reason;
} Opening;

static bool
open_work(void *argument)
{
	Opening *opening = argument;

	opening->source = copy_source_open(opening->session);
	return true;
}

static bool
reason_work(void *argument)
{
	Opening *opening = argument;

	opening->reason = copy_waits_for(opening->session);
	return true;
}

/* Does anybody still want one of the tables? */
static bool
any_wanted(const LoadSession *session)
{
	ListCell *cell;

	foreach(cell, session->tasks)
	{
		const LoadTask *task = lfirst(cell);

		if (!task->stopped && copy_unwanted(task->target->id) == NULL)
			return true;
	}
	return false;
}

/*
 * Each wait is longer than the one before: where one transaction follows the
 * other, none of them shorter than a wait, it comes to an end at last.
 */
static ErrorData *
open_source(LoadSession *session, CopySource **source)
{
	Opening opening = {.session = session};
	ErrorData *error;

	session->slot_wait_ms = FIRST_WAIT_MS;
	while ((error = guarded_run(open_work, &opening)) != NULL &&
		   error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE)
	{
		error = guarded_run(reason_work, &opening);
		if (error != NULL)
			return error;
		copies_set_reason(ids_of_tasks(session), opening.reason);
		session_commit(session);
		if (session->options->must_end() || !any_wanted(session))
			return NULL;
		session->slot_wait_ms = Min(session->slot_wait_ms * 2, LONGEST_WAIT_MS);
	}
	if (error == NULL && opening.reason != NULL)
	{
		copies_set_reason(ids_of_tasks(session), NULL);
		session_commit(session);
	}
	*source = opening.source;
	return error;
}

/* The source's transaction ends with the last table: it keeps locks, and rows from vacuum. */
static ErrorData *
copy_tables(LoadSession *session, List *groups, CopySource **source)
{
	ErrorData *error = open_source(session, source);
	ListCell *cell;

	if (error != NULL || *source == NULL)
		return error;
	foreach(cell, groups)
	{
		copy_together(session, lfirst(cell), source);
		session_commit(session);
		if (*source == NULL || session->options->must_end())
			break;
	}
	return NULL;
}

/* ---- catching up ---- */

static bool
is_live(const LoadTask *task)
{
	return !task->stopped && task->load->state == LOAD_STREAMING;
}

static bool
any_live(const LoadSession *session)
{
	ListCell *cell;

	foreach(cell, session->tasks)
		if (is_live(lfirst(cell)))
			return true;
	return false;
}

typedef struct Reading
{
	LoadSession *session;
	CopySource *source;
	XLogRecPtr position;
} Reading;

/* From the snapshot on, by the slot that was made with it. */
static bool
start_work(void *argument)
{
	Reading *reading = argument;
	LoadSession *session = reading->session;
	Stream *own = MemoryContextAlloc(session->context, sizeof(Stream));

	source_command(reading->source->connection, "COMMIT", "end a copy");
	*own = *session->stream;
	own->slot_name = reading->source->name;
	own->applied_lsn = reading->source->position;
	own->own_write = false;
	session->stream = own;
	stream_start_own(session, reading->source->connection);
	return true;
}

static bool
go_on_work(void *argument)
{
	Reading *reading = argument;

	if (reading->position == InvalidXLogRecPtr)
	{
		SourceNow now = source_now(reading->session->control);

		reading->position = now.position;
		reading->session->stop_time = now.time;
	}
	reading->session->stop = reading->position;
	stream_go_on(reading->session);
	return true;
}

/* To the position, or (0) to where the source is. */
static ErrorData *
read_to(LoadSession *session, XLogRecPtr position)
{
	Reading reading = {.session = session, .position = position};
	ErrorData *error = guarded_run(go_on_work, &reading);

	session->at_stop = false;
	while (error == NULL && !session->at_stop && any_live(session) && !session->options->must_end())
	{
		error = step_batch(session);
		if (error == NULL)
			error = step_commit(session);
	}
	return error;
}

static ErrorData *
catch_up(LoadSession *session)
{
	for (int round = 0; round < ROUNDS_MOST; round++)
	{
		TimestampTz begun = GetCurrentTimestamp();
		ErrorData *error = read_to(session, InvalidXLogRecPtr);

		if (error != NULL || !session->at_stop)
			return error;
		if (GetCurrentTimestamp() - begun < SHORT_ROUND)
			break;
	}
	return NULL;
}

/* ---- joining ---- */

/* Whoever has the stream gives it away between two batches. */
static bool
take_stream(LoadSession *session)
{
	while (!streamlock_hold(session->server_name))
	{
		CHECK_FOR_INTERRUPTS();
		if (session->options->must_end())
			return false;
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 LOCK_POLL_MS,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
	return true;
}

/* The stream as its follower has left it; NULL: it is not the one that was copied for. */
static Stream *
same_stream(const LoadSession *session)
{
	Stream *stream = stream_get(session->server_name);

	if (stream == NULL || strcmp(stream->state, "streaming") != 0 ||
		stream->incarnation != session->stream->incarnation ||
		stream->publication_oid != session->stream->publication_oid)
		return NULL;
	return stream;
}

/* Nobody else has the stream. */
static ErrorData *
join_stream(LoadSession *session)
{
	Stream *stream = same_stream(session);
	List *joined = NIL;
	ErrorData *error = NULL;
	ListCell *cell;

	if (stream == NULL)
		return NULL;
	if (stream->applied_lsn > session->stream->applied_lsn)
		error = read_to(session, stream->applied_lsn);
	if (error != NULL || session->stream->applied_lsn < stream->applied_lsn)
		return error;
	foreach(cell, session->tasks)
	{
		LoadTask *task = lfirst(cell);

		if (!is_live(task))
			continue;
		if (copy_join_stream(task->target->id, session->stream->applied_lsn))
			joined = lappend_int(joined, task->target->id);
		task->stopped = true; /* what comes now is the follower's */
	}
	loads_set_data_as_of(joined, session->stop_time);
	session_commit(session);
	return NULL;
}

static ErrorData *
take_and_join(LoadSession *session)
{
	bool asked = stream_ask(session->server_name, 1);
	ErrorData *error = NULL;

	if (take_stream(session))
	{
		error = join_stream(session);
		streamlock_release(session->server_name);
	}
	if (asked)
		(void) stream_ask(session->server_name, -1);
	return error;
}

/* ---- all of it ---- */

static ErrorData *
copy_and_join(LoadSession *session, List *groups)
{
	CopySource *source = NULL;
	Reading reading = {.session = session};
	ErrorData *error = copy_tables(session, groups, &source);

	if (error == NULL && source != NULL && any_live(session))
	{
		reading.source = source;
		error = guarded_run(start_work, &reading);
		if (error != NULL)
		{
			session->streaming = NULL;
			copy_source_close(source);
		}
		if (error == NULL)
			error = catch_up(session);
		if (error == NULL && session->at_stop && any_live(session))
			error = take_and_join(session);
	}
	if (session->streaming == NULL && source != NULL && reading.source == NULL)
		copy_source_close(source);
	return error;
}

typedef struct Preparing
{
	LoadSession *session;
	List *groups;
} Preparing;

static bool
prepare_work(void *argument)
{
	Preparing *preparing = argument;

	if (session_prepare_beside(preparing->session) == NULL)
		preparing->groups = choose_tables(preparing->session);
	return true;
}

/* An error of the source or of the whole attempt counts for each of its tables. */
static void
fail_tasks(LoadSession *session, const ErrorData *error)
{
	ListCell *cell;

	runs_fail(session, error);
	foreach(cell, session->tasks)
	{
		LoadTask *task = lfirst(cell);

		if (task->stopped || task->run == NULL)
			continue;
		load_set_state(task->load, LOAD_COPYING, task->run->error_message, NULL);
		session_failed(session, task, task->run->error_message);
	}
}

static void
end_session(LoadSession *session)
{
	ListCell *cell;

	runs_finish(session);
	transaction_commit();
	foreach(cell, session->tasks)
		release(((LoadTask *) lfirst(cell))->target->id);
	session_end(session);
}

bool
load_copy_beside(const char *server, bool (*must_end)(void))
{
	LoadRefreshOptions options = {.commit = true, .quiet = true, .must_end = must_end};
	LoadSession *session = session_begin_empty(server, &options);
	MemoryContext old = MemoryContextSwitchTo(session->context);
	Preparing preparing = {.session = session};
	ErrorData *error;
	bool any;

	session->beside = true;
	references_differ_in_time = true;
	error = guarded_run(prepare_work, &preparing);
	if (error != NULL)
		session->control = NULL;
	any = error == NULL && preparing.groups != NIL;
	if (any)
	{
		begin_runs(session);
		error = copy_and_join(session, preparing.groups);
		if (error != NULL)
			fail_tasks(session, error);
	}
	MemoryContextSwitchTo(old);
	end_session(session);
	return any;
}
