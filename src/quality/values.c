/*-------------------------------------------------------------------------
 *
 * values.c
 *		Rules as users write them: constructors, and texts that are not
 *		rules.
 *
 * The constructors of checks are SQL functions, except accepted_values and
 * rejected_values: they take values of any type, one by one, as a VARIADIC array, or (a
 * common spelling) as an array; and distinct_values, which takes several arrays.  Values
 * are passed as JSON, so that their text does not depend on the session; the function has
 * settings for that.
 *
 *-------------------------------------------------------------------------
 */
#include "quality/values.h"

#include "catalog/pg_type.h"
#include "core/sqltext.h"
#include "nodes/makefuncs.h"
#include "quality/check.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

CHECKED_FUNCTION(depipe_accepted_values);
CHECKED_FUNCTION(depipe_rejected_values);
CHECKED_FUNCTION(depipe_distinct_values);

static void
push_text(JsonbParseState **state, JsonbIteratorToken token, const char *text)
{
	JsonbValue value = {.type = jbvString};

	value.val.string.val = pstrdup(text);
	value.val.string.len = strlen(text);
	(void) pushJsonbValue(state, token, &value);
}

/* As to_jsonb(value) has it. */
static void
push_value(JsonbParseState **state, Oid type, Datum datum, bool isnull)
{
	JsonbValue value = {.type = jbvNull};
	FmgrInfo function;
	Jsonb *json;

	if (!isnull)
	{
		fmgr_info(F_TO_JSONB, &function);
		fmgr_info_set_expr((Node *) makeFuncExpr(F_TO_JSONB,
												 JSONBOID,
												 list_make1(makeNullConst(type, -1, InvalidOid)),
												 InvalidOid,
												 InvalidOid,
												 COERCE_EXPLICIT_CALL),
						   &function);
		json = DatumGetJsonbP(FunctionCall1(&function, datum));
		if (!JsonbExtractScalar(&json->root, &value))
		{
			value.type = jbvBinary;
			value.val.binary.data = &json->root;
			value.val.binary.len = VARSIZE(json) - VARHDRSZ;
		}
	}
	(void) pushJsonbValue(state, WJB_ELEM, &value);
}

static void
push_elements(JsonbParseState **state, ArrayType *array)
{
	Oid type = ARR_ELEMTYPE(array);
	int16 length;
	bool by_value;
	char align;
	Datum *values;
	bool *nulls;
	int count;

	get_typlenbyvalalign(type, &length, &by_value, &align);
	deconstruct_array(array, type, length, by_value, align, &values, &nulls, &count);
	for (int i = 0; i < count; i++)
		push_value(state, type, values[i], nulls[i]);
}

static void
push_argument(JsonbParseState **state, FunctionCallInfo fcinfo, int number)
{
	Oid type = get_fn_expr_argtype(fcinfo->flinfo, number);
	Datum value = PG_GETARG_DATUM(number);

	if (type == UNKNOWNOID && !PG_ARGISNULL(number))
	{
		value = CStringGetTextDatum(DatumGetCString(value));
		type = TEXTOID;
	}
	push_value(state, type, value, PG_ARGISNULL(number));
}

/* A rule about a column and values, which are the argument of this name. */
static Datum
rule_of_values(FunctionCallInfo fcinfo, const char *kind, const char *argument)
{
	JsonbParseState *state = NULL;
	bool array = PG_NARGS() == 2 &&
				 OidIsValid(get_element_type(get_fn_expr_argtype(fcinfo->flinfo, 1)));
	JsonbValue *rule;

	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_text(&state, WJB_KEY, "kind");
	push_text(&state, WJB_VALUE, kind);
	if (!PG_ARGISNULL(0))
	{
		push_text(&state, WJB_KEY, "column_name");
		push_text(&state, WJB_VALUE, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	}
	if (!array || !PG_ARGISNULL(1))
	{
		push_text(&state, WJB_KEY, argument);
		(void) pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
		if (array)
			push_elements(&state, PG_GETARG_ARRAYTYPE_P(1));
		for (int i = 1; !array && i < PG_NARGS(); i++)
			push_argument(&state, fcinfo, i);
		(void) pushJsonbValue(&state, WJB_END_ARRAY, NULL);
	}
	rule = pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	PG_RETURN_JSONB_P(JsonbValueToJsonb(rule));
}

/* SQL function accepted_values(column_name, VARIADIC accepted) */
static Datum
depipe_accepted_values_checked(PG_FUNCTION_ARGS)
{
	return rule_of_values(fcinfo, "accepted_values", "accepted");
}

/* SQL function rejected_values(column_name, VARIADIC rejected) */
static Datum
depipe_rejected_values_checked(PG_FUNCTION_ARGS)
{
	return rule_of_values(fcinfo, "rejected_values", "rejected");
}

/* An argument that shall be an array; a literal is one of texts. */
static void
push_array_argument(JsonbParseState **state, FunctionCallInfo fcinfo, int number, const char *name)
{
	Oid type = get_fn_expr_argtype(fcinfo->flinfo, number);
	Datum value = PG_GETARG_DATUM(number);

	if (PG_ARGISNULL(number))
		return;
	push_text(state, WJB_KEY, name);
	if (type == UNKNOWNOID)
		value = OidInputFunctionCall(F_ARRAY_IN, DatumGetCString(value), TEXTOID, -1);
	else if (!OidIsValid(get_element_type(type)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" of check distinct_values must be an array", name)));
	(void) pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
	push_elements(state, DatumGetArrayTypeP(value));
	(void) pushJsonbValue(state, WJB_END_ARRAY, NULL);
}

/* SQL function distinct_values(column_name, accepted, contains, equals) */
static Datum
depipe_distinct_values_checked(PG_FUNCTION_ARGS)
{
	JsonbParseState *state = NULL;

	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_text(&state, WJB_KEY, "kind");
	push_text(&state, WJB_VALUE, "distinct_values");
	if (!PG_ARGISNULL(0))
	{
		push_text(&state, WJB_KEY, "column_name");
		push_text(&state, WJB_VALUE, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	}
	push_array_argument(&state, fcinfo, 1, "accepted");
	push_array_argument(&state, fcinfo, 2, "contains");
	push_array_argument(&state, fcinfo, 3, "equals");
	PG_RETURN_JSONB_P(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
}

/* ---- texts ---- */

Datum
check_from_text(char *text)
{
	const char *start = text + strspn(text, " \t\r\n");

	if (*start == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"rule\" must not be empty"),
				 errhint("Use a constructor such as depipe.not_null(column) or"
						 " depipe.satisfies(expression).")));
	if (strchr("{[\"", *start) == NULL && strcmp(start, "null") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is not a check", text),
				 errhint("Write depipe.satisfies(%s).", sql_literal(text))));
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(text));
}
