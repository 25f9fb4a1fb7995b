/*-------------------------------------------------------------------------
 *
 * layout.c
 *		The columns of a target, and the expressions that fill them.
 *
 * A missing target is created from the source table; an existing one is
 * extended by the columns that it lacks.  The load owns the columns that target
 * and source share; others belong to the user.  Statements run as the owner of
 * the target.
 *
 * A streaming load keeps the columns that were recorded with its copy.
 *
 *-------------------------------------------------------------------------
 */
#include "load/layout.h"

#include "core/settings.h"
#include "core/sqltext.h"
#include "load/history.h"
#include "load/names.h"
#include "load/recorded.h"
#include "load/types.h"
#include "parser/parse_type.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

/* ---- making and extending the target ---- */

static void
execute_as_owner(LoadTask *task, const char *sql)
{
	int level = identity_begin_statement();

	depipe_is_writing = true;
	task_execute(sql);
	depipe_is_writing = false;
	identity_end_statement(level);
}

/* A column that the source added later is not in the projection yet: it is taken unchanged. */
static bool
is_projected(const LoadTask *task, const char *name)
{
	return task->projection != NULL && names_contain(projection_names(task->projection), name);
}

/* The type of a new column of the target. */
static char *
target_type(Connection *control, LoadTask *task, const char *name)
{
	if (is_projected(task, name))
		return projection_type(task->projection, name);
	return type_here(control, source_table_column(task->source, name));
}

static void
create_table(Connection *control, LoadTask *task)
{
	StringInfoData sql;
	const char *separator = "";
	ListCell *cell;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TABLE %s (", task->target->display);
	foreach(cell, task->columns)
	{
		const char *name = lfirst(cell);

		appendStringInfo(&sql,
						 "%s%s %s%s",
						 separator,
						 sql_identifier(name),
						 target_type(control, task, name),
						 names_contain(task->key, name) ? " NOT NULL" : "");
		separator = ", ";
	}
	history_append_columns(&sql, task);
	separator = ", PRIMARY KEY (";
	foreach(cell, task->key)
	{
		appendStringInfo(&sql, "%s%s", separator, sql_identifier(lfirst(cell)));
		separator = ", ";
	}
	history_append_key(&sql, task);
	appendStringInfoString(&sql, task->key != NIL ? "))" : ")");
	execute_as_owner(task, sql.data);
	if (history_index_sql(task) != NULL)
		execute_as_owner(task, history_index_sql(task));
}

void
layout_add_column(Connection *control, LoadTask *task, const char *column_name)
{
	const SourceColumn *column = source_table_column(task->source, column_name);
	const char *name = sql_identifier(column_name);
	bool has_missing = column != NULL && column->has_missing && !is_projected(task, column_name);

	execute_as_owner(task,
					 psprintf("ALTER TABLE %s ADD COLUMN %s %s%s%s",
							  task->target->display,
							  name,
							  target_type(control, task, column_name),
							  has_missing ? " DEFAULT " : "",
							  has_missing ? sql_literal(column->missing) : ""));
	if (has_missing)
		execute_as_owner(
			task,
			psprintf("ALTER TABLE %s ALTER COLUMN %s DROP DEFAULT", task->target->display, name));
}

/*
 * The columns that source and target share, without generated ones.  Takes no
 * lock: a session can begin while one of its tables is locked.
 */
static List *
shared_columns(LoadTask *task)
{
	List *names = NIL;
	ListCell *cell;

	foreach(cell, task->columns)
	{
		HeapTuple tuple = SearchSysCacheAttName(task->target->relid, lfirst(cell));

		if (!HeapTupleIsValid(tuple))
			continue;
		if (((Form_pg_attribute) GETSTRUCT(tuple))->attgenerated == '\0')
			names = lappend(names, lfirst(cell));
		ReleaseSysCache(tuple);
	}
	return names;
}

/* The key columns are compared with those of the source: they must be of the same type. */
static void
check_projected_key(LoadTask *task, const char *name)
{
	AttrNumber attnum = get_attnum(task->target->relid, name);

	if (strcmp(format_type_be_qualified(get_atttype(task->target->relid, attnum)),
			   projection_base_type(task->projection, name)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("key column \"%s\" of %s has a type that differs from the source",
						name,
						task->target->display)));
}

/* Check that the remaining columns suffice for the load. */
static void
take_shared_columns(LoadTask *task)
{
	MemoryContext old = MemoryContextSwitchTo(task->set->context);
	ListCell *cell;

	task->columns = shared_columns(task);
	if (task->projection == NULL)
		task->source_names = task->columns;
	foreach(cell, task->key)
	{
		if (!names_contain(task->columns, lfirst(cell)))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("key column \"%s\" does not exist in %s",
							(char *) lfirst(cell),
							task->target->display)));
		if (task->projection != NULL)
			check_projected_key(task, lfirst(cell));
	}
	MemoryContextSwitchTo(old);
}

