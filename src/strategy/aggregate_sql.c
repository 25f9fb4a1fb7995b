/*-------------------------------------------------------------------------
 *
 * aggregate_sql.c
 *		SQL statements that add signed rows to the numbers of groups.
 *
 * The statements read ephemeral relations, each computed from earlier ones:
 *
 * terms	the signed rows of the change: grouping expressions g0, g1, ...,
 * 			arguments a0, a1, ..., and the weight
 * groups	one row for each group with a change: g0, ..., then the numbers.  They
 * 			are n (rows) and, for each argument as needed, c (values), s (their
 * 			sum), the greatest and least of the added values (p, u), and the
 * 			greatest and least of the removed values (q, v).  Unless the target
 * 			is self-contained, also key (the image of the groups) and its hash
 * present	if the target is keyed by the groups: its rows for these groups
 * old		unless the target is self-contained: the stored numbers: key, place,
 * 			n, c, s, m (greatest), l (least)
 * totals	groups with the old numbers (as old_n and so on) and the new ones.  A
 * 			group is "lost" if its greatest or least value may have been removed.
 * 			It is dirty if it is lost, or if a new sum is NaN or infinite
 * dirty	the dirty groups: g0, ...
 * fresh	like groups, computed from all rows of the dirty groups
 * values	groups with the values v0, v1, ... of the aggregates, and a weight: -1
 * 			before the change (unless the target is keyed), 1 after it
 *
 * Numbers are added as numerics, which neither overflow nor round.
 *
 *-------------------------------------------------------------------------
 */
#include "strategy/aggregate_sql.h"

#include "catalog/pg_type.h"
#include "core/sqltext.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"

#define WEIGHT SIGNED_JOIN_WEIGHT

/* names for the greatest [0] and the least [1] value: old and new, added, removed */
static const char *const extreme_names[] = {"m", "l"};
static const char *const coming_names[] = {"p", "u"};
static const char *const going_names[] = {"q", "v"};
static const char *const extreme_functions[] = {"max", "min"};
static const char *const extreme_choices[] = {"GREATEST", "LEAST"};
static const char *const inside[] = {"<", ">"};   /* first is less extreme than second */
static const char *const beyond[] = {">=", "<="}; /* first is at least as extreme */

static const char *
result_column(const AggregateText *text, int i)
{
	return sql_identifier(NameStr(TupleDescAttr(text->columns, i)->attname));
}

/* Appends "prefix0, prefix1, ...". */
static void
append_list(StringInfo sql, const char *prefix, int count)
{
	for (int i = 0; i < count; i++)
		appendStringInfo(sql, "%s%s%d", i > 0 ? ", " : "", prefix, i);
}

static void
append_groups(StringInfo sql, const Sums *sums)
{
	append_list(sql, "g", list_length(sums->groups));
}

static void
append_groups_and_comma(StringInfo sql, const Sums *sums)
{
	append_groups(sql, sums);
	if (sums->groups != NIL)
		appendStringInfoString(sql, ", ");
}

/* ---- numbers ---- */

typedef struct Number
{
	const char *name;
	int argument; /* argument index; -1 for the count of rows */
	int extreme;  /* 0 for the greatest value, 1 for the least; -1 for a number that is added */
	Oid type;
	Oid collation;
} Number;

static List *
add_number(List *numbers, const char *kind, int argument, int extreme, Oid type, Oid collation)
{
	Number *number = palloc(sizeof(Number));

	number->name = argument < 0 ? kind : psprintf("%s%d", kind, argument);
	number->argument = argument;
	number->extreme = extreme;
	number->type = type;
	number->collation = collation;
	return lappend(numbers, number);
}

