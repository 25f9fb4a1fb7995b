/*-------------------------------------------------------------------------
 *
 * apply.c
 *		Writing deltas to their targets, set by set.
 *
 * A keyed delta is one MERGE from the ephemeral relation.  Foreign keys
 * between targets are checked by the server at the end of each statement (a
 * deferred check cannot be queued in a restricted operation, and must not fire
 * after the gate), so tables are written in the order of their foreign keys:
 * new images of parents first, deletions of children first.
 *
 * Two rows that exchange the value of another unique column make MERGE fail
 * in the middle.  publish then asks for APPLY_REPLACE, which takes all keys of
 * the delta out before it inserts.  The actions of foreign keys that look at the
 * table do not follow (late.c), and rows that return bring along the values
 * of the columns that only the target has.  Where no order of the tables
 * satisfies their foreign keys, publish asks for them to be late: checked when
 * all tables are written.
 *
 * The planner knows nothing of a delta but its number of rows.  Where an index
 * of the target has the key, the delta is sorted by it and meets the target
 * through that index: a page of the target and of the index is then visited
 * once, and the work is that of the delta, not of the table.
 *
 * Everything is done as the owner of the target, with the flag set that lets
 * the trigger against direct changes pass.
 *
 *-------------------------------------------------------------------------
 */
#include "publish/apply.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/pg_am.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_inherits.h"
#include "commands/trigger.h"
#include "core/identity.h"
#include "core/plans.h"
#include "delta/record_image.h"
#include "core/sqltext.h"
#include "executor/spi.h"
#include "pgstat.h"
#include "portability/instr_time.h"
#include "publish/bag.h"
#include "publish/late.h"
#include "publish/triggers.h"
#include "rewrite/prs2lock.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

CHECKED_FUNCTION(depipe_unexpected_row);

/* ---- keys that have rows, or none, against what the stream says ---- */

static const char *unexpected = NULL;

const char *
apply_unexpected(void)
{
	const char *reason = unexpected;

	unexpected = NULL;
	return reason;
}

/*
 * Called by the statements below, for a row of a delta whose key has a row in
 * the target (argument: true) or none (false) against what the changes say.
 */
static Datum
depipe_unexpected_row_checked(PG_FUNCTION_ARGS)
{
	if (!depipe_is_writing)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("depipe.unexpected_row() is for depipe's own statements")));
	unexpected = PG_ARGISNULL(0) || !PG_GETARG_BOOL(0)
					 ? "the source changed or deleted a row that the table does not have"
					 : "the source inserted a row whose key the table has already";
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg_internal("%s", unexpected),
			 errhint("The table was changed by somebody else, or its key does not tell the source's"
					 " rows apart.")));
}

/* ---- executing and counting ---- */

