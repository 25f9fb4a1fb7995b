/*-------------------------------------------------------------------------
 *
 * take.c
 *		The changes of a stream, taken into the deltas of the tasks.
 *
 * A batch consists of whole source transactions.  A change is read in place
 * into the columns of each load that takes its table, in a memory context that
 * is reset for each change; the deltas copy the values that they keep.
 *
 * A transaction that committed before the position of a table's copy is part of
 * the copy: its changes are skipped.
 *
 * The rows of a history depend on each transaction of the source, not only on
 * their sum.  So the changes of a transaction that changes a history are
 * delivered at its end, and no delta of a history has changes of two.
 *
 * If a table arrives in another layout than recorded, reading stops in the
 * middle of the transaction.  The caller delivers the changes read so far,
 * changes the target, and continues, all in one transaction of ours, so that no
 * reader sees a part.
 *
 * Input of values of user-defined types runs user code: they are read as the
 * owner of the target.  The identity is kept from change to change, and
 * restored before anything else.
 *
 *-------------------------------------------------------------------------
 */
#include "load/take.h"

#include "core/guarded.h"
#include "delta/fill.h"
#include "load/recorded.h"
#include "load/rowreader.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#define MEMORY_CHECK_EVERY 256 /* changes */

/*
 * A batch is spilled when it exceeds depipe.batch_memory by this many bytes, or
 * by half of it if that is less.
 */
#define SPILL_LATE ((Size) 16 * 1024 * 1024)

/*
 * Maximum number of transactions of a batch that are delivered by themselves:
 * each takes subtransactions of ours.
 */
#define VERSIONS_MOST 100

/* The maximum time for which a followed stream is read before its batch is published. */
#define FOLLOW_BATCH (200 * INT64CONST(1000))

/* A load that takes a table of the stream. */
typedef struct Taker
{
	LoadTask *task;
	Delta *delta;
	uint64 serial; /* serial number of the batch of delta and reader */
	RowReader *reader;
	Datum *values;
	bool *nulls;
	Datum *old_values;
	bool *old_nulls;
} Taker;

/* ---- identity ---- */

/* Runs under the base settings, which have the form of the texts that the source sends. */
static void
act_as(TakeState *taking, Oid owner)
{
	if (taking->acting && taking->acting_as == owner)
		return;
	if (taking->acting)
		identity_restore(&taking->identity);
	identity_become(owner, &taking->identity);
	taking->acting = true;
	taking->acting_as = owner;
}

static void
act_as_self(TakeState *taking)
{
	if (taking->acting)
		identity_restore(&taking->identity);
	taking->acting = false;
}

/* ---- binary form ---- */

static bool
binary_task(const LoadTask *task)
{
	ListCell *cell;

	foreach(cell, task->source->columns)
	{
		SourceColumn *column = lfirst(cell);
		AttrNumber attnum;

		if (!rowreader_binary_safe(column->type))
			return false;
		attnum = get_attnum(task->target->relid, column->name);
		if (attnum != InvalidAttrNumber && task->projection == NULL &&
			get_atttype(task->target->relid, attnum) != column->type)
			return false;
	}
	return true;
}

/*
 * A stream is binary only if every table in it has only types whose binary form
 * has the same meaning here.
 */
bool
take_in_binary(const TaskSet *set, const Source *source, const Stream *stream)
{
	ListCell *cell;

	if (!stream->publication_managed || !connection_same_encoding(source->control))
		return false;
	foreach(cell, set->tasks)
	{
		LoadTask *task = lfirst(cell);

		if (task->source != NULL && !binary_task(task))
			return false;
	}
	return true;
}

/* ---- deltas ---- */

bool
take_is_waiting(const LoadTask *task)
{
	return task->retry_at != 0 && task->retry_at > GetCurrentTimestamp();
}

static bool
lock_work(void *argument)
{
	LockRelationOid(*(Oid *) argument, AccessShareLock);
	return true;
}

/*
 * A table that is locked against reading does not stop the others of its
 * server.  The session waits for it, since most locks are short and an
 * autovacuum yields to a waiting session, but not with each batch again.
 */
bool
take_lock(LoadTask *task)
{
	Oid relid = task->target->relid;

	if (!task->set->quiet || ConditionalLockRelationOid(relid, AccessShareLock))
		return true;
	return !take_is_waiting(task) &&
		   guarded_run_waiting(lock_work, &relid, task_lock_timeout(task->set)) == NULL;
}

Delta *
take_target_delta(LoadTask *task)
{
	return (task->locked
				? delta_create_to_park
				: delta_create)(task->target->relid, task->columns, task->key, task->set->batch);
}