/* ---- projections ---- */

/* One column of the source with a type of this database. */
static void
add_layout_column(TupleDesc layout, int *count, const char *name, const char *type_name)
{
	Oid type;
	int32 typmod;

	if (!type_exists_here(type_name))
		ereport(
			ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("type %s of column \"%s\" does not exist in this database", type_name, name),
			 errhint("Create the type %s here.", type_name)));
	parse_type_compat(type_name, &type, &typmod);
	TupleDescInitEntry(layout, ++(*count), name, type, typmod, 0);
	TupleDescInitEntryCollation(layout, *count, get_typcollation(type));
}

TupleDesc
layout_of_source(List *names, List *type_names)
{
	TupleDesc layout = CreateTemplateTupleDesc(list_length(names));
	ListCell *name;
	ListCell *type_name;
	int count = 0;

	forboth(name, names, type_name, type_names)
		add_layout_column(layout, &count, lfirst(name), lfirst(type_name));
	return layout;
}

/*
 * Analyse the expressions of a load over columns of the source (lists of names
 * and names of types).  The current identity is that of the owner.
 */
static void
make_projection(LoadTask *task, List *names, List *type_names)
{
	MemoryContext old = MemoryContextSwitchTo(task->set->context);
	TupleDesc layout = layout_of_source(names, type_names);
	ListCell *name;
	int level;

	/* not for rows of the source: their texts have the form of the base settings */
	level = NewGUCNestLevel();
	settings_enter(task->target->settings);
	task->projection = projection_create(task->load, task->key, layout);
	AtEOXact_GUC(false, level);
	task->settled = projection_settled(task->projection);
	task->columns = projection_names(task->projection);
	task->source_names = NIL; /* the names of the caller live in SPI's memory context */
	foreach(name, names)
		task->source_names = lappend(task->source_names, pstrdup(lfirst(name)));
	MemoryContextSwitchTo(old);
}

/* Analyse over the columns of the current source that the load needs. */
static void
make_new_projection(Connection *control, LoadTask *task)
{
	MemoryContext old = MemoryContextSwitchTo(task->set->context);
	List *names = NIL;
	List *type_names = NIL;
	ListCell *cell;

	foreach(cell, task->source->columns)
	{
		SourceColumn *column = lfirst(cell);

		if (column->generated || !projection_needs(task->load, column->name))
			continue;
		names = lappend(names, column->name);
		type_names = lappend(type_names, type_here(control, column));
	}
	make_projection(task, names, type_names);
	MemoryContextSwitchTo(old);
}

/*
 * Columns that the source had at the last copy and no longer has: the copy puts
 * NULL into them, so that their old values are not mistaken for values of the
 * source.
 */
