/*-------------------------------------------------------------------------
 *
 * recorded.c
 *		The recorded columns of a source table, and differences from them.
 *
 * The columns of the source are recorded as JSON with each copy, and after each
 * change that was followed: name, number, type and name of the type.
 *
 * A message of the stream contains names and types.  Only the catalog of the
 * source shows that a column was dropped and created again, or got another
 * length, precision or scale.
 *
 *-------------------------------------------------------------------------
 */
#include "load/recorded.h"

#include "load/names.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

static char *
json_text(Jsonb *object, const char *key)
{
	JsonbValue value;

	if (getKeyJsonValueFromContainer(&object->root, key, strlen(key), &value) == NULL)
		return NULL;
	if (value.type == jbvString)
		return pnstrdup(value.val.string.val, value.val.string.len);
	if (value.type == jbvNumeric)
		return DatumGetCString(
			DirectFunctionCall1(numeric_out, NumericGetDatum(value.val.numeric)));
	return NULL;
}

List *
recorded_columns(const Load *load)
{
	List *columns = NIL;
	Jsonb *json;
	JsonbIterator *iterator;
	JsonbValue value;
	JsonbIteratorToken token;

	if (load->source_columns == NULL)
		return NIL;
	json = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(load->source_columns)));
	iterator = JsonbIteratorInit(&json->root);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		RecordedColumn *column;
		Jsonb *object;

		if (token != WJB_ELEM || value.type != jbvBinary)
			continue;
		object = JsonbValueToJsonb(&value);
		column = palloc(sizeof(RecordedColumn));
		column->name = json_text(object, "name");
		column->number = json_text(object, "number") == NULL ? 0
															 : atoi(json_text(object, "number"));
		column->type = strtoul(json_text(object, "type"), NULL, 10);
		column->type_name = json_text(object, "type_name");
		columns = lappend(columns, column);
	}
	return columns;
}

RecordedColumn *
recorded_find(List *columns, const char *name)
{
	ListCell *cell;

	foreach(cell, columns)
		if (strcmp(((RecordedColumn *) lfirst(cell))->name, name) == 0)
			return lfirst(cell);
	return NULL;
}

List *
recorded_names(const Load *load)
{
	List *names = NIL;
	ListCell *cell;

	foreach(cell, recorded_columns(load))
		names = lappend(names, ((RecordedColumn *) lfirst(cell))->name);
	return names;
}

/*
 * A contradiction between the message and a column that the load takes, as a
 * sentence; NULL if there is none.
 */
char *
recorded_contradiction(LoadTask *task, List *recorded, List *names, List *types)
{
	ListCell *cell;

	foreach(cell, recorded)
	{
		RecordedColumn *column = lfirst(cell);
		ListCell *name;
		ListCell *type;
		bool found = false;

		if (!names_contain(task->source_names, column->name))
			continue;
		forboth(name, names, type, types)
		{
			if (strcmp(lfirst(name), column->name) != 0)
				continue;
			found = true;
			if (lfirst_oid(type) != column->type)
				return psprintf("column \"%s\" of the source has a different type", column->name);
		}
		if (!found)
			return psprintf("column \"%s\" of the source was dropped or renamed", column->name);
	}
	return NULL;
}

/*
 * The stream knows columns by name and type.  A column that was dropped and
 * created again looks the same, but its old values are lost.
 */
char *
recorded_replaced_column(const LoadTask *task)
{
	ListCell *cell;

	foreach(cell, recorded_columns(task->load))
	{
		RecordedColumn *column = lfirst(cell);
		SourceColumn *now = source_table_column(task->source, column->name);

		if (now != NULL && column->number != 0 && now->number != column->number &&
			projection_needs(task->load, column->name))
			return column->name;
	}
	return NULL;
}

/* "(10,2)" of the name of a type; "" if it has none. A quoted name ends with a quote. */
static char *
type_modifier(const char *type_name)
{
	char *name = pstrdup(type_name);
	size_t length = strlen(name);

	if (length > 2 && strcmp(name + length - 2, "[]") == 0)
		name[length - 2] = '\0';
	return name[0] == '\0' || name[strlen(name) - 1] != ')' ? "" : strrchr(name, '(');
}

/*
 * A renamed type is the same type.  A column recorded by an earlier version,
 * without the name of its type, counts as unchanged.
 */
static bool
is_retyped(const RecordedColumn *column, const SourceColumn *now)
{
	if (column->type_name == NULL || now->generated)
		return false;
	if (now->type != column->type || !now->user_type)
		return strcmp(now->type_name, column->type_name) != 0;
	return strcmp(type_modifier(now->type_name), type_modifier(column->type_name)) != 0;
}

char *
recorded_retyped_column(LoadTask *task)
{
	ListCell *cell;

	foreach(cell, recorded_columns(task->load))
	{
		RecordedColumn *column = lfirst(cell);
		SourceColumn *now = source_table_column(task->source, column->name);

		if (now != NULL && names_contain(task->source_names, column->name) &&
			is_retyped(column, now))
			return psprintf("column \"%s\" of the source is now of type %s, and was of type %s",
							column->name,
							now->type_name,
							column->type_name);
	}
	return NULL;
}

List *
recorded_added(List *recorded, List *names)
{
	List *added = NIL;
	ListCell *cell;

	foreach(cell, names)
		if (recorded_find(recorded, lfirst(cell)) == NULL)
			added = lappend(added, lfirst(cell));
	return added;
}

bool
recorded_differs(LoadTask *task, List *names, List *types)
{
	List *recorded = recorded_columns(task->load);

	return recorded_contradiction(task, recorded, names, types) != NULL ||
		   recorded_added(recorded, names) != NIL;
}

char *
recorded_hint(const LoadTask *task)
{
	return psprintf("Change the columns of %s to match the source, then: %s",
					task->target->display,
					task_resync_hint(task));
}

/* The name of the type of a column: from the source or else as recorded. */
static const char *
type_name_of(LoadTask *task, List *recorded, const char *name, Oid type)
{
	SourceColumn *column = task->source == NULL ? NULL : source_table_column(task->source, name);
	RecordedColumn *known = recorded_find(recorded, name);

	if (column != NULL && column->type == type)
		return column->type_name;
	return known != NULL && known->type == type ? known->type_name : NULL;
}

/* To record after a change: all columns of the message. */
char *
recorded_to_json(LoadTask *task, List *recorded, List *names, List *types)
{
	StringInfoData json;
	ListCell *name;
	ListCell *type;

	initStringInfo(&json);
	forboth(name, names, type, types)
	{
		const char *type_name = type_name_of(task, recorded, lfirst(name), lfirst_oid(type));
		SourceColumn *column = task->source == NULL
								   ? NULL
								   : source_table_column(task->source, lfirst(name));

		appendStringInfoString(&json, json.len > 0 ? ",{\"name\":" : "[{\"name\":");
		escape_json(&json, lfirst(name));
		appendStringInfo(&json,
						 ",\"number\":%d,\"type\":%u",
						 column == NULL ? 0 : column->number,
						 lfirst_oid(type));
		if (type_name != NULL)
		{
			appendStringInfoString(&json, ",\"type_name\":");
			escape_json(&json, type_name);
		}
		appendStringInfoChar(&json, '}');
	}
	appendStringInfoString(&json, json.len > 0 ? "]" : "[]");
	return json.data;
}