Delta *
take_delta(LoadTask *task)
{
	Delta *delta;

	if (task->delta != NULL)
		return task->delta;
	task->locked = !take_lock(task);
	if (task->projection != NULL)
		delta = delta_create_for_columns(projection_source(task->projection),
										 task->key,
										 task->set->batch);
	else
		delta = take_target_delta(task);
	task->delta = delta_begin_fold(delta);
	return task->delta;
}

/* ---- takers ---- */

/* Does the load take changes of the transaction being read? */
static bool
takes(TakeState *taking, const Taker *taker)
{
	return !taker->task->stopped && taker->task->load->state == LOAD_STREAMING &&
		   taking->decoder.commit_lsn >= taker->task->load->applied_lsn;
}

/* Delta and reader of the batch. */
static Delta *
ready(TakeState *taking, SourceRelation *relation, Taker *taker)
{
	LoadTask *task = taker->task;
	MemoryContext old;
	int natts;

	if (likely(task->delta != NULL && taker->serial == taking->set->serial))
		return task->delta;
	act_as_self(taking);
	old = MemoryContextSwitchTo(taking->set->batch);
	taker->serial = taking->set->serial;
	taker->delta = take_delta(task);
	taker->reader = rowreader_create(relation->names,
									 taker->delta->columns,
									 taking->decoder.connection->encoding);
	natts = Max(taker->delta->columns->natts, 1);
	taker->values = palloc0(sizeof(Datum) * natts);
	taker->old_values = palloc0(sizeof(Datum) * natts);
	taker->nulls = palloc0(sizeof(bool) * natts);
	taker->old_nulls = palloc0(sizeof(bool) * natts);
	MemoryContextSwitchTo(old);
	return taker->delta;
}

static void
begin_reading(TakeState *taking, Taker *taker)
{
	taking->set->current = taker->task;
	taking->set->reader = taker->reader;
	taker->delta->lsn = taking->decoder.commit_lsn;
	taker->delta->time = taking->decoder.commit_time;
	if (taker->reader->needs_identity)
		act_as(taking, taker->task->target->owner);
}

static void
end_reading(TakeState *taking)
{
	taking->set->current = NULL;
	taking->set->reader = NULL;
}

/* ---- memory ---- */

static Size
batch_memory(const TaskSet *set)
{
	Size memory = 0;
	ListCell *cell;

	foreach(cell, set->tasks)
	{
		LoadTask *task = lfirst(cell);

		if (task->delta != NULL)
			memory += delta_memory(task->delta);
	}
	return memory;
}

/*
 * A batch consists of whole transactions, and one of them may exceed memory.
 * Most only end the batch a little late.
 */
static void
look_at_memory(TakeState *taking)
{
	Size limit = (Size) depipe_batch_memory * 1024;
	Size memory = batch_memory(taking->set);
	int deltas = 0;
	ListCell *cell;

	taking->unchecked = 0;
	if (memory >= limit)
		taking->full = true;
	if (memory < limit + Min(limit / 2, SPILL_LATE))
		return;
	foreach(cell, taking->set->tasks)
		if (((LoadTask *) lfirst(cell))->delta != NULL)
			deltas++;
	foreach(cell, taking->set->tasks)
	{
		LoadTask *task = lfirst(cell);

		/* those of at least average size */
		if (task->delta != NULL && delta_memory(task->delta) * deltas >= memory)
			delta_spill(task->delta);
	}
}

/* ---- changes ---- */

static void
read_insert(Taker *taker, char *data, const char *end)
{
	Bitmapset *unknown = NULL;

	data++; /* 'N' */
	rowreader_replicated(taker->reader, &data, end, taker->values, taker->nulls, &unknown);
	/* rows from before an ignored TRUNCATE still exist */
	taker->delta->claim = taker->task->load->on_truncate == ON_TRUNCATE_IGNORE ? CLAIM_NOTHING
																			   : CLAIM_ABSENT;
	delta_upsert(taker->delta, taker->values, taker->nulls, unknown, NULL, NULL, false);
}

static void
read_update(Taker *taker, char *data, const char *end)
{
	Bitmapset *unknown = NULL;
	char kind = *data++;
	bool has_old = (kind == 'K' || kind == 'O');

	if (has_old)
	{
		rowreader_replicated(taker->reader, &data, end, taker->old_values, taker->old_nulls, NULL);
		data++; /* 'N' */
	}
	rowreader_replicated(taker->reader, &data, end, taker->values, taker->nulls, &unknown);
	taker->delta->claim = CLAIM_PRESENT;
	delta_upsert(taker->delta,
				 taker->values,
				 taker->nulls,
				 unknown,
				 has_old ? taker->old_values : NULL,
				 has_old ? taker->old_nulls : NULL,
				 kind == 'O');
}

