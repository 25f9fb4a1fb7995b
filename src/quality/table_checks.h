/*-------------------------------------------------------------------------
 *
 * table_checks.h
 *		Evaluation of all constraints of a target on its whole table, now.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_TABLE_CHECKS_H
#define DEPIPE_QUALITY_TABLE_CHECKS_H

#include "quality/measure.h"

/* Evaluate; returns a list of Measured in the caller's memory context. */
extern List *table_checks_measure(Target *target);

/* Record the verdicts of a whole table without load or transform, and act on its breaker. */
extern void table_checks_record(Target *target, List *verdicts);

/* Do both for such a table whose breaker is not closed, when an evaluation is due. */
extern void table_checks_probe(Target *target);

#endif /* DEPIPE_QUALITY_TABLE_CHECKS_H */
