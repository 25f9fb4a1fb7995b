/*-------------------------------------------------------------------------
 *
 * settled.c
 *		Stable expressions whose value the settings of a definition determine.
 *
 * PostgreSQL calls a function stable if it reads settings, catalogs or the
 * time.  The settings that affect values are recorded with each definition and
 * in force whenever it is evaluated (core/settings.c).  Within a transform, a
 * function that reads nothing else is as good as immutable.  These functions
 * are listed by name.  There are three kinds:
 *
 * by_settings	The function reads only its arguments and recorded settings.
 * by_texts		It also converts its arguments to text or JSON.  This is settled
 *				if the output functions of their types are.
 * casts		Casts through texts call the output function of one type and the
 *				input function of the other.
 *
 * Left out on purpose, so that they remain stable:
 *
 * -	input of dates and times: 'today' and 'now' mean the current time, and the
 *		offset of a timetz may depend on today's date
 * -	types that users create, including enums, domains as results, and composite
 *		types: their values have texts that DDL or user code determines
 * -	types whose texts contain names of objects (regclass, aclitem)
 * -	text search with the default configuration, and conversions of encodings:
 *		they read catalogs
 *
 * The database of time zones and the locales of the operating system are taken
 * as fixed, as they are by PostgreSQL's own immutable functions (AT TIME ZONE,
 * upper).  After an update of them the transform must be refreshed in full.
 *
 *-------------------------------------------------------------------------
 */
#include "query/settled.h"

#include "access/transam.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

static const Oid by_settings[] = {
	/* TimeZone: conversions */
	F_DATE_TIMESTAMPTZ,
	F_TIMESTAMPTZ_DATE,
	F_TIMESTAMPTZ_DATE_TIME,
	F_TIMESTAMP_TIMESTAMPTZ,
	F_TIMESTAMPTZ_TIMESTAMP,
	F_TIME_TIMESTAMPTZ,
	F_TIMETZ_TIMESTAMPTZ,
	F_MAKE_TIMESTAMPTZ_INT4_INT4_INT4_INT4_INT4_FLOAT8,
	F_MAKE_TIMESTAMPTZ_INT4_INT4_INT4_INT4_INT4_FLOAT8_TEXT, /* timezone_abbreviations */
	/* TimeZone: parts and arithmetic */
	F_DATE_TRUNC_TEXT_TIMESTAMPTZ,
	F_DATE_TRUNC_TEXT_TIMESTAMPTZ_TEXT,
	F_DATE_PART_TEXT_TIMESTAMPTZ,
	F_EXTRACT_TEXT_TIMESTAMPTZ,
	F_TIMESTAMPTZ_PL_INTERVAL,
	F_TIMESTAMPTZ_MI_INTERVAL,
	F_INTERVAL_PL_TIMESTAMPTZ,
	F_GENERATE_SERIES_TIMESTAMPTZ_TIMESTAMPTZ_INTERVAL,
	F_OVERLAPS_TIMESTAMPTZ_INTERVAL_TIMESTAMPTZ_INTERVAL,
	F_OVERLAPS_TIMESTAMPTZ_TIMESTAMPTZ_TIMESTAMPTZ_INTERVAL,
	F_OVERLAPS_TIMESTAMPTZ_INTERVAL_TIMESTAMPTZ_TIMESTAMPTZ,
	/* TimeZone: comparisons */
	F_DATE_LT_TIMESTAMPTZ,
	F_DATE_LE_TIMESTAMPTZ,
	F_DATE_EQ_TIMESTAMPTZ,
	F_DATE_GT_TIMESTAMPTZ,
	F_DATE_GE_TIMESTAMPTZ,
	F_DATE_NE_TIMESTAMPTZ,
	F_TIMESTAMPTZ_LT_DATE,
	F_TIMESTAMPTZ_LE_DATE,
	F_TIMESTAMPTZ_EQ_DATE,
	F_TIMESTAMPTZ_GT_DATE,
	F_TIMESTAMPTZ_GE_DATE,
	F_TIMESTAMPTZ_NE_DATE,
	F_TIMESTAMP_LT_TIMESTAMPTZ,
	F_TIMESTAMP_LE_TIMESTAMPTZ,
	F_TIMESTAMP_EQ_TIMESTAMPTZ,
	F_TIMESTAMP_GT_TIMESTAMPTZ,
	F_TIMESTAMP_GE_TIMESTAMPTZ,
	F_TIMESTAMP_NE_TIMESTAMPTZ,
	F_TIMESTAMPTZ_LT_TIMESTAMP,
	F_TIMESTAMPTZ_LE_TIMESTAMP,
	F_TIMESTAMPTZ_EQ_TIMESTAMP,
	F_TIMESTAMPTZ_GT_TIMESTAMP,
	F_TIMESTAMPTZ_GE_TIMESTAMP,
	F_TIMESTAMPTZ_NE_TIMESTAMP,
	TIME_ZONE_FUNCTIONS_COMPAT
		/* lc_time, lc_numeric, lc_monetary; TimeZone with timestamptz */
		F_TO_CHAR_TIMESTAMPTZ_TEXT,
	F_TO_CHAR_TIMESTAMP_TEXT,
	F_TO_CHAR_INTERVAL_TEXT,
	F_TO_CHAR_NUMERIC_TEXT,
	F_TO_CHAR_INT4_TEXT,
	F_TO_CHAR_INT8_TEXT,
	F_TO_CHAR_FLOAT4_TEXT,
	F_TO_CHAR_FLOAT8_TEXT,
	F_TO_NUMBER,
	F_TO_DATE,
	F_TO_TIMESTAMP_TEXT_TEXT,
	F_MONEY_INT4,
	F_MONEY_INT8,
	F_MONEY_NUMERIC,
	F_NUMERIC_MONEY,
	/* xmloption */
	F_XML,
	F_XML_IS_WELL_FORMED,
};

