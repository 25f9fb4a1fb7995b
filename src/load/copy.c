/*-------------------------------------------------------------------------
 *
 * copy.c
 *		Initial copy and resync of tables.
 *
 * A copy reads a table as of the consistent point of a temporary slot, in a
 * transaction of the source that uses the slot's snapshot: all transactions
 * that committed before that point are seen, the stream brings the others.
 * The permanent slot is older, so nothing is missed in between.
 *
 * A session that has the stream copies the tables one after the other (queue.c),
 * in a procedure each in a transaction of its own: the stream stands still
 * meanwhile, so that it has not passed the position of any copy.  Where somebody
 * follows the stream, it goes on, and others copy beside it (beside.c).
 *
 * A table that has rows already (a resync) is not emptied: only the
 * differences are written, so that readers and whatever follows the target
 * see what changed and no more.
 *
 * A copy is never parked: a table whose breaker is open is not copied.
 *
 *-------------------------------------------------------------------------
 */
#include "load/copy.h"

#include "commands/progress.h"
#include "catalog/copies.h"
#include "catalog/looks.h"
#include "core/guarded.h"
#include "core/identity.h"
#include "core/sqltext.h"
#include "core/transaction.h"
#include "executor/spi.h"
#include "load/evolve.h"
#include "load/queue.h"
#include "load/rowreader.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/pg_lsn.h"
#include "publish/publish.h"
#include "delta/difference.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "core/plans.h"
#include "publish/park.h"
#include "publish/quarantine.h"

/* Rows after which progress is reported. */
#define PROGRESS_EVERY 100

/* Is the copy still wanted? */
#define LOOK_EVERY USECS_PER_SEC

/* A snapshot of the source is used for so long for one table after the other. */
#define SNAPSHOT_MOST (10 * USECS_PER_SEC)

/* Transactions of the source are waited for at most so long while others wait for us. */
#define SLOT_WAIT_MS 10000

/* ---- the source's side ---- */

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

/*
 * A slot is consistent when all transactions have ended that ran when it was
 * begun.  While they are waited for, the limit is lock_timeout.
 */
CopySource *
copy_source_open(LoadSession *session)
{
	MemoryContext old = MemoryContextSwitchTo(session->context);
	CopySource *source = palloc0(sizeof(CopySource));
	static uint32 copies_made = 0;
	const char *slot = session->stream->slot_name;
	SourceRows *rows;

	session_check_slot_possible(session);
	/* the slot of this session's last copy may be there until its sender has ended */
	source->name = psprintf("depipe_copy_%s_%d_%u",
							slot + Max((int) strlen(slot) - 8, 0),
							MyProcPid,
							++copies_made);
	source->connection = connection_open(session->server);
	source->connection->keep = session->options->commit;
	source_command(
		source->connection,
		psprintf("SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0;"
				 " SET row_security = off; SET lock_timeout = %d",
				 session->slot_wait_ms),
		"set up a copy");
	source_command(source->connection,
				   "BEGIN READ ONLY ISOLATION LEVEL REPEATABLE READ",
				   "start a copy");
	rows = source_query(source->connection,
						4,
						psprintf("CREATE_REPLICATION_SLOT \"%s\" TEMPORARY LOGICAL pgoutput"
								 " USE_SNAPSHOT",
								 source->name),
						"make a slot for a copy");
	source->position = DatumGetLSN(
		DirectFunctionCall1(pg_lsn_in, CStringGetDatum(rows->values[0][1])));
	source->opened_at = GetCurrentTimestamp();
	MemoryContextSwitchTo(old);
	return source;
}

void
copy_source_close(CopySource *source)
{
	connection_close(source->connection);
}

/* Most often it is the oldest one; the others have not been there for so long. */
char *
copy_waits_for(LoadSession *session)
{
	SourceRows *rows = source_query(
		session->control,
		1,
		"SELECT l.transactionid::text FROM pg_catalog.pg_locks l"
		" WHERE l.locktype = 'transactionid' AND l.granted AND l.mode = 'ExclusiveLock'"
		" ORDER BY pg_catalog.age(l.transactionid) DESC LIMIT 1",
		"look for transactions");

	return rows->count == 0
			   ? pstrdup("waits for a transaction at the source")
			   : psprintf("waits for transaction %s at the source", rows->values[0][0]);
}

