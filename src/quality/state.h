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
 * The state of those constraints of a target (list of DataConstraint) that can
 * be kept.  NULL if there are none, and none is stored (marks: those of the
 * target). The target is locked for publish.  The result is allocated in the
 * current memory context and serves all passes of a batch.
 */
extern State *state_open(Target *target, List *constraints, uint32 marks);

/*
 * Measure checks (list of Measured) over the table after the changes, from
 * stored values, or by one scan for all terms without them.  Returns the
 * remaining checks: they cannot be kept, or raise an error.  To be called in
 * the SPI connection that has the changes.
 */
extern List *state_measure(State *state, const Changes *changes, List *measured);

/* Store the last measured values: they were published. */
extern void state_keep(State *state);

/*
 * The transaction's own snapshot may be too old to see the stored values: note
 * that the target is changed nevertheless.  Has no effect in READ COMMITTED.
 */
extern void state_note_unseen(Target *target);

/* Delete all state: no load or transform maintains the target any longer. */
extern void state_end(Target *target);

/*
 * Compare the checks, evaluated over the whole table under the active snapshot,
 * with the stored values.  Differing values are deleted, unless the transaction
 * is read-only.  Measures the checks that can be kept, and returns the others.
 */
extern List *state_verify(Target *target, List *measured);

#endif /* DEPIPE_QUALITY_STATE_H */
