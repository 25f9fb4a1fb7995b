/*-------------------------------------------------------------------------
 *
 * history.h
 *		Writing deltas to targets that keep deleted rows or earlier versions.
 *		Private to publish.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_PUBLISH_HISTORY_H
#define DEPIPE_PUBLISH_HISTORY_H

#include "publish/execute.h"

/* Carry out the "clear" of the delta: end all current rows whose key has no new image. */
extern void history_clear(ApplyTable *table, Snapshot snapshot);

/* Write the deletions and the new images of the keyed delta. */
extern void history_write(ApplyTable *table, Snapshot snapshot);

/* Returns a query that raises an error if the current rows contradict the changes of the delta. */
extern char *history_check_sql(Target *target, Delta *delta);

#endif /* DEPIPE_PUBLISH_HISTORY_H */
