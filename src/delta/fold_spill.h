/*-------------------------------------------------------------------------
 *
 * fold_spill.h
 *		Spilling a fold to disk.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_DELTA_FOLD_SPILL_H
#define DEPIPE_DELTA_FOLD_SPILL_H

#include "delta/delta.h"

/* Move the folded entries to disk.  This does not affect the result of further folding. */
extern void fold_spill(Delta *delta);

/* Write all entries to the delta, those on disk in the order of the source. */
extern void fold_merge(Delta *delta);

/* Discard the entries on disk, if there are any. */
extern void fold_drop_spilled(Delta *delta);

#endif /* DEPIPE_DELTA_FOLD_SPILL_H */
