/*-------------------------------------------------------------------------
 *
 * compile.h
 *		Compilation of constraints for evaluation.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_COMPILE_H
#define DEPIPE_QUALITY_COMPILE_H

#include "quality/constraint.h"

/*
 * The compiled constraints of a target whose table exists.  Constraints
 * declared before their table existed, or for columns of other types, are
 * compiled now (as the owner, under the definer's search_path) and the result
 * is stored.  A constraint that cannot be compiled has compile_sqlstate set.
 */
extern List *constraints_load(Target *target);

/* One row as a constraint; compiles like constraints_load. */
extern DataConstraint *constraint_from(Target *target, ConstraintRow *row);

/*
 * Fill in the analysed forms of rule and filter for the table of the target.
 * Runs as the owner of the target under row->search_path and row->settings.
 * Raises the errors of the compilation.
 */
extern void constraint_compile(Target *target, ConstraintRow *row, const CheckRule *rule);

#endif /* DEPIPE_QUALITY_COMPILE_H */
