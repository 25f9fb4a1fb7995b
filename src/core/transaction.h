/*-------------------------------------------------------------------------
 *
 * transaction.h
 *		Procedures that commit between steps.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_TRANSACTION_H
#define DEPIPE_TRANSACTION_H

#include "depipe.h"
#include "access/xlogdefs.h"
#include "fmgr.h"

/*
 * Begin and end of a procedure that commits: a non-atomic SPI connection with
 * an active snapshot.  Returns a memory context that lives until the end of
 * the procedure, and makes it current.  Raises 2D000 when the procedure was
 * called where it cannot commit (inside a transaction block or a function), with
 * the hint.
 */
extern MemoryContext transaction_begin_procedure(FunctionCallInfo fcinfo, const char *name,
												 const char *hint);
extern void transaction_end_procedure(void);

/*
 * Commit, and go on in a new transaction with an active snapshot.  No SPI
 * connection other than the procedure's own may be open, no tuplestore, no
 * registered snapshot.  The current memory context stays.
 */
extern void transaction_commit(void);

/*
 * Commit, sleep until the latch is set or the time is over, and go on with a
 * new snapshot; none is held in between.  Raises when the query is cancelled.
 */
extern void transaction_commit_and_wait(long milliseconds);

/*
 * The same for a process that is nobody's session: begin a transaction that can
 * be committed on the way, with the context as that of a procedure; end it, and
 * be outside of any.
 */
extern void transaction_begin_worker(MemoryContext context);
extern void transaction_end_worker(void);

/*
 * Can this much of our own log not be lost any more?  It is on disk, and with
 * as many synchronous standbys as a commit would wait for: one of them may be
 * promoted.  Does not wait.
 */
extern bool transaction_is_safe(XLogRecPtr end);

/* The same, when it is within so many milliseconds. */
extern bool transaction_is_safe_within(XLogRecPtr end, long milliseconds);

#endif /* DEPIPE_TRANSACTION_H */
