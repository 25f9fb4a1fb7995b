/*-------------------------------------------------------------------------
 *
 * snapshot.c
 *		Reads of source tables at one consistent point.
 *
 * The point is that of a temporary slot, whose snapshot the transaction at the
 * source uses.  All transactions that committed before it are visible; a stream
 * from that slot, or from an older one, brings the others.
 *
 *-------------------------------------------------------------------------
 */
#include "load/snapshot.h"

#include "core/identity.h"
#include "core/plans.h"
#include "core/sqltext.h"
#include "executor/spi.h"
#include "load/rowreader.h"
#include "load/slot.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* Number of rows, and time, after which the caller's callback is called. */
#define LOOK_ROWS 100
#define LOOK_EVERY_MS 1000

/* ---- the snapshot ---- */

/*
 * A slot is consistent when all transactions have ended that were running when
 * it was begun.  The lock_timeout at the source limits this wait.
 */
SourceSnapshot *
snapshot_open(const Source *source, const Stream *stream, bool keep)
{
	static uint32 snapshots_made = 0;
	SourceSnapshot *snapshot = palloc0(sizeof(SourceSnapshot));
	const char *slot = stream->slot_name;
	SourceRows *rows;

	source_check_slot_possible(source);
	/* the slot of the previous one may exist until its sender has ended */
	snapshot->name = psprintf("depipe_copy_%s_%d_%u",
							  slot + Max((int) strlen(slot) - 8, 0),
							  MyProcPid,
							  ++snapshots_made);
	snapshot->connection = connection_open(source->server);
	snapshot->connection->keep = keep;
	source_command(
		snapshot->connection,
		psprintf("SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0;"
				 " SET row_security = off; SET lock_timeout = %d",
				 source->slot_wait_ms),
		"set up a copy");
	source_command(snapshot->connection,
				   "BEGIN READ ONLY ISOLATION LEVEL REPEATABLE READ",
				   "start a copy");
	rows = source_query(snapshot->connection,
						4,
						psprintf("CREATE_REPLICATION_SLOT \"%s\" TEMPORARY LOGICAL pgoutput"
								 " USE_SNAPSHOT",
								 snapshot->name),
						"create a slot for a copy");
	snapshot->position = source_lsn(rows->values[0][1]);
	snapshot->opened_at = GetCurrentTimestamp();
	snapshot->time = source_now(snapshot->connection).time;
	return snapshot;
}

void
snapshot_close(SourceSnapshot *snapshot)
{
	connection_close(snapshot->connection);
}

/* Most often it is the oldest one; the others have not been running long enough. */
char *
snapshot_waits_for(Connection *control)
{
	SourceRows *rows = source_query(
		control,
		1,
		"SELECT l.transactionid::text FROM pg_catalog.pg_locks l"
		" WHERE l.locktype = 'transactionid' AND l.granted AND l.mode = 'ExclusiveLock'"
		" ORDER BY pg_catalog.age(l.transactionid) DESC LIMIT 1",
		"read the running transactions");

	return rows->count == 0
			   ? pstrdup("waits for a transaction at the source")
			   : psprintf("waits for transaction %s at the source", rows->values[0][0]);
}

/*
 * A snapshot sees no rows of a table that was truncated or rewritten after the
 * snapshot was taken.  Once the table is locked that can no longer happen.
 */
