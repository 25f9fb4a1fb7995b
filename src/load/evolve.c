/*-------------------------------------------------------------------------
 *
 * evolve.c
 *		Changes of the columns of the source, and how the target follows
 *		them.
 *
 * Added columns flow in.  Rows older than an added column take the value that
 * the source keeps for them (its "missing" value).  If the source wrote values
 * into its rows, only a resync can find them, and the table pauses.  A dropped,
 * renamed or retyped column pauses the table as well: only a person knows which
 * columns the target should have then.
 *
 *-------------------------------------------------------------------------
 */
#include "load/evolve.h"

#include "core/guarded.h"
#include "core/sqltext.h"
#include "load/basis.h"
#include "load/history.h"
#include "load/layout.h"
#include "load/recorded.h"
#include "load/types.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

static void
pause_for_person(LoadTask *task, const char *reason)
{
	task_stop(task, LOAD_PAUSED, ERRCODE_DEPIPE_SCHEMA_CHANGE, reason, recorded_hint(task));
}

/*
 * Did rows older than the column get a value that is in no message?  A constant
 * default is the value of rows that are older than the column; on a partitioned
 * table, or after a rewrite, it is not in the catalog entry of the table.  If
 * the addition rewrote the table (a volatile default, one of a domain, an
 * identity) its transaction wrote all rows.  A table with its first file was
 * never rewritten.  Rows updated since are in the stream.
 */
static char *
filled_sql(const SourceTable *table, const char *name)
{
	bool partitioned = table->kind == RELKIND_PARTITIONED_TABLE;
	const char *column = sql_identifier(name);
	char *from = psprintf("FROM %s%s x WHERE pg_catalog.age(x.xmin)",
						  partitioned ? "" : "ONLY ",
						  sql_table(table->schema_name, table->table_name));

	return psprintf("SELECT EXISTS (SELECT %s > a.age AND x.%s IS NOT NULL)"
					" OR (%s AND EXISTS (SELECT %s = a.age AND x.%s IS NOT NULL)"
					" AND NOT EXISTS (SELECT %s > a.age))"
					" FROM (SELECT pg_catalog.age(xmin) AS age FROM pg_catalog.pg_attribute"
					" WHERE attrelid = %u AND attname = %s) a",
					from,
					column,
					partitioned ? "true"
								: psprintf("EXISTS (SELECT FROM pg_catalog.pg_class c"
										   " WHERE c.oid = %u AND c.relfilenode <> c.oid)",
										   table->relid),
					from,
					column,
					from,
					table->relid,
					sql_literal(name));
}

static bool
rows_were_filled(Connection *control, LoadTask *task, const char *name)
{
	SourceRows *rows =
		source_query(control, 1, filled_sql(task->source, name), "read a new column");

	return rows->count > 0 && rows->values[0][0] != NULL && rows->values[0][0][0] == 't';
}

/*
 * For a partitioned table, the partitions keep the default of a new column;
 * returns false if they have several.
 */
static bool
take_missing_of_partitions(Connection *control, LoadTask *task, SourceColumn *column)
{
	SourceRows *rows;

	if (task->source->kind != RELKIND_PARTITIONED_TABLE || column->has_missing)
		return true;
	rows = source_query(control,
						1,
						psprintf("WITH RECURSIVE part (oid) AS (SELECT %u::pg_catalog.oid UNION ALL"
								 " SELECT i.inhrelid FROM part p JOIN pg_catalog.pg_inherits i"
								 " ON i.inhparent = p.oid)"
								 " SELECT DISTINCT (a.attmissingval::text::text[])[1]"
								 " FROM part p JOIN pg_catalog.pg_attribute a ON a.attrelid = p.oid"
								 " WHERE a.attname = %s AND a.atthasmissing",
								 task->source->relid,
								 sql_literal(column->name)),
						"read a new column");
	if (rows->count == 1)
	{
		column->has_missing = true;
		column->missing = rows->values[0][0];
		column->missing_lost = rows->lossy;
	}
	return rows->count <= 1;
}

