/*-------------------------------------------------------------------------
 *
 * verdict.c
 *		Verdicts: what was found, judged and kept.
 *
 * Judging is the one place that knows the policies: thresholds, baseline,
 * no data, errors, pending, and the date from which a constraint counts.
 *
 *-------------------------------------------------------------------------
 */
#include "quality/breaker.h"
#include "quality/incident.h"
#include "quality/measure.h"
#include "utils/builtins.h"
#include "utils/elog.h"

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

const char *
action_name(Action action)
{
	switch (action)
	{
		case ACTION_NONE:
			return "none";
		case ACTION_WARN:
			return "warn";
		case ACTION_QUARANTINE:
			return "quarantine";
		case ACTION_REJECT:
			return "reject";
		case ACTION_BREAK:
			return "break";
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
 * The constraint is violated.  Rows that cannot be named (a count, an
 * aggregate, an error) cannot be set aside: quarantine then breaks.
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

/* Percentages of a batch mean nothing while it is small. */
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

static void
judge_count(Verdict *verdict, const DataConstraint *constraint, const Measure *measure,
			bool whole_table)
{
	int64 violations = measure->violations;

	if (whole_table && !constraint->row->is_aggregate)
		violations = Max(violations - constraint->row->baseline, 0);
	if ((constraint->warn_if.given || constraint->fail_if.given) &&
		(whole_table || constraint->batch_scope))
		judge_thresholds(verdict, constraint, measure, violations, whole_table);
	else if (violations > 0)
		set_failed(verdict, constraint, OUTCOME_FAIL, !constraint->row->is_aggregate);
	else
		set_outcome(verdict, OUTCOME_PASS, ACTION_NONE);
	if (verdict->outcome == OUTCOME_PASS && measure->pending > 0)
		set_outcome(verdict, OUTCOME_PENDING, ACTION_NONE);
}

/* Before its date a constraint only says what it would have done. */
static void
judge_date(Verdict *verdict, const DataConstraint *constraint)
{
	bool of_time = constraint->family == FAMILY_TIME;

	if (constraint->row->enforce_from <= GetCurrentTimestamp())
		return;
	if (verdict->action == ACTION_NONE || (verdict->action == ACTION_WARN && !of_time))
		return;
	verdict->would_have_blocked = true;
	verdict->action = ACTION_WARN;
	/* of a time check the outcome alone says whether the table is stale */
	if (verdict->outcome == OUTCOME_FAIL || of_time)
		verdict->outcome = OUTCOME_WARN;
}

/* JSON object of what the columns of a verdict do not say. */
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
	if (whole_table && measured->constraint->row->baseline > 0)
		appendStringInfo(&buf,
						 "%s\"baseline\": " INT64_FORMAT,
						 buf.len > 0 ? ", " : "",
						 measured->constraint->row->baseline);
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
	if (constraint->batch_scope && (constraint->warn_if.given || constraint->fail_if.given))
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

/* ---- keeping ---- */

static VerdictRow
row_of(const Verdict *verdict, int64 run_id)
{
	VerdictRow row = {0};

	row.run_id = run_id;
	row.target_id = verdict->target_id;
	row.constraint_id = verdict->constraint_id;
	row.constraint_name = verdict->constraint_name;
	row.check_kind = verdict->check_kind;
	row.outcome = outcome_name(verdict->outcome);
	row.action = action_name(verdict->action);
	row.evaluated = verdict->evaluated;
	row.violations = verdict->violations;
	row.metric = verdict->metric;
	row.warn_if = verdict->warn_if;
	row.fail_if = verdict->fail_if;
	row.would_have_blocked = verdict->would_have_blocked;
	row.strategy = verdict->strategy;
	row.elapsed_ms = verdict->elapsed_ms;
	row.detail = verdict->detail;
	row.whole_table = verdict->counted >= 0;
	return row;
}

static bool
same_outcome(const char *before, const VerdictRow *row)
{
	return before != NULL && strcmp(before, row->outcome) == 0;
}

/*
 * A row of the history for each run, and when the outcome changes.  A run may
 * have many batches: those in which nothing is found write nothing.
 */
static void
keep_verdict(const VerdictRow *row, const KnownVerdict *known)
{
	bool folds = known->verdict_id != 0 && same_outcome(known->run_outcome, row);

	if (!folds || !same_outcome(known->outcome, row) || row->violations > 0 ||
		row->metric != NULL || row->whole_table || row->would_have_blocked)
		verdict_put_state(row);
	else
		return;
	if (folds)
		verdict_add(known->verdict_id, row);
	else if (row->run_id != 0 || !same_outcome(known->outcome, row))
		verdict_insert(row);
}

static bool
asks_to_block(List *verdicts)
{
	ListCell *cell;

	foreach(cell, verdicts)
		if (((Verdict *) lfirst(cell))->action >= ACTION_REJECT)
			return true;
	return false;
}

/* A later evaluation of the same constraint in a batch replaces an earlier one. */
static bool
is_replaced(List *verdicts, int position)
{
	Verdict *verdict = list_nth(verdicts, position);
	ListCell *cell;

	for_each_from(cell, verdicts, position + 1)
		if (((Verdict *) lfirst(cell))->constraint_id == verdict->constraint_id)
			return true;
	return false;
}

static List *
constraint_ids(List *verdicts)
{
	List *ids = NIL;
	ListCell *cell;

	foreach(cell, verdicts)
		ids = lappend_int(ids, ((Verdict *) lfirst(cell))->constraint_id);
	return ids;
}

void
verdicts_record(int64 run_id, Target *target, List *verdicts)
{
	bool blocked = asks_to_block(verdicts) &&
				   breaker_enforce(target, ACTION_REJECT) >= ACTION_REJECT;
	bool held = blocked && run_id != 0; /* without a run it is about rows that are there */
	KnownVerdict *known;
	ListCell *cell;

	if (verdicts == NIL)
		return;
	known = verdicts_known(run_id, constraint_ids(verdicts));
	foreach(cell, verdicts)
	{
		Verdict *verdict = lfirst(cell);
		const KnownVerdict *before = &known[foreach_current_index(cell)];
		VerdictRow row;

		if (is_replaced(verdicts, foreach_current_index(cell)))
			continue;
		if (verdict->action >= ACTION_REJECT && !blocked)
			verdict->would_have_blocked = true;
		row = row_of(verdict, run_id);
		incident_note(verdict, &row, before->open_incident, held);
		keep_verdict(&row, before);
		/* the counts of a batch that was held are of a table that was rolled back */
		if (verdict->counted >= 0 && !held)
			constraint_shrink_baseline(verdict->constraint_id, verdict->counted);
	}
}
