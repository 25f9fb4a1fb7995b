/*-------------------------------------------------------------------------
 *
 * accepted.h
 *		Rows that no longer count as violations of a constraint.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_ACCEPTED_H
#define DEPIPE_QUALITY_ACCEPTED_H

#include "quality/constraint.h"

/* The number of rows of a constraint that can be accepted. */
#define MAX_ACCEPTED_ROWS 1000

/*
 * An SQL expression for the hash (bytea) of a row with the alias CHECK_ROW by which
 * it is accepted; in the current memory context.
 */
extern char *accepted_hash_sql(const Target *target, const DataConstraint *constraint);

/*
 * Restrict the constraint to rows that are not accepted.  Its row becomes a copy,
 * because what is stored must not change.  Nothing to do if none are accepted.
 */
extern void accepted_leave_out(const Target *target, DataConstraint *constraint);

#endif /* DEPIPE_QUALITY_ACCEPTED_H */
