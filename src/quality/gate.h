/*-------------------------------------------------------------------------
 *
 * gate.h
 *		The gate: evaluation of a target's constraints inside the transaction
 *		that publishes a delta.
 *
 * publish calls, for each target of the batch,
 *
 *		gate_open		which constraints apply; NULL: none
 *		gate_rows		before apply: all row checks in one pass over the
 *						delta's new images
 *		gate_table		after all tables of the batch are applied: uniqueness,
 *						relationships, aggregates, table-wide thresholds
 *
 * Constraints of *other* targets that refer to this one (a deleted parent) are
 * evaluated after the batch is decided, and never hold it: references.h.
 *
 * The delta is registered as an ephemeral named relation; an SPI connection is
 * open; the caller has begun an internal subtransaction.  The gate switches to
 * the owner of the target by itself.  Its reads see the rows just applied.
 *
 * One Gate serves a target for a whole batch, however often its delta is
 * applied again.  It remembers the rows set aside, so that the last report of
 * gate_rows and the last one of gate_table together are complete.
 *
 * The gate does not decide about breakers: it reports, and publish acts.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_GATE_H
#define DEPIPE_QUALITY_GATE_H

#include "delta/changes.h"
#include "quality/check.h"

/* A row that quarantine keeps out. */
#include "utils/snapshot.h"

typedef struct FailedRow
{
	int64 sequence;       /* in the delta */
	List *constraint_ids; /* integer list */
} FailedRow;

typedef struct GateReport
{
	List *verdicts;         /* of Verdict */
	Action action;          /* the strongest of NONE, WARN, REJECT, BREAK */
	char *reason;           /* for REJECT and BREAK: the constraint and the number of violations */
	FailedRow *failed_rows; /* sorted by sequence */
	int nfailed_rows;
	List *held; /* of HeldRow: a sample of the rows that caused REJECT or BREAK */
	double elapsed_ms;
} GateReport;

typedef struct Gate Gate;

/*
 * The gate of a target whose table exists, with its constraints compiled; NULL
 * if there are none.  Every read of the gate sees what the snapshot sees, and
 * the changes of this transaction: a batch is judged by the state that it makes,
 * never by a later one.  The snapshot must stay registered or active as long as
 * the gate is used.  marks: those of the target.  The gate is allocated in the
 * current memory context, which must live until the batch is recorded.  Raises
 * the errors of constraints_load().
 */
extern Gate *gate_open(Target *target, Snapshot snapshot, uint32 marks);

/* The same with these constraints (of DataConstraint) only, and without kept state. */
extern Gate *gate_open_for(Target *target, Snapshot snapshot, List *constraints);
extern bool gate_has_row_checks(const Gate *gate);
extern bool gate_has_table_checks(const Gate *gate);
extern bool gate_has_time_checks(const Gate *gate); /* not part of the gate: time_checks.h */

/*
 * Evaluate the row checks on the new images of the delta, before apply.  The
 * report is allocated in the current memory context.  Errors of a check become
 * its outcome; other errors are raised.
 */
extern GateReport *gate_rows(Gate *gate, Delta *delta);

/*
 * Evaluate the other checks after all tables of the batch are applied;
 * otherwise the same.  The delta may be empty.  changes: those of the rows of the
 * table by this pass, registered; NULL unless gate_keeps_state() or gate_checks_changes().
 */
extern GateReport *gate_table(Gate *gate, Delta *delta, const Changes *changes);

/*
 * Are there constraints whose state is kept?  Then gate_keep() is called once, when a
 * batch is published, and stores the last results of gate_table().
 */
extern bool gate_keeps_state(const Gate *gate);
extern void gate_keep(Gate *gate);

/* Are there checks of the changes of a batch, which gate_table() then needs? */
extern bool gate_checks_changes(const Gate *gate);

/*
 * Note that another target of the same batch is not published: rows that refer
 * to it are pending.
 */
extern void gate_note_held(Gate *gate, int32 target_id);

#endif /* DEPIPE_QUALITY_GATE_H */
