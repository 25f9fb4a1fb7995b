/*-------------------------------------------------------------------------
 *
 * check_kinds.c
 *		The table of the kinds of checks, and the shape of rules.
 *
 * A rule is validated against the descriptions of its kind's arguments before
 * any other use.  Afterwards every required argument is present, and each has
 * its type.
 *
 *-------------------------------------------------------------------------
 */
#include "quality/check_kinds.h"

#include "core/sqltext.h"
#include "quality/change_checks.h"
#include "quality/compare.h"
#include "quality/compile_row.h"
#include "quality/freshness.h"
#include "quality/keys.h"
#include "quality/periods.h"
#include "quality/schema_checks.h"
#include "quality/sequences.h"
#include "quality/value_sets.h"
#include "utils/numeric.h"

#define MAY(action) (1u << (action))
#define MAY_BLOCK (MAY(ACTION_WARN) | MAY(ACTION_REJECT) | MAY(ACTION_BREAK))
#define MAY_ALL (MAY_BLOCK | MAY(ACTION_QUARANTINE))

/*
 * satisfies belongs to the family of rows.  What an aggregate may not do
 * (quarantine) is refused when it is compiled.
 */
const CheckKind check_kinds[] = {
	{
		.name = "satisfies",
		.family = FAMILY_ROW,
		.policies = MAY_ALL,
		.default_policy = ACTION_BREAK,
		.arguments = {{"expression", ARGUMENT_TEXT, true, NULL}},
		.compile = compile_satisfies,
	},
	{
		.name = "not_null",
		.family = FAMILY_ROW,
		.policies = MAY_ALL,
		.default_policy = ACTION_BREAK,
		.arguments = {{"columns", ARGUMENT_COLUMNS, true, "column_name"}},
		.compile = compile_not_null,
	},
	{
		.name = "accepted_values",
		.family = FAMILY_ROW,
		.policies = MAY_ALL,
		.default_policy = ACTION_BREAK,
		.arguments = {{"column_name", ARGUMENT_TEXT, true, NULL},
					  {"accepted", ARGUMENT_VALUES, true, NULL}},
		.compile = compile_accepted_values,
	},
	{
		.name = "rejected_values",
		.family = FAMILY_ROW,
		.policies = MAY_ALL,
		.default_policy = ACTION_BREAK,
		.arguments = {{"column_name", ARGUMENT_TEXT, true, NULL},
					  {"rejected", ARGUMENT_VALUES, true, NULL}},
		.compile = compile_rejected_values,
	},
	{
		.name = "in_range",
		.family = FAMILY_ROW,
		.policies = MAY_ALL,
		.default_policy = ACTION_BREAK,
		.arguments = {{"column_name", ARGUMENT_TEXT, true, NULL},
					  {"minimum", ARGUMENT_VALUE, false, NULL},
					  {"maximum", ARGUMENT_VALUE, false, NULL},
					  {"strict", ARGUMENT_BOOLEAN, false, NULL}},
		.validate = validate_bounds,
		.compile = compile_in_range,
	},
	{
		.name = "matches",
		.family = FAMILY_ROW,
		.policies = MAY_ALL,
		.default_policy = ACTION_BREAK,
		.arguments = {{"column_name", ARGUMENT_TEXT, true, NULL},
					  {"pattern", ARGUMENT_TEXT, true, NULL}},
		.validate = validate_matches,
		.compile = compile_matches,
	},
	{
		.name = "has_length",
		.family = FAMILY_ROW,
		.policies = MAY_ALL,
		.default_policy = ACTION_BREAK,
		.arguments = {{"column_name", ARGUMENT_TEXT, true, NULL},
					  {"minimum", ARGUMENT_COUNT, false, NULL},
					  {"maximum", ARGUMENT_COUNT, false, NULL}},
		.validate = validate_count_bounds,
		.compile = compile_has_length,
	},
	{
		.name = "parses_as",
		.family = FAMILY_ROW,
		.policies = MAY_ALL,
		.default_policy = ACTION_BREAK,
		.arguments = {{"column_name", ARGUMENT_TEXT, true, NULL},
					  {"type_name", ARGUMENT_TEXT, true, NULL}},
		.compile = compile_parses_as,
	},
	{
		.name = "unique",
		.family = FAMILY_ROWS,
		.policies = MAY_BLOCK,
		.default_policy = ACTION_BREAK,
		.arguments = {{"columns", ARGUMENT_COLUMNS, true, "column_name"},
					  {"nulls_equal", ARGUMENT_BOOLEAN, false, NULL}},
		.compile = compile_unique,
		.evaluate = evaluate_unique,
		.failing = failing_unique,
	},
	{
		.name = "relationships",
		.family = FAMILY_ROWS,
		.policies = MAY_ALL,
		.default_policy = ACTION_BREAK,
		.arguments = {{"columns", ARGUMENT_COLUMNS, true, "column_name"},
					  {"reference", ARGUMENT_TABLE, true, NULL},
					  {"reference_columns", ARGUMENT_COLUMNS, true, NULL},
					  {"reference_filter", ARGUMENT_TEXT, false, NULL}},
		.validate = validate_relationships,
		.compile = compile_relationships,
		.failing = failing_relationships,
		.has_keys = true,
	},
	{
		.name = "row_count",
		.family = FAMILY_AGGREGATE,
		.policies = MAY_BLOCK,
		.default_policy = ACTION_BREAK,
		.arguments = {{"minimum", ARGUMENT_COUNT, false, NULL},
					  {"maximum", ARGUMENT_COUNT, false, NULL}},
		.validate = validate_count_bounds,
		.compile = compile_row_count,
	},
	{
		.name = "metric",
		.family = FAMILY_AGGREGATE,
		.policies = MAY_BLOCK,
		.default_policy = ACTION_BREAK,
		.arguments = {{"expression", ARGUMENT_TEXT, true, NULL},
					  {"minimum", ARGUMENT_VALUE, false, NULL},
					  {"maximum", ARGUMENT_VALUE, false, NULL}},
		.validate = validate_bounds,
		.compile = compile_metric,
	},
	{
		.name = "distinct_values",
		.family = FAMILY_AGGREGATE,
		.policies = MAY_BLOCK,
		.default_policy = ACTION_BREAK,
		.arguments = {{"column_name", ARGUMENT_TEXT, true, NULL},
					  {"accepted", ARGUMENT_VALUES, false, NULL},
					  {"contains", ARGUMENT_VALUES, false, NULL},
					  {"equals", ARGUMENT_VALUES, false, NULL}},
		.validate = validate_distinct_values,
		.compile = compile_distinct_values,
		.evaluate = evaluate_distinct_values,
		.failing = failing_distinct_values,
	},
	{
		.name = "transition",
		.family = FAMILY_CHANGE,
		.policies = MAY_BLOCK,
		.default_policy = ACTION_BREAK,
		.arguments = {{"expression", ARGUMENT_TEXT, true, NULL}},
		.compile = compile_transition,
		.evaluate = evaluate_transition,
	},
	{
		.name = "change_limit",
		.family = FAMILY_CHANGE,
		.policies = MAY_BLOCK,
		.default_policy = ACTION_BREAK,
		.arguments = {{"inserts", ARGUMENT_TEXT, false, NULL},
					  {"updates", ARGUMENT_TEXT, false, NULL},
					  {"deletes", ARGUMENT_TEXT, false, NULL}},
		.validate = validate_change_limit,
		.compile = compile_change_limit,
		.evaluate = evaluate_change_limit,
	},
	{
		.name = "has_columns",
		.family = FAMILY_SCHEMA,
		.policies = MAY_BLOCK,
		.default_policy = ACTION_BREAK,
		.arguments = {{"columns", ARGUMENT_COLUMNS, true, NULL},
					  {"types", ARGUMENT_TEXTS, false, NULL},
					  {"exact", ARGUMENT_BOOLEAN, false, NULL}},
		.validate = validate_has_columns,
		.compile = compile_has_columns,
		.evaluate = evaluate_has_columns,
	},
	{
		.name = "schema_unchanged",
		.family = FAMILY_SCHEMA,
		.policies = MAY_BLOCK,
		.default_policy = ACTION_BREAK,
		.arguments = {{NULL}},
		.compile = compile_schema_unchanged,
		.evaluate = evaluate_schema_unchanged,
		.remembers = true,
	},
	{
		.name = "same_count",
		.family = FAMILY_CROSS_TABLE,
		.policies = MAY_BLOCK,
		.default_policy = ACTION_BREAK,
		.arguments = {{"reference", ARGUMENT_TABLE, true, NULL},
					  {"tolerance", ARGUMENT_TEXT, false, NULL}},
		.validate = validate_tolerance,
		.compile = compile_same_count,
		.evaluate = evaluate_same_count,
	},
	{
		.name = "same_metric",
		.family = FAMILY_CROSS_TABLE,
		.policies = MAY_BLOCK,
		.default_policy = ACTION_BREAK,
		.arguments = {{"expression", ARGUMENT_TEXT, true, NULL},
					  {"reference", ARGUMENT_TABLE, true, NULL},
					  {"tolerance", ARGUMENT_TEXT, false, NULL}},
		.validate = validate_tolerance,
		.compile = compile_same_metric,
		.evaluate = evaluate_same_metric,
	},
	{
		.name = "same_rows",
		.family = FAMILY_CROSS_TABLE,
		.policies = MAY_BLOCK,
		.default_policy = ACTION_BREAK,
		.arguments = {{"reference", ARGUMENT_TABLE, false, NULL},
					  {"query", ARGUMENT_TEXT, false, NULL},
					  {"columns", ARGUMENT_COLUMNS, false, NULL},
					  {"tolerance", ARGUMENT_TEXT, false, NULL}},
		.validate = validate_same_rows,
		.compile = compile_same_rows,
		.evaluate = evaluate_same_rows,
	},
	{
		.name = "no_rows",
		.family = FAMILY_CROSS_TABLE,
		.policies = MAY_BLOCK,
		.default_policy = ACTION_BREAK,
		.arguments = {{"query", ARGUMENT_TEXT, true, NULL}},
		.compile = compile_no_rows,
		.evaluate = evaluate_no_rows,
		.rows = rows_no_rows,
		.of_table = true,
		.uncounted = true,
	},
	{
		.name = "no_gaps",
		.family = FAMILY_ROWS,
		.policies = MAY_BLOCK,
		.default_policy = ACTION_BREAK,
		.arguments = {{"column_name", ARGUMENT_TEXT, true, NULL},
					  {"step", ARGUMENT_TEXT, true, NULL},
					  {"partition_by", ARGUMENT_COLUMNS, false, NULL}},
		.compile = compile_no_gaps,
		.evaluate = evaluate_no_gaps,
		.failing = failing_no_gaps,
		.of_table = true,
	},
	{
		.name = "no_overlap",
		.family = FAMILY_ROWS,
		.policies = MAY_BLOCK,
		.default_policy = ACTION_BREAK,
		.arguments = {{"lower_column", ARGUMENT_TEXT, true, NULL},
					  {"upper_column", ARGUMENT_TEXT, true, NULL},
					  {"partition_by", ARGUMENT_COLUMNS, false, NULL}},
		.compile = compile_no_overlap,
		.evaluate = evaluate_no_overlap,
		.failing = failing_no_overlap,
		.of_table = true,
	},
	{
		.name = "every_period",
		.family = FAMILY_TIME,
		.policies = MAY(ACTION_WARN),
		.default_policy = ACTION_WARN,
		.arguments = {{"column_name", ARGUMENT_TEXT, true, NULL},
					  {"step", ARGUMENT_INTERVAL, true, NULL},
					  {"since", ARGUMENT_TEXT, false, NULL}},
		.validate = validate_every_period,
		.compile = compile_every_period,
		.evaluate = evaluate_every_period,
	},
	{
		.name = "arrived_by",
		.family = FAMILY_TIME,
		.policies = MAY(ACTION_WARN),
		.default_policy = ACTION_WARN,
		.arguments = {{"due_time", ARGUMENT_TEXT, true, NULL},
					  {"column_name", ARGUMENT_TEXT, true, NULL}},
		.validate = validate_arrived_by,
		.compile = compile_arrived_by,
		.evaluate = evaluate_arrived_by,
	},
	{
		.name = "freshness",
		.family = FAMILY_TIME,
		.policies = MAY(ACTION_WARN),
		.default_policy = ACTION_WARN,
		.arguments = {{"column_name", ARGUMENT_TEXT, true, NULL},
					  {"max_age", ARGUMENT_INTERVAL, true, NULL}},
		.validate = validate_freshness,
		.compile = compile_freshness,
		.evaluate = evaluate_freshness,
	},
	{.name = NULL},
};

