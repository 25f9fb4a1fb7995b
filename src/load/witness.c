/*-------------------------------------------------------------------------
 *
 * witness.c
 *		Is the source still the one whose changes were applied?
 *
 * A source restored from an older copy of its data directory has the same
 * system identifier, timeline, slot and publication, and its WAL soon grows
 * past the position that was applied here.  It cannot have the same
 * transactions: the last one that its stream brought is recorded, by position,
 * transaction ID and time of its commit.
 *
 * Nothing can change while the postmaster of the source lives.  After a restart
 * the slot proves that nothing is missing, if that transaction was confirmed to
 * it: it cannot know a position that its source never had.  A confirmation need
 * not survive a restart, however.  In that case the stream is started at that
 * transaction, which must arrive first.
 *
 * Nothing had arrived between that transaction and the recorded position of the
 * stream.  A source restored to a point between them may have other changes
 * there now, so the stream starts where the proof ends.
 *
 * The position of a copy is that of a snapshot, not of a transaction.  To have
 * a transaction after it, an empty message is written to the WAL of the source.
 * Sources before 14, and standbys, cannot do that; there only the position
 * decides.
 *
 *-------------------------------------------------------------------------
 */
#include "load/witness.h"

#include "libpq/pqformat.h"
#include "load/stream.h"
#include "replication/logicalproto.h"
#include "utils/timestamp.h"

#define FIRST_WITH_MESSAGES 140000
#define TRIES 50 /* times 0.1 s: our last connection may still be ending */
#define WAIT_MS 1000

void
witness_begin(Source *source)
{
	source->started = source_now(source->control).started;
}

/* The newest position of the source that is in a table here, or was skipped. */
static XLogRecPtr
newest_position(const Stream *stream, const TaskSet *set)
{
	XLogRecPtr newest = stream->applied_lsn;
	ListCell *cell;

	foreach(cell, set->tasks)
	{
		const Load *load = ((LoadTask *) lfirst(cell))->load;

		if (load->state == LOAD_STREAMING)
			newest = Max(newest, load->applied_lsn);
	}
	return newest;
}

/* ---- the last transaction, once more ---- */

/* Returns true if the message decides. *same: it is the transaction. */
static bool
compare_message(const SourceCommit *commit, char *buffer, int length, bool *same)
{
	StringInfoData message = {.data = buffer, .len = length, .maxlen = -1};
	LogicalRepBeginData begin;
	char kind = pq_getmsgbyte(&message);

	*same = false;
	if (kind == 'k')
		return pq_getmsgint64(&message) > (int64) commit->lsn;
	if (kind != 'w')
		return false;
	message.cursor += 3 * sizeof(int64);
	if (pq_getmsgbyte(&message) != LOGICAL_REP_MSG_BEGIN)
		return false;
	logicalrep_read_begin(&message, &begin);
	*same = begin.final_lsn == commit->lsn && begin.xid == commit->xid &&
			begin.committime == commit->time;
	return true;
}

/* Ask for a keepalive; confirms nothing. */
static void
ask_for_position(Connection *connection)
{
	StringInfoData reply;

	initStringInfo(&reply);
	pq_sendbyte(&reply, 'r');
	for (int i = 0; i < 3; i++)
		pq_sendint64(&reply, InvalidXLogRecPtr);
	pq_sendint64(&reply, GetCurrentTimestamp());
	pq_sendbyte(&reply, 1);
	walrcv_send(connection->walrcv, reply.data, reply.len);
	pfree(reply.data);
}

static bool
commit_is_there(const Source *source, const Stream *stream)
{
	const SourceCommit *commit = &stream->commit;
	Connection *connection = connection_open(source->server);
	bool same = false;
	bool decided = false;

	source_start_stream(connection,
						stream_start_command(source->control->version, stream, commit->lsn, false),
						TRIES);
	while (!decided)
	{
		char *buffer;
		int length = source_receive(connection, &buffer, WAIT_MS);

		if (length < 0)
			ereport(ERROR,
					(errcode(ERRCODE_CONNECTION_FAILURE),
					 errmsg("server \"%s\" ended the stream", source->server->name)));
		if (length == 0)
			ask_for_position(connection);
		else
			decided = compare_message(commit, buffer, length, &same);
	}
	connection_close(connection);
	return same;
}

char *
witness_problem(Source *source, Stream *stream, const TaskSet *set, const SourceSlot *slot)
{
	const SourceCommit *commit = &stream->commit;
	SourceNow now = source_now(source->control);
	XLogRecPtr newest = newest_position(stream, set);

	source->started = now.started;
	/* a standby may replay the same WAL again */
	if (!now.standby && now.position < newest)
		return psprintf("server \"%s\" was restored to an earlier state:"
						" it is at %X/%X, behind %X/%X, which is applied here",
						source->server->name,
						LSN_FORMAT_ARGS(now.position),
						LSN_FORMAT_ARGS(newest));
	if (now.started == stream->source_started || commit->lsn == InvalidXLogRecPtr)
		return NULL;
	if (slot->confirmed < commit->end && !commit_is_there(source, stream))
		return psprintf("server \"%s\" was restored to an earlier state:"
						" transaction %u, which committed at %X/%X, no longer exists there",
						source->server->name,
						commit->xid,
						LSN_FORMAT_ARGS(commit->lsn));
	stream->applied_lsn = Min(stream->applied_lsn, Max(slot->confirmed, commit->end));
	return NULL;
}

/* ---- copies ---- */

bool
witness_wanted(const Stream *stream, const TaskSet *set)
{
	ListCell *cell;

	foreach(cell, set->tasks)
	{
		const LoadTask *task = lfirst(cell);

		if (task->load->state == LOAD_STREAMING && !task->stopped &&
			task->load->applied_lsn > stream->commit.end)
			return true;
	}
	return false;
}

void
witness_mark(const Source *source, const Stream *stream, const TaskSet *set)
{
	if (source->control->version < FIRST_WITH_MESSAGES || !witness_wanted(stream, set))
		return;
	/* waiting for a standby of the source would be useless */
	(void) source_query(source->control,
						2,
						"SELECT pg_catalog.set_config('synchronous_commit', 'local', true),"
						" CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN"
						" pg_catalog.pg_logical_emit_message(true, 'depipe', '') END",
						"write a message to the log");
}