/*
 * Of a table that was truncated, or written anew, after the snapshot was made
 * that snapshot sees nothing.  It is not any more once it is locked.
 */
static void
check_storage(LoadTask *task, CopySource *source)
{
	const char *table = sql_table(task->source->schema_name, task->source->table_name);
	bool partitioned = task->source->kind == RELKIND_PARTITIONED_TABLE;
	SourceRows *rows;

	/* as LOCK TABLE, for whom may read some columns only, too */
	(void) source_query(source->connection,
						1,
						psprintf("SELECT '' FROM %s%s LIMIT 0", partitioned ? "" : "ONLY ", table),
						"lock a table");
	rows = source_query(
		source->connection,
		1,
		psprintf("WITH RECURSIVE part (oid) AS (SELECT %u::pg_catalog.oid"
				 " UNION ALL SELECT i.inhrelid FROM part p"
				 " JOIN pg_catalog.pg_inherits i ON i.inhparent = p.oid WHERE %s)"
				 " SELECT '' FROM part p JOIN pg_catalog.pg_class c ON c.oid = p.oid"
				 " WHERE c.relfilenode <> 0 AND c.relfilenode IS DISTINCT FROM"
				 " pg_catalog.pg_relation_filenode(c.oid) LIMIT 1",
				 task->source->relid,
				 partitioned ? "true" : "false"),
		"look at a table");
	if (rows->count > 0)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("table %s of the source was truncated or written anew meanwhile", table)));
}

static char *
copy_command(LoadTask *task, bool binary)
{
	StringInfoData sql;
	const char *separator = "";
	ListCell *cell;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "COPY (SELECT ");
	foreach(cell, task->source_names)
	{
		appendStringInfo(&sql, "%s%s", separator, sql_identifier(lfirst(cell)));
		separator = ", ";
	}
	appendStringInfo(&sql,
					 " FROM %s%s) TO STDOUT%s",
					 task->source->kind == RELKIND_PARTITIONED_TABLE ? "" : "ONLY ",
					 sql_table(task->source->schema_name, task->source->table_name),
					 binary ? " (FORMAT binary)" : "");
	return sql.data;
}

static bool
copy_in_binary(LoadTask *task, TupleDesc columns)
{
	ListCell *cell;

	foreach(cell, task->source_names)
	{
		SourceColumn *column = source_table_column(task->source, lfirst(cell));

		if (column == NULL || !rowreader_binary_safe(column->type))
			return false;
		for (int i = 0; i < columns->natts; i++)
			if (strcmp(NameStr(TupleDescAttr(columns, i)->attname), column->name) == 0 &&
				TupleDescAttr(columns, i)->atttypid != column->type)
				return false;
	}
	return true;
}

/* ---- progress ---- */

/*
 * pg_stat_progress_copy shows it, and pg_stat_get_progress_info() what only
 * depipe reads there: a table that is not committed yet has no OID for others.
 */
static void
progress_start(LoadSession *session, LoadTask *task, int64 estimate)
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
	session->copying = true;
}

static void
progress_report(LoadSession *session, uint64 rows, uint64 bytes)
{
	if (!session->copying)
		return;
	pgstat_progress_update_param(PROGRESS_COPY_TUPLES_PROCESSED, rows);
	pgstat_progress_update_param(PROGRESS_COPY_BYTES_PROCESSED, bytes);
}

static void
progress_end(LoadSession *session)
{
	if (session->copying)
		pgstat_progress_end_command();
	session->copying = false;
}

/* Now and then, for the one who copies beside the stream: as nobody's owner. */
static void
check_wanted(LoadSession *session, LoadTask *task, TimestampTz *looked_at)
{
	TimestampTz now = GetCurrentTimestamp();

	if (!session->beside || now - *looked_at < LOOK_EVERY)
		return;
	*looked_at = now;
	if (session->options->must_end())
		session->unwanted = "its worker is to end";
	else
		session->unwanted = copy_unwanted(task->target->id);
	if (session->unwanted == NULL)
		return;
	session->unwanted = MemoryContextStrdup(session->context, session->unwanted);
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the copy is not wanted any more")));
}

