/*-------------------------------------------------------------------------
 *
 * contract_gx.c
 *		Contracts in suites of Great Expectations.
 *
 * Both spellings are read: expectation_type and expectation_suite_name (0.x),
 * type, name and severity (1.x).  A suite names no table: the schema map says
 * which one its name means, or the name is that of the table.
 *
 * mostly is the share of rows with a value that must hold, so the other share
 * is the threshold, and rows without a value are not counted.
 *
 *-------------------------------------------------------------------------
 */
#include "quality/contract_gx.h"

#include "core/sqltext.h"
#include "lib/stringinfo.h"

typedef struct Expectation
{
	ContractItem *item;
	Json *kwargs;
	char *column; /* quoted; NULL: none */
	char *name;   /* the same, unquoted */
	bool warn;
} Expectation;

/* ---- arguments ---- */

static char *
scalar(const Expectation *e, const char *name)
{
	return json_scalar(json_member(e->kwargs, name));
}

/* A list of SQL literals of the values, without parentheses; NULL if there are none. */
static char *
literals(const Expectation *e, const char *name)
{
	StringInfoData buf;
	ListCell *cell;

	initStringInfo(&buf);
	foreach(cell, json_elements(json_member(e->kwargs, name)))
	{
		char *value = json_scalar(lfirst(cell));

		if (value != NULL)
			appendStringInfo(&buf, "%s%s", buf.len > 0 ? ", " : "", sql_literal(value));
	}
	return buf.len > 0 ? buf.data : NULL;
}

static List *
texts(const Expectation *e, const char *name)
{
	List *list = NIL;
	ListCell *cell;

	foreach(cell, json_elements(json_member(e->kwargs, name)))
		if (json_is_text(lfirst(cell)))
			list = lappend(list, json_text_of(lfirst(cell)));
	return list;
}

static void
satisfies(Expectation *e, char *expression)
{
	e->item->rule = contract_satisfies(expression);
}

/* min_value and max_value, each strict or not, on an expression; NULL: no bound. */
static char *
between(const Expectation *e, const char *expression)
{
	char *minimum = scalar(e, "min_value");
	char *maximum = scalar(e, "max_value");
	StringInfoData buf;

	initStringInfo(&buf);
	if (minimum != NULL)
		appendStringInfo(&buf,
						 "%s %s %s",
						 expression,
						 json_is_true(json_member(e->kwargs, "strict_min")) ? ">" : ">=",
						 sql_literal(minimum));
	if (maximum != NULL)
		appendStringInfo(&buf,
						 "%s%s %s %s",
						 buf.len > 0 ? " AND " : "",
						 expression,
						 json_is_true(json_member(e->kwargs, "strict_max")) ? "<" : "<=",
						 sql_literal(maximum));
	return buf.len > 0 ? buf.data : NULL;
}

static void
satisfies_between(Expectation *e, const char *expression)
{
	char *bounds = between(e, expression);

	if (bounds == NULL)
		contract_refuse(e->item, "it has neither min_value nor max_value");
	else
		satisfies(e, bounds);
}

/* The share of rows that may violate. */
static void
take_mostly(Expectation *e, bool skip_nulls)
{
	Json *mostly = json_member(e->kwargs, "mostly");
	char *percent;
	Bound bound = {BOUND_LESS_EQUAL};

	percent = !json_given(mostly)      ? pstrdup("0")
			  : json_is_number(mostly) ? percent_beside(json_scalar(mostly))
									   : NULL;
	if (percent == NULL)
	{
		contract_refuse(e->item, "mostly is not a number from 0 to 1");
		return;
	}
	bound.low = percent;
	contract_tolerate(e->item, &bound, true, e->warn);
	if (skip_nulls && strcmp(percent, "0") != 0)
		contract_argument(e->item, "on_null", "skip");
}

/* ---- expectations of rows ---- */

static void
read_not_null(Expectation *e)
{
	e->item->rule = contract_rule("not_null", "columns", json_strings(list_make1(e->name)), NULL);
	take_mostly(e, false);
}

