/*-------------------------------------------------------------------------
 *
 * freshness.h
 *		The kind of check about time.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_FRESHNESS_H
#define DEPIPE_QUALITY_FRESHNESS_H

#include "quality/check.h"

/*
 * Callbacks of the kind freshness (see CheckKind in check.h).  The first one
 * raises 22023 if max_age is negative, and 22007 or 22008 if it is not an
 * interval.
 */
extern void validate_freshness(CheckRule *rule);

/*
 * Fill in the column of *check, in the current memory context; there is no
 * expression.  Raises 42703 for a missing column, 42804 for a type that is not
 * a date or timestamp.
 */
extern void compile_freshness(const CheckRule *rule, Relation rel, CompiledCheck *check);

/*
 * Read the newest finite value of the whole table and compare its age by the
 * clock with max_age.  Runs in an SPI connection as the owner of the target.
 * Sets violations to 0 or 1, no_data if there is no such value, and metric (in
 * the current memory context) to the value as text.  Raises the errors of the
 * query.
 */
extern void evaluate_freshness(const struct DataConstraint *constraint, const CheckScope *scope,
							   Measure *measure);

#endif /* DEPIPE_QUALITY_FRESHNESS_H */
