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

/* Fill in what is not asked by publish. */
extern void apply_prepare(ApplyTable *table);

/*
 * Order the tables so that a table comes after those that its foreign keys
 * reference; a list of ApplyTable.
 */
extern List *apply_order(List *tables);

/*
 * Write all of them: tables emptied from the last to the first, new images
 * from the first to the last, deletions from the last to the first.
 * *current is the table being written, for the attribution of an error.
 */
extern void apply_all(List *tables, Snapshot snapshot, ApplyTable **current);

/*
 * Verify what rows that are not written say of their keys; the delta is not
 * registered.  Raises as apply_all() does where it is not so.
 */
extern void apply_check_keys(Target *target, Delta *delta, Snapshot snapshot);

/*
 * Why a key of the delta was found against what its changes say, when the last
 * error was that; else NULL.  Asked once.
 */
extern const char *apply_unexpected(void);

#endif /* DEPIPE_PUBLISH_APPLY_H */
