/*-------------------------------------------------------------------------
 *
 * time_checks.c
 *		Checks that can fail by the passage of time alone: freshness.
 *
 * They are not part of the gate, and hold no batch.  Their verdicts are
 * recorded by the scheduler or run_due() every check_every, and after a batch,
 * so that a table is fresh again as soon as its data arrives.  The guard and
 * transforms that wait for fresh inputs do not rely on these verdicts: they
 * evaluate.
 *
 * A table is stale while a time check of it has the outcome fail, or error
 * unless its on_error is pass.  The views show the last recorded outcome.
 *
 *-------------------------------------------------------------------------
 */
#include "quality/time_checks.h"

#include "catalog/attempts.h"
#include "executor/spi.h"
#include "quality/compile.h"
#include "quality/record.h"
#include "quality/verdict.h"

/* ---- all of a target ---- */

static List *
time_checks(Target *target)
{
	List *measured = NIL;
	ListCell *cell;

	if (!OidIsValid(target->relid))
		return NIL;
	foreach(cell, constraints_load(target))
	{
		DataConstraint *constraint = lfirst(cell);

		if (constraint->family == FAMILY_TIME)
			measured = lappend(measured, measured_new(constraint));
	}
	return measured;
}

/* Verdicts of the time checks of the target as of now. */
static List *
evaluate_time_checks(Target *target)
{
	List *measured = time_checks(target);
	List *verdicts = NIL;
	MemoryContext context = CurrentMemoryContext;
	ListCell *cell;

	if (measured == NIL)
		return NIL;
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	MemoryContextSwitchTo(context); /* verdicts outlive the connection */
	measure_table(target, measured);
	foreach(cell, measured)
		verdicts = lappend(verdicts, judge(lfirst(cell), true));
	SPI_finish();
	return verdicts;
}

bool
time_checks_fail(int32 target_id, char **reason)
{
	ListCell *cell;

	foreach(cell, evaluate_time_checks(target_get(target_id)))
	{
		Verdict *verdict = lfirst(cell);

		if (verdict->outcome != OUTCOME_FAIL &&
			(verdict->outcome != OUTCOME_ERROR || verdict->action == ACTION_NONE))
			continue;
		if (reason != NULL)
			*reason = psprintf(verdict->outcome == OUTCOME_FAIL
								   ? "constraint \"%s\" fails"
								   : "constraint \"%s\" cannot be evaluated",
							   verdict->constraint_name);
		return true;
	}
	return false;
}

void
time_checks_record(Target *target, int64 run_id)
{
	List *verdicts = evaluate_time_checks(target);

	if (verdicts != NIL)
		verdicts_record(run_id, target, verdicts);
}

void
time_checks_follow(Target *target, int64 run_id)
{
	if (has_time_checks_to_follow(target->id))
		time_checks_record(target, run_id);
}
