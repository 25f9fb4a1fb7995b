/*-------------------------------------------------------------------------
 *
 * fold_table.h
 *		What the two files of the fold share: entries in memory, and on disk.
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
	bool gone;    /* what it had before the batch was deleted or moved away */
	int8 before;  /* BEFORE_UNKNOWN, BEFORE_NONE or BEFORE_SAME: had it a row? */
	bool base_lost;
	Datum *keys;
	bool *key_nulls;
	MinimalTuple tuple; /* in the layout of delta->desc */
	int64 sequence;
	int64 pair;
	Bitmapset *unknown;
	Datum *base_keys; /* when unknown is not empty */
	bool *base_nulls;
	int64 base_before; /* the base is the row as it was before this sequence */
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
	bool cleared; /* rows of before the batch are gone */
	FoldEntry probe;
	Datum *row; /* scratch: fixed columns and values */
	bool *row_nulls;
	Size kept;                /* bytes of the context that are not for entries to be spilled */
	Tuplesortstate *spilled;  /* entries on disk, by hash and sequence; NULL: none */
	TupleTableSlot *spilling; /* of such an entry */
} DeltaFold;

/* ---- fold.c ---- */

extern bool fold_keys_equal(const DeltaFold *fold, const FoldEntry *a, const FoldEntry *b);
extern uint32 fold_hash_key(DeltaFold *fold, const FoldEntry *entry);
extern FoldEntry *fold_find(DeltaFold *fold, FoldEntry *probe);

/* Into the current context. */
extern void fold_copy_keys(DeltaFold *fold, const FoldEntry *from, Datum **keys, bool **nulls);
/* BEFORE_* of the entry as it is. */
extern int fold_before(const FoldEntry *entry);
extern void fold_deform(Delta *delta, MinimalTuple tuple, Datum *values, bool *nulls);

/*
 * Columns of the base's image, but those that it does not know either, which
 * are returned.  With copy, the values live in the current context.
 */
extern Bitmapset *fold_take_columns(Delta *delta, const FoldEntry *base, const Bitmapset *unknown,
									Datum *values, bool *nulls, bool copy);

/* A new table in a new context, with these entries of it; the old context is deleted. */
extern void fold_replace(Delta *delta, MemoryContext context, FoldEntry **entries, int count);

/* List the entry with the delta's partial rows; in the delta's context, current. */
extern void fold_put_partial(Delta *delta, FoldEntry *entry);

/* ---- fold_spill.c ---- */

/* Write all entries to the delta, those on disk in the order of the source. */
extern void fold_merge(Delta *delta);

/* Forget what is on disk. */
extern void fold_drop_spilled(Delta *delta);

#endif /* DEPIPE_DELTA_FOLD_TABLE_H */
