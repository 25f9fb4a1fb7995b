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
 * applied what the source has now, and settle the runs by what it did; at most
 * until the deadline: then they are skipped.  Returns false when there is no
 * worker that has the stream: the caller reads it.
 */
extern bool await_worker(const char *server, List *targets, List *runs, TimestampTz deadline);

/*
 * Of these loads, those that another session kept from being run, because it
 * copies them or has their stream: wait for it, at most until the deadline,
 * committing again and again.  Returns those to be tried once more, and their
 * runs, in the caller's memory context.
 */
extern List *await_others(const char *server, List *targets, List *runs, TimestampTz deadline,
						  List **again);

#endif /* DEPIPE_RUN_AWAIT_H */
