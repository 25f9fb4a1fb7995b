/*-------------------------------------------------------------------------
 *
 * aggregate_sql.c
 *		The statements that add signed rows to the groups of a result.
 *
 * They read ephemeral relations, each made by the one before:
 *
 * terms	the signed rows of the change: grouping expressions g0, g1, ...,
 *			arguments a0, a1, ..., and the weight
 * groups	a row for each group: the key columns, _depipe_n (rows), and for each
 *			argument _depipe_c (values) and _depipe_s (their sum); key columns can
 *			have any other name
 * present	the target's rows of the groups in which something changes
 * totals	groups and present together: the numbers after the change
 * result	the rows that the target must hold of these groups
 *
 * Numbers are added as numerics, which neither overflow nor round.
 *
 *-------------------------------------------------------------------------
 */
#include "transform/aggregate_sql.h"

#include "core/sqltext.h"

static const char *
result_column(const AggregateText *text, int i)
{
	return sql_identifier(NameStr(TupleDescAttr(text->columns, i)->attname));
}

static bool
is_summed(const Sums *sums, int i)
{
	return ((SumArgument *) list_nth(sums->arguments, i))->sum_column >= 0;
}

/* The key columns of the result, in the order of the grouping expressions. */
static void
append_keys(StringInfo sql, const AggregateText *text, const char *prefix, bool renaming)
{
	const Sums *sums = text->sums;

	for (int i = 0; i < text->columns->natts; i++)
	{
		const SumColumn *column = &sums->columns[i];
		const char *name = result_column(text, i);

		if (column->kind != SUM_GROUP)
			continue;
		if (column->number > 0)
			appendStringInfoString(sql, ", ");
		if (renaming)
			appendStringInfo(sql, "g%d AS %s", column->number, name);
		else
			appendStringInfo(sql, "%s%s", prefix, name);
	}
}

/*
 * The sums of the signed rows: n, the number of rows; for each argument c, the
 * number of values, and s, their sum.
 */
char *
aggregate_groups_sql(const AggregateText *text)
{
	const Sums *sums = text->sums;
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	append_keys(&sql, text, NULL, true);
	appendStringInfoString(&sql,
						   ", pg_catalog.sum(" SIGNED_JOIN_WEIGHT
						   ")::pg_catalog.int8 AS _depipe_n");
	for (int i = 0; i < list_length(sums->arguments); i++)
	{
		appendStringInfo(&sql,
						 ", coalesce(pg_catalog.sum(" SIGNED_JOIN_WEIGHT
						 ") FILTER (WHERE a%d IS DISTINCT FROM NULL), 0)"
						 "::pg_catalog.int8 AS _depipe_c%d",
						 i,
						 i);
		if (is_summed(sums, i))
			appendStringInfo(&sql,
							 ", coalesce(pg_catalog.sum(a%d::pg_catalog.numeric"
							 " OPERATOR(pg_catalog.*) " SIGNED_JOIN_WEIGHT
							 "::pg_catalog.numeric), 0) AS _depipe_s%d",
							 i,
							 i);
	}
	appendStringInfoString(&sql, " FROM " AGGREGATE_TERMS " GROUP BY ");
	for (int i = 0; i < list_length(sums->groups); i++)
		appendStringInfo(&sql, "%sg%d", i > 0 ? ", " : "", i);
	return sql.data;
}

/* Groups in which nothing changes. */
static void
append_unchanged(StringInfo sql, const Sums *sums)
{
	appendStringInfoString(sql, "_depipe_n OPERATOR(pg_catalog.=) 0");
	for (int i = 0; i < list_length(sums->arguments); i++)
	{
		appendStringInfo(sql, " AND _depipe_c%d OPERATOR(pg_catalog.=) 0", i);
		if (is_summed(sums, i))
			appendStringInfo(sql, " AND _depipe_s%d OPERATOR(pg_catalog.=) 0", i);
	}
}

/* A side of the join with the rows of the target for groups with NULLs: NULLs meet in records. */
static void
append_null_side(StringInfo sql, const AggregateText *text, const char *relation, const char *alias)
{
	appendStringInfoString(sql, "(SELECT *, ROW(");
	append_keys(sql, text, "", false);
	appendStringInfo(sql, ") AS _depipe_key FROM %s WHERE NOT (ROW(", relation);
	append_keys(sql, text, "", false);
	appendStringInfo(sql, ") IS NOT NULL)) %s", alias);
}

static bool
has_nullable_key(const Delta *delta)
{
	for (int i = 0; i < delta->nkeys; i++)
		if (!TupleDescAttr(delta->columns, delta->keys[i] - 1)->attnotnull)
			return true;
	return false;
}

/* The target's rows of the groups in which something changes. */
char *
aggregate_present_sql(const AggregateText *text)
{
	const Sums *sums = text->sums;
	StringInfoData changing;
	StringInfoData sql;

	initStringInfo(&changing);
	appendStringInfoString(&changing, "(SELECT * FROM " AGGREGATE_GROUPS " WHERE NOT (");
	append_unchanged(&changing, sums);
	appendStringInfoString(&changing, "))");
	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	sql_append_columns(&sql, text->delta->columns, "_depipe_t");
	appendStringInfo(&sql,
					 " FROM %s _depipe_d JOIN %s ON ",
					 changing.data,
					 target_rows_sql(text->target, "_depipe_t"));
	sql_append_match(&sql,
					 text->delta->columns,
					 text->delta->nkeys,
					 text->delta->keys,
					 "_depipe_t",
					 "_depipe_d",
					 true);
	if (!has_nullable_key(text->delta))
		return sql.data;
	appendStringInfoString(&sql, " UNION ALL SELECT ");
	sql_append_columns(&sql, text->delta->columns, "_depipe_t");
	appendStringInfoString(&sql, " FROM ");
	append_null_side(&sql, text, psprintf("%s _depipe_c", changing.data), "_depipe_d");
	appendStringInfoString(&sql, " JOIN ");
	append_null_side(&sql, text, target_rows_sql(text->target, "_depipe_r"), "_depipe_t");
	appendStringInfoString(
		&sql,
		" ON _depipe_d._depipe_key OPERATOR(pg_catalog.=) _depipe_t._depipe_key");
	return sql.data;
}