void
snapshot_check_storage(const SourceSnapshot *snapshot, const LoadTask *task)
{
	const char *table = sql_table(task->source->schema_name, task->source->table_name);
	bool partitioned = task->source->kind == RELKIND_PARTITIONED_TABLE;
	SourceRows *rows;

	/* like LOCK TABLE, but also allowed to a role that may read only some columns */
	(void) source_query(snapshot->connection,
						1,
						psprintf("SELECT '' FROM %s%s LIMIT 0", partitioned ? "" : "ONLY ", table),
						"lock a table");
	rows = source_query(
		snapshot->connection,
		1,
		psprintf("WITH RECURSIVE part (oid) AS (SELECT %u::pg_catalog.oid"
				 " UNION ALL SELECT i.inhrelid FROM part p"
				 " JOIN pg_catalog.pg_inherits i ON i.inhparent = p.oid WHERE %s)"
				 " SELECT '' FROM part p JOIN pg_catalog.pg_class c ON c.oid = p.oid"
				 " WHERE c.relfilenode <> 0 AND c.relfilenode IS DISTINCT FROM"
				 " pg_catalog.pg_relation_filenode(c.oid) LIMIT 1",
				 task->source->relid,
				 partitioned ? "true" : "false"),
		"read the storage of a table");
	if (rows->count > 0)
		ereport(
			ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("table %s of the source was truncated or rewritten during the copy", table)));
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

/* ---- rows ---- */

/* Call the callback from time to time, without the identity of the owner. */
static void
let_look(const SnapshotWatch *watch, LoadTask *task, uint64 rows, uint64 bytes, Identity *identity)
{
	if (watch == NULL)
		return;
	identity_restore(identity);
	watch->look(watch->argument, rows, bytes);
	identity_become(task->target->owner, identity);
}

/* Rows in the layout of the source. */
static uint64
source_rows(const SourceSnapshot *snapshot, LoadTask *task, TupleDesc columns, Delta *delta,
			Tuplestorestate *rows, const SnapshotWatch *watch)
{
	Connection *connection = snapshot->connection;
	TaskSet *set = task->set;
	RowReader *reader = rowreader_create(task->source_names, columns, connection->encoding);
	bool binary = connection_same_encoding(connection) && copy_in_binary(task, columns);
	Datum *values = palloc0(sizeof(Datum) * Max(columns->natts, 1));
	bool *nulls = palloc0(sizeof(bool) * Max(columns->natts, 1));
	Identity identity;
	MemoryContext old;
	uint64 count = 0;
	uint64 bytes = 0;
	char *buffer;
	int length;

	source_start_copy(connection, copy_command(task, binary), "copy a table");
	set->reader = reader;
	identity_become(task->target->owner, &identity);
	old = MemoryContextSwitchTo(set->row);
	while ((length = source_receive(connection, &buffer, LOOK_EVERY_MS)) >= 0)
	{
		bool more = length > 0 && rowreader_copied(reader, buffer, length, binary, values, nulls);

		bytes += length;
		if (more && delta != NULL)
			delta_append(delta, 1, values, nulls);
		else if (more)
			tuplestore_putvalues(rows, columns, values, nulls);
		MemoryContextReset(set->row);
		count += more;
		if (length == 0 || count % LOOK_ROWS == 0)
			let_look(watch, task, count, bytes, &identity);
	}
	let_look(watch, task, count, bytes, &identity);
	MemoryContextSwitchTo(old);
	identity_restore(&identity);
	set->reader = NULL;
	return count;
}

/* Compute and filter rows of the source's layout into rows of the target's layout. */
static uint64
project_rows(LoadTask *task, Tuplestorestate *source_rows, uint64 count, TupleDesc columns,
			 Tuplestorestate *rows)
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
	task->set->projecting = true;
	projected = query_to_tuplestore(
		projection_rows_sql(task->projection, "_depipe_copied", columns),
		NIL,
		&desc,
		&nrows,
		task->set->batch);
	task->set->projecting = false;
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
snapshot_rows(const SourceSnapshot *snapshot, LoadTask *task, TupleDesc columns, Delta *delta,
			  Tuplestorestate *rows, const SnapshotWatch *watch)
{
	Tuplestorestate *unprojected;
	uint64 count;

	if (task->projection == NULL)
		return source_rows(snapshot, task, columns, delta, rows, watch);
	Assert(delta == NULL);
	unprojected = tuplestore_begin_heap(true, false, work_mem);
	count =
		source_rows(snapshot, task, projection_source(task->projection), NULL, unprojected, watch);
	count = project_rows(task, unprojected, count, columns, rows);
	tuplestore_end(unprojected);
	return count;
}
