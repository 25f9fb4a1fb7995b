/*-------------------------------------------------------------------------
 *
 * quarantine.h
 *		Rows that a constraint kept out of their target.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_PUBLISH_QUARANTINE_H
#define DEPIPE_PUBLISH_QUARANTINE_H

#include "catalog/target.h"
#include "delta/delta.h"
#include "quality/gate.h"

/* Set rows aside: each with the constraints that it failed. */
extern void quarantine_store(Target *target, Delta *rows, const FailedRow *failed, int nfailed,
							 int64 run_id);

/*
 * Of keys in quarantine the target has an earlier row, or none: what the delta
 * says of the rows that such keys had is not verified.  Before they are superseded.
 */
extern void quarantine_forget_claims(Target *target, Delta *delta);

/*
 * The delta's rows are newer than quarantined rows of the same key: forget
 * those.  The first call for a delta adds deletions of rows that they had left
 * in the target.
 */
extern void quarantine_supersede(Target *target, Delta *delta, bool first);

/*
 * Rows that the delta of a bag (netted) deletes may be in quarantine instead
 * of the target: delete them there, and add as many new images to the delta,
 * which is then to be netted again.  Returns false when there are none.
 */
extern bool quarantine_cancel(Target *target, Delta *delta);

/* Whole image of the key's quarantined row, if any; into values/nulls of delta->columns. */
extern bool quarantine_base(Target *target, Delta *delta, const Datum *key_values,
							const bool *key_nulls, Datum *values, bool *nulls);

/* Put the rows marked for another try into the (still empty) delta. */
extern int64 quarantine_take_retries(Target *target, Delta *into);
extern int64 quarantine_count(int32 target_id);
extern void quarantine_clear(int32 target_id);

#endif /* DEPIPE_PUBLISH_QUARANTINE_H */
