/*-------------------------------------------------------------------------
 *
 * table.c
 *		The table of a transform: its creation, its key, its guard.
 *
 * The guard is a statement-level trigger that refuses direct changes.  It is
 * ENABLE ALWAYS, so that it also fires for replicated changes, and it depends
 * on the extension, so that DROP EXTENSION drops it.  A statement on a
 * partition does not fire the triggers of its parent.  A partitioned table
 * therefore also has a row-level trigger, which the server clones to its
 * partitions, and each partition has a trigger for TRUNCATE.
 *
 *-------------------------------------------------------------------------
 */
#include "query/table.h"

#include "access/genam.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/index.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_inherits.h"
#include "commands/comment.h"
#include "commands/trigger.h"
#include "catalog/published.h"
#include "core/guarded.h"
#include "core/identity.h"
#include "core/sqltext.h"
#include "nodes/primnodes.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#define GUARD_TRIGGER "depipe_refuse_dml"

/* row-level trigger of a partitioned table, which new partitions receive too */
#define GUARD_ROWS "depipe_refuse_rows"

/* trigger of each partition for TRUNCATE, which fires no row-level triggers */
#define GUARD_TRUNCATE "depipe_refuse_truncate"

/* comment of the unique indexes that depipe creates */
#define KEY_COMMENT "key of a transform, created by depipe"

PG_FUNCTION_INFO_V1(depipe_refuse_dml);

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

/* Append "name type COLLATE ...". */
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

/* Does every value of the query's column fit into the table's column without a check? */
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

char *
table_why_other_columns(const Target *target)
{
	return psprintf(OTHER_COLUMNS "%s no longer have the same columns", target->display);
}

void
table_check_columns(const Transform *transform, const Shape *shape)
{
	char *difference = table_difference(transform->target->relid, shape->columns);

	if (difference != NULL)
		ereport(
			ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("%s", table_why_other_columns(transform->target)),
			 errdetail("%s", difference),
			 errhint("SELECT depipe.alter_transform(%s) gives the table the columns of the query.",
					 sql_literal(transform->target->display))));
}

/* Report the indexes that are dropped with a column. */
static void
say_what_goes(Relation rel, const char *column)
{
	AttrNumber attnum = get_attnum(RelationGetRelid(rel), column);
	StringInfoData names;
	ListCell *cell;

	initStringInfo(&names);
	foreach(cell, RelationGetIndexList(rel))
	{
		Relation index = index_open(lfirst_oid(cell), AccessShareLock);

		for (int i = 0; i < index->rd_index->indnatts; i++)
			if (index->rd_index->indkey.values[i] == attnum)
				appendStringInfo(&names,
								 "%sindex %s",
								 names.len > 0 ? ", " : "",
								 sql_relation(lfirst_oid(cell)));
		index_close(index, AccessShareLock);
	}
	if (names.len > 0)
		ereport(
			NOTICE,
			(errmsg("column \"%s\" of %s is dropped", column, sql_relation(RelationGetRelid(rel))),
			 errdetail("This also drops %s.", names.data)));
}

static void
append_action(StringInfo sql, const char *action)
{
	appendStringInfo(sql, "%s%s", sql->len > 0 ? ", " : "", action);
}

/*
 * Append the actions for existing columns.  A column that the query does not
 * return is dropped.  The type of a column is changed if in_place is true;
 * otherwise the column is dropped, and append_new_columns() adds it again.
 */
static void
append_changes(StringInfo sql, Relation rel, TupleDesc columns, bool in_place)
{
	TupleDesc present = RelationGetDescr(rel);

	for (int i = 0; i < present->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(present, i);
		Form_pg_attribute wanted = find_column(columns, NameStr(att->attname));
		const char *name = sql_identifier(NameStr(att->attname));
		const char *type;

		if (att->attisdropped || att->attgenerated != '\0' ||
			(wanted != NULL && same_type(wanted, att)))
			continue;
		if (wanted != NULL && in_place)
		{
			type = sql_type(wanted->atttypid, wanted->atttypmod);
			append_action(sql, psprintf("ALTER COLUMN %s TYPE %s", name, type));
			if (OidIsValid(wanted->attcollation))
				appendStringInfo(sql, " COLLATE %s", collation_text(wanted->attcollation));
			appendStringInfo(sql, " USING %s::%s", name, type);
			continue;
		}
		say_what_goes(rel, NameStr(att->attname));
		append_action(sql, psprintf("DROP COLUMN %s", name));
	}
}

