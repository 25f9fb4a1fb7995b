/*-------------------------------------------------------------------------
 *
 * capture_wait.h
 *		Waiting for the writers of a table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CAPTURE_CAPTURE_WAIT_H
#define DEPIPE_CAPTURE_CAPTURE_WAIT_H

#include "depipe.h"

/*
 * Lock a table against writers until the end of the transaction.  Waits a
 * moment for writers that are active, at first without excluding new ones.
 * Does not wait if that is known to be futile.
 *
 * Raises 55P03 if the lock is not available, and 55006 if a statement of this
 * session is using the table.
 */
extern void capture_lock_out_writers(Oid relid);

/* Returns the longest time in milliseconds to wait for any lock on behalf of this input. */
extern int capture_longest_wait(Oid relid);

/* Record for the next attempt whether waiting for locks on behalf of this input was in vain. */
extern void capture_note_wait(Oid relid, bool in_vain);

#endif /* DEPIPE_CAPTURE_CAPTURE_WAIT_H */
