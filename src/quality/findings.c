/*-------------------------------------------------------------------------
 *
 * findings.c
 *		From what writers of protected tables found to verdicts.
 *
 * A writer that recorded a verdict would lock the rows of constraint and
 * breaker until its transaction ends, and other writers would wait for it.
 * Therefore it adds a row of its own (catalog/write_findings.c), or, when it is
 * refused, an entry of a queue in shared memory (core/refusals.c).  A scheduler
 * or run_due makes verdicts of them.
 *
 *-------------------------------------------------------------------------
 */
#include "quality/findings.h"

#include "catalog/runs.h"
#include "catalog/write_findings.h"
#include "core/guarded.h"
#include "core/refusals.h"
#include "quality/breaker.h"
#include "quality/check_kinds.h"
#include "quality/record.h"

void
findings_note(List *verdicts)
{
	ListCell *cell;

	foreach(cell, verdicts)
	{
		const Verdict *verdict = lfirst(cell);
		WriteFinding finding = {verdict->target_id,
								verdict->constraint_id,
								verdict->outcome,
								verdict->action,
								Max(verdict->evaluated, 0),
								Max(verdict->violations, 0),
								1};

		if (verdict->outcome != OUTCOME_PASS && verdict->outcome != OUTCOME_NOT_EVALUATED)
			write_finding_put(&finding);
	}
}

void
findings_refuse(List *verdicts)
{
	ListCell *cell;

	foreach(cell, verdicts)
	{
		const Verdict *verdict = lfirst(cell);
		Refusal refusal = {0};

		if (verdict->action < ACTION_REJECT)
			continue;
		refusal.target_id = verdict->target_id;
		refusal.constraint_id = verdict->constraint_id;
		refusal.outcome = verdict->outcome;
		refusal.action = verdict->action;
		refusal.evaluated = verdict->evaluated;
		refusal.violations = verdict->violations;
		refusal_put(&refusal);
	}
}

/* ---- recording ---- */

static const ConstraintRow *
find_row(List *rows, int32 constraint_id)
{
	ListCell *cell;

	foreach(cell, rows)
		if (((ConstraintRow *) lfirst(cell))->id == constraint_id)
			return lfirst(cell);
	return NULL;
}

static Verdict *
verdict_of(const ConstraintRow *row, const WriteFinding *finding)
{
	Verdict *verdict = palloc0(sizeof(Verdict));

	verdict->constraint_id = row->id;
	verdict->target_id = row->target_id;
	verdict->constraint_name = row->name;
	verdict->check_kind = pstrdup(check_parse_text(row->rule)->kind->name);
	verdict->outcome = (Outcome) finding->outcome;
	verdict->action = (Action) finding->action;
	verdict->scope = VERDICT_OF_ROWS;
	verdict->evaluated = finding->evaluated;
	verdict->violations = finding->violations;
	verdict->counted = -1;
	verdict->strategy = "write";
	verdict->detail = psprintf("{\"statements\": " INT64_FORMAT "}", finding->statements);
	return verdict;
}

typedef struct FindingWork
{
	const WriteFinding *finding;
} FindingWork;

static bool
record_work(void *argument)
{
	const WriteFinding *finding = ((FindingWork *) argument)->finding;
	Target *target = target_find_id(finding->target_id);
	const ConstraintRow *row = target == NULL
								   ? NULL
								   : find_row(constraint_rows(target->id), finding->constraint_id);
	Verdict *verdict;
	Run *run;

	if (row == NULL)
		return true; /* dropped meanwhile */
	verdict = verdict_of(row, finding);
	run = run_begin(target, "write");
	run->strategy = "protect";
	verdicts_record(run->id, target, list_make1(verdict));
	if (verdict->action >= ACTION_REJECT)
		breaker_judge_table(target, verdict->action, verdict_reason(verdict));
	run->status = verdict->action >= ACTION_REJECT ? RUN_BLOCKED : RUN_SUCCEEDED;
	run->reason = verdict_reason(verdict);
	run_finish(run);
	return true;
}

static void
record_one(const WriteFinding *finding)
{
	FindingWork work = {finding};
	ErrorData *error = guarded_run(record_work, &work);

	if (error != NULL)
		ereport(LOG,
				(errmsg("depipe: recording what a write of a protected table found failed"),
				 errdetail_internal("SQLSTATE %s", unpack_sql_state(error->sqlerrcode))));
}

void
findings_record(void)
{
	Refusal *refusals = palloc(sizeof(Refusal) * REFUSALS_MOST);
	int64 lost;
	int count = refusals_take(refusals, &lost);
	ListCell *cell;

	for (int i = 0; i < count; i++)
	{
		WriteFinding finding = {refusals[i].target_id,
								refusals[i].constraint_id,
								refusals[i].outcome,
								refusals[i].action,
								refusals[i].evaluated,
								refusals[i].violations,
								refusals[i].statements};

		record_one(&finding);
	}
	if (lost > 0)
		ereport(
			LOG,
			(errmsg("depipe: " INT64_FORMAT " findings of refused statements were not recorded",
					lost),
			 errdetail("More than %d constraints refused statements at a time.", REFUSALS_MOST)));
	foreach(cell, write_findings_take())
		record_one(lfirst(cell));
	pfree(refusals);
}