static void
set_locally(const char *name, const char *value)
{
	(void)
		set_config_option(name, value, PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/* How to plan a statement about the delta and its target. */
static PlanStyle
plan_style(const ApplyTable *table)
{
	if (table->bag_by_hash)
		return table->delta->nrows <= PLAN_SMALL_ROWS ? PLAN_KEPT : PLAN_ONCE_BY_ROW;
	if (table->key_order == NIL)
		return PLAN_ONCE;
	return table->delta->nrows <= PLAN_SMALL_ROWS && !table->delta->clear ? PLAN_KEPT
																		  : PLAN_ONCE_BY_INDEX;
}

static void
execute(const ApplyTable *table, const char *sql, Snapshot snapshot)
{
	MemoryContext caller = CurrentMemoryContext;
	SPIPlanPtr plan = plan_statement(sql, table->delta->desc, plan_style(table));
	int result;

	if (snapshot != NULL)
		result = SPI_execute_snapshot(plan, NULL, NULL, snapshot, InvalidSnapshot, false, true, 0);
	else
		result = SPI_execute_plan(plan, NULL, NULL, false, 0);
	MemoryContextSwitchTo(caller); /* SPI leaves us in its own, which ends with it */
	if (result < 0)
		elog(ERROR, "statement failed: %s", SPI_result_code_string(result));
	plan_release(plan);
}

typedef struct Counts
{
	int64 inserted;
	int64 updated;
	int64 deleted;
} Counts;

/* The rows that this transaction has written so far, by the server's own statistics. */
static Counts
written_so_far(Oid relid)
{
	Counts counts = {0};
	ListCell *cell;

	foreach(cell, find_all_inheritors(relid, NoLock, NULL))
	{
		Datum leaf = ObjectIdGetDatum(lfirst_oid(cell));

		counts.inserted += DatumGetInt64(
			DirectFunctionCall1(pg_stat_get_xact_tuples_inserted, leaf));
		counts.updated += DatumGetInt64(DirectFunctionCall1(pg_stat_get_xact_tuples_updated, leaf));
		counts.deleted += DatumGetInt64(DirectFunctionCall1(pg_stat_get_xact_tuples_deleted, leaf));
	}
	return counts;
}

void
apply_uncounted(ApplyTable *table, const char *sql, int skip, Snapshot snapshot)
{
	Identity identity;
	instr_time start;
	instr_time end;

	INSTR_TIME_SET_CURRENT(start);
	identity_become_with(table->target->owner, table->target->settings, &identity);
	/* what the fold has needed, sorting its result may need too */
	if (work_mem < depipe_batch_memory)
		set_locally("work_mem", psprintf("%dkB", depipe_batch_memory));
	identity_pin_output();
	triggers_begin(sql, skip);
	depipe_is_writing = true;
	depipe_writing_to = table->target->relid;
	execute(table, sql, snapshot);
	depipe_is_writing = false;
	depipe_writing_to = InvalidOid;
	triggers_end();
	identity_restore(&identity);
	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, start);
	if (table->run != NULL)
		table->run->apply_ms += INSTR_TIME_GET_MILLISEC(end);
}

static int
late_skip(const ApplyTable *table)
{
	return table->late ? SKIP_REFERENCING | SKIP_RESTRICTING : SKIP_NONE;
}

/* skip: triggers of foreign keys that are left out beside those of a late table. */
static void
execute_skipping(ApplyTable *table, const char *sql, int skip, Snapshot snapshot)
{
	Counts before;
	Counts after;
	int level = NewGUCNestLevel();

	set_locally("track_counts", "on");
	before = written_so_far(table->target->relid);
	apply_uncounted(table, sql, skip | late_skip(table), snapshot);
	after = written_so_far(table->target->relid);
	AtEOXact_GUC(false, level);
	table->run->inserted += after.inserted - before.inserted;
	table->run->updated += after.updated - before.updated;
	table->run->deleted += after.deleted - before.deleted;
}

static void
execute_counted(ApplyTable *table, const char *sql, Snapshot snapshot)
{
	execute_skipping(table, sql, SKIP_NONE, snapshot);
}

/* ---- statements ---- */

static bool
is_key(Delta *delta, int column)
{
	for (int i = 0; i < delta->nkeys; i++)
		if (delta->keys[i] == column + 1)
			return true;
	return false;
}

/* Can two values of the column be equal and yet differ in their image? */
static bool
equal_is_identical(Form_pg_attribute att)
{
	switch (att->atttypid)
	{
		case BOOLOID:
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case OIDOID:
		case UUIDOID:
		case DATEOID:
		case TIMEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case BYTEAOID:
			return true;
		case TEXTOID:
		case VARCHAROID:
			return get_collation_isdeterministic(att->attcollation);
		default:
			return false;
	}
}

bool
apply_is_always_identity(Delta *delta, int column)
{
	HeapTuple tuple = SearchSysCacheAttNum(delta->relid, delta->attnums[column]);
	bool result;

	if (!HeapTupleIsValid(tuple))
		return false;
	result = ((Form_pg_attribute) GETSTRUCT(tuple))->attidentity == ATTRIBUTE_IDENTITY_ALWAYS;
	ReleaseSysCache(tuple);
	return result;
}

static bool
keys_not_null(Delta *delta)
{
	bool result = true;

	for (int i = 0; i < delta->nkeys; i++)
	{
		HeapTuple tuple = SearchSysCacheAttNum(delta->relid, delta->attnums[delta->keys[i] - 1]);

		if (!HeapTupleIsValid(tuple))
			return false;
		result = result && ((Form_pg_attribute) GETSTRUCT(tuple))->attnotnull;
		ReleaseSysCache(tuple);
	}
	return result;
}

/* Join condition of target t and delta d; hashable also where keys may be null. */
static void
append_key_match(StringInfo sql, Delta *delta)
{
	bool not_null = keys_not_null(delta);

	if (!not_null)
	{
		appendStringInfoString(sql, "pg_catalog.hash_record_extended(ROW(");
		for (int side = 0; side < 2; side++)
		{
			for (int i = 0; i < delta->nkeys; i++)
				appendStringInfo(sql,
								 "%s%s.%s",
								 i > 0 ? ", " : "",
								 side == 0 ? "t" : "d",
								 sql_identifier(NameStr(
									 TupleDescAttr(delta->columns, delta->keys[i] - 1)->attname)));
			appendStringInfoString(sql,
								   side == 0 ? "), 0) OPERATOR(pg_catalog.=)"
											   " pg_catalog.hash_record_extended(ROW("
											 : "), 0) AND ");
		}
	}
	sql_append_match(sql, delta->columns, delta->nkeys, delta->keys, "t", "d", not_null);
}

static void
append_insert(StringInfo sql, Delta *delta)
{
	appendStringInfoString(sql, "(");
	sql_append_columns(sql, delta->columns, NULL);
	appendStringInfoString(sql, ") OVERRIDING SYSTEM VALUE ");
}

static void
append_set(StringInfo sql, Delta *delta)
{
	const char *separator = " WHEN MATCHED THEN UPDATE SET ";
	bool any = false;

	for (int i = 0; i < delta->columns->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(delta->columns, i);
		const char *name = sql_identifier(NameStr(att->attname));

		if (apply_is_always_identity(delta, i) || (is_key(delta, i) && equal_is_identical(att)))
			continue;
		appendStringInfo(sql, "%s%s = d.%s", separator, name, name);
		separator = ", ";
		any = true;
	}
	if (!any)
		appendStringInfoString(sql, " WHEN MATCHED THEN DO NOTHING");
}

static void
append_order(StringInfo sql, Delta *delta, List *key_order)
{
	const char *separator = " ORDER BY ";
	ListCell *cell;

	foreach(cell, key_order)
	{
		Form_pg_attribute att = TupleDescAttr(delta->columns, lfirst_int(cell) - 1);

		appendStringInfo(sql, "%sd.%s", separator, sql_identifier(NameStr(att->attname)));
		separator = ", ";
	}
}

#define BEFORE_IS(value) "d._depipe_before OPERATOR(pg_catalog.=) " value

/* Evaluated per row that is there: a comparison, no query. */
static void
append_check_matched(StringInfo sql, Delta *delta)
{
	if (delta->checked)
		appendStringInfoString(sql,
							   " WHEN MATCHED AND CASE WHEN " BEFORE_IS(
								   "0") " THEN depipe.unexpected_row(true) ELSE false END"
										" THEN DO NOTHING");
}

/* Not DO NOTHING: rows without a match would not be looked at. */
static void
append_check_not_matched(StringInfo sql, Delta *delta)
{
	if (delta->checked)
		appendStringInfoString(sql,
							   " WHEN NOT MATCHED AND CASE WHEN " BEFORE_IS("1") " OR " BEFORE_IS(
								   "2") " THEN depipe.unexpected_row(false) ELSE false END"
										" THEN INSERT DEFAULT VALUES");
}

/*
 * New images, and deletions too unless they are left for later.  The executor
 * carries the subquery's whole row along: it has no column more than needed.
 */
static char *
merge_sql(ApplyTable *table, bool with_deletions)
{
	Delta *delta = table->delta;
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "MERGE INTO %s t USING (SELECT %s%s",
					 table->target->display,
					 with_deletions ? "d._depipe_weight, " : "",
					 delta->checked ? "d._depipe_before, " : "");
	sql_append_columns(&sql, delta->columns, "d");
	appendStringInfo(&sql,
					 " FROM %s d WHERE %s",
					 delta->name,
					 with_deletions ? "NOT d._depipe_replaced"
									: "d._depipe_weight OPERATOR(pg_catalog.>) 0");
	append_order(&sql, delta, table->key_order);
	appendStringInfoString(&sql, ") d ON ");
	append_key_match(&sql, delta);
	append_check_matched(&sql, delta);
	if (with_deletions)
		appendStringInfoString(&sql,
							   " WHEN MATCHED AND d._depipe_weight OPERATOR(pg_catalog.<) 0"
							   " THEN DELETE");
	append_set(&sql, delta);
	append_check_not_matched(&sql, delta);
	appendStringInfoString(&sql, " WHEN NOT MATCHED");
	if (with_deletions)
		appendStringInfoString(&sql, " AND d._depipe_weight OPERATOR(pg_catalog.>) 0");
	appendStringInfoString(&sql, " THEN INSERT ");
	append_insert(&sql, delta);
	appendStringInfoString(&sql, "VALUES (");
	sql_append_columns(&sql, delta->columns, "d");
	appendStringInfoString(&sql, ")");
	return sql.data;
}

