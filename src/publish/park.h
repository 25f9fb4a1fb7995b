/*-------------------------------------------------------------------------
 *
 * park.h
 *		Parked deltas: they wait because their table is not published now.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_PUBLISH_PARK_H
#define DEPIPE_PUBLISH_PARK_H

#include "catalog/target.h"
#include "delta/delta.h"

/*
 * Store the delta after the parked items.  Returns NULL, or the reason why that
 * is impossible: then all parked items of this target are deleted, and it needs
 * a resync.
 */
extern const char *park_append(Target *target, Delta *delta);

/*
 * Replay the parked items into a delta and delete them.  A caller fills a delta
 * that has pending rows in this order: quarantine_take_retries, park_take, then
 * its new changes (delta_fold_onto).
 */
extern void park_take(Target *target, Delta *into);

/*
 * A bite of the park: the batches up to a position of the source.
 * park_bite_end() returns the position at which about so many bytes of images
 * are reached; InvalidXLogRecPtr: all that is parked is one bite.
 * park_take_bite() replays the batches up to this position, which stay in the
 * park, and returns the last item, PARK_NO_ITEM if there is none;
 * park_forget() deletes the items up to this one.
 */
#define PARK_NO_ITEM PG_INT64_MIN
extern XLogRecPtr park_bite_end(Target *target, int64 bytes);
extern int64 park_take_bite(Target *target, Delta *into, XLogRecPtr end);
extern void park_forget(Target *target, int64 last_item);

/* Delete the parked items (a resync covers them). */
extern void park_discard(int32 target_id);

/* Fold every row of a finished delta (also its partial rows) onto another. */
extern void delta_fold_onto(Delta *from, Delta *into);

#endif /* DEPIPE_PUBLISH_PARK_H */
