/*-------------------------------------------------------------------------
 *
 * change_checks.h
 *		Kinds of checks about the changes of one batch.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_CHANGE_CHECKS_H
#define DEPIPE_QUALITY_CHANGE_CHECKS_H

#include "quality/check.h"

/*
 * Callbacks of the kinds transition and change_limit (see CheckKind in check.h).
 * evaluate_*() needs scope->changes and runs in the SPI connection that has them; without
 * changes the measure says so.  Raises 55000 if the changes are not known, and the errors
 * of the expression.
 */

/* The expression over the old and the new image of a row. */
extern void compile_transition(const CheckRule *rule, Relation rel, CompiledCheck *check);
extern void evaluate_transition(const struct DataConstraint *constraint, const CheckScope *scope,
								Measure *measure);

/* Raises 22023 unless there is a limit, and each is a number or a percentage. */
extern void validate_change_limit(CheckRule *rule);
extern void compile_change_limit(const CheckRule *rule, Relation rel, CompiledCheck *check);
extern void evaluate_change_limit(const struct DataConstraint *constraint, const CheckScope *scope,
								  Measure *measure);

#endif /* DEPIPE_QUALITY_CHANGE_CHECKS_H */