/* ---- shape ---- */

static const CheckKind *
find_kind(const char *name)
{
	for (const CheckKind *kind = check_kinds; kind->name != NULL; kind++)
		if (strcmp(kind->name, name) == 0)
			return kind;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("there is no kind of check called \"%s\"", name),
			 errhint("Use a constructor such as depipe.not_null(column) or"
					 " depipe.satisfies(expression).")));
}

static void
wrong_type(const CheckKind *kind, const CheckArgument *argument, const char *expected)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		 errmsg("argument \"%s\" of check %s must be %s", argument->name, kind->name, expected)));
}

static void
null_argument(const CheckKind *kind, const CheckArgument *argument)
{
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("argument \"%s\" of check %s must not be null or contain nulls",
					argument->name,
					kind->name)));
}

static CheckValue
scalar(const CheckKind *kind, const CheckArgument *argument, const JsonbValue *value)
{
	CheckValue result = {NULL, value->type};

	if (value->type == jbvString)
		result.text = pnstrdup(value->val.string.val, value->val.string.len);
	else if (value->type == jbvNumeric)
		result.text = DatumGetCString(
			DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));
	else if (value->type == jbvBool)
		result.text = pstrdup(value->val.boolean ? "true" : "false");
	else if (value->type == jbvNull)
		null_argument(kind, argument);
	else
		wrong_type(kind, argument, "a string, a number or a boolean");
	return result;
}

