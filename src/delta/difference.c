/*-------------------------------------------------------------------------
 *
 * difference.c
 *		Difference between the desired and the current rows of a table.
 *
 * Rows are compared by their images, so that afterwards the table equals the
 * incoming rows exactly: 1.50 and 1.5 differ.
 *
 * keyed	A full join on the key.  Rows with a NULL in the key cannot be joined
 *			by "=", and IS NOT DISTINCT FROM cannot be hashed.  These (few) rows
 *			go through a second join, on the record of the key columns, in
 *			which nulls are equal.
 * bag		The rows of both sides are counted with signs: incoming +1,
 *			present -1.  The nonzero sums are the difference.  Columns whose
 *			equality differs from equality of images (numeric, json, arrays,
 *			...) are grouped by their image; one row of each group represents
 *			all of them.
 *
 * The old and the new image of a key are adjacent in the delta.
 *
 *-------------------------------------------------------------------------
 */
#include "delta/difference.h"

#include "access/nbtree.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/pg_am.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "core/identity.h"
#include "delta/record_image.h"
#include "core/sqltext.h"
#include "executor/spi.h"
#include "utils/lsyscache.h"

/* the fixed columns after weight and sequence; local rows have no position */
#define NO_POSITION "NULL::pg_catalog.pg_lsn, NULL::pg_catalog.timestamptz, NULL::pg_catalog.int8"

static const char *
column_name(Delta *delta, int i)
{
	return sql_identifier(NameStr(TupleDescAttr(delta->columns, i)->attname));
}

static const char *
key_name(Delta *delta, int i)
{
	return column_name(delta, delta->keys[i] - 1);
}

/* ---- keyed ---- */

static bool
keys_are_not_null(Delta *delta)
{
	for (int i = 0; i < delta->nkeys; i++)
		if (!TupleDescAttr(delta->columns, delta->keys[i] - 1)->attnotnull)
			return false;
	return true;
}

/* "k1 IS NOT NULL AND k2 IS NOT NULL", or its negation */
static void
append_null_filter(StringInfo sql, Delta *delta, bool null_keys)
{
	appendStringInfoString(sql, null_keys ? " WHERE NOT (" : " WHERE ");
	for (int i = 0; i < delta->nkeys; i++)
		appendStringInfo(sql,
						 "%s%s IS DISTINCT FROM NULL",
						 i > 0 ? " AND " : "",
						 key_name(delta, i));
	if (null_keys)
		appendStringInfoChar(sql, ')');
}

/* One side of the join: a flag that the row exists, its columns, and the key as a record. */
static void
append_side(StringInfo sql, Delta *delta, const char *relation, const char *alias, bool nullable,
			bool null_keys)
{
	appendStringInfoString(sql, "(SELECT true AS _depipe_here, ");
	sql_append_columns(sql, delta->columns, NULL);
	if (null_keys)
	{
		appendStringInfoString(sql, ", ROW(");
		for (int i = 0; i < delta->nkeys; i++)
			appendStringInfo(sql, "%s%s", i > 0 ? ", " : "", key_name(delta, i));
		appendStringInfoString(sql, ") AS _depipe_key");
	}
	appendStringInfo(sql, " FROM %s", relation);
	if (nullable)
		append_null_filter(sql, delta, null_keys);
	appendStringInfo(sql, ") %s", alias);
}

/* Pairs of rows that differ, as one or two rows with a weight. */
static void
append_join(StringInfo sql, Delta *delta, const char *incoming, const char *target, bool nullable,
			bool null_keys)
{
	appendStringInfoString(
		sql,
		"SELECT pg_catalog.unnest(CASE WHEN _depipe_i._depipe_here AND _depipe_t._depipe_here"
		" THEN '{-1,1}' WHEN _depipe_i._depipe_here THEN '{1}' ELSE '{-1}'"
		" END::pg_catalog.int8[]) AS weight,"
		" (_depipe_i._depipe_here AND _depipe_t._depipe_here) IS TRUE AS replaced");
	for (int i = 0; i < delta->columns->natts; i++)
		appendStringInfo(sql,
						 ", _depipe_i.%s AS i_%d, _depipe_t.%s AS t_%d",
						 column_name(delta, i),
						 i,
						 column_name(delta, i),
						 i);
	appendStringInfoString(sql, " FROM ");
	append_side(sql, delta, incoming, "_depipe_i", nullable, null_keys);
	appendStringInfoString(sql, " FULL JOIN ");
	append_side(sql, delta, target, "_depipe_t", nullable, null_keys);
	appendStringInfoString(sql, " ON ");
	if (null_keys)
		appendStringInfoString(
			sql,
			"_depipe_i._depipe_key OPERATOR(pg_catalog.=) _depipe_t._depipe_key");
	else
		sql_append_match(sql,
						 delta->columns,
						 delta->nkeys,
						 delta->keys,
						 "_depipe_i",
						 "_depipe_t",
						 true);
	appendStringInfoString(sql,
						   " WHERE _depipe_i._depipe_here IS NULL OR _depipe_t._depipe_here IS NULL"
						   " OR _depipe_i OPERATOR(pg_catalog.*<>) _depipe_t");
}

