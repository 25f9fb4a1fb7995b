/*-------------------------------------------------------------------------
 *
 * guarded.h
 *		One unit of user work in an internal subtransaction.
 *
 * This is the only place where errors are caught.  Cancellation, shutdown, a
 * lost connection to the client, serialization failures, deadlocks and
 * exhausted resources are never caught, because they concern the whole
 * transaction.  Exceptions to this are a full disk and lack of memory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CORE_GUARDED_H
#define DEPIPE_CORE_GUARDED_H

#include "depipe.h"

/* A unit of work.  Returns true to keep its effects, false to have them rolled back. */
typedef bool (*GuardedWork)(void *argument);

/*
 * Run the work.  Returns NULL if it ended without an error; its effects are
 * kept or rolled back as it decided.  Otherwise returns the error, in the
 * caller's memory context, with everything rolled back.  The work must pop the
 * snapshots that it pushed and close the SPI connections that it opened.
 * Errors that guarded_must_rethrow() recognizes are rethrown.
 */
extern ErrorData *guarded_run(GuardedWork work, void *argument);

/*
 * Run the work as guarded_run() does, but with a lock timeout in milliseconds
 * (0: no limit).  A lock not granted within that time makes the work fail with
 * 55P03.
 */
extern ErrorData *guarded_run_waiting(GuardedWork work, void *argument, int lock_timeout_ms);

/* Did the disk or the memory run out?  The shortage may affect only this work, or everything. */
extern bool guarded_is_no_room(const ErrorData *error);

/* Does the error concern the whole transaction, so that it must not be caught? */
extern bool guarded_must_rethrow(const ErrorData *error);

#endif /* DEPIPE_CORE_GUARDED_H */