static char *
check_sql(Target *target, Delta *delta)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "MERGE INTO %s t USING (SELECT d._depipe_before, ", target->display);
	sql_append_columns(&sql, delta->columns, "d");
	appendStringInfo(&sql, " FROM %s d WHERE NOT d._depipe_replaced) d ON ", delta->name);
	append_key_match(&sql, delta);
	append_check_matched(&sql, delta);
	append_check_not_matched(&sql, delta);
	return sql.data;
}

void
apply_check_keys(Target *target, Delta *delta, Snapshot snapshot)
{
	ApplyTable table = {.target = target, .delta = delta};

	if (!delta->checked || delta->nkeys == 0 || delta->nrows == 0)
		return;
	delta_register(delta);
	apply_uncounted(&table, check_sql(target, delta), SKIP_NONE, snapshot);
	delta_unregister(delta);
}

/* Deletions only, or with all_keys every key of the delta. */
static char *
delete_sql(Target *target, Delta *delta, bool all_keys)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "MERGE INTO %s t USING (SELECT d._depipe_before, ", target->display);
	sql_append_columns(&sql, delta->columns, "d");
	appendStringInfo(&sql,
					 " FROM %s d WHERE NOT d._depipe_replaced%s) d ON ",
					 delta->name,
					 all_keys ? "" : " AND d._depipe_weight OPERATOR(pg_catalog.<) 0");
	append_key_match(&sql, delta);
	append_check_matched(&sql, delta);
	appendStringInfoString(&sql, " WHEN MATCHED THEN DELETE");
	append_check_not_matched(&sql, delta);
	return sql.data;
}

