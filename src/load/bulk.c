/*-------------------------------------------------------------------------
 *
 * bulk.c
 *		Reading a backlog of the slot as the result of a query.
 *
 * The stream costs the source one message per change.  A backlog is read faster
 * as the binary COPY of a query that peeks into the slot, in bites of the WAL.
 * Before each bite the slot is advanced past the previous one.  A bite has the
 * same messages in the same order as the stream.
 *
 *-------------------------------------------------------------------------
 */
#include "load/bulk.h"

#include "access/xact.h"
#include "core/sqltext.h"
#include "core/transaction.h"
#include "libpq/pqformat.h"
#include "load/slot.h"
#include "utils/builtins.h"

/*
 * Bytes of WAL of the source: from this backlog on, bulk reading is used; and
 * the maximum of one bite.
 */
#define BULK_LEAST (4 * 1024 * 1024)
#define BULK_MOST (256 * 1024 * 1024)
#define STANDBY_WAIT 300 /* ms; a connected standby needs less */
#define FIRST_WITH_BULK 140000

/*
 * First the slot is advanced to the last position, which must be committed
 * here: not while it belongs to the transaction of the caller.  Each bite
 * decodes the WAL again from the beginning of the oldest transaction of the
 * source: if that is far back, the stream is better, because it decodes once.
 */
bool
bulk_is_better(Connection *connection, const Source *source, const Stream *stream, XLogRecPtr stop,
			   XLogRecPtr flushed)
{
	XLogRecPtr from = stream->applied_lsn;
	int64 retained;

	if (stream->own_write || connection->version < FIRST_WITH_BULK || stop < from + BULK_LEAST)
		return false;
	/* it begins after the confirmed position, which standbys may not have reached yet */
	if (!transaction_is_safe_within(Max(XactLastCommitEnd, flushed), STANDBY_WAIT))
		return false;
	/* the source keeps a bite in a temporary file */
	if (strcmp(source_query(connection,
							1,
							"SELECT pg_catalog.current_setting('temp_file_limit')",
							"read a setting")
				   ->values[0][0],
			   "-1") != 0)
		return false;
	retained = source_slot_describe(source->control, stream->slot_name)->retained_bytes;
	return retained >= 0 && retained <= (int64) (stop - from) + BULK_MOST;
}

void
bulk_start(Bulk *bulk, Connection *connection, const Stream *stream, XLogRecPtr stop, bool binary)
{
	StringInfoData sql;

	source_advance_slot(connection, stream->slot_name, stream->applied_lsn, SLOT_TRIES);
	bulk->end = Min(stop, stream->applied_lsn + BULK_MOST);
	bulk->begun = false;
	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "COPY (SELECT data FROM pg_catalog.pg_logical_slot_peek_binary_changes("
					 "%s, '%X/%X', NULL, 'proto_version', '1', 'publication_names', %s,"
					 " 'messages', 'true'%s)) TO STDOUT (FORMAT binary)",
					 sql_literal(stream->slot_name),
					 LSN_FORMAT_ARGS(bulk->end),
					 sql_literal(quote_identifier(stream->publication)),
					 binary ? ", 'binary', 'true'" : "");
	source_start_copy(connection, sql.data, "read the slot");
}

/* The format of a binary COPY: a header, then tuples of one column. */
bool
bulk_message(Bulk *bulk, char *buffer, int length, StringInfo message)
{
	message->data = buffer;
	message->len = length;
	message->maxlen = -1;
	message->cursor = 0;
	if (!bulk->begun)
	{
		message->cursor += 11 + sizeof(int32); /* signature, flags */
		message->cursor += pq_getmsgint(message, 4);
		bulk->begun = true;
		if (message->cursor >= message->len)
			return false;
	}
	if ((int16) pq_getmsgint(message, 2) < 0)
		return false; /* the end of the rows */
	(void) pq_getmsgint(message, 4);
	return true;
}
