/*-------------------------------------------------------------------------
 *
 * streamlock.h
 *		The lock that a reader of a stream holds.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_STREAMLOCK_H
#define DEPIPE_LOAD_STREAMLOCK_H

#include "depipe.h"

/*
 * Only one run at a time reads the stream of a server.  Returns false if
 * another run does, unless wait is set; then a process that follows the stream
 * is asked to lend it.  The lock is held until the transaction ends.
 */
extern bool streamlock_take(const char *server_name, bool wait);

/*
 * The same without a wait.  The process holds the lock across its transactions
 * until it is released.
 */
extern bool streamlock_hold(const char *server_name);
extern void streamlock_release(const char *server_name);

#endif /* DEPIPE_LOAD_STREAMLOCK_H */
