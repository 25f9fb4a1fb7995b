/*-------------------------------------------------------------------------
 *
 * execute.c
 *		Execution of the statements that write a target.
 *
 * They run as the owner of the target, under the settings of its definition,
 * with the flag that lets them pass the trigger against direct changes.  Small
 * deltas use kept plans.
 *
 * The server's own statistics of the transaction count the rows, because one
 * MERGE inserts, updates and deletes.
 *
 *-------------------------------------------------------------------------
 */
#include "publish/execute.h"

#include "catalog/pg_inherits.h"
#include "core/identity.h"
#include "core/plans.h"
#include "core/settings.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "pgstat.h"
#include "portability/instr_time.h"
#include "publish/triggers.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"

/* Settings for the plan of a statement on the delta and its target. */
static PlanStyle
plan_style(const ApplyTable *table)
{
	if (table->bag_by_hash)
		return table->delta->nrows <= PLAN_SMALL_ROWS ? PLAN_KEPT : PLAN_ONCE_BY_ROW;
	if (table->key_order == NIL)
		return PLAN_ONCE;
	if (table->delta->nrows <= PLAN_SMALL_ROWS && !table->delta->clear)
		return PLAN_KEPT;
	/* versions are joined several times: the planner chooses the way of each */
	return table->target->history == HISTORY_SCD2 ? PLAN_ONCE : PLAN_ONCE_BY_INDEX;
}

void
execute_statement(const ApplyTable *table, const char *sql, Snapshot snapshot)
{
	MemoryContext caller = CurrentMemoryContext;
	SPIPlanPtr plan = plan_statement(sql, table->delta->desc, plan_style(table));
	int result;

	if (snapshot != NULL)
		result = SPI_execute_snapshot(plan, NULL, NULL, snapshot, InvalidSnapshot, false, true, 0);
	else
		result = SPI_execute_plan(plan, NULL, NULL, false, 0);
	MemoryContextSwitchTo(caller); /* SPI switched to a context of its own */
	if (result < 0)
		elog(ERROR, "statement failed: %s", SPI_result_code_string(result));
	plan_release(plan);
}

void
execute_reading(const ApplyTable *table, const char *sql, DestReceiver *receiver)
{
	MemoryContext caller = CurrentMemoryContext;
	Identity identity;
	SPIPlanPtr plan;
	int result;

	identity_become_with(table->target->owner, table->target->settings, &identity);
	if (work_mem < depipe_batch_memory)
		settings_force("work_mem", psprintf("%dkB", depipe_batch_memory));
	plan = plan_statement(sql, table->delta->desc, plan_style(table));
	result = read_plan(plan, receiver);
	MemoryContextSwitchTo(caller); /* SPI switched to a context of its own */
	if (result < 0)
		elog(ERROR, "reading rows failed: %s", SPI_result_code_string(result));
	plan_release(plan);
	identity_restore(&identity);
}

Written
execute_written_so_far(Oid relid)
{
	Written counts = {0};
	ListCell *cell;

	foreach(cell, find_all_inheritors(relid, NoLock, NULL))
	{
		Datum leaf = ObjectIdGetDatum(lfirst_oid(cell));

		counts.inserted += DatumGetInt64(
			DirectFunctionCall1(pg_stat_get_xact_tuples_inserted, leaf));
		counts.updated += DatumGetInt64(DirectFunctionCall1(pg_stat_get_xact_tuples_updated, leaf));
		counts.deleted += DatumGetInt64(DirectFunctionCall1(pg_stat_get_xact_tuples_deleted, leaf));
	}
	return counts;
}

void
execute_uncounted(ApplyTable *table, const char *sql, int skip, Snapshot snapshot)
{
	Identity identity;
	instr_time start;
	instr_time end;

	INSTR_TIME_SET_CURRENT(start);
	identity_become_with(table->target->owner, table->target->settings, &identity);
	/* sorting the result may need as much memory as the fold did */
	if (work_mem < depipe_batch_memory)
		settings_force("work_mem", psprintf("%dkB", depipe_batch_memory));
	identity_pin_output();
	triggers_begin(sql, skip);
	depipe_is_writing = true;
	depipe_writing_to = table->target->relid;
	execute_statement(table, sql, snapshot);
	table->written += SPI_processed;
	depipe_is_writing = false;
	depipe_writing_to = InvalidOid;
	triggers_end();
	identity_restore(&identity);
	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, start);
	if (table->run != NULL)
		table->run->apply_ms += INSTR_TIME_GET_MILLISEC(end);
}

int
execute_skips(const ApplyTable *table)
{
	return table->late ? SKIP_REFERENCING | SKIP_RESTRICTING : SKIP_NONE;
}

void
execute_skipping(ApplyTable *table, const char *sql, int skip, Snapshot snapshot)
{
	Written before;
	Written after;
	int level = NewGUCNestLevel();

	settings_force("track_counts", "on");
	before = execute_written_so_far(table->target->relid);
	execute_uncounted(table, sql, skip | execute_skips(table), snapshot);
	after = execute_written_so_far(table->target->relid);
	AtEOXact_GUC(false, level);
	table->run->inserted += after.inserted - before.inserted;
	table->run->updated += after.updated - before.updated;
	table->run->deleted += after.deleted - before.deleted;
}

void
execute_counted(ApplyTable *table, const char *sql, Snapshot snapshot)
{
	execute_skipping(table, sql, SKIP_NONE, snapshot);
}
