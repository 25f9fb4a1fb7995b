/*-------------------------------------------------------------------------
 *
 * stream.c
 *		Reading the stream of a server into the deltas of its loads.
 *
 * The stream is pgoutput's, started by hand because the walreceiver's own way
 * cannot ask for messages.  A batch is whole source transactions.  A change is
 * read in place into the columns of each load that takes its table, in a
 * context that is reset for each change; the deltas copy what they keep.
 *
 * The stream costs the source a message per change.  A backlog is read in bulk,
 * as the result of a query that peeks into the slot: bites of the log, each
 * after the slot was moved behind the one before, until little is left; then
 * the stream takes over.  Both bring the same messages in the same order.
 *
 * A transaction that committed before the position of a table's copy is in the
 * copy: its changes are passed over.  Everything that committed before a
 * keepalive's position has been sent before it.
 *
 * When a table comes in another layout than recorded, what was read of the
 * transaction so far is delivered, the target is changed, and reading goes on:
 * all in one transaction of ours, so that nobody sees the part.
 *
 * Values of user-defined types run a user's code: they are read as the owner
 * of the target.  The identity is kept from change to change, and put back
 * before anything else is done.
 *
 *-------------------------------------------------------------------------
 */
#include "load/stream.h"

#include "access/xlog.h"
#include "core/identity.h"
#include "core/sqltext.h"
#include "core/transaction.h"
#include "lib/stringinfo.h"
#include "libpq/pqformat.h"
#include "load/deliver.h"
#include "load/evolve.h"
#include "load/rowreader.h"
#include "replication/logicalproto.h"
#include "replication/message.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#define WAIT_MS 1000
#define JOIN_WAIT_MS 20 /* who copies beside the stream keeps it from others meanwhile */
#define NAP_US 250
#define NAP_AFTER 200          /* messages: a longer run of them came without naps */
#define START_TRIES 50         /* times 0.1 s: our last connection may be just ending */
#define MEMORY_CHECK_EVERY 256 /* changes */

/* A batch is spilled so many bytes past depipe.batch_memory, or half of that if it is less. */
#define SPILL_LATE ((Size) 32 * 1024 * 1024)

/* Bytes of the source's log: from here on in bulk, and at most so much in one bite. */
#define BULK_LEAST (4 * 1024 * 1024)
#define BULK_MOST (256 * 1024 * 1024)
#define STANDBY_WAIT 300       /* ms; a standby that is there needs less */
#define SENDER_TIMEOUT "30min" /* of the source: it waits while a batch is applied */

/* A stream that goes on is read for so long at most before a batch is published. */
#define FOLLOW_BATCH (200 * INT64CONST(1000))

/* A flag of a column in a relation message. */
#define RELATION_COLUMN_IN_IDENTITY 1

/* A load that takes a table of the stream. */
typedef struct Taker
{
	LoadTask *task;
	Delta *delta;
	uint64 serial; /* of the batch that delta and reader were made for */
	RowReader *reader;
	Datum *values;
	bool *nulls;
	Datum *old_values;
	bool *old_nulls;
} Taker;

typedef struct SourceRelation
{
	LogicalRepRelId id;    /* hash key */
	MemoryContext context; /* of the rest: the source sends it again now and then */
	List *names;
	List *types;    /* OIDs at the source */
	List *identity; /* names of the columns that old images have */
	bool full;      /* they have all of them, as they were */
	List *takers;
} SourceRelation;

/* What is under way on the connection. */
typedef enum Reading
{
	READING_NOTHING,
	READING_BULK,
	READING_STREAM
} Reading;

typedef struct StreamState
{
	Reading reading;
	bool bulk_begun;     /* the header of its rows has been read */
	XLogRecPtr bulk_end; /* the bite has all that committed before */
	HTAB *relations;
	SourceRelation *last;
	bool in_transaction;
	bool finished;         /* the stop was reached */
	bool drained;          /* nothing more was there when we last looked */
	TimestampTz begun_at;  /* the batch */
	TimestampTz heard_at;  /* when something came last */
	XLogRecPtr commit_lsn; /* of the transaction being read */
	TimestampTz commit_time;
	TransactionId commit_xid;
	SourceCommit last_commit; /* the last one that was read */
	XLogRecPtr batch_end;
	TimestampTz batch_time;
	int64 changes;      /* of the batch */
	int unchecked;      /* of them, since memory was looked at */
	bool full;          /* it has taken depipe.batch_memory */
	int run_length;     /* messages since we last waited */
	XLogRecPtr flushed; /* the end of our own log when we began */
	XLogRecPtr confirmed;
	bool acting; /* as the owner of a target */
	Oid acting_as;
	Identity identity;
} StreamState;

