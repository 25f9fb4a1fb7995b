/*-------------------------------------------------------------------------
 *
 * evolve.c
 *		The columns of a target, and changes of the source's.
 *
 * Names of types come from the source as text.  They are resolved here to
 * types of this database before they are put into a statement, so that nothing
 * a source says is ever executed.  Everything is done as the owner of the
 * target.
 *
 * Additions flow in.  Rows of before an added column take the value that the
 * source keeps for them (its "missing" value); when the source wrote values
 * into its rows, only a resync can tell, and the table pauses.  A dropped,
 * renamed or retyped column pauses the table, too: nobody but a person knows
 * what the target is to look like.
 *
 *-------------------------------------------------------------------------
 */
#include "load/evolve.h"

#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "core/guarded.h"
#include "core/identity.h"
#include "core/settings.h"
#include "core/sqltext.h"
#include "executor/spi.h"
#include "load/basis.h"
#include "load/narrowing.h"
#include "parser/parse_type.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/syscache.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

/* ---- types ---- */

/* An enum's type is made here when it is missing: its labels are all there is to it. */
static char *
enum_statement(LoadSession *session, const SourceColumn *column)
{
	SourceRows *rows = source_query(
		session->control,
		3,
		psprintf("SELECT n.nspname, t.typname, e.enumlabel FROM pg_catalog.pg_type c"
				 " JOIN pg_catalog.pg_type t ON t.oid ="
				 " CASE WHEN c.typelem <> 0 AND c.typlen = -1 THEN c.typelem ELSE c.oid END"
				 " JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace"
				 " JOIN pg_catalog.pg_enum e ON e.enumtypid = t.oid"
				 " WHERE c.oid = %u ORDER BY e.enumsortorder",
				 column->type),
		"look at a type");
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
evolve_type_exists(const char *type_name)
{
	TypeName *parsed = type_string_to_name_compat(type_name);
	HeapTuple tuple = LookupTypeName(NULL, parsed, NULL, true);

	if (tuple == NULL)
		return false;
	ReleaseSysCache(tuple);
	return true;
}

/* SPI leaves us in its own memory context, which ends with it. */
static void
execute_here(const char *sql)
{
	MemoryContext caller = CurrentMemoryContext;

	if (SPI_execute(sql, false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "could not execute \"%s\"", sql);
	MemoryContextSwitchTo(caller);
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

/* What is to be done about a type that is missing here. */
static char *
missing_type_hint(LoadSession *session, const SourceColumn *column)
{
	SourceRows *rows = source_query(
		session->control,
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
		"look at a type");
	char *here = rows->count == 0 ? NULL : type_elsewhere(rows->values[0][0]);

	if (here != NULL)
		return psprintf("Type %s is in another schema here. Make the table yourself, with that"
						" type, or leave the column out (\"columns\").",
						here);
	if (rows->count > 0 && rows->values[0][1] != NULL)
		return psprintf("CREATE EXTENSION %s SCHEMA %s;",
						sql_identifier(rows->values[0][1]),
						sql_identifier(rows->values[0][2]));
	return psprintf("Create the type %s here, or leave the column out (\"columns\").",
					column->type_name);
}

/* The type as this database writes it; raises 42704 when it is not there. */
static char *
local_type(LoadSession *session, const SourceColumn *column)
{
	Oid type;
	int32 typmod;

	if (column->user_type && !evolve_type_exists(column->type_name))
	{
		char *create = enum_statement(session, column);

		if (create == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("type %s of column \"%s\" does not exist in this database",
							column->type_name,
							column->name),
					 errhint("%s", missing_type_hint(session, column))));
		execute_here(create);
	}
	parse_type_compat(column->type_name, &type, &typmod);
	return sql_type(type, typmod);
}

/* ---- making and extending the target ---- */

static void
execute_as_owner(LoadTask *task, const char *sql)
{
	int level = identity_begin_statement();

	depipe_is_writing = true;
	execute_here(sql);
	depipe_is_writing = false;
	identity_end_statement(level);
}

static bool
contains_name(List *names, const char *name)
{
	ListCell *cell;

	foreach(cell, names)
		if (strcmp(lfirst(cell), name) == 0)
			return true;
	return false;
}

/* A column that the source has added since is not in the projection yet: it is taken as it is. */
static bool
is_projected(const LoadTask *task, const char *name)
{
	return task->projection != NULL && contains_name(projection_names(task->projection), name);
}

/* Type of a column of the target that is to be made. */
static char *
target_type(LoadSession *session, LoadTask *task, const char *name)
{
	if (is_projected(task, name))
		return projection_type(task->projection, name);
	return local_type(session, source_table_column(task->source, name));
}

static void
create_table(LoadSession *session, LoadTask *task)
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
						 target_type(session, task, name),
						 contains_name(task->key, name) ? " NOT NULL" : "");
		separator = ", ";
	}
	separator = ", PRIMARY KEY (";
	foreach(cell, task->key)
	{
		appendStringInfo(&sql, "%s%s", separator, sql_identifier(lfirst(cell)));
		separator = ", ";
	}
	appendStringInfoString(&sql, task->key != NIL ? "))" : ")");
	execute_as_owner(task, sql.data);
}

