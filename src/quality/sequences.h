/*-------------------------------------------------------------------------
 *
 * sequences.h
 *		Kinds of checks of rows in an order: no gaps, no overlaps.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_SEQUENCES_H
#define DEPIPE_QUALITY_SEQUENCES_H

#include "quality/check.h"

/*
 * Callbacks of the kinds no_gaps and no_overlap (see CheckKind in check.h).  Both are
 * about the whole table; evaluate_*() raises the errors of the query.
 */

/* Raises 42804 for a type that has no steps, 22023 for a step that is not positive. */
extern void compile_no_gaps(const CheckRule *rule, Relation rel, CompiledCheck *check);
extern void evaluate_no_gaps(const struct DataConstraint *constraint, const CheckScope *scope,
							 Measure *measure);

/* The rows after a gap. */
extern char *failing_no_gaps(const struct DataConstraint *constraint, Target *target);

/* Raises 42804 unless both columns have one type, 42883 if it has no order and no maximum. */
extern void compile_no_overlap(const CheckRule *rule, Relation rel, CompiledCheck *check);
extern void evaluate_no_overlap(const struct DataConstraint *constraint, const CheckScope *scope,
								Measure *measure);

/* The rows that overlap an earlier one, or end before they begin. */
extern char *failing_no_overlap(const struct DataConstraint *constraint, Target *target);

#endif /* DEPIPE_QUALITY_SEQUENCES_H */