/* Returns the numbers of a group as a list of Number. */
static List *
numbers_of(const Sums *sums)
{
	List *numbers = add_number(NIL, "n", -1, -1, INT8OID, InvalidOid);
	ListCell *cell;

	foreach(cell, sums->arguments)
	{
		const SumArgument *argument = lfirst(cell);
		const Node *node = (Node *) argument->expression;
		int i = foreach_current_index(cell);

		if (sums_keeps_count(argument))
			numbers = add_number(numbers, "c", i, -1, INT8OID, InvalidOid);
		if (argument->summed)
			numbers = add_number(numbers, "s", i, -1, NUMERICOID, InvalidOid);
		for (int e = 0; e < 2; e++)
			if (argument->extremes[e])
				numbers = add_number(numbers,
									 extreme_names[e],
									 i,
									 e,
									 exprType(node),
									 exprCollation(node));
	}
	return numbers;
}

/*
 * Returns the name of the count of values of an argument.  This is the count
 * of rows if the argument is never NULL.
 */
static const char *
count_name(const Sums *sums, int argument)
{
	return argument >= 0 && sums_keeps_count(list_nth(sums->arguments, argument))
			   ? psprintf("c%d", argument)
			   : "n";
}

TupleDesc
aggregate_old_desc(const Sums *sums)
{
	List *numbers = numbers_of(sums);
	TupleDesc desc = CreateTemplateTupleDesc(list_length(numbers) + 2);
	ListCell *cell;

	TupleDescInitEntry(desc, 1, "key", BYTEAOID, -1, 0);
	TupleDescInitEntry(desc, 2, "place", TIDOID, -1, 0);
	foreach(cell, numbers)
	{
		const Number *number = lfirst(cell);
		AttrNumber attnum = foreach_current_index(cell) + 3;

		TupleDescInitEntry(desc, attnum, number->name, number->type, -1, 0);
		TupleDescInitEntryCollation(desc, attnum, number->collation);
	}
	return desc;
}

/* ---- groups ---- */

static void
append_added(StringInfo sql, const Sums *sums, const Number *number)
{
	const SumArgument *argument;

	if (number->argument < 0)
	{
		appendStringInfoString(sql, "coalesce(pg_catalog.sum(" WEIGHT "), 0)::pg_catalog.int8");
		return;
	}
	argument = list_nth(sums->arguments, number->argument);
	if (number->name[0] == 'c')
		appendStringInfo(sql,
						 "coalesce(pg_catalog.sum(" WEIGHT ") FILTER (WHERE a%d%s), 0)"
						 "::pg_catalog.int8",
						 number->argument,
						 argument->summed || argument->extremes[0] || argument->extremes[1]
							 ? " IS DISTINCT FROM NULL"
							 : "");
	else
		appendStringInfo(sql,
						 "coalesce(pg_catalog.sum(a%d::pg_catalog.numeric"
						 " OPERATOR(pg_catalog.*) " WEIGHT "::pg_catalog.numeric), 0)",
						 number->argument);
}

static void
append_extremes(StringInfo sql, const Number *number)
{
	appendStringInfo(
		sql,
		", pg_catalog.%s(a%d) FILTER (WHERE " WEIGHT " OPERATOR(pg_catalog.>) 0) AS %s%d"
		", pg_catalog.%s(a%d) FILTER (WHERE " WEIGHT " OPERATOR(pg_catalog.<) 0) AS %s%d",
		extreme_functions[number->extreme],
		number->argument,
		coming_names[number->extreme],
		number->argument,
		extreme_functions[number->extreme],
		number->argument,
		going_names[number->extreme],
		number->argument);
}

/*
 * Appends the relation of terms.  If there are extremes, weights of equal rows
 * are summed first, because a row that is both added and removed must not
 * affect them.
 */
static void
append_terms(StringInfo sql, const Sums *sums)
{
	int narguments = list_length(sums->arguments);

	if (!sums_have_extremes(sums))
	{
		appendStringInfoString(sql, AGGREGATE_TERMS);
		return;
	}
	appendStringInfoString(sql, "(SELECT ");
	append_groups_and_comma(sql, sums);
	append_list(sql, "a", narguments);
	appendStringInfoString(sql,
						   ", pg_catalog.sum(" WEIGHT ") AS " WEIGHT " FROM " AGGREGATE_TERMS
						   " GROUP BY ");
	append_groups_and_comma(sql, sums);
	append_list(sql, "a", narguments);
	appendStringInfoString(sql, " HAVING pg_catalog.sum(" WEIGHT ") OPERATOR(pg_catalog.<>) 0) x");
}

