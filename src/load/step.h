/*-------------------------------------------------------------------------
 *
 * step.h
 *		The steps of a session, for those that drive one: refresh.c, follow.c.
 *
 * None of these raises for a failure of a table or of the source.  They return
 * the error of the whole run, or NULL; errors of one table are recorded with it,
 * and it is left out.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_STEP_H
#define DEPIPE_LOAD_STEP_H

#include "load/session.h"

/* Connect, look at the source, make what is missing there; writes nothing here. */
extern ErrorData *step_prepare(LoadSession *session);

/*
 * Open the stream where it ended.  Reading stops where the source is now, but
 * for a session that is exact (it has a stop) or follows (it has none).
 */
extern ErrorData *step_start(LoadSession *session);

/* Read a batch, publish it, record the progress: nothing is committed. */
extern ErrorData *step_batch(LoadSession *session);

/* Commit it, and let the source forget it once it is on disk here. */
extern ErrorData *step_commit(LoadSession *session);

/* step_start(), then batches until the stop, or the deadline of the session's options. */
extern ErrorData *step_read(LoadSession *session);

/* At the stop: publish what waits, record what the source looks like. */
extern ErrorData *step_end(LoadSession *session);

/*
 * All of this, and the copy of new tables, up to where the source is.  An error
 * is in the runs already.
 */
extern ErrorData *step_catch_up(LoadSession *session);

/* Tell the source that everything before the position is on disk here. */
extern ErrorData *step_confirm(LoadSession *session, XLogRecPtr position);

#endif /* DEPIPE_LOAD_STEP_H */