/* ---- keyed, with many columns ---- */

/*
 * In tables with more columns than this, the columns of both sides do not fit
 * into one target list.
 */
#define WIDE 800

/* Images of one side that differ from those of the other. */
static void
append_half(StringInfo sql, Delta *delta, const char *incoming, const char *target, bool nullable,
			bool null_keys, bool new_images)
{
	const char *side = new_images ? "_depipe_i" : "_depipe_t";
	const char *other = new_images ? "_depipe_t" : "_depipe_i";

	appendStringInfo(sql,
					 "SELECT %s AS weight, %s._depipe_here IS TRUE AS replaced, ",
					 new_images ? "1::pg_catalog.int8" : "(-1)::pg_catalog.int8",
					 other);
	sql_append_columns(sql, delta->columns, side);
	appendStringInfoString(sql, " FROM ");
	append_side(sql, delta, new_images ? incoming : target, side, nullable, null_keys);
	appendStringInfoString(sql, " LEFT JOIN ");
	append_side(sql, delta, new_images ? target : incoming, other, nullable, null_keys);
	appendStringInfoString(sql, " ON ");
	if (null_keys)
		appendStringInfoString(
			sql,
			"_depipe_i._depipe_key OPERATOR(pg_catalog.=) _depipe_t._depipe_key");
	else
		sql_append_match(sql,
						 delta->columns,
						 delta->nkeys,
						 delta->keys,
						 "_depipe_i",
						 "_depipe_t",
						 true);
	appendStringInfo(sql,
					 " WHERE %s._depipe_here IS NULL"
					 " OR _depipe_i OPERATOR(pg_catalog.*<>) _depipe_t",
					 other);
}

/*
 * The difference of keyed_difference(), from two joins that each return the
 * columns of one side.
 */
static char *
wide_difference(Delta *delta, const char *incoming, const char *target)
{
	bool nullable = !keys_are_not_null(delta);
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT d.weight, pg_catalog.row_number() OVER (ORDER BY ");
	for (int i = 0; i < delta->nkeys; i++)
		appendStringInfo(&sql, "d.%s, ", key_name(delta, i));
	appendStringInfoString(&sql,
						   "d.weight), " NO_POSITION
						   ", d.replaced AND d.weight OPERATOR(pg_catalog.<) 0,"
						   " NULL::pg_catalog.int2, ");
	sql_append_columns(&sql, delta->columns, "d");
	appendStringInfoString(&sql, " FROM (");
	for (int part = 0; part < (nullable ? 4 : 2); part++)
	{
		appendStringInfoString(&sql, part > 0 ? " UNION ALL " : "");
		append_half(&sql, delta, incoming, target, nullable, part >= 2, part % 2 == 0);
	}
	appendStringInfoString(&sql, ") d ORDER BY 2");
	return sql.data;
}

static char *
keyed_difference(Delta *delta, const char *incoming, const char *target)
{
	bool nullable = !keys_are_not_null(delta);
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql,
						   "SELECT d.weight, pg_catalog.row_number() OVER (), " NO_POSITION
						   ", d.replaced AND d.weight OPERATOR(pg_catalog.<) 0,"
						   " NULL::pg_catalog.int2");
	for (int i = 0; i < delta->columns->natts; i++)
		appendStringInfo(&sql,
						 ", CASE WHEN d.weight OPERATOR(pg_catalog.>) 0 THEN d.i_%d"
						 " ELSE d.t_%d END",
						 i,
						 i);
	appendStringInfoString(&sql, " FROM (");
	append_join(&sql, delta, incoming, target, nullable, false);
	if (nullable)
	{
		appendStringInfoString(&sql, " UNION ALL ");
		append_join(&sql, delta, incoming, target, nullable, true);
	}
	appendStringInfoString(&sql, ") d");
	return sql.data;
}

/* ---- bag ---- */

/* Are any two equal values of this type the same image? */
static bool
equality_is_image(Form_pg_attribute att)
{
	Oid type = getBaseType(att->atttypid);
	Oid opclass;
	Oid input_type;
	Oid procedure;

	/* char(n) ignores trailing blanks; and functions of users are not called */
	if (type == BPCHAROID || (type >= FirstNormalObjectId && !type_is_enum(type)))
		return false;
	opclass = GetDefaultOpClass(type, BTREE_AM_OID);
	if (!OidIsValid(opclass))
		return false;
	input_type = get_opclass_input_type(opclass);
	procedure =
		get_opfamily_proc(get_opclass_family(opclass), input_type, input_type, BTEQUALIMAGE_PROC);
	if (!OidIsValid(procedure))
		return false;
	return DatumGetBool(
		OidFunctionCall1Coll(procedure, att->attcollation, ObjectIdGetDatum(input_type)));
}

static bool
all_equalities_are_images(Delta *delta)
{
	for (int i = 0; i < delta->columns->natts; i++)
		if (!equality_is_image(TupleDescAttr(delta->columns, i)))
			return false;
	return true;
}