/* Appends the condition that a group has no change. */
static void
append_unchanged(StringInfo sql, const Sums *sums)
{
	ListCell *cell;

	foreach(cell, numbers_of(sums))
	{
		const Number *number = lfirst(cell);

		if (foreach_current_index(cell) > 0)
			appendStringInfoString(sql, " AND ");
		if (number->extreme < 0)
			appendStringInfo(sql, "%s OPERATOR(pg_catalog.=) 0", number->name);
		else
			appendStringInfo(sql,
							 "%s%d IS NOT DISTINCT FROM %s%d",
							 coming_names[number->extreme],
							 number->argument,
							 going_names[number->extreme],
							 number->argument);
	}
}

/* Appends the key and hash by which the numbers of a group are stored. */
static void
append_identity(StringInfo sql, const Sums *sums)
{
	if (sums->self_contained)
		return;
	if (sums->groups == NIL)
	{
		appendStringInfoString(sql, ", ''::pg_catalog.bytea AS key, 0::pg_catalog.int8 AS hash");
		return;
	}
	appendStringInfoString(sql, ", depipe.row_image(ROW(");
	append_groups(sql, sums);
	appendStringInfoString(sql, ")) AS key, depipe.row_hash(ROW(");
	append_groups(sql, sums);
	appendStringInfoString(sql, ")) AS hash");
}

char *
aggregate_groups_sql(const AggregateText *text, bool all)
{
	const Sums *sums = text->sums;
	StringInfoData sql;
	ListCell *cell;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT *");
	append_identity(&sql, sums);
	appendStringInfoString(&sql, " FROM (SELECT ");
	append_groups_and_comma(&sql, sums);
	foreach(cell, numbers_of(sums))
	{
		const Number *number = lfirst(cell);

		if (number->extreme >= 0)
		{
			append_extremes(&sql, number);
			continue;
		}
		if (number->argument >= 0)
			appendStringInfoString(&sql, ", ");
		append_added(&sql, sums, number);
		appendStringInfo(&sql, " AS %s", number->name);
	}
	appendStringInfoString(&sql, " FROM ");
	append_terms(&sql, sums);
	if (sums->groups != NIL)
	{
		appendStringInfoString(&sql, " GROUP BY ");
		append_groups(&sql, sums);
	}
	appendStringInfoString(&sql, ") y");
	if (!all)
	{
		appendStringInfoString(&sql, " WHERE NOT (");
		append_unchanged(&sql, sums);
		appendStringInfoChar(&sql, ')');
	}
	return sql.data;
}

/* ---- rows of the target and old numbers ---- */

/*
 * Appends the columns of the result that hold the groups, under their names or
 * as g0, g1, ...
 */
static void
append_keys(StringInfo sql, const AggregateText *text, bool renaming)
{
	const Sums *sums = text->sums;

	for (int i = 0; i < list_length(sums->groups); i++)
	{
		appendStringInfoString(sql, i > 0 ? ", " : "");
		if (renaming)
			appendStringInfo(sql, "g%d AS ", i);
		appendStringInfoString(sql, result_column(text, sums->group_columns[i]));
	}
}

/*
 * Appends one side of the join with the rows of the target, for groups that
 * contain NULLs.  The key is a record, because NULLs in records compare as
 * equal.
 */
static void
append_null_side(StringInfo sql, const AggregateText *text, const char *relation, const char *alias)
{
	appendStringInfoString(sql, "(SELECT *, ROW(");
	append_keys(sql, text, false);
	appendStringInfo(sql, ") AS _depipe_key FROM %s WHERE NOT (ROW(", relation);
	append_keys(sql, text, false);
	appendStringInfo(sql, ") IS NOT NULL)) %s", alias);
}

