/*-------------------------------------------------------------------------
 *
 * verdict.c
 *		Verdicts: judgements of measurements.
 *
 * This file alone applies the policies: thresholds, baseline, no data, errors,
 * pending, and the date from which a constraint counts.
 *
 *-------------------------------------------------------------------------
 */
#include "quality/verdict.h"

#include "utils/elog.h"
#include "utils/timestamp.h"

const char *
outcome_name(Outcome outcome)
{
	switch (outcome)
	{
		case OUTCOME_PASS:
			return "pass";
		case OUTCOME_WARN:
			return "warn";
		case OUTCOME_FAIL:
			return "fail";
		case OUTCOME_ERROR:
			return "error";
		case OUTCOME_NOT_EVALUATED:
			return "not_evaluated";
		case OUTCOME_PENDING:
			return "pending";
	}
	pg_unreachable();
}

/* ---- judging ---- */

static void
set_outcome(Verdict *verdict, Outcome outcome, Action action)
{
	verdict->outcome = outcome;
	verdict->action = action;
}

/*
 * The constraint is violated.  Violations that are not rows (a count, an
 * aggregate, an error) cannot be set aside: quarantine then acts as break.
 */
static void
set_failed(Verdict *verdict, const DataConstraint *constraint, Outcome outcome, bool rows_known)
{
	Action action = constraint->on_violation;

	if (action == ACTION_QUARANTINE && !rows_known)
		action = ACTION_BREAK;
	if (constraint->family == FAMILY_TIME)
		action = ACTION_WARN;
	if (outcome == OUTCOME_FAIL && action == ACTION_QUARANTINE)
		outcome = OUTCOME_WARN;
	if (outcome == OUTCOME_FAIL && action == ACTION_WARN && constraint->family != FAMILY_TIME)
		outcome = OUTCOME_WARN;
	set_outcome(verdict, outcome, action);
}

static void
judge_no_data(Verdict *verdict, const DataConstraint *constraint, bool whole_table)
{
	if (constraint->on_no_data == NO_DATA_PASSES)
		set_outcome(verdict, OUTCOME_PASS, ACTION_NONE);
	else if (constraint->on_no_data == NO_DATA_FAILS && whole_table)
		set_failed(verdict, constraint, OUTCOME_FAIL, false);
	else
		set_outcome(verdict, OUTCOME_NOT_EVALUATED, ACTION_NONE);
}

/* Percentages of a small batch are meaningless. */
static bool
too_few_rows(const DataConstraint *constraint, const Threshold *threshold, const Measure *measure,
			 bool whole_table)
{
	return threshold->given && threshold->percent && !whole_table &&
		   measure->evaluated < constraint->row->min_rows;
}

static void
judge_thresholds(Verdict *verdict, const DataConstraint *constraint, const Measure *measure,
				 int64 violations, bool whole_table)
{
	bool few_for_warn = too_few_rows(constraint, &constraint->warn_if, measure, whole_table);
	bool few_for_fail = too_few_rows(constraint, &constraint->fail_if, measure, whole_table);

	if (!few_for_fail && threshold_exceeded(&constraint->fail_if, violations, measure->evaluated))
		set_failed(verdict, constraint, OUTCOME_FAIL, false);
	else if (!few_for_warn &&
			 threshold_exceeded(&constraint->warn_if, violations, measure->evaluated))
		set_outcome(verdict, OUTCOME_WARN, ACTION_WARN);
	else if (violations > 0 && (few_for_warn || few_for_fail))
		set_outcome(verdict, OUTCOME_NOT_EVALUATED, ACTION_NONE);
	else if (violations > 0 && constraint->on_violation == ACTION_QUARANTINE)
		set_outcome(verdict, OUTCOME_WARN, ACTION_QUARANTINE);
	else
		set_outcome(verdict, OUTCOME_PASS, ACTION_NONE);
}

/*
 * Violations that were there before the constraint and do not count.  Under a
 * threshold all rows count, unless those were declared to be ignored.
 */
static int64
tolerated_before(const DataConstraint *constraint)
{
	if (constraint->row->is_aggregate ||
		(constraint_counts_table(constraint) && strcmp(constraint->row->existing, "ignore") != 0))
		return 0;
	return constraint->row->baseline;
}

static void
judge_count(Verdict *verdict, const DataConstraint *constraint, const Measure *measure,
			bool whole_table)
{
	int64 violations = measure->violations;

	if (whole_table)
		violations = Max(violations - tolerated_before(constraint), 0);
	if (constraint_has_threshold(constraint) && (whole_table || constraint->batch_scope))
		judge_thresholds(verdict, constraint, measure, violations, whole_table);
	else if (violations > 0)
		set_failed(verdict, constraint, OUTCOME_FAIL, !constraint->row->is_aggregate);
	else
		set_outcome(verdict, OUTCOME_PASS, ACTION_NONE);
	if (verdict->outcome == OUTCOME_PASS && measure->pending > 0)
		set_outcome(verdict, OUTCOME_PENDING, ACTION_NONE);
}

