/*-------------------------------------------------------------------------
 *
 * transaction.h
 *		Procedures that commit between steps.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CORE_TRANSACTION_H
#define DEPIPE_CORE_TRANSACTION_H

#include "depipe.h"
#include "access/xlogdefs.h"
#include "fmgr.h"

/*
 * Begin a procedure that commits: open a non-atomic SPI connection with an
 * active snapshot.  Returns a memory context that lives until the end of the
 * procedure, and makes it current.  Raises 2D000, with the hint, if the
 * procedure was called where it cannot commit (inside a transaction block or a
 * function).
 */
extern MemoryContext transaction_begin_procedure(FunctionCallInfo fcinfo, const char *name,
												 const char *hint);

/* End a procedure that commits: close its snapshot and SPI connection. */
extern void transaction_end_procedure(void);

/*
 * Commit, and continue in a new transaction with an active snapshot.  No SPI
 * connection other than the procedure's own may be open, no tuplestore, and no
 * registered snapshot.  The current memory context stays current.
 */
extern void transaction_commit(void);

/*
 * Commit, sleep until the latch is set or the time has passed, and continue
 * with a new snapshot.  No snapshot is held while sleeping.  Raises an error
 * if the query is canceled.
 */
extern void transaction_commit_and_wait(long milliseconds);

/*
 * Begin a transaction in a background process that can be committed on the
 * way, as in a procedure, with this memory context.  The second function
 * commits it; the process is then outside a transaction.
 */
extern void transaction_begin_worker(MemoryContext context);
extern void transaction_end_worker(void);

/*
 * Is WAL up to this position safe from loss?  It is if it is on disk, and at
 * as many synchronous standbys as a commit waits for, any of which may be
 * promoted.  Does not wait.
 */
extern bool transaction_is_safe(XLogRecPtr end);

/*
 * Wait up to this many milliseconds until WAL up to this position is safe from
 * loss.  Returns whether it is.
 */
extern bool transaction_is_safe_within(XLogRecPtr end, long milliseconds);

#endif /* DEPIPE_CORE_TRANSACTION_H */
