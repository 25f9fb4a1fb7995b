/*-------------------------------------------------------------------------
 *
 * keys.h
 *		Kinds of checks about rows against rows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_KEYS_H
#define DEPIPE_QUALITY_KEYS_H

#include "quality/check.h"

extern void compile_unique(const CheckRule *rule, Relation rel, CompiledCheck *check);
extern void evaluate_unique(const struct DataConstraint *constraint, const CheckScope *scope,
							Measure *measure);
extern char *failing_unique(const struct DataConstraint *constraint, Target *target);
extern void validate_relationships(CheckRule *rule);
extern void compile_relationships(const CheckRule *rule, Relation rel, CompiledCheck *check);
extern char *failing_relationships(const struct DataConstraint *constraint, Target *target);

/* May few rows be looked up in the reference one by one? */
extern bool relationships_by_index(const struct DataConstraint *constraint);

#endif /* DEPIPE_QUALITY_KEYS_H */
