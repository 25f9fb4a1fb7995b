/*-------------------------------------------------------------------------
 *
 * publish.h
 *		The one path: every change of every target goes through publish().
 *
 * In one transaction, for all tables of a batch:
 *
 *		lock the targets (SHARE ROW EXCLUSIVE; before the snapshot is taken)
 *		complete partial rows from the quarantine or the target
 *		internal subtransaction
 *			gate rows		violating rows are set aside (quarantine)
 *			apply			all tables
 *			gate tables		uniqueness, relationships, aggregates
 *		when new violating rows are to be set aside: roll back, split them off,
 *		and apply and gate all tables again, until no new ones appear
 *		decide: a table that fails is left out (its delta is parked or
 *		dropped, as its owner says) and the others are applied again
 *		write verdicts, breaker, incidents, quarantine, park
 *
 * The caller makes the deltas, and afterwards, in the same transaction,
 * writes its progress and finishes the runs.  A load by CDC, a load by cursor,
 * a full refresh and an incremental refresh differ only in how the delta is
 * made.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_PUBLISH_PUBLISH_H
#define DEPIPE_PUBLISH_PUBLISH_H

#include "publish/item.h"
#include "utils/snapshot.h"

/*
 * Lock a target before the snapshot that a delta is computed under, within
 * lock_timeout.  Returns false when its table is gone.
 */
extern bool publish_lock_target(Target *target);

/*
 * The same for the first of these targets (a list of Target) whose tables nobody
 * has locked: they are locked in this order, up to the one that would have to
 * be waited for, so that nothing is held while another is waited for that
 * publish() would not hold then.  Returns how many.  What is read of their
 * targets afterwards is as new as what publish() would read.
 */
extern int publish_lock_free(List *targets);

/* Give back such a lock of a table that is not published to. */
extern void publish_unlock(const Target *target);

/* The order in which everybody locks several: no deadlock between two publishers. */
extern List *publish_in_order(List *targets);

/*
 * Publish all items.  snapshot: what the statements of apply and gate see
 * (with the current command id), or NULL for a fresh one per statement.
 * Returns true when quarantined rows of some target became worth another try
 * (see quarantine_take_retries).
 */
extern bool publish(List *items, Snapshot snapshot);

#endif /* DEPIPE_PUBLISH_PUBLISH_H */