/* Rows as the source has them. */
static uint64
copy_source_rows(LoadSession *session, LoadTask *task, CopySource *source, TupleDesc columns,
				 Delta *delta, Tuplestorestate *rows)
{
	TimestampTz looked_at = GetCurrentTimestamp();
	RowReader *reader = rowreader_create(task->source_names, columns, source->connection->encoding);
	bool binary = connection_same_encoding(source->connection) && copy_in_binary(task, columns);
	Datum *values = palloc0(sizeof(Datum) * Max(columns->natts, 1));
	bool *nulls = palloc0(sizeof(bool) * Max(columns->natts, 1));
	Identity identity;
	MemoryContext old;
	uint64 count = 0;
	uint64 bytes = 0;
	char *buffer;
	int length;

	source_start_copy(source->connection, copy_command(task, binary), "copy a table");
	session->reader = reader;
	identity_become(task->target->owner, &identity);
	old = MemoryContextSwitchTo(session->row);
	while ((length = source_receive(source->connection, &buffer, LOOK_EVERY / 1000)) >= 0)
	{
		bool more = length > 0 && rowreader_copied(reader, buffer, length, binary, values, nulls);

		bytes += length;
		if (more && delta != NULL)
			delta_append(delta, 1, values, nulls);
		else if (more)
			tuplestore_putvalues(rows, columns, values, nulls);
		MemoryContextReset(session->row);
		count += more;
		if (length > 0 && count % PROGRESS_EVERY != 0)
			continue;
		progress_report(session, count, bytes);
		identity_restore(&identity);
		check_wanted(session, task, &looked_at);
		identity_become(task->target->owner, &identity);
	}
	progress_report(session, count, bytes);
	MemoryContextSwitchTo(old);
	identity_restore(&identity);
	session->reader = NULL;
	return count;
}

/* Rows of the source's layout, computed and filtered into rows of the target's. */
static uint64
project_rows(LoadSession *session, LoadTask *task, Tuplestorestate *source_rows, uint64 count,
			 TupleDesc columns, Tuplestorestate *rows)
{
	TupleDesc layout = projection_source(task->projection);
	Tuplestorestate *projected;
	TupleTableSlot *slot;
	TupleDesc desc;
	Identity identity;
	uint64 nrows;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	register_tuplestore("_depipe_copied", layout, source_rows, count);
	identity_become_with(task->target->owner, task->target->settings, &identity);
	PushActiveSnapshot(GetTransactionSnapshot());
	session->projecting = true;
	projected = query_to_tuplestore(
		projection_rows_sql(task->projection, "_depipe_copied", columns),
		&desc,
		&nrows,
		session->batch);
	session->projecting = false;
	PopActiveSnapshot();
	identity_restore(&identity);
	slot = MakeSingleTupleTableSlot(columns, &TTSOpsMinimalTuple);
	while (tuplestore_gettupleslot(projected, true, false, slot))
	{
		CHECK_FOR_INTERRUPTS();
		tuplestore_puttupleslot(rows, slot);
	}
	ExecDropSingleTupleTableSlot(slot);
	tuplestore_end(projected);
	SPI_finish();
	return nrows;
}

uint64
copy_rows(LoadSession *session, LoadTask *task, CopySource *source, TupleDesc columns, Delta *delta,
		  Tuplestorestate *rows)
{
	Tuplestorestate *source_rows;
	uint64 count;

	if (task->projection == NULL)
		return copy_source_rows(session, task, source, columns, delta, rows);
	Assert(delta == NULL);
	source_rows = tuplestore_begin_heap(true, false, work_mem);
	count = copy_source_rows(session,
							 task,
							 source,
							 projection_source(task->projection),
							 NULL,
							 source_rows);
	count = project_rows(session, task, source_rows, count, columns, rows);
	tuplestore_end(source_rows);
	return count;
}

/* ---- this side ---- */

typedef struct Copy
{
	LoadSession *session;
	CopySource *source;
	LoadTask *task;
	Delta *delta;
	uint64 rows;
	bool has_rows; /* the target has: write differences */
	Admission admission;
	char *admission_reason;
	PublishItem *item;
	bool in_middle; /* of reading: the source cannot be asked for more */
} Copy;

