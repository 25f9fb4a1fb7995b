/*-------------------------------------------------------------------------
 *
 * copy.c
 *		Initial copy and resync of tables.
 *
 * A copy reads a table under a snapshot (snapshot.c); the stream brings all
 * transactions that the snapshot does not see.  The permanent slot is older, so
 * nothing between the two is missed.
 *
 * A session that holds the stream copies the tables one after the other
 * (queue.c), in a procedure each in a transaction of its own.  The stream
 * stands still meanwhile, so that it cannot pass the position of a copy.  If
 * another process follows the stream, it goes on, and copies are made beside it
 * (beside.c).
 *
 * A table with rows (a resync) is not emptied: only the differences are
 * written, so that readers and consumers of the target see only the changes.
 * Under a history these are the differences to its current rows.
 *
 * A copy is never parked: a table whose breaker is open is not copied.
 *
 *-------------------------------------------------------------------------
 */
#include "load/copy.h"

#include "catalog/copies.h"
#include "catalog/looks.h"
#include "commands/progress.h"
#include "core/guarded.h"
#include "core/identity.h"
#include "core/plans.h"
#include "core/sqltext.h"
#include "delta/difference.h"
#include "delta/fill.h"
#include "executor/spi.h"
#include "load/examine.h"
#include "load/layout.h"
#include "load/queue.h"
#include "load/types.h"
#include "pgstat.h"
#include "publish/park.h"
#include "publish/publish.h"
#include "publish/quarantine.h"
#include "quality/breaker.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* Is the copy still wanted? */
#define LOOK_EVERY USECS_PER_SEC

/* The time for which one snapshot of the source is used for one table after another. */
#define SNAPSHOT_MOST (10 * USECS_PER_SEC)

/*
 * The time for which the slot of a copy waits for transactions of the source
 * while other tables wait for us.
 */
#define SLOT_WAIT_MS 10000

/* ---- the lock of a copy ---- */

LOCKTAG
copy_lock_tag(int32 target_id)
{
	LOCKTAG tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, stream_class(), (uint32) target_id, COPY_LOCK_SPACE);
	return tag;
}

bool
copy_claim(int32 target_id)
{
	LOCKTAG tag = copy_lock_tag(target_id);

	return LockAcquire(&tag, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL;
}

/* ---- the snapshot ---- */

/* The copy of one table. */
typedef struct Copy
{
	LoadSession *session;
	SourceSnapshot *snapshot;
	LoadTask *task;
	Delta *delta;
	uint64 rows;
	bool has_rows; /* the target has: write differences */
	Admission admission;
	char *admission_reason;
	PublishItem *item;
	bool in_middle;        /* an error while reading: the snapshot cannot be used again */
	TimestampTz looked_at; /* whether the copy is still wanted */
	char *unwanted;        /* why it was given up */
} Copy;

SourceSnapshot *
copy_open_snapshot(LoadSession *session)
{
	MemoryContext old = MemoryContextSwitchTo(session->set.context);
	SourceSnapshot *snapshot = snapshot_open(&session->source,
											 session->stream,
											 session->options->commit);

	MemoryContextSwitchTo(old);
	return snapshot;
}

static bool
open_work(void *argument)
{
	Copy *copy = argument;

	copy->snapshot = copy_open_snapshot(copy->session);
	return true;
}

/* ---- progress ---- */

/*
 * pg_stat_progress_copy shows the progress.  pg_stat_get_progress_info() also
 * has a part for depipe alone: a table that is not committed yet has no OID for
 * others.
 */
static void
progress_start(LoadTask *task, int64 estimate)
{
	const int params[] = {PROGRESS_COPY_COMMAND,
						  PROGRESS_COPY_TYPE,
						  PROGRESS_COPY_TARGET,
						  PROGRESS_COPY_ESTIMATE};
	const int64 values[] = {PROGRESS_COPY_COMMAND_FROM,
							PROGRESS_COPY_TYPE_PIPE,
							task->target->id,
							estimate};

	pgstat_progress_start_command(PROGRESS_COMMAND_COPY, task->target->relid);
	pgstat_progress_update_multi_param(lengthof(params), params, values);
}

/* A copy beside the stream checks from time to time whether it is still wanted. */
static void
check_wanted(Copy *copy)
{
	TimestampTz now = GetCurrentTimestamp();

	if (!copy->session->beside || now - copy->looked_at < LOOK_EVERY)
		return;
	copy->looked_at = now;
	if (copy->session->options->must_end())
		copy->unwanted = pstrdup("its worker was asked to end");
	else
		copy->unwanted = copy_unwanted(copy->task->target->id);
	if (copy->unwanted == NULL)
		return;
	copy->unwanted = MemoryContextStrdup(copy->session->set.context, copy->unwanted);
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the copy is no longer wanted")));
}

static void
look(void *argument, uint64 rows, uint64 bytes)
{
	pgstat_progress_update_param(PROGRESS_COPY_TUPLES_PROCESSED, rows);
	pgstat_progress_update_param(PROGRESS_COPY_BYTES_PROCESSED, bytes);
	check_wanted(argument);
}

static uint64
read_rows(Copy *copy, Delta *delta, Tuplestorestate *rows)
{
	SnapshotWatch watch = {look, copy};

	copy->looked_at = GetCurrentTimestamp();
	return snapshot_rows(copy->snapshot, copy->task, copy->delta->columns, delta, rows, &watch);
}

/* ---- reading ---- */

static void
say_left_out(const LoadTask *task)
{
	ListCell *cell;

	foreach(cell, task->source->columns)
	{
		SourceColumn *column = lfirst(cell);

		if (column->generated)
			ereport(NOTICE,
					(errmsg("generated column \"%s\" of the source is not loaded into %s",
							column->name,
							task->target->display)));
	}
}

/*
 * Prepare the target, and determine whether it has rows; an empty delta shows
 * whether it can be loaded.
 */
static bool
target_work(void *argument)
{
	Copy *copy = argument;
	LoadTask *task = copy->task;
	Identity identity;

	examine_describe(task->set, list_make1(task), copy->snapshot->connection);
	if (task->source == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("source table %s does not exist",
						sql_table(task->load->source_schema, task->load->source_table))));
	say_left_out(task);
	layout_prepare_target(copy->session->source.control, task);
	types_check(task);
	types_check_key(task);
	CommandCounterIncrement();
	(void) publish_lock_target(task->target);
	delta_destroy(delta_begin_fold(
		delta_create(task->target->relid, task->columns, task->key, CurrentMemoryContext)));
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	identity_become(task->target->owner, &identity);
	if (SPI_execute(psprintf("SELECT 1 FROM %s LIMIT 1", target_rows_sql(task->target, NULL)),
					false,
					1) != SPI_OK_SELECT)
		elog(ERROR, "could not look at %s", task->target->display);
	copy->has_rows = SPI_processed > 0;
	identity_restore(&identity);
	SPI_finish();
	return true;
}

