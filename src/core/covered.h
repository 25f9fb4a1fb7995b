/*-------------------------------------------------------------------------
 *
 * covered.h
 *		Does a snapshot see a relation as it is now?
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_COVERED_H
#define DEPIPE_COVERED_H

#include "depipe.h"
#include "utils/snapshot.h"

/*
 * Raises an error when the relation, which is locked, was emptied or rewritten
 * after the snapshot, came into being or changed its name after it, or when
 * partitions or children came or went: read under this snapshot it has rows
 * that it never had at one moment.  40001 where the snapshot is the
 * transaction's own, else 55000: then another try takes a newer one.
 */
extern void covered_check(Oid relid, Snapshot snapshot);

/* The same for the transaction's own snapshot; where each statement takes its own, nothing. */
extern void covered_check_transaction(Oid relid);

#endif /* DEPIPE_COVERED_H */
