/*-------------------------------------------------------------------------
 *
 * table_checks.c
 *		Evaluation of constraints of a target on its whole table, now.
 *
 * A table without load or transform has no batches: what check_table(),
 * check() and run_due() find is recorded and governs its breaker.  The breaker
 * opens on a bad evaluation, and the next good one is the probe that closes it.
 * An evaluation of some of the constraints can open the breaker.  Only one of
 * all of them can close it, so while it is not closed all are evaluated.
 *
 * A constraint is looked at every check_every.  It is evaluated unless what it
 * reads has the fingerprint of its last evaluation (changed.h).
 *
 *-------------------------------------------------------------------------
 */
#include "quality/table_checks.h"

#include "access/xact.h"
#include "catalog/attempts.h"
#include "catalog/table_looks.h"
#include "core/guarded.h"
#include "executor/spi.h"
#include "quality/breaker.h"
#include "quality/changed.h"
#include "quality/compile.h"
#include "quality/protect.h"
#include "quality/record.h"
#include "quality/references.h"
#include "quality/state.h"
#include "quality/verdict.h"

/* ---- measuring ---- */

/* Awaited keys do not count as violations of a table that is judged here. */
static void
settle_all(Target *target, List *measured)
{
	ListCell *cell;

	foreach(cell, measured)
		settle_references(target, NULL, lfirst(cell), true, NIL);
}

static List *
measure_constraints(Target *target, List *constraints)
{
	List *measured = NIL;
	MemoryContext context = CurrentMemoryContext;
	ListCell *cell;

	foreach(cell, constraints)
		measured = lappend(measured, measured_new(lfirst(cell)));
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	MemoryContextSwitchTo(context); /* the results outlive the connection */
	measure_table(target, state_verify(target, measured));
	if (target->kind == TARGET_TABLE && !XactReadOnly)
		settle_all(target, measured);
	SPI_finish();
	return measured;
}

List *
table_checks_measure(Target *target)
{
	return measure_constraints(target, constraints_load(target));
}

/* There is no table: an error of each constraint. */
static List *
measure_missing(Target *target)
{
	List *missing = NIL;
	ListCell *cell;

	foreach(cell, constraints_load(target))
	{
		Measured *measured = measured_new(lfirst(cell));

		measured->measure.error_sqlstate = ERRCODE_UNDEFINED_TABLE;
		measured->measure.error_message = target_why_missing(target);
		measured->measure.detail = pstrdup("\"table\": \"missing\"");
		missing = lappend(missing, measured);
	}
	return missing;
}

/* ---- recording ---- */

/* The strongest action that the verdicts ask for, with its reason. */
static Action
strongest(List *verdicts, char **reason)
{
	Action action = ACTION_NONE;
	ListCell *cell;

	*reason = NULL;
	foreach(cell, verdicts)
	{
		Verdict *verdict = lfirst(cell);

		if (verdict->action > action)
			*reason = verdict_reason(verdict);
		action = Max(action, verdict->action);
	}
	/* rows of such a table cannot be set aside */
	return action == ACTION_QUARANTINE ? ACTION_WARN : action;
}

void
table_checks_record(Target *target, int64 run_id, List *verdicts)
{
	char *reason;
	Action action = strongest(verdicts, &reason);

	verdicts_record_table(run_id, target, verdicts);
	breaker_judge_table(target, action, reason);
}

static void
finish_run(Run *run, List *verdicts)
{
	char *reason;
	Action action = strongest(verdicts, &reason);

	run->strategy = "check";
	run->status = action >= ACTION_REJECT ? RUN_BLOCKED : RUN_SUCCEEDED;
	run->reason = action >= ACTION_REJECT ? reason : NULL;
	if (!OidIsValid(run->target->relid))
	{
		run->status = RUN_FAILED;
		run->reason = target_why_missing(run->target);
		run->error_sqlstate = pstrdup(unpack_sql_state(ERRCODE_UNDEFINED_TABLE));
		run->error_message = run->reason;
	}
	run_finish(run);
}

/* Batches decide about a load or transform, except for time checks. */
static List *
verdicts_that_count(const Target *target, List *measured)
{
	List *verdicts = NIL;
	ListCell *cell;

	foreach(cell, measured)
	{
		const Measured *one = lfirst(cell);

		if (target->kind == TARGET_TABLE || one->constraint->family == FAMILY_TIME)
			verdicts = lappend(verdicts, judge(one, true));
	}
	return verdicts;
}

static List *
run_checks(Target *target, List *constraints, const char *started_by)
{
	Run *run = run_begin(target, started_by);
	List *measured = OidIsValid(target->relid) ? measure_constraints(target, constraints)
											   : measure_missing(target);
	List *all = NIL;
	ListCell *cell;

	foreach(cell, measured)
		all = lappend(all, judge(lfirst(cell), true));
	if (target->kind == TARGET_TABLE)
		table_checks_record(target, run->id, verdicts_that_count(target, measured));
	else
		verdicts_record_table(run->id, target, verdicts_that_count(target, measured));
	finish_run(run, all);
	return all;
}

List *
table_checks_run(Target *target, const char *started_by)
{
	return run_checks(target,
					  OidIsValid(target->relid) ? constraints_load(target) : NIL,
					  started_by);
}

void
table_checks_failed(Target *target, const char *started_by, const ErrorData *error)
{
	Run *run = run_create(target, started_by);

	if (!run_insert(run))
		return; /* the target was dropped */
	run->strategy = "check";
	run_set_error(run, error);
	run_finish(run);
}

/* ---- when they are due ---- */

static TableLook *
find_look(List *looks, int32 constraint_id)
{
	ListCell *cell;

	foreach(cell, looks)
		if (((TableLook *) lfirst(cell))->constraint_id == constraint_id)
			return lfirst(cell);
	return NULL;
}

/* Has it changed since its last evaluation? The look is recorded. */
static bool
needs_evaluation(Target *target, const DataConstraint *constraint, const TableLook *look)
{
	char *fingerprint = changed_fingerprint(target, constraint);

	table_look_put(constraint->row->id, fingerprint);
	return fingerprint == NULL || look->fingerprint == NULL || !look->is_settled ||
		   strcmp(fingerprint, look->fingerprint) != 0;
}

/* The constraints that are due, and for which something may have changed. */
static List *
due_constraints(Target *target, List *constraints)
{
	List *looks = table_looks(target->id);
	List *due = NIL;
	ListCell *cell;

	foreach(cell, constraints)
	{
		DataConstraint *constraint = lfirst(cell);
		TableLook *look = find_look(looks, constraint->row->id);

		if (look != NULL && look->is_due && needs_evaluation(target, constraint, look))
			due = lappend(due, constraint);
	}
	return due;
}

static bool
sync_work(void *argument)
{
	protect_sync(argument);
	return true;
}

void
table_checks_look(Target *target)
{
	List *constraints;
	List *due;

	/* for partitions that were attached, and a table that was made again */
	if (target->is_protected)
		(void) guarded_run(sync_work, target);
	constraints = constraints_load(target);
	due = due_constraints(target, constraints);
	if (due == NIL)
		return;
	(void) run_checks(target,
					  breaker_state(target->id) == BREAKER_CLOSED ? due : constraints,
					  "check_every");
}

void
table_checks_probe(Target *target)
{
	(void) run_checks(target, constraints_load(target), "check_every");
}
