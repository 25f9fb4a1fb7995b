/*-------------------------------------------------------------------------
 *
 * delta.h
 *		The delta: the row changes of one batch for one table.
 *
 * A stream, a bulk read, a cursor, a snapshot difference and a transform all
 * fill a delta; the gate, the apply, the quarantine and the park all read it.
 *
 * A delta ends as a tuplestore that SQL sees as an ephemeral named relation.
 * Its columns are
 *
 *		_depipe_weight		int8	> 0 new image, < 0 old image
 *		_depipe_sequence	int8	position in the batch, unique in the delta
 *		_depipe_lsn			pg_lsn	end of the source transaction; NULL if local
 *		_depipe_time		timestamptz	commit time of it; NULL if local
 *		_depipe_pair		int8	sequence of the other half of a key change
 *		_depipe_replaced	bool	an old image whose key has a new image here
 *		_depipe_before		int2	what the key had before the batch (BEFORE_*); NULL: not known
 *
 * followed by the table's own columns that the filler owns (neither dropped
 * nor generated; columns that only the target has are left alone) in their
 * order.  Two shapes:
 *
 * keyed	at most one row per key that is not "replaced".  Weight +1: the
 *			table shall hold exactly this image of the key; -1: no row of the
 *			key (only the key's columns are sure to be filled).
 * bag		no key: a row says that the table shall hold so many copies more
 *			(or fewer) of exactly this image.
 *
 * With "clear" set, the table is emptied first (TRUNCATE, full replacement).
 *
 * Keyed deltas are filled through a fold: changes are given in source order
 * with delta_upsert and delta_delete, and folded per key and per column, so
 * that columns whose value the source did not send (unchanged TOAST) keep the
 * value that an earlier change of the batch gave.  What is still unknown at
 * delta_finish() is kept in "partial" rows, which publish completes from the
 * quarantine or the target before anything reads the delta: no consumer ever
 * sees an unknown column.
 *
 * Invariants: a partial row's base key names the row, as it was before the
 * batch, that the unknown columns come from; sequence numbers grow in the
 * order of the source; everything lives in the delta's memory context.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_DELTA_DELTA_H
#define DEPIPE_DELTA_DELTA_H

#include "depipe.h"
#include "executor/tuptable.h"
#include "utils/builtins.h"
#include "utils/pg_lsn.h"
#include "nodes/bitmapset.h"
#include "utils/resowner.h"
#include "utils/tuplestore.h"

/* fixed columns in front of the table's own, numbered from 1 */
#define DELTA_WEIGHT 1
#define DELTA_SEQUENCE 2
#define DELTA_LSN 3
#define DELTA_TIME 4
#define DELTA_PAIR 5
#define DELTA_REPLACED 6
#define DELTA_BEFORE 7
#define DELTA_FIXED 7

/* What the changes of a batch say of the row that its key had before the batch. */
#define BEFORE_UNKNOWN (-1) /* nothing; the new image, if any, continues whatever was there */
#define BEFORE_NONE 0       /* there was none */
#define BEFORE_SAME 1       /* there was one, which the new image continues, or which is deleted */
#define BEFORE_OTHER 2      /* there was one, which went; the new image is another row */
#define BEFORE_GONE 3       /* whatever was there went; the new image is another row */

/* names that no table managed by depipe may use for its own columns */
#define DELTA_COLUMN_PREFIX "_depipe_"

/* What a change says of its key as it was just before the change. */
typedef enum DeltaClaim
{
	CLAIM_NOTHING,
	CLAIM_ABSENT, /* it had no row: INSERT */
	CLAIM_PRESENT /* it had one: UPDATE, DELETE */
} DeltaClaim;

/* A row some of whose columns the source did not send. */
typedef struct PartialRow
{
	int64 sequence;
	XLogRecPtr lsn;
	TimestampTz time;
	int64 pair;    /* 0: none */
	int before;    /* BEFORE_* */
	Datum *values; /* of delta->columns */
	bool *nulls;
	Bitmapset *unknown; /* members are indexes (from 0) into the columns */
	Datum *base_values; /* key columns of the base row, at their places */
	bool *base_nulls;
	bool base_lost; /* there is no base: the value cannot be recovered */
	bool completed; /* its whole image is in the delta's rows now */
} PartialRow;

typedef struct Delta
{
	MemoryContext context;
	ResourceOwner owner; /* of the tuplestore: outlives subtransactions inside publish */
	char *name;          /* of the ephemeral named relation */
	Oid relid;           /* table whose columns these are; InvalidOid: a source's layout */
	TupleDesc columns;   /* the table's own columns, renumbered from 1 */
	AttrNumber *attnums; /* their attribute numbers in the table */
	TupleDesc desc;      /* fixed columns, then the table's own */
	int nkeys;           /* 0: bag */
	AttrNumber *keys;    /* numbers in columns, from 1 */
	bool clear;
	bool old_images; /* every changed or deleted row's whole old image is there */
	Tuplestorestate *rows;
	int64 nrows;       /* in rows */
	int64 changes;     /* taken in, before folding */
	int64 new_images;  /* rows with a weight > 0 */
	XLogRecPtr lsn;    /* of the rows given next: set by the filler per source */
	TimestampTz time;  /* transaction, 0 when local */
	DeltaClaim claim;  /* of the change given next, also set by the filler */
	bool checked;      /* what the changes say of their keys is to be verified in the table */
	bool contradicted; /* a change's claim was not so: the key does not tell the rows apart */
	List *partial;     /* of PartialRow, after delta_finish */
	int64 next_sequence;
	struct DeltaFold *fold; /* NULL: rows are appended as they are */
} Delta;

