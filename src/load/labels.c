/*-------------------------------------------------------------------------
 *
 * labels.c
 *		New labels of enum types of the source.
 *
 * A new label changes no row and is in no stream: it arrives with its first
 * value.  Therefore it is added here, at its place, as the owner of the target,
 * and the batch that failed because of it is read again.  Labels can be used
 * only after the commit of the transaction that added them.
 *
 * The stream does not report a renamed label either, although all rows with it
 * change.  It looks like a new label, while the source lacks one that exists
 * here.
 *
 *-------------------------------------------------------------------------
 */
#include "load/labels.h"

#include "catalog/pg_enum.h"
#include "core/guarded.h"
#include "core/identity.h"
#include "core/message.h"
#include "core/sqltext.h"
#include "executor/spi.h"
#include "load/types.h"
#include "parser/parse_type.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

typedef struct LabelsWork
{
	Connection *control;
	LoadTask *task;
	bool added;
} LabelsWork;

/* The enum type of a column, or of its elements; InvalidOid if it has another type. */
static Oid
enum_of(Oid type)
{
	Oid element = get_element_type(type);

	if (OidIsValid(element))
		type = element;
	return type_is_enum(type) ? type : InvalidOid;
}

/* The type here of a column of the source. */
static Oid
local_enum(const LoadTask *task, const SourceColumn *column)
{
	AttrNumber attnum = get_attnum(task->target->relid, column->name);
	Oid type;
	int32 typmod;

	if (!column->user_type || column->generated)
		return InvalidOid;
	if (attnum != InvalidAttrNumber && !projection_computes(task->load, column->name))
		return enum_of(get_atttype(task->target->relid, attnum));
	if (!type_exists_here(column->type_name))
		return InvalidOid;
	parse_type_compat(column->type_name, &type, &typmod);
	return enum_of(type);
}

static bool
has_label(Oid type, const char *label)
{
	return SearchSysCacheExists2(ENUMTYPOIDNAME, ObjectIdGetDatum(type), CStringGetDatum(label));
}

static List *
source_labels(Connection *control, Oid type)
{
	SourceRows *rows = source_query(
		control,
		1,
		psprintf("SELECT e.enumlabel FROM pg_catalog.pg_type c"
				 " JOIN pg_catalog.pg_enum e ON e.enumtypid ="
				 " CASE WHEN c.typelem <> 0 AND c.typlen = -1 THEN c.typelem"
				 " ELSE c.oid END WHERE c.oid = %u ORDER BY e.enumsortorder",
				 type),
		"read a type");
	List *labels = NIL;

	for (int i = 0; i < rows->count; i++)
		labels = lappend(labels, rows->values[i][0]);
	return labels;
}

/* A label here that the source does not have; NULL if there is none. */
static char *
surplus_label(Oid type, List *labels)
{
	CatCList *list = SearchSysCacheList1(ENUMTYPOIDNAME, ObjectIdGetDatum(type));
	char *surplus = NULL;

	for (int i = 0; i < list->n_members && surplus == NULL; i++)
	{
		Form_pg_enum row = (Form_pg_enum) GETSTRUCT(&list->members[i]->tuple);
		bool found = false;
		ListCell *cell;

		foreach(cell, labels)
			found |= strcmp(lfirst(cell), NameStr(row->enumlabel)) == 0;
		if (!found)
			surplus = pstrdup(NameStr(row->enumlabel));
	}
	ReleaseCatCacheList(list);
	return surplus;
}

/* " AFTER 'x'", or BEFORE the first later label that exists here. */
static char *
place_of(Oid type, List *labels, int position)
{
	if (position > 0)
		return psprintf(" AFTER %s", sql_literal(list_nth(labels, position - 1)));
	for (int i = 1; i < list_length(labels); i++)
		if (has_label(type, list_nth(labels, i)))
			return psprintf(" BEFORE %s", sql_literal(list_nth(labels, i)));
	return "";
}

static void
add_label(Oid type, List *labels, int position)
{
	char *sql = psprintf("ALTER TYPE %s ADD VALUE %s%s",
						 format_type_be_qualified(type),
						 sql_literal(list_nth(labels, position)),
						 place_of(type, labels, position));
	int level = identity_begin_statement();

	if (SPI_execute(sql, false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "could not execute \"%s\"", sql);
	identity_end_statement(level);
	CommandCounterIncrement();
}

static void
check_not_renamed(const LoadTask *task, Oid type, List *labels, const char *new_label)
{
	char *surplus = task->load->state == LOAD_STREAMING ? surplus_label(type, labels) : NULL;

	if (surplus == NULL)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_DEPIPE_SCHEMA_CHANGE),
			 errmsg("enum type %s of the source has a label \"%s\" and no label \"%s\" as here:"
					" it may have been renamed",
					format_type_be(type),
					new_label,
					surplus)));
}

static bool
labels_work(void *argument)
{
	LabelsWork *work = argument;
	LoadTask *task = work->task;
	Identity identity;
	ListCell *cell;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	identity_become(task->target->owner, &identity);
	foreach(cell, task->source->columns)
	{
		SourceColumn *column = lfirst(cell);
		Oid type = local_enum(task, column);
		List *labels = OidIsValid(type) ? source_labels(work->control, column->type) : NIL;

		for (int i = 0; i < list_length(labels); i++)
		{
			if (has_label(type, list_nth(labels, i)))
				continue;
			check_not_renamed(task, type, labels, list_nth(labels, i));
			add_label(type, labels, i);
			work->added = true;
		}
	}
	identity_restore(&identity);
	SPI_finish();
	return true;
}

bool
labels_add(Connection *control, LoadTask *task, ErrorData **error)
{
	LabelsWork work = {control, task, false};

	*error = task->source == NULL ? NULL : guarded_run(labels_work, &work);
	return *error == NULL && work.added;
}

void
labels_add_all(Connection *control, const TaskSet *set)
{
	ListCell *cell;

	foreach(cell, set->tasks)
	{
		LoadTask *task = lfirst(cell);
		ErrorData *error;

		if (task->stopped || task->ownerless)
			continue;
		(void) labels_add(control, task, &error);
		if (error == NULL)
			continue;
		if (task->load->state != LOAD_STREAMING)
			task_fail(task, error);
		else
			task_stop(task,
					  LOAD_NEEDS_RESYNC,
					  error->sqlerrcode,
					  message_without_values(error),
					  task_resync_hint(task));
	}
}
