/*-------------------------------------------------------------------------
 *
 * examine.c
 *		Examination of the source table of a task: can it be loaded?
 *
 * A streaming load keeps the columns and the key of its copy.  Changes at the
 * source that are in no message of the stream are found here.  Nothing is
 * written: a problem stays with its task (task.c).
 *
 *-------------------------------------------------------------------------
 */
#include "load/examine.h"

#include "core/guarded.h"
#include "core/message.h"
#include "core/settings.h"
#include "core/sqltext.h"
#include "load/adopt.h"
#include "load/layout.h"
#include "load/recorded.h"
#include "utils/cash.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"

/* ---- columns ---- */

/* Names of the columns of the source that a load takes. */
static List *
taken_columns(const LoadTask *task)
{
	List *names = NIL;
	ListCell *cell;

	foreach(cell, task->source->columns)
	{
		SourceColumn *column = lfirst(cell);

		if (!column->generated && !projection_leaves_out(task->load, column->name))
			names = lappend(names, column->name);
	}
	return names;
}

static bool
take_recorded_work(void *argument)
{
	layout_take_recorded(argument);
	return true;
}

/* Its columns or expressions may no longer fit: then only this table stops. */
static void
take_recorded(LoadTask *task)
{
	ErrorData *error = guarded_run(take_recorded_work, task);

	if (error != NULL)
		task_set_problem(task,
						 LOAD_NEEDS_RESYNC,
						 error->sqlerrcode,
						 message_without_values(error),
						 task_resync_hint(task));
}

/* A streaming load keeps the columns and the key of its copy. */
static void
take_description(LoadTask *task, SourceTable *source)
{
	task->source = source;
	if (task->source != NULL && task->load->state != LOAD_STREAMING)
	{
		task->key = source_table_key(task->source, task->load->key);
		task->columns = taken_columns(task);
		task->source_names = task->columns;
	}
	else if (task->source != NULL && OidIsValid(task->target->relid))
	{
		task->key = task->load->copied_key;
		take_recorded(task);
	}
}

void
examine_describe(const TaskSet *set, List *tasks, Connection *connection)
{
	/* the description of a table outlives the batch */
	MemoryContext old = MemoryContextSwitchTo(set->context);
	List *schemas = NIL;
	List *tables = NIL;
	List *described;
	ListCell *cell;

	foreach(cell, tasks)
	{
		const Load *load = ((LoadTask *) lfirst(cell))->load;

		schemas = lappend(schemas, load->source_schema);
		tables = lappend(tables, load->source_table);
	}
	described = source_tables_describe(connection, schemas, tables);
	foreach(cell, tasks)
		take_description(lfirst(cell), list_nth(described, foreach_current_index(cell)));
	MemoryContextSwitchTo(old);
}

/* ---- problems ---- */

/* A streaming table that is left out of a run misses changes. */
LoadState
examine_stopped_state(const Load *load)
{
	return load->state == LOAD_STREAMING ? LOAD_NEEDS_RESYNC : load->state;
}

static const char *
stopped_reason(const Load *load)
{
	if (load->reason != NULL)
		return load->reason;
	return load->state == LOAD_DETACHED ? DETACHED_REASON : "it needs a resync";
}

/* A column to leave out that does not exist may be a misspelt name of another one. */
static char *
unknown_left_out(const LoadTask *task, char **hint)
{
	ListCell *cell;

	if (task->load->state == LOAD_STREAMING)
		return NULL; /* it existed when the table was copied */
	foreach(cell, projection_left_out(task->load))
	{
		if (source_table_column(task->source, lfirst(cell)) != NULL)
			continue;
		*hint = "Names in \"columns\" must match the source, including case. Correct them with"
				" create_load(..., replace => true).";
		return psprintf("column \"%s\", which is left out, does not exist in the source table",
						(char *) lfirst(cell));
	}
	return NULL;
}

/* The number is sent unchanged: it must be the same amount here, under the settings of the load. */
static char *
other_money(const LoadTask *task, char **hint)
{
	int level;
	int digits;
	ListCell *cell;

	if (task->source->money_digits < 0)
		return NULL;
	level = NewGUCNestLevel();
	settings_enter(task->target->settings);
	digits = DatumGetInt32(
		DirectFunctionCall1(numeric_scale, DirectFunctionCall1(cash_numeric, Int64GetDatum(1))));
	AtEOXact_GUC(false, level);
	if (digits == task->source->money_digits)
		return NULL;
	foreach(cell, task->source->columns)
	{
		SourceColumn *column = lfirst(cell);

		if (!source_column_is_money(column) || projection_leaves_out(task->load, column->name))
			continue;
		*hint = "Create the load with settings => '{lc_monetary=...}', a locale of that currency.";
		return psprintf("column \"%s\" is of type money, which has %d decimals at the source and"
						" %d here",
						column->name,
						task->source->money_digits,
						digits);
	}
	return NULL;
}

void
examine_find_problem(LoadTask *task)
{
	Load *load = task->load;
	char *hint = task_resync_hint(task);
	char *problem = NULL;

	if (task->problem != NULL)
		return;
	if (load->state == LOAD_DETACHED || load->state == LOAD_NEEDS_RESYNC)
		task_set_problem(task,
						 load->state,
						 ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
						 stopped_reason(load),
						 load->state == LOAD_DETACHED ? adopt_hint(load->server_name) : hint);
	else if (load->state == LOAD_PAUSED)
		task_set_problem(task, load->state, ERRCODE_DEPIPE_SCHEMA_CHANGE, load->reason, hint);
	else if (task->source == NULL)
		task_set_problem(task,
						 examine_stopped_state(load),
						 ERRCODE_UNDEFINED_TABLE,
						 psprintf("source table %s does not exist or is not visible",
								  sql_table(load->source_schema, load->source_table)),
						 NULL);
	else if (load->state == LOAD_STREAMING && load->source_relid != task->source->relid)
		task_set_problem(task,
						 LOAD_NEEDS_RESYNC,
						 ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
						 "the source table was dropped and recreated",
						 hint);
	else if (load->state == LOAD_STREAMING && task->key == NIL && !source_table_full(task->source))
		task_set_problem(task,
						 LOAD_NEEDS_RESYNC,
						 ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
						 IDENTITY_LOST,
						 hint);
	else if (load->state == LOAD_STREAMING && recorded_replaced_column(task) != NULL)
		task_set_problem(task,
						 LOAD_NEEDS_RESYNC,
						 ERRCODE_DEPIPE_SCHEMA_CHANGE,
						 psprintf("column \"%s\" of the source was dropped and recreated",
								  recorded_replaced_column(task)),
						 hint);
	else if (load->state == LOAD_STREAMING && !OidIsValid(task->target->relid))
		task_set_problem(task,
						 LOAD_NEEDS_RESYNC,
						 ERRCODE_UNDEFINED_TABLE,
						 "the target table does not exist",
						 hint);
	else if (load->state == LOAD_STREAMING && (problem = recorded_retyped_column(task)) != NULL)
		task_set_problem(task,
						 LOAD_PAUSED,
						 ERRCODE_DEPIPE_SCHEMA_CHANGE,
						 problem,
						 recorded_hint(task));
	else
	{
		problem = source_table_problem(task->source, task->key, &hint);
		if (problem == NULL)
			problem = unknown_left_out(task, &hint);
		if (problem == NULL)
			problem = other_money(task, &hint);
		if (problem != NULL)
			task_set_problem(task,
							 examine_stopped_state(load),
							 ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
							 problem,
							 hint);
	}
}