static void
read_delete(Taker *taker, char *data, const char *end)
{
	data++; /* 'K' or 'O' */
	rowreader_replicated(taker->reader, &data, end, taker->values, taker->nulls, NULL);
	taker->delta->claim = CLAIM_PRESENT;
	delta_delete(taker->delta, taker->values, taker->nulls);
}

static void
take_change(TakeState *taking, Decoded *decoded)
{
	SourceRelation *relation = decoded->relation;
	ListCell *cell;

	if (relation == NULL)
		return;
	taking->changes++;
	if (++taking->unchecked >= MEMORY_CHECK_EVERY)
		look_at_memory(taking);
	foreach(cell, relation->takers)
	{
		Taker *taker = lfirst(cell);

		if (!takes(taking, taker))
			continue;
		taking->set->current = taker->task;
		(void) ready(taking, relation, taker);
		begin_reading(taking, taker);
		if (decoded->action == LOGICAL_REP_MSG_INSERT)
			read_insert(taker, decoded->data, decoded->data_end);
		else if (decoded->action == LOGICAL_REP_MSG_UPDATE)
			read_update(taker, decoded->data, decoded->data_end);
		else
			read_delete(taker, decoded->data, decoded->data_end);
		end_reading(taking);
	}
}

static void
truncate_taker(TakeState *taking, SourceRelation *relation, Taker *taker)
{
	LoadTask *task = taker->task;

	if (!takes(taking, taker))
		return;
	task->truncated_by = taking->decoder.commit_xid;
	if (task->load->on_truncate == ON_TRUNCATE_IGNORE)
		return;
	if (task->load->on_truncate == ON_TRUNCATE_PAUSE)
	{
		act_as_self(taking);
		task_stop_for_resync(task, "the source table was truncated");
		return;
	}
	taking->set->current = task;
	(void) ready(taking, relation, taker);
	begin_reading(taking, taker);
	delta_clear(taker->delta);
	taker->delta->changes++;
	end_reading(taking);
}

static void
take_truncate(TakeState *taking, List *relids)
{
	ListCell *cell;

	foreach(cell, relids)
	{
		SourceRelation *relation = decode_relation(&taking->decoder, lfirst_oid(cell));
		ListCell *other;

		if (relation == NULL)
			continue;
		taking->changes++;
		foreach(other, relation->takers)
			truncate_taker(taking, relation, lfirst(other));
	}
}

/* ---- tables ---- */

/* The loads of a table, found by its name at the source. */
static List *
find_takers(const TaskSet *set, const SourceRelation *relation)
{
	List *takers = NIL;
	ListCell *cell;

	foreach(cell, set->tasks)
	{
		LoadTask *task = lfirst(cell);
		Taker *taker;

		if (strcmp(task->load->source_schema, relation->schema_name) != 0 ||
			strcmp(task->load->source_table, relation->table_name) != 0)
			continue;
		taker = palloc0(sizeof(Taker));
		taker->task = task;
		takers = lappend(takers, taker);
	}
	return takers;
}

static void
take_relation(TakeState *taking, SourceRelation *relation)
{
	MemoryContext old = MemoryContextSwitchTo(relation->context);

	relation->takers = find_takers(taking->set, relation);
	MemoryContextSwitchTo(old);
	taking->described = relation;
	taking->next_taker = 0;
}

/*
 * Do old images of the table have its key from here on?  A change of the
 * replica identity shows with the next change of the table.
 */
static void
check_identity(const SourceRelation *relation, LoadTask *task)
{
	char *problem = task->key == NIL && !relation->full ? pstrdup(IDENTITY_LOST) : NULL;
	ListCell *cell;
	ListCell *other;

	foreach(cell, task->key)
	{
		bool found = relation->full;

		foreach(other, relation->identity)
			found |= strcmp(lfirst(cell), lfirst(other)) == 0;
		if (!found)
			problem = psprintf(
				"key column \"%s\" is no longer part of the replica identity of the source table",
				(char *) lfirst(cell));
	}
	if (problem != NULL)
		task_stop_for_resync(task, problem);
}

LoadTask *
take_next_layout(TakeState *taking, List **names, List **types)
{
	SourceRelation *relation = taking->described;

	while (relation != NULL && taking->next_taker < list_length(relation->takers))
	{
		Taker *taker = list_nth(relation->takers, taking->next_taker++);
		LoadTask *task = taker->task;

		if (!takes(taking, taker))
			continue;
		check_identity(relation, task);
		if (task->stopped || !recorded_differs(task, relation->names, relation->types))
			continue;
		*names = relation->names;
		*types = relation->types;
		return task;
	}
	taking->described = NULL;
	return NULL;
}