char *
aggregate_present_sql(const AggregateText *text)
{
	StringInfoData groups;
	StringInfoData sql;

	initStringInfo(&groups);
	appendStringInfoString(&groups, "(SELECT ");
	append_keys(&groups, text, true);
	appendStringInfoString(&groups, " FROM " AGGREGATE_GROUPS ")");
	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	sql_append_columns(&sql, text->delta->columns, "_depipe_t");
	appendStringInfo(&sql,
					 " FROM %s _depipe_d JOIN %s ON ",
					 groups.data,
					 target_rows_sql(text->target, "_depipe_t"));
	sql_append_match(&sql,
					 text->delta->columns,
					 text->delta->nkeys,
					 text->delta->keys,
					 "_depipe_t",
					 "_depipe_d",
					 true);
	if (!text->nulls)
		return sql.data;
	appendStringInfoString(&sql, " UNION ALL SELECT ");
	sql_append_columns(&sql, text->delta->columns, "_depipe_t");
	appendStringInfoString(&sql, " FROM ");
	append_null_side(&sql, text, psprintf("%s _depipe_c", groups.data), "_depipe_d");
	appendStringInfoString(&sql, " JOIN ");
	append_null_side(&sql, text, target_rows_sql(text->target, "_depipe_r"), "_depipe_t");
	appendStringInfoString(
		&sql,
		" ON _depipe_d._depipe_key OPERATOR(pg_catalog.=) _depipe_t._depipe_key");
	return sql.data;
}

char *
aggregate_is_group_sql(const AggregateText *text, const char *alias)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "EXISTS (SELECT FROM (SELECT ");
	append_keys(&sql, text, true);
	appendStringInfoString(&sql, " FROM " AGGREGATE_GROUPS ") _depipe_d WHERE ");
	sql_append_match(&sql,
					 text->delta->columns,
					 text->delta->nkeys,
					 text->delta->keys,
					 alias,
					 "_depipe_d",
					 !text->nulls);
	appendStringInfoChar(&sql, ')');
	return sql.data;
}

/* Returns the column of the result that holds a number, for a self-contained target. */
static const char *
number_column(const AggregateText *text, const Number *number)
{
	const SumArgument *argument;

	if (number->argument < 0)
		return result_column(text, text->sums->rows_column);
	argument = list_nth(text->sums->arguments, number->argument);
	if (number->extreme >= 0)
		return result_column(text, argument->extreme_columns[number->extreme]);
	if (number->name[0] == 'c')
		return result_column(text, argument->count_column);
	return psprintf("coalesce(%s, 0)::pg_catalog.numeric",
					result_column(text, argument->sum_column));
}

/* Returns a descriptor of the groups, with the names k0, k1, ... */
static TupleDesc
group_desc(const AggregateText *text)
{
	int ngroups = list_length(text->sums->groups);
	TupleDesc desc = CreateTemplateTupleDesc(ngroups);

	for (int i = 0; i < ngroups; i++)
	{
		TupleDescCopyEntry(desc, i + 1, text->columns, text->sums->group_columns[i] + 1);
		namestrcpy(&TupleDescAttr(desc, i)->attname, psprintf("k%d", i));
	}
	return desc;
}

/* Appends the condition that groups (g) and old numbers (o) are of the same group. */
static void
append_same_group(StringInfo sql, const AggregateText *text)
{
	int ngroups = list_length(text->sums->groups);
	AttrNumber *keys;

	if (!text->sums->self_contained)
	{
		appendStringInfoString(sql, "o.key OPERATOR(pg_catalog.=) g.key");
		return;
	}
	if (text->nulls)
	{
		appendStringInfoString(sql, "depipe.row_image(ROW(");
		append_list(sql, "o.k", ngroups);
		appendStringInfoString(sql, ")) OPERATOR(pg_catalog.=) depipe.row_image(ROW(");
		append_list(sql, "g.g", ngroups);
		appendStringInfoString(sql, "))");
		return;
	}
	keys = palloc(sizeof(AttrNumber) * ngroups);
	for (int i = 0; i < ngroups; i++)
		keys[i] = i + 1;
	sql_append_match(sql, group_desc(text), ngroups, keys, "o", "g", true);
}