/* ---- starting and stopping ---- */

static void
send_feedback(LoadSession *session, bool ask_reply)
{
	StringInfoData reply;

	initStringInfo(&reply);
	pq_sendbyte(&reply, 'r');
	pq_sendint64(&reply, session->state->confirmed);
	pq_sendint64(&reply, session->state->confirmed);
	pq_sendint64(&reply, session->state->confirmed);
	pq_sendint64(&reply, GetCurrentTimestamp());
	pq_sendbyte(&reply, ask_reply ? 1 : 0);
	walrcv_send(session->streaming->walrcv, reply.data, reply.len);
	pfree(reply.data);
}

char *
stream_start_command(LoadSession *session, XLogRecPtr position, bool binary)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "START_REPLICATION SLOT \"%s\" LOGICAL %X/%X (proto_version '1',"
					 " publication_names %s",
					 session->stream->slot_name,
					 LSN_FORMAT_ARGS(position),
					 sql_literal(quote_identifier(session->stream->publication)));
	if (session->control->version >= 140000)
		appendStringInfo(&sql, ", messages 'true'%s", binary ? ", binary 'true'" : "");
	appendStringInfoChar(&sql, ')');
	return sql.data;
}

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
 * One stream is either binary or not: only when every table in it has nothing
 * but types whose binary form means the same here.
 */
static bool
binary_possible(LoadSession *session)
{
	ListCell *cell;

	if (!session->stream->publication_managed || !connection_same_encoding(session->control))
		return false;
	foreach(cell, session->tasks)
	{
		LoadTask *task = lfirst(cell);

		if (task->source != NULL && !binary_task(task))
			return false;
	}
	return true;
}

/* What a commit wrote must be on disk here before the source may forget it. */
static XLogRecPtr
flush_local(void)
{
	XLogRecPtr end = log_logical_message_compat("depipe", "", 0);

	XLogFlush(end);
	return end;
}

/*
 * The slot is moved to the last position first, which must be committed here:
 * not while it is a matter of the caller's transaction.  Each bite decodes the
 * log again from where the oldest transaction of the source began: when that
 * is far back, the stream, which decodes once, is better.
 */
static bool
bulk_is_better(LoadSession *session)
{
	XLogRecPtr from = session->stream->applied_lsn;
	int64 retained;

	if (session->exact || session->stream->own_write || session->streaming->version < 140000 ||
		session->stop < from + BULK_LEAST)
		return false;
	/* it begins with what the slot has not been told, and standbys may not have it yet */
	if (!transaction_is_safe_within(Max(XactLastCommitEnd, session->state->flushed), STANDBY_WAIT))
		return false;
	/* a bite is kept there in a temporary file */
	if (strcmp(source_query(session->streaming,
							1,
							"SELECT pg_catalog.current_setting('temp_file_limit')",
							"look at a setting")
				   ->values[0][0],
			   "-1") != 0)
		return false;
	retained = source_slot_describe(session->control, session->stream->slot_name)->retained_bytes;
	return retained >= 0 && retained <= (int64) (session->stop - from) + BULK_MOST;
}

static void
check_publication(LoadSession *session)
{
	if (source_publication_oid(session->control, session->stream->publication) !=
		session->stream->publication_oid)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("publication \"%s\" of server \"%s\" was dropped or made again",
						session->stream->publication,
						session->server->name)));
}

static void
start_bulk(LoadSession *session)
{
	StreamState *state = session->state;
	Stream *stream = session->stream;
	StringInfoData sql;

	check_publication(session);
	source_advance_slot(session->streaming, stream->slot_name, stream->applied_lsn, START_TRIES);
	state->bulk_end = Min(session->stop, stream->applied_lsn + BULK_MOST);
	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "COPY (SELECT data FROM pg_catalog.pg_logical_slot_peek_binary_changes("
					 "%s, '%X/%X', NULL, 'proto_version', '1', 'publication_names', %s,"
					 " 'messages', 'true'%s)) TO STDOUT (FORMAT binary)",
					 sql_literal(stream->slot_name),
					 LSN_FORMAT_ARGS(state->bulk_end),
					 sql_literal(quote_identifier(stream->publication)),
					 session->binary ? ", 'binary', 'true'" : "");
	source_start_copy(session->streaming, sql.data, "read the slot");
	state->bulk_begun = false;
	state->reading = READING_BULK;
}

