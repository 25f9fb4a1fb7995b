/*-------------------------------------------------------------------------
 *
 * declare.h
 *		Declaring constraints.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_DECLARE_H
#define DEPIPE_QUALITY_DECLARE_H

#include "quality/constraint.h"
#include "fmgr.h"

typedef enum ApplyAction
{
	APPLY_ADDED,
	APPLY_CHANGED,
	APPLY_UNCHANGED,
	APPLY_REPEATED /* the contract has an equal constraint without a name already */
} ApplyAction;

typedef struct Applied
{
	char *target;      /* quoted schema.table */
	char *name;        /* of the constraint */
	char *reason;      /* the difference, or whose the constraint is; or NULL */
	int32 declared_id; /* of the constraint that is changed, also when that fails; or 0 */
} Applied;

/*
 * Declare a constraint of a contract.  fcinfo: the arguments of add_constraint.
 * taken: the ids of the constraints that the contract has declared so far; this
 * one is added.  Constraints of other origins are never changed: an equal one
 * stays as it is.  Raises 42710 for one that differs and for a name that the
 * contract gives twice, and the errors of add_constraint.
 */
extern ApplyAction constraint_apply(FunctionCallInfo fcinfo, const char *origin, List **taken,
									Applied *applied);

#endif /* DEPIPE_QUALITY_DECLARE_H */
