/*-------------------------------------------------------------------------
 *
 * compile_row.c
 *		Checks that become one expression, about a row or an aggregate.
 *
 * satisfies is the user's own expression.  The others are built from checked
 * parts (quoted names, literals cast to the type of the column, the operators
 * of that type's default btree operator class) and then analysed in the same
 * way, so that they are stored in the same qualified form.
 *
 * NULL is the result for a NULL column: the policy on_null decides.
 *
 *-------------------------------------------------------------------------
 */
#include "quality/compile_row.h"

#include "access/htup_details.h"
#include "access/stratnum.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_operator.h"
#include "core/sqltext.h"
#include "parser/parse_coerce.h"
#include "parser/parse_type.h"
#include "quality/expression.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

static void
take_expression(CompiledCheck *check, Expression *expression)
{
	check->expression = expression->sql;
	check->is_aggregate = expression->is_aggregate;
	check->metric = expression->metric;
	check->columns = expression->columns;
}

static void
analyse_built(CompiledCheck *check, Relation rel, const char *text)
{
	take_expression(check, expression_analyse(rel, text, "expression", true));
}

/* ---- satisfies, not_null ---- */

void
compile_satisfies(const CheckRule *rule, Relation rel, CompiledCheck *check)
{
	analyse_built(check, rel, check_text(rule, "expression"));
	if (check->is_aggregate)
		check->family = FAMILY_AGGREGATE;
}

void
compile_not_null(const CheckRule *rule, Relation rel, CompiledCheck *check)
{
	StringInfoData text;
	ListCell *cell;

	initStringInfo(&text);
	foreach(cell, check_texts(rule, "columns"))
	{
		Form_pg_attribute att = check_column(rel, lfirst(cell));

		/* IS DISTINCT FROM NULL, because IS NULL of a composite examines its fields */
		appendStringInfo(&text,
						 "%s%s IS DISTINCT FROM NULL",
						 text.len > 0 ? " AND " : "",
						 sql_identifier(NameStr(att->attname)));
	}
	analyse_built(check, rel, text.data);
}

/* ---- values of the column's type ---- */

typedef struct ValueContext
{
	const char *column_name;
	const char *argument;
} ValueContext;

static void
show_value(void *arg)
{
	ValueContext *context = arg;

	if (context->column_name == NULL)
		errcontext("argument \"%s\" of a check", context->argument);
	else
		errcontext("argument \"%s\" of a check of column \"%s\"",
				   context->argument,
				   context->column_name);
}

static bool
is_integer_type(Oid type)
{
	return type == INT2OID || type == INT4OID || type == INT8OID;
}

/* Does a JSON number fit an integer column? Otherwise it is compared as numeric. */
static bool
fits(const CheckValue *value, Oid type)
{
	int64 limit = type == INT2OID ? PG_INT16_MAX : type == INT4OID ? PG_INT32_MAX : PG_INT64_MAX;
	char *end;
	long long number;

	if (value->type != jbvNumeric || !is_integer_type(type))
		return true;
	errno = 0;
	number = strtoll(value->text, &end, 10);
	return errno == 0 && *end == '\0' && number <= limit && number >= -limit - 1;
}

Oid
check_comparison_type(Oid type, const CheckGiven *given, Oid before)
{
	for (int i = 0; i < given->count; i++)
		if (!fits(&given->values[i], type))
			return NUMERICOID;
	return OidIsValid(before) ? before : type;
}

/*
 * The value in the type.  Its input function runs here, so that a value that
 * does not cast is an error of the definition; it runs without a type modifier,
 * which could truncate the value.
 */
Datum
check_value(const char *column_name, const char *argument, const CheckValue *value, Oid type)
{
	ValueContext context = {column_name, argument};
	ErrorContextCallback callback = {error_context_stack, show_value, &context};
	Oid input;
	Oid parameter;
	Datum result;

	error_context_stack = &callback;
	getTypeInputInfo(type, &input, &parameter);
	result = OidInputFunctionCall(input, value->text, parameter, -1);
	error_context_stack = callback.previous;
	return result;
}

static Oid
comparison_type(Form_pg_attribute att, const CheckGiven *given, Oid before)
{
	return check_comparison_type(getBaseType(att->atttypid), given, before);
}