/*
 * Appends the relation of old numbers.  It identifies a group by its image
 * (key) or, if self-contained, by its columns k0, k1, ...
 */
static void
append_old(StringInfo sql, const AggregateText *text)
{
	ListCell *cell;

	if (!text->sums->self_contained)
	{
		appendStringInfoString(sql, AGGREGATE_OLD " o");
		return;
	}
	appendStringInfoString(sql, "(SELECT true AS here");
	for (int i = 0; i < list_length(text->sums->groups); i++)
		appendStringInfo(sql, ", %s AS k%d", result_column(text, text->sums->group_columns[i]), i);
	foreach(cell, numbers_of(text->sums))
	{
		const Number *number = lfirst(cell);

		appendStringInfo(sql, ", %s AS %s", number_column(text, number), number->name);
	}
	appendStringInfoString(sql, " FROM " AGGREGATE_PRESENT ") o");
}

/* ---- totals ---- */

static bool
may_be_special(const Sums *sums, const Number *number)
{
	return number->name[0] == 's' &&
		   sums_may_be_special(list_nth(sums->arguments, number->argument));
}

/*
 * Appends the condition that the greatest (least) value of a group may have
 * been removed, and that no added value is as extreme.
 */
static void
append_may_have_gone(StringInfo sql, const Number *number)
{
	int e = number->extreme;
	int i = number->argument;

	appendStringInfo(sql,
					 " OR (g.%s%d IS NOT NULL"
					 " AND (g.%s%d OPERATOR(pg_catalog.%s) o.%s) IS NOT TRUE"
					 " AND (g.%s%d OPERATOR(pg_catalog.%s) g.%s%d) IS NOT TRUE)",
					 going_names[e],
					 i,
					 going_names[e],
					 i,
					 inside[e],
					 number->name,
					 coming_names[e],
					 i,
					 beyond[e],
					 going_names[e],
					 i);
}

static void
append_new(StringInfo sql, const Number *number)
{
	if (number->extreme < 0)
		appendStringInfo(sql,
						 ", coalesce(o.%s, 0) OPERATOR(pg_catalog.+) g.%s AS %s",
						 number->name,
						 number->name,
						 number->name);
	else
		appendStringInfo(sql,
						 ", CASE WHEN coalesce(o.n, 0) OPERATOR(pg_catalog.+) g.n"
						 " OPERATOR(pg_catalog.>) 0 THEN %s(o.%s, g.%s%d) END AS %s",
						 extreme_choices[number->extreme],
						 number->name,
						 coming_names[number->extreme],
						 number->argument,
						 number->name);
}

/* Appends the condition that a sum is NaN or infinite. */
static void
append_is_special(StringInfo sql, const char *sum)
{
	appendStringInfo(sql,
					 "%s OPERATOR(pg_catalog.=)"
					 " ANY ('{NaN,Infinity,-Infinity}'::pg_catalog.numeric[])",
					 sum);
}

/* Appends whether a group is lost or, with "specials", dirty. */
static void
append_lost(StringInfo sql, const Sums *sums, bool specials)
{
	ListCell *cell;

	appendStringInfoString(sql,
						   " coalesce(o.n, 0) OPERATOR(pg_catalog.+) g.n"
						   " OPERATOR(pg_catalog.>) 0 AND (false");
	foreach(cell, numbers_of(sums))
	{
		const Number *number = lfirst(cell);

		if (number->extreme >= 0)
			append_may_have_gone(sql, number);
		else if (specials && may_be_special(sums, number))
		{
			appendStringInfoString(sql, " OR ");
			append_is_special(sql,
							  psprintf("(coalesce(o.%s, 0) OPERATOR(pg_catalog.+) g.%s)",
									   number->name,
									   number->name));
		}
	}
	appendStringInfoChar(sql, ')');
}