static const Oid by_texts[] = {F_TEXTANYCAT,
							   F_ANYTEXTCAT,
							   F_CONCAT,
							   F_CONCAT_WS,
							   F_FORMAT_TEXT,
							   F_FORMAT_TEXT_ANY, /* quote_all_identifiers */
							   F_QUOTE_LITERAL_ANYELEMENT,
							   F_QUOTE_NULLABLE_ANYELEMENT,
							   F_ARRAY_TO_STRING_ANYARRAY_TEXT,
							   F_ARRAY_TO_STRING_ANYARRAY_TEXT_TEXT,
							   F_ARRAY_TO_JSON_ANYARRAY,
							   F_ARRAY_TO_JSON_ANYARRAY_BOOL,
							   F_ROW_TO_JSON_RECORD,
							   F_ROW_TO_JSON_RECORD_BOOL,
							   F_TO_JSON,
							   F_TO_JSONB,
							   F_JSON_BUILD_ARRAY_,
							   F_JSON_BUILD_ARRAY_ANY,
							   F_JSON_BUILD_OBJECT_,
							   F_JSON_BUILD_OBJECT_ANY,
							   F_JSONB_BUILD_ARRAY_,
							   F_JSONB_BUILD_ARRAY_ANY,
							   F_JSONB_BUILD_OBJECT_,
							   F_JSONB_BUILD_OBJECT_ANY,
							   F_JSON_AGG,
							   F_JSONB_AGG,
							   F_JSON_OBJECT_AGG,
							   F_JSONB_OBJECT_AGG,
							   JSON_AGGREGATES_COMPAT};

/* Functions that convert JSON to the columns that the query lists. */
static const Oid to_columns[] = {
	F_JSON_TO_RECORD,
	F_JSON_TO_RECORDSET,
	F_JSONB_TO_RECORD,
	F_JSONB_TO_RECORDSET,
};

/* DateStyle, TimeZone, IntervalStyle, lc_monetary */
static const Oid outputs[] = {F_DATE_OUT,
							  F_TIMESTAMP_OUT,
							  F_TIMESTAMPTZ_OUT,
							  F_INTERVAL_OUT,
							  F_CASH_OUT};

/* IntervalStyle, lc_monetary, xmloption */
static const Oid inputs[] = {F_INTERVAL_IN, F_CASH_IN, F_XML_IN};

static bool
is_listed(Oid function, const Oid *list, int length)
{
	for (int i = 0; i < length; i++)
		if (list[i] == function)
			return true;
	return false;
}

/* ---- types ---- */

typedef bool (*TypeTest)(Oid type);

/* Returns whether the type contains values of another type, and tests that one. */
static bool
is_container(Oid type, TypeTest test, bool *passes)
{
	Oid inner = get_element_type(type);

	if (!OidIsValid(inner))
		inner = get_range_subtype(type);
	if (!OidIsValid(inner))
		inner = get_multirange_range(type);
	if (!OidIsValid(inner))
		return false;
	*passes = test(inner);
	return true;
}

static bool
output_is_settled(Oid type)
{
	Oid output;
	bool is_varlena;
	bool passes;

	type = getBaseType(type); /* a domain has the output function of its base type */
	if (type >= FirstNormalObjectId)
		return false;
	if (is_container(type, output_is_settled, &passes))
		return passes;
	getTypeOutputInfo(type, &output, &is_varlena);
	return func_volatile(output) == PROVOLATILE_IMMUTABLE ||
		   is_listed(output, outputs, lengthof(outputs));
}

static bool
input_is_settled(Oid type)
{
	Oid input;
	Oid io_param;
	bool passes;

	if (type >= FirstNormalObjectId)
		return false;
	if (is_container(type, input_is_settled, &passes))
		return passes;
	getTypeInputInfo(type, &input, &io_param);
	return func_volatile(input) == PROVOLATILE_IMMUTABLE ||
		   is_listed(input, inputs, lengthof(inputs));
}

/* ---- expressions ---- */

static bool texts_are_settled(const List *arguments);

