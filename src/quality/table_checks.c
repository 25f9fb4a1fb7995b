/*-------------------------------------------------------------------------
 *
 * table_checks.c
 *		Evaluation of all constraints of a target on its whole table, now.
 *
 * A table without load or transform has no batches: the findings of
 * check_table() or run_due() are recorded and govern its breaker.  The breaker
 * opens on a bad evaluation, and the next good one is the probe that closes it.
 *
 *-------------------------------------------------------------------------
 */
#include "quality/table_checks.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "quality/breaker.h"
#include "quality/compile.h"
#include "quality/record.h"
#include "quality/references.h"
#include "quality/state.h"
#include "quality/verdict.h"

/* Awaited keys do not count as violations of a table that is judged here. */
static void
settle_all(Target *target, List *measured)
{
	ListCell *cell;

	foreach(cell, measured)
		settle_references(target, NULL, lfirst(cell), true, NIL);
}

List *
table_checks_measure(Target *target)
{
	List *measured = NIL;
	MemoryContext context = CurrentMemoryContext;
	ListCell *cell;

	foreach(cell, constraints_load(target))
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

void
table_checks_record(Target *target, List *verdicts)
{
	Action action = ACTION_NONE;
	char *reason = NULL;
	ListCell *cell;

	verdicts_record(0, target, verdicts);
	foreach(cell, verdicts)
	{
		Verdict *verdict = lfirst(cell);

		if (verdict->action > action)
			reason = verdict_reason(verdict);
		action = Max(action, verdict->action);
	}
	/* rows of such a table cannot be set aside */
	if (action == ACTION_QUARANTINE)
		action = ACTION_WARN;
	breaker_judge_table(target, action, reason);
}

void
table_checks_probe(Target *target)
{
	List *verdicts = NIL;
	ListCell *cell;

	foreach(cell, table_checks_measure(target))
		verdicts = lappend(verdicts, judge(lfirst(cell), true));
	table_checks_record(target, verdicts);
}