static void
start_stream(LoadSession *session)
{
	source_start_stream(
		session->streaming,
		stream_start_command(session, session->stream->applied_lsn, session->binary),
		START_TRIES);
	session->state->reading = READING_STREAM;
}

static void
start_reading(LoadSession *session)
{
	if (!session->following && bulk_is_better(session))
		start_bulk(session);
	else
		start_stream(session);
}

static void
make_state(LoadSession *session)
{
	HASHCTL control = {0};
	StreamState *state = palloc0(sizeof(StreamState));

	control.keysize = sizeof(LogicalRepRelId);
	control.entrysize = sizeof(SourceRelation);
	control.hcxt = session->context;
	state->relations =
		hash_create("depipe source relations", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	session->state = state;
	session->binary = binary_possible(session);
	state->batch_end = session->stream->applied_lsn;
}

void
stream_start_own(LoadSession *session, Connection *connection)
{
	MemoryContext old = MemoryContextSwitchTo(session->context);

	make_state(session);
	session->streaming = connection;
	if (connection->version >= 120000)
		source_command(connection,
					   "SET wal_sender_timeout = '" SENDER_TIMEOUT "'",
					   "set the timeout");
	start_stream(session);
	MemoryContextSwitchTo(old);
}

void
stream_go_on(LoadSession *session)
{
	session->state->finished = session->stream->applied_lsn >= session->stop;
	if (!session->state->finished)
		send_feedback(session, true);
}

void
stream_start(LoadSession *session)
{
	MemoryContext old = MemoryContextSwitchTo(session->context);
	StreamState *state;

	make_state(session);
	state = session->state;
	session->streaming = connection_open(session->server);
	session->streaming->keep = session->options->commit;
	/* a bite may take long, and must not be cut off again and again; see also prepare_session() */
	if (session->streaming->version >= 120000)
		source_command(session->streaming,
					   "SET wal_sender_timeout = '" SENDER_TIMEOUT "'",
					   "set the timeout");
	if (!session->stream->own_write)
		state->flushed = flush_local();
	start_reading(session);
	if (!session->stream->own_write && state->reading == READING_STREAM &&
		transaction_is_safe(state->flushed))
		stream_confirm(session, session->stream->applied_lsn);
	MemoryContextSwitchTo(old);
}

void
stream_stop(LoadSession *session)
{
	if (session->streaming == NULL)
		return;
	connection_close(session->streaming);
	session->streaming = NULL;
	session->state = NULL;
}

/*
 * A publication that is gone makes newer sources skip changes silently, so it
 * is looked at before the source is told that it may forget something.
 *
 * In the middle of a bite nothing can be told; the next bite, or the stream
 * that is started here after the last one, does.
 */
void
stream_confirm(LoadSession *session, XLogRecPtr position)
{
	session->state->confirmed = position;
	if (session->state->reading == READING_BULK ||
		(session->state->reading == READING_NOTHING && !session->state->finished))
		return;
	check_publication(session);
	if (session->state->reading == READING_NOTHING)
		start_stream(session);
	send_feedback(session, false);
}

void
stream_follow(LoadSession *session)
{
	session->following = true;
	session->stop = PG_UINT64_MAX;
	session->state->finished = false;
	session->state->heard_at = GetCurrentTimestamp();
}

bool
stream_has_input(const LoadSession *session)
{
	return !session->state->drained;
}

void
stream_wait(LoadSession *session, bool input, long timeout_ms)
{
	if (source_wait(input ? session->streaming : NULL, timeout_ms))
		session->state->drained = false;
}

void
stream_ping(LoadSession *session)
{
	send_feedback(session, true);
}

TimestampTz
stream_heard_at(const LoadSession *session)
{
	return session->state->heard_at;
}

const SourceCommit *
stream_last_commit(LoadSession *session)
{
	return &session->state->last_commit;
}

XLogRecPtr
stream_batch_end(LoadSession *session, TimestampTz *commit_time)
{
	*commit_time = session->state->batch_time;
	return session->state->batch_end;
}

/* ---- identity ---- */

/* Under the base settings: those of the texts that the source sends. */
static void
act_as(StreamState *state, Oid owner)
{
	if (state->acting && state->acting_as == owner)
		return;
	if (state->acting)
		identity_restore(&state->identity);
	identity_become(owner, &state->identity);
	state->acting = true;
	state->acting_as = owner;
}

static void
act_as_self(StreamState *state)
{
	if (state->acting)
		identity_restore(&state->identity);
	state->acting = false;
}

/* ---- takers ---- */

/* Does the load take changes of the transaction being read? */
static bool
takes(LoadSession *session, const Taker *taker)
{
	return !taker->task->stopped && taker->task->load->state == LOAD_STREAMING &&
		   session->state->commit_lsn >= taker->task->load->applied_lsn;
}

/* Delta and reader of the batch. */
static Delta *
ready(LoadSession *session, SourceRelation *relation, Taker *taker)
{
	LoadTask *task = taker->task;
	MemoryContext old;
	int natts;

	if (likely(task->delta != NULL && taker->serial == session->serial))
		return task->delta;
	act_as_self(session->state);
	old = MemoryContextSwitchTo(session->batch);
	taker->serial = session->serial;
	taker->delta = deliver_delta(session, task);
	taker->reader = rowreader_create(relation->names,
									 taker->delta->columns,
									 session->control->encoding);
	natts = Max(taker->delta->columns->natts, 1);
	taker->values = palloc0(sizeof(Datum) * natts);
	taker->old_values = palloc0(sizeof(Datum) * natts);
	taker->nulls = palloc0(sizeof(bool) * natts);
	taker->old_nulls = palloc0(sizeof(bool) * natts);
	MemoryContextSwitchTo(old);
	return taker->delta;
}

static void
begin_reading(LoadSession *session, Taker *taker)
{
	session->current = taker->task;
	session->reader = taker->reader;
	taker->delta->lsn = session->state->commit_lsn;
	taker->delta->time = session->state->commit_time;
	if (taker->reader->needs_identity)
		act_as(session->state, taker->task->target->owner);
}

static void
end_reading(LoadSession *session)
{
	session->current = NULL;
	session->reader = NULL;
}

/* ---- memory ---- */

static Size
batch_memory(LoadSession *session)
{
	Size memory = 0;
	ListCell *cell;

	foreach(cell, session->tasks)
	{
		LoadTask *task = lfirst(cell);

		if (task->delta != NULL)
			memory += delta_memory(task->delta);
	}
	return memory;
}

/*
 * A batch is whole transactions, and one of them may be larger than memory.
 * Most only end the batch a little late.
 */
static void
look_at_memory(LoadSession *session)
{
	Size limit = (Size) depipe_batch_memory * 1024;
	Size memory = batch_memory(session);
	int deltas = 0;
	ListCell *cell;

	session->state->unchecked = 0;
	if (memory >= limit)
		session->state->full = true;
	if (memory < limit + Min(limit / 2, SPILL_LATE))
		return;
	foreach(cell, session->tasks)
		if (((LoadTask *) lfirst(cell))->delta != NULL)
			deltas++;
	foreach(cell, session->tasks)
	{
		LoadTask *task = lfirst(cell);

		/* those that are worth it: at least the largest one */
		if (task->delta != NULL && delta_memory(task->delta) * deltas >= memory)
			delta_spill(task->delta);
	}
}

/* ---- messages ---- */

static SourceRelation *
find_relation(LoadSession *session, LogicalRepRelId id)
{
	StreamState *state = session->state;

	if (state->last == NULL || state->last->id != id)
		state->last = hash_search(state->relations, &id, HASH_FIND, NULL);
	return state->last;
}

static void
read_insert(LoadSession *session, Taker *taker, char *data, const char *end)
{
	Bitmapset *unknown = NULL;

	data++; /* 'N' */
	rowreader_replicated(taker->reader, &data, end, taker->values, taker->nulls, &unknown);
	/* rows of before a TRUNCATE that was ignored are there still */
	taker->delta->claim = strcmp(taker->task->load->on_truncate, "ignore") == 0 ? CLAIM_NOTHING
																				: CLAIM_ABSENT;
	delta_upsert(taker->delta, taker->values, taker->nulls, unknown, NULL, NULL, false);
}

static void
read_update(LoadSession *session, Taker *taker, char *data, const char *end)
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
read_delete(LoadSession *session, Taker *taker, char *data, const char *end)
{
	data++; /* 'K' or 'O' */
	rowreader_replicated(taker->reader, &data, end, taker->values, taker->nulls, NULL);
	taker->delta->claim = CLAIM_PRESENT;
	delta_delete(taker->delta, taker->values, taker->nulls);
}

static void
read_change(LoadSession *session, char action, StringInfo message)
{
	SourceRelation *relation = find_relation(session, pq_getmsgint(message, 4));
	char *data = message->data + message->cursor;
	const char *end = message->data + message->len;
	ListCell *cell;

	if (relation == NULL)
		return;
	session->state->changes++;
	if (++session->state->unchecked >= MEMORY_CHECK_EVERY)
		look_at_memory(session);
	foreach(cell, relation->takers)
	{
		Taker *taker = lfirst(cell);

		if (!takes(session, taker))
			continue;
		session->current = taker->task;
		(void) ready(session, relation, taker);
		begin_reading(session, taker);
		if (action == LOGICAL_REP_MSG_INSERT)
			read_insert(session, taker, data, end);
		else if (action == LOGICAL_REP_MSG_UPDATE)
			read_update(session, taker, data, end);
		else
			read_delete(session, taker, data, end);
		end_reading(session);
	}
}

static void
truncate_taker(LoadSession *session, SourceRelation *relation, Taker *taker)
{
	LoadTask *task = taker->task;

	if (!takes(session, taker))
		return;
	task->truncated_by = session->state->commit_xid;
	if (strcmp(task->load->on_truncate, "ignore") == 0)
		return;
	if (strcmp(task->load->on_truncate, "pause") == 0)
	{
		act_as_self(session->state);
		session_stop_task(session,
						  task,
						  LOAD_NEEDS_RESYNC,
						  ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
						  "the source table was truncated",
						  session_resync_hint(task));
		return;
	}
	session->current = task;
	(void) ready(session, relation, taker);
	begin_reading(session, taker);
	delta_clear(taker->delta);
	taker->delta->changes++;
	end_reading(session);
}

static void
read_truncate(LoadSession *session, StringInfo message)
{
	bool cascade;
	bool restart_sequences;
	ListCell *cell;

	foreach(cell, logicalrep_read_truncate(message, &cascade, &restart_sequences))
	{
		SourceRelation *relation = find_relation(session, lfirst_oid(cell));
		ListCell *other;

		if (relation == NULL)
			continue;
		session->state->changes++;
		foreach(other, relation->takers)
			truncate_taker(session, relation, lfirst(other));
	}
}

/* The loads of a table, by the name that the source gives it. */
static List *
find_takers(LoadSession *session, const char *schema_name, const char *table_name)
{
	List *takers = NIL;
	ListCell *cell;

	foreach(cell, session->tasks)
	{
		LoadTask *task = lfirst(cell);
		Taker *taker;

		if (strcmp(task->load->source_schema, schema_name) != 0 ||
			strcmp(task->load->source_table, table_name) != 0)
			continue;
		taker = palloc0(sizeof(Taker));
		taker->task = task;
		takers = lappend(takers, taker);
	}
	return takers;
}

/*
 * What old images of the table have of its rows from here on; that the source
 * has given it another replica identity is told with the next change.
 */
static void
check_identity(LoadSession *session, const SourceRelation *relation, LoadTask *task)
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
			problem = psprintf("key column \"%s\" is not part of the replica identity"
							   " of the source table any more",
							   (char *) lfirst(cell));
	}
	if (problem != NULL)
		session_stop_task(session,
						  task,
						  LOAD_NEEDS_RESYNC,
						  ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
						  problem,
						  session_resync_hint(task));
}

