/*-------------------------------------------------------------------------
 *
 * fill.h
 *		Filling a delta with the changes of a source, in their order.
 *
 * delta->lsn and delta->time are the position and commit time of the source
 * transaction, delta->claim is what the next change implies about its key.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_DELTA_FILL_H
#define DEPIPE_DELTA_FILL_H

#include "delta/delta.h"

/*
 * Fold the changes of each key of a new delta into one row; without a key they
 * are appended as they are.  Returns the delta.  Raises 0A000 for a key column
 * whose type has no hash equality.
 */
extern Delta *delta_begin_fold(Delta *delta);

/*
 * Add an inserted or updated row.  unknown: columns that the source did not
 * send (NULL: none).  old_values: the old image if the source sent one (at
 * least the old key), else NULL.  old_complete: it has all columns.  Raises
 * 55000 for an unknown column without a key and without a complete old image.
 */
extern void delta_upsert(Delta *delta, const Datum *values, const bool *nulls,
						 const Bitmapset *unknown, const Datum *old_values, const bool *old_nulls,
						 bool old_complete);

/* Add the deletion of a row.  values contain at least the key's columns. */
extern void delta_delete(Delta *delta, const Datum *values, const bool *nulls);

/* Add a TRUNCATE of the table: discards everything folded so far and sets clear. */
extern void delta_clear(Delta *delta);

/*
 * Bytes of memory used by the fold that delta_spill() could free.  The second
 * function returns whether a part of the fold is on disk; delta_finish() then
 * compares keys, as the current user.
 */
extern Size delta_memory(Delta *delta);
extern bool delta_is_spilled(const Delta *delta);

/* Move everything folded so far to disk. */
extern void delta_spill(Delta *delta);

/* Spill if the fold exceeds depipe.batch_memory (kB).  This is for fillers of a single delta. */
extern void delta_make_room(Delta *delta);

/* End of filling: write the folded rows to the tuplestore and list the partial ones. */
extern void delta_finish(Delta *delta);

#endif /* DEPIPE_DELTA_FILL_H */
