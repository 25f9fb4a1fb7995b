/*-------------------------------------------------------------------------
 *
 * quarantine.h
 *		The quarantine: rows that a constraint kept out of their target.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_PUBLISH_QUARANTINE_H
#define DEPIPE_PUBLISH_QUARANTINE_H

#include "catalog/target.h"
#include "delta/delta.h"
#include "quality/gate.h"

/* Set rows aside, each with the constraints that it failed. */
extern void quarantine_store(Target *target, Delta *rows, const FailedRow *failed, int nfailed,
							 int64 run_id);

/*
 * For keys in quarantine the target has an earlier row, or none: the statements
 * of the delta about the rows of such keys are not verified.  Call this before
 * these rows are superseded.
 */
extern void quarantine_forget_claims(Target *target, Delta *delta);

/*
 * The rows of the delta are newer than quarantined rows of the same key: delete
 * these.  The first call for a delta adds deletions of rows that they left in
 * the target.
 */
extern void quarantine_supersede(Target *target, Delta *delta, bool first);

/*
 * Rows that the (netted) delta of a bag deletes may be in quarantine instead of
 * the target: delete them there, and add as many new images to the delta, which
 * must then be netted again.  Returns false if there are none.
 */
extern bool quarantine_cancel(Target *target, Delta *delta);

/*
 * Read the whole image of the quarantined row of the key, if any, into
 * values/nulls of delta->columns.
 */
extern bool quarantine_base(Target *target, Delta *delta, const Datum *key_values,
							const bool *key_nulls, Datum *values, bool *nulls);

/* Put the rows marked for another try into the (still empty) delta. */
extern int64 quarantine_take_retries(Target *target, Delta *into);
extern int64 quarantine_count(int32 target_id);
extern void quarantine_clear(int32 target_id);

#endif /* DEPIPE_PUBLISH_QUARANTINE_H */
