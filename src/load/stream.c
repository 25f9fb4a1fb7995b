/*-------------------------------------------------------------------------
 *
 * stream.c
 *		The replication connection of a server: messages in, positions out.
 *
 * The stream is that of pgoutput.  It is started by a command of our own,
 * because the walreceiver's function cannot request messages.  A backlog is
 * read in bulk (bulk.c) until little is left; then the stream takes over.  Both
 * bring the same messages in the same order.
 *
 * Everything that committed before the position of a keepalive was sent before
 * it.  A position is confirmed to the source only after the caller has made it
 * durable here.
 *
 *-------------------------------------------------------------------------
 */
#include "load/stream.h"

#include "access/xlog.h"
#include "core/sqltext.h"
#include "core/transaction.h"
#include "libpq/pqformat.h"
#include "load/publication.h"
#include "replication/message.h"
#include "utils/builtins.h"

#define WAIT_MS 1000
#define JOIN_WAIT_MS 20 /* a copy beside the stream keeps its follower waiting meanwhile */
#define NAP_US 250
#define NAP_AFTER 200          /* number of messages; a longer run of them arrived without naps */
#define SENDER_TIMEOUT "30min" /* of the source: it waits while a batch is applied */
#define FIRST_WITH_MESSAGES 140000
#define FIRST_WITH_SENDER_TIMEOUT 120000

/* ---- feedback ---- */

static void
send_feedback(const Transport *transport, bool ask_reply)
{
	StringInfoData reply;

	initStringInfo(&reply);
	pq_sendbyte(&reply, 'r');
	pq_sendint64(&reply, transport->confirmed);
	pq_sendint64(&reply, transport->confirmed);
	pq_sendint64(&reply, transport->confirmed);
	pq_sendint64(&reply, GetCurrentTimestamp());
	pq_sendbyte(&reply, ask_reply ? 1 : 0);
	walrcv_send(transport->connection->walrcv, reply.data, reply.len);
	pfree(reply.data);
}

void
stream_ping(const Transport *transport)
{
	send_feedback(transport, true);
}

/* ---- starting and stopping ---- */

char *
stream_start_command(int version, const Stream *stream, XLogRecPtr position, bool binary)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "START_REPLICATION SLOT \"%s\" LOGICAL %X/%X (proto_version '1',"
					 " publication_names %s",
					 stream->slot_name,
					 LSN_FORMAT_ARGS(position),
					 sql_literal(quote_identifier(stream->publication)));
	if (version >= FIRST_WITH_MESSAGES)
		appendStringInfo(&sql, ", messages 'true'%s", binary ? ", binary 'true'" : "");
	appendStringInfoChar(&sql, ')');
	return sql.data;
}

/* A commit must be on disk here before the source may forget its changes. */
static XLogRecPtr
flush_local(void)
{
	XLogRecPtr end = log_logical_message_compat("depipe", "", 0);

	XLogFlush(end);
	return end;
}

static void
check_publication(const Transport *transport)
{
	const Stream *stream = transport->stream;

	if (source_publication_oid(transport->source->control, stream->publication) !=
		stream->publication_oid)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("publication \"%s\" of server \"%s\" was dropped or recreated",
						stream->publication,
						transport->source->server->name)));
}

static void
start_stream(Transport *transport)
{
	source_start_stream(transport->connection,
						stream_start_command(transport->source->control->version,
											 transport->stream,
											 transport->stream->applied_lsn,
											 transport->binary),
						SLOT_TRIES);
	transport->reading = READING_STREAM;
}

static void
start_reading(Transport *transport)
{
	if (stream_is_followed(transport) || transport->exact ||
		!bulk_is_better(transport->connection,
						transport->source,
						transport->stream,
						transport->stop,
						transport->flushed))
	{
		start_stream(transport);
		return;
	}
	check_publication(transport);
	bulk_start(&transport->bulk,
			   transport->connection,
			   transport->stream,
			   transport->stop,
			   transport->binary);
	transport->reading = READING_BULK;
}

/* A bite may take long, and must not be interrupted repeatedly. */
static void
be_patient(Connection *connection)
{
	if (connection->version >= FIRST_WITH_SENDER_TIMEOUT)
		source_command(connection,
					   "SET wal_sender_timeout = '" SENDER_TIMEOUT "'",
					   "set the timeout");
}

/* All but the range to read is new. */
static void
begin(Transport *transport, const Source *source, const Stream *stream, bool binary)
{
	*transport = (Transport){.stop = transport->stop,
							 .stop_time = transport->stop_time,
							 .exact = transport->exact,
							 .source = source,
							 .stream = stream,
							 .binary = binary};
}

void
stream_start_own(Transport *transport, const Source *source, const Stream *stream, bool binary,
				 Connection *connection)
{
	begin(transport, source, stream, binary);
	transport->connection = connection;
	transport->wait_ms = JOIN_WAIT_MS;
	be_patient(connection);
	start_stream(transport);
}