static void
fill_difference(Copy *copy)
{
	Delta *delta = copy->delta;
	Tuplestorestate *rows = tuplestore_begin_heap(true, false, work_mem);
	Identity identity;

	copy->rows = read_rows(copy, NULL, rows);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	register_tuplestore("_depipe_incoming", delta->columns, rows, copy->rows);
	identity_become(copy->task->target->owner, &identity);
	PushActiveSnapshot(GetTransactionSnapshot());
	delta_fill_from_difference(delta,
							   "_depipe_incoming",
							   target_rows_sql(copy->task->target, NULL),
							   NIL);
	PopActiveSnapshot();
	identity_restore(&identity);
	SPI_finish();
	tuplestore_end(rows);
}

static bool
fill_work(void *argument)
{
	Copy *copy = argument;
	MemoryContext old = MemoryContextSwitchTo(copy->session->set.batch);

	snapshot_check_storage(copy->snapshot, copy->task);
	copy->delta->lsn = copy->snapshot->position;
	copy->delta->as_of = copy->snapshot->time;
	progress_start(copy->task,
				   source_table_estimate(copy->snapshot->connection, copy->task->source));
	if (copy->has_rows || copy->task->projection != NULL)
		fill_difference(copy);
	else
		copy->rows = read_rows(copy, copy->delta, NULL);
	delta_finish(copy->delta);
	MemoryContextSwitchTo(old);
	return true;
}

/* A copy that is no longer wanted is not a failure. */
static void
give_up(Copy *copy)
{
	LoadTask *task = copy->task;

	task->stopped = true;
	task->blocked = true;
	if (task->run != NULL)
		task->run->reason = task_keep(task, copy->unwanted);
}

/*
 * Read one table.  Returns false if that failed and, where a COPY was running,
 * the snapshot must be opened again.
 */
static bool
read_table(Copy *copy)
{
	LoadSession *session = copy->session;
	LoadTask *task = copy->task;
	ErrorData *error = guarded_run_waiting(target_work, copy, task_lock_timeout(&session->set));

	if (error == NULL)
	{
		copy->delta =
			delta_create(task->target->relid, task->columns, task->key, session->set.batch);
		if (!copy->has_rows && task->projection == NULL)
			delta_clear(copy->delta); /* the target has no rows: plain INSERT */
		error = guarded_run(fill_work, copy);
		copy->in_middle = error != NULL;
	}
	if (error == NULL && session->beside)
		copy->unwanted = copy_unwanted(task->target->id);
	if (copy->unwanted != NULL)
	{
		give_up(copy);
		return false;
	}
	if (error == NULL)
		return true;
	task_fail(task, task_without_values(&session->set, error));
	copy->delta = NULL;
	return false;
}

