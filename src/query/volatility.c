/*-------------------------------------------------------------------------
 *
 * volatility.c
 *		Dependence of the result of a query on anything but its inputs.
 *
 * Volatility is determined by the server's own functions.  They do not return
 * the volatile expression, so a second walk finds the first one for messages.
 *
 * Two kinds of stable expressions are treated separately.  Conversions between
 * times with and without time zone depend only on the setting TimeZone, which
 * is stored with each definition (core/settings).  Within a transform their
 * results are as fixed as those of immutable functions.  The start of the
 * transaction changes, but its value at the last refresh is known (clock.c).
 *
 *-------------------------------------------------------------------------
 */
#include "query/volatility.h"

#include "catalog/pg_proc.h"
#include "core/sqltext.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"

/* Stable functions whose result depends only on their arguments and on TimeZone. */
static const Oid by_time_zone[] = {
	F_DATE_TIMESTAMPTZ,
	F_TIMESTAMPTZ_DATE,
	F_TIMESTAMP_TIMESTAMPTZ,
	F_TIMESTAMPTZ_TIMESTAMP,
	F_TIME_TIMESTAMPTZ,
	F_TIMETZ_TIMESTAMPTZ,
	F_DATE_TRUNC_TEXT_TIMESTAMPTZ,
	F_DATE_TRUNC_TEXT_TIMESTAMPTZ_TEXT,
	F_DATE_PART_TEXT_TIMESTAMPTZ,
	F_EXTRACT_TEXT_TIMESTAMPTZ,
	F_TIMESTAMPTZ_PL_INTERVAL,
	F_TIMESTAMPTZ_MI_INTERVAL,
	F_INTERVAL_PL_TIMESTAMPTZ,
	F_MAKE_TIMESTAMPTZ_INT4_INT4_INT4_INT4_INT4_FLOAT8,
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
};

typedef struct PartWalk
{
	bool only_volatile;
	bool beyond_clock; /* ignore the clock */
	Oid function;      /* function called by the last node checked */
	char *part;
} PartWalk;

/* ---- settings and the clock ---- */

static bool
is_settled(Oid function)
{
	for (int i = 0; i < lengthof(by_time_zone); i++)
		if (by_time_zone[i] == function)
			return true;
	return false;
}

bool
volatility_is_clock(const Node *node)
{
	if (node == NULL)
		return false;
	if (IsA(node, SQLValueFunction))
		return ((const SQLValueFunction *) node)->op <= SVFOP_LOCALTIMESTAMP_N;
	return IsA(node, FuncExpr) && (((const FuncExpr *) node)->funcid == F_NOW ||
								   ((const FuncExpr *) node)->funcid == F_TRANSACTION_TIMESTAMP);
}

static bool
reads_clock(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (volatility_is_clock(node))
		return true;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, reads_clock, context, 0);
	return expression_tree_walker(node, reads_clock, context);
}

/*
 * Returns a copy for contain_mutable_functions().  Functions that depend on
 * TimeZone only are replaced by an immutable function.  If *without_clock is
 * true, the clock is replaced by a constant.
 */
static Node *
settled(Node *node, void *without_clock)
{
	if (node == NULL)
		return NULL;
	if (*(bool *) without_clock && volatility_is_clock(node))
		return (Node *) makeNullConst(exprType(node), -1, InvalidOid);
	if (IsA(node, Query))
		return (Node *) query_tree_mutator((Query *) node, settled, without_clock, 0);
	node = expression_tree_mutator(node, settled, without_clock);
	if (IsA(node, FuncExpr) && is_settled(((FuncExpr *) node)->funcid))
		((FuncExpr *) node)->funcid = F_INT4PL;
	else if (IsA(node, OpExpr))
	{
		set_opfuncid((OpExpr *) node);
		if (is_settled(((OpExpr *) node)->opfuncid))
			((OpExpr *) node)->opfuncid = F_INT4PL;
	}
	return node;
}

static bool
is_mutable(Node *node, bool without_clock)
{
	return contain_mutable_functions(settled(node, &without_clock));
}

bool
volatility_is_unsettled(Node *node)
{
	return is_mutable(node, false);
}

/* ---- volatile part, for messages ---- */

static bool
function_matters(Oid function, void *context)
{
	PartWalk *walk = context;
	char volatility = func_volatile(function);

	walk->function = function;
	return volatility == PROVOLATILE_VOLATILE ||
		   (volatility == PROVOLATILE_STABLE && !walk->only_volatile && !is_settled(function));
}

