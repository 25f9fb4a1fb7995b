/*-------------------------------------------------------------------------
 *
 * park.h
 *		Deltas that wait because their table is not published now.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_PUBLISH_PARK_H
#define DEPIPE_PUBLISH_PARK_H

#include "catalog/target.h"
#include "delta/delta.h"

/* Store the delta behind what is parked already; NULL, or why that cannot be:
 * then everything parked of this target is deleted, and it needs a resync. */
extern const char *park_append(Target *target, Delta *delta);

/*
 * Replay what is parked into a delta and delete it.  The order in which a
 * caller fills a delta that has things pending is: quarantine_take_retries,
 * park_take, then its new changes (delta_fold_onto).
 */
extern void park_take(Target *target, Delta *into);

/* Forget what is parked (a resync covers it). */
extern void park_discard(int32 target_id);

/* Fold every row of a finished delta (also its partial rows) onto another. */
extern void delta_fold_onto(Delta *from, Delta *into);

#endif /* DEPIPE_PUBLISH_PARK_H */
