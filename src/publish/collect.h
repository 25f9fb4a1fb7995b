/*-------------------------------------------------------------------------
 *
 * collect.h
 *		Collection of the rows that a pass changes in a target.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_PUBLISH_COLLECT_H
#define DEPIPE_PUBLISH_COLLECT_H

#include "delta/changes.h"
#include "publish/execute.h"

typedef struct Collection
{
	ApplyTable *table;
	Changes *changes;
	bool from_delta; /* the table stores the images of the delta unchanged */
	Written before;
	int64 written_before; /* of table->written */
} Collection;

/*
 * Begin before anything of the batch is applied, and end after all of it is:
 * collects the changes of the rows of the table.  The table has been prepared,
 * its delta is registered, and the target is locked against other writers.
 * Everything is allocated in the current memory context; files belong to the
 * current resource owner.  wants_before: if the table is cleared, its rows are read first.
 */
extern Collection *collect_begin(ApplyTable *table, bool wants_before);
extern Changes *collect_end(Collection *collection);

#endif /* DEPIPE_PUBLISH_COLLECT_H */
