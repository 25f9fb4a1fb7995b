/*-------------------------------------------------------------------------
 *
 * beside.c
 *		Copies beside the stream that another process follows.
 *
 * The follower of a server's stream does not wait for a copy: it publishes the
 * table at the source, marks the load 'copying', and passes over its changes.
 * Another process copies the table, as a native subscription does:
 *
 *		claim	an advisory lock per table: no other process copies it
 *		copy	from a snapshot of the source (snapshot.c); the rows are
 *				committed, and the load stays 'copying'
 *		catch up	the slot of the snapshot has kept all changes since: read up
 *				to the source's position, again and again until that is quick
 *		join	borrow the stream from its follower for a moment; read up to
 *				the follower's position; the load is 'streaming' from there
 *
 * Invariants, wherever the process ends:
 *
 *	- A load is 'streaming' only with a position at or behind that of the
 *	  stream.  Both are compared under the lock of the stream, and the next
 *	  reader of the stream reads them again: no change falls between, and none
 *	  comes twice, because the stream passes over changes before the load's
 *	  position.
 *	- Until then it is 'copying', and its rows have no position that the stream
 *	  goes on from.  A crash, a lost connection or an error leaves it so: it is
 *	  copied again, and then only the differences are written.
 *	- A drop, a pause or a resync of the load changes its state, and wins: the
 *	  state is looked at while the table is copied, and again when it joins.
 *	- The slot is temporary: it ends with its connection.
 *	- A stream that was lost and made again is another one (its incarnation):
 *	  a copy for the old one does not join it.
 *
 * Several small tables are copied from one snapshot, each in its own
 * transaction.  They join together, because the follower begins again for that.
 *
 * A copied table and its references show different moments until it joins: a
 * key that its reference lacks is pending, and checked again later.
 *
 *-------------------------------------------------------------------------
 */
#include "load/beside.h"

#include "catalog/attempts.h"
#include "catalog/copies.h"
#include "core/guarded.h"
#include "core/shmem.h"
#include "core/transaction.h"
#include "load/copy.h"
#include "load/examine.h"
#include "load/prepare.h"
#include "load/publication.h"
#include "load/queue.h"
#include "load/runs.h"
#include "load/slotwait.h"
#include "load/step.h"
#include "load/streamlock.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "quality/references.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "utils/memutils.h"

/*
 * Limits of the tables of one snapshot: their number, and the size from which a
 * table is copied alone.  Each snapshot that joins makes the follower examine
 * all tables of the server again.  Therefore, if many wait, one snapshot serves
 * more of them, up to a number whose locks are no burden.
 */
#define GROUP_TABLES 100
#define GROUP_TABLES_MOST 500
#define GROUP_SHARE 16
#define GROUP_BYTES (16 * 1024 * 1024)

/* Catching up ends with a round that took no longer than this, or after this number of rounds. */
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

/* Claim all tables of the group, or none. The process holds the locks across its transactions. */
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

/* A table that failed before may end the snapshot of the others: it is copied alone. */
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
 * A due table brings along the others of its group: tables that refer to each
 * other fail when they are copied one by one.
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

/* Create tasks for the claimed tables; release those that changed in the meantime. */
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
				session->set.tasks = list_delete_ptr(session->set.tasks, task);
			continue;
		}
		task->asked = true;
		task->failures = candidate->failures;
		task->load->beside = true;
		tasks = lappend(tasks, task);
	}
	return tasks;
}

/* Lists of tasks, one for each transaction; all are copied from one snapshot. */
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
		queue_ask_sizes(session->source.control, candidates);
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

	foreach(cell, session->set.tasks)
		if (!((LoadTask *) lfirst(cell))->stopped)
			ids = lappend_int(ids, ((LoadTask *) lfirst(cell))->target->id);
	return ids;
}

