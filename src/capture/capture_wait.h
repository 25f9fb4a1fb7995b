/*-------------------------------------------------------------------------
 *
 * capture_wait.h
 *		Waiting for the writers of a table, and when not to.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CAPTURE_CAPTURE_WAIT_H
#define DEPIPE_CAPTURE_CAPTURE_WAIT_H

#include "depipe.h"

/*
 * Keep writers of a table out until the commit.  Waits a moment for those that
 * are there, unless that is known to be in vain, first without keeping new ones
 * out.  Raises 55P03 when they do not end, and 55006 when a statement of this
 * session is using the table.
 */
extern void capture_lock_out_writers(Oid relid);

/* The longest time in milliseconds to wait for any lock on behalf of this input. */
extern int capture_longest_wait(Oid relid);

/* Note whether locks on behalf of this input were to be had, for the next attempt. */
extern void capture_note_wait(Oid relid, bool in_vain);

#endif /* DEPIPE_CAPTURE_CAPTURE_WAIT_H */
