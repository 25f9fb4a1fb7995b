/*-------------------------------------------------------------------------
 *
 * changes.h
 *		The rows of a target that one pass of publish has changed.
 *
 * A delta describes the rows that the table must have.  Changes describe what
 * happened to its rows: each old image that was removed, with weight -1, and
 * each new image, with weight +1. They have all columns of the table, including
 * generated ones and those that the filler of the delta does not own.  Rows of
 * the delta that were set aside are not included, so that +new -old of any sum
 * over the table never drifts.  A row that was written unchanged is included
 * twice, and cancels out.
 *
 * SQL of the same SPI connection sees them as an ephemeral named relation with
 * the columns
 *
 *		_depipe_weight		int8	number of copies that came (> 0) or went (< 0)
 *
 * followed by those of the table.  Old and new image of a row have the same
 * key, if the target has one; a change of a key is a deletion and an insertion.
 *
 * Invariants: If "known" is false, it is only known that the table may have
 * changed, and there are no rows.  If "cleared" is true, all earlier rows of
 * the table were removed, and only new images are here; "before" has the others,
 * if somebody wants them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_DELTA_CHANGES_H
#define DEPIPE_DELTA_CHANGES_H

#include "delta/delta.h"
#include "utils/rel.h"

#define CHANGES_WEIGHT_COLUMN 1
#define CHANGES_FIXED 1

typedef struct Changes
{
	bool known;
	bool cleared;
	char *name; /* of the ephemeral named relation */
	TupleDesc desc;
	Tuplestorestate *rows;
	int64 nrows;       /* of the relation */
	int64 copies_gone; /* sums of the weights */
	int64 copies_new;
	bool registered;
	struct Changes *before; /* with cleared: the rows that were removed, if wanted */
} Changes;

/*
 * Create empty changes of a table, in the current memory context and, for the
 * part spilled to disk, the current resource owner.
 */
extern Changes *changes_create(Relation rel);

/*
 * Create the old images beside the changes of a table that is cleared, for
 * changes_before_receiver(); they are part of the changes from then on.
 */
extern void changes_add_before(Changes *changes, Relation rel);
extern DestReceiver *changes_before_receiver(Changes *changes);

/*
 * Add the rows of the delta, which has the columns of the table.  negative: add
 * deletions as well.
 */
extern void changes_add_delta(Changes *changes, Delta *delta, bool negative);

/* The destination of further rows from a query with the columns of the relation. */
extern DestReceiver *changes_receiver(Changes *changes);

/* Count the rows, after the last one was added. */
extern void changes_finish(Changes *changes);

/* Forget everything: the rows that have changed are not known. */
extern void changes_forget(Changes *changes);

/* Make them visible to SQL of the current SPI connection, and end that. */
extern void changes_register(Changes *changes);
extern void changes_unregister(Changes *changes);

/*
 * Unregister and free the rows, before the end of the resource owner to which
 * they belong.  After an error only changes_unregister() is needed.
 */
extern void changes_end(Changes *changes);

#endif /* DEPIPE_DELTA_CHANGES_H */
