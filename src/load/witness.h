/*-------------------------------------------------------------------------
 *
 * witness.h
 *		Is the source still the one whose changes were applied?
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_WITNESS_H
#define DEPIPE_LOAD_WITNESS_H

#include "load/session.h"

/*
 * Why the history of the source does not go on where the stream ended, as a
 * sentence; NULL when it does.  May connect to the source a second time.  Sets
 * session->source_started, and moves stream->applied_lsn (of the session, not
 * of the table) back to where nothing more is known of the source.
 */
extern char *witness_problem(LoadSession *session, const SourceSlot *slot);

/* Set session->source_started, for a stream that is made. */
extern void witness_begin(LoadSession *session);

/*
 * Have the stream bring a transaction from behind the copies of its tables, where
 * none has come yet.
 */
extern void witness_mark(LoadSession *session);

/* Is there a copy that is newer than the last transaction recorded? */
extern bool witness_wanted(const LoadSession *session);

#endif /* DEPIPE_LOAD_WITNESS_H */
