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
 * Keep the target's rows of the delta's keys (all rows with clear), whole, as
 * table->saved, a relation of the current SPI connection.
 */
extern void late_save(ApplyTable *table);

/* The rows that return, with the columns that the delta does not have. */
extern char *late_return_sql(ApplyTable *table);

/* Conditions on the delta d: its key was saved, or not. */
extern char *late_is_saved(ApplyTable *table);

/*
 * Do what the left out triggers would have done: raises 23503 for a new image
 * without what it refers to, and for a row elsewhere that refers to a saved
 * one which is gone; where such a foreign key cascades, that row is deleted.
 */
extern void late_check(ApplyTable *table, Snapshot snapshot);

#endif /* DEPIPE_PUBLISH_LATE_H */
