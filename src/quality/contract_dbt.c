/*-------------------------------------------------------------------------
 *
 * contract_dbt.c
 *		Contracts in manifest.json of dbt.
 *
 * A test is a node with test_metadata: the name of its macro, and keywords.
 * The node that it is attached to says which table it is about.  References to
 * other models (to: ref('customers')) are resolved by the names of the nodes
 * that the test depends on.
 *
 * dbt counts rows that its query returns.  Conditions on that number become
 * thresholds where they are upper bounds of it.
 *
 *-------------------------------------------------------------------------
 */
#include "quality/contract_dbt.h"

#include "core/sqltext.h"
#include "lib/stringinfo.h"
#include "parser/scansup.h"

typedef struct Test
{
	Contract *contract;
	ContractItem *item;
	Json *node;
	Json *config;
	Json *kwargs;
	char *written;   /* the column as it was written; NULL: none */
	char *column;    /* its name */
	const char *sql; /* in SQL */
} Test;

/* ---- tables ---- */

static Json *
node_of(const Contract *contract, const char *id)
{
	Json *node = json_member(json_member(contract->root, "nodes"), id);

	return node->present ? node : json_member(json_member(contract->root, "sources"), id);
}

/* The table of a model, seed, snapshot or source; NULL: there is no such node. */
static char *
table_of(const Contract *contract, const char *id)
{
	Json *node = id != NULL ? node_of(contract, id) : NULL;
	static const char *const names[] = {"alias", "identifier", "name"};
	char *table = NULL;

	if (node == NULL || !node->present)
		return NULL;
	for (size_t i = 0; i < lengthof(names) && table == NULL; i++)
		table = json_member_text(node, names[i]);
	if (table == NULL)
		return NULL;
	return contract_table(contract,
						  json_member_text(node, "database"),
						  json_member_text(node, "schema"),
						  table);
}

static List *
dependencies(const Test *test)
{
	List *ids = NIL;
	ListCell *cell;

	foreach(cell, json_elements(json_member(json_member(test->node, "depends_on"), "nodes")))
		if (json_is_text(lfirst(cell)))
			ids = lappend(ids, json_text_of(lfirst(cell)));
	return ids;
}

/* The node that the test is about. */
static char *
attached_node(const Test *test)
{
	char *attached = json_member_text(test->node, "attached_node");
	List *ids = dependencies(test);

	if (attached != NULL)
		return attached;
	/* older manifests: the model is the last of two */
	return ids != NIL ? llast(ids) : NULL;
}

/* The last text in quotes: the name in ref('package', 'name') or source('source', 'name'). */
static char *
quoted_name(const char *reference)
{
	const char *end = strrchr(reference, '\'');
	const char *start = end;

	if (end == NULL)
		end = start = strrchr(reference, '"');
	if (end == NULL)
		return NULL;
	while (start > reference && start[-1] != *end)
		start--;
	return start > reference ? pnstrdup(start, end - start) : NULL;
}

/* The table that a keyword such as ref('customers') means; NULL: unknown. */
static char *
referred_table(const Test *test, const char *keyword)
{
	char *reference = json_member_text(test->kwargs, keyword);
	char *name = reference != NULL ? quoted_name(reference) : NULL;
	ListCell *cell;

	if (name == NULL)
		return NULL;
	foreach(cell, dependencies(test))
	{
		char *found = json_member_text(node_of(test->contract, lfirst(cell)), "name");

		if (found != NULL && strcmp(found, name) == 0)
			return table_of(test->contract, lfirst(cell));
	}
	return NULL;
}

/* ---- keywords ---- */

static char *
keyword_text(const Test *test, const char *name)
{
	return json_member_text(test->kwargs, name);
}

static List *
column_list(const Test *test, const char *name)
{
	List *columns = NIL;
	ListCell *cell;

	foreach(cell, json_elements(json_member(test->kwargs, name)))
		if (json_is_text(lfirst(cell)))
			columns = lappend(columns, contract_column(json_text_of(lfirst(cell))));
	return columns;
}

static void
set_rule(Test *test, char *rule)
{
	test->item->rule = rule;
}

/* The column's own kind of rule, or an expression where no column stands. */
static char *
columns_json(const Test *test)
{
	return json_strings(list_make1(test->column));
}

/* ---- tests ---- */

static void
read_not_null(Test *test)
{
	if (contract_is_name(test->written))
		set_rule(test, contract_rule("not_null", "columns", columns_json(test), NULL));
	else
		set_rule(test, contract_satisfies(psprintf("(%s) IS NOT NULL", test->written)));
}