/* Before its date a constraint only records what it would have done. */
static void
judge_date(Verdict *verdict, const DataConstraint *constraint)
{
	bool of_time = constraint->family == FAMILY_TIME;

	if (constraint_acts_from(constraint) <= GetCurrentTimestamp())
		return;
	if (verdict->action == ACTION_NONE || (verdict->action == ACTION_WARN && !of_time))
		return;
	verdict->would_have_blocked = true;
	verdict->action = ACTION_WARN;
	/* for a time check, the outcome alone determines whether the table is stale */
	if (verdict->outcome == OUTCOME_FAIL || of_time)
		verdict->outcome = OUTCOME_WARN;
}

/* A JSON object with the findings that have no column in a verdict. */
static char *
detail_text(const Measured *measured, bool whole_table)
{
	const Measure *measure = &measured->measure;
	StringInfoData buf;

	initStringInfo(&buf);
	if (measure->detail != NULL)
		appendStringInfoString(&buf, measure->detail);
	if (measure->pending > 0)
		appendStringInfo(&buf,
						 "%s\"pending\": " INT64_FORMAT,
						 buf.len > 0 ? ", " : "",
						 measure->pending);
	if (whole_table && tolerated_before(measured->constraint) > 0)
		appendStringInfo(&buf,
						 "%s\"baseline\": " INT64_FORMAT,
						 buf.len > 0 ? ", " : "",
						 tolerated_before(measured->constraint));
	if (measure->error_sqlstate != 0)
		appendStringInfo(&buf,
						 "%s\"sqlstate\": \"%s\"",
						 buf.len > 0 ? ", " : "",
						 unpack_sql_state(measure->error_sqlstate));
	return buf.len > 0 ? psprintf("{%s}", buf.data) : NULL;
}

static VerdictScope
scope_of(const DataConstraint *constraint, bool whole_table)
{
	if (constraint->row->is_aggregate || constraint->family == FAMILY_TIME)
		return VERDICT_OF_TABLE;
	if (constraint->family == FAMILY_CHANGE ||
		(constraint->batch_scope && constraint_has_threshold(constraint)))
		return VERDICT_OF_BATCH;
	if (!whole_table)
		return VERDICT_OF_ROWS;
	return constraint_counts_table(constraint) ? VERDICT_OF_COUNT : VERDICT_OF_TABLE;
}

Verdict *
judge(const Measured *measured, bool whole_table)
{
	const DataConstraint *constraint = measured->constraint;
	const Measure *measure = &measured->measure;
	Verdict *verdict = palloc0(sizeof(Verdict));

	verdict->scope = scope_of(constraint, whole_table);
	verdict->percent = constraint->warn_if.percent || constraint->fail_if.percent;
	verdict->constraint_id = constraint->row->id;
	verdict->target_id = constraint->row->target_id;
	verdict->constraint_name = constraint->row->name;
	verdict->check_kind = pstrdup(constraint->rule->kind->name);
	verdict->evaluated = measure->evaluated;
	verdict->violations = measure->violations;
	verdict->counted = whole_table ? measure->violations : -1;
	verdict->metric = measure->metric;
	verdict->warn_if = constraint->row->warn_if;
	verdict->fail_if = constraint->row->fail_if;
	verdict->strategy = measure->strategy;
	verdict->elapsed_ms = measure->elapsed_ms;
	verdict->detail = detail_text(measured, whole_table);
	if (measure->error_sqlstate != 0 && constraint->error_passes)
		set_outcome(verdict, OUTCOME_ERROR, ACTION_NONE);
	else if (measure->error_sqlstate != 0)
		set_failed(verdict, constraint, OUTCOME_ERROR, false);
	else if (measure->evaluated < 0 && measure->pending > 0)
		set_outcome(verdict, OUTCOME_PENDING, ACTION_NONE);
	else if (measure->not_here)
		set_outcome(verdict, OUTCOME_NOT_EVALUATED, ACTION_NONE);
	else if (measure->no_data || (!constraint->row->is_aggregate && measure->evaluated == 0))
		judge_no_data(verdict, constraint, whole_table);
	else
		judge_count(verdict, constraint, measure, whole_table);
	judge_date(verdict, constraint);
	return verdict;
}

char *
verdict_reason(const Verdict *verdict)
{
	if (verdict->outcome == OUTCOME_ERROR)
		return psprintf("constraint \"%s\" could not be evaluated", verdict->constraint_name);
	if (verdict->violations <= 0 || verdict->metric != NULL || verdict->evaluated < 0)
		return psprintf("constraint \"%s\" does not hold", verdict->constraint_name);
	return psprintf("constraint \"%s\": " INT64_FORMAT " of " INT64_FORMAT " rows violate it",
					verdict->constraint_name,
					verdict->violations,
					verdict->evaluated);
}
