/*-------------------------------------------------------------------------
 *
 * delta.h
 *		The delta: the row changes of one batch for one table.
 *
 * Streams, bulk reads, cursors, snapshot differences and transforms all fill a
 * delta; the gate, the apply step, the quarantine and the park all read it.
 *
 * A finished delta is a tuplestore that SQL sees as an ephemeral named
 * relation.  Its columns are
 *
 *		_depipe_weight		int8	> 0 new image, < 0 old image
 *		_depipe_sequence	int8	position in the batch, unique in the delta
 *		_depipe_lsn			pg_lsn	end of the source transaction; NULL if local
 *		_depipe_time		timestamptz	its commit time; NULL if local
 *		_depipe_pair		int8	sequence of the other half of a key change
 *		_depipe_replaced	bool	an old image whose key has a new image here
 *		_depipe_before		int2	the key before the batch (BEFORE_*); NULL: unknown
 *
 * followed, in their order, by those of the table's columns that the filler
 * owns: neither dropped nor generated ones, nor those that only the target
 * has.  There are two shapes:
 *
 * keyed	At most one row per key that is not "replaced".  Weight +1: the
 *			table must hold exactly this image of the key.  Weight -1: it must
 *			hold no row of the key (only the key's columns are always filled).
 * bag		No key.  A row says how many copies of exactly this image the table
 *			must gain (or lose).
 *
 * If "clear" is set, the table is emptied first (TRUNCATE, full replacement).
 *
 * The changes of a keyed delta are folded (fill.h) per key and per column: a
 * column whose value the source did not send (unchanged TOAST) keeps the value
 * that an earlier change of the batch gave.  Rows with columns that are still
 * unknown at delta_finish() become "partial" rows.  publish completes these
 * from the quarantine or the target before anything reads the delta, so no
 * consumer ever sees an unknown column.
 *
 * Invariants: the base key of a partial row identifies the row, as it was
 * before the batch, that the unknown columns come from.  Sequence numbers
 * follow the order of the source.  Everything is allocated in the delta's
 * memory context.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_DELTA_DELTA_H
#define DEPIPE_DELTA_DELTA_H

#include "depipe.h"
#include "executor/tuptable.h"
#include "nodes/bitmapset.h"
#include "utils/builtins.h"
#include "utils/pg_lsn.h"
#include "utils/resowner.h"
#include "utils/tuplestore.h"

/* fixed columns before the table's own, numbered from 1 */
#define DELTA_WEIGHT 1
#define DELTA_SEQUENCE 2
#define DELTA_LSN 3
#define DELTA_TIME 4
#define DELTA_PAIR 5
#define DELTA_REPLACED 6
#define DELTA_BEFORE 7
#define DELTA_FIXED 7

/* What the changes of a batch imply about the row that its key had before the batch. */
#define BEFORE_UNKNOWN (-1) /* nothing; a new image continues whatever row there was */
#define BEFORE_NONE 0       /* there was no row */
#define BEFORE_SAME 1       /* there was a row; the new image continues it, or it is deleted */
#define BEFORE_OTHER 2      /* there was a row, which is gone; the new image is another row */
#define BEFORE_GONE 3       /* any row there was is gone; the new image is another row */

/* prefix that tables managed by depipe may not use for their own columns */
#define DELTA_COLUMN_PREFIX "_depipe_"

/* What a change implies about its key immediately before the change. */
typedef enum DeltaClaim
{
	CLAIM_NOTHING,
	CLAIM_ABSENT, /* it had no row: INSERT */
	CLAIM_PRESENT /* it had a row: UPDATE, DELETE */
} DeltaClaim;

/* A row with columns that the source did not send. */
typedef struct PartialRow
{
	int64 sequence;
	XLogRecPtr lsn;
	TimestampTz time;
	int64 pair;    /* 0: none */
	int before;    /* BEFORE_* */
	Datum *values; /* of delta->columns */
	bool *nulls;
	Bitmapset *unknown; /* indexes (from 0) into the columns */
	Datum *base_values; /* key columns of the base row, at their positions */
	bool *base_nulls;
	bool base_lost; /* there is no base row: the values cannot be recovered */
	bool completed; /* its complete image is in the delta's rows now */
} PartialRow;

typedef struct Delta
{
	MemoryContext context;
	ResourceOwner owner; /* of the tuplestore; outlives subtransactions inside publish */
	char *name;          /* of the ephemeral named relation */
	Oid relid;           /* the table of these columns; InvalidOid: a source's layout */
	TupleDesc columns;   /* the table's own columns, renumbered from 1 */
	AttrNumber *attnums; /* their attribute numbers in the table */
	TupleDesc desc;      /* fixed columns, then the table's own */
	int nkeys;           /* 0: bag */
	AttrNumber *keys;    /* numbers in columns, from 1 */
	bool clear;
	bool old_images;  /* the complete old image of every changed or deleted row is included */
	bool filled_keys; /* of a delta filled from a query: no row has a NULL in its key */
	Tuplestorestate *rows;
	int64 nrows;          /* number of rows in "rows" */
	int64 changes;        /* number of changes before folding */
	int64 new_images;     /* number of rows with weight > 0 */
	XLogRecPtr lsn;       /* source transaction of the next rows, set by the filler */
	TimestampTz time;     /* its commit time, 0 if local */
	TimestampTz as_of;    /* of a copy: the source's time of its rows; 0: unknown */
	DeltaClaim claim;     /* of the next change, also set by the filler */
	XLogRecPtr batch_end; /* the position of the source that the batch leads to, for the park */
	bool checked;         /* verify the claims about keys against the table */
	bool contradicted;    /* a claim was false: the key does not identify rows */
	List *partial;        /* of PartialRow, after delta_finish */
	int64 next_sequence;
	struct DeltaFold *fold; /* fold.h; NULL: rows are appended as they are */
} Delta;