static void
add_column(LoadSession *session, LoadTask *task, const char *column_name)
{
	const SourceColumn *column = source_table_column(task->source, column_name);
	const char *name = sql_identifier(column_name);
	bool has_missing = column != NULL && column->has_missing && !is_projected(task, column_name);

	execute_as_owner(task,
					 psprintf("ALTER TABLE %s ADD COLUMN %s %s%s%s",
							  task->target->display,
							  name,
							  target_type(session, task, column_name),
							  has_missing ? " DEFAULT " : "",
							  has_missing ? sql_literal(column->missing) : ""));
	if (has_missing)
		execute_as_owner(
			task,
			psprintf("ALTER TABLE %s ALTER COLUMN %s DROP DEFAULT", task->target->display, name));
}

/*
 * The columns that source and target share; without generated ones.  No lock:
 * a session begins also while somebody has locked one of its tables.
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

/* The key's columns are compared with the source's: they must be of the same type. */
static void
check_projected_key(LoadTask *task, const char *name)
{
	AttrNumber attnum = get_attnum(task->target->relid, name);

	if (strcmp(format_type_be_qualified(get_atttype(task->target->relid, attnum)),
			   projection_base_type(task->projection, name)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("key column \"%s\" of %s has another type than the source's",
						name,
						task->target->display)));
}

/* Check that what is left of the columns can carry the load. */
static void
take_shared_columns(LoadSession *session, LoadTask *task)
{
	MemoryContext old = MemoryContextSwitchTo(session->context);
	ListCell *cell;

	task->columns = shared_columns(task);
	if (task->projection == NULL)
		task->source_names = task->columns;
	foreach(cell, task->key)
	{
		if (!contains_name(task->columns, lfirst(cell)))
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

	if (!evolve_type_exists(type_name))
		ereport(
			ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("type %s of column \"%s\" does not exist in this database", type_name, name),
			 errhint("Create the type %s here.", type_name)));
	parse_type_compat(type_name, &type, &typmod);
	TupleDescInitEntry(layout, ++(*count), name, type, typmod, 0);
	TupleDescInitEntryCollation(layout, *count, get_typcollation(type));
}

/*
 * Analyse the expressions of a load over columns of the source (lists of names
 * and names of types); the owner's identity is current.
 */
static void
make_projection(LoadSession *session, LoadTask *task, List *names, List *type_names)
{
	MemoryContext old = MemoryContextSwitchTo(session->context);
	TupleDesc layout = CreateTemplateTupleDesc(list_length(names));
	ListCell *name;
	ListCell *type_name;
	int count = 0;
	int level;

	forboth(name, names, type_name, type_names)
		add_layout_column(layout, &count, lfirst(name), lfirst(type_name));
	/* not for what comes from the source: its texts are under the base settings */
	level = NewGUCNestLevel();
	settings_enter(task->target->settings);
	task->projection = projection_create(task->load, task->key, layout);
	AtEOXact_GUC(false, level);
	task->settled = projection_settled(task->projection);
	task->columns = projection_names(task->projection);
	task->source_names = NIL; /* the caller's names live in SPI's context */
	foreach(name, names)
		task->source_names = lappend(task->source_names, pstrdup(lfirst(name)));
	MemoryContextSwitchTo(old);
}

