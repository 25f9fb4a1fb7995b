/*-------------------------------------------------------------------------
 *
 * types.c
 *		Types of the source's columns in this database.
 *
 * Names of types arrive from the source as text.  They are resolved to types of
 * this database before they are used in a statement, so that no text of a
 * source is ever executed.  A missing enum type is created here, as the owner
 * of the target; for any other missing type a hint names the remedy.
 *
 *-------------------------------------------------------------------------
 */
#include "load/types.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "core/sqltext.h"
#include "load/narrowing.h"
#include "parser/parse_type.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

/* ---- types ---- */

/* The statement that creates a missing enum type; NULL if it is not an enum. */
static char *
enum_statement(Connection *control, const SourceColumn *column)
{
	SourceRows *rows = source_query(
		control,
		3,
		psprintf("SELECT n.nspname, t.typname, e.enumlabel FROM pg_catalog.pg_type c"
				 " JOIN pg_catalog.pg_type t ON t.oid ="
				 " CASE WHEN c.typelem <> 0 AND c.typlen = -1 THEN c.typelem ELSE c.oid END"
				 " JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace"
				 " JOIN pg_catalog.pg_enum e ON e.enumtypid = t.oid"
				 " WHERE c.oid = %u ORDER BY e.enumsortorder",
				 column->type),
		"read a type");
	StringInfoData sql;

	if (rows->count == 0)
		return NULL;
	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "CREATE TYPE %s AS ENUM (",
					 sql_table(rows->values[0][0], rows->values[0][1]));
	for (int i = 0; i < rows->count; i++)
		appendStringInfo(&sql, "%s%s", i > 0 ? ", " : "", sql_literal(rows->values[i][2]));
	appendStringInfoChar(&sql, ')');
	return sql.data;
}

bool
type_exists_here(const char *type_name)
{
	TypeName *parsed = type_string_to_name_compat(type_name);
	HeapTuple tuple = LookupTypeName(NULL, parsed, NULL, true);

	if (tuple == NULL)
		return false;
	ReleaseSysCache(tuple);
	return true;
}

/* A type of that name in another schema here, or NULL; not the row type of a table. */
static char *
type_elsewhere(const char *name)
{
	CatCList *list = SearchSysCacheList1(TYPENAMENSP, CStringGetDatum(name));
	char *found = NULL;

	for (int i = 0; i < list->n_members && found == NULL; i++)
	{
		Form_pg_type row = (Form_pg_type) GETSTRUCT(&list->members[i]->tuple);

		if (row->typisdefined && !isAnyTempNamespace(row->typnamespace) &&
			(!OidIsValid(row->typrelid) ||
			 get_rel_relkind(row->typrelid) == RELKIND_COMPOSITE_TYPE))
			found = format_type_be_qualified(row->oid);
	}
	ReleaseCatCacheList(list);
	return found;
}

/* A hint about a type that is missing here. */
static char *
missing_type_hint(Connection *control, const SourceColumn *column)
{
	SourceRows *rows = source_query(
		control,
		3,
		psprintf(
			"SELECT t.typname, e.extname, n.nspname FROM pg_catalog.pg_type c"
			" JOIN pg_catalog.pg_type t ON t.oid ="
			" CASE WHEN c.typelem <> 0 AND c.typlen = -1 THEN c.typelem ELSE c.oid END"
			" LEFT JOIN pg_catalog.pg_depend d ON d.classid ="
			" 'pg_catalog.pg_type'::pg_catalog.regclass AND d.objid = t.oid AND d.deptype = 'e'"
			" LEFT JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid"
			" LEFT JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace"
			" WHERE c.oid = %u",
			column->type),
		"read a type");
	char *here = rows->count == 0 ? NULL : type_elsewhere(rows->values[0][0]);

	if (here != NULL)
		return psprintf(
			"Type %s is in another schema here. Create the table with that type, or leave the"
			" column out (\"columns\").",
			here);
	if (rows->count > 0 && rows->values[0][1] != NULL)
		return psprintf("CREATE EXTENSION %s SCHEMA %s;",
						sql_identifier(rows->values[0][1]),
						sql_identifier(rows->values[0][2]));
	return psprintf("Create the type %s here, or leave the column out (\"columns\").",
					column->type_name);
}