/* ---- batches ---- */

void
take_begin(TakeState *taking, TaskSet *set, Transport *transport)
{
	taking->set = set;
	taking->transport = transport;
	taking->described = NULL;
	taking->acting = false;
	decode_begin(&taking->decoder,
				 transport->source->control,
				 set->context,
				 transport->stream->applied_lsn);
}

void
take_begin_batch(TakeState *taking)
{
	taking->changes = 0;
	taking->unchecked = 0;
	taking->full = false;
	taking->versions = 0;
	taking->version = false;
	taking->described = NULL;
	taking->decoder.time = 0;
	taking->begun_at = GetCurrentTimestamp();
}

static bool
is_full(const TakeState *taking)
{
	if (taking->changes >= depipe_batch_rows || taking->versions >= VERSIONS_MOST)
		return true;
	if (taking->set->following && GetCurrentTimestamp() - taking->begun_at > FOLLOW_BATCH)
		return true;
	return taking->full;
}

/* An exact reading ends before a transaction after the stop. */
static bool
begins_behind_stop(TakeState *taking)
{
	Decoder *decoder = &taking->decoder;

	if (!taking->transport->exact || decoder->commit_lsn < taking->transport->stop)
		return false;
	decoder->in_transaction = false;
	taking->transport->finished = true;
	return true;
}

static bool
history_changed(const TaskSet *set)
{
	ListCell *cell;

	foreach(cell, set->tasks)
	{
		const LoadTask *task = lfirst(cell);

		if (task->delta != NULL && task->load->history != HISTORY_NONE)
			return true;
	}
	return false;
}

/* At the end of a transaction: does the batch end with it, or are its changes delivered? */
static bool
take_commit(TakeState *taking)
{
	Transport *transport = taking->transport;

	taking->version = history_changed(taking->set);
	if (taking->version)
		taking->versions++;
	if (transport->reading == READING_STREAM && taking->decoder.end >= transport->stop)
		transport->finished = true;
	return transport->finished || is_full(taking) || taking->version;
}

/* One message of pgoutput; returns true when the batch ends with it, or a table was described. */
static bool
take_message(TakeState *taking, StringInfo message)
{
	Decoded decoded;

	decode_message(&taking->decoder, message, &decoded);
	switch (decoded.action)
	{
		case LOGICAL_REP_MSG_INSERT:
		case LOGICAL_REP_MSG_UPDATE:
		case LOGICAL_REP_MSG_DELETE:
			take_change(taking, &decoded);
			return false;
		case LOGICAL_REP_MSG_BEGIN:
			return begins_behind_stop(taking);
		case LOGICAL_REP_MSG_COMMIT:
			return take_commit(taking);
		case LOGICAL_REP_MSG_TRUNCATE:
			take_truncate(taking, decoded.relids);
			return false;
		case LOGICAL_REP_MSG_RELATION:
			take_relation(taking, decoded.relation);
			return true;
		default:
			return false;
	}
}

/* Everything committed before the position has arrived. */
static void
take_position(TakeState *taking, XLogRecPtr position)
{
	if (position > taking->decoder.end && !taking->transport->exact)
		taking->decoder.end = position;
	if (position >= taking->transport->stop)
		taking->transport->finished = true;
}

/* Handle the next event of the transport; returns true if reading stops with it. */
static bool
take_next(TakeState *taking)
{
	Transport *transport = taking->transport;
	Decoder *decoder = &taking->decoder;
	StringInfoData message;
	XLogRecPtr position;

	switch (stream_next(transport, decoder->in_transaction, &message, &position))
	{
		case STREAM_MESSAGE:
			return take_message(taking, &message);
		case STREAM_POSITION:
			if (decoder->in_transaction)
				return false;
			take_position(taking, position);
			return transport->finished;
		case STREAM_BITE_END:
			take_position(taking, position);
			return true;
		case STREAM_SILENCE:
			if (taking->set->following && !decoder->in_transaction)
				return true;
			stream_ping(transport);
			return false;
		case STREAM_AGAIN:
			break;
	}
	return false;
}

TakeResult
take_read(TakeState *taking)
{
	MemoryContext old = MemoryContextSwitchTo(taking->set->row);
	bool done = false;

	taking->version = false;
	while (!done && !taking->transport->finished)
	{
		CHECK_FOR_INTERRUPTS();
		done = take_next(taking);
		MemoryContextReset(taking->set->row);
	}
	act_as_self(taking);
	MemoryContextSwitchTo(old);
	if (taking->described != NULL)
		return TAKE_LAYOUT;
	if (taking->transport->finished)
		return TAKE_STOP;
	return taking->version && !is_full(taking) ? TAKE_VERSION : TAKE_FULL;
}
