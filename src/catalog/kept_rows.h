/*-------------------------------------------------------------------------
 *
 * kept_rows.h
 *		Parked and quarantined rows in depipe's own tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CATALOG_KEPT_ROWS_H
#define DEPIPE_CATALOG_KEPT_ROWS_H

#include "catalog/statement.h"
#include "utils/tuplestore.h"

/*
 * The id of the layout (column names and types) of text images of such rows.
 * Creates the layout if necessary.
 */
extern int64 catalog_layout_id(int32 target_id, TupleDesc row);

/* Columns of the relation that catalog_park reads, in this order. */
extern TupleDesc catalog_park_desc(void);
extern void catalog_park(int32 target_id, int64 layout_id, int64 offset, XLogRecPtr batch_end,
						 TupleDesc desc, Tuplestorestate *rows, uint64 nrows);

/* Park a TRUNCATE as this item. */
extern void catalog_park_clear_item(int32 target_id, int64 item, XLogRecPtr batch_end,
									TimestampTz time);

/* Number of parked items of the target, and the number of the last one. */
extern int64 catalog_parked_count(int32 target_id);
extern int64 catalog_parked_last_item(int32 target_id);

/* Columns of parked items. */
#define PARKED_ITEM 1
#define PARKED_KIND 2
#define PARKED_LSN 3
#define PARKED_TIME 4
#define PARKED_COLUMNS 5 /* column names of both images */
#define PARKED_WEIGHT 6
#define PARKED_IMAGE 7
#define PARKED_UNKNOWN 8
#define PARKED_OLD_IMAGE 9 /* old half of a key change */
#define PARKED_BASE_KEY 10
#define PARKED_BATCH 11
#define PARKED_BEFORE 12

/* The first "most" items after item "behind", up to item "last", in order. */
extern CatalogRows *catalog_parked(int32 target_id, int64 behind, int64 last, int most);

/*
 * The end of the first batch with which the images reach so many bytes;
 * InvalidXLogRecPtr if nothing comes after it.  The last item of the batches
 * that end at this position or earlier; PG_INT64_MIN if there is none.  The end
 * of the last batch; InvalidXLogRecPtr if its rest is still to come.
 */
extern XLogRecPtr catalog_parked_bite_end(int32 target_id, int64 bytes);
extern int64 catalog_parked_bite_last(int32 target_id, XLogRecPtr end);
extern XLogRecPtr catalog_parked_end(int32 target_id);

/*
 * The first "most" items after item "behind" that belong to this batch and
 * lack some of natts columns.  The next item must belong to the batch.
 */
extern CatalogRows *catalog_parked_partial(int32 target_id, int64 batch, int64 behind, int natts,
										   int most);

/* The items that are old halves of key changes, sorted and palloc'd. */
extern int64 *catalog_parked_old_halves(int32 target_id, int64 last, int *count);

/* Delete all parked items of the target. */
extern void catalog_parked_delete(int32 target_id);
extern void catalog_parked_delete_until(int32 target_id, int64 last);

/* Columns of the relation that catalog_quarantine reads, in this order. */
extern TupleDesc catalog_quarantine_desc(void);
extern void catalog_quarantine(int32 target_id, int64 layout_id, int64 run_id, TupleDesc desc,
							   Tuplestorestate *rows, uint64 nrows);

/* Number of quarantined rows of the target. */
extern int64 catalog_quarantine_count(int32 target_id);

/*
 * The keys and previous keys of quarantined rows that have one of these hashes.
 * The relation has the column "hash" int8.
 */
extern CatalogRows *catalog_quarantine_named(int32 target_id, TupleDesc desc,
											 Tuplestorestate *hashes, uint64 nhashes);

/* The column of that relation of hashes. */
extern TupleDesc catalog_hashes_desc(void);

/* columns, image of the row with this key */
extern CatalogRows *catalog_quarantined_image(int32 target_id, ArrayType *key);

/*
 * Returns all quarantined rows of a target as rows (whether the image has
 * exactly these columns and types, image).
 */
extern CatalogRows *catalog_quarantined_images(int32 target_id, TupleDesc row);

/*
 * Of the keys in a relation with the columns "key" text[], "present" boolean
 * and "sequence" bigint: the sorted sequences of those that are the key or the
 * previous key of a quarantined row.
 */
extern CatalogRows *catalog_quarantine_meets(int32 target_id, TupleDesc desc, Tuplestorestate *rows,
											 uint64 nrows);

/*
 * Delete the quarantined rows with these keys.  Returns the previous keys of
 * the deleted rows.  Keys that are present will no longer be the previous key
 * of any row.
 */
extern CatalogRows *catalog_quarantine_supersede(int32 target_id, TupleDesc desc,
												 Tuplestorestate *rows, uint64 nrows);

/* The columns of that relation of keys. */
extern TupleDesc catalog_keys_desc(void);

/*
 * Delete quarantined rows without a key that have these images, at most the
 * given number of copies of each.  The relation has the columns "number" int8,
 * "image" text[] and "copies" int8.  Returns number and count of the deleted
 * rows, ordered by number.
 */
extern CatalogRows *catalog_quarantine_cancel(int32 target_id, ArrayType *columns, TupleDesc desc,
											  Tuplestorestate *rows, uint64 nrows);

/* The columns of that relation of images. */
extern TupleDesc catalog_copies_desc(void);

/*
 * Delete the rows marked for a retry.  Returns their columns, image,
 * previous_key, lsn, commit_time.
 */
extern CatalogRows *catalog_quarantine_take_retries(int32 target_id);

/* Does the target have rows marked for a retry? */
extern bool catalog_quarantine_has_retries(int32 target_id);

/* Delete all quarantined rows of the target. */
extern void catalog_quarantine_delete(int32 target_id);

#endif /* DEPIPE_CATALOG_KEPT_ROWS_H */