/* From the source as it is now: the columns that the load needs. */
static void
make_new_projection(LoadSession *session, LoadTask *task)
{
	MemoryContext old = MemoryContextSwitchTo(session->context);
	List *names = NIL;
	List *type_names = NIL;
	ListCell *cell;

	foreach(cell, task->source->columns)
	{
		SourceColumn *column = lfirst(cell);

		if (column->generated || !projection_needs(task->load, column->name))
			continue;
		names = lappend(names, column->name);
		type_names = lappend(type_names, local_type(session, column));
	}
	make_projection(session, task, names, type_names);
	MemoryContextSwitchTo(old);
}

static void
become_owner(LoadTask *task, Identity *identity)
{
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	identity_become(task->target->owner, identity);
}

static void
restore_owner(const Identity *identity)
{
	identity_restore(identity);
	SPI_finish();
}

/*
 * Columns that the source had when the table was copied last, and has no more:
 * the copy puts NULL into them, so that what they hold is not taken for what
 * the source has.
 */
static void
empty_gone_columns(LoadSession *session, LoadTask *task)
{
	MemoryContext old = MemoryContextSwitchTo(session->context);
	ListCell *cell;

	task->source_names = list_copy(task->source_names);
	task->columns = list_copy(task->columns);
	foreach(cell, evolve_recorded_names(task->load))
	{
		const char *name = lfirst(cell);
		const SourceColumn *now = source_table_column(task->source, name);
		AttrNumber attnum = get_attnum(task->target->relid, name);

		if ((now == NULL || now->generated) && attnum != InvalidAttrNumber &&
			get_attgenerated(task->target->relid, attnum) == '\0' &&
			!projection_leaves_out(task->load, name) && !contains_name(task->columns, name))
			task->columns = lappend(task->columns, pstrdup(name));
	}
	MemoryContextSwitchTo(old);
}

void
evolve_prepare_target(LoadSession *session, LoadTask *task)
{
	Identity identity;
	ListCell *cell;

	become_owner(task, &identity);
	task->projection = NULL;
	if (projection_wanted(task->load))
		make_new_projection(session, task);
	if (!OidIsValid(task->target->relid))
	{
		create_table(session, task);
		identity_restore(&identity);
		(void) target_bind(task->target);
		load_set_made_table(task->target->id);
		identity_become(task->target->owner, &identity);
	}
	else if (strcmp(task->load->new_columns, "load") == 0)
	{
		List *shared = shared_columns(task);

		foreach(cell, task->columns)
			if (get_attnum(task->target->relid, lfirst(cell)) == InvalidAttrNumber &&
				!contains_name(shared, lfirst(cell)))
				add_column(session, task, lfirst(cell));
	}
	restore_owner(&identity);
	take_shared_columns(session, task);
	empty_gone_columns(session, task);
}

/* ---- types of the target ---- */

/*
 * Would the target's column round or cut what the source's has?  Says so, with
 * the source's type for a statement; NULL when it holds it, or there is none.
 * A type that is not here is not resolved: nothing is known of it.
 */
static char *
column_too_narrow(LoadTask *task, const char *name, char **source_type)
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
	if (into == TEXTOID || !evolve_type_exists(column->type_name))
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
 * Would the target's column take key values for equal that the source tells
 * apart?  Then one row would stand for several.
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

	if (column == NULL || attnum == InvalidAttrNumber || !evolve_type_exists(column->type_name))
		return;
	get_atttypetypmodcoll(task->target->relid, attnum, &into, &into_typmod, &collation);
	parse_type_compat(column->type_name, &from, &from_typmod);
	if (type_keeps_apart(from, into) &&
		(!OidIsValid(collation) || get_collation_isdeterministic(collation) || column->loose))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("key column \"%s\" of %s takes values for equal that the source tells apart",
					name,
					task->target->display),
			 errdetail("It is %s%s there, and %s%s here.",
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
evolve_check_key(LoadTask *task)
{
	Identity identity;
	ListCell *cell;

	become_owner(task, &identity);
	foreach(cell, task->key)
		check_key_column(task, lfirst(cell));
	restore_owner(&identity);
}

void
evolve_check_types(LoadTask *task)
{
	Identity identity;
	ListCell *cell;

	become_owner(task, &identity);
	foreach(cell, task->columns)
	{
		char *source_type;
		char *problem = column_too_narrow(task, lfirst(cell), &source_type);

		if (problem != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg_internal("%s", problem),
					 errhint("ALTER TABLE %s ALTER COLUMN %s TYPE %s;",
							 task->target->display,
							 sql_identifier(lfirst(cell)),
							 source_type)));
	}
	restore_owner(&identity);
}

