/*-------------------------------------------------------------------------
 *
 * table.c
 *		The table of a transform: making it, its key, its guard.
 *
 * The guard is a statement trigger that refuses direct changes.  It fires
 * always, also for replication, and depends on the extension, so that DROP
 * EXTENSION takes it along.
 *
 *-------------------------------------------------------------------------
 */
#include "transform/table.h"

#include "access/genam.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/index.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "commands/trigger.h"
#include "core/catalog_idle.h"
#include "core/identity.h"
#include "core/sqltext.h"
#include "executor/spi.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#define GUARD_TRIGGER "depipe_refuse_dml"

PG_FUNCTION_INFO_V1(depipe_refuse_dml);

static void
execute_as(Oid owner, const char *sql)
{
	Identity identity;
	int result;

	identity_become(owner, &identity);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	result = SPI_execute(sql, false, 0);
	if (result < 0)
		elog(ERROR, "statement failed: %s", SPI_result_code_string(result));
	SPI_finish();
	identity_restore(&identity);
}

/* ---- columns ---- */

static char *
collation_text(Oid collation)
{
	HeapTuple tuple = SearchSysCache1(COLLOID, ObjectIdGetDatum(collation));
	Form_pg_collation form;
	char *text;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for collation %u", collation);
	form = (Form_pg_collation) GETSTRUCT(tuple);
	text = sql_table(get_namespace_name(form->collnamespace), NameStr(form->collname));
	ReleaseSysCache(tuple);
	return text;
}

/* "name type COLLATE ..." */
static void
append_column_definition(StringInfo sql, Form_pg_attribute att)
{
	appendStringInfo(sql,
					 "%s %s",
					 sql_identifier(NameStr(att->attname)),
					 sql_type(att->atttypid, att->atttypmod));
	if (OidIsValid(att->attcollation) && att->attcollation != get_typcollation(att->atttypid))
		appendStringInfo(sql, " COLLATE %s", collation_text(att->attcollation));
}

void
table_make(const char *schema_name, const char *table_name, TupleDesc columns, Oid owner)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TABLE %s (", sql_table(schema_name, table_name));
	for (int i = 0; i < columns->natts; i++)
	{
		appendStringInfoString(&sql, i > 0 ? ", " : "");
		append_column_definition(&sql, TupleDescAttr(columns, i));
	}
	appendStringInfoChar(&sql, ')');
	execute_as(owner, sql.data);
}

static Form_pg_attribute
find_column(TupleDesc columns, const char *name)
{
	for (int i = 0; i < columns->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(columns, i);

		if (!att->attisdropped && strcmp(NameStr(att->attname), name) == 0)
			return att;
	}
	return NULL;
}

/* Does a value of the query's column fit into the table's without a look at it? */
static bool
same_type(Form_pg_attribute wanted, Form_pg_attribute present)
{
	return present->atttypid == wanted->atttypid &&
		   (present->atttypmod == -1 || present->atttypmod == wanted->atttypmod);
}

char *
table_difference(Oid relid, TupleDesc columns)
{
	Relation rel = relation_open(relid, AccessShareLock);
	TupleDesc present = RelationGetDescr(rel);
	char *difference = NULL;

	for (int i = 0; i < columns->natts && difference == NULL; i++)
	{
		Form_pg_attribute wanted = TupleDescAttr(columns, i);
		Form_pg_attribute att = find_column(present, NameStr(wanted->attname));

		if (att == NULL)
			difference = psprintf("The table has no column \"%s\".", NameStr(wanted->attname));
		else if (att->attgenerated != '\0')
			difference = psprintf("Column \"%s\" of the table is generated.",
								  NameStr(wanted->attname));
		else if (!same_type(wanted, att))
			difference = psprintf("Column \"%s\" is %s in the query, but %s in the table.",
								  NameStr(wanted->attname),
								  sql_type(wanted->atttypid, wanted->atttypmod),
								  sql_type(att->atttypid, att->atttypmod));
	}
	for (int i = 0; i < present->natts && difference == NULL; i++)
	{
		Form_pg_attribute att = TupleDescAttr(present, i);

		if (!att->attisdropped && att->attgenerated == '\0' &&
			find_column(columns, NameStr(att->attname)) == NULL)
			difference = psprintf("The query does not return column \"%s\" of the table.",
								  NameStr(att->attname));
	}
	relation_close(rel, NoLock);
	return difference;
}

bool
table_only_adds(Oid relid, TupleDesc columns)
{
	Relation rel = relation_open(relid, AccessShareLock);
	TupleDesc present = RelationGetDescr(rel);
	bool only_adds = true;

	for (int i = 0; i < present->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(present, i);
		Form_pg_attribute wanted = find_column(columns, NameStr(att->attname));

		if (!att->attisdropped && att->attgenerated == '\0' &&
			(wanted == NULL || !same_type(wanted, att)))
			only_adds = false;
	}
	relation_close(rel, NoLock);
	return only_adds;
}

void
table_check_columns(const Transform *transform, const Shape *shape)
{
	char *difference = table_difference(transform->target->relid, shape->columns);

	if (difference != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("query and table of transform %s no longer have the same columns",
						transform->target->display),
				 errdetail("%s", difference),
				 errhint("Declare the transform again with replace => true.")));
}