/* The new images, each as often as its weight says. */
static char *
new_images_sql(ApplyTable *table)
{
	Delta *delta = table->delta;
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	sql_append_columns(&sql, delta->columns, "d");
	appendStringInfo(&sql, " FROM %s d", delta->name);
	if (delta->nkeys == 0)
		appendStringInfoString(&sql, ", LATERAL pg_catalog.generate_series(1, d._depipe_weight) n");
	appendStringInfoString(&sql, " WHERE d._depipe_weight OPERATOR(pg_catalog.>) 0");
	if (table->mode == APPLY_REPLACE && !table->all_columns)
		appendStringInfo(&sql, " AND NOT %s", late_is_saved(table));
	return sql.data;
}

/* An insertion that opens all partitions at its start: it joins with no row. */
static char *
merge_insert_sql(ApplyTable *table)
{
	Delta *delta = table->delta;
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "MERGE INTO %s t USING (%s) d"
					 " ON t.ctid OPERATOR(pg_catalog.=) '(0,0)'::pg_catalog.tid"
					 " WHEN NOT MATCHED THEN INSERT ",
					 table->target->display,
					 new_images_sql(table));
	append_insert(&sql, delta);
	appendStringInfoString(&sql, "VALUES (");
	sql_append_columns(&sql, delta->columns, "d");
	appendStringInfoChar(&sql, ')');
	return sql.data;
}

static char *
insert_sql(ApplyTable *table)
{
	StringInfoData sql;

	if (table->open_partitions)
		return merge_insert_sql(table);
	initStringInfo(&sql);
	appendStringInfo(&sql, "INSERT INTO %s ", table->target->display);
	append_insert(&sql, table->delta);
	appendStringInfoString(&sql, new_images_sql(table));
	return sql.data;
}

