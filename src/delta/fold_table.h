/*-------------------------------------------------------------------------
 *
 * fold_table.h
 *		Entries of a fold, in memory and on disk.
 *
 * Private to fold.c and fold_spill.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_DELTA_FOLD_TABLE_H
#define DEPIPE_DELTA_FOLD_TABLE_H

#include "delta/fold.h"

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

/* ---- fold.c ---- */

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

/* ---- fold_spill.c ---- */

/* Write all entries to the delta, those on disk in the order of the source. */
extern void fold_merge(Delta *delta);

/* Discard the entries on disk. */
extern void fold_drop_spilled(Delta *delta);

#endif /* DEPIPE_DELTA_FOLD_TABLE_H */
