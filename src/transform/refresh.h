/*-------------------------------------------------------------------------
 *
 * refresh.h
 *		Bringing transforms up to date: one slice of the graph.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_TRANSFORM_REFRESH_H
#define DEPIPE_TRANSFORM_REFRESH_H

#include "query/transform.h"

/*
 * Refresh transforms, in DAG order, as one slice: lock all targets, take one
 * snapshot, then make and publish the delta of each node.  A failed or blocked
 * node blocks its readers, and only those.  runs: one begun run for each
 * target, in the same order; they are filled in and finished here.  Does not
 * commit.
 */
extern void transform_refresh(List *targets, List *runs);

/*
 * True if no input of the transform, at any depth that depipe maintains, has
 * changed since it was last published.  Then no run is needed, and the time
 * through which the target is complete has been advanced.
 */
extern bool transform_rest(Target *target);

#endif /* DEPIPE_TRANSFORM_REFRESH_H */
