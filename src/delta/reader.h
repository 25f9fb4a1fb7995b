/*-------------------------------------------------------------------------
 *
 * reader.h
 *		Reading a finished delta row by row: complete rows, then partial ones.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_DELTA_READER_H
#define DEPIPE_DELTA_READER_H

#include "delta/delta.h"

typedef struct DeltaReader
{
	/* the current row, valid until the next call */
	int64 sequence;
	int64 weight;
	int64 pair; /* 0: none */
	XLogRecPtr lsn;
	TimestampTz time;
	bool replaced;
	int before;               /* BEFORE_* */
	const Bitmapset *unknown; /* NULL: the row is complete */
	const PartialRow *partial;
	const Datum *values; /* of delta->columns */
	const bool *nulls;
	/* private */
	Delta *delta;
	TupleTableSlot *slot;
	int next_partial;
	bool in_partial;
} DeltaReader;

/*
 * Start to read a finished delta.  The reader is allocated in the current
 * memory context.  It uses the delta's read pointer, so a delta has one reader
 * at a time.
 */
extern DeltaReader *delta_read(Delta *delta);

/* Is the row with this sequence the old half of a key change? */
extern bool delta_read_next(DeltaReader *reader);

/* Free the reader, but not the delta. */
extern void delta_read_end(DeltaReader *reader);

/*
 * The old halves of the delta's key changes, by sequence: the rows of the
 * deletions that new images name as their pairs.
 */
typedef struct DeltaOldKeys DeltaOldKeys;

/*
 * Collect the old halves of a finished delta.  Allocated in the current memory
 * context.
 */
extern DeltaOldKeys *delta_old_keys(Delta *delta);

/* Is the row with this sequence such an old half? */
extern bool delta_is_old_key(const DeltaOldKeys *old_keys, int64 sequence);

/* The values (at least the key's columns) of an old half.  Returns false if there is none. */
extern bool delta_old_key(const DeltaOldKeys *old_keys, int64 pair, const Datum **values,
						  const bool **nulls);

#endif /* DEPIPE_DELTA_READER_H */
