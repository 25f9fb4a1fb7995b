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
#include "strategy/range.h"

/*
 * Refresh transforms in DAG order, as one slice: lock all targets, take one
 * snapshot, then compute and publish the delta of each node.  A node that
 * fails or is blocked blocks its readers, but no other node.  Does not commit.
 *
 * targets: a list of Target.  runs: a list of Run with one begun run for each
 * target, in the same order.  The runs are filled in and finished here; their
 * texts are allocated in the memory context that is current at the call.
 */
extern void transform_refresh(List *targets, List *runs);

/*
 * Publish the difference between the query and the target within one range,
 * for a backfill.  Does not commit.
 *
 * The range is computed under a new snapshot, and the other rows of the target
 * are as of its frontier.  Therefore the pending changes of the inputs are
 * published first, under the same snapshot, if that is possible without
 * evaluating the whole query.  Otherwise, if anything was written, the next
 * refresh compares the table with the query.  The state of the transform does
 * not change.
 *
 * run: begun, and filled in and finished here, as in transform_refresh().
 */
extern void transform_refresh_range(Target *target, Run *run, const Range *range);

/*
 * Returns true if no input of the transform has changed since the transform
 * was last published, at any depth that depipe maintains.  Then no run is
 * needed, and the time through which the target is complete has been advanced.
 */
extern bool transform_rest(Target *target);

#endif /* DEPIPE_TRANSFORM_REFRESH_H */