/* ---- changes of the source ---- */

typedef struct RecordedColumn
{
	char *name;
	int number; /* 0: not known */
	Oid type;
	char *type_name;
} RecordedColumn;

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

static List *
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

static RecordedColumn *
find_recorded(List *columns, const char *name)
{
	ListCell *cell;

	foreach(cell, columns)
		if (strcmp(((RecordedColumn *) lfirst(cell))->name, name) == 0)
			return lfirst(cell);
	return NULL;
}

List *
evolve_recorded_names(const Load *load)
{
	List *names = NIL;
	ListCell *cell;

	foreach(cell, recorded_columns(load))
		names = lappend(names, ((RecordedColumn *) lfirst(cell))->name);
	return names;
}

/* What that the load takes the message contradicts, as a sentence; NULL: nothing. */
static char *
contradiction(LoadTask *task, List *recorded, List *names, List *types)
{
	ListCell *cell;

	foreach(cell, recorded)
	{
		RecordedColumn *column = lfirst(cell);
		ListCell *name;
		ListCell *type;
		bool found = false;

		if (!contains_name(task->source_names, column->name))
			continue;
		forboth(name, names, type, types)
		{
			if (strcmp(lfirst(name), column->name) != 0)
				continue;
			found = true;
			if (lfirst_oid(type) != column->type)
				return psprintf("column \"%s\" of the source has another type", column->name);
		}
		if (!found)
			return psprintf("column \"%s\" of the source was dropped or renamed", column->name);
	}
	return NULL;
}

/*
 * The stream tells columns by name and type.  One that was dropped and made
 * again looks the same, but its old values are gone.
 */
char *
evolve_replaced_column(const LoadTask *task)
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

/* "(10,2)" of a type's name; "" when it has none.  A name that is quoted ends with a quote. */
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
 * A type that was renamed is the same.  What was recorded without its name, by
 * an earlier version, is not known to have changed.
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
evolve_retyped_column(LoadTask *task)
{
	ListCell *cell;

	foreach(cell, recorded_columns(task->load))
	{
		RecordedColumn *column = lfirst(cell);
		SourceColumn *now = source_table_column(task->source, column->name);

		if (now != NULL && contains_name(task->source_names, column->name) &&
			is_retyped(column, now))
			return psprintf("column \"%s\" of the source is %s now, it was %s",
							column->name,
							now->type_name,
							column->type_name);
	}
	return NULL;
}

static List *
added_columns(List *recorded, List *names)
{
	List *added = NIL;
	ListCell *cell;

	foreach(cell, names)
		if (find_recorded(recorded, lfirst(cell)) == NULL)
			added = lappend(added, lfirst(cell));
	return added;
}

bool
evolve_differs(LoadTask *task, List *names, List *types)
{
	List *recorded = recorded_columns(task->load);

	return contradiction(task, recorded, names, types) != NULL ||
		   added_columns(recorded, names) != NIL;
}

char *
evolve_hint(const LoadTask *task)
{
	return psprintf("Make the columns of %s agree with the source, then: %s",
					task->target->display,
					session_resync_hint(task));
}

static void
pause_for_person(LoadSession *session, LoadTask *task, const char *reason)
{
	session_stop_task(session,
					  task,
					  LOAD_PAUSED,
					  ERRCODE_DEPIPE_SCHEMA_CHANGE,
					  reason,
					  evolve_hint(task));
}