static bool
open_work(void *argument)
{
	Copy *copy = argument;

	copy->source = copy_source_open(copy->session);
	return true;
}

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

/* The target, and whether it has rows; a trial of the delta finds what is wrong with it. */
static bool
target_work(void *argument)
{
	Copy *copy = argument;
	LoadTask *task = copy->task;
	Identity identity;

	session_describe(copy->session, list_make1(task), copy->source->connection);
	if (task->source == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("source table %s does not exist",
						sql_table(task->load->source_schema, task->load->source_table))));
	say_left_out(task);
	evolve_prepare_target(copy->session, task);
	evolve_check_types(task);
	evolve_check_key(task);
	CommandCounterIncrement();
	(void) publish_lock_target(task->target);
	delta_destroy(delta_create(task->target->relid,
							   task->columns,
							   task->key,
							   FOLD_BATCH,
							   CurrentMemoryContext));
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

	copy->rows = copy_rows(copy->session, copy->task, copy->source, delta->columns, NULL, rows);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	register_tuplestore("_depipe_incoming", delta->columns, rows, copy->rows);
	identity_become(copy->task->target->owner, &identity);
	PushActiveSnapshot(GetTransactionSnapshot());
	delta_fill_from_difference(delta,
							   "_depipe_incoming",
							   target_rows_sql(copy->task->target, NULL));
	PopActiveSnapshot();
	identity_restore(&identity);
	SPI_finish();
	tuplestore_end(rows);
}

static bool
fill_work(void *argument)
{
	Copy *copy = argument;
	MemoryContext old = MemoryContextSwitchTo(copy->session->batch);

	check_storage(copy->task, copy->source);
	copy->delta->lsn = copy->source->position;
	progress_start(copy->session,
				   copy->task,
				   source_table_estimate(copy->source->connection, copy->task->source));
	if (copy->has_rows || copy->task->projection != NULL)
		fill_difference(copy);
	else
		copy->rows = copy_rows(copy->session,
							   copy->task,
							   copy->source,
							   copy->delta->columns,
							   copy->delta,
							   NULL);
	delta_finish(copy->delta);
	MemoryContextSwitchTo(old);
	return true;
}

/* Not wanted any more is no failure. */
static void
give_up(Copy *copy)
{
	LoadTask *task = copy->task;

	task->stopped = true;
	task->blocked = true;
	if (task->run != NULL)
		task->run->reason = session_keep(task, copy->session->unwanted);
	copy->session->unwanted = NULL;
}

/*
 * Read one table; false when that failed (and the source must be opened again:
 * a COPY may be in its middle).
 */
static bool
read_table(Copy *copy)
{
	LoadSession *session = copy->session;
	LoadTask *task = copy->task;
	ErrorData *error = guarded_run_waiting(target_work, copy, session_lock_timeout(session));

	if (error == NULL)
	{
		copy->delta =
			delta_create(task->target->relid, task->columns, task->key, FOLD_NONE, session->batch);
		if (!copy->has_rows && task->projection == NULL)
			delta_clear(copy->delta); /* nothing to join with: plain INSERT */
		error = guarded_run(fill_work, copy);
		copy->in_middle = error != NULL;
	}
	if (error == NULL && session->beside)
		session->unwanted = copy_unwanted(task->target->id);
	if (session->unwanted != NULL)
	{
		give_up(copy);
		return false;
	}
	if (error == NULL)
		return true;
	session_task_error(session, task, session_without_values(session, error));
	copy->delta = NULL;
	return false;
}

static PublishItem *
make_item(Copy *copy)
{
	PublishItem *item = palloc0(sizeof(PublishItem));
	Run *run = session_run(copy->session, copy->task);

	run->strategy = copy->has_rows ? "resync" : "copy";
	item->target = copy->task->target;
	item->delta = copy->delta;
	item->run = run;
	item->admission = copy->admission;
	item->reason = copy->admission_reason;
	item->park = false;
	item->lock_timeout_ms = session_lock_timeout(copy->session);
	item->always_gate = true;
	copy->task->attempted = true;
	return item;
}