/* The follower of the stream published them, and notices if that changes. */
static void
check_task(LoadSession *session, LoadTask *task, List *published)
{
	examine_find_problem(task);
	if (task->problem != NULL)
		task_stop(task,
				  task->problem_state,
				  task->problem_sqlstate,
				  task->problem,
				  task->problem_hint);
	else if (session->stream->publication_managed &&
			 !list_member_oid(published, task->source->relid))
		task_stop(task,
				  LOAD_NEW,
				  ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
				  "its source table is not published (yet)",
				  NULL);
	if (task->stopped)
		task_count_failure(task, task->load->reason);
}

static void
check_tasks(LoadSession *session, List *tasks)
{
	MemoryContext old = MemoryContextSwitchTo(session->set.context);
	List *published = NIL;
	ListCell *cell;

	examine_describe(&session->set, tasks, session->source.control);
	if (session->stream->publication_managed)
		published = source_publication_relids(session->source.control,
											  session->stream->publication);
	foreach(cell, tasks)
		check_task(session, lfirst(cell), published);
	MemoryContextSwitchTo(old);
}

/* Their runs are committed before the copy begins; no lock is kept. */
static void
begin_runs(LoadSession *session)
{
	List *tasks = NIL;
	ListCell *cell;

	foreach(cell, session->set.tasks)
	{
		LoadTask *task = lfirst(cell);

		task->run = run_create(task->target, "worker");
		(void) task_run(task);
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
	SourceSnapshot *snapshot;
} Opening;

static bool
open_work(void *argument)
{
	Opening *opening = argument;

	opening->snapshot = copy_open_snapshot(opening->session);
	return true;
}

/* Is one of the tables still wanted? */
static bool
any_wanted(const LoadSession *session)
{
	ListCell *cell;

	foreach(cell, session->set.tasks)
	{
		const LoadTask *task = lfirst(cell);

		if (!task->stopped && copy_unwanted(task->target->id) == NULL)
			return true;
	}
	return false;
}

static void
report_waiting(LoadSession *session, const char *reason)
{
	copies_set_reason(ids_of_tasks(session), reason);
	if (reason == NULL)
		session_commit(session);
}

static bool
goes_on(const LoadSession *session)
{
	return !session->options->must_end() && any_wanted(session);
}

/* A wait that was given up leaves the snapshot NULL, and is not an error. */
static ErrorData *
open_snapshot(LoadSession *session, SourceSnapshot **snapshot)
{
	Opening opening = {.session = session};
	const SlotWait wait = {.make = open_work,
						   .argument = &opening,
						   .report = report_waiting,
						   .goes_on = goes_on};
	ErrorData *error = slotwait_make(session, &wait);

	*snapshot = opening.snapshot;
	return error != NULL && error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ? NULL : error;
}

/*
 * The transaction at the source ends with the last table: it holds locks, and
 * keeps rows from vacuum.
 */
static ErrorData *
copy_tables(LoadSession *session, List *groups, SourceSnapshot **snapshot)
{
	ErrorData *error = open_snapshot(session, snapshot);
	ListCell *cell;

	if (error != NULL || *snapshot == NULL)
		return error;
	foreach(cell, groups)
	{
		copy_together(session, lfirst(cell), snapshot);
		session_commit(session);
		if (*snapshot == NULL || session->options->must_end())
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

	foreach(cell, session->set.tasks)
		if (is_live(lfirst(cell)))
			return true;
	return false;
}

typedef struct Reading
{
	LoadSession *session;
	SourceSnapshot *snapshot;
	XLogRecPtr position;
} Reading;

/* Read from the snapshot on, through the slot that was created with it. */
static bool
start_work(void *argument)
{
	Reading *reading = argument;
	LoadSession *session = reading->session;
	Stream *own = MemoryContextAlloc(session->set.context, sizeof(Stream));
	MemoryContext old;

	source_command(reading->snapshot->connection, "COMMIT", "end a copy");
	*own = *session->stream;
	own->slot_name = reading->snapshot->name;
	own->applied_lsn = reading->snapshot->position;
	own->own_write = false;
	session->stream = own;
	old = MemoryContextSwitchTo(session->set.context);
	stream_start_own(&session->transport,
					 &session->source,
					 own,
					 take_in_binary(&session->set, &session->source, own),
					 reading->snapshot->connection);
	take_begin(&session->taking, &session->set, &session->transport);
	MemoryContextSwitchTo(old);
	return true;
}

static bool
go_on_work(void *argument)
{
	Reading *reading = argument;

	if (reading->position == InvalidXLogRecPtr)
	{
		SourceNow now = source_now(reading->session->source.control);

		reading->position = now.position;
		reading->session->transport.stop_time = now.time;
	}
	stream_go_on(&reading->session->transport, reading->position);
	return true;
}

/* Read up to the position, or (0) up to the current one of the source. */
static ErrorData *
read_to(LoadSession *session, XLogRecPtr position)
{
	Reading reading = {.session = session, .position = position};
	ErrorData *error = guarded_run(go_on_work, &reading);

	session->progress.at_stop = false;
	while (error == NULL && !session->progress.at_stop && any_live(session) &&
		   !session->options->must_end())
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

		if (error != NULL || !session->progress.at_stop)
			return error;
		if (GetCurrentTimestamp() - begun < SHORT_ROUND)
			break;
	}
	return NULL;
}

/* ---- joining ---- */

/* The reader of the stream lends it between two batches. */
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

/* The stream as its follower left it; NULL if the copy was for another stream. */
static Stream *
same_stream(const LoadSession *session)
{
	Stream *stream = stream_get(session->server_name);

	if (stream == NULL || stream->state != STREAM_STREAMING ||
		stream->incarnation != session->stream->incarnation ||
		stream->publication_oid != session->stream->publication_oid)
		return NULL;
	return stream;
}

/* The lock of the stream is held. */
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
	foreach(cell, session->set.tasks)
	{
		LoadTask *task = lfirst(cell);

		if (!is_live(task))
			continue;
		if (copy_join_stream(task->target->id, session->stream->applied_lsn))
			joined = lappend_int(joined, task->target->id);
		task->stopped = true; /* the follower takes the changes from here on */
	}
	loads_set_data_as_of(joined, session->transport.stop_time);
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
	SourceSnapshot *snapshot = NULL;
	Reading reading = {.session = session};
	ErrorData *error = copy_tables(session, groups, &snapshot);

	if (error == NULL && snapshot != NULL && any_live(session))
	{
		reading.snapshot = snapshot;
		error = guarded_run(start_work, &reading);
		if (error != NULL)
		{
			stream_forget(&session->transport);
			snapshot_close(snapshot);
		}
		if (error == NULL)
			error = catch_up(session);
		if (error == NULL && session->progress.at_stop && any_live(session))
			error = take_and_join(session);
	}
	if (session->transport.connection == NULL && snapshot != NULL && reading.snapshot == NULL)
		snapshot_close(snapshot);
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

	if (prepare_beside(preparing->session) == NULL)
		preparing->groups = choose_tables(preparing->session);
	return true;
}