char *
check_literal(const char *column_name, const char *argument, const CheckValue *value, Oid type)
{
	(void) check_value(column_name, argument, value, type);
	return psprintf("%s::%s", sql_literal(value->text), sql_type(type, -1));
}

/*
 * The column, with a cast if it is compared in another type than its own.  A
 * domain is cast, too: an operator of somebody else's for it would match better
 * than that of its base type.
 */
static char *
column_as(Form_pg_attribute att, Oid type)
{
	const char *name = sql_identifier(NameStr(att->attname));

	if (type == att->atttypid)
		return pstrdup(name);
	return psprintf("%s::%s", name, sql_type(type, -1));
}

/*
 * "The column is one of the values given as this argument."  ANY would flatten arrays
 * of arrays: these are compared one by one.
 */
static char *
is_one_of(const CheckRule *rule, Relation rel, const char *argument)
{
	Form_pg_attribute att = check_column(rel, check_text(rule, "column_name"));
	const CheckGiven *given = check_given(rule, argument);
	Oid type = comparison_type(att, given, InvalidOid);
	bool one_by_one = OidIsValid(get_element_type(type));
	char *column = column_as(att, type);
	char *equals = check_operator(type, BTEqualStrategyNumber, NameStr(att->attname));
	StringInfoData text;

	initStringInfo(&text);
	if (!one_by_one)
		appendStringInfo(&text, "%s %s ANY (ARRAY[", column, equals);
	for (int i = 0; i < given->count; i++)
	{
		char *value = check_literal(NameStr(att->attname), argument, &given->values[i], type);

		if (i > 0)
			appendStringInfoString(&text, one_by_one ? " OR " : ", ");
		if (one_by_one)
			appendStringInfo(&text, "%s %s ", column, equals);
		appendStringInfoString(&text, value);
	}
	if (!one_by_one)
		appendStringInfoString(&text, "])");
	return text.data;
}

void
compile_accepted_values(const CheckRule *rule, Relation rel, CompiledCheck *check)
{
	analyse_built(check, rel, is_one_of(rule, rel, "accepted"));
}

void
compile_rejected_values(const CheckRule *rule, Relation rel, CompiledCheck *check)
{
	analyse_built(check, rel, psprintf("NOT (%s)", is_one_of(rule, rel, "rejected")));
}

void
validate_bounds(CheckRule *rule)
{
	if (!check_given(rule, "minimum")->given && !check_given(rule, "maximum")->given)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("check %s needs a minimum or a maximum", rule->kind->name)));
}

/* Bounds with nothing between them would hold every row. */
static void
refuse_empty_range(const CheckRule *rule, const char *column_name, Oid collation, Oid type,
				   bool strict)
{
	const CheckGiven *minimum = check_given(rule, "minimum");
	const CheckGiven *maximum = check_given(rule, "maximum");
	TypeCacheEntry *entry = lookup_type_cache(type, TYPECACHE_CMP_PROC_FINFO);
	int32 order;

	if (!minimum->given || !maximum->given || !OidIsValid(entry->cmp_proc_finfo.fn_oid))
		return;
	order = DatumGetInt32(
		FunctionCall2Coll(&entry->cmp_proc_finfo,
						  collation,
						  check_value(column_name, "minimum", &minimum->values[0], type),
						  check_value(column_name, "maximum", &maximum->values[0], type)));
	if (order > 0 || (order == 0 && strict))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("minimum of check %s must %s its maximum",
						rule->kind->name,
						strict ? "be less than" : "not be greater than"),
				 column_name == NULL ? 0
									 : errdetail("No value of column \"%s\" can lie between %s"
												 " and %s.",
												 column_name,
												 minimum->values[0].text,
												 maximum->values[0].text)));
}

static void
append_bound(StringInfo text, const CheckRule *rule, Form_pg_attribute att, Oid type,
			 const char *argument, int strategy)
{
	const CheckGiven *bound = check_given(rule, argument);

	if (!bound->given)
		return;
	appendStringInfo(text,
					 "%s%s %s %s",
					 text->len > 0 ? " AND " : "",
					 column_as(att, type),
					 check_operator(type, strategy, NameStr(att->attname)),
					 check_literal(NameStr(att->attname), argument, &bound->values[0], type));
}

