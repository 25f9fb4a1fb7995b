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
 *		gate_references	after the batch is decided: constraints of *other*
 *						targets that look at this one (a deleted parent); never
 *						holds this batch
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

#include "quality/check.h"

typedef enum Outcome
{
	OUTCOME_PASS,
	OUTCOME_WARN,
	OUTCOME_FAIL,
	OUTCOME_ERROR,
	OUTCOME_NOT_EVALUATED,
	OUTCOME_PENDING
} Outcome;

/* What a good verdict says about the rows that are in the table. */
typedef enum VerdictScope
{
	VERDICT_OF_ROWS,  /* nothing: it is about rows of a batch */
	VERDICT_OF_BATCH, /* nothing, and it does not matter */
	VERDICT_OF_COUNT, /* how many of them violate; some are tolerated */
	VERDICT_OF_TABLE  /* none violates, but for those of the baseline */
} VerdictScope;

typedef struct Verdict
{
	int32 constraint_id;
	int32 target_id; /* whose constraint it is */
	char *constraint_name;
	char *check_kind; /* 'satisfies', 'unique', ... */
	Outcome outcome;
	Action action; /* what it asks for now; ACTION_NONE when it passes */
	VerdictScope scope;
	bool percent;     /* thresholds are shares */
	int64 evaluated;  /* -1: unknown */
	int64 violations; /* -1: unknown */
	int64 counted;    /* violations over the whole table; -1: not counted */
	char *metric;     /* value of an aggregate as text, or NULL */
	char *warn_if;
	char *fail_if;
	const char *strategy; /* how: 'delta', 'index probe', 'scan', ... */
	double elapsed_ms;
	char *detail;            /* JSON object as text, without column values; or NULL */
	bool would_have_blocked; /* failing, but not enforced yet */
} Verdict;

/* A row that quarantine keeps out. */
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

/* The constraints of a target whose table exists, ready; NULL when there are none. */
extern Gate *gate_open(Target *target);
extern bool gate_has_row_checks(const Gate *gate);
extern bool gate_has_table_checks(const Gate *gate);
extern bool gate_has_time_checks(const Gate *gate); /* no part of the gate: time_checks.h */

/*
 * Does a constraint that refers to this target need the old images of its rows,
 * because it refers to other columns than the key?  publish then adds them to the
 * delta before apply.
 */
extern bool gate_wants_old_images(Target *target);

extern GateReport *gate_rows(Gate *gate, Delta *delta);
extern GateReport *gate_table(Gate *gate, Delta *delta);

/*
 * Another target of the same batch is not published: rows that refer to it
 * are pending.
 */
extern void gate_note_held(Gate *gate, int32 target_id);

/*
 * The published delta of a reference: evaluates the constraints of other
 * targets that look at it, records their verdicts, incidents and breakers
 * (for their next batch), and marks quarantined rows that may pass now for
 * another try.  Returns true when rows were marked.
 */
extern bool gate_references(Target *reference, Delta *delta);

/* Which constraint, and how many rows. */
extern char *verdict_reason(const Verdict *verdict);

extern const char *outcome_name(Outcome outcome);
extern const char *action_name(Action action);

/*
 * Store verdicts of a run, and open, continue or close the incidents of their
 * constraints (incidents_settle closes those that are about rows).  A verdict row
 * is written when the outcome changed and once per run.  run_id: 0 when the whole
 * table has been looked at, not a batch.
 */
extern void verdicts_record(int64 run_id, Target *target, List *verdicts);

#endif /* DEPIPE_QUALITY_GATE_H */
