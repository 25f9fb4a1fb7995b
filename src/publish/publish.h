/*-------------------------------------------------------------------------
 *
 * publish.h
 *		The one path: every change of every target goes through publish().
 *
 * In one transaction, for all tables of a batch:
 *
 *		lock the targets (SHARE ROW EXCLUSIVE; before the snapshot is taken)
 *		prepare each table
 *			net a bag; complete partial rows from the quarantine or the target
 *			gate rows		violating rows are set aside (quarantine)
 *		a pass: internal subtransaction
 *			apply			all tables
 *			gate tables		uniqueness, relationships, aggregates
 *			record			of published tables: companions, verdicts, breaker,
 *							incidents, quarantine
 *		if new violating rows must be set aside, or a table fails: roll back the
 *		pass, and repeat it without them, until there are none
 *		record tables that are not published: verdicts, breaker, incidents; their
 *		deltas are parked or dropped, as the caller says
 *
 * The caller makes the deltas.  Afterwards, in the same transaction, it writes
 * its progress and finishes the runs.  A load by CDC, a load by cursor, a full
 * refresh and an incremental refresh differ only in how the delta is made.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_PUBLISH_PUBLISH_H
#define DEPIPE_PUBLISH_PUBLISH_H

#include "publish/item.h"
#include "utils/snapshot.h"

/*
 * Lock a target, within lock_timeout, before the snapshot under which a delta
 * is computed.  Returns false if its table no longer exists.
 */
extern bool publish_lock_target(Target *target);

/*
 * The same for the first of these targets (a list of Target) whose tables are
 * not locked by others.  They are locked in this order, up to the first one
 * that would require a wait.  Hence no lock is held during a wait that
 * publish() would not hold.  Returns their number.  Data of their targets read
 * afterwards is as new as that read by publish().
 */
extern int publish_lock_free(List *targets);

/* Release such a lock of a table that is not published. */
extern void publish_unlock(const Target *target);

/* The order in which several targets are locked everywhere: two publishers cannot deadlock. */
extern List *publish_in_order(List *targets);

/*
 * Publish all items.  snapshot: the snapshot of the statements of apply and
 * gate (with the current command id), or NULL for a fresh one per statement.
 * Returns true if quarantined rows of some target can be tried again (see
 * quarantine_take_retries).
 */
extern bool publish(List *items, Snapshot snapshot);

#endif /* DEPIPE_PUBLISH_PUBLISH_H */