/* The name of a column's type: as the source says now, else as recorded. */
static const char *
type_name_of(LoadTask *task, List *recorded, const char *name, Oid type)
{
	SourceColumn *column = task->source == NULL ? NULL : source_table_column(task->source, name);
	RecordedColumn *known = find_recorded(recorded, name);

	if (column != NULL && column->type == type)
		return column->type_name;
	return known != NULL && known->type == type ? known->type_name : NULL;
}

/* What is recorded after a change: all that the message has. */
static char *
layout_to_json(LoadTask *task, List *recorded, List *names, List *types)
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

/* From the columns recorded: those that the load needs. */
static void
make_recorded_projection(LoadSession *session, LoadTask *task)
{
	List *names = NIL;
	List *type_names = NIL;
	Identity identity;
	ListCell *cell;

	become_owner(task, &identity);
	foreach(cell, recorded_columns(task->load))
	{
		RecordedColumn *column = lfirst(cell);

		if (column->type_name == NULL || !projection_needs(task->load, column->name))
			continue;
		names = lappend(names, column->name);
		type_names = lappend(type_names, column->type_name);
	}
	make_projection(session, task, names, type_names);
	restore_owner(&identity);
	if (!equal_texts(task->settled, task->load->settled))
		load_set_settled(task->load, task->settled);
}

/*
 * The copy gave the target every column that the load takes.  One that is not
 * there any more was dropped or renamed here: without this its values would
 * go nowhere, silently.  With new_columns "ignore" a target may have fewer.
 */