static void
follow_layout(LoadSession *session, SourceRelation *relation)
{
	ListCell *cell;

	foreach(cell, relation->takers)
	{
		Taker *taker = lfirst(cell);
		LoadTask *task = taker->task;

		if (!takes(session, taker))
			continue;
		check_identity(session, relation, task);
		if (task->stopped || !evolve_differs(task, relation->names, relation->types))
			continue;
		/* its position is to be recorded, also if nothing comes after it */
		deliver(session);
		session->delivered = true;
		session->current = task;
		evolve_follow(session, task, relation->names, relation->types);
		session->current = NULL;
	}
}

/* The columns of a relation message, as logicalrep_read_attrs() reads them. */
static void
read_columns(const Connection *connection, SourceRelation *relation, StringInfo message)
{
	int count = pq_getmsgint(message, 2);

	relation->names = NIL;
	relation->types = NIL;
	relation->identity = NIL;
	for (int i = 0; i < count; i++)
	{
		bool in_identity = (pq_getmsgbyte(message) & RELATION_COLUMN_IN_IDENTITY) != 0;
		char *name = connection_text(connection, pq_getmsgrawstring(message), NULL);

		relation->names = lappend(relation->names, name);
		relation->types = lappend_oid(relation->types, pq_getmsgint(message, 4));
		(void) pq_getmsgint(message, 4); /* typmod */
		if (in_identity)
			relation->identity = lappend(relation->identity, name);
	}
}