static void
read_unique(Test *test)
{
	if (!contract_is_name(test->written))
	{
		contract_refuse(test->item,
						"unique is about columns, not about the expression %s",
						test->written);
		return;
	}
	set_rule(test, contract_rule("unique", "columns", columns_json(test), NULL));
}

static void
read_values(Test *test, const char *keyword, const char *kind, const char *argument)
{
	Json *values = json_member(test->kwargs, keyword);

	if (!json_is_array(values) || !contract_is_name(test->written))
	{
		contract_refuse(test->item, "its values are no list, or its column is an expression");
		return;
	}
	set_rule(test,
			 contract_rule(kind,
						   "column_name",
						   json_string(test->column),
						   argument,
						   json_literal(values),
						   NULL));
}

static void
read_accepted_values(Test *test)
{
	read_values(test, "values", "accepted_values", "accepted");
}

static void
read_rejected_values(Test *test)
{
	read_values(test, "values", "rejected_values", "rejected");
}

static void
read_in_set(Test *test)
{
	read_values(test, "value_set", "accepted_values", "accepted");
}

static void
read_not_in_set(Test *test)
{
	read_values(test, "value_set", "rejected_values", "rejected");
}

static void
read_relationships(Test *test)
{
	char *to = referred_table(test, "to");
	char *field = keyword_text(test, "field");
	char *filter = keyword_text(test, "from_condition");

	if (to == NULL || field == NULL)
	{
		contract_refuse(test->item, "the table that it refers to is not in the manifest");
		return;
	}
	set_rule(test,
			 contract_rule("relationships",
						   "columns",
						   columns_json(test),
						   "reference",
						   json_string(to),
						   "reference_columns",
						   json_strings(list_make1(contract_column(field))),
						   "reference_filter",
						   json_string(keyword_text(test, "to_condition")),
						   NULL));
	contract_argument(test->item, "filter", filter);
}

static void
read_expression(Test *test)
{
	char *expression = keyword_text(test, "expression");

	if (expression == NULL)
		contract_refuse(test->item, "it has no expression");
	else if (test->written != NULL)
		set_rule(test, contract_satisfies(psprintf("%s %s", test->sql, expression)));
	else
		set_rule(test, contract_satisfies(expression));
}

/* min_value and max_value of an expression: numbers, or texts that are SQL. */
static void
read_bounds(Test *test, const char *expression, bool strict)
{
	char *minimum = json_scalar(json_member(test->kwargs, "min_value"));
	char *maximum = json_scalar(json_member(test->kwargs, "max_value"));
	StringInfoData buf;

	initStringInfo(&buf);
	if (minimum != NULL)
		appendStringInfo(&buf, "%s %s %s", expression, strict ? ">" : ">=", minimum);
	if (maximum != NULL)
		appendStringInfo(&buf,
						 "%s%s %s %s",
						 buf.len > 0 ? " AND " : "",
						 expression,
						 strict ? "<" : "<=",
						 maximum);
	if (buf.len == 0)
		contract_refuse(test->item, "it has neither min_value nor max_value");
	else
		set_rule(test, contract_satisfies(buf.data));
}

static void
read_accepted_range(Test *test)
{
	Json *inclusive = json_member(test->kwargs, "inclusive");

	read_bounds(test, test->sql, json_given(inclusive) && !json_is_true(inclusive));
}

static void
read_between(Test *test)
{
	read_bounds(test, test->sql, json_is_true(json_member(test->kwargs, "strictly")));
}

static void
read_unique_combination(Test *test)
{
	List *columns = column_list(test, "combination_of_columns");

	if (columns == NIL)
		columns = column_list(test, "column_list");
	set_rule(
		test,
		contract_rule("unique", "columns", json_strings(columns), "nulls_equal", "true", NULL));
}

static void
read_not_empty(Test *test)
{
	set_rule(test, contract_satisfies(psprintf("pg_catalog.btrim(%s) <> ''", test->sql)));
}

/* About the table: no rows to set aside. */
static void
read_aggregate(Test *test, char *expression)
{
	test->item->about_table = true;
	if (expression != NULL)
		read_bounds(test, expression, json_is_true(json_member(test->kwargs, "strictly")));
}

static void
read_not_constant(Test *test)
{
	set_rule(test, contract_satisfies(psprintf("pg_catalog.count(DISTINCT %s) > 1", test->sql)));
	test->item->about_table = true;
}