static bool
text_is_settled(Node *argument)
{
	if (IsA(argument, TargetEntry)) /* of an aggregate */
		argument = (Node *) ((TargetEntry *) argument)->expr;
	if (IsA(argument, RowExpr))
		return ((RowExpr *) argument)->row_typeid == RECORDOID &&
			   texts_are_settled(((RowExpr *) argument)->args);
	return output_is_settled(exprType(argument));
}

static bool
texts_are_settled(const List *arguments)
{
	ListCell *cell;

	foreach(cell, arguments)
		if (!text_is_settled(lfirst(cell)))
			return false;
	return true;
}

static bool
function_is_settled(Oid function, const List *arguments)
{
	return func_volatile(function) == PROVOLATILE_IMMUTABLE ||
		   is_listed(function, by_settings, lengthof(by_settings)) ||
		   (is_listed(function, by_texts, lengthof(by_texts)) && texts_are_settled(arguments));
}

/* The other half of a cast may be immutable, whatever the type. */
static bool
cast_is_settled(const CoerceViaIO *cast)
{
	Oid input;
	Oid output;
	Oid io_param;
	bool is_varlena;

	getTypeInputInfo(cast->resulttype, &input, &io_param);
	getTypeOutputInfo(exprType((Node *) cast->arg), &output, &is_varlena);
	return (func_volatile(input) == PROVOLATILE_IMMUTABLE || input_is_settled(cast->resulttype)) &&
		   (func_volatile(output) == PROVOLATILE_IMMUTABLE || text_is_settled((Node *) cast->arg));
}

static bool
rows_are_settled(const RowCompareExpr *rows)
{
	ListCell *cell;

	foreach(cell, rows->opnos)
		if (!function_is_settled(get_opcode(lfirst_oid(cell)), NIL))
			return false;
	return true;
}

bool
node_is_settled(Node *node)
{
	List *arguments;

	switch (nodeTag(node))
	{
		case T_FuncExpr:
			return function_is_settled(((FuncExpr *) node)->funcid, ((FuncExpr *) node)->args);
		case T_OpExpr:
		case T_DistinctExpr: /* these have the layout of OpExpr */
		case T_NullIfExpr:
			return function_is_settled(get_opcode(((OpExpr *) node)->opno),
									   ((OpExpr *) node)->args);
		case T_ScalarArrayOpExpr:
			return function_is_settled(get_opcode(((ScalarArrayOpExpr *) node)->opno),
									   ((ScalarArrayOpExpr *) node)->args);
		case T_Aggref:
			return function_is_settled(((Aggref *) node)->aggfnoid, ((Aggref *) node)->args);
		case T_WindowFunc:
			return function_is_settled(((WindowFunc *) node)->winfnoid,
									   ((WindowFunc *) node)->args);
		case T_CoerceViaIO:
			return cast_is_settled((CoerceViaIO *) node);
		case T_RowCompareExpr:
			return rows_are_settled((RowCompareExpr *) node);
		default:
			return !json_arguments_compat(node, &arguments) || texts_are_settled(arguments);
	}
}

/* ---- without settings ---- */

static Node *
call_instead(Node *node, List *arguments)
{
	return (Node *) makeFuncExpr(F_INT4PL,
								 exprType(node),
								 arguments,
								 exprCollation(node),
								 InvalidOid,
								 COERCE_EXPLICIT_CALL);
}

static List *
immutable_operators(int count)
{
	List *operators = NIL;

	for (int i = 0; i < count; i++)
		operators = lappend_oid(operators, Int4LessOperator);
	return operators;
}

Node *
node_without_settings(Node *node)
{
	List *arguments;

	switch (nodeTag(node))
	{
		case T_FuncExpr:
			((FuncExpr *) node)->funcid = F_INT4PL;
			return node;
		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
			((OpExpr *) node)->opfuncid = F_INT4PL;
			return node;
		case T_ScalarArrayOpExpr:
			((ScalarArrayOpExpr *) node)->opfuncid = F_INT4EQ;
			return node;
		case T_Aggref:
			((Aggref *) node)->aggfnoid = F_COUNT_ANY;
			return node;
		case T_WindowFunc:
			((WindowFunc *) node)->winfnoid = F_ROW_NUMBER;
			return node;
		case T_RowCompareExpr:
			((RowCompareExpr *) node)->opnos = immutable_operators(
				list_length(((RowCompareExpr *) node)->opnos));
			return node;
		case T_CoerceViaIO:
			return call_instead(node, list_make1(((CoerceViaIO *) node)->arg));
		default:
			return json_arguments_compat(node, &arguments) ? call_instead(node, arguments) : node;
	}
}

/* ---- functions in FROM ---- */

bool
columns_are_settled(const RangeTblFunction *function)
{
	const FuncExpr *call = (const FuncExpr *) function->funcexpr;
	ListCell *cell;

	if (!IsA(call, FuncExpr) || !is_listed(call->funcid, to_columns, lengthof(to_columns)))
		return false;
	foreach(cell, function->funccoltypes)
		if (!input_is_settled(lfirst_oid(cell)))
			return false;
	return function->funccoltypes != NIL;
}