/* Published, or not: then it is copied again by the next run. */
static void
finish_copy(Copy *copy)
{
	LoadSession *session = copy->session;
	LoadTask *task = copy->task;
	PublishItem *item = copy->item;

	if (item->status == PUBLISH_DONE || item->status == PUBLISH_NOTHING)
	{
		task->published = true;
		session_succeeded(task);
		task->run->status = RUN_RUNNING; /* a copy is something, also when nothing differs */
		task->run->rows_in = copy->rows;
		load_set_copied(task->load,
						copy->source->position,
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
	task->run->reason = session_keep(task, item->reason);
	task->run->error_sqlstate = session_keep(task, task->run->error_sqlstate);
	task->run->error_message = session_keep(task, task->run->error_message);
	task->run->error_hint = session_keep(task, task->run->error_hint);
	load_set_state(task->load, session->beside ? LOAD_COPYING : LOAD_NEW, item->reason, NULL);
	if (item->status == PUBLISH_ERROR || item->status == PUBLISH_REJECTED)
		session_failed(session, task, item->reason);
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
	session_run(copy->session, task)->reason = MemoryContextStrdup(copy->session->context,
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

		/* the copy is newer than everything that was held */
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

/*
 * Nobody else copies the table, until this transaction ends.  Who copies beside
 * the stream has made sure before, for longer.
 */
static bool
claim(Copy *copy)
{
	LoadTask *task = copy->task;

	if (copy->session->beside || copy_claim(task->target->id))
		return true;
	task->blocked = true;
	task->stopped = true;
	if (task->run != NULL)
		task->run->reason = COPIED_ELSEWHERE;
	return false;
}

/* Open the source unless it is; false when it cannot be. */
static bool
open_source(Copy *copy, CopySource **source)
{
	if (*source == NULL)
	{
		ErrorData *error = guarded_run(open_work, copy);

		if (error != NULL)
		{
			if (error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE)
				error->message = copy_waits_for(copy->session);
			session_task_error(copy->session, copy->task, error);
			return false;
		}
		*source = copy->source;
	}
	copy->source = *source;
	return true;
}

void
copy_together(LoadSession *session, List *tasks, CopySource **source)
{
	MemoryContext old = MemoryContextSwitchTo(session->batch);
	List *copies = NIL;
	ListCell *cell;

	foreach(cell, tasks)
	{
		Copy *copy = palloc0(sizeof(Copy));

		copy->session = session;
		copy->task = lfirst(cell);
		if (!is_wanted(copy->task) || !claim(copy) || !open_source(copy, source) || !may_copy(copy))
			continue;
		if (read_table(copy))
			copies = lappend(copies, copy);
		else if (copy->in_middle)
		{
			copy_source_close(*source);
			*source = NULL;
		}
	}
	if (copies != NIL)
		publish_copies(session, copies);
	progress_end(session);
	MemoryContextSwitchTo(old);
	MemoryContextReset(session->batch);
	session->serial++;
}

/* ---- all that wait ---- */

/* Seen by others while the copy is going on. */
static bool
mark_copying(LoadSession *session, bool again, const char *reason)
{
	bool any = false;
	ListCell *cell;

	foreach(cell, session->tasks)
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

	foreach(cell, session->tasks)
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
		queue_ask_sizes(session->control, candidates);
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

/* Each in a transaction of its own; no snapshot of the source is kept for long. */
static void
copy_one_by_one(LoadSession *session, List *groups)
{
	CopySource *source = NULL;
	ListCell *cell;

	foreach(cell, groups)
	{
		if (source != NULL && GetCurrentTimestamp() - source->opened_at > SNAPSHOT_MOST)
		{
			copy_source_close(source);
			source = NULL;
		}
		copy_together(session, tasks_of(lfirst(cell)), &source);
		session_commit(session);
		if (is_over(session))
			break;
	}
	if (source != NULL)
		copy_source_close(source);
}

void
copy_new_tables(LoadSession *session)
{
	MemoryContext context = AllocSetContextCreate(session->context,
												  "depipe load queue",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	CopySource *source = NULL;

	session->slot_wait_ms = session->options->quiet ? SLOT_WAIT_MS : 0;
	if (!session->options->commit)
	{
		copy_together(session, session->tasks, &source);
		if (source != NULL)
			copy_source_close(source);
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
