/*-------------------------------------------------------------------------
 *
 * change_table.h
 *		Change tables: the format of their rows.
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

/* Kinds of rows of a change table */
#define CHANGE_SENTINEL 's' /* the first row; if it is there, no change was lost */
#define CHANGE_ROWS 'r'     /* images of rows */
#define CHANGE_TRUNCATE 't'
#define CHANGE_OVERFLOW 'o' /* more changes than are kept */

/* Approximate size in bytes of a row with images.  A single image can be longer. */
#define CHANGE_ROW_BYTES 7000

/* The image of a changed row.  Equal rows have equal bytes. */
typedef struct ChangeImage
{
	int16 weight; /* -1: old, 1: new */
	Size length;  /* of data */
	const char *data;
} ChangeImage;

/* The tuple header fields that are needed to rebuild a row of a member from its bytes */
typedef struct ImageLayout
{
	uint16 natts;
	uint16 infomask;
	uint8 hoff;
	uint8 unused[3]; /* zero */
} ImageLayout;

/* Images that are stored in one row of a change table */
typedef struct ChangeImages
{
	StringInfoData data; /* a varlena */
	int32 count;
	ImageLayout last; /* layout of the last image */
} ChangeImages;

/* A position in such images */
typedef struct ImageCursor
{
	const char *data;
	Size size;
	Size offset;
	ImageLayout layout; /* layout of the last image */
	const char *whole;  /* the last image that is stored in full */
	Size length;        /* length of that image */
} ImageCursor;

/* One row of a change table.  Pointers are valid until the next row is read. */
typedef struct ChangeRow
{
	FullTransactionId xid; /* of the top-level transaction */
	int64 sequence;        /* number of the firing of a trigger in its transaction */
	Oid relid;             /* the member whose layout the images have */
	char kind;
	int32 nimages;
	struct varlena *images; /* detoasted; NULL unless kind is CHANGE_ROWS */
} ChangeRow;

/*
 * Returns the row in the slot, with all of its columns and without references
 * to TOAST tables.  Memory is allocated in the current memory context if
 * needed.  Returns NULL if the row is too long to be kept.
 *
 * reads: the columns to keep, by attribute number minus one; the others become
 * NULL.  NULL keeps all columns.
 */
extern MinimalTuple change_tuple(TupleTableSlot *slot, const bool *reads);

/* Returns true if two such rows have the same image. */
extern bool change_tuples_equal(const MinimalTupleData *one, const MinimalTupleData *other);

/* Initialize an empty set of images in the current memory context.  bytes: expected size. */
extern void change_images_begin(ChangeImages *images, int bytes);

/* Returns the size of the images in bytes. */
extern int change_images_bytes(const ChangeImages *images);

/* Remove all images. */
extern void change_images_reset(ChangeImages *images);

/* Add an old row, a new row, or both.  A missing one is NULL. */
extern void change_images_add(ChangeImages *images, const MinimalTupleData *old_row,
							  const MinimalTupleData *new_row);

/* Begin reading the images of a row of a change table. */
extern void change_images_open(ImageCursor *cursor, const struct varlena *images);

/*
 * Read the next image, palloc'd.  Returns false at the end.  Raises an error
 * (XX001) if the bytes are not a valid image.
 */
extern bool change_image_next(ImageCursor *cursor, ChangeImage *image);

/* Build the image of a row, palloc'd. */
extern void change_image_of(const MinimalTupleData *tuple, int16 weight, ChangeImage *image);

/* Returns true if all other columns of the image are NULL. */
extern bool change_image_is_within(const ChangeImage *image, const bool *reads);

/* Returns the row of an image, palloc'd. */
extern MinimalTuple change_image_tuple(const ChangeImage *image);

/*
 * Insert a row into a change table, which the caller has locked.  images: NULL
 * unless kind is CHANGE_ROWS.  Allocates in the current memory context.
 * Returns the block that the row was written to.
 */
extern BlockNumber change_insert(Relation table, const ChangeRow *row, ChangeImages *images);

/*
 * Returns true if the first row that the snapshot sees is the sentinel.  False
 * if the table does not exist.
 */
extern bool change_table_is_whole(Oid table, Snapshot snapshot);

/*
 * Returns true if the snapshot sees a row of this kind that was written by
 * this transaction or one with a later id.
 */
extern bool change_table_has(Oid table, Snapshot snapshot, char kind, FullTransactionId since);

/* Returns the number of images that the snapshot sees. */
extern int64 change_table_count(Oid table, Snapshot snapshot);

/*
 * Get the transaction that wrote a row of a change table, and the sequence
 * number within it.  Returns false for the sentinel.
 */
extern bool change_row_position(TupleTableSlot *slot, FullTransactionId *xid, int64 *sequence);

/* Returns the number of images in a row of a change table. */
extern int64 change_row_images(TupleTableSlot *slot);

/* Read a row of a change table from a slot.  The images may point into the slot. */
extern void change_row_read(TupleTableSlot *slot, ChangeRow *row);

#endif /* DEPIPE_CAPTURE_CHANGE_TABLE_H */