/*
 * The key of a table: the replica identity or primary key, or the columns
 * given by name.  Returns the number of columns (0: none) and their
 * attribute numbers in the table.
 */
extern int delta_key_attributes(Oid relid, List *key_names, AttrNumber **attnums);

/* How changes of one key are folded. */
typedef enum FoldMode
{
	FOLD_NONE, /* rows are appended as they are */
	FOLD_BATCH /* one row per key */
} FoldMode;

/*
 * Make a delta for a table in a new context below parent.  column_names: the
 * columns that the filler owns, NIL for all (generated ones never).  With key
 * columns (names in the table) and FOLD_BATCH, changes are folded; without,
 * rows are appended.  Raises 42703 for an unknown column, 0A000 for a key
 * column whose type has no hash equality, 42P16 for a table with reserved
 * columns.
 */
extern Delta *delta_create(Oid relid, List *column_names, List *key_names, FoldMode fold,
						   MemoryContext parent);

/*
 * The same without a lock, for one who cannot have it: the table may change
 * before the delta is used, so that it is good for the park only.
 */
extern Delta *delta_create_to_park(Oid relid, List *column_names, List *key_names, FoldMode fold,
								   MemoryContext parent);

/* The same for a column list that is no table here (a source's layout). */
extern Delta *delta_create_for_columns(TupleDesc columns, List *key_names, FoldMode fold,
									   MemoryContext parent);

/* The names of delta->columns. */
extern List *delta_column_names(Delta *delta);

/*
 * Append one row without folding; values are of delta->columns.  Position and
 * time of the source transaction are delta->lsn and delta->time here and below.
 */
extern void delta_append(Delta *delta, int64 weight, const Datum *values, const bool *nulls);

/*
 * A row was inserted or updated.  unknown: columns the source did not send
 * (NULL: none).  old_values: the old image when the source sent one (at least
 * the old key), else NULL; old_complete: it has all columns.
 */
extern void delta_upsert(Delta *delta, const Datum *values, const bool *nulls,
						 const Bitmapset *unknown, const Datum *old_values, const bool *old_nulls,
						 bool old_complete);

/* A row was deleted; values have at least the key's columns. */
extern void delta_delete(Delta *delta, const Datum *values, const bool *nulls);

/* The table was emptied: drops what was folded so far and sets clear. */
extern void delta_clear(Delta *delta);

/*
 * Bytes that folding holds in memory and delta_spill would free; is some of it on disk?
 * The end of filling then compares keys, as the current user.
 */
extern Size delta_memory(Delta *delta);
extern bool delta_is_spilled(const Delta *delta);

/* Move what was folded so far to disk. */
extern void delta_spill(Delta *delta);

/* Once more than depipe.batch_memory (kB) is folded; for fillers of a single delta. */
extern void delta_make_room(Delta *delta);

/* End of filling: writes folded rows to the tuplestore and lists partial ones. */
extern void delta_finish(Delta *delta);

/*
 * Make the delta visible to SQL of the current SPI connection under
 * delta->name; register at most once per connection, unregister before the
 * tuplestore goes.
 */
extern void delta_register(Delta *delta);
extern void delta_unregister(Delta *delta);

/*
 * Fill by a query that returns exactly the columns of delta->desc, run with
 * the current identity and the active snapshot (read only).
 */
extern void delta_fill_from_query(Delta *delta, const char *sql);

/* Any query into a new tuplestore, with its descriptor (columns named). */
extern Tuplestorestate *query_to_tuplestore(const char *sql, TupleDesc *desc, uint64 *nrows,
											MemoryContext context);

/* Raise that a column of this type makes no key; hashed: its values can be, but not sorted. */
extern void delta_refuse_key(const char *column, Oid type, bool hashed);

/* Read from the start: returns false at the end; values are valid until the next call. */
extern void delta_rewind(Delta *delta);
extern bool delta_next(Delta *delta, TupleTableSlot *slot);

/*
 * What the rows with these sequence numbers (sorted) say of the rows that their
 * keys had is not so in the table: forget it.
 */
extern void delta_forget_before(Delta *delta, const int64 *sequences, int nsequences);

/*
 * Move the rows with these sequence numbers (sorted), with the other halves of
 * key changes, out into a new delta.
 */
extern Delta *delta_split(Delta *delta, const int64 *sequences, int nsequences);

/*
 * Text image of a row's own columns and of its key, by output functions under
 * pinned DateStyle, IntervalStyle, extra_float_digits and TimeZone.  They are kept
 * and compared with those that other sessions make; equal keys have equal texts.
 */
extern ArrayType *delta_row_image(Delta *delta, const Datum *values, const bool *nulls);
extern ArrayType *delta_row_key(Delta *delta, const Datum *values, const bool *nulls);

/*
 * Do equal keys always have equal texts, so that quarantined rows can be found
 * by the text of their key?
 */
extern bool delta_key_has_text(Delta *delta);

/* Frees the delta with all it holds. */
extern void delta_destroy(Delta *delta);

#endif /* DEPIPE_DELTA_DELTA_H */
