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

/* What of a target is not as it mostly is. */
#define MARK_BREAKER 1u     /* not closed, or it counts bad runs */
#define MARK_PARKED 2u      /* deltas wait */
#define MARK_QUARANTINED 4u /* rows are in quarantine */
#define MARK_RETRIES 8u     /* of which some are to be tried again */
#define MARK_CONSTRAINED 16u
#define MARK_REFERENCED 32u /* constraints of other targets look at it */

/* Of each target (a list of Target), in one statement; NULL for none. */
extern uint32 *targets_marks(List *targets);

/* The layout (column names and types) of text images of such rows. */
extern int64 catalog_layout_id(int32 target_id, TupleDesc row);

/* Columns of a relation that catalog_park reads, in this order. */
extern TupleDesc catalog_park_desc(void);
extern void catalog_park(int32 target_id, int64 layout_id, int64 offset, TupleDesc desc,
						 Tuplestorestate *rows, uint64 nrows);
extern void catalog_park_clear_item(int32 target_id, int64 item);
extern int64 catalog_parked_count(int32 target_id);
extern int64 catalog_parked_last_item(int32 target_id);

/* Columns of what is parked. */
#define PARKED_ITEM 1
#define PARKED_KIND 2
#define PARKED_LSN 3
#define PARKED_TIME 4
#define PARKED_COLUMNS 5 /* names: of both images */
#define PARKED_WEIGHT 6
#define PARKED_IMAGE 7
#define PARKED_UNKNOWN 8
#define PARKED_OLD_IMAGE 9 /* of the old half of a key change */
#define PARKED_BASE_KEY 10
#define PARKED_BATCH 11
#define PARKED_BEFORE 12

/* The first items behind this one, in order. */
extern CatalogRows *catalog_parked(int32 target_id, int64 behind, int most);

/* Of those, the ones of this batch (the next one is of it) that lack some of so many columns. */
extern CatalogRows *catalog_parked_partial(int32 target_id, int64 batch, int64 behind, int natts,
										   int most);

/* The items that are old halves of key changes, sorted. */
extern int64 *catalog_parked_old_halves(int32 target_id, int *count);
extern void catalog_parked_delete(int32 target_id);

/* Columns of a relation that catalog_quarantine reads, in this order. */
extern TupleDesc catalog_quarantine_desc(void);
extern void catalog_quarantine(int32 target_id, int64 layout_id, int64 run_id, TupleDesc desc,
							   Tuplestorestate *rows, uint64 nrows);
extern int64 catalog_quarantine_count(int32 target_id);

/* columns, image of the key's row */
extern CatalogRows *catalog_quarantined_image(int32 target_id, ArrayType *key);

/*
 * Sequences, sorted, of those of the keys (a relation with the columns "key"
 * text[], "present" boolean, "sequence" bigint) that are in quarantine, or the
 * previous key of a row there.
 */
extern CatalogRows *catalog_quarantine_meets(int32 target_id, TupleDesc desc, Tuplestorestate *rows,
											 uint64 nrows);

/*
 * Delete the quarantined rows of these keys; returns the previous keys of those
 * rows.  Present keys are no longer anyone's previous key.
 */
extern CatalogRows *catalog_quarantine_supersede(int32 target_id, TupleDesc desc,
												 Tuplestorestate *rows, uint64 nrows);
extern TupleDesc catalog_keys_desc(void);

/*
 * Delete quarantined rows without a key that have these images (a relation
 * with the columns "number" int8, "image" text[], "copies" int8), at most so
 * many copies of each; returns number and count of what was deleted, by number.
 */
extern CatalogRows *catalog_quarantine_cancel(int32 target_id, ArrayType *columns, TupleDesc desc,
											  Tuplestorestate *rows, uint64 nrows);
extern TupleDesc catalog_copies_desc(void);

/* columns, image, previous_key, lsn, commit_time of rows marked for another try; deleted */
extern CatalogRows *catalog_quarantine_take_retries(int32 target_id);
extern bool catalog_quarantine_has_retries(int32 target_id);
extern void catalog_quarantine_delete(int32 target_id);

#endif /* DEPIPE_CATALOG_KEPT_ROWS_H */
