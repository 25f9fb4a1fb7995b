/*-------------------------------------------------------------------------
 *
 * change_table.h
 *		Tables of captured changes: what a row is made of.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_TRANSFORM_CHANGE_TABLE_H
#define DEPIPE_TRANSFORM_CHANGE_TABLE_H

#include "depipe.h"
#include "access/htup_details.h"
#include "access/transam.h"
#include "executor/tuptable.h"
#include "lib/stringinfo.h"
#include "utils/rel.h"
#include "utils/snapshot.h"

/* What a row of a change table tells. */
#define CHANGE_SENTINEL 's' /* the first row: nothing was lost since */
#define CHANGE_ROWS 'r'     /* images of rows */
#define CHANGE_TRUNCATE 't'
#define CHANGE_OVERFLOW 'o' /* more than is kept */

/* A row with images has about that many bytes; one image can be longer. */
#define CHANGE_ROW_BYTES 7000

/* The image of one row that was changed, within a row of a change table. */
typedef struct ChangeImage
{
	int16 weight; /* -1: old, 1: new */
	Size length;  /* of data */
	const char *data;
} ChangeImage;

/* One row of a change table; what is behind pointers lasts until the next one is read. */
typedef struct ChangeRow
{
	FullTransactionId xid; /* of the top level */
	int64 sequence;        /* number of the statement's firing in its transaction */
	Oid relid;             /* the member whose columns the images have */
	char kind;
	int32 nimages;
	struct varlena *images; /* detoasted; NULL unless kind is CHANGE_ROWS */
} ChangeRow;

/*
 * Append the image of the row in the slot, complete and without references to
 * TOAST tables, in CurrentMemoryContext where something must be allocated.
 * reads: the columns that are kept, by attribute number from 1; the others
 * become NULL; NULL: all are kept.  Returns false, without appending anything,
 * when the row is too long to be kept.
 */
extern bool change_image_append(StringInfo images, TupleTableSlot *slot, int16 weight,
								const bool *reads);

/* Are all other columns of the image NULL? */
extern bool change_image_is_within(const ChangeImage *image, const bool *reads);

/*
 * Take the next image of these bytes; *offset begins at 0.  Returns false at the
 * end.  Raises XX001 when the bytes are no images.
 */
extern bool change_image_next(const char *data, Size size, Size *offset, ChangeImage *image);

/* The row of an image, palloc'd. */
extern MinimalTuple change_image_tuple(const ChangeImage *image);

/*
 * Insert a row; the table is locked.  images: NULL unless kind is CHANGE_ROWS.
 * Allocates in CurrentMemoryContext.  Returns the block that it was written to.
 */
extern BlockNumber change_insert(Relation table, const ChangeRow *row, StringInfo images);

/* Does the snapshot see the sentinel, as the first row? */
extern bool change_table_is_whole(Oid table, Snapshot snapshot);

/* Does it have a row of this kind, by this transaction or one with a later id? */
extern bool change_table_has(Oid table, Snapshot snapshot, char kind, FullTransactionId since);

/* How many images it has. */
extern int64 change_table_count(Oid table, Snapshot snapshot);

/* Who wrote a row of the table, and when in its transaction.  Returns false for the sentinel. */
extern bool change_row_position(TupleTableSlot *slot, FullTransactionId *xid, int64 *sequence);

/* The number of images in a row of the table. */
extern int64 change_row_images(TupleTableSlot *slot);

/* Take the columns of a row of the table out of a slot. */
extern void change_row_read(TupleTableSlot *slot, ChangeRow *row);

#endif /* DEPIPE_TRANSFORM_CHANGE_TABLE_H */
