/*-------------------------------------------------------------------------
 *
 * runs.h
 *		The runs of a session's tasks.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_RUNS_H
#define DEPIPE_LOAD_RUNS_H

#include "load/session.h"

/* Every task that was asked for and has not failed by itself fails with this. */
extern void runs_fail(LoadSession *session, const ErrorData *error);

/* Runs of a stream that somebody else reads; quiet: those without a row get none. */
extern void runs_skip(List *runs, const char *reason, bool quiet);

/* Finish the runs of all tasks. */
extern void runs_finish(LoadSession *session);

/* ---- in a stream that goes on ---- */

/* Before a batch: runs of an earlier minute end. */
extern void runs_begin_batch(LoadSession *session);

/* In its transaction: what it did goes into the rows of the runs. */
extern void runs_fold(LoadSession *session);

/* It was rolled back: the runs are as before it. */
extern void runs_forget_batch(LoadSession *session);

/* No batch comes for a while: the runs end. */
extern void runs_close(LoadSession *session);

#endif /* DEPIPE_LOAD_RUNS_H */
