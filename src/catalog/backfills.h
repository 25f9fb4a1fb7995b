/*-------------------------------------------------------------------------
 *
 * backfills.h
 *		Statements on the progress of backfills.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CATALOG_BACKFILLS_H
#define DEPIPE_CATALOG_BACKFILLS_H

#include "catalog/runs.h"

/* What was asked for.  Texts that do not depend on how the arguments were written. */
typedef struct BackfillRequest
{
	int32 target_id;
	const char *column_name;
	const char *since;
	const char *before;
	const char *step;
	const char *time_zone;  /* NULL: it has no effect on the slices */
	const char *definition; /* identifies the definition of the transform */
	int32 slices;
} BackfillRequest;

/*
 * Lock the backfill of the target for this session, beyond the transaction.
 * Returns false if another session holds the lock.  An error releases it.  The
 * view backfills reads the lock.
 */
extern bool backfill_claim(int32 target_id);
extern void backfill_disclaim(int32 target_id);

/*
 * Begin the backfill, or continue an unfinished one of the same request.
 * Returns the number of slices that are done.
 */
extern int32 backfill_begin(const BackfillRequest *request, bool restart);

/* Store the slice that begins, with its run. */
extern void backfill_set_slice(int32 target_id, int64 run_id, const char *since,
							   const char *before);

/* Add a finished slice to the progress. */
extern void backfill_add(int32 target_id, int32 done, const Run *run);

/* End the backfill: it is "done", or "stopped" with a reason. */
extern void backfill_end(int32 target_id, const char *state, const char *reason);

#endif /* DEPIPE_CATALOG_BACKFILLS_H */
