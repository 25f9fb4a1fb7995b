/*-------------------------------------------------------------------------
 *
 * value_sets.h
 *		The kind of check about the set of the values of a column.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_VALUE_SETS_H
#define DEPIPE_QUALITY_VALUE_SETS_H

#include "quality/check.h"

/*
 * Callbacks of the kind distinct_values (see CheckKind in check.h).  Raises 22023 unless
 * there are accepted values or contained ones, or the values themselves.
 */
extern void validate_distinct_values(CheckRule *rule);

/* Raises 42883 if the type has no equality, and the errors of its input function. */
extern void compile_distinct_values(const CheckRule *rule, Relation rel, CompiledCheck *check);

extern void evaluate_distinct_values(const struct DataConstraint *constraint,
									 const CheckScope *scope, Measure *measure);

/* The rows with a value that the column must not have. */
extern char *failing_distinct_values(const struct DataConstraint *constraint, Target *target);

#endif /* DEPIPE_QUALITY_VALUE_SETS_H */
