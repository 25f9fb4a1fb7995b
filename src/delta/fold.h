/*-------------------------------------------------------------------------
 *
 * fold.h
 *		Folding of a batch's changes per key and per column.
 *
 * Private to delta: the callers of delta.h never see it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_DELTA_FOLD_H
#define DEPIPE_DELTA_FOLD_H

#include "delta/delta.h"

/* In the delta's context (current), for a delta whose columns and keys are set. */
extern struct DeltaFold *fold_create(Delta *delta);

/* Arguments as those of delta_upsert and delta_delete. */
extern void fold_upsert(Delta *delta, const Datum *values, const bool *nulls,
						const Bitmapset *unknown, const Datum *old_values, const bool *old_nulls,
						bool old_complete);
extern void fold_delete(Delta *delta, const Datum *values, const bool *nulls);

/*
 * Folding a finished delta onto another: its partial rows name a base row as
 * it was before that delta.  So look at all bases (key columns; NULL: lost)
 * before the first of its rows is folded, and give the row what was found.
 * The base lives in the current context.
 */
typedef struct FoldBase FoldBase;
extern FoldBase *fold_base(Delta *delta, const Bitmapset *unknown, const Datum *base_values,
						   const bool *base_nulls);
extern void fold_upsert_based(Delta *delta, const Datum *values, const bool *nulls, FoldBase *base,
							  const Datum *old_values, const bool *old_nulls);

/* Forget everything folded so far (TRUNCATE): what follows has no base. */
extern void fold_reset(Delta *delta);

/* Bytes that fold_spill could free, roughly; and has it been called since the last fold_reset? */
extern Size fold_memory(Delta *delta);
extern bool fold_is_spilled(const Delta *delta);

/* Move what is folded to disk; folding goes on as if it had not been. */
extern void fold_spill(Delta *delta);

/* Write the folded rows to the delta, list the partial ones; frees the fold. */
extern void fold_finish(Delta *delta);

/* Write one row with its fixed columns (delta.c). */
extern void delta_put_row(Delta *delta, int64 weight, int64 sequence, XLogRecPtr lsn,
						  TimestampTz time, int64 pair, int before, const Datum *values,
						  const bool *nulls);

/* An empty delta of the same shape and owner, without a fold (delta.c). */
extern Delta *delta_create_like(Delta *delta);

#endif /* DEPIPE_DELTA_FOLD_H */
