/*-------------------------------------------------------------------------
 *
 * apply.h
 *		Writing deltas to their targets.  Private to publish.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_PUBLISH_APPLY_H
#define DEPIPE_PUBLISH_APPLY_H

#include "publish/execute.h"

/* Fill in the fields that publish does not set. */
extern void apply_prepare(ApplyTable *table);

/*
 * Order the tables (a list of ApplyTable) so that each one comes after those
 * that its foreign keys reference.
 */
extern List *apply_order(List *tables);

/*
 * Write all of them: tables are emptied from the last to the first, new images
 * are written from the first to the last, deletions from the last to the first.
 * *current is the table being written, to attribute an error.
 */
extern void apply_all(List *tables, Snapshot snapshot, ApplyTable **current);

/*
 * Verify for rows that are not written whether their keys have rows in the
 * target, as their changes imply.  The delta is not registered.  Raises the
 * errors of apply_all() if not.
 */
extern void apply_check_keys(Target *target, Delta *delta, Snapshot snapshot);

/*
 * The reason why a key of the delta contradicted its changes, if the last error
 * was that; otherwise NULL. The call resets it.
 */
extern const char *apply_unexpected(void);

#endif /* DEPIPE_PUBLISH_APPLY_H */