static PublishItem *
make_item(Copy *copy)
{
	PublishItem *item = palloc0(sizeof(PublishItem));
	Run *run = task_run(copy->task);

	run->strategy = copy->has_rows ? "resync" : "copy";
	item->target = copy->task->target;
	item->delta = copy->delta;
	item->run = run;
	item->admission = copy->admission;
	item->reason = copy->admission_reason;
	item->park = false;
	item->lock_timeout_ms = task_lock_timeout(&copy->session->set);
	item->always_gate = true;
	copy->task->attempted = true;
	return item;
}

/* Record the outcome; the next run repeats a copy that was not published. */
static void
finish_copy(Copy *copy)
{
	LoadSession *session = copy->session;
	LoadTask *task = copy->task;
	PublishItem *item = copy->item;

	if (item->status == PUBLISH_DONE || item->status == PUBLISH_NOTHING)
	{
		task->published = true;
		task_count_success(task);
		task->run->status = RUN_RUNNING; /* a copy counts as a success even if nothing differs */
		task->run->rows_in = copy->rows;
		load_set_copied(task->load,
						copy->snapshot->position,
						task->source->relid,
						source_columns_to_json(task->source),
						task->key,
						copy->rows);
		load_set_leaves(task->load, task->source->leaves);
		if (task->projection != NULL)
			load_set_settled(task->load, task->settled);
		return;
	}
	task->stopped = true;
	task->blocked = item->status != PUBLISH_ERROR;
	task->run->reason = task_keep(task, item->reason);
	task->run->error_sqlstate = task_keep(task, task->run->error_sqlstate);
	task->run->error_message = task_keep(task, task->run->error_message);
	task->run->error_hint = task_keep(task, task->run->error_hint);
	load_set_state(task->load, session->beside ? LOAD_COPYING : LOAD_NEW, item->reason, NULL);
	if (item->status == PUBLISH_ERROR && task->run->error_sqlstate != NULL &&
		strcmp(task->run->error_sqlstate, unpack_sql_state(ERRCODE_FOREIGN_KEY_VIOLATION)) == 0)
		loads_copy_along(task->target);
	if (item->status == PUBLISH_ERROR || item->status == PUBLISH_REJECTED)
		task_count_failure(task, item->reason);
}

/* A breaker that is open keeps the copy from starting. */
static bool
may_copy(Copy *copy)
{
	LoadTask *task = copy->task;

	if (task->paused)
	{
		task->blocked = true;
		task->stopped = true;
		if (task->run != NULL)
			task->run->reason = task->pause_reason;
		return false;
	}
	copy->admission = breaker_admit(task->target, true, &copy->admission_reason);
	if (copy->admission != ADMIT_NOT)
		return true;
	task->blocked = true;
	task->stopped = true;
	task_run(task)->reason = MemoryContextStrdup(copy->session->set.context,
												 copy->admission_reason);
	return false;
}

static void
publish_copies(LoadSession *session, List *copies)
{
	List *items = NIL;
	ListCell *cell;

	foreach(cell, copies)
	{
		Copy *copy = lfirst(cell);

		/* the copy is newer than all parked and quarantined rows */
		park_discard(copy->task->target->id);
		quarantine_clear(copy->task->target->id);
		copy->item = make_item(copy);
		items = lappend(items, copy->item);
	}
	(void) publish(items, NULL);
	foreach(cell, copies)
	{
		finish_copy(lfirst(cell));
		delta_destroy(((Copy *) lfirst(cell))->item->delta);
	}
}

/* ---- one transaction ---- */

static bool
is_wanted(const LoadTask *task)
{
	return task->asked && !task->stopped &&
		   (task->load->state == LOAD_NEW || task->load->state == LOAD_COPYING);
}

/* Does the load still wait for its copy, or has another session copied it meanwhile? */
static bool
still_waits(const LoadTask *task)
{
	Load *load;

	AcceptInvalidationMessages(); /* nor is anything older than the claim looked at later */
	load = load_get(task->target->id);
	return load != NULL && (load->state == LOAD_NEW || load->state == LOAD_COPYING);
}

/*
 * No other session copies the table until this transaction ends.  A copy beside
 * the stream has claimed it before, for a longer time.
 */
static bool
claim(Copy *copy)
{
	LoadTask *task = copy->task;

	if (copy->session->beside || (copy_claim(task->target->id) && still_waits(task)))
		return true;
	task->blocked = true;
	task->stopped = true;
	if (task->run != NULL)
		task->run->reason = COPIED_ELSEWHERE;
	return false;
}