static void
take_array(const CheckKind *kind, const CheckArgument *argument, JsonbContainer *array,
		   CheckGiven *given)
{
	JsonbIterator *iterator = JsonbIteratorInit(array);
	JsonbValue value;
	JsonbIteratorToken token;

	given->is_array = true;
	given->values = palloc(sizeof(CheckValue) * Max(JsonContainerSize(array), 1));
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
		if (token == WJB_ELEM)
			given->values[given->count++] = scalar(kind, argument, &value);
}

static void
take_value(const CheckKind *kind, const CheckArgument *argument, const JsonbValue *value,
		   CheckGiven *given)
{
	given->given = true;
	if (value->type == jbvBinary && JsonContainerIsArray(value->val.binary.data))
	{
		take_array(kind, argument, value->val.binary.data, given);
		return;
	}
	given->values = palloc(sizeof(CheckValue));
	given->values[0] = scalar(kind, argument, value);
	given->count = 1;
}

/* All values must be of one JSON type, and there must be at least one. */
static void
expect(const CheckKind *kind, const CheckArgument *argument, const CheckGiven *given,
	   enum jbvType type, const char *expected)
{
	for (int i = 0; i < given->count; i++)
		if (given->values[i].type != type ||
			(type == jbvString && given->values[i].text[0] == '\0'))
			wrong_type(kind, argument, expected);
}