/*
 * The key of a table: the columns given by name, or else those of the replica
 * identity index or primary key.  Returns the number of columns (0: none).
 * attnums gets their numbers in the table, palloc'd.  Takes AccessShareLock
 * and keeps it.  Raises 42703 for an unknown column.
 */
extern int delta_key_attributes(Oid relid, List *key_names, AttrNumber **attnums);

/*
 * Create a delta for a table, in a new context below parent.  column_names:
 * the columns that the filler owns, NIL for all (never generated ones).
 * key_names: names in the table, NIL for a bag.  Takes AccessShareLock on the
 * table and keeps it.  Raises 42703 for an unknown column, 42P16 for a table
 * with reserved column names.
 */
extern Delta *delta_create(Oid relid, List *column_names, List *key_names, MemoryContext parent);

/*
 * Create a delta as delta_create() does, but without a lock, for a caller that
 * cannot get it.  The table may change before the delta is used, so the delta
 * may only be parked.  Raises 42P01 if the table does not exist.
 */
extern Delta *delta_create_to_park(Oid relid, List *column_names, List *key_names,
								   MemoryContext parent);

/*
 * Create a delta as delta_create() does, for a column list that is no local
 * table (a source's layout).
 */
extern Delta *delta_create_for_columns(TupleDesc columns, List *key_names, MemoryContext parent);

/* An empty delta of the same shape and owner, without a fold. */
extern Delta *delta_create_like(Delta *delta);

/* The names of delta->columns, palloc'd. */
extern List *delta_column_names(Delta *delta);

/*
 * Append one row without folding.  values are those of delta->columns.  Here
 * and below, delta->lsn and delta->time are the position and commit time of
 * the source transaction.
 */
extern void delta_append(Delta *delta, int64 weight, const Datum *values, const bool *nulls);

/* Write one row with its fixed columns. */
extern void delta_put_row(Delta *delta, int64 weight, int64 sequence, XLogRecPtr lsn,
						  TimestampTz time, int64 pair, int before, const Datum *values,
						  const bool *nulls);

/*
 * Make the delta visible to SQL of the current SPI connection under
 * delta->name.  Register it at most once per connection, and unregister it
 * before the tuplestore is freed.
 */
extern void delta_register(Delta *delta);
extern void delta_unregister(Delta *delta);

/*
 * Fill the delta from a query that returns exactly the columns of delta->desc.
 * The query runs with the current identity and the active snapshot, read-only.
 * columns: if it reads only ephemeral relations with few rows, and finds others
 * by index, the list of their TupleDesc, and its plan is kept (plan_query());
 * otherwise NIL.
 */
extern void delta_fill_from_query(Delta *delta, const char *sql, List *columns);

/*
 * Run a query into a new tuplestore.  columns: as above.  desc gets its
 * descriptor, with named columns.  Both are allocated in context.  Raises 42601
 * if the query returns no rows.
 */
extern Tuplestorestate *query_to_tuplestore(const char *sql, List *columns, TupleDesc *desc,
											uint64 *nrows, MemoryContext context);

/*
 * Raise 0A000: a column of this type cannot be part of a key.  hashed: its
 * values can be hashed but not sorted.
 */
extern void delta_refuse_key(const char *column, Oid type, bool hashed);

/*
 * Read the rows from the start.  delta_next() returns false at the end; the
 * slot is valid until the next call.
 */
extern void delta_rewind(Delta *delta);
extern bool delta_next(Delta *delta, TupleTableSlot *slot);

/*
 * Forget what the rows with these sequence numbers (sorted) imply about the
 * previous rows of their keys, because the table contradicts it.
 */
extern void delta_forget_before(Delta *delta, const int64 *sequences, int nsequences);

/*
 * Move the rows with these sequence numbers (sorted), and the other halves of
 * key changes, into a new delta.
 */
extern Delta *delta_split(Delta *delta, const int64 *sequences, int nsequences);

/*
 * Text images of a row's own columns and of its key.  The output functions run
 * under pinned DateStyle, IntervalStyle, extra_float_digits and TimeZone,
 * because the images are stored and compared with those made by other
 * sessions.  Equal keys have equal texts.
 */
extern ArrayType *delta_row_image(Delta *delta, const Datum *values, const bool *nulls);
extern ArrayType *delta_row_key(Delta *delta, const Datum *values, const bool *nulls);

/* Is the column (from 0) of the delta one of its key? */
extern bool delta_is_key(const Delta *delta, int column);

/* Is the column (from 0) GENERATED ALWAYS AS IDENTITY in the delta's table? */
extern bool delta_is_always_identity(const Delta *delta, int column);

/*
 * Is there a key, and are all of its columns NOT NULL in the delta's table, or
 * at least in the delta itself?
 */
extern bool delta_key_is_not_null(const Delta *delta);

/*
 * Do equal keys always have equal texts, so that quarantined rows can be found
 * by the text of their key?
 */
extern bool delta_key_has_text(Delta *delta);

/* Free the delta and everything in it. */
extern void delta_destroy(Delta *delta);

#endif /* DEPIPE_DELTA_DELTA_H */
