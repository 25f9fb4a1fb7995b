/*-------------------------------------------------------------------------
 *
 * copy.c
 *		Initial copy and resync of tables.
 *
 * A copy reads a table as of the consistent point of a temporary slot, in a
 * transaction of the source that uses the slot's snapshot: all transactions
 * that committed before that point are seen, the stream brings the others.
 * The permanent slot is older, so nothing is missed in between.  The tables of
 * one run are copied from one snapshot and published together.
 *
 * A table that has rows already (a resync) is not emptied: only the
 * differences are written, so that readers and whatever follows the target
 * see what changed and no more.
 *
 * A copy is never parked: a table whose breaker is open is not copied.
 *
 *-------------------------------------------------------------------------
 */
#include "load/session.h"

#include "commands/progress.h"
#include "core/catalog_look.h"
#include "core/guarded.h"
#include "core/identity.h"
#include "core/sqltext.h"
#include "core/transaction.h"
#include "executor/spi.h"
#include "load/rowreader.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "publish/publish.h"
#include "transform/strategy.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* Rows after which progress is reported. */
#define PROGRESS_EVERY 100

/* ---- the source's side ---- */

CopySource *
copy_source_open(LoadSession *session)
{
	MemoryContext old = MemoryContextSwitchTo(session->context);
	CopySource *source = palloc0(sizeof(CopySource));
	const char *slot = session->stream->slot_name;
	char *name = psprintf("depipe_copy_%s_%d", slot + Max((int) strlen(slot) - 8, 0), MyProcPid);

	session_check_slot_possible(session);
	source->connection = connection_open(session->server);
	source_command(source->connection,
				   "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0;"
				   " SET row_security = off",
				   "set up a copy");
	source_command(source->connection,
				   "BEGIN READ ONLY ISOLATION LEVEL REPEATABLE READ",
				   "start a copy");
	(void) walrcv_create_slot_compat(source->connection->walrcv,
									 name,
									 true,
									 CRS_USE_SNAPSHOT,
									 &source->position);
	MemoryContextSwitchTo(old);
	return source;
}

void
copy_source_close(CopySource *source)
{
	connection_close(source->connection);
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

/* Rows as the source has them. */
static uint64
copy_source_rows(LoadSession *session, LoadTask *task, CopySource *source, TupleDesc columns,
				 Delta *delta, Tuplestorestate *rows)
{
	RowReader *reader = rowreader_create(task->source_names, columns);
	bool binary = copy_in_binary(task, columns);
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
	while ((length = source_receive(source->connection, &buffer, -1)) >= 0)
	{
		bytes += length;
		if (!rowreader_copied(reader, buffer, length, binary, values, nulls))
			continue;
		if (delta != NULL)
			delta_append(delta, 1, values, nulls);
		else
			tuplestore_putvalues(rows, columns, values, nulls);
		MemoryContextReset(session->row);
		if (++count % PROGRESS_EVERY == 0)
			progress_report(session, count, bytes);
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
	identity_become(task->target->owner, &identity);
	identity_pin_output();
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
		tuplestore_puttupleslot(rows, slot);
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

	session_describe(copy->session, task, copy->source->connection);
	if (task->source == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("source table %s does not exist",
						sql_table(task->load->source_schema, task->load->source_table))));
	say_left_out(task);
	evolve_prepare_target(copy->session, task);
	evolve_check_types(task);
	CommandCounterIncrement();
	(void) publish_lock(list_make1(task->target), false);
	delta_destroy(delta_create(task->target->relid,
							   task->columns,
							   task->key,
							   FOLD_BATCH,
							   CurrentMemoryContext));
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	identity_become(task->target->owner, &identity);
	if (SPI_execute(psprintf("SELECT 1 FROM %s LIMIT 1", task->target->display), false, 1) !=
		SPI_OK_SELECT)
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
	delta_fill_from_difference(delta, "_depipe_incoming", copy->task->target->display);
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
		return;
	}
	task->stopped = true;
	task->blocked = item->status != PUBLISH_ERROR;
	task->run->reason = session_keep(task, item->reason);
	task->run->error_sqlstate = session_keep(task, task->run->error_sqlstate);
	task->run->error_message = session_keep(task, task->run->error_message);
	task->run->error_hint = session_keep(task, task->run->error_hint);
	load_set_state(task->load, LOAD_NEW, item->reason, NULL);
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

static bool
is_wanted(const LoadTask *task)
{
	return task->asked && !task->stopped &&
		   (task->load->state == LOAD_NEW || task->load->state == LOAD_COPYING);
}

/* Seen by others while the copy is going on. */
static void
mark_copying(LoadSession *session)
{
	bool any = false;
	ListCell *cell;

	foreach(cell, session->tasks)
	{
		LoadTask *task = lfirst(cell);

		if (!is_wanted(task) || task->paused)
			continue;
		load_set_state(task->load, LOAD_COPYING, NULL, NULL);
		any = true;
	}
	if (any)
		session_commit(session);
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
			session_task_error(copy->session, copy->task, error);
			return false;
		}
		*source = copy->source;
	}
	copy->source = *source;
	return true;
}

void
copy_new_tables(LoadSession *session)
{
	MemoryContext old = MemoryContextSwitchTo(session->batch);
	CopySource *source = NULL;
	List *copies = NIL;
	ListCell *cell;

	if (session->options->commit)
		mark_copying(session);
	foreach(cell, session->tasks)
	{
		Copy *copy = palloc0(sizeof(Copy));

		copy->session = session;
		copy->task = lfirst(cell);
		if (!is_wanted(copy->task) || !open_source(copy, &source) || !may_copy(copy))
			continue;
		if (read_table(copy))
			copies = lappend(copies, copy);
		else
		{
			copy_source_close(source);
			source = NULL;
		}
	}
	if (copies != NIL)
		publish_copies(session, copies);
	progress_end(session);
	if (source != NULL)
		copy_source_close(source);
	MemoryContextSwitchTo(old);
	MemoryContextReset(session->batch);
	session->serial++;
}
