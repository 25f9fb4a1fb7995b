/*-------------------------------------------------------------------------
 *
 * capture_prune.h
 *		Emptying change tables whose changes all transforms have taken in.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CAPTURE_CAPTURE_PRUNE_H
#define DEPIPE_CAPTURE_CAPTURE_PRUNE_H

#include "depipe.h"
#include "nodes/pg_list.h"

/*
 * Prune the captures of the list (of Capture) where it is worthwhile: make the
 * other change table current, or empty one whose changes all transforms have
 * taken in.  Does not wait for locks.  Locks last until the end of the
 * transaction.  Does nothing in REPEATABLE READ and SERIALIZABLE.
 */
extern void captures_prune(List *captures);

#endif /* DEPIPE_CAPTURE_CAPTURE_PRUNE_H */