static void
read_at_least_one(Test *test)
{
	set_rule(test, contract_satisfies(psprintf("pg_catalog.count(%s) > 0", test->sql)));
	test->item->about_table = true;
}

static void
read_not_null_share(Test *test)
{
	char *least = json_scalar(json_member(test->kwargs, "at_least"));
	char *most = json_scalar(json_member(test->kwargs, "at_most"));

	set_rule(test,
			 contract_satisfies(psprintf(
				 "pg_catalog.count(%s)::numeric / NULLIF(pg_catalog.count(*), 0) BETWEEN %s AND %s",
				 test->sql,
				 least != NULL ? sql_literal(least) : "0",
				 most != NULL ? sql_literal(most) : "1")));
	test->item->about_table = true;
}

static void
read_recency(Test *test)
{
	char *field = keyword_text(test, "field");
	char *part = keyword_text(test, "datepart");
	char *number = json_scalar(json_member(test->kwargs, "interval"));

	if (field == NULL || part == NULL || number == NULL)
	{
		contract_refuse(test->item, "it has no field, datepart or interval");
		return;
	}
	set_rule(test,
			 contract_rule("freshness",
						   "column_name",
						   json_string(contract_column(field)),
						   "max_age",
						   json_string(psprintf("%s %s", number, part)),
						   NULL));
}

static void
read_equal_rowcount(Test *test)
{
	char *other = referred_table(test, "compare_model");

	if (other == NULL)
		contract_refuse(test->item, "the model that it is compared with is not in the manifest");
	else
		set_rule(test, contract_rule("same_count", "reference", json_string(other), NULL));
	test->item->about_table = true;
}

static void
read_regex(Test *test)
{
	char *pattern = keyword_text(test, "regex");

	if (pattern == NULL)
		contract_refuse(test->item, "it has no regex");
	else
		set_rule(test,
				 contract_satisfies(
					 psprintf("%s OPERATOR(pg_catalog.~) %s", test->sql, sql_literal(pattern))));
}

static void
read_not_regex(Test *test)
{
	char *pattern = keyword_text(test, "regex");

	if (pattern == NULL)
		contract_refuse(test->item, "it has no regex");
	else
		set_rule(test, contract_satisfies(psprintf("%s !~ %s", test->sql, sql_literal(pattern))));
}

static void
read_length(Test *test)
{
	read_bounds(test,
				psprintf("pg_catalog.char_length(%s)", test->sql),
				json_is_true(json_member(test->kwargs, "strictly")));
}

static void
read_be_null(Test *test)
{
	set_rule(test, contract_satisfies(psprintf("%s IS NULL", test->sql)));
}

static void
read_row_count(Test *test)
{
	read_aggregate(test, "pg_catalog.count(*)");
}

static void
read_column_exists(Test *test)
{
	set_rule(test, contract_rule("has_columns", "columns", columns_json(test), NULL));
	test->item->about_table = true;
}

#define AGGREGATE(function, expression)                        \
	static void function(Test *test)                           \
	{                                                          \
		read_aggregate(test, psprintf(expression, test->sql)); \
	}

AGGREGATE(read_min, "pg_catalog.min(%s)")
AGGREGATE(read_max, "pg_catalog.max(%s)")
AGGREGATE(read_mean, "pg_catalog.avg(%s)")
AGGREGATE(read_sum, "pg_catalog.sum(%s)")
AGGREGATE(read_stdev, "pg_catalog.stddev(%s)")
AGGREGATE(read_median, "pg_catalog.percentile_cont(0.5) WITHIN GROUP (ORDER BY %s)")
AGGREGATE(read_distinct_count, "pg_catalog.count(DISTINCT %s)")

