/*-------------------------------------------------------------------------
 *
 * await.h
 *		Waiting for the worker that follows a stream.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_RUN_AWAIT_H
#define DEPIPE_RUN_AWAIT_H

#include "catalog/runs.h"
#include "depipe.h"
#include "utils/timestamp.h"

/*
 * If a worker follows the stream of the loads' server, wait until it has
 * applied everything that the source has now, and end the runs with its
 * results.  Runs are skipped if the deadline passes first.  Returns false if
 * no worker has the stream; then the caller must read it.
 */
extern bool await_worker(const char *server, List *targets, List *runs, TimestampTz deadline);

/*
 * Wait for other sessions that copy one of these loads or have its stream, and
 * so kept the run from its work.  Waits until the deadline, and commits
 * repeatedly.  Returns the targets to retry; *again gets their runs.  Both
 * lists are in the caller's memory context.
 */
extern List *await_others(const char *server, List *targets, List *runs, TimestampTz deadline,
						  List **again);

#endif /* DEPIPE_RUN_AWAIT_H */