static void
append_new_columns(StringInfo sql, Relation rel, TupleDesc columns, bool in_place)
{
	for (int i = 0; i < columns->natts; i++)
	{
		Form_pg_attribute wanted = TupleDescAttr(columns, i);
		Form_pg_attribute att = find_column(RelationGetDescr(rel), NameStr(wanted->attname));

		if (att != NULL && (in_place || same_type(wanted, att)))
			continue;
		append_action(sql, "ADD COLUMN ");
		append_column_definition(sql, wanted);
	}
}

typedef struct Change
{
	const Target *target;
	TupleDesc columns;
	bool in_place;
} Change;

static bool
change_work(void *argument)
{
	Change *change = argument;
	Relation rel = relation_open(change->target->relid, AccessShareLock);
	StringInfoData sql;

	initStringInfo(&sql);
	append_changes(&sql, rel, change->columns, change->in_place);
	append_new_columns(&sql, rel, change->columns, change->in_place);
	relation_close(rel, NoLock);
	if (sql.len > 0)
		execute_as(change->target->owner,
				   psprintf("ALTER TABLE %s %s", change->target->display, sql.data));
	return true;
}

/*
 * If the values of any column cannot be cast, all columns of other types are
 * dropped and added again.
 */
void
table_change_columns(const Target *target, TupleDesc columns)
{
	Change change = {target, columns, true};

	if (guarded_run(change_work, &change) == NULL)
		return;
	change.in_place = false;
	(void) change_work(&change);
}

bool
table_is_referenced(Oid relid)
{
	Relation rel = relation_open(relid, AccessShareLock);
	TriggerDesc *triggers = rel->trigdesc;
	bool found = false;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
		if (RI_FKey_trigger_type(triggers->triggers[i].tgfoid) == RI_TRIGGER_PK)
			found = true;
	relation_close(rel, NoLock);
	return found;
}

/* ---- key ---- */

/*
 * Is this a unique index on exactly these columns that treats NULLs as equal?
 * Columns that are never NULL need no NULLS NOT DISTINCT.
 */
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

		if (!form->indnullsnotdistinct &&
			!attribute_is_not_null_compat(RelationGetDescr(rel), att->attnum))
			return false;
		foreach(cell, key)
			found |= strcmp(NameStr(att->attname), lfirst(cell)) == 0;
		if (!found)
			return false;
	}
	return true;
}

/* Is this the unique index on a hash of exactly these columns?  See table_make_key(). */
static bool
index_serves_hashed(Relation index, Relation rel, List *key)
{
	List *expressions = RelationGetIndexExpressions(index);
	FuncExpr *hash;
	FuncExpr *image;
	List *columns;
	ListCell *cell;

	if (!index->rd_index->indisunique || !index->rd_index->indisvalid ||
		RelationGetIndexPredicate(index) != NIL || index->rd_index->indnkeyatts != 1 ||
		list_length(expressions) != 1 || !IsA(linitial(expressions), FuncExpr))
		return false;
	hash = linitial(expressions);
	if (hash->funcid != F_SHA256 || !IsA(linitial(hash->args), FuncExpr))
		return false;
	image = linitial(hash->args);
	if (list_length(image->args) != 1 || !IsA(linitial(image->args), RowExpr))
		return false;
	columns = ((RowExpr *) linitial(image->args))->args;
	if (list_length(columns) != list_length(key))
		return false;
	foreach(cell, key)
	{
		Var *column = list_nth(columns, foreach_current_index(cell));

		if (!IsA(column, Var) ||
			column->varattno != get_attnum(RelationGetRelid(rel), lfirst(cell)))
			return false;
	}
	return true;
}

/* Was the index created by depipe?  Its comment says so, which dumps and renames preserve. */
static bool
is_made_here(Oid index)
{
	char *comment = GetComment(index, RelationRelationId, 0);

	return comment != NULL && strcmp(comment, KEY_COMMENT) == 0;
}