char *
aggregate_totals_sql(const AggregateText *text)
{
	const Sums *sums = text->sums;
	StringInfoData sql;
	ListCell *cell;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	append_groups_and_comma(&sql, sums);
	appendStringInfo(&sql,
					 "%s IS NOT NULL AS existed,",
					 sums->self_contained ? "o.here" : "g.key, g.hash, o.place, o.key");
	append_lost(&sql, sums, false);
	appendStringInfoString(&sql, " AS lost,");
	append_lost(&sql, sums, true);
	appendStringInfoString(&sql, " AS dirty");
	foreach(cell, numbers_of(sums))
	{
		const Number *number = lfirst(cell);

		appendStringInfo(&sql, ", o.%s AS old_%s", number->name, number->name);
		append_new(&sql, number);
	}
	appendStringInfoString(&sql, " FROM (SELECT *");
	for (int i = 0; sums->self_contained && i < list_length(sums->groups); i++)
		appendStringInfo(&sql, ", g%d AS k%d", i, i);
	appendStringInfoString(&sql, " FROM " AGGREGATE_GROUPS ") g LEFT JOIN ");
	append_old(&sql, text);
	appendStringInfoString(&sql, " ON ");
	append_same_group(&sql, text);
	return sql.data;
}

char *
aggregate_findings_sql(const AggregateText *text)
{
	StringInfoData sql;
	ListCell *cell;

	initStringInfo(&sql);
	appendStringInfoString(&sql,
						   "SELECT pg_catalog.bool_or(n OPERATOR(pg_catalog.<) 0"
						   " OR (lost AND NOT existed)");
	foreach(cell, numbers_of(text->sums))
	{
		const Number *number = lfirst(cell);
		const char *name = number->name;

		if (name[0] == 'c')
			appendStringInfo(&sql,
							 " OR %s OPERATOR(pg_catalog.<) 0 OR %s OPERATOR(pg_catalog.>) n",
							 name,
							 name);
		if (name[0] == 's')
		{
			appendStringInfo(&sql,
							 " OR (%s OPERATOR(pg_catalog.=) 0"
							 " AND %s OPERATOR(pg_catalog.<>) 0 AND NOT ",
							 count_name(text->sums, number->argument),
							 name);
			append_is_special(&sql, name);
			appendStringInfoChar(&sql, ')');
		}
	}
	appendStringInfoString(&sql, "), pg_catalog.bool_or(dirty) FROM " AGGREGATE_TOTALS);
	return sql.data;
}

char *
aggregate_dirty_sql(const AggregateText *text)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	append_groups(&sql, text->sums);
	appendStringInfoString(&sql, " FROM " AGGREGATE_TOTALS " WHERE dirty");
	return sql.data;
}

/*
 * Returns the rows of groups as a relation with the names of totals.  Added
 * values become the extremes.
 */
static char *
as_totals(const AggregateText *text, const char *relation)
{
	StringInfoData sql;
	ListCell *cell;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "(SELECT ");
	append_groups_and_comma(&sql, text->sums);
	if (!text->sums->self_contained)
		appendStringInfoString(&sql, "key, hash, ");
	foreach(cell, numbers_of(text->sums))
	{
		const Number *number = lfirst(cell);

		if (number->argument >= 0)
			appendStringInfoString(&sql, ", ");
		if (number->extreme < 0)
			appendStringInfoString(&sql, number->name);
		else
			appendStringInfo(&sql,
							 "%s%d AS %s",
							 coming_names[number->extreme],
							 number->argument,
							 number->name);
	}
	appendStringInfo(&sql, " FROM %s) f", relation);
	return sql.data;
}

/* ---- values ---- */