/* Rows of the target that are the same image as a deleted one.  by: how the columns are met. */
static void
append_same_images(StringInfo sql, const ApplyTable *table, const char *by)
{
	Delta *delta = table->delta;

	appendStringInfo(sql,
					 "SELECT t.tableoid AS leaf, t.ctid AS place, d._depipe_weight AS weight,"
					 " d._depipe_sequence AS sequence FROM %s d JOIN %s ON %s",
					 delta->name,
					 target_rows_sql(table->target, "t"),
					 by);
	image_append(sql, delta->columns, "t");
	appendStringInfoString(sql, " OPERATOR(pg_catalog.=) ");
	image_append(sql, delta->columns, "d");
	appendStringInfoString(sql, " WHERE d._depipe_weight OPERATOR(pg_catalog.<) 0");
}

static char *
same_hash(Delta *delta)
{
	StringInfoData by;

	initStringInfo(&by);
	hash_append(&by, delta->columns, "t");
	appendStringInfoString(&by, " OPERATOR(pg_catalog.=) ");
	hash_append(&by, delta->columns, "d");
	appendStringInfoString(&by, " AND ");
	return by.data;
}

/*
 * With an index over the hash, or on one of the columns, few rows are looked
 * at; NULLs of a column are met apart.
 */
static void
append_victims(StringInfo sql, const ApplyTable *table)
{
	const char *name;

	if (table->bag_by_hash)
	{
		append_same_images(sql, table, same_hash(table->delta));
		return;
	}
	if (table->bag_column == 0)
	{
		append_same_images(sql, table, "");
		return;
	}
	name = sql_identifier(
		NameStr(TupleDescAttr(table->delta->columns, table->bag_column - 1)->attname));
	append_same_images(sql, table, psprintf("t.%s OPERATOR(pg_catalog.=) d.%s AND ", name, name));
	appendStringInfoString(sql, " UNION ALL ");
	append_same_images(sql, table, psprintf("t.%s IS NULL AND d.%s IS NULL AND ", name, name));
}

/* Of a bag, so many copies of an image as the weight says, whichever they are. */
static char *
delete_copies_sql(const ApplyTable *table)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql,
						   "WITH victims AS MATERIALIZED (SELECT x.leaf, x.place FROM (SELECT s.*,"
						   " pg_catalog.row_number() OVER (PARTITION BY s.sequence) AS n FROM (");
	append_victims(&sql, table);
	appendStringInfo(&sql,
					 ") s) x WHERE x.n OPERATOR(pg_catalog.<=) (OPERATOR(pg_catalog.-) x.weight))"
					 " DELETE FROM %s t WHERE t.ctid OPERATOR(pg_catalog.=)"
					 " ANY (ARRAY(SELECT v.place FROM victims v))",
					 table->target->display);
	if (table->has_children)
		appendStringInfoString(&sql,
							   " AND EXISTS (SELECT FROM victims v"
							   " WHERE v.leaf OPERATOR(pg_catalog.=) t.tableoid"
							   " AND v.place OPERATOR(pg_catalog.=) t.ctid)");
	return sql.data;
}

/* ---- identity columns ---- */

/*
 * A column GENERATED ALWAYS AS IDENTITY takes values of new rows, and no others:
 * SET leaves it out.  So its values must be those of the rows that are there;
 * where they are not, publish asks for APPLY_REPLACE.
 */
static void
refuse_changed_identity(ApplyTable *table, int column, Snapshot snapshot)
{
	Delta *delta = table->delta;
	const char *name = sql_identifier(NameStr(TupleDescAttr(delta->columns, column)->attname));
	StringInfoData sql;
	Identity identity;

	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "SELECT FROM %s JOIN %s d ON ",
					 target_rows_sql(table->target, "t"),
					 delta->name);
	append_key_match(&sql, delta);
	appendStringInfo(&sql,
					 " WHERE d._depipe_weight OPERATOR(pg_catalog.>) 0"
					 " AND t.%s IS DISTINCT FROM d.%s LIMIT 1",
					 name,
					 name);
	identity_become(table->target->owner, &identity);
	execute(table, sql.data, snapshot);
	identity_restore(&identity);
	if (SPI_processed > 0)
		ereport(ERROR,
				(errcode(ERRCODE_GENERATED_ALWAYS),
				 errmsg("identity column %s of %s is GENERATED ALWAYS, and its value was changed",
						name,
						table->target->display),
				 errhint("ALTER TABLE %s ALTER COLUMN %s SET GENERATED BY DEFAULT;",
						 table->target->display,
						 name)));
}