static void
read_null(Expectation *e)
{
	satisfies(e, psprintf("%s IS NULL", e->column));
	take_mostly(e, false);
}

static void
read_in_set(Expectation *e)
{
	e->item->rule = contract_rule("accepted_values",
								  "column_name",
								  json_string(e->name),
								  "accepted",
								  json_literal(json_member(e->kwargs, "value_set")),
								  NULL);
	take_mostly(e, true);
}

static void
read_not_in_set(Expectation *e)
{
	e->item->rule = contract_rule("rejected_values",
								  "column_name",
								  json_string(e->name),
								  "rejected",
								  json_literal(json_member(e->kwargs, "value_set")),
								  NULL);
	take_mostly(e, true);
}

static void
read_between(Expectation *e)
{
	bool strict_min = json_is_true(json_member(e->kwargs, "strict_min"));
	bool strict_max = json_is_true(json_member(e->kwargs, "strict_max"));

	if (strict_min || strict_max)
		satisfies_between(e, e->column);
	else
		e->item->rule = contract_rule("in_range",
									  "column_name",
									  json_string(e->name),
									  "minimum",
									  json_literal(json_member(e->kwargs, "min_value")),
									  "maximum",
									  json_literal(json_member(e->kwargs, "max_value")),
									  NULL);
	if (e->item->rule != NULL)
		take_mostly(e, true);
}

static void
read_regex(Expectation *e)
{
	e->item->rule = contract_rule("matches",
								  "column_name",
								  json_string(e->name),
								  "pattern",
								  json_literal(json_member(e->kwargs, "regex")),
								  NULL);
	take_mostly(e, true);
}

/* A condition for each text of a list, joined. */
static void
read_patterns(Expectation *e, const char *argument, const char *operator, bool all)
{
	List *patterns = texts(e, argument);
	StringInfoData buf;
	ListCell *cell;

	if (patterns == NIL && scalar(e, argument) != NULL)
		patterns = list_make1(scalar(e, argument));
	if (patterns == NIL)
	{
		contract_refuse(e->item, "%s is missing", argument);
		return;
	}
	initStringInfo(&buf);
	foreach(cell, patterns)
		appendStringInfo(&buf,
						 "%s%s %s %s",
						 buf.len == 0 ? ""
						 : all        ? " AND "
									  : " OR ",
						 e->column,
						 operator,
						 sql_literal(lfirst(cell)));
	satisfies(e, buf.data);
	take_mostly(e, true);
}

static void
read_not_regex(Expectation *e)
{
	read_patterns(e, "regex", "OPERATOR(pg_catalog.!~)", true);
}

static void
read_regex_list(Expectation *e)
{
	char *match_on = scalar(e, "match_on");

	read_patterns(e,
				  "regex_list",
				  "OPERATOR(pg_catalog.~)",
				  match_on != NULL && strcmp(match_on, "all") == 0);
}

static void
read_not_regex_list(Expectation *e)
{
	read_patterns(e, "regex_list", "OPERATOR(pg_catalog.!~)", true);
}

static void
read_like(Expectation *e)
{
	read_patterns(e, "like_pattern", "OPERATOR(pg_catalog.~~)", true);
}

static void
read_not_like(Expectation *e)
{
	read_patterns(e, "like_pattern", "OPERATOR(pg_catalog.!~~)", true);
}

static void
read_length(Expectation *e)
{
	char *equal = json_literal(json_member(e->kwargs, "value"));

	if (equal == NULL && (json_is_true(json_member(e->kwargs, "strict_min")) ||
						  json_is_true(json_member(e->kwargs, "strict_max"))))
		satisfies_between(e, psprintf("pg_catalog.char_length(%s)", e->column));
	else
		e->item->rule = contract_rule(
			"has_length",
			"column_name",
			json_string(e->name),
			"minimum",
			equal != NULL ? equal : json_literal(json_member(e->kwargs, "min_value")),
			"maximum",
			equal != NULL ? equal : json_literal(json_member(e->kwargs, "max_value")),
			NULL);
	if (e->item->rule != NULL)
		take_mostly(e, true);
}