/* Returns an index that serves the key: any, or only one that depipe created. */
static Oid
find_key_index(const Target *target, List *key, bool made_here)
{
	Relation rel = table_open(target->relid, AccessShareLock);
	Oid found = InvalidOid;
	ListCell *cell;

	foreach(cell, RelationGetIndexList(rel))
	{
		Relation index = index_open(lfirst_oid(cell), AccessShareLock);

		if (!OidIsValid(found) &&
			(index_serves(index, rel, key) || index_serves_hashed(index, rel, key)) &&
			(!made_here || is_made_here(lfirst_oid(cell))))
			found = lfirst_oid(cell);
		index_close(index, AccessShareLock);
	}
	table_close(rel, NoLock);
	return found;
}

bool
table_has_key(const Target *target, List *key)
{
	return key == NIL || OidIsValid(find_key_index(target, key, false));
}

static char *
key_columns(List *key)
{
	StringInfoData columns;
	ListCell *cell;

	initStringInfo(&columns);
	foreach(cell, key)
		appendStringInfo(&columns,
						 "%s%s",
						 columns.len > 0 ? ", " : "",
						 sql_identifier(lfirst(cell)));
	return columns.data;
}

typedef struct MakeKey
{
	const Target *target;
	List *key;
	bool hashed;
} MakeKey;

static List *
index_list(Oid relid)
{
	Relation rel = table_open(relid, AccessShareLock);
	List *indexes = RelationGetIndexList(rel);

	table_close(rel, NoLock);
	return indexes;
}

/* Returns the index that was created since "before" was read. */
static Oid
new_index(Oid relid, const List *before)
{
	ListCell *cell;

	foreach(cell, index_list(relid))
		if (!list_member_oid(before, lfirst_oid(cell)))
			return lfirst_oid(cell);
	elog(ERROR, "the index of the key was not created");
}

static bool
make_key_work(void *argument)
{
	MakeKey *make = argument;
	List *before = index_list(make->target->relid);
	char *index;
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql,
					 make->hashed ? "CREATE UNIQUE INDEX ON %s"
									" (pg_catalog.sha256(depipe.row_image(ROW(%s))))"
								  : "CREATE UNIQUE INDEX ON %s (%s) NULLS NOT DISTINCT",
					 make->target->display,
					 key_columns(make->key));
	execute_as(make->target->owner, sql.data);
	CommandCounterIncrement();
	index = sql_relation(new_index(make->target->relid, before));
	resetStringInfo(&sql);
	appendStringInfo(&sql, "COMMENT ON INDEX %s IS %s;", index, sql_literal(KEY_COMMENT));
	/* DROP EXTENSION drops an index that uses its functions, like the guard */
	if (make->hashed)
		appendStringInfo(&sql, "ALTER INDEX %s DEPENDS ON EXTENSION depipe", index);
	execute_as(make->target->owner, sql.data);
	return true;
}

/*
 * A key can be too long for an index entry.  In that case the index is on a
 * hash of the key.  Every refresh checks that the key is unique, without
 * relying on the index.
 */
void
table_make_key(const Target *target, List *key)
{
	MakeKey make = {target, key, false};
	ErrorData *error;

	if (table_has_key(target, key))
		return;
	error = guarded_run(make_key_work, &make);
	if (error == NULL)
		return;
	if (error->sqlerrcode != ERRCODE_PROGRAM_LIMIT_EXCEEDED)
		ReThrowError(error);
	table_hash_key(target, key);
}

void
table_hash_key(const Target *target, List *key)
{
	MakeKey make = {target, key, true};

	table_drop_key(target, key);
	(void) make_key_work(&make);
}

bool
table_key_is_plain(const Target *target, List *key)
{
	Oid index = key == NIL ? InvalidOid : find_key_index(target, key, true);
	Relation rel;
	bool plain;

	if (!OidIsValid(index))
		return false;
	rel = index_open(index, AccessShareLock);
	plain = RelationGetIndexExpressions(rel) == NIL;
	index_close(rel, AccessShareLock);
	return plain;
}

void
table_drop_key(const Target *target, List *key)
{
	Oid index = key == NIL ? InvalidOid : find_key_index(target, key, true);
	StringInfoData sql;

	if (!OidIsValid(index))
		return;
	initStringInfo(&sql);
	appendStringInfo(&sql, "DROP INDEX %s", sql_relation(index));
	execute_as(target->owner, sql.data);
}

/* ---- guard ---- */

static bool
has_trigger(Oid relid, const char *name)
{
	return OidIsValid(get_trigger_oid(relid, name, true));
}

