/*-------------------------------------------------------------------------
 *
 * guarded.h
 *		One unit of user work in an internal subtransaction.
 *
 * The only place where errors are caught.  Cancellation, shutdown, lost
 * connections to the client, serialization failures, deadlocks and exhausted
 * resources (but for a full disk) are never caught: they concern the whole
 * transaction.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_GUARDED_H
#define DEPIPE_GUARDED_H

#include "depipe.h"

/* Returns true to keep what it did, false to have it rolled back. */
typedef bool (*GuardedWork)(void *argument);

/*
 * Run work; returns NULL when it ended without an error (kept or rolled back
 * as it said), else the error, with everything rolled back.  The result is in
 * the caller's memory context.  Snapshots pushed and SPI connections opened
 * inside must be gone at the end of work.
 */
extern ErrorData *guarded_run(GuardedWork work, void *argument);

/*
 * The same, but a lock that is not to be had for so long (milliseconds, 0: no
 * limit) is an error of work, 55P03.
 */
extern ErrorData *guarded_run_waiting(GuardedWork work, void *argument, int lock_timeout_ms);

/* Disk or memory ran out: it may be for this work alone, or for everything. */
extern bool guarded_is_no_room(const ErrorData *error);

/* Does the error concern the whole transaction, so that it must not be caught? */
extern bool guarded_must_rethrow(const ErrorData *error);

#endif /* DEPIPE_GUARDED_H */