static void
read_json(Expectation *e)
{
	e->item->rule = contract_rule("parses_as",
								  "column_name",
								  json_string(e->name),
								  "type_name",
								  json_string("json"),
								  NULL);
	take_mostly(e, true);
}

static void
read_unique(Expectation *e)
{
	e->item->rule = contract_rule("unique", "columns", json_strings(list_make1(e->name)), NULL);
	take_mostly(e, false);
}

/* ---- expectations of several columns ---- */

static void
read_compound_unique(Expectation *e)
{
	char *ignore = scalar(e, "ignore_row_if");
	bool nulls_equal = ignore == NULL || strcmp(ignore, "any_value_is_missing") != 0;

	e->item->rule = contract_rule("unique",
								  "columns",
								  json_strings(texts(e, "column_list")),
								  "nulls_equal",
								  nulls_equal ? "true" : NULL,
								  NULL);
	if (nulls_equal)
		contract_remark(e->item, "rows in which all the columns are null count as equal");
	take_mostly(e, false);
}

static void
read_pair(Expectation *e, const char *operator)
{
	char *a = json_member_text(e->kwargs, "column_A");
	char *b = json_member_text(e->kwargs, "column_B");

	if (a == NULL || b == NULL)
	{
		contract_refuse(e->item, "column_A or column_B is missing");
		return;
	}
	satisfies(e, psprintf("%s %s %s", sql_identifier(a), operator, sql_identifier(b)));
	take_mostly(e, false);
}

static void
read_pair_greater(Expectation *e)
{
	read_pair(e, json_is_true(json_member(e->kwargs, "or_equal")) ? ">=" : ">");
}

static void
read_pair_equal(Expectation *e)
{
	read_pair(e, "IS NOT DISTINCT FROM");
}

static void
read_sum_equal(Expectation *e)
{
	char *total = scalar(e, "sum_total");
	StringInfoData buf;
	ListCell *cell;

	initStringInfo(&buf);
	foreach(cell, texts(e, "column_list"))
		appendStringInfo(&buf, "%s%s", buf.len > 0 ? " + " : "", sql_identifier(lfirst(cell)));
	if (total == NULL || buf.len == 0)
	{
		contract_refuse(e->item, "column_list or sum_total is missing");
		return;
	}
	satisfies(e, psprintf("%s = %s", buf.data, sql_literal(total)));
	take_mostly(e, false);
}

/* ---- expectations of the table ---- */

static void
about_table(Expectation *e)
{
	e->item->about_table = true;
	if (e->warn)
		contract_argument(e->item, "on_violation", "warn");
}

static void
read_row_count(Expectation *e)
{
	char *equal = json_literal(json_member(e->kwargs, "value"));

	e->item->rule = contract_rule(
		"row_count",
		"minimum",
		equal != NULL ? equal : json_literal(json_member(e->kwargs, "min_value")),
		"maximum",
		equal != NULL ? equal : json_literal(json_member(e->kwargs, "max_value")),
		NULL);
	about_table(e);
}

/* column: a format with one place for the column */
#define AGGREGATE(function, expression)                        \
	static void function(Expectation *e)                       \
	{                                                          \
		satisfies_between(e, psprintf(expression, e->column)); \
		about_table(e);                                        \
	}

AGGREGATE(read_min, "pg_catalog.min(%s)")
AGGREGATE(read_max, "pg_catalog.max(%s)")
AGGREGATE(read_mean, "pg_catalog.avg(%s)")
AGGREGATE(read_sum, "pg_catalog.sum(%s)")
AGGREGATE(read_stdev, "pg_catalog.stddev(%s)")
AGGREGATE(read_median, "pg_catalog.percentile_cont(0.5) WITHIN GROUP (ORDER BY %s)")
AGGREGATE(read_distinct_count, "pg_catalog.count(DISTINCT %s)")
AGGREGATE(read_non_null, "pg_catalog.count(%s)::numeric / NULLIF(pg_catalog.count(*), 0)")

