/*-------------------------------------------------------------------------
 *
 * protect.h
 *		Protected tables: their constraints act when others write them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_PROTECT_H
#define DEPIPE_QUALITY_PROTECT_H

#include "quality/constraint.h"

/* Does the constraint act at write time, or is it for the whole table? */
extern bool protect_acts(const DataConstraint *constraint);

/*
 * Make the triggers of a protected target that are missing, on the table, its
 * partitions and its children.  Raises the errors of CREATE TRIGGER.
 */
extern void protect_sync(Target *target);

#endif /* DEPIPE_QUALITY_PROTECT_H */