/* Open the snapshot if it is not open; returns false if that fails. */
static bool
open_snapshot(Copy *copy, SourceSnapshot **snapshot)
{
	if (*snapshot == NULL)
	{
		ErrorData *error = guarded_run(open_work, copy);

		if (error != NULL)
		{
			if (error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE)
				error->message = snapshot_waits_for(copy->session->source.control);
			task_fail(copy->task, error);
			return false;
		}
		*snapshot = copy->snapshot;
	}
	copy->snapshot = *snapshot;
	return true;
}

void
copy_together(LoadSession *session, List *tasks, SourceSnapshot **snapshot)
{
	MemoryContext old = MemoryContextSwitchTo(session->set.batch);
	List *copies = NIL;
	ListCell *cell;

	foreach(cell, tasks)
	{
		Copy *copy = palloc0(sizeof(Copy));

		copy->session = session;
		copy->task = lfirst(cell);
		if (!is_wanted(copy->task) || !claim(copy) || !open_snapshot(copy, snapshot) ||
			!may_copy(copy))
			continue;
		if (read_table(copy))
			copies = lappend(copies, copy);
		else if (copy->in_middle)
		{
			snapshot_close(*snapshot);
			*snapshot = NULL;
		}
	}
	if (copies != NIL)
		publish_copies(session, copies);
	pgstat_progress_end_command();
	MemoryContextSwitchTo(old);
	task_end_batch(&session->set);
}

/* ---- all that wait ---- */

/* Other sessions see this state during the copy. */
static bool
mark_copying(LoadSession *session, bool again, const char *reason)
{
	bool any = false;
	ListCell *cell;

	foreach(cell, session->set.tasks)
	{
		LoadTask *task = lfirst(cell);

		if (!is_wanted(task) || task->paused || (!again && task->load->state == LOAD_COPYING))
			continue;
		load_set_state(task->load, LOAD_COPYING, reason, NULL);
		any = true;
	}
	return any;
}

void
copy_mark_tables(LoadSession *session)
{
	(void) mark_copying(session, false, "waits for a free worker");
}

static List *
waiting_groups(LoadSession *session)
{
	List *candidates = NIL;
	ListCell *cell;

	foreach(cell, session->set.tasks)
	{
		LoadTask *task = lfirst(cell);
		CopyCandidate *candidate;

		if (!is_wanted(task))
			continue;
		candidate = palloc0(sizeof(CopyCandidate));
		candidate->task = task;
		candidate->target_id = task->target->id;
		candidate->relid = task->target->relid;
		candidate->source_schema = task->load->source_schema;
		candidate->source_table = task->load->source_table;
		candidates = lappend(candidates, candidate);
	}
	if (list_length(candidates) > 1)
		queue_ask_sizes(session->source.control, candidates);
	return queue_groups(candidates);
}

static List *
tasks_of(List *group)
{
	List *tasks = NIL;
	ListCell *cell;

	foreach(cell, group)
		tasks = lappend(tasks, ((CopyCandidate *) lfirst(cell))->task);
	return tasks;
}

static bool
is_over(const LoadSession *session)
{
	return session->overtaken ||
		   (session->options->deadline != 0 && session->options->deadline <= GetCurrentTimestamp());
}

/* Copy each group in a transaction of its own; no snapshot of the source is kept for long. */
static void
copy_one_by_one(LoadSession *session, List *groups)
{
	SourceSnapshot *snapshot = NULL;
	ListCell *cell;

	foreach(cell, groups)
	{
		if (snapshot != NULL && GetCurrentTimestamp() - snapshot->opened_at > SNAPSHOT_MOST)
		{
			snapshot_close(snapshot);
			snapshot = NULL;
		}
		copy_together(session, tasks_of(lfirst(cell)), &snapshot);
		session_commit(session);
		if (is_over(session))
			break;
	}
	if (snapshot != NULL)
		snapshot_close(snapshot);
}

void
copy_new_tables(LoadSession *session)
{
	MemoryContext context = AllocSetContextCreate(session->set.context,
												  "depipe load queue",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	SourceSnapshot *snapshot = NULL;

	session->source.slot_wait_ms = session->set.quiet ? SLOT_WAIT_MS : 0;
	if (!session->options->commit)
	{
		copy_together(session, session->set.tasks, &snapshot);
		if (snapshot != NULL)
			snapshot_close(snapshot);
	}
	else
	{
		if (mark_copying(session, true, NULL))
			session_commit(session);
		if (!session->overtaken)
			copy_one_by_one(session, waiting_groups(session));
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}
