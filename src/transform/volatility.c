/*-------------------------------------------------------------------------
 *
 * volatility.c
 *		Dependence of the result of a query on anything but its inputs.
 *
 * The server's own functions decide.  They do not report the expression: a
 * second walk finds the first such expression, for messages.
 *
 *-------------------------------------------------------------------------
 */
#include "transform/volatility.h"

#include "catalog/pg_proc.h"
#include "core/sqltext.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"

typedef struct PartWalk
{
	bool only_volatile;
	Oid function; /* the one that the last node calls */
	char *part;
} PartWalk;

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

/* The node as the user wrote it: a cast, an operator or a function. */
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
name_part(Query *query, bool only_volatile, Oid view)
{
	PartWalk walk = {.only_volatile = only_volatile};
	const char *part;

	(void) find_part((Node *) query, &walk);
	/* the server also knows expressions that depend on settings but call no function */
	part = walk.part == NULL ? "has an expression" : walk.part;
	return OidIsValid(view) ? psprintf("%s in view %s", part, sql_relation(view)) : pstrdup(part);
}

void
volatility_add(Volatility *volatility, Query *query, Oid view)
{
	if (!volatility->is_volatile && contain_volatile_functions((Node *) query))
	{
		volatility->is_volatile = true;
		volatility->volatile_part = name_part(query, true, view);
	}
	if (!volatility->is_stable && contain_mutable_functions((Node *) query))
	{
		volatility->is_stable = true;
		volatility->stable_part = name_part(query, false, view);
	}
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
