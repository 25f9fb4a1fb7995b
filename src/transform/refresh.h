/*-------------------------------------------------------------------------
 *
 * refresh.h
 *		Bringing transforms up to date: one slice of the graph.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_TRANSFORM_REFRESH_H
#define DEPIPE_TRANSFORM_REFRESH_H

#include "transform/transform.h"

/*
 * Refresh transforms, in DAG order, as one slice: lock all targets, take one
 * snapshot, then node by node delta, publish.  A failed or blocked node blocks
 * what reads it, and only that.  runs: begun, one per target, same order; they
 * are filled and finished here.  Does not commit.
 */
extern void transform_refresh(List *targets, List *runs);

/*
 * True when no input of the transform, at any depth that depipe maintains, has
 * changed since it was last published: there is nothing to run, and the time
 * through which the target is complete has been moved on.
 */
extern bool transform_rest(Target *target);

#endif /* DEPIPE_TRANSFORM_REFRESH_H */
