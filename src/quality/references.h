/*-------------------------------------------------------------------------
 *
 * references.h
 *		Relationships over time: violations that are pending, and changes of
 *		the reference.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_REFERENCES_H
#define DEPIPE_QUALITY_REFERENCES_H

#include "quality/measure.h"

/*
 * A check of rows against another table: take those violations that are
 * pending (the key is younger than the grace, the reference is held, or has
 * the key in quarantine) out of the violations, and add those whose time has
 * come.  Called after the delta (or, with whole_table, the table) has been
 * measured; held: ids of targets that this batch does not publish.
 */
extern void settle_references(Target *target, Delta *delta, Measured *measured, bool whole_table,
							  List *held);

/*
 * Set in a process that publishes tables as of other moments than those that
 * they refer to (a copy beside the stream): whatever key is missing is pending
 * until it is looked at again.
 */
extern bool references_differ_in_time;

/*
 * Look at the target's pending keys again although nothing was published: the
 * grace of some may be over.  Records verdicts, and opens the breaker for the
 * next batch where rows violate now.
 */
extern void settle_pending_keys(Target *child);

/*
 * Does a constraint that refers to this target need the old images of its rows,
 * because it refers to other columns than the key?  publish then adds them to the
 * delta before apply.
 */
extern bool gate_wants_old_images(Target *target);

/*
 * The published delta of a reference: evaluates the constraints of other
 * targets that look at it, records their verdicts, incidents and breakers
 * (for their next batch), and marks quarantined rows that may pass now for
 * another try.  Returns true when rows were marked.
 */
extern bool gate_references(Target *reference, Delta *delta);

#endif /* DEPIPE_QUALITY_REFERENCES_H */
