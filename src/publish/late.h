/*-------------------------------------------------------------------------
 *
 * late.h
 *		Foreign keys that are checked after all tables are written.
 *		Private to publish.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_PUBLISH_LATE_H
#define DEPIPE_PUBLISH_LATE_H

#include "publish/execute.h"

/*
 * Save the whole rows of the target with the keys of the delta (with clear: all
 * rows) as table->saved, a relation of the current SPI connection.
 */
extern void late_save(ApplyTable *table);

/* Insert the returning rows, with the columns that the delta lacks. */
extern char *late_return_sql(ApplyTable *table);

/* Conditions on the delta d: its key was saved, or not. */
extern char *late_is_saved(ApplyTable *table);

/*
 * Do the work of the triggers that were left out.  Raises 23503 for a new image
 * whose reference is missing, and for a row elsewhere that refers to a saved
 * row that no longer exists; if such a foreign key cascades, that row is
 * deleted.
 */
extern void late_check(ApplyTable *table, Snapshot snapshot);

#endif /* DEPIPE_PUBLISH_LATE_H */