static void
check_columns_here(LoadTask *task)
{
	ListCell *cell;

	if (strcmp(task->load->new_columns, "load") != 0)
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
evolve_take_recorded(LoadSession *session, LoadTask *task)
{
	MemoryContext old = MemoryContextSwitchTo(session->context);

	task->projection = NULL;
	if (projection_wanted(task->load))
		make_recorded_projection(session, task);
	else
		task->columns = not_left_out(task->load, evolve_recorded_names(task->load));
	check_columns_here(task);
	take_shared_columns(session, task);
	evolve_check_key(task);
	MemoryContextSwitchTo(old);
}

/*
 * Did rows of before the column get a value that no message tells?  A constant
 * default is a value of rows that are older than the column; on a partitioned
 * table, or after a rewrite, it is not in the table's catalog entry.  Where the
 * addition rewrote the table (a volatile default, one of a domain, an identity)
 * all rows were written by its transaction.  A table whose file is the first
 * one was never rewritten.  Rows that were updated since are in the stream.
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
rows_were_filled(LoadSession *session, LoadTask *task, const char *name)
{
	SourceRows *rows =
		source_query(session->control, 1, filled_sql(task->source, name), "look at a new column");

	return rows->count > 0 && rows->values[0][0] != NULL && rows->values[0][0][0] == 't';
}

/*
 * The default of a column that a partitioned table has got is kept with its
 * partitions; returns false when they have several.
 */
static bool
take_missing_of_partitions(LoadSession *session, LoadTask *task, SourceColumn *column)
{
	SourceRows *rows;

	if (task->source->kind != RELKIND_PARTITIONED_TABLE || column->has_missing)
		return true;
	rows = source_query(session->control,
						1,
						psprintf("WITH RECURSIVE part (oid) AS (SELECT %u::pg_catalog.oid UNION ALL"
								 " SELECT i.inhrelid FROM part p JOIN pg_catalog.pg_inherits i"
								 " ON i.inhparent = p.oid)"
								 " SELECT DISTINCT (a.attmissingval::text::text[])[1]"
								 " FROM part p JOIN pg_catalog.pg_attribute a ON a.attrelid = p.oid"
								 " WHERE a.attname = %s AND a.atthasmissing",
								 task->source->relid,
								 sql_literal(column->name)),
						"look at a new column");
	if (rows->count == 1)
	{
		column->has_missing = true;
		column->missing = rows->values[0][0];
		column->missing_lost = rows->lossy;
	}
	return rows->count <= 1;
}

/* Add one column; returns false when the table paused. */
static bool
follow_addition(LoadSession *session, LoadTask *task, const char *name)
{
	SourceColumn *column = task->source == NULL ? NULL : source_table_column(task->source, name);
	Identity identity;
	char *problem;
	char *source_type;

	if (projection_leaves_out(task->load, name) || column == NULL || column->generated)
		return true; /* not wanted, or dropped again: a later message says so */
	if (strcmp(task->load->new_columns, "ignore") == 0)
		return true;
	if (strcmp(task->load->new_columns, "pause") == 0 ||
		strcmp(task->load->schema_change, "pause") == 0)
	{
		pause_for_person(session, task, psprintf("the source has a new column \"%s\"", name));
		return false;
	}
	/* without a new file since the copy no row was filled by the addition */
	if (!take_missing_of_partitions(session, task, column) ||
		(!column->has_missing && basis_files_changed(task) &&
		 rows_were_filled(session, task, name)))
	{
		pause_for_person(session,
						 task,
						 psprintf("the source filled its new column \"%s\" row by row", name));
		return false;
	}
	if (column->has_missing && column->missing_lost)
	{
		pause_for_person(
			session,
			task,
			psprintf("the default of the new column \"%s\" cannot be read here", name));
		return false;
	}
	become_owner(task, &identity);
	problem = column_too_narrow(task, name, &source_type);
	if (problem != NULL)
		problem = MemoryContextStrdup(session->context, problem);
	else if (get_attnum(task->target->relid, name) == InvalidAttrNumber)
		add_column(session, task, name);
	else if (column->has_missing)
		problem = MemoryContextStrdup(session->context,
									  psprintf("%s has a column \"%s\" already, and the source"
											   " gave its new one a default",
											   task->target->display,
											   name));
	restore_owner(&identity);
	CommandCounterIncrement();
	if (problem != NULL)
		pause_for_person(session, task, problem);
	return problem == NULL;
}

static bool
lock_work(void *argument)
{
	LockRelationOid(*(Oid *) argument, AccessExclusiveLock);
	return true;
}

/*
 * Who waits for this lock keeps all readers of the table waiting behind him.
 * Changes that are to fill the column cannot be kept without it: the run fails,
 * of all tables, and is tried again.
 */
static void
lock_to_add(LoadSession *session, LoadTask *task)
{
	ErrorData *error = guarded_run_waiting(lock_work,
										   &task->target->relid,
										   session_lock_timeout(session));

	if (error == NULL)
		return;
	session->current = NULL;
	ereport(ERROR,
			(errcode(error->sqlerrcode),
			 errmsg("a column is to be added to %s, and another session has locked the table",
					task->target->display)));
}

void
evolve_follow(LoadSession *session, LoadTask *task, List *names, List *types)
{
	List *recorded = recorded_columns(task->load);
	MemoryContext old = MemoryContextSwitchTo(session->context);
	char *problem = contradiction(task, recorded, names, types);
	ListCell *cell;

	if (problem != NULL)
	{
		pause_for_person(session, task, problem);
		MemoryContextSwitchTo(old);
		return;
	}
	task->source = source_table_describe(session->control,
										 task->load->source_schema,
										 task->load->source_table);
	if (task->source != NULL && evolve_replaced_column(task) != NULL)
	{
		pause_for_person(session,
						 task,
						 psprintf("column \"%s\" of the source was dropped and made again",
								  evolve_replaced_column(task)));
		MemoryContextSwitchTo(old);
		return;
	}
	if (task->source != NULL && (problem = evolve_retyped_column(task)) != NULL)
	{
		pause_for_person(session, task, problem);
		MemoryContextSwitchTo(old);
		return;
	}
	if (added_columns(recorded, names) != NIL && OidIsValid(task->target->relid))
		lock_to_add(session, task);
	foreach(cell, added_columns(recorded, names))
		if (!follow_addition(session, task, lfirst(cell)))
		{
			MemoryContextSwitchTo(old);
			return;
		}
	load_set_columns(task->load, layout_to_json(task, recorded, names, types));
	evolve_take_recorded(session, task);
	MemoryContextSwitchTo(old);
}