static const struct
{
	const char *package; /* NULL: dbt itself */
	const char *name;
	bool of_column;
	void (*read)(Test *test);
} tests[] = {
	{NULL, "not_null", true, read_not_null},
	{NULL, "unique", true, read_unique},
	{NULL, "accepted_values", true, read_accepted_values},
	{NULL, "relationships", true, read_relationships},
	{"dbt_utils", "expression_is_true", false, read_expression},
	{"dbt_utils", "accepted_range", true, read_accepted_range},
	{"dbt_utils", "not_accepted_values", true, read_rejected_values},
	{"dbt_utils", "unique_combination_of_columns", false, read_unique_combination},
	{"dbt_utils", "not_empty_string", true, read_not_empty},
	{"dbt_utils", "not_constant", true, read_not_constant},
	{"dbt_utils", "at_least_one", true, read_at_least_one},
	{"dbt_utils", "not_null_proportion", true, read_not_null_share},
	{"dbt_utils", "relationships_where", true, read_relationships},
	{"dbt_utils", "recency", false, read_recency},
	{"dbt_utils", "equal_rowcount", false, read_equal_rowcount},
	{"dbt_expectations", "expect_column_values_to_not_be_null", true, read_not_null},
	{"dbt_expectations", "expect_column_values_to_be_null", true, read_be_null},
	{"dbt_expectations", "expect_column_values_to_be_unique", true, read_unique},
	{"dbt_expectations", "expect_column_values_to_be_in_set", true, read_in_set},
	{"dbt_expectations", "expect_column_values_to_not_be_in_set", true, read_not_in_set},
	{"dbt_expectations", "expect_column_values_to_be_between", true, read_between},
	{"dbt_expectations", "expect_column_values_to_match_regex", true, read_regex},
	{"dbt_expectations", "expect_column_values_to_not_match_regex", true, read_not_regex},
	{"dbt_expectations", "expect_column_value_lengths_to_be_between", true, read_length},
	{"dbt_expectations", "expect_compound_columns_to_be_unique", false, read_unique_combination},
	{"dbt_expectations", "expect_table_row_count_to_be_between", false, read_row_count},
	{"dbt_expectations", "expect_table_row_count_to_equal_other_table", false, read_equal_rowcount},
	{"dbt_expectations", "expect_column_to_exist", true, read_column_exists},
	{"dbt_expectations", "expect_column_min_to_be_between", true, read_min},
	{"dbt_expectations", "expect_column_max_to_be_between", true, read_max},
	{"dbt_expectations", "expect_column_mean_to_be_between", true, read_mean},
	{"dbt_expectations", "expect_column_sum_to_be_between", true, read_sum},
	{"dbt_expectations", "expect_column_stdev_to_be_between", true, read_stdev},
	{"dbt_expectations", "expect_column_median_to_be_between", true, read_median},
	{"dbt_expectations",
	 "expect_column_unique_value_count_to_be_between",
	 true,
	 read_distinct_count},
};

/* ---- configuration ---- */

/* A condition such as '> 10' as the bound within which the test is good. */
static bool
take_condition(const char *condition, Bound *bound)
{
	static const struct
	{
		const char *sign;
		BoundOperator good;
	} signs[] = {{"!=", BOUND_EQUAL},
				 {"<>", BOUND_EQUAL},
				 {">=", BOUND_LESS},
				 {">", BOUND_LESS_EQUAL}};

	condition += strspn(condition, " ");
	for (size_t i = 0; i < lengthof(signs); i++)
	{
		size_t length = strlen(signs[i].sign);
		const char *number = condition + length;

		if (strncmp(condition, signs[i].sign, length) != 0)
			continue;
		number += strspn(number, " ");
		bound->op = signs[i].good;
		bound->low = pnstrdup(number, strspn(number, "0123456789"));
		number += strspn(number, "0123456789");
		return bound->low[0] != '\0' && number[strspn(number, " ")] == '\0';
	}
	return false;
}

/* Is the condition there, and another one than "any row"? */
static bool
tolerates(const char *condition)
{
	Bound bound;

	return condition != NULL &&
		   !(take_condition(condition, &bound) &&
			 (bound.op == BOUND_LESS ? strcmp(bound.low, "1") == 0 : strcmp(bound.low, "0") == 0));
}

static void
take_severity(Test *test)
{
	char *severity = json_member_text(test->config, "severity");
	char *warn_if = json_member_text(test->config, "warn_if");
	char *error_if = json_member_text(test->config, "error_if");
	bool warn = severity != NULL && pg_strcasecmp(severity, "warn") == 0;
	char *condition = warn ? warn_if : error_if;
	bool counted = tolerates(condition);
	Bound bound = {BOUND_EQUAL, "0"};

	if (counted && (!take_condition(condition, &bound) || test->item->about_table))
	{
		contract_refuse(test->item, "depipe has no threshold for the condition %s", condition);
		return;
	}
	contract_tolerate(test->item, &bound, false, warn);
	if (warn || !counted)
		return;
	bound = (Bound){BOUND_EQUAL, "0"};
	if (tolerates(warn_if) && !take_condition(warn_if, &bound))
		contract_remark(test->item, psprintf("without warn_if %s", warn_if));
	else
		contract_argument(test->item,
						  "warn_if",
						  psprintf("%s %s", bound.op == BOUND_LESS ? ">=" : ">", bound.low));
}

