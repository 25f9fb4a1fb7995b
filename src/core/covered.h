/*-------------------------------------------------------------------------
 *
 * covered.h
 *		Does a snapshot see the current state of a relation?
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CORE_COVERED_H
#define DEPIPE_CORE_COVERED_H

#include "depipe.h"
#include "utils/snapshot.h"

/*
 * Raise an error if the snapshot does not cover the current state of the
 * relation, which must be locked: the relation was emptied, rewritten, created
 * or renamed after the snapshot, or gained or lost partitions or children.
 * Reading it under this snapshot would return a set of rows that it never had
 * at any moment.
 *
 * The error is 40001 if the transaction runs on a single snapshot.  Otherwise
 * it is 55000, and a retry takes a newer snapshot.
 */
extern void covered_check(Oid relid, Snapshot snapshot);

/*
 * Check the relation against the transaction's snapshot.  Does nothing in READ
 * COMMITTED, where each statement takes its own snapshot.
 */
extern void covered_check_transaction(Oid relid);

#endif /* DEPIPE_CORE_COVERED_H */