static void
append_value(StringInfo sql, const Sums *sums, const SumAggregate *sum, const char *prefix)
{
	int i = sum->argument;
	const char *count = psprintf("%s%s", prefix, count_name(sums, i));

	switch (sum->kind)
	{
		case SUM_NONE:
		case SUM_COUNT:
			appendStringInfo(sql, "%s::pg_catalog.int8", count);
			break;
		case SUM_SUM:
			appendStringInfo(sql,
							 "CASE WHEN %s OPERATOR(pg_catalog.>) 0 THEN %ss%d::%s END",
							 count,
							 prefix,
							 i,
							 sql_type(sum->aggregate->aggtype, -1));
			break;
		case SUM_AVG:
			appendStringInfo(sql,
							 "CASE WHEN %s OPERATOR(pg_catalog.>) 0"
							 " THEN %ss%d OPERATOR(pg_catalog./) %s::pg_catalog.numeric END",
							 count,
							 prefix,
							 i,
							 count);
			break;
		case SUM_MAX:
		case SUM_MIN:
			appendStringInfo(sql, "%s%s%d", prefix, extreme_names[sum->kind == SUM_MIN], i);
			break;
	}
}

static void
append_values(StringInfo sql, const AggregateText *text, const char *prefix, int weight,
			  const char *from)
{
	ListCell *cell;

	appendStringInfoString(sql, "SELECT ");
	append_groups_and_comma(sql, text->sums);
	foreach(cell, text->sums->aggregates)
	{
		append_value(sql, text->sums, lfirst(cell), prefix);
		appendStringInfo(sql, " AS v%d, ", foreach_current_index(cell));
	}
	appendStringInfo(sql, "(%d)::pg_catalog.int2 AS " WEIGHT " FROM %s", weight, from);
}

char *
aggregate_values_sql(const AggregateText *text)
{
	const Sums *sums = text->sums;
	StringInfoData sql;

	initStringInfo(&sql);
	if (!sums->keyed)
	{
		append_values(&sql, text, "old_", -1, AGGREGATE_TOTALS " WHERE existed");
		appendStringInfoString(&sql, " UNION ALL ");
	}
	append_values(&sql, text, "", 1, AGGREGATE_TOTALS " WHERE NOT dirty");
	if (sums->grouped)
		appendStringInfoString(&sql, " AND n OPERATOR(pg_catalog.>) 0");
	if (text->fresh)
	{
		appendStringInfoString(&sql, " UNION ALL ");
		append_values(&sql, text, "", 1, as_totals(text, AGGREGATE_FRESH));
	}
	return sql.data;
}

/* ---- stored numbers ---- */

static void
append_kept(StringInfo sql, const AggregateText *text, const char *change, const char *place,
			const char *from)
{
	ListCell *cell;

	appendStringInfo(sql,
					 "SELECT f.key, f.hash, (%s)::pg_catalog.int4 AS change,"
					 " %s::pg_catalog.tid AS place",
					 change,
					 place);
	foreach(cell, numbers_of(text->sums))
		appendStringInfo(sql, ", f.%s", ((Number *) lfirst(cell))->name);
	appendStringInfo(sql, " FROM %s", from);
}

char *
aggregate_kept_sql(const AggregateText *text, bool whole)
{
	StringInfoData sql;

	initStringInfo(&sql);
	if (whole)
	{
		append_kept(&sql, text, "1", "NULL", as_totals(text, AGGREGATE_GROUPS));
		return sql.data;
	}
	append_kept(&sql,
				text,
				text->sums->grouped ? "CASE WHEN f.n OPERATOR(pg_catalog.=) 0 THEN -1"
									  " WHEN f.existed THEN 0 ELSE 1 END"
									: "CASE WHEN f.existed THEN 0 ELSE 1 END",
				"f.place",
				AGGREGATE_TOTALS " f WHERE NOT f.dirty");
	if (text->sums->grouped)
		appendStringInfoString(&sql, " AND (f.existed OR f.n OPERATOR(pg_catalog.>) 0)");
	if (text->fresh)
	{
		appendStringInfoString(&sql, " UNION ALL ");
		append_kept(&sql,
					text,
					"CASE WHEN t.existed THEN 0 ELSE 1 END",
					"t.place",
					psprintf("%s JOIN " AGGREGATE_TOTALS " t ON t.key OPERATOR(pg_catalog.=) f.key",
							 as_totals(text, AGGREGATE_FRESH)));
	}
	return sql.data;
}
