/*-------------------------------------------------------------------------
 *
 * periods.h
 *		Kinds of checks about time: data in every period, and by a time of day.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_PERIODS_H
#define DEPIPE_QUALITY_PERIODS_H

#include "quality/check.h"

/*
 * Callbacks of the kinds every_period and arrived_by (see CheckKind in check.h).
 * compile_*() raises 42804 for a column that is no date or timestamp.
 */

/* Raises 22023 for a step that is not positive. */
extern void validate_every_period(CheckRule *rule);

/* Raises the errors of the input function for "since". */
extern void compile_every_period(const CheckRule *rule, Relation rel, CompiledCheck *check);

/* Raises 54000 for too many periods. */
extern void evaluate_every_period(const struct DataConstraint *constraint, const CheckScope *scope,
								  Measure *measure);

/* Raises the errors of the input function of time. */
extern void validate_arrived_by(CheckRule *rule);
extern void compile_arrived_by(const CheckRule *rule, Relation rel, CompiledCheck *check);
extern void evaluate_arrived_by(const struct DataConstraint *constraint, const CheckScope *scope,
								Measure *measure);

#endif /* DEPIPE_QUALITY_PERIODS_H */