static void
refuse_changed_identities(ApplyTable *table, Snapshot snapshot)
{
	for (int i = 0; i < table->delta->columns->natts; i++)
		if (!is_key(table->delta, i) && apply_is_always_identity(table->delta, i))
			refuse_changed_identity(table, i, snapshot);
}

/* ---- one table ---- */

static bool
must_save(const ApplyTable *table)
{
	if (table->delta->nkeys == 0 && !table->delta->clear)
		return false;
	return (table->late && table->pointed_at) ||
		   (table->mode == APPLY_REPLACE && (table->pointed_at || !table->all_columns));
}

static void
clear_table(ApplyTable *table, Snapshot snapshot)
{
	StringInfoData sql;

	table->saved = NULL;
	if (must_save(table))
		late_save(table);
	if (!table->delta->clear)
		return;
	initStringInfo(&sql);
	/* not TRUNCATE: readers with an older snapshot keep the last version */
	appendStringInfo(&sql, "DELETE FROM %s", table->target->display);
	execute_counted(table, sql.data, snapshot);
}

static void
write_new_images(ApplyTable *table, Snapshot snapshot)
{
	Delta *delta = table->delta;

	if (delta->nkeys == 0)
	{
		if (delta->nrows > delta->new_images)
			execute_counted(table, delete_copies_sql(table), snapshot);
		if (delta->new_images > 0)
			execute_counted(table, insert_sql(table), snapshot);
	}
	else if (delta->clear)
	{
		if (delta->new_images > 0)
			execute_counted(table, insert_sql(table), snapshot);
	}
	else if (table->mode == APPLY_REPLACE)
	{
		execute_skipping(table, delete_sql(table->target, delta, true), SKIP_REFERENCED, snapshot);
		if (!table->all_columns)
			execute_counted(table, late_return_sql(table), snapshot);
		execute_counted(table, insert_sql(table), snapshot);
	}
	else if (!table->referenced || delta->new_images > 0)
	{
		refuse_changed_identities(table, snapshot);
		execute_counted(table,
						merge_sql(table, !table->referenced && delta->nrows > delta->new_images),
						snapshot);
	}
}

static void
write_deletions(ApplyTable *table, Snapshot snapshot)
{
	Delta *delta = table->delta;

	if (delta->nkeys > 0 && table->referenced && table->mode == APPLY_MERGE && !delta->clear &&
		delta->nrows > delta->new_images)
		execute_counted(table, delete_sql(table->target, delta, false), snapshot);
}

/* ---- all tables ---- */

/* The number in delta->columns of a key's column of the table, or 0. */
static int
key_number(Delta *delta, AttrNumber attnum)
{
	for (int i = 0; i < delta->nkeys; i++)
		if (delta->attnums[delta->keys[i] - 1] == attnum)
			return delta->keys[i];
	return 0;
}

/* The key's columns in the order of the index, or NIL if it has others or cannot serve. */
static List *
order_of_index(Delta *delta, Relation index)
{
	Form_pg_index form = index->rd_index;
	List *order = NIL;

	if (index->rd_rel->relam != BTREE_AM_OID || !form->indisvalid ||
		form->indnkeyatts != delta->nkeys || RelationGetIndexPredicate(index) != NIL)
		return NIL;
	for (int i = 0; i < form->indnkeyatts; i++)
	{
		int number = key_number(delta, form->indkey.values[i]);

		if (number == 0 || list_member_int(order, number) ||
			!OidIsValid(lookup_type_cache(TupleDescAttr(delta->columns, number - 1)->atttypid,
										  TYPECACHE_LT_OPR)
							->lt_opr))
			return NIL;
		order = lappend_int(order, number);
	}
	return order;
}

static List *
find_key_order(Relation rel, Delta *delta)
{
	List *order = NIL;
	ListCell *cell;

	if (rel->rd_rel->relkind != RELKIND_RELATION || delta->nkeys == 0 || !keys_not_null(delta))
		return NIL;
	foreach(cell, RelationGetIndexList(rel))
	{
		Relation index = index_open(lfirst_oid(cell), AccessShareLock);

		if (order == NIL)
			order = order_of_index(delta, index);
		index_close(index, AccessShareLock);
	}
	return order;
}