/* The rows of both sides, with signs. */
static void
append_union(StringInfo sql, Delta *delta, const char *incoming, const char *target)
{
	appendStringInfoString(sql, "(SELECT 1 AS _depipe_weight, ");
	sql_append_columns(sql, delta->columns, NULL);
	appendStringInfo(sql, " FROM %s UNION ALL SELECT -1, ", incoming);
	sql_append_columns(sql, delta->columns, NULL);
	appendStringInfo(sql, " FROM %s) u", target);
}

static void
append_bag_head(StringInfo sql, Delta *delta)
{
	appendStringInfoString(sql,
						   "SELECT g._depipe_weight, pg_catalog.row_number() OVER (), " NO_POSITION
						   ", false, NULL::pg_catalog.int2, ");
	sql_append_columns(sql, delta->columns, "g");
}

static char *
bag_difference_by_values(Delta *delta, const char *incoming, const char *target)
{
	StringInfoData sql;

	initStringInfo(&sql);
	append_bag_head(&sql, delta);
	appendStringInfoString(&sql,
						   " FROM (SELECT pg_catalog.sum(_depipe_weight) AS _depipe_weight, ");
	sql_append_columns(&sql, delta->columns, NULL);
	appendStringInfoString(&sql, " FROM ");
	append_union(&sql, delta, incoming, target);
	appendStringInfoString(&sql, " GROUP BY ");
	sql_append_columns(&sql, delta->columns, NULL);
	appendStringInfoString(&sql,
						   " HAVING pg_catalog.sum(_depipe_weight) OPERATOR(pg_catalog.<>) 0) g");
	return sql.data;
}

/* The columns that must be compared by their images. */
static TupleDesc
image_columns(Delta *delta)
{
	TupleDesc columns;
	int count = 0;

	/* 18 finds attributes by their number, which must not change afterwards */
	for (int i = 0; i < delta->columns->natts; i++)
		if (!equality_is_image(TupleDescAttr(delta->columns, i)))
			count++;
	columns = CreateTemplateTupleDesc(count);
	count = 0;
	for (int i = 0; i < delta->columns->natts; i++)
		if (!equality_is_image(TupleDescAttr(delta->columns, i)))
			TupleDescCopyEntry(columns, ++count, delta->columns, i + 1);
	return columns;
}

static char *
bag_difference_by_images(Delta *delta, const char *incoming, const char *target)
{
	StringInfoData sql;

	initStringInfo(&sql);
	append_bag_head(&sql, delta);
	appendStringInfoString(&sql,
						   " FROM (SELECT pg_catalog.sum(u._depipe_weight) OVER same"
						   " AS _depipe_weight, pg_catalog.row_number() OVER same"
						   " AS _depipe_number, ");
	sql_append_columns(&sql, delta->columns, "u");
	appendStringInfoString(&sql, " FROM ");
	append_union(&sql, delta, incoming, target);
	appendStringInfoString(&sql, " WINDOW same AS (PARTITION BY ");
	for (int i = 0; i < delta->columns->natts; i++)
		if (equality_is_image(TupleDescAttr(delta->columns, i)))
			appendStringInfo(&sql, "u.%s, ", column_name(delta, i));
	image_append(&sql, image_columns(delta), "u");
	appendStringInfoString(&sql,
						   ")) g WHERE g._depipe_number OPERATOR(pg_catalog.=) 1"
						   " AND g._depipe_weight OPERATOR(pg_catalog.<>) 0");
	return sql.data;
}

/* ---- both ---- */

char *
difference_sql(Delta *delta, const char *incoming, const char *target)
{
	if (delta->nkeys > 0)
		return delta->columns->natts > WIDE ? wide_difference(delta, incoming, target)
											: keyed_difference(delta, incoming, target);
	if (all_equalities_are_images(delta))
		return bag_difference_by_values(delta, incoming, target);
	return bag_difference_by_images(delta, incoming, target);
}

void
delta_fill_from_difference(Delta *delta, const char *incoming, const char *target)
{
	delta_fill_from_query(delta, difference_sql(delta, incoming, target));
	delta->old_images = true;
}

bool
key_is_unique(Delta *delta, const char *relation)
{
	MemoryContext caller = CurrentMemoryContext;
	StringInfoData sql;
	int level = identity_begin_statement();
	bool unique;
	int result;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT FROM %s GROUP BY ", relation);
	for (int i = 0; i < delta->nkeys; i++)
		appendStringInfo(&sql, "%s%s", i > 0 ? ", " : "", key_name(delta, i));
	appendStringInfoString(&sql, " HAVING pg_catalog.count(*) OPERATOR(pg_catalog.>) 1 LIMIT 1");
	result = SPI_execute(sql.data, true, 1);
	if (result != SPI_OK_SELECT)
		elog(ERROR, "query failed: %s", SPI_result_code_string(result));
	unique = SPI_processed == 0;
	SPI_freetuptable(SPI_tuptable);
	MemoryContextSwitchTo(caller); /* SPI leaves its own context current */
	identity_end_statement(level);
	return unique;
}
