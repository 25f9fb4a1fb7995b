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
 * bag		Both sides have signs, incoming +1 and present -1, and are netted
 *			(net.c).
 *
 * The old and the new image of a key are adjacent in the delta.
 *
 *-------------------------------------------------------------------------
 */
#include "delta/difference.h"

#include "core/identity.h"
#include "core/sqltext.h"
#include "delta/net.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"

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

/* The condition for rows of both sides with the same key. */
static void
append_meeting(StringInfo sql, const Delta *delta, bool null_keys)
{
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
}

/* Pairs of rows that differ, as one or two rows with a weight. */
static void
append_join(StringInfo sql, Delta *delta, const char *incoming, const char *target, bool nullable,
			bool null_keys)
{
	appendStringInfoString(
		sql,
		"SELECT pg_catalog.unnest(CASE WHEN _depipe_i._depipe_here AND _depipe_t._depipe_here"
		" THEN '{-1,1}'::pg_catalog.int8[] WHEN _depipe_i._depipe_here"
		" THEN '{1}'::pg_catalog.int8[] ELSE '{-1}'::pg_catalog.int8[] END) AS weight,"
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
	append_meeting(sql, delta, null_keys);
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
	append_meeting(sql, delta, null_keys);
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

static char *
bag_difference(Delta *delta, const char *incoming, const char *target)
{
	StringInfoData present;
	StringInfoData wanted;

	initStringInfo(&wanted);
	appendStringInfoString(&wanted, "SELECT 1, ");
	sql_append_columns(&wanted, delta->columns, NULL);
	appendStringInfo(&wanted, " FROM %s", incoming);
	initStringInfo(&present);
	appendStringInfoString(&present, "SELECT -1, ");
	sql_append_columns(&present, delta->columns, NULL);
	appendStringInfo(&present, " FROM %s", target);
	return net_sql(delta, list_make2(wanted.data, present.data));
}

/* ---- both ---- */

char *
difference_sql(Delta *delta, const char *incoming, const char *target)
{
	if (delta->nkeys > 0)
		return delta->columns->natts > WIDE ? wide_difference(delta, incoming, target)
											: keyed_difference(delta, incoming, target);
	return bag_difference(delta, incoming, target);
}

void
delta_fill_from_difference(Delta *delta, const char *incoming, const char *target, List *columns)
{
	delta_fill_from_query(delta, difference_sql(delta, incoming, target), columns);
	delta->old_images = true;
}

/* Longest text of one value in a message, in bytes */
#define LONGEST_VALUE 60

/* One key as in errors of the server: (a, b)=(1, x). */
static void
append_key(StringInfo text, Delta *delta, HeapTuple tuple, TupleDesc desc)
{
	appendStringInfo(text, "%s(", text->len > 0 ? ", " : "");
	for (int i = 0; i < delta->nkeys; i++)
		appendStringInfo(text, "%s%s", i > 0 ? ", " : "", key_name(delta, i));
	appendStringInfoString(text, ")=(");
	for (int i = 0; i < delta->nkeys; i++)
	{
		char *value = SPI_getvalue(tuple, desc, i + 1);
		int length = value == NULL ? 0 : strlen(value);
		int shown = pg_mbcliplen(value, length, LONGEST_VALUE);

		appendStringInfoString(text, i > 0 ? ", " : "");
		appendBinaryStringInfo(text, value == NULL ? "null" : value, value == NULL ? 4 : shown);
		appendStringInfoString(text, shown < length ? "..." : "");
	}
	appendStringInfoChar(text, ')');
}

char *
key_duplicates(Delta *delta, const char *relation, int most)
{
	MemoryContext caller = CurrentMemoryContext;
	StringInfoData sql;
	StringInfoData keys;
	StringInfoData names;
	int level = identity_begin_statement();
	int result;

	initStringInfo(&names);
	for (int i = 0; i < delta->nkeys; i++)
		appendStringInfo(&names, "%s%s", i > 0 ? ", " : "", key_name(delta, i));
	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "SELECT %s FROM %s GROUP BY %s HAVING pg_catalog.count(*)"
					 " OPERATOR(pg_catalog.>) 1 LIMIT %d",
					 names.data,
					 relation,
					 names.data,
					 most);
	initStringInfo(&keys);
	result = SPI_execute(sql.data, true, most);
	if (result != SPI_OK_SELECT)
		elog(ERROR, "query failed: %s", SPI_result_code_string(result));
	for (uint64 i = 0; i < SPI_processed; i++)
		append_key(&keys, delta, SPI_tuptable->vals[i], SPI_tuptable->tupdesc);
	SPI_freetuptable(SPI_tuptable);
	MemoryContextSwitchTo(caller); /* SPI leaves its own context current */
	identity_end_statement(level);
	return keys.len > 0 ? keys.data : NULL;
}

bool
key_is_unique(Delta *delta, const char *relation)
{
	return key_duplicates(delta, relation, 1) == NULL;
}