static void
take_config(Test *test)
{
	char *where = json_member_text(test->config, "where");
	char *fail_calc = json_member_text(test->config, "fail_calc");
	Json *enabled = json_member(test->config, "enabled");

	if (where != NULL && strstr(where, "{{") != NULL)
		contract_refuse(test->item, "where is not compiled: %s", where);
	else if (fail_calc != NULL && strcmp(fail_calc, "count(*)") != 0)
		contract_refuse(test->item, "depipe has no fail_calc: %s", fail_calc);
	else if (json_given(enabled) && !json_is_true(enabled))
		contract_refuse(test->item, "it is not enabled");
	else if (json_given(json_member(test->kwargs, "row_condition")))
		contract_argument(test->item, "filter", keyword_text(test, "row_condition"));
	else if (json_given(json_member(test->kwargs, "group_by_columns")) ||
			 json_given(json_member(test->kwargs, "group_by")))
		contract_refuse(test->item, "depipe has no checks for each group");
	contract_argument(test->item, "filter", where);
	if (test->item->rule != NULL)
		take_severity(test);
}

/* ---- nodes ---- */

static void
read_generic(Test *test, const Json *metadata)
{
	char *name = json_member_text(metadata, "name");
	char *package = json_member_text(metadata, "namespace");

	contract_refuse(test->item,
					"depipe has no check for %s%s%s",
					package != NULL ? package : "",
					package != NULL ? "." : "",
					name != NULL ? name : "a test without a name");
	for (size_t i = 0; name != NULL && i < lengthof(tests); i++)
	{
		if (strcmp(tests[i].name, name) != 0 || !same_text(tests[i].package, package))
			continue;
		test->item->reason = NULL;
		if (tests[i].of_column && test->written == NULL)
			contract_refuse(test->item, "it names no column");
		else
			tests[i].read(test);
	}
	if (test->item->rule != NULL)
		take_config(test);
}

/* A test that is a query: the rows that it returns are the violations. */
static void
read_singular(Test *test)
{
	char *query = json_member_text(test->node, "compiled_code");

	if (query == NULL)
		query = json_member_text(test->node, "compiled_sql");
	if (query == NULL)
		contract_refuse(test->item, "its query is not compiled: run dbt compile");
	else
		set_rule(test, contract_rule("no_rows", "query", json_string(query), NULL));
	test->item->about_table = true;
	if (test->item->rule != NULL)
		take_config(test);
}

static void
read_test(Contract *contract, Json *node)
{
	Test test = {contract, NULL, node};
	Json *metadata = json_member(node, "test_metadata");

	test.config = json_member(node, "config");
	test.kwargs = json_member(metadata, "kwargs");
	test.item = contract_item(contract, node, table_of(contract, attached_node(&test)));
	if (test.item->target == NULL)
	{
		contract_refuse(test.item, "the table that it is about is not in the manifest");
		return;
	}
	test.written = json_member_text(test.kwargs, "column_name");
	if (test.written == NULL)
		test.written = json_member_text(node, "column_name");
	if (test.written != NULL)
	{
		bool plain = contract_is_name(test.written);

		test.column = plain ? contract_column(test.written) : test.written;
		test.sql = plain ? sql_identifier(test.column) : psprintf("(%s)", test.written);
	}
	if (json_is_object(metadata))
		read_generic(&test, metadata);
	else
		read_singular(&test);
	if (test.item->rule != NULL)
	{
		char *name = json_member_text(node, "name");

		contract_argument(test.item,
						  "name",
						  name == NULL || strlen(name) < NAMEDATALEN ? name : NULL);
		if (json_member_text(node, "description") != NULL &&
			json_member_text(node, "description")[0] != '\0')
			contract_argument(test.item, "description", json_member_text(node, "description"));
	}
}

static bool
recognise_dbt(const Json *root)
{
	return json_is_object(json_member(root, "nodes")) &&
		   json_is_object(json_member(root, "metadata"));
}

static void
read_dbt(Contract *contract)
{
	Json *nodes = json_member(contract->root, "nodes");
	ListCell *cell;

	if (!json_is_object(nodes))
		json_refuse(nodes, "an object");
	foreach(cell, json_members(nodes))
	{
		char *type = json_member_text(lfirst(cell), "resource_type");

		if (!json_is_object(lfirst(cell)))
			json_refuse(lfirst(cell), "an object");
		if (type != NULL && strcmp(type, "test") == 0)
			read_test(contract, lfirst(cell));
	}
}

const ContractFormat contract_dbt = {
	.name = "dbt",
	.lenient = true,
	.recognise = recognise_dbt,
	.read = read_dbt,
};
