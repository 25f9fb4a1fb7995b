/*-------------------------------------------------------------------------
 *
 * statements.c
 *		The SQL texts that write a delta to its target.
 *
 * In all of them the target is t and the delta d.
 *
 *-------------------------------------------------------------------------
 */
#include "publish/statements.h"

#include "core/sqltext.h"
#include "delta/changes.h"
#include "delta/record_image.h"
#include "publish/late.h"

/* Join condition of target t and delta d; also hashable if keys may be null. */
void
statement_append_key_match(StringInfo sql, Delta *delta)
{
	bool not_null = delta_key_is_not_null(delta);

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

bool
statement_append_assignments(StringInfo sql, Delta *delta, const char *separator)
{
	bool any = false;

	for (int i = 0; i < delta->columns->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(delta->columns, i);
		const char *name = sql_identifier(NameStr(att->attname));

		if (delta_is_always_identity(delta, i) ||
			(delta_is_key(delta, i) && column_equal_is_same_image(att)))
			continue;
		appendStringInfo(sql, "%s%s = d.%s", separator, name, name);
		separator = ", ";
		any = true;
	}
	return any;
}

static void
append_set(StringInfo sql, Delta *delta)
{
	if (!statement_append_assignments(sql, delta, " WHEN MATCHED THEN UPDATE SET "))
		appendStringInfoString(sql, " WHEN MATCHED THEN DO NOTHING");
}

void
statement_append_order(StringInfo sql, const Delta *delta, const List *key_order)
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

/* Evaluated for each existing row: a comparison, not a query. */
static void
append_check_matched(StringInfo sql, Delta *delta)
{
	if (delta->checked)
		appendStringInfoString(sql,
							   " WHEN MATCHED AND CASE WHEN " BEFORE_IS(
								   "0") " THEN depipe.unexpected_row(true) ELSE false END"
										" THEN DO NOTHING");
}

/* Not DO NOTHING: then rows without a match would not be examined. */
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
 * New images, and deletions unless they are left for later.  The executor
 * carries the whole row of the subquery along, so it has no unnecessary
 * columns.
 */
char *
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
	statement_append_order(&sql, delta, table->key_order);
	appendStringInfoString(&sql, ") d ON ");
	statement_append_key_match(&sql, delta);
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

char *
check_sql(Target *target, Delta *delta)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "MERGE INTO %s t USING (SELECT d._depipe_before, ", target->display);
	sql_append_columns(&sql, delta->columns, "d");
	appendStringInfo(&sql, " FROM %s d WHERE NOT d._depipe_replaced) d ON ", delta->name);
	statement_append_key_match(&sql, delta);
	append_check_matched(&sql, delta);
	append_check_not_matched(&sql, delta);
	return sql.data;
}

/* Deletions only or, with all_keys, every key of the delta. */
char *
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
	statement_append_key_match(&sql, delta);
	append_check_matched(&sql, delta);
	appendStringInfoString(&sql, " WHEN MATCHED THEN DELETE");
	append_check_not_matched(&sql, delta);
	return sql.data;
}

/* The new images, each as often as its weight. */
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

/* An insertion that opens all partitions at its start: it joins no row. */
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

char *
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

/*
 * Rows of the target with the same image as a deleted one.  by: the way in
 * which columns are joined.
 */
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
 * With an index on the hash, or on one of the columns, few rows are examined;
 * NULLs of a column are joined separately.
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

/* For a bag, as many copies of an image as its weight, in no particular order. */
char *
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

char *
changed_values_sql(const ApplyTable *table, int column)
{
	Delta *delta = table->delta;
	const char *name = sql_identifier(NameStr(TupleDescAttr(delta->columns, column)->attname));
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "SELECT FROM %s JOIN %s d ON ",
					 /* a row that is not current can be revived */
					 target_all_rows_sql(table->target, "t"),
					 delta->name);
	statement_append_key_match(&sql, delta);
	appendStringInfo(&sql,
					 " WHERE d._depipe_weight OPERATOR(pg_catalog.>) 0"
					 " AND t.%s IS DISTINCT FROM d.%s LIMIT 1",
					 name,
					 name);
	return sql.data;
}

/* In the order of the key's index, as a MERGE meets them. */
char *
images_sql(const ApplyTable *table, TupleDesc changes, int weight, bool new_only)
{
	Delta *delta = table->delta;
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT (%d)::pg_catalog.int8", weight);
	for (int i = CHANGES_FIXED; i < changes->natts; i++)
		appendStringInfo(&sql,
						 ", t.%s",
						 sql_identifier(NameStr(TupleDescAttr(changes, i)->attname)));
	if (delta->clear)
	{
		appendStringInfo(&sql, " FROM %s", target_rows_sql(table->target, "t"));
		return sql.data;
	}
	appendStringInfoString(&sql, " FROM (SELECT ");
	for (int i = 0; i < delta->nkeys; i++)
		appendStringInfo(
			&sql,
			"%sd.%s",
			i > 0 ? ", " : "",
			sql_identifier(NameStr(TupleDescAttr(delta->columns, delta->keys[i] - 1)->attname)));
	appendStringInfo(&sql,
					 " FROM %s d WHERE %s",
					 delta->name,
					 new_only ? "d._depipe_weight OPERATOR(pg_catalog.>) 0"
							  : "NOT d._depipe_replaced");
	statement_append_order(&sql, delta, table->key_order);
	appendStringInfo(&sql, ") d JOIN %s ON ", target_rows_sql(table->target, "t"));
	statement_append_key_match(&sql, delta);
	return sql.data;
}