static const char *
sql_value_name(const SQLValueFunction *value)
{
	switch (value->op)
	{
		case SVFOP_CURRENT_DATE:
			return "CURRENT_DATE";
		case SVFOP_CURRENT_TIME:
		case SVFOP_CURRENT_TIME_N:
			return "CURRENT_TIME";
		case SVFOP_CURRENT_TIMESTAMP:
		case SVFOP_CURRENT_TIMESTAMP_N:
			return "CURRENT_TIMESTAMP";
		case SVFOP_LOCALTIME:
		case SVFOP_LOCALTIME_N:
			return "LOCALTIME";
		case SVFOP_LOCALTIMESTAMP:
		case SVFOP_LOCALTIMESTAMP_N:
			return "LOCALTIMESTAMP";
		case SVFOP_CURRENT_ROLE:
		case SVFOP_CURRENT_USER:
		case SVFOP_USER:
			return "CURRENT_USER";
		case SVFOP_SESSION_USER:
			return "SESSION_USER";
		case SVFOP_CURRENT_CATALOG:
			return "CURRENT_CATALOG";
		case SVFOP_CURRENT_SCHEMA:
			return "CURRENT_SCHEMA";
	}
	return "a value of the session";
}

static char *
cast_name(Node *argument, Oid type)
{
	return psprintf("casts %s to %s", format_type_be(exprType(argument)), format_type_be(type));
}

/* Describe the node as the user wrote it: as a cast, an operator or a function. */
static char *
part_name(Node *node, Oid function)
{
	if (IsA(node, CoerceViaIO))
		return cast_name((Node *) ((CoerceViaIO *) node)->arg, exprType(node));
	if (IsA(node, FuncExpr) && ((FuncExpr *) node)->funcformat != COERCE_EXPLICIT_CALL &&
		((FuncExpr *) node)->args != NIL)
		return cast_name(linitial(((FuncExpr *) node)->args), exprType(node));
	if (IsA(node, OpExpr))
		return psprintf("uses operator %s", format_operator(((OpExpr *) node)->opno));
	return psprintf("calls %s", format_procedure(function));
}

static bool
find_part(Node *node, void *context)
{
	PartWalk *walk = context;

	if (node == NULL)
		return false;
	if (walk->beyond_clock && volatility_is_clock(node))
		return false;
	if (IsA(node, SQLValueFunction) && !walk->only_volatile)
		walk->part = psprintf("uses %s", sql_value_name((SQLValueFunction *) node));
	else if (check_functions_in_node(node, function_matters, walk))
		walk->part = part_name(node, walk->function);
	if (walk->part != NULL)
		return true;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, find_part, walk, 0);
	return expression_tree_walker(node, find_part, walk);
}

static char *
name_part(Query *query, bool only_volatile, bool beyond_clock, Oid view)
{
	PartWalk walk = {.only_volatile = only_volatile, .beyond_clock = beyond_clock};
	const char *part;

	(void) find_part((Node *) query, &walk);
	/* some expressions that depend on settings call no function */
	part = walk.part == NULL ? "has an expression" : walk.part;
	return OidIsValid(view) ? psprintf("%s in view %s", part, sql_relation(view)) : pstrdup(part);
}

/* ---- queries ---- */

static void
add_stable(Volatility *volatility, Query *query, Oid view)
{
	bool beyond_clock = is_mutable((Node *) query, true);

	volatility->reads_clock |= reads_clock((Node *) query, NULL);
	/* prefer a part other than the clock */
	if (!volatility->is_stable || (beyond_clock && !volatility->beyond_clock))
		volatility->stable_part = name_part(query, false, beyond_clock, view);
	volatility->is_stable = true;
	volatility->beyond_clock |= beyond_clock;
}

void
volatility_add(Volatility *volatility, Query *query, Oid view)
{
	if (!volatility->is_volatile && contain_volatile_functions((Node *) query))
	{
		volatility->is_volatile = true;
		volatility->volatile_part = name_part(query, true, false, view);
	}
	if (is_mutable((Node *) query, false))
		add_stable(volatility, query, view);
}

void
volatility_add_part(Volatility *volatility, const char *part, Oid view)
{
	if (volatility->is_volatile)
		return;
	volatility->is_volatile = true;
	volatility->volatile_part = OidIsValid(view)
									? psprintf("%s in view %s", part, sql_relation(view))
									: pstrdup(part);
}

/* ---- messages ---- */

char *
volatility_why_volatile(const Volatility *volatility)
{
	return psprintf("The query %s, whose result may differ at each evaluation",
					volatility->volatile_part);
}

char *
volatility_why_stable(const Volatility *volatility)
{
	return psprintf("The query %s, whose result may differ between transactions",
					volatility->stable_part);
}
