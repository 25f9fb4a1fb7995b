/*-------------------------------------------------------------------------
 *
 * state.h
 *		Kept state: verdicts about a whole table at the cost of the changes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_STATE_H
#define DEPIPE_QUALITY_STATE_H

#include "delta/changes.h"
#include "quality/measure.h"

typedef struct State State;

/*
 * The state of those constraints of a target (list of DataConstraint) that can be
 * kept.  NULL: there is none, and none is stored (marks: of the target).  The target is
 * locked for publish.  Allocated in the current memory context; serves all passes
 * of a batch.
 */
extern State *state_open(Target *target, List *constraints, uint32 marks);

/*
 * Measure checks (list of Measured) over the table as it is after the changes: from what
 * is stored, or by one scan of all terms that are not.  Returns those that are left: they
 * cannot be kept, or raise an error.  In the SPI connection that has the changes.
 */
extern List *state_measure(State *state, const Changes *changes, List *measured);

/* Store what was measured last: that is published. */
extern void state_keep(State *state);

/*
 * The transaction's own snapshot does not see what is stored, if it is older: note
 * that the target is being changed regardless.  Does nothing in READ COMMITTED.
 */
extern void state_note_unseen(Target *target);

/* No load or transform maintains the target any more: forget all of it. */
extern void state_end(Target *target);

/*
 * Compare the checks, evaluated over the whole table under the active snapshot, with
 * what is stored; what differs is deleted, unless the transaction is read-only.  Measures
 * those that can be kept, and returns the others.
 */
extern List *state_verify(Target *target, List *measured);

#endif /* DEPIPE_QUALITY_STATE_H */