static void
check_count(const CheckKind *kind, const CheckArgument *argument, const char *text)
{
	char *end;
	long long count;

	errno = 0;
	count = strtoll(text, &end, 10);
	if (errno != 0 || *end != '\0' || count < 0)
		wrong_type(kind, argument, "an integer that is not negative");
}

static bool
is_list(const CheckArgument *argument)
{
	return argument->type == ARGUMENT_COLUMNS || argument->type == ARGUMENT_VALUES ||
		   argument->type == ARGUMENT_TEXTS;
}

static void
check_type(const CheckKind *kind, const CheckArgument *argument, const CheckGiven *given)
{
	bool list = is_list(argument);

	if (given->is_array && !list)
		wrong_type(kind, argument, "a single value");
	if (list && argument->type != ARGUMENT_COLUMNS && !given->is_array)
		wrong_type(kind, argument, "an array");
	if (given->count == 0)
		wrong_type(kind, argument, "an array with at least one element");
	switch (argument->type)
	{
		case ARGUMENT_TEXT:
			expect(kind, argument, given, jbvString, "a string that is not empty");
			break;
		case ARGUMENT_TABLE:
			expect(kind, argument, given, jbvString, "the name of a table");
			break;
		case ARGUMENT_COLUMNS:
			expect(kind, argument, given, jbvString, "one or more column names");
			break;
		case ARGUMENT_TEXTS:
			expect(kind, argument, given, jbvString, "an array of strings that are not empty");
			break;
		case ARGUMENT_BOOLEAN:
			expect(kind, argument, given, jbvBool, "true or false");
			break;
		case ARGUMENT_COUNT:
			expect(kind, argument, given, jbvNumeric, "an integer that is not negative");
			check_count(kind, argument, given->values[0].text);
			break;
		case ARGUMENT_INTERVAL:
			expect(kind, argument, given, jbvString, "an interval");
			(void) DirectFunctionCall3(interval_in,
									   CStringGetDatum(given->values[0].text),
									   ObjectIdGetDatum(InvalidOid),
									   Int32GetDatum(-1));
			break;
		case ARGUMENT_VALUE:
		case ARGUMENT_VALUES:
			break;
	}
}

