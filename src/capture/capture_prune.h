/*-------------------------------------------------------------------------
 *
 * capture_prune.h
 *		Emptying change tables of what all transforms have taken in.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CAPTURE_CAPTURE_PRUNE_H
#define DEPIPE_CAPTURE_CAPTURE_PRUNE_H

#include "depipe.h"
#include "nodes/pg_list.h"

/*
 * For each capture of the list where it is worth it: let writers go on in the
 * other change table, or empty one that all transforms have taken in.  Waits for
 * nobody.  The locks last until the end of the transaction.
 */
extern void captures_prune(List *captures);

#endif /* DEPIPE_CAPTURE_CAPTURE_PRUNE_H */