void
table_change_columns(const Target *target, TupleDesc columns)
{
	Relation rel = relation_open(target->relid, AccessShareLock);
	TupleDesc present = RelationGetDescr(rel);
	StringInfoData sql;
	const char *separator = "";

	initStringInfo(&sql);
	appendStringInfo(&sql, "ALTER TABLE %s ", target->display);
	for (int i = 0; i < present->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(present, i);
		Form_pg_attribute wanted = find_column(columns, NameStr(att->attname));

		if (att->attisdropped || att->attgenerated != '\0' ||
			(wanted != NULL && same_type(wanted, att)))
			continue;
		appendStringInfo(&sql,
						 "%sDROP COLUMN %s",
						 separator,
						 sql_identifier(NameStr(att->attname)));
		separator = ", ";
	}
	for (int i = 0; i < columns->natts; i++)
	{
		Form_pg_attribute wanted = TupleDescAttr(columns, i);
		Form_pg_attribute att = find_column(present, NameStr(wanted->attname));

		if (att != NULL && same_type(wanted, att))
			continue;
		appendStringInfo(&sql, "%sADD COLUMN ", separator);
		append_column_definition(&sql, wanted);
		separator = ", ";
	}
	relation_close(rel, NoLock);
	if (separator[0] != '\0')
		execute_as(target->owner, sql.data);
}

/* ---- key ---- */

/* Is this index unique on exactly these columns, for NULLs, too? */
static bool
index_serves(Relation index, Relation rel, List *key)
{
	Form_pg_index form = index->rd_index;

	if (!form->indisunique || !form->indisvalid || !form->indimmediate ||
		RelationGetIndexPredicate(index) != NIL || RelationGetIndexExpressions(index) != NIL ||
		form->indnkeyatts != list_length(key))
		return false;
	for (int i = 0; i < form->indnkeyatts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), form->indkey.values[i] - 1);
		bool found = false;
		ListCell *cell;

		if (!form->indnullsnotdistinct && !att->attnotnull)
			return false;
		foreach(cell, key)
			found |= strcmp(NameStr(att->attname), lfirst(cell)) == 0;
		if (!found)
			return false;
	}
	return true;
}

static Oid
find_key_index(const Target *target, List *key)
{
	Relation rel = table_open(target->relid, AccessShareLock);
	Oid found = InvalidOid;
	ListCell *cell;

	foreach(cell, RelationGetIndexList(rel))
	{
		Relation index = index_open(lfirst_oid(cell), AccessShareLock);

		if (!OidIsValid(found) && index_serves(index, rel, key))
			found = lfirst_oid(cell);
		index_close(index, AccessShareLock);
	}
	table_close(rel, NoLock);
	return found;
}

bool
table_has_key(const Target *target, List *key)
{
	return key == NIL || OidIsValid(find_key_index(target, key));
}

void
table_make_key(const Target *target, List *key)
{
	StringInfoData sql;
	ListCell *cell;
	const char *separator = "";

	if (table_has_key(target, key))
		return;
	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE UNIQUE INDEX ON %s (", target->display);
	foreach(cell, key)
	{
		appendStringInfo(&sql, "%s%s", separator, sql_identifier(lfirst(cell)));
		separator = ", ";
	}
	appendStringInfoString(&sql, ") NULLS NOT DISTINCT");
	execute_as(target->owner, sql.data);
}

/* An index that belongs to a constraint is the user's and stays. */
void
table_drop_key(const Target *target, List *key)
{
	Oid index = key == NIL ? InvalidOid : find_key_index(target, key);
	StringInfoData sql;

	if (!OidIsValid(index) || OidIsValid(get_index_constraint(index)))
		return;
	initStringInfo(&sql);
	appendStringInfo(&sql, "DROP INDEX %s", sql_relation(index));
	execute_as(target->owner, sql.data);
}

/* ---- guard ---- */

void
table_ensure_guard(const Target *target)
{
	StringInfoData sql;

	if (OidIsValid(get_trigger_oid(target->relid, GUARD_TRIGGER, true)))
		return;
	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "CREATE TRIGGER " GUARD_TRIGGER
					 " BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s"
					 " FOR EACH STATEMENT EXECUTE FUNCTION depipe.refuse_dml();"
					 "ALTER TABLE %s ENABLE ALWAYS TRIGGER " GUARD_TRIGGER ";"
					 "ALTER TRIGGER " GUARD_TRIGGER " ON %s DEPENDS ON EXTENSION depipe",
					 target->display,
					 target->display,
					 target->display);
	execute_as(target->owner, sql.data);
}

void
table_drop_guard(const Target *target)
{
	StringInfoData sql;

	if (!OidIsValid(get_trigger_oid(target->relid, GUARD_TRIGGER, true)))
		return;
	initStringInfo(&sql);
	appendStringInfo(&sql, "DROP TRIGGER " GUARD_TRIGGER " ON %s", target->display);
	execute_as(target->owner, sql.data);
}

void
table_drop(const Target *target)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "DROP TABLE %s", target->display);
	execute_as(target->owner, sql.data);
}

/* The trigger function of the guard. */
Datum
depipe_refuse_dml(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	char *display;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager", "refuse_dml")));
	if (depipe_is_writing)
		return PointerGetDatum(NULL);
	if (depipe_allow_target_dml)
	{
		published_note_table(RelationGetRelid(trigger->tg_relation));
		return PointerGetDatum(NULL);
	}
	display = sql_relation(RelationGetRelid(trigger->tg_relation));
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("table %s is maintained by a transform", display),
			 errdetail("It is kept equal to the transform's query."),
			 errhint("Change its inputs, or drop the transform with depipe.drop_transform().")));
}