static void
refuse_twice(const CheckKind *kind, const CheckGiven *given, const CheckArgument *argument)
{
	if (given->count > MaxHeapAttributeNumber)
		ereport(ERROR,
				(errcode(ERRCODE_TOO_MANY_COLUMNS),
				 errmsg("argument \"%s\" of check %s has more than %d columns",
						argument->name,
						kind->name,
						MaxHeapAttributeNumber)));
	for (int i = 1; i < given->count; i++)
		for (int j = 0; j < i; j++)
			if (strcmp(given->values[i].text, given->values[j].text) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_COLUMN),
						 errmsg("argument \"%s\" of check %s names column \"%s\" twice",
								argument->name,
								kind->name,
								given->values[i].text)));
}

/* The canonical form of the name of a table. */
static void
qualify(CheckGiven *given)
{
	char *schema_name;
	char *table_name;

	parse_table_name(given->values[0].text, &schema_name, &table_name);
	given->values[0].text = sql_table(schema_name, table_name);
}

static void
finish_argument(CheckRule *rule, int place)
{
	const CheckArgument *argument = &rule->kind->arguments[place];
	CheckGiven *given = &rule->given[place];

	if (!given->given)
	{
		if (argument->required)
			null_argument(rule->kind, argument);
		return;
	}
	check_type(rule->kind, argument, given);
	if (argument->type == ARGUMENT_COLUMNS)
		refuse_twice(rule->kind, given, argument);
	if (argument->type == ARGUMENT_TABLE)
		qualify(given);
}

static const CheckKind *
kind_of(Jsonb *rule)
{
	JsonbValue *kind;
	JsonbValue key = {.type = jbvString};

	if (rule == NULL || !JB_ROOT_IS_OBJECT(rule))
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("a check must be a JSON object")));
	key.val.string.val = pstrdup("kind");
	key.val.string.len = strlen(key.val.string.val);
	kind = findJsonbValueFromContainer(&rule->root, JB_FOBJECT, &key);
	if (kind == NULL || kind->type != jbvString)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a check must have a string \"kind\"")));
	return find_kind(pnstrdup(kind->val.string.val, kind->val.string.len));
}

static void
take_argument(CheckRule *rule, const char *name, const JsonbValue *value)
{
	const CheckKind *kind = rule->kind;
	int place = check_argument_place(kind, name);

	if (strcmp(name, "kind") == 0)
		return;
	if (place < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("check %s has no argument \"%s\"", kind->name, name)));
	if (rule->given[place].given)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" of check %s is given twice",
						kind->arguments[place].name,
						kind->name)));
	/* null means "not given": the defaults of constructors */
	if (value->type != jbvNull)
		take_value(kind, &kind->arguments[place], value, &rule->given[place]);
}

CheckRule *
check_parse(Jsonb *json)
{
	CheckRule *rule = palloc0(sizeof(CheckRule));
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue value;
	char *name = NULL;

	rule->kind = kind_of(json);
	iterator = JsonbIteratorInit(&json->root);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			name = pnstrdup(value.val.string.val, value.val.string.len);
		else if (token == WJB_VALUE)
			take_argument(rule, name, &value);
	}
	for (int i = 0; rule->kind->arguments[i].name != NULL; i++)
		finish_argument(rule, i);
	if (rule->kind->validate != NULL)
		rule->kind->validate(rule);
	return rule;
}

CheckRule *
check_parse_text(const char *rule)
{
	return check_parse(DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(rule))));
}