static void
empty_gone_columns(LoadTask *task)
{
	MemoryContext old = MemoryContextSwitchTo(task->set->context);
	ListCell *cell;

	task->source_names = list_copy(task->source_names);
	task->columns = list_copy(task->columns);
	foreach(cell, recorded_names(task->load))
	{
		const char *name = lfirst(cell);
		const SourceColumn *now = source_table_column(task->source, name);
		AttrNumber attnum = get_attnum(task->target->relid, name);

		if ((now == NULL || now->generated) && attnum != InvalidAttrNumber &&
			get_attgenerated(task->target->relid, attnum) == '\0' &&
			!projection_leaves_out(task->load, name) && !names_contain(task->columns, name))
			task->columns = lappend(task->columns, pstrdup(name));
	}
	MemoryContextSwitchTo(old);
}

void
layout_prepare_target(Connection *control, LoadTask *task)
{
	Identity identity;
	ListCell *cell;

	/* another session may have made the table since this one began */
	if (!OidIsValid(task->target->relid))
		(void) target_bind(task->target);
	task_become_owner(task, &identity);
	task->projection = NULL;
	if (projection_wanted(task->load))
		make_new_projection(control, task);
	history_check_definition(task);
	if (!OidIsValid(task->target->relid))
	{
		create_table(control, task);
		identity_restore(&identity);
		(void) target_bind(task->target);
		load_set_made_table(task->target->id);
		identity_become(task->target->owner, &identity);
	}
	else if (task->load->new_columns == NEW_COLUMNS_LOAD)
	{
		List *shared = shared_columns(task);

		foreach(cell, task->columns)
			if (get_attnum(task->target->relid, lfirst(cell)) == InvalidAttrNumber &&
				!names_contain(shared, lfirst(cell)))
				layout_add_column(control, task, lfirst(cell));
	}
	if (history_missing_sql(task) != NULL)
		execute_as_owner(task, history_missing_sql(task));
	task_restore(&identity);
	take_shared_columns(task);
	empty_gone_columns(task);
}

static List *
not_left_out(const Load *load, List *names)
{
	List *taken = NIL;
	ListCell *cell;

	foreach(cell, names)
		if (!projection_leaves_out(load, lfirst(cell)))
			taken = lappend(taken, pstrdup(lfirst(cell)));
	return taken;
}

/* Analyse over the recorded columns that the load needs. */
static void
make_recorded_projection(LoadTask *task)
{
	List *names = NIL;
	List *type_names = NIL;
	Identity identity;
	ListCell *cell;

	task_become_owner(task, &identity);
	foreach(cell, recorded_columns(task->load))
	{
		RecordedColumn *column = lfirst(cell);

		if (column->type_name == NULL || !projection_needs(task->load, column->name))
			continue;
		names = lappend(names, column->name);
		type_names = lappend(type_names, column->type_name);
	}
	make_projection(task, names, type_names);
	task_restore(&identity);
	if (!equal_texts(task->settled, task->load->settled))
		load_set_settled(task->load, task->settled);
}

/*
 * The copy gave the target every column that the load takes.  A missing one was
 * dropped or renamed here: without this check its values would silently be
 * lost.  With new_columns "ignore" a target may have fewer.
 */
static void
check_columns_here(LoadTask *task)
{
	ListCell *cell;

	if (task->load->new_columns != NEW_COLUMNS_LOAD)
		return;
	foreach(cell, task->columns)
	{
		const char *name = lfirst(cell);
		SourceColumn *column = source_table_column(task->source, name);

		if (column != NULL && !column->generated &&
			get_attnum(task->target->relid, name) == InvalidAttrNumber)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" of %s was dropped or renamed here",
							name,
							task->target->display)));
	}
}

void
layout_take_recorded(LoadTask *task)
{
	MemoryContext old = MemoryContextSwitchTo(task->set->context);

	task->projection = NULL;
	if (projection_wanted(task->load))
		make_recorded_projection(task);
	else
		task->columns = not_left_out(task->load, recorded_names(task->load));
	check_columns_here(task);
	history_check_target(task);
	take_shared_columns(task);
	types_check_key(task);
	MemoryContextSwitchTo(old);
}
