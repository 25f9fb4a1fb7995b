/*-------------------------------------------------------------------------
 *
 * volatility.c
 *		Dependence of the result of a query on anything but its inputs.
 *
 * Volatility is determined by the server's own functions.  They do not return
 * the volatile expression, so a second walk finds the first one for messages.
 *
 * Two kinds of stable expressions are treated separately.  Those that depend
 * only on settings that are stored with each definition count as immutable
 * (settled.c).  The start of the transaction changes, but its value at the last
 * refresh is known (clock.c).
 *
 *-------------------------------------------------------------------------
 */
#include "query/volatility.h"

#include "catalog/pg_proc.h"
#include "core/sqltext.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "query/settled.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"

typedef struct PartWalk
{
	bool only_volatile;
	bool beyond_clock; /* ignore the clock */
	Oid function;      /* function called by the last node checked */
	char *part;
} PartWalk;

/* ---- settings and the clock ---- */

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
 * Returns a copy for contain_mutable_functions().  Expressions that depend on
 * recorded settings only call an immutable function.  If *without_clock is
 * true, the clock is replaced by a constant.
 */
static Node *
settled(Node *node, void *without_clock)
{
	bool are_columns;

	if (node == NULL)
		return NULL;
	if (*(bool *) without_clock && volatility_is_clock(node))
		return (Node *) makeNullConst(exprType(node), -1, InvalidOid);
	if (IsA(node, Query))
		return (Node *) query_tree_mutator((Query *) node, settled, without_clock, 0);
	are_columns = IsA(node, RangeTblFunction) && columns_are_settled((RangeTblFunction *) node);
	node = expression_tree_mutator(node, settled, without_clock);
	if (are_columns)
	{
		RangeTblFunction *function = (RangeTblFunction *) node;

		function->funcexpr = node_without_settings(function->funcexpr);
		return node;
	}
	return node_is_settled(node) ? node_without_settings(node) : node;
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
		   (volatility == PROVOLATILE_STABLE && !walk->only_volatile);
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
	else if ((walk->only_volatile || !node_is_settled(node)) &&
			 check_functions_in_node(node, function_matters, walk))
		walk->part = part_name(node, walk->function);
	if (walk->part != NULL)
		return true;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, find_part, walk, 0);
	if (IsA(node, RangeTblFunction) && columns_are_settled((RangeTblFunction *) node))
		return expression_tree_walker(((RangeTblFunction *) node)->funcexpr, find_part, walk);
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
