/*-------------------------------------------------------------------------
 *
 * compare.h
 *		Kinds of checks of a table against other tables and queries.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_COMPARE_H
#define DEPIPE_QUALITY_COMPARE_H

#include "quality/check.h"

/*
 * Callbacks of the kinds same_count, same_metric, same_rows and no_rows (see CheckKind in
 * check.h).  compile_*() raises 42P01 for a missing reference and 42501 if the owner may
 * not read it; evaluate_*() raises 42P01 if it is gone, and the errors of the queries.
 */

/* Raises 22023 for a tolerance that is neither a number nor a percentage. */
extern void validate_tolerance(CheckRule *rule);

extern void compile_same_count(const CheckRule *rule, Relation rel, CompiledCheck *check);
extern void evaluate_same_count(const struct DataConstraint *constraint, const CheckScope *scope,
								Measure *measure);

/* Raises 42803 if the expression contains no aggregate, 42804 if the two cannot be compared. */
extern void compile_same_metric(const CheckRule *rule, Relation rel, CompiledCheck *check);
extern void evaluate_same_metric(const struct DataConstraint *constraint, const CheckScope *scope,
								 Measure *measure);

/* Raises 22023 unless there is a reference or a query. */
extern void validate_same_rows(CheckRule *rule);

/* Raises 42703 for a column that one side lacks, 42804 if they cannot be compared. */
extern void compile_same_rows(const CheckRule *rule, Relation rel, CompiledCheck *check);
extern void evaluate_same_rows(const struct DataConstraint *constraint, const CheckScope *scope,
							   Measure *measure);

extern void compile_no_rows(const CheckRule *rule, Relation rel, CompiledCheck *check);
extern void evaluate_no_rows(const struct DataConstraint *constraint, const CheckScope *scope,
							 Measure *measure);

/* Its rows, as a query for depipe.violations. */
extern char *rows_no_rows(const struct DataConstraint *constraint);

#endif /* DEPIPE_QUALITY_COMPARE_H */