/* The numbers n, c and s of the target's rows. */
static void
append_old_numbers(StringInfo sql, const AggregateText *text)
{
	const Sums *sums = text->sums;
	ListCell *cell;

	appendStringInfo(sql, ", %s", result_column(text, sums->rows_column));
	foreach(cell, sums->arguments)
	{
		const SumArgument *argument = lfirst(cell);
		int counts = argument->count_column >= 0 ? argument->count_column : sums->rows_column;

		appendStringInfo(sql, ", %s", result_column(text, counts));
		if (argument->sum_column >= 0)
			appendStringInfo(sql,
							 ", coalesce(%s, 0)::pg_catalog.numeric",
							 result_column(text, argument->sum_column));
	}
}

/* The numbers of each group in which something changes, after the change. */
char *
aggregate_totals_sql(const AggregateText *text)
{
	const Sums *sums = text->sums;
	StringInfoData sql;
	StringInfoData numbers;

	initStringInfo(&sql);
	initStringInfo(&numbers);
	appendStringInfoString(&sql, "SELECT ");
	append_keys(&sql, text, "", false);
	appendStringInfoString(&sql, ", pg_catalog.sum(_depipe_n) AS _depipe_n");
	appendStringInfoString(&numbers, ", _depipe_n");
	for (int i = 0; i < list_length(sums->arguments); i++)
	{
		appendStringInfo(&sql, ", pg_catalog.sum(_depipe_c%d) AS _depipe_c%d", i, i);
		appendStringInfo(&numbers, ", _depipe_c%d", i);
		if (!is_summed(sums, i))
			continue;
		appendStringInfo(&sql, ", pg_catalog.sum(_depipe_s%d) AS _depipe_s%d", i, i);
		appendStringInfo(&numbers, ", _depipe_s%d", i);
	}
	appendStringInfoString(&sql, " FROM (SELECT ");
	append_keys(&sql, text, "", false);
	appendStringInfo(&sql, "%s FROM " AGGREGATE_GROUPS " WHERE NOT (", numbers.data);
	append_unchanged(&sql, sums);
	appendStringInfoString(&sql, ") UNION ALL SELECT ");
	append_keys(&sql, text, "", false);
	append_old_numbers(&sql, text);
	appendStringInfoString(&sql, " FROM " AGGREGATE_PRESENT ") u GROUP BY ");
	append_keys(&sql, text, "", false);
	return sql.data;
}

/* Totals that contradict what the target holds, or that cannot be added to. */
char *
aggregate_contradiction_sql(const AggregateText *text)
{
	const Sums *sums = text->sums;
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql,
						   "SELECT FROM " AGGREGATE_TOTALS
						   " WHERE _depipe_n OPERATOR(pg_catalog.<) 0");
	for (int i = 0; i < list_length(sums->arguments); i++)
	{
		appendStringInfo(
			&sql,
			" OR _depipe_c%d OPERATOR(pg_catalog.<) 0"
			" OR _depipe_c%d OPERATOR(pg_catalog.>) _depipe_n"
			" OR (_depipe_n OPERATOR(pg_catalog.=) 0 AND _depipe_c%d OPERATOR(pg_catalog.<>) 0)",
			i,
			i,
			i);
		if (is_summed(sums, i))
			appendStringInfo(&sql,
							 " OR _depipe_s%d OPERATOR(pg_catalog.=) 'NaN'::pg_catalog.numeric"
							 " OR (_depipe_c%d OPERATOR(pg_catalog.=) 0"
							 " AND _depipe_s%d OPERATOR(pg_catalog.<>) 0)",
							 i,
							 i,
							 i);
	}
	appendStringInfoString(&sql, " LIMIT 1");
	return sql.data;
}

static void
append_value(StringInfo sql, const SumColumn *column)
{
	int i = column->number;

	if (column->kind == SUM_COUNT && i < 0)
		appendStringInfoString(sql, "_depipe_n::pg_catalog.int8");
	else if (column->kind == SUM_COUNT)
		appendStringInfo(sql, "_depipe_c%d::pg_catalog.int8", i);
	else if (column->kind == SUM_SUM)
		appendStringInfo(sql,
						 "CASE WHEN _depipe_c%d OPERATOR(pg_catalog.>) 0 THEN _depipe_s%d::%s END",
						 i,
						 i,
						 sql_type(column->type, -1));
	else
		appendStringInfo(sql,
						 "CASE WHEN _depipe_c%d OPERATOR(pg_catalog.>) 0"
						 " THEN _depipe_s%d OPERATOR(pg_catalog./) _depipe_c%d END",
						 i,
						 i,
						 i);
}

char *
aggregate_result_sql(const AggregateText *text)
{
	const Sums *sums = text->sums;
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	for (int i = 0; i < text->columns->natts; i++)
	{
		const char *name = result_column(text, i);

		if (i > 0)
			appendStringInfoString(&sql, ", ");
		if (sums->columns[i].kind != SUM_GROUP)
		{
			append_value(&sql, &sums->columns[i]);
			appendStringInfoString(&sql, " AS ");
		}
		appendStringInfoString(&sql, name);
	}
	appendStringInfoString(&sql,
						   " FROM " AGGREGATE_TOTALS " WHERE _depipe_n OPERATOR(pg_catalog.>) 0");
	return sql.data;
}