static void
read_distinct_ratio(Expectation *e)
{
	satisfies_between(
		e,
		psprintf("pg_catalog.count(DISTINCT %s)::numeric / NULLIF(pg_catalog.count(%s), 0)",
				 e->column,
				 e->column));
	about_table(e);
}

static void
distinct_values(Expectation *e, const char *argument)
{
	e->item->rule = contract_rule("distinct_values",
								  "column_name",
								  json_string(e->name),
								  argument,
								  json_literal(json_member(e->kwargs, "value_set")),
								  NULL);
	about_table(e);
}

static void
read_contains(Expectation *e)
{
	distinct_values(e, "contains");
}

static void
read_equals(Expectation *e)
{
	distinct_values(e, "equals");
}

static void
read_most_common(Expectation *e)
{
	char *values = literals(e, "value_set");

	if (values == NULL)
		contract_refuse(e->item, "value_set is missing");
	else
		satisfies(
			e,
			psprintf("pg_catalog.mode() WITHIN GROUP (ORDER BY %s) IN (%s)", e->column, values));
	about_table(e);
}

static void
read_column_exists(Expectation *e)
{
	e->item->rule =
		contract_rule("has_columns", "columns", json_strings(list_make1(e->name)), NULL);
	about_table(e);
}

static void
read_columns(Expectation *e)
{
	List *columns = texts(e, "column_set");
	Json *exact = json_member(e->kwargs, "exact_match");

	if (columns == NIL)
		columns = texts(e, "column_list");
	e->item->rule = contract_rule("has_columns",
								  "columns",
								  json_strings(columns),
								  "exact",
								  json_given(exact) && !json_is_true(exact) ? NULL : "true",
								  NULL);
	about_table(e);
}

static void
read_query(Expectation *e)
{
	char *query = json_member_text(e->kwargs, "unexpected_rows_query");

	if (query == NULL || strchr(query, '{') != NULL)
		contract_refuse(e->item, "its query has places that Great Expectations fills in");
	else
		e->item->rule = contract_rule("no_rows", "query", json_string(query), NULL);
	about_table(e);
}

static const struct
{
	const char *type;
	bool of_column;
	void (*read)(Expectation *e);
} expectations[] = {
	{"expect_column_values_to_not_be_null", true, read_not_null},
	{"expect_column_values_to_be_null", true, read_null},
	{"expect_column_values_to_be_in_set", true, read_in_set},
	{"expect_column_values_to_not_be_in_set", true, read_not_in_set},
	{"expect_column_values_to_be_between", true, read_between},
	{"expect_column_values_to_match_regex", true, read_regex},
	{"expect_column_values_to_not_match_regex", true, read_not_regex},
	{"expect_column_values_to_match_regex_list", true, read_regex_list},
	{"expect_column_values_to_not_match_regex_list", true, read_not_regex_list},
	{"expect_column_values_to_match_like_pattern", true, read_like},
	{"expect_column_values_to_not_match_like_pattern", true, read_not_like},
	{"expect_column_value_lengths_to_be_between", true, read_length},
	{"expect_column_value_lengths_to_equal", true, read_length},
	{"expect_column_values_to_be_json_parseable", true, read_json},
	{"expect_column_values_to_be_unique", true, read_unique},
	{"expect_compound_columns_to_be_unique", false, read_compound_unique},
	{"expect_column_pair_values_a_to_be_greater_than_b", false, read_pair_greater},
	{"expect_column_pair_values_to_be_equal", false, read_pair_equal},
	{"expect_multicolumn_sum_to_equal", false, read_sum_equal},
	{"expect_table_row_count_to_be_between", false, read_row_count},
	{"expect_table_row_count_to_equal", false, read_row_count},
	{"expect_column_min_to_be_between", true, read_min},
	{"expect_column_max_to_be_between", true, read_max},
	{"expect_column_mean_to_be_between", true, read_mean},
	{"expect_column_sum_to_be_between", true, read_sum},
	{"expect_column_stdev_to_be_between", true, read_stdev},
	{"expect_column_median_to_be_between", true, read_median},
	{"expect_column_unique_value_count_to_be_between", true, read_distinct_count},
	{"expect_column_proportion_of_unique_values_to_be_between", true, read_distinct_ratio},
	{"expect_column_proportion_of_non_null_values_to_be_between", true, read_non_null},
	{"expect_column_distinct_values_to_be_in_set", true, read_in_set},
	{"expect_column_distinct_values_to_contain_set", true, read_contains},
	{"expect_column_distinct_values_to_equal_set", true, read_equals},
	{"expect_column_most_common_value_to_be_in_set", true, read_most_common},
	{"expect_column_to_exist", true, read_column_exists},
	{"expect_table_columns_to_match_set", false, read_columns},
	{"unexpected_rows_expectation", false, read_query},
};