/* What foreign keys there are, of the table and its partitions. */
static void
look_at_foreign_keys(ApplyTable *table, Relation rel)
{
	TriggerDesc *triggers = rel->trigdesc;

	/* cached: no scan per batch */
	table->referenced |= RelationGetFKeyList(rel) != NIL || rel->rd_rel->relhastriggers;
	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
		table->pointed_at |= RI_FKey_trigger_type(triggers->triggers[i].tgfoid) == RI_TRIGGER_PK;
	table->open_partitions |= rel->rd_rel->relispartition && triggers_matter(rel, late_skip(table));
}

static bool
has_all_columns(Delta *delta, Relation rel)
{
	int count = 0;

	for (int i = 0; i < rel->rd_att->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(rel->rd_att, i);

		if (!att->attisdropped && att->attgenerated == '\0')
			count++;
	}
	return count == delta->columns->natts;
}

void
publish_refuse_rules(Oid relid, const char *display)
{
	Relation rel = table_open(relid, AccessShareLock);
	bool has_rules = rel->rd_rules != NULL && rel->rd_rules->numLocks > 0;

	table_close(rel, NoLock);
	if (has_rules)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("table %s has rules", display),
				 errdetail("A rule could put something else in the place of what is written."),
				 errhint("Drop its rules; pg_rules lists them.")));
}

void
apply_prepare(ApplyTable *table)
{
	Relation rel;
	ListCell *cell;

	publish_refuse_rules(table->target->relid, table->target->display);
	table->referenced = table->pointed_at = table->open_partitions = false;
	table->relids = list_make1_oid(table->target->relid);
	rel = table_open(table->target->relid, NoLock);
	if (rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
		table->relids = find_all_inheritors(table->target->relid, RowExclusiveLock, NULL);
	look_at_foreign_keys(table, rel);
	for_each_from(cell, table->relids, 1)
	{
		Relation leaf = table_open(lfirst_oid(cell), NoLock);

		look_at_foreign_keys(table, leaf);
		table_close(leaf, NoLock);
	}
	table->all_columns = has_all_columns(table->delta, rel);
	table->key_order = find_key_order(rel, table->delta);
	table->bag_by_hash = bag_has_hash(rel, table->delta);
	table->bag_column = bag_column(rel, table->delta);
	table->has_children = rel->rd_rel->relhassubclass;
	table_close(rel, NoLock);
}

/* Does a foreign key of the one, or of a partition of it, point at the other? */
static bool
references(ApplyTable *table, ApplyTable *other)
{
	bool found = false;
	ListCell *cell;
	ListCell *key;

	foreach(cell, table->relids)
	{
		Relation rel = table_open(lfirst_oid(cell), NoLock);

		foreach(key, RelationGetFKeyList(rel))
			found |= list_member_oid(other->relids,
									 ((ForeignKeyCacheInfo *) lfirst(key))->confrelid);
		table_close(rel, NoLock);
	}
	return found;
}

List *
apply_order(List *tables)
{
	List *ordered = NIL;
	List *left = list_copy(tables);

	while (left != NIL)
	{
		ApplyTable *next = NULL;
		ListCell *cell;

		/* the first that references no other table that is still to come */
		foreach(cell, left)
		{
			ApplyTable *candidate = lfirst(cell);
			bool waits = false;
			ListCell *other;

			foreach(other, left)
				if (lfirst(other) != candidate && candidate->referenced &&
					references(candidate, lfirst(other)))
					waits = true;
			if (!waits)
			{
				next = candidate;
				break;
			}
		}
		if (next == NULL)
			next = linitial(left); /* a cycle: any order is as good, see late.c */
		ordered = lappend(ordered, next);
		left = list_delete_ptr(left, next);
	}
	return ordered;
}

void
apply_all(List *tables, Snapshot snapshot, ApplyTable **current)
{
	for (int i = list_length(tables) - 1; i >= 0; i--)
	{
		*current = list_nth(tables, i);
		clear_table(*current, snapshot);
	}
	for (int i = 0; i < list_length(tables); i++)
	{
		*current = list_nth(tables, i);
		write_new_images(*current, snapshot);
	}
	for (int i = list_length(tables) - 1; i >= 0; i--)
	{
		*current = list_nth(tables, i);
		write_deletions(*current, snapshot);
	}
	for (int i = 0; i < list_length(tables); i++)
	{
		*current = list_nth(tables, i);
		late_check(*current, snapshot);
	}
	*current = NULL;
}
