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
 * Constraints of *other* targets that look at this one (a deleted parent) are
 * evaluated after the batch is decided, and never hold it: references.h.
 *
 * The delta is registered as an ephemeral named relation; an SPI connection
 * is open; the caller has set an internal subtransaction.  The gate switches
 * to the target's owner by itself.  Reads see the rows just applied.
 *
 * One Gate serves a target for a whole batch, however often its delta is
 * applied again: what was set aside is remembered in it, so that the last
 * report of gate_rows and the last of gate_table together are complete.
 *
 * The gate decides nothing about breakers: it reports, and publish acts.
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
	char *reason;           /* for REJECT and BREAK: which constraint and how many */
	FailedRow *failed_rows; /* sorted by sequence */
	int nfailed_rows;
	List *held; /* of HeldRow: some of those that REJECT and BREAK are about */
	double elapsed_ms;
} GateReport;

typedef struct Gate Gate;

/*
 * The constraints of a target whose table exists, ready; NULL when there are none.  Every
 * read of the gate sees what the snapshot sees, and what this transaction has done:
 * a batch is judged by the state that it makes, never by a later one.  It must stay
 * registered or active as long as the gate is used.  marks: of the target.
 */
extern Gate *gate_open(Target *target, Snapshot snapshot, uint32 marks);
extern bool gate_has_row_checks(const Gate *gate);
extern bool gate_has_table_checks(const Gate *gate);
extern bool gate_has_time_checks(const Gate *gate); /* no part of the gate: time_checks.h */

extern GateReport *gate_rows(Gate *gate, Delta *delta);

/* changes: of the table's rows by this pass, registered; NULL unless gate_keeps_state(). */
extern GateReport *gate_table(Gate *gate, Delta *delta, const Changes *changes);

/*
 * Are there constraints whose state is kept?  Then gate_keep() is called once, when a
 * batch is published, with what gate_table() has measured last.
 */
extern bool gate_keeps_state(const Gate *gate);
extern void gate_keep(Gate *gate);

/*
 * Another target of the same batch is not published: rows that refer to it
 * are pending.
 */
extern void gate_note_held(Gate *gate, int32 target_id);

#endif /* DEPIPE_QUALITY_GATE_H */
