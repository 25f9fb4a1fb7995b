/*-------------------------------------------------------------------------
 *
 * fold.h
 *		Folding of a batch's changes per key and per column.
 *
 * Fillers use fill.h.  Only park.c, which folds one finished delta onto another,
 * asks for bases itself.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_DELTA_FOLD_H
#define DEPIPE_DELTA_FOLD_H

#include "delta/delta.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "utils/tuplesort.h"

typedef struct FoldEntry
{
	uint32 hash;
	bool present; /* the key has a row after the batch */
	bool gone;    /* the row that it had before the batch was deleted or moved */
	int8 before;  /* BEFORE_UNKNOWN, BEFORE_NONE or BEFORE_SAME: had it a row? */
	bool base_lost;
	Datum *keys;
	bool *key_nulls;
	MinimalTuple tuple; /* in the layout of delta->desc */
	int64 sequence;
	int64 pair;
	Bitmapset *unknown;
	Datum *base_keys; /* set if unknown is not empty */
	bool *base_nulls;
	int64 base_before; /* the base is the row as of just before this sequence */
} FoldEntry;

typedef struct FoldKey
{
	FmgrInfo hash;
	FmgrInfo equal;
	Oid collation;
	int16 length;
	bool by_value;
} FoldKey;

typedef struct DeltaFold
{
	struct foldtable_hash *table;
	MemoryContext context;
	int nkeys;
	FoldKey *keys;
	FoldEntry **order; /* in order of first appearance */
	int norder;
	int max_order;
	bool cleared; /* no row from before the batch is left */
	FoldEntry probe;
	Datum *row; /* scratch: fixed columns and values */
	bool *row_nulls;
	Size kept;                /* bytes of the context that spilling entries does not free */
	Tuplesortstate *spilled;  /* entries on disk, by hash and sequence; NULL: none */
	TupleTableSlot *spilling; /* slot for such an entry */
} DeltaFold;

/*
 * Create the fold of a delta whose columns and keys are set.  Called in the
 * delta's context.  Raises 0A000 for a key column whose type has no hash
 * equality.
 */
extern DeltaFold *fold_create(Delta *delta);

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

/*
 * Discard everything folded so far, at a TRUNCATE.  Later rows have no base from
 * before it.  Nothing is on disk: see fold_drop_spilled().
 */
extern void fold_reset(Delta *delta);

/*
 * Approximate number of bytes that fold_spill could free.  The second function
 * returns whether fold_spill has been called since the last fold_reset.
 */
extern Size fold_memory(Delta *delta);
extern bool fold_is_spilled(const Delta *delta);

/* Write the folded rows to the delta, and list the partial ones.  Nothing is on disk. */
extern void fold_write(Delta *delta);

/* Free the fold.  The delta has none afterwards. */
extern void fold_free(Delta *delta);

/* ---- for fold_spill.c ---- */

/* Do two entries have equal keys?  NULLs are equal. */
extern bool fold_keys_equal(const DeltaFold *fold, const FoldEntry *a, const FoldEntry *b);

/* The hash of an entry's key. */
extern uint32 fold_hash_key(DeltaFold *fold, const FoldEntry *entry);

/* The entry of the probe's key; NULL if there is none. */
extern FoldEntry *fold_find(DeltaFold *fold, FoldEntry *probe);

/* Copy the key columns of an entry into the current context. */
extern void fold_copy_keys(DeltaFold *fold, const FoldEntry *from, Datum **keys, bool **nulls);

/* The BEFORE_* value of the entry's current image. */
extern int fold_before(const FoldEntry *entry);

/*
 * The columns of a tuple in the layout of delta->desc.  They point into the
 * tuple.
 */
extern void fold_deform(Delta *delta, MinimalTuple tuple, Datum *values, bool *nulls);

/*
 * Set unknown columns to the values of the base's image.  Returns those that
 * the base does not know either.  With copy, the values are copied into the
 * current context.
 */
extern Bitmapset *fold_take_columns(Delta *delta, const FoldEntry *base, const Bitmapset *unknown,
									Datum *values, bool *nulls, bool copy);

/*
 * Replace the table by a new one, in a new context, that holds these entries.
 * Deletes the old context.
 */
extern void fold_replace(Delta *delta, MemoryContext context, FoldEntry **entries, int count);

/* Add the entry to the delta's partial rows.  Called in the delta's context. */
extern void fold_put_partial(Delta *delta, FoldEntry *entry);

#endif /* DEPIPE_DELTA_FOLD_H */