/* An error of the source or of the whole attempt counts as a failure of each of its tables. */
static void
fail_tasks(LoadSession *session, const ErrorData *error)
{
	ListCell *cell;

	runs_fail(session, error);
	foreach(cell, session->set.tasks)
	{
		LoadTask *task = lfirst(cell);

		if (task->stopped || task->run == NULL)
			continue;
		load_set_state(task->load, LOAD_COPYING, task->run->error_message, NULL);
		task_count_failure(task, task->run->error_message);
	}
}

static void
end_session(LoadSession *session)
{
	ListCell *cell;

	runs_finish(&session->set);
	transaction_commit();
	foreach(cell, session->set.tasks)
		release(((LoadTask *) lfirst(cell))->target->id);
	session_end(session);
}

bool
load_copy_beside(const char *server, bool (*must_end)(void))
{
	LoadRefreshOptions options = {.commit = true, .quiet = true, .must_end = must_end};
	LoadSession *session = session_begin_empty(server, &options);
	MemoryContext old = MemoryContextSwitchTo(session->set.context);
	Preparing preparing = {.session = session};
	ErrorData *error;
	bool any;

	session->beside = true;
	references_differ_in_time = true;
	error = guarded_run(prepare_work, &preparing);
	if (error != NULL)
		session->source.control = NULL;
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
