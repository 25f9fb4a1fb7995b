/*-------------------------------------------------------------------------
 *
 * change_table.h
 *		Tables of captured changes: what a row is made of.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CAPTURE_CHANGE_TABLE_H
#define DEPIPE_CAPTURE_CHANGE_TABLE_H

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

/* The image of one row that was changed: equal rows have equal bytes. */
typedef struct ChangeImage
{
	int16 weight; /* -1: old, 1: new */
	Size length;  /* of data */
	const char *data;
} ChangeImage;

/* Of the rows of one member: what their bytes need to become rows again. */
typedef struct ImageLayout
{
	uint16 natts;
	uint16 infomask;
	uint8 hoff;
	uint8 unused[3]; /* zero */
} ImageLayout;

/* Images that share a row of a change table. */
typedef struct ChangeImages
{
	StringInfoData data; /* a varlena */
	int32 count;
	ImageLayout last; /* of the last one */
} ChangeImages;

/* A position among them. */
typedef struct ImageCursor
{
	const char *data;
	Size size;
	Size offset;
	ImageLayout layout; /* of the last image */
	const char *whole;  /* the last image that is there as it is */
	Size length;        /* of that one */
} ImageCursor;

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
 * The row in the slot, complete and without references to TOAST tables, in
 * CurrentMemoryContext where something must be allocated.  reads: the columns
 * that are kept, by attribute number from 1; the others become NULL; NULL: all
 * are kept.  Returns NULL when the row is too long to be kept.
 */
extern MinimalTuple change_tuple(TupleTableSlot *slot, const bool *reads);

/* Have two such rows the same image? */
extern bool change_tuples_equal(const MinimalTupleData *one, const MinimalTupleData *other);

/* Begin with no images, in CurrentMemoryContext; bytes: how many are expected. */
extern void change_images_begin(ChangeImages *images, int bytes);

/* How many bytes they have. */
extern int change_images_bytes(const ChangeImages *images);

/* Forget them. */
extern void change_images_reset(ChangeImages *images);

/* Add an old and a new row, or one of them; the other one is NULL. */
extern void change_images_add(ChangeImages *images, const MinimalTupleData *old_row,
							  const MinimalTupleData *new_row);

/* Begin to read the images of a row. */
extern void change_images_open(ImageCursor *cursor, const struct varlena *images);

/*
 * Take the next image, palloc'd.  Returns false at the end.  Raises XX001 when
 * the bytes are no images.
 */
extern bool change_image_next(ImageCursor *cursor, ChangeImage *image);

/* The image of a row, palloc'd. */
extern void change_image_of(const MinimalTupleData *tuple, int16 weight, ChangeImage *image);

/* Are all other columns of the image NULL? */
extern bool change_image_is_within(const ChangeImage *image, const bool *reads);

/* The row of an image, palloc'd. */
extern MinimalTuple change_image_tuple(const ChangeImage *image);

/*
 * Insert a row; the table is locked.  images: NULL unless kind is CHANGE_ROWS.
 * Allocates in CurrentMemoryContext.  Returns the block that it was written to.
 */
extern BlockNumber change_insert(Relation table, const ChangeRow *row, ChangeImages *images);

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

#endif /* DEPIPE_CAPTURE_CHANGE_TABLE_H */
