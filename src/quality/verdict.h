/*-------------------------------------------------------------------------
 *
 * verdict.h
 *		Verdicts: what was measured, judged.
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

/*
 * What was found, by the constraint's policies.  whole_table: it was counted
 * over the table, so that baseline and on_no_data apply; else over a batch.
 */
extern Verdict *judge(const Measured *measured, bool whole_table);

/* Which constraint, and how many rows. */
extern char *verdict_reason(const Verdict *verdict);

extern const char *outcome_name(Outcome outcome);

#endif /* DEPIPE_QUALITY_VERDICT_H */
