/*-------------------------------------------------------------------------
 *
 * changed.h
 *		Has anything changed that a constraint reads?
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_CHANGED_H
#define DEPIPE_QUALITY_CHANGED_H

#include "quality/constraint.h"

/*
 * A text that differs from an earlier one if anything may have changed since
 * that the constraint reads: rows and definitions of the target, of everything
 * below it, and of the reference.  NULL: that cannot be watched.  To be called
 * before the snapshot of the evaluation is used; the result is allocated in the
 * current memory context.  Raises no errors of the user's expressions.
 */
extern char *changed_fingerprint(Target *target, const DataConstraint *constraint);

#endif /* DEPIPE_QUALITY_CHANGED_H */
