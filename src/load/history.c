/*-------------------------------------------------------------------------
 *
 * history.c
 *		The columns that a history adds to the target of a load.
 *
 * These columns belong to depipe: publish/history.c writes them, and no delta
 * contains them.  An existing table can start to keep deleted rows, because
 * none of its rows is deleted.  Its rows are not versions with a beginning, so
 * an existing table must already have the columns of scd2.
 *
 *-------------------------------------------------------------------------
 */
#include "load/history.h"

#include "catalog/pg_type.h"
#include "core/sqltext.h"
#include "load/names.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

typedef struct HistoryColumn
{
	HistoryMode mode;
	const char *name;
	Oid type;
	const char *rest; /* rest of the column definition */
} HistoryColumn;

static const HistoryColumn history_columns[] = {
	{HISTORY_SOFT_DELETE, HISTORY_DELETED_AT, TIMESTAMPTZOID, ""},
	{HISTORY_SCD2, HISTORY_VALID_FROM, TIMESTAMPTZOID, " NOT NULL"},
	{HISTORY_SCD2, HISTORY_VALID_TO, TIMESTAMPTZOID, ""},
	{HISTORY_SCD2, HISTORY_IS_CURRENT, BOOLOID, " NOT NULL"},
};

static char *
definition(const HistoryColumn *column)
{
	return psprintf("%s %s%s", column->name, sql_type(column->type, -1), column->rest);
}

bool
history_uses_column(const Load *load, const char *name)
{
	for (int i = 0; i < lengthof(history_columns); i++)
		if (history_columns[i].mode == load->history && strcmp(history_columns[i].name, name) == 0)
			return true;
	return false;
}

void
history_check_definition(const LoadTask *task)
{
	ListCell *cell;

	if (task->load->history == HISTORY_NONE)
		return;
	if (task->key == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("load %s has no key, and its history \"%s\" needs one",
						task->target->display,
						history_names[task->load->history]),
				 errhint("Give the source table a primary key, or create the load with key =>.")));
	foreach(cell, task->columns)
		if (history_uses_column(task->load, lfirst(cell)))
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_COLUMN),
					 errmsg("column \"%s\" of load %s has the name of a column of its history",
							(char *) lfirst(cell),
							task->target->display),
					 errhint("Leave it out, and take it under another name: columns =>"
							 " '{\"%s\": null, \"...\": \"%s\"}'.",
							 (char *) lfirst(cell),
							 (char *) lfirst(cell))));
}

/* Returns whether the target has the column. */
static bool
check_column(const LoadTask *task, const HistoryColumn *column)
{
	AttrNumber attnum = get_attnum(task->target->relid, column->name);

	if (attnum == InvalidAttrNumber)
		return false;
	if (get_atttype(task->target->relid, attnum) == column->type &&
		get_attgenerated(task->target->relid, attnum) == '\0')
		return true;
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("column \"%s\" of %s must be an ordinary column of type %s for history \"%s\"",
					column->name,
					task->target->display,
					format_type_be(column->type),
					history_names[column->mode])));
}

static void
refuse_missing(const LoadTask *task, const HistoryColumn *column)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("%s has no column \"%s\", which history \"%s\" needs",
					task->target->display,
					column->name,
					history_names[column->mode]),
			 column->mode == HISTORY_SCD2
				 ? errhint("Create the load for a table that does not exist yet.")
				 : errhint("SELECT depipe.resync(%s);", sql_literal(task->target->display))));
}

void
history_check_target(const LoadTask *task)
{
	if (!OidIsValid(task->target->relid))
		return;
	for (int i = 0; i < lengthof(history_columns); i++)
		if (history_columns[i].mode == task->load->history &&
			!check_column(task, &history_columns[i]))
			refuse_missing(task, &history_columns[i]);
}

void
history_append_columns(StringInfo sql, const LoadTask *task)
{
	for (int i = 0; i < lengthof(history_columns); i++)
		if (history_columns[i].mode == task->load->history)
			appendStringInfo(sql, ", %s", definition(&history_columns[i]));
}

void
history_append_key(StringInfo sql, const LoadTask *task)
{
	if (task->load->history == HISTORY_SCD2)
		appendStringInfoString(sql, ", " HISTORY_VALID_FROM);
}

char *
history_index_sql(const LoadTask *task)
{
	StringInfoData sql;
	ListCell *cell;

	if (task->load->history != HISTORY_SCD2)
		return NULL;
	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE UNIQUE INDEX ON %s", task->target->display);
	foreach(cell, task->key)
		appendStringInfo(&sql,
						 "%s%s",
						 foreach_current_index(cell) == 0 ? " (" : ", ",
						 sql_identifier(lfirst(cell)));
	appendStringInfoString(&sql, ") WHERE " HISTORY_IS_CURRENT);
	return sql.data;
}

char *
history_missing_sql(const LoadTask *task)
{
	const HistoryColumn *column = &history_columns[0];

	if (task->load->history != HISTORY_SOFT_DELETE)
	{
		history_check_target(task);
		return NULL;
	}
	if (check_column(task, column))
		return NULL;
	return psprintf("ALTER TABLE %s ADD COLUMN %s", task->target->display, definition(column));
}