/* ---- the suite ---- */

static bool
recognise_gx(const Json *root)
{
	return json_is_array(json_member(root, "expectations"));
}

/* A value that a run would fill in; NULL: none. */
static const char *
parameter_of(const Json *kwargs)
{
	ListCell *cell;

	foreach(cell, json_members(kwargs))
	{
		const Json *member = lfirst(cell);

		if (json_is_object(member) && strcmp(member->key, "row_condition") != 0)
			return member->key;
	}
	return NULL;
}

static void
read_expectation(Contract *contract, const Json *place, char *target)
{
	Expectation e = {contract_item(contract, place, target)};
	char *type = json_member_text(place, "type");
	char *severity = json_member_text(place, "severity");
	Json *condition;

	if (type == NULL)
		type = json_member_text(place, "expectation_type");
	e.kwargs = json_member(place, "kwargs");
	condition = json_member(e.kwargs, "row_condition");
	e.name = json_member_text(e.kwargs, "column");
	e.column = e.name != NULL ? pstrdup(sql_identifier(e.name)) : NULL;
	e.warn = severity != NULL && strcmp(severity, "critical") != 0;
	if (target == NULL)
		contract_refuse(e.item, "the suite has no name: it does not say which table it is about");
	else if (type == NULL)
		contract_refuse(e.item, "it has no type");
	else if (json_given(condition))
		contract_refuse(e.item,
						"row_condition %s is not SQL: declare it with filter",
						json_literal(condition));
	else if (parameter_of(e.kwargs) != NULL)
		contract_refuse(e.item, "%s is a parameter of a run", parameter_of(e.kwargs));
	else
	{
		contract_refuse(e.item, "depipe has no check for %s", type);
		for (size_t i = 0; i < lengthof(expectations); i++)
		{
			if (strcmp(expectations[i].type, type) != 0)
				continue;
			e.item->reason = NULL;
			if (expectations[i].of_column && e.column == NULL)
				contract_refuse(e.item, "it names no column");
			else
				expectations[i].read(&e);
		}
	}
}

static void
read_gx(Contract *contract)
{
	char *name = json_member_text(contract->root, "name");
	Json *list = json_member(contract->root, "expectations");
	Json *mapped;
	ListCell *cell;

	if (name == NULL)
		name = json_member_text(contract->root, "expectation_suite_name");
	if (name != NULL)
	{
		mapped = json_member(contract->schema_map, name);
		if (mapped->present)
			name = json_text(mapped);
	}
	if (!json_is_array(list))
		json_refuse(list, "an array");
	foreach(cell, json_elements(list))
	{
		if (!json_is_object(lfirst(cell)))
			json_refuse(lfirst(cell), "an object");
		read_expectation(contract, lfirst(cell), name);
	}
}

const ContractFormat contract_gx = {
	.name = "great_expectations",
	.lenient = true,
	.recognise = recognise_gx,
	.read = read_gx,
};