static void
make_trigger(const Target *target, Oid relid, const char *name, const char *events,
			 const char *each)
{
	const char *table = sql_relation(relid);
	StringInfoData sql;

	if (has_trigger(relid, name))
		return;
	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "CREATE TRIGGER %s BEFORE %s ON %s FOR EACH %s"
					 " EXECUTE FUNCTION depipe.refuse_dml();"
					 "ALTER TABLE %s ENABLE ALWAYS TRIGGER %s;"
					 "ALTER TRIGGER %s ON %s DEPENDS ON EXTENSION depipe",
					 name,
					 events,
					 table,
					 each,
					 table,
					 name,
					 name,
					 table);
	execute_as(target->owner, sql.data);
}

static void
drop_trigger(const Target *target, Oid relid, const char *name)
{
	StringInfoData sql;

	if (!has_trigger(relid, name))
		return;
	initStringInfo(&sql);
	appendStringInfo(&sql, "DROP TRIGGER %s ON %s", name, sql_relation(relid));
	execute_as(target->owner, sql.data);
}

void
table_ensure_guard(const Target *target)
{
	ListCell *cell;

	make_trigger(target,
				 target->relid,
				 GUARD_TRIGGER,
				 "INSERT OR UPDATE OR DELETE OR TRUNCATE",
				 "STATEMENT");
	if (get_rel_relkind(target->relid) != RELKIND_PARTITIONED_TABLE)
		return;
	make_trigger(target, target->relid, GUARD_ROWS, "INSERT OR UPDATE OR DELETE", "ROW");
	foreach(cell, find_all_inheritors(target->relid, AccessShareLock, NULL))
		if (lfirst_oid(cell) != target->relid &&
			get_rel_relkind(lfirst_oid(cell)) != RELKIND_FOREIGN_TABLE)
			make_trigger(target, lfirst_oid(cell), GUARD_TRUNCATE, "TRUNCATE", "STATEMENT");
}

void
table_drop_guard(const Target *target)
{
	ListCell *cell;

	drop_trigger(target, target->relid, GUARD_TRIGGER);
	drop_trigger(target, target->relid, GUARD_ROWS);
	foreach(cell, find_all_inheritors(target->relid, AccessShareLock, NULL))
		drop_trigger(target, lfirst_oid(cell), GUARD_TRUNCATE);
}

void
table_drop(const Target *target)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "DROP TABLE %s", target->display);
	execute_as(target->owner, sql.data);
}

/*
 * Returns the table that the guard protects.  For a partition, this is the
 * root of its partition tree.
 */
static Oid
guarded_table(Relation rel)
{
	/* called for each row, mostly for the same relation */
	static Oid last = InvalidOid;
	static Oid root = InvalidOid;

	if (!rel->rd_rel->relispartition)
		return RelationGetRelid(rel);
	if (last != RelationGetRelid(rel))
	{
		root = llast_oid(get_partition_ancestors(RelationGetRelid(rel)));
		last = RelationGetRelid(rel);
	}
	return root;
}

/*
 * May the statement change the table?  True while depipe publishes the table,
 * and if direct changes are allowed.  In the latter case, a statement-level
 * trigger also reports the table as changed.
 */
static bool
may_write(TriggerData *trigger)
{
	Oid relid = guarded_table(trigger->tg_relation);

	if (depipe_is_writing && depipe_writing_to == relid)
		return true;
	/* a detached partition keeps the trigger */
	if (strcmp(trigger->tg_trigger->tgname, GUARD_TRUNCATE) == 0 &&
		relid == RelationGetRelid(trigger->tg_relation))
		return true;
	if (!depipe_allow_target_dml)
		return false;
	if (TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event))
		published_note_table(RelationGetRelid(trigger->tg_relation));
	return true;
}

/* Returns the result of the trigger: the row, for a row-level trigger. */
static Datum
go_on(TriggerData *trigger)
{
	if (TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event))
		return PointerGetDatum(NULL);
	return PointerGetDatum(TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple
																	  : trigger->tg_trigtuple);
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
	if (may_write(trigger))
		return go_on(trigger);
	display = sql_relation(guarded_table(trigger->tg_relation));
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("table %s is maintained by a transform", display),
			 errdetail("It is kept equal to the transform's query."),
			 errhint("Change its inputs, or drop the transform with depipe.drop_transform().")));
}
