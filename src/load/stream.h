/*-------------------------------------------------------------------------
 *
 * stream.h
 *		Reading the stream of a server into the deltas of its loads.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_STREAM_H
#define DEPIPE_LOAD_STREAM_H

#include "load/session.h"


/* Stream from a slot that the connection itself has made, and (again) up to session->stop. */
extern void stream_start_own(LoadSession *session, Connection *connection);
extern void stream_go_on(LoadSession *session);

/*
 * Read whole source transactions into the tasks' deltas until the batch is
 * full or the stop is reached.  Returns true at the stop.
 */
extern bool stream_read_batch(LoadSession *session);
extern void stream_start(LoadSession *session);
extern void stream_stop(LoadSession *session);

/* From now on the stream has no stop; the last batch has reached the one that it had. */
extern void stream_follow(LoadSession *session);

/* Is there, or may there be, something to read without waiting? */
extern bool stream_has_input(const LoadSession *session);

/* Wait for something to read, for the latch, or for so long (-1: no limit). */
extern void stream_wait(LoadSession *session, bool input, long timeout_ms);

/* Ask the source for a sign of life: a keepalive with its position. */
extern void stream_ping(LoadSession *session);

/* When something came last. */
extern TimestampTz stream_heard_at(const LoadSession *session);

/* Tell the source that everything before this position is durable here. */
extern void stream_confirm(LoadSession *session, XLogRecPtr position);

/* The command that starts a stream behind this position. */
extern char *stream_start_command(LoadSession *session, XLogRecPtr position, bool binary);

/* The last transaction that came; its lsn is 0 when none has. */
extern const SourceCommit *stream_last_commit(LoadSession *session);

/* Why a table that has no key here cannot follow a source without full images. */
#define IDENTITY_LOST                                                \
	"the source does not send whole old rows of the table any more," \
	" and the load has no key"

/* Where the batch ends, and the commit time of its last transaction (0: none). */
extern XLogRecPtr stream_batch_end(LoadSession *session, TimestampTz *commit_time);

#endif /* DEPIPE_LOAD_STREAM_H */
