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

/* Fail all requested tasks that have not failed by themselves with this error. */
extern void runs_fail(LoadSession *session, const ErrorData *error);

/* Runs of a stream that another process reads. quiet: runs without a row get none. */
extern void runs_skip(List *runs, const char *reason, bool quiet);

/* Finish the runs of all tasks. */
extern void runs_finish(TaskSet *set);

/* ---- in a stream that goes on ---- */

/* Before a batch: end runs of an earlier minute. */
extern void runs_begin_batch(TaskSet *set);

/* In its transaction: add its outcome to the rows of the runs. */
extern void runs_fold(TaskSet *set);

/* The batch was rolled back: restore the runs to their state before it. */
extern void runs_forget_batch(TaskSet *set);

/* No batch arrives for a while: end the runs. */
extern void runs_close(TaskSet *set);

#endif /* DEPIPE_LOAD_RUNS_H */