void
compile_in_range(const CheckRule *rule, Relation rel, CompiledCheck *check)
{
	Form_pg_attribute att = check_column(rel, check_text(rule, "column_name"));
	bool strict = check_boolean(rule, "strict");
	Oid type = comparison_type(att, check_given(rule, "minimum"), InvalidOid);
	StringInfoData text;

	type = comparison_type(att, check_given(rule, "maximum"), type);
	refuse_empty_range(rule, NameStr(att->attname), att->attcollation, type, strict);
	initStringInfo(&text);
	append_bound(&text,
				 rule,
				 att,
				 type,
				 "minimum",
				 strict ? BTGreaterStrategyNumber : BTGreaterEqualStrategyNumber);
	append_bound(&text,
				 rule,
				 att,
				 type,
				 "maximum",
				 strict ? BTLessStrategyNumber : BTLessEqualStrategyNumber);
	analyse_built(check, rel, text.data);
}

/* ---- matches ---- */

/* Raises 2201B for a pattern that is not a regular expression. */
void
validate_matches(CheckRule *rule)
{
	(void) DirectFunctionCall2Coll(textregexeq,
								   C_COLLATION_OID,
								   CStringGetTextDatum(""),
								   CStringGetTextDatum(check_text(rule, "pattern")));
}

static char *
schema_of_type(Oid type)
{
	HeapTuple tuple = typeidType(type);
	char *schema = get_namespace_name(((Form_pg_type) GETSTRUCT(tuple))->typnamespace);

	ReleaseSysCache(tuple);
	return schema;
}

/* Regular expressions do not know nondeterministic collations. */
static const char *
collation_for_patterns(Oid collation)
{
	return OidIsValid(collation) && !get_collation_isdeterministic(collation)
			   ? " COLLATE pg_catalog.\"default\""
			   : "";
}

/* The type's own operator ~ (citext has one), otherwise that of text. */
void
compile_matches(const CheckRule *rule, Relation rel, CompiledCheck *check)
{
	Form_pg_attribute att = check_column(rel, check_text(rule, "column_name"));
	Oid type = getBaseType(att->atttypid);
	Oid text_type = TEXTOID;
	char *schema = schema_of_type(type);
	List *name = list_make2(makeString(schema), makeString(pstrdup("~")));
	const char *column = sql_identifier(NameStr(att->attname));
	const char *pattern = sql_literal(check_text(rule, "pattern"));

	if (strcmp(schema, "pg_catalog") != 0 && OidIsValid(OpernameGetOprid(name, type, type)))
	{
		analyse_built(check,
					  rel,
					  psprintf("%s OPERATOR(%s.~) %s::%s",
							   column,
							   sql_identifier(schema),
							   pattern,
							   sql_type(type, -1)));
		return;
	}
	if (!can_coerce_type(1, &type, &text_type, COERCION_IMPLICIT))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("check matches needs a text column, but \"%s\" is of type %s",
						NameStr(att->attname),
						format_type_be(att->atttypid)),
				 errhint("Use depipe.satisfies with a cast.")));
	analyse_built(check,
				  rel,
				  psprintf("%s::pg_catalog.text%s OPERATOR(pg_catalog.~) %s::pg_catalog.text",
						   column,
						   collation_for_patterns(att->attcollation),
						   pattern));
}

/* ---- has_length ---- */

static bool
is_text(Oid type)
{
	Oid text_type = TEXTOID;

	return type != UNKNOWNOID && can_coerce_type(1, &type, &text_type, COERCION_IMPLICIT);
}

/* The length of the column: the padding of char(n) does not count. */
static char *
length_of(Form_pg_attribute att)
{
	const char *column = sql_identifier(NameStr(att->attname));
	Oid type = getBaseType(att->atttypid);

	if (OidIsValid(get_element_type(type)))
		return psprintf("pg_catalog.cardinality(%s)", column);
	if (type == BYTEAOID)
		return psprintf("pg_catalog.octet_length(%s)", column);
	if (type == BITOID || type == VARBITOID)
		return psprintf("pg_catalog.length(%s)", column);
	if (is_text(type))
		return psprintf("pg_catalog.char_length(%s::%s)",
						column,
						type == BPCHAROID ? "pg_catalog.bpchar" : "pg_catalog.text");
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("values of column \"%s\" have no length", NameStr(att->attname)),
			 errdetail("It is of type %s.", format_type_be(att->atttypid)),
			 errhint("Check has_length is for texts, bytea, bit strings and arrays.")));
}