/* Add one column; returns false if the table was paused. */
static bool
follow_addition(Connection *control, LoadTask *task, const char *name)
{
	SourceColumn *column = task->source == NULL ? NULL : source_table_column(task->source, name);
	Identity identity;
	char *problem;
	char *source_type;

	if (projection_leaves_out(task->load, name) || column == NULL || column->generated)
		return true; /* not wanted, or dropped again: a later message shows that */
	if (task->load->new_columns == NEW_COLUMNS_IGNORE)
		return true;
	if (task->load->new_columns == NEW_COLUMNS_PAUSE ||
		task->load->schema_change == SCHEMA_CHANGE_PAUSE)
	{
		pause_for_person(task, psprintf("the source has a new column \"%s\"", name));
		return false;
	}
	/* without a new file since the copy, the addition filled no row */
	if (!take_missing_of_partitions(control, task, column) ||
		(!column->has_missing && basis_files_changed(task) &&
		 rows_were_filled(control, task, name)))
	{
		pause_for_person(
			task,
			psprintf("the source filled its new column \"%s\" with a value for each row", name));
		return false;
	}
	if (column->has_missing && column->missing_lost)
	{
		pause_for_person(
			task,
			psprintf("the default of the new column \"%s\" cannot be read here", name));
		return false;
	}
	if (history_uses_column(task->load, name))
	{
		pause_for_person(
			task,
			psprintf("the source has a new column \"%s\", which the history of the load uses",
					 name));
		return false;
	}
	task_become_owner(task, &identity);
	problem = type_too_narrow(task, name, &source_type);
	if (problem != NULL)
		problem = MemoryContextStrdup(task->set->context, problem);
	else if (get_attnum(task->target->relid, name) == InvalidAttrNumber)
		layout_add_column(control, task, name);
	else if (column->has_missing)
		problem = MemoryContextStrdup(
			task->set->context,
			psprintf("%s already has a column \"%s\", and the new one of the source has a default",
					 task->target->display,
					 name));
	task_restore(&identity);
	CommandCounterIncrement();
	if (problem != NULL)
		pause_for_person(task, problem);
	return problem == NULL;
}

static bool
lock_work(void *argument)
{
	LockRelationOid(*(Oid *) argument, AccessExclusiveLock);
	return true;
}

/*
 * While a session waits for this lock, all readers of the table wait behind it.
 * Changes that fill the new column cannot be kept without the column: the run
 * of all tables fails, and is tried again.
 */
static void
lock_to_add(LoadTask *task)
{
	ErrorData *error = guarded_run_waiting(lock_work,
										   &task->target->relid,
										   task_lock_timeout(task->set));

	if (error == NULL)
		return;
	task->set->current = NULL;
	ereport(ERROR,
			(errcode(error->sqlerrcode),
			 errmsg("a column must be added to %s, but another session has locked the table",
					task->target->display)));
}

void
evolve_follow(Connection *control, LoadTask *task, List *names, List *types)
{
	List *recorded = recorded_columns(task->load);
	MemoryContext old = MemoryContextSwitchTo(task->set->context);
	char *problem = recorded_contradiction(task, recorded, names, types);
	ListCell *cell;

	if (problem != NULL)
	{
		pause_for_person(task, problem);
		MemoryContextSwitchTo(old);
		return;
	}
	task->source = source_table_describe(control,
										 task->load->source_schema,
										 task->load->source_table);
	if (task->source != NULL && recorded_replaced_column(task) != NULL)
	{
		pause_for_person(task,
						 psprintf("column \"%s\" of the source was dropped and recreated",
								  recorded_replaced_column(task)));
		MemoryContextSwitchTo(old);
		return;
	}
	if (task->source != NULL && (problem = recorded_retyped_column(task)) != NULL)
	{
		pause_for_person(task, problem);
		MemoryContextSwitchTo(old);
		return;
	}
	if (recorded_added(recorded, names) != NIL && OidIsValid(task->target->relid))
		lock_to_add(task);
	foreach(cell, recorded_added(recorded, names))
		if (!follow_addition(control, task, lfirst(cell)))
		{
			MemoryContextSwitchTo(old);
			return;
		}
	load_set_columns(task->load, recorded_to_json(task, recorded, names, types));
	layout_take_recorded(task);
	MemoryContextSwitchTo(old);
}