/* The server's own function converts names from the encoding of this session's client. */
static void
read_relation(LoadSession *session, StringInfo message)
{
	LogicalRepRelId id = pq_getmsgint(message, 4);
	bool found;
	SourceRelation *relation = hash_search(session->state->relations, &id, HASH_ENTER, &found);
	const char *schema_name;
	const char *table_name;
	MemoryContext old;

	if (found)
		MemoryContextReset(relation->context);
	else
		relation->context = AllocSetContextCreate(session->context,
												  "depipe source relation",
												  ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(relation->context);
	schema_name = connection_text(session->control, pq_getmsgrawstring(message), NULL);
	table_name = connection_text(session->control, pq_getmsgrawstring(message), NULL);
	relation->full = pq_getmsgbyte(message) == REPLICA_IDENTITY_FULL;
	read_columns(session->control, relation, message);
	relation->takers = find_takers(session,
								   schema_name[0] == '\0' ? "pg_catalog" : schema_name,
								   table_name);
	MemoryContextSwitchTo(old);
	session->state->last = NULL;
	act_as_self(session->state);
	follow_layout(session, relation);
}

/* Returns false when the transaction belongs behind the stop. */
static bool
read_begin(LoadSession *session, StringInfo message)
{
	LogicalRepBeginData begin;

	logicalrep_read_begin(message, &begin);
	if (session->exact && begin.final_lsn >= session->stop)
		return false;
	session->state->in_transaction = true;
	session->state->commit_lsn = begin.final_lsn;
	session->state->commit_time = begin.committime;
	session->state->commit_xid = begin.xid;
	return true;
}

static void
read_commit(LoadSession *session, StringInfo message)
{
	LogicalRepCommitData commit;

	logicalrep_read_commit(message, &commit);
	session->state->in_transaction = false;
	session->state->batch_end = commit.end_lsn;
	session->state->batch_time = commit.committime;
	session->state->last_commit = (SourceCommit){session->state->commit_lsn,
												 commit.end_lsn,
												 session->state->commit_xid,
												 commit.committime};
}

static bool
batch_full(LoadSession *session)
{
	StreamState *state = session->state;

	if (state->changes >= depipe_batch_rows)
		return true;
	if (session->following && GetCurrentTimestamp() - state->begun_at > FOLLOW_BATCH)
		return true;
	return state->full;
}

/* One message of pgoutput; returns true when the batch ends with it. */
static bool
read_logical(LoadSession *session, StringInfo message)
{
	char action = pq_getmsgbyte(message);

	switch (action)
	{
		case LOGICAL_REP_MSG_INSERT:
		case LOGICAL_REP_MSG_UPDATE:
		case LOGICAL_REP_MSG_DELETE:
			read_change(session, action, message);
			return false;
		case LOGICAL_REP_MSG_BEGIN:
			if (read_begin(session, message))
				return false;
			session->state->finished = true;
			return true;
		case LOGICAL_REP_MSG_COMMIT:
			read_commit(session, message);
			if (session->state->reading == READING_STREAM &&
				session->state->batch_end >= session->stop)
				session->state->finished = true;
			return session->state->finished || batch_full(session);
		case LOGICAL_REP_MSG_TRUNCATE:
			read_truncate(session, message);
			return false;
		case LOGICAL_REP_MSG_RELATION:
			read_relation(session, message);
			return false;
		default:
			/* types, origins, messages: nothing for us */
			return false;
	}
}

/* Everything that committed before its position was sent before it. */
static bool
read_keepalive(LoadSession *session, StringInfo message)
{
	StreamState *state = session->state;
	XLogRecPtr position = pq_getmsgint64(message);

	(void) pq_getmsgint64(message);
	if (pq_getmsgbyte(message) != 0)
		send_feedback(session, false);
	if (state->in_transaction)
		return false;
	if (position > state->batch_end && !session->exact)
		state->batch_end = position;
	if (position >= session->stop)
		state->finished = true;
	return state->finished;
}

static bool
read_message(LoadSession *session, char *buffer, int length)
{
	StringInfoData message;
	char kind;

	message.data = buffer;
	message.len = length;
	message.maxlen = -1;
	message.cursor = 0;
	session->state->heard_at = GetCurrentTimestamp();
	kind = pq_getmsgbyte(&message);
	if (kind == 'k')
		return read_keepalive(session, &message);
	if (kind != 'w')
		return false;
	message.cursor += 3 * sizeof(int64); /* start, end, time of sending */
	return read_logical(session, &message);
}

/*
 * The next message; 0 when nothing came for a second.  The source sends each
 * change by itself: while changes are flowing, waking up for each of them
 * costs more than reading it.  So when a short run of messages ends, a nap
 * lets some more gather.
 */
static int
next_message(LoadSession *session, char **buffer)
{
	StreamState *state = session->state;
	int length = source_receive(session->streaming, buffer, 0);

	state->drained = length == 0;
	if (state->drained && session->following && !state->in_transaction)
		return 0;
	if (length == 0 && state->run_length > 0 && state->run_length < NAP_AFTER)
	{
		pg_usleep(NAP_US);
		state->run_length = 0;
		length = source_receive(session->streaming, buffer, 0);
	}
	if (length == 0)
	{
		state->run_length = 0;
		length = source_receive(session->streaming,
								buffer,
								session->beside ? JOIN_WAIT_MS : WAIT_MS);
	}
	state->run_length++;
	return length;
}

/* A row of the query's result is a message, in a binary COPY's clothes. */
static bool
read_bulk(LoadSession *session, char *buffer, int length)
{
	StringInfoData message;

	message.data = buffer;
	message.len = length;
	message.maxlen = -1;
	message.cursor = 0;
	if (!session->state->bulk_begun)
	{
		message.cursor += 11 + sizeof(int32); /* signature, flags */
		message.cursor += pq_getmsgint(&message, 4);
		session->state->bulk_begun = true;
		if (message.cursor >= message.len)
			return false;
	}
	if ((int16) pq_getmsgint(&message, 2) < 0)
		return false; /* the end of the rows */
	(void) pq_getmsgint(&message, 4);
	return read_logical(session, &message);
}

/* The end of a bite is the end of a batch: the slot must move before the next one. */
static void
end_bulk(LoadSession *session)
{
	StreamState *state = session->state;

	state->reading = READING_NOTHING;
	if (state->bulk_end > state->batch_end)
		state->batch_end = state->bulk_end;
	if (state->bulk_end >= session->stop)
		state->finished = true;
}

/* The next message from wherever; returns true when the batch ends with it. */
static bool
read_next(LoadSession *session)
{
	StreamState *state = session->state;
	char *buffer;
	int length;

	if (state->reading == READING_NOTHING)
		start_reading(session);
	if (state->reading == READING_BULK)
	{
		length = source_receive(session->streaming, &buffer, WAIT_MS);
		if (length > 0)
			return read_bulk(session, buffer, length);
		if (length < 0)
			end_bulk(session);
		return length < 0;
	}
	length = next_message(session, &buffer);
	if (length < 0)
		ereport(ERROR,
				(errcode(ERRCODE_CONNECTION_FAILURE),
				 errmsg("server \"%s\" ended the stream", session->server->name)));
	if (length > 0)
		return read_message(session, buffer, length);
	if (session->following && !state->in_transaction)
		return true;
	send_feedback(session, true);
	return false;
}

bool
stream_read_batch(LoadSession *session)
{
	StreamState *state = session->state;
	MemoryContext old = MemoryContextSwitchTo(session->row);
	bool done = false;

	state->changes = 0;
	state->unchecked = 0;
	state->full = false;
	state->batch_time = 0;
	state->begun_at = GetCurrentTimestamp();
	while (!done && !state->finished)
	{
		CHECK_FOR_INTERRUPTS();
		done = read_next(session);
		MemoryContextReset(session->row);
	}
	act_as_self(state);
	MemoryContextSwitchTo(old);
	return state->finished;
}