void
stream_go_on(Transport *transport, XLogRecPtr stop)
{
	transport->stop = stop;
	transport->finished = transport->stream->applied_lsn >= stop;
	if (!transport->finished)
		send_feedback(transport, true);
}

void
stream_start(Transport *transport, const Source *source, const Stream *stream, bool binary,
			 bool keep)
{
	begin(transport, source, stream, binary);
	transport->wait_ms = WAIT_MS;
	transport->connection = connection_open(source->server);
	transport->connection->keep = keep;
	be_patient(transport->connection);
	if (!stream->own_write)
		transport->flushed = flush_local();
	start_reading(transport);
	if (!stream->own_write && transport->reading == READING_STREAM &&
		transaction_is_safe(transport->flushed))
		stream_confirm(transport, stream->applied_lsn);
}

void
stream_stop(Transport *transport)
{
	if (transport->connection != NULL)
		connection_close(transport->connection);
	transport->connection = NULL;
}

void
stream_forget(Transport *transport)
{
	transport->connection = NULL;
}

/*
 * Newer sources silently skip changes if the publication is missing, so it is
 * checked before the source may forget anything.
 *
 * In the middle of a bite nothing can be sent.  The next bite, or the stream
 * that follows the last one, confirms the position.
 */
void
stream_confirm(Transport *transport, XLogRecPtr position)
{
	transport->confirmed = position;
	if (transport->reading == READING_BULK ||
		(transport->reading == READING_NOTHING && !transport->finished))
		return;
	check_publication(transport);
	if (transport->reading == READING_NOTHING)
		start_stream(transport);
	send_feedback(transport, false);
}

void
stream_follow(Transport *transport)
{
	transport->stop = NO_STOP;
	transport->finished = false;
	transport->heard_at = GetCurrentTimestamp();
}

bool
stream_is_followed(const Transport *transport)
{
	return transport->stop == NO_STOP;
}

/* ---- reading ---- */

bool
stream_has_input(const Transport *transport)
{
	return !transport->drained;
}

void
stream_wait(Transport *transport, bool input, long timeout_ms)
{
	if (source_wait(input ? transport->connection : NULL, timeout_ms))
		transport->drained = false;
}

/*
 * Receive the next message; 0 if nothing arrived in time.  The source sends
 * each change separately: while changes are flowing, waking up for each costs
 * more than reading it.  So when a short run of messages ends, a nap lets more
 * gather.
 */
static int
receive(Transport *transport, bool in_transaction, char **buffer)
{
	int length = source_receive(transport->connection, buffer, 0);

	transport->drained = length == 0;
	if (transport->drained && stream_is_followed(transport) && !in_transaction)
		return 0;
	if (length == 0 && transport->run_length > 0 && transport->run_length < NAP_AFTER)
	{
		pg_usleep(NAP_US);
		transport->run_length = 0;
		length = source_receive(transport->connection, buffer, 0);
	}
	if (length == 0)
	{
		transport->run_length = 0;
		length = source_receive(transport->connection, buffer, transport->wait_ms);
	}
	transport->run_length++;
	return length;
}

/* One message of the replication protocol. */
static StreamNews
read_message(Transport *transport, StringInfo message, XLogRecPtr *position)
{
	char kind = pq_getmsgbyte(message);

	transport->heard_at = GetCurrentTimestamp();
	if (kind == 'w')
	{
		message->cursor += 3 * sizeof(int64); /* start, end, time of sending */
		return STREAM_MESSAGE;
	}
	if (kind != 'k')
		return STREAM_AGAIN;
	*position = pq_getmsgint64(message);
	(void) pq_getmsgint64(message);
	if (pq_getmsgbyte(message) != 0)
		send_feedback(transport, false);
	return STREAM_POSITION;
}

static StreamNews
next_of_bulk(Transport *transport, StringInfo message, XLogRecPtr *position)
{
	char *buffer;
	int length = source_receive(transport->connection, &buffer, WAIT_MS);

	if (length > 0)
		return bulk_message(&transport->bulk, buffer, length, message) ? STREAM_MESSAGE
																	   : STREAM_AGAIN;
	if (length == 0)
		return STREAM_AGAIN;
	transport->reading = READING_NOTHING;
	*position = transport->bulk.end;
	return STREAM_BITE_END;
}

StreamNews
stream_next(Transport *transport, bool in_transaction, StringInfo message, XLogRecPtr *position)
{
	int length;

	if (transport->reading == READING_NOTHING)
		start_reading(transport);
	if (transport->reading == READING_BULK)
		return next_of_bulk(transport, message, position);
	length = receive(transport, in_transaction, &message->data);
	if (length < 0)
		ereport(ERROR,
				(errcode(ERRCODE_CONNECTION_FAILURE),
				 errmsg("server \"%s\" ended the stream", transport->source->server->name)));
	if (length == 0)
		return STREAM_SILENCE;
	message->len = length;
	message->maxlen = -1;
	message->cursor = 0;
	return read_message(transport, message, position);
}
