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

extern void validate_freshness(CheckRule *rule);
extern void compile_freshness(const CheckRule *rule, Relation rel, CompiledCheck *check);
extern void evaluate_freshness(const struct DataConstraint *constraint, const CheckScope *scope,
							   Measure *measure);

#endif /* DEPIPE_QUALITY_FRESHNESS_H */
