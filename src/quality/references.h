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
 * For a check of rows against another table: move pending violations (the key
 * is younger than the grace, the reference is held, or has the key in
 * quarantine) out of the violations, and add those whose time has come.  Called
 * after the delta (with whole_table: the table) was measured.  held: ids of
 * targets that this batch does not publish.
 */
extern void settle_references(Target *target, Delta *delta, Measured *measured, bool whole_table,
							  List *held);

/*
 * Set in a process that publishes tables as of another moment than that of
 * their references (a copy beside the stream): every missing key is pending
 * until it is looked up again.
 */
extern bool references_differ_in_time;

/*
 * Look up the pending keys of the target again although nothing was published:
 * the grace of some may be over.  Records verdicts, and opens the breaker for
 * the next batch if rows violate now.
 */
extern void settle_pending_keys(Target *child);

/*
 * Does a constraint that refers to this target need the old images of its rows,
 * because it refers to columns other than the key?  publish then adds them to
 * the delta before apply.
 */
extern bool gate_wants_old_images(Target *target);

/*
 * After the delta of a reference was published: evaluate the constraints of
 * other targets that refer to it, record their verdicts, incidents and breakers
 * (for their next batch), and mark quarantined rows that may pass now for
 * another try.  Returns true if rows were marked.
 */
extern bool gate_references(Target *reference, Delta *delta);

#endif /* DEPIPE_QUALITY_REFERENCES_H */
