/*-------------------------------------------------------------------------
 *
 * record.c
 *		Recording of verdicts and their consequences.
 *
 * A constraint has one current state and a history of verdicts, with one row
 * for each run and one for each change of the outcome.  Each verdict opens,
 * continues or closes the incident of its constraint.
 *
 *-------------------------------------------------------------------------
 */
#include "quality/record.h"

#include "quality/breaker.h"
#include "quality/incident.h"

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
 * One row of the history for each run, and one for each change of the outcome.
 * A run may have many batches: batches without findings write nothing.
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

/* of_batch: a blocked batch is held, so that its rows are not in the table. */
static void
record(int64 run_id, Target *target, List *verdicts, bool of_batch)
{
	bool blocked = asks_to_block(verdicts) &&
				   breaker_enforce(target, ACTION_REJECT) >= ACTION_REJECT;
	bool held = blocked && of_batch;
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
		/* the counts of a held batch belong to a table state that was rolled back */
		if (verdict->counted >= 0 && !held)
			constraint_shrink_baseline(verdict->constraint_id, verdict->counted);
	}
}

void
verdicts_record(int64 run_id, Target *target, List *verdicts)
{
	record(run_id, target, verdicts, run_id != 0);
}

void
verdicts_record_table(int64 run_id, Target *target, List *verdicts)
{
	record(run_id, target, verdicts, false);
}
