/*-------------------------------------------------------------------------
 *
 * fold.h
 *		Folding of a batch's changes per key and per column.
 *
 * Private to src/delta: users of delta.h do not include it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_DELTA_FOLD_H
#define DEPIPE_DELTA_FOLD_H

#include "delta/delta.h"

/*
 * Create the fold of a delta whose columns and keys are set.  Called in the
 * delta's context.  Raises 0A000 for a key column whose type has no hash
 * equality.
 */
extern struct DeltaFold *fold_create(Delta *delta);

/* The arguments are those of delta_upsert and delta_delete. */
extern void fold_upsert(Delta *delta, const Datum *values, const bool *nulls,
						const Bitmapset *unknown, const Datum *old_values, const bool *old_nulls,
						bool old_complete);
extern void fold_delete(Delta *delta, const Datum *values, const bool *nulls);

/*
 * Fold a finished delta onto another.  The base of a partial row is a row as
 * it was before the finished delta.  So look up all bases with fold_base()
 * (base_values: key columns; NULL: lost) before folding the first row, and
 * pass each row the base found.  The base is allocated in the current context.
 */
typedef struct FoldBase FoldBase;
extern FoldBase *fold_base(Delta *delta, const Bitmapset *unknown, const Datum *base_values,
						   const bool *base_nulls);
extern void fold_upsert_based(Delta *delta, const Datum *values, const bool *nulls, FoldBase *base,
							  const Datum *old_values, const bool *old_nulls);

/* Discard everything folded so far, at a TRUNCATE.  Later rows have no base from before it. */
extern void fold_reset(Delta *delta);

/*
 * Approximate number of bytes that fold_spill could free.  The second function
 * returns whether fold_spill has been called since the last fold_reset.
 */
extern Size fold_memory(Delta *delta);
extern bool fold_is_spilled(const Delta *delta);

/* Move the folded entries to disk.  This does not affect the result of further folding. */
extern void fold_spill(Delta *delta);

/* Write the folded rows to the delta, list the partial ones, and free the fold. */
extern void fold_finish(Delta *delta);

/* Write one row with its fixed columns (delta.c). */
extern void delta_put_row(Delta *delta, int64 weight, int64 sequence, XLogRecPtr lsn,
						  TimestampTz time, int64 pair, int before, const Datum *values,
						  const bool *nulls);

/* An empty delta of the same shape and owner, without a fold (delta.c). */
extern Delta *delta_create_like(Delta *delta);

#endif /* DEPIPE_DELTA_FOLD_H */
