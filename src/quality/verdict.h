/*-------------------------------------------------------------------------
 *
 * verdict.h
 *		Verdicts: judgements of measurements.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_VERDICT_H
#define DEPIPE_QUALITY_VERDICT_H

#include "quality/measure.h"

typedef enum Outcome
{
	OUTCOME_PASS,
	OUTCOME_WARN,
	OUTCOME_FAIL,
	OUTCOME_ERROR,
	OUTCOME_NOT_EVALUATED,
	OUTCOME_PENDING
} Outcome;

/* The conclusion from a good verdict about the rows in the table. */
typedef enum VerdictScope
{
	VERDICT_OF_ROWS,  /* nothing: it is about rows of a batch */
	VERDICT_OF_BATCH, /* nothing, and it does not matter */
	VERDICT_OF_COUNT, /* the number of violating rows, some of which are tolerated */
	VERDICT_OF_TABLE  /* none violates, except those of the baseline */
} VerdictScope;

typedef struct Verdict
{
	int32 constraint_id;
	int32 target_id; /* whose constraint it is */
	char *constraint_name;
	char *check_kind; /* 'satisfies', 'unique', ... */
	Outcome outcome;
	Action action; /* the required action; ACTION_NONE if it passes */
	VerdictScope scope;
	bool percent;     /* thresholds are shares */
	int64 evaluated;  /* -1: unknown */
	int64 violations; /* -1: unknown */
	int64 counted;    /* violations over the whole table; -1: not counted */
	char *metric;     /* value of an aggregate as text, or NULL */
	char *warn_if;
	char *fail_if;
	const char *strategy; /* 'delta', 'index probe', 'scan', ... */
	double elapsed_ms;
	char *detail;            /* JSON object as text, without column values; or NULL */
	bool would_have_blocked; /* failing, but not enforced yet */
} Verdict;

/*
 * Judge a measurement by the policies of its constraint.  whole_table: the
 * table was counted, so that baseline and on_no_data apply; otherwise a batch.
 * The verdict is allocated in the current memory context.
 */
extern Verdict *judge(const Measured *measured, bool whole_table);

/* The reason: the constraint and the number of rows. In the current memory context. */
extern char *verdict_reason(const Verdict *verdict);

/* The name of an outcome in SQL, a constant. */
extern const char *outcome_name(Outcome outcome);

#endif /* DEPIPE_QUALITY_VERDICT_H */