static void
append_count_bounds(StringInfo text, const CheckRule *rule, const char *count)
{
	char *minimum = check_text(rule, "minimum");
	char *maximum = check_text(rule, "maximum");

	if (minimum != NULL)
		appendStringInfo(text, "%s OPERATOR(pg_catalog.>=) %s", count, minimum);
	if (maximum != NULL)
		appendStringInfo(text,
						 "%s%s OPERATOR(pg_catalog.<=) %s",
						 text->len > 0 ? " AND " : "",
						 count,
						 maximum);
}

void
compile_has_length(const CheckRule *rule, Relation rel, CompiledCheck *check)
{
	StringInfoData text;

	initStringInfo(&text);
	append_count_bounds(&text, rule, length_of(check_column(rel, check_text(rule, "column_name"))));
	analyse_built(check, rel, text.data);
}

/* ---- parses_as ---- */

void
compile_parses_as(const CheckRule *rule, Relation rel, CompiledCheck *check)
{
	Form_pg_attribute att = check_column(rel, check_text(rule, "column_name"));
	Oid type;
	int32 modifier;

	parse_type_compat(check_text(rule, "type_name"), &type, &modifier);
	if (get_typtype(type) == TYPTYPE_PSEUDO)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("a column cannot have the type %s", format_type_be(type))));
	if (!is_text(getBaseType(att->atttypid)))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("check parses_as needs a text column, but \"%s\" is of type %s",
						NameStr(att->attname),
						format_type_be(att->atttypid)),
				 errhint("Use depipe.satisfies with a cast to text.")));
	analyse_built(check,
				  rel,
				  psprintf("depipe.parses(%s::pg_catalog.text, %s::pg_catalog.regtype, %d)",
						   sql_identifier(NameStr(att->attname)),
						   sql_literal(sql_type(type, -1)),
						   modifier));
}

/* ---- about the table ---- */

void
validate_count_bounds(CheckRule *rule)
{
	const char *kind = rule->kind->name;
	char *minimum = check_text(rule, "minimum");
	char *maximum = check_text(rule, "maximum");

	if (minimum == NULL && maximum == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("check %s needs a minimum or a maximum", kind)));
	if (minimum != NULL && maximum != NULL &&
		strtoll(minimum, NULL, 10) > strtoll(maximum, NULL, 10))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("minimum of check %s must not be greater than its maximum", kind)));
}

void
compile_row_count(const CheckRule *rule, Relation rel, CompiledCheck *check)
{
	StringInfoData text;

	initStringInfo(&text);
	append_count_bounds(&text, rule, "pg_catalog.count(*)");
	analyse_built(check, rel, text.data);
	check->metric = pstrdup("count(*)");
}

static void
append_metric_bound(StringInfo text, const CheckRule *rule, const char *metric, Oid type,
					const char *argument, int strategy)
{
	const CheckGiven *bound = check_given(rule, argument);

	if (bound->given)
		appendStringInfo(text,
						 "%s%s %s %s",
						 text->len > 0 ? " AND " : "",
						 metric,
						 check_operator(type, strategy, "the expression"),
						 check_literal(NULL, argument, &bound->values[0], type));
}

void
compile_metric(const CheckRule *rule, Relation rel, CompiledCheck *check)
{
	const char *text = check_text(rule, "expression");
	Oid own;
	Oid type;
	Expression *value = expression_analyse_value(rel, text, "expression", &own);
	char *metric = psprintf("(%s\n)", text);
	StringInfoData condition;

	if (!value->is_aggregate)
		ereport(ERROR,
				(errcode(ERRCODE_GROUPING_ERROR),
				 errmsg("expression of check metric must contain an aggregate function"),
				 errhint("Use depipe.in_range or depipe.satisfies for a condition on rows.")));
	type = check_comparison_type(getBaseType(own), check_given(rule, "minimum"), InvalidOid);
	type = check_comparison_type(getBaseType(own), check_given(rule, "maximum"), type);
	refuse_empty_range(rule, NULL, get_typcollation(type), type, false);
	if (type != own)
		metric = psprintf("%s::%s", metric, sql_type(type, -1));
	initStringInfo(&condition);
	append_metric_bound(&condition, rule, metric, type, "minimum", BTGreaterEqualStrategyNumber);
	append_metric_bound(&condition, rule, metric, type, "maximum", BTLessEqualStrategyNumber);
	analyse_built(check, rel, condition.data);
	check->metric = value->sql;
}
