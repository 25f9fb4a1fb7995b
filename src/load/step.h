/*-------------------------------------------------------------------------
 *
 * step.h
 *		The steps of a session, for refresh.c and follow.c, which run it.
 *
 * None of these raises an error for a failure of a table or of the source.
 * They return the error of the whole run, or NULL. Errors of one table are
 * recorded with it, and it is left out.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_STEP_H
#define DEPIPE_LOAD_STEP_H

#include "load/session.h"

/* Connect, examine the source, and create missing objects there; writes nothing here. */
extern ErrorData *step_prepare(LoadSession *session);

/*
 * Open the stream where it ended.  Reading stops at the present position of the
 * source, except in a session that is exact (it has a stop) or follows (it has
 * none).
 */
extern ErrorData *step_start(LoadSession *session);

/* Read a batch, publish it, record the progress: nothing is committed. */
extern ErrorData *step_batch(LoadSession *session);

/* Commit it, and confirm it to the source once it is on disk here. */
extern ErrorData *step_commit(LoadSession *session);

/* step_start(), then batches until the stop, or the deadline of the session's options. */
extern ErrorData *step_read(LoadSession *session);

/* At the stop: publish waiting deltas, record the descriptions of the source tables. */
extern ErrorData *step_end(LoadSession *session);

/*
 * All of this, and the copy of new tables, up to the present position of the
 * source.  An error is already in the runs.
 */
extern ErrorData *step_catch_up(LoadSession *session);

/* Report to the source that everything before the position is on disk here. */
extern ErrorData *step_confirm(LoadSession *session, XLogRecPtr position);

#endif /* DEPIPE_LOAD_STEP_H */