/* The type as this database writes it; raises 42704 if it does not exist. */
char *
type_here(Connection *control, const SourceColumn *column)
{
	Oid type;
	int32 typmod;

	if (column->user_type && !type_exists_here(column->type_name))
	{
		char *create = enum_statement(control, column);

		if (create == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("type %s of column \"%s\" does not exist in this database",
							column->type_name,
							column->name),
					 errhint("%s", missing_type_hint(control, column))));
		task_execute(create);
	}
	parse_type_compat(column->type_name, &type, &typmod);
	return sql_type(type, typmod);
}

/* ---- types of the target ---- */

/*
 * Would the column of the target round or truncate values of the source?
 * Returns that as a sentence, with the source's type for a statement; NULL if
 * it holds them, or if there is no such column.  A type that does not exist
 * here is not resolved: nothing is known about it.
 */
char *
type_too_narrow(LoadTask *task, const char *name, char **source_type)
{
	SourceColumn *column = source_table_column(task->source, name);
	AttrNumber attnum = get_attnum(task->target->relid, name);
	Oid from;
	int32 from_typmod;
	Oid into;
	int32 into_typmod;
	Oid collation;

	if (column == NULL || attnum == InvalidAttrNumber || projection_computes(task->load, name))
		return NULL;
	get_atttypetypmodcoll(task->target->relid, attnum, &into, &into_typmod, &collation);
	if (into == TEXTOID || !type_exists_here(column->type_name))
		return NULL;
	parse_type_compat(column->type_name, &from, &from_typmod);
	if (type_holds(from, from_typmod, into, into_typmod))
		return NULL;
	*source_type = format_type_extended(from, from_typmod, FORMAT_TYPE_TYPEMOD_GIVEN);
	return psprintf("column \"%s\" of %s cannot hold what the source sends (%s into %s)",
					name,
					task->target->display,
					*source_type,
					format_type_extended(into, into_typmod, FORMAT_TYPE_TYPEMOD_GIVEN));
}

/*
 * Would the column of the target treat key values as equal that the source
 * distinguishes?  Then one row would represent several.
 */
static void
check_key_column(LoadTask *task, const char *name)
{
	SourceColumn *column = source_table_column(task->source, name);
	AttrNumber attnum = get_attnum(task->target->relid, name);
	Oid from;
	int32 from_typmod;
	Oid into;
	int32 into_typmod;
	Oid collation;

	if (column == NULL || attnum == InvalidAttrNumber || !type_exists_here(column->type_name))
		return;
	get_atttypetypmodcoll(task->target->relid, attnum, &into, &into_typmod, &collation);
	parse_type_compat(column->type_name, &from, &from_typmod);
	if (type_keeps_apart(from, into) &&
		(!OidIsValid(collation) || get_collation_isdeterministic(collation) || column->loose))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("key column \"%s\" of %s treats values as equal that the source distinguishes",
					name,
					task->target->display),
			 errdetail("Its type is %s%s at the source, and %s%s here.",
					   column->type_name,
					   column->loose ? " with a nondeterministic collation" : "",
					   format_type_extended(into, into_typmod, FORMAT_TYPE_TYPEMOD_GIVEN),
					   !OidIsValid(collation) || get_collation_isdeterministic(collation)
						   ? ""
						   : " with a nondeterministic collation"),
			 errhint("ALTER TABLE %s ALTER COLUMN %s TYPE %s;",
					 task->target->display,
					 sql_identifier(name),
					 OidIsValid(get_typcollation(from))
						 ? psprintf("%s COLLATE pg_catalog.\"default\"", column->type_name)
						 : column->type_name)));
}

void
types_check_key(LoadTask *task)
{
	Identity identity;
	ListCell *cell;

	task_become_owner(task, &identity);
	foreach(cell, task->key)
		check_key_column(task, lfirst(cell));
	task_restore(&identity);
}

void
types_check(LoadTask *task)
{
	Identity identity;
	ListCell *cell;

	task_become_owner(task, &identity);
	foreach(cell, task->columns)
	{
		char *source_type;
		char *problem = type_too_narrow(task, lfirst(cell), &source_type);

		if (problem != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg_internal("%s", problem),
					 errhint("ALTER TABLE %s ALTER COLUMN %s TYPE %s;",
							 task->target->display,
							 sql_identifier(lfirst(cell)),
							 source_type)));
	}
	task_restore(&identity);
}
