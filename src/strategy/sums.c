/*-------------------------------------------------------------------------
 *
 * sums.c
 *		Analysis of grouping queries whose aggregates can be maintained by
 *		addition.
 *
 * A count or sum of a group after a change is its old value plus that of the
 * signed rows of the change.  A greatest value is the greater of the old one
 * and those of added rows, unless the old one is removed.  In that case the
 * new value is unknown.  The least value is treated alike.  A sum that is NaN
 * or infinite does not tell the sum of fewer values.  A group with an unknown
 * value is computed from all its rows.  This is exact if the following
 * conditions hold:
 *
 * -	The query groups a join of tables (signed_join.c), and its aggregates are
 * 		count, sum, avg, max and min.  SELECT DISTINCT groups by all columns.
 * -	The arguments of sum and avg are integers, or numerics with a fixed number
 * 		of decimal places.  The result of floating-point addition depends on
 * 		the order.  The scale of a sum of numerics depends on its terms.
 * -	Equal values of a grouping expression, or of the argument of max and min,
 * 		have the same image.  Otherwise the change may decide which image the
 * 		result has.
 *
 * The numbers of a group are its count of rows and some numbers for each
 * argument.  A group with no rows does not exist if the query has GROUP BY.
 * The numbers of an argument are the count of its non-NULL values, their sum,
 * and the greatest and the least value.  The count is needed because a sum of
 * no values is NULL.  If the target has all numbers that are needed, the query
 * is self-contained.  Otherwise depipe stores the numbers (group_state.c).
 *
 *-------------------------------------------------------------------------
 */
#include "strategy/sums.h"

#include "access/transam.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_type.h"
#include "delta/record_image.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "parser/parsetree.h"
#include "query/passes.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"

/* ---- arguments ---- */

/* Functions that return NULL only if an argument is NULL. */
static const Oid strict_arithmetic[] = {F_INT2PL,
										F_INT2MI,
										F_INT2MUL,
										F_INT4PL,
										F_INT4MI,
										F_INT4MUL,
										F_INT8PL,
										F_INT8MI,
										F_INT8MUL,
										F_INT24PL,
										F_INT24MI,
										F_INT24MUL,
										F_INT42PL,
										F_INT42MI,
										F_INT42MUL,
										F_INT28PL,
										F_INT28MI,
										F_INT28MUL,
										F_INT82PL,
										F_INT82MI,
										F_INT82MUL,
										F_INT48PL,
										F_INT48MI,
										F_INT48MUL,
										F_INT84PL,
										F_INT84MI,
										F_INT84MUL,
										F_INT2UM,
										F_INT4UM,
										F_INT8UM,
										F_INT4_INT2,
										F_INT8_INT2,
										F_INT8_INT4,
										F_NUMERIC_INT2,
										F_NUMERIC_INT4,
										F_NUMERIC_INT8,
										F_NUMERIC_ADD,
										F_NUMERIC_SUB,
										F_NUMERIC_MUL,
										F_NUMERIC_UMINUS,
										F_NUMERIC_NUMERIC_INT4};

/* Returns the function that an expression calls, and sets *arguments, or returns InvalidOid. */
static Oid
called_function(const Node *node, List **arguments)
{
	if (IsA(node, OpExpr))
	{
		*arguments = ((OpExpr *) node)->args;
		return get_opcode(((OpExpr *) node)->opno);
	}
	if (IsA(node, FuncExpr))
	{
		*arguments = ((FuncExpr *) node)->args;
		return ((FuncExpr *) node)->funcid;
	}
	return InvalidOid;
}

static bool
never_null(const Sums *sums, const Node *node)
{
	List *arguments = NIL;
	Oid function;
	ListCell *cell;

	if (IsA(node, Var))
		return column_is_never_null(rt_fetch(((const Var *) node)->varno, sums->join.query->rtable),
									((const Var *) node)->varattno);
	if (IsA(node, Const))
		return !((const Const *) node)->constisnull;
	function = called_function(node, &arguments);
	for (int i = 0; i < lengthof(strict_arithmetic); i++)
		if (function == strict_arithmetic[i])
		{
			foreach(cell, arguments)
				if (!never_null(sums, lfirst(cell)))
					return false;
			return true;
		}
	return false;
}

/* Returns the scale of a numeric with this type modifier. */
static int
modifier_scale(int32 typmod)
{
	/* the scale is a signed 11-bit field, see numeric.c */
	int scale = (((typmod - VARHDRSZ) & 0x7ff) ^ 1024) - 1024;

	return Max(scale, 0);
}

/* Returns the scale of a constant, or -1 for NaN and infinities, which have none. */
static int
constant_scale(Numeric value)
{
	if (numeric_is_nan(value) || numeric_is_inf(value))
		return -1;
	return DatumGetInt32(DirectFunctionCall1(numeric_scale, NumericGetDatum(value)));
}

/*
 * Returns the scale common to all values of the expression, or -1 if it varies
 * or is unknown.
 */
static int
fixed_scale(const Node *node)
{
	Oid type = exprType(node);
	List *arguments = NIL;
	Oid function;
	int left;
	int right;

	if (type == INT2OID || type == INT4OID || type == INT8OID)
		return 0;
	if (type != NUMERICOID)
		return -1;
	if (IsA(node, Const) && !((const Const *) node)->constisnull)
		return constant_scale(DatumGetNumeric(((const Const *) node)->constvalue));
	if (exprTypmod(node) >= (int32) VARHDRSZ)
		return modifier_scale(exprTypmod(node));
	function = called_function(node, &arguments);
	if (function == F_NUMERIC_INT2 || function == F_NUMERIC_INT4 || function == F_NUMERIC_INT8)
		return 0;
	if (function == F_NUMERIC_UMINUS)
		return fixed_scale(linitial(arguments));
	if (function != F_NUMERIC_ADD && function != F_NUMERIC_SUB && function != F_NUMERIC_MUL)
		return -1;
	left = fixed_scale(linitial(arguments));
	right = fixed_scale(lsecond(arguments));
	if (left < 0 || right < 0)
		return -1;
	return function == F_NUMERIC_MUL ? left + right : Max(left, right);
}

/* Returns the index of the argument in sums->arguments.  Adds the argument if it is new. */
static int
argument_number(Sums *sums, Expr *expression)
{
	SumArgument *argument;
	ListCell *cell;

	foreach(cell, sums->arguments)
		if (equal(((SumArgument *) lfirst(cell))->expression, expression))
			return foreach_current_index(cell);
	argument = palloc0(sizeof(SumArgument));
	argument->expression = expression;
	argument->never_null = never_null(sums, (Node *) expression);
	argument->count_column = argument->sum_column = -1;
	argument->extreme_columns[0] = argument->extreme_columns[1] = -1;
	sums->arguments = lappend(sums->arguments, argument);
	return list_length(sums->arguments) - 1;
}

/* Returns "CASE WHEN filter THEN argument END". */
static Expr *
filtered(Expr *filter, Expr *argument)
{
	CaseExpr *expression = makeNode(CaseExpr);
	CaseWhen *when = makeNode(CaseWhen);

	when->expr = filter;
	when->result = argument;
	expression->casetype = exprType((Node *) argument);
	expression->casecollid = exprCollation((Node *) argument);
	expression->args = list_make1(when);
	expression->defresult = (Expr *) makeNullConst(expression->casetype,
												   -1,
												   expression->casecollid);
	return (Expr *) expression;
}

/* ---- aggregates ---- */

static bool
refuse(Sums *sums, const char *code, char *detail)
{
	sums->code = code;
	sums->detail = detail;
	return false;
}

static SumKind
kind_of_aggregate(Oid function)
{
	const char *name;

	switch (function)
	{
		case F_COUNT_:
		case F_COUNT_ANY:
			return SUM_COUNT;
		case F_SUM_INT2:
		case F_SUM_INT4:
		case F_SUM_INT8:
		case F_SUM_NUMERIC:
			return SUM_SUM;
		case F_AVG_INT2:
		case F_AVG_INT4:
		case F_AVG_INT8:
		case F_AVG_NUMERIC:
			return SUM_AVG;
		default:
			if (function >= FirstNormalObjectId)
				return SUM_NONE;
			name = get_func_name(function);
			return strcmp(name, "max") == 0   ? SUM_MAX
				   : strcmp(name, "min") == 0 ? SUM_MIN
											  : SUM_NONE;
	}
}

/* Checks that the aggregate can be computed exactly from the values of this argument. */
static bool
check_argument(Sums *sums, const Aggref *aggregate, SumKind kind, Node *argument)
{
	if ((kind == SUM_SUM || kind == SUM_AVG) && fixed_scale(argument) < 0)
		return refuse(sums,
					  "inexact_sum",
					  psprintf("The decimal places of the argument of %s vary.",
							   get_func_name(aggregate->aggfnoid)));
	if ((kind == SUM_MAX || kind == SUM_MIN) &&
		(exprType(argument) >= FirstNormalObjectId || exprType(argument) != aggregate->aggtype ||
		 (fixed_scale(argument) < 0 &&
		  !equal_is_same_image(exprType(argument), exprCollation(argument)))))
		return refuse(sums,
					  "inexact_extreme",
					  psprintf("Equal values of the argument of %s may look different.",
							   get_func_name(aggregate->aggfnoid)));
	return true;
}

static void
use_argument(SumArgument *argument, SumKind kind)
{
	argument->counted |= kind == SUM_COUNT || kind == SUM_SUM || kind == SUM_AVG;
	argument->summed |= kind == SUM_SUM || kind == SUM_AVG;
	argument->extremes[0] |= kind == SUM_MAX;
	argument->extremes[1] |= kind == SUM_MIN;
}

static bool
add_aggregate(Sums *sums, const Aggref *aggregate)
{
	SumAggregate *sum = palloc0(sizeof(SumAggregate));
	Expr *argument = NULL;
	ListCell *cell;

	foreach(cell, sums->aggregates)
		if (equal(((SumAggregate *) lfirst(cell))->aggregate, aggregate))
			return true;
	sum->aggregate = aggregate;
	sum->kind = kind_of_aggregate(aggregate->aggfnoid);
	sum->argument = -1;
	sums->aggregates = lappend(sums->aggregates, sum);
	if (sum->kind == SUM_NONE || aggregate->aggdistinct != NIL || aggregate->aggorder != NIL ||
		aggregate->agglevelsup > 0)
		return refuse(sums,
					  "aggregate",
					  psprintf("%s cannot be computed from its old value and the changes.",
							   get_func_name(aggregate->aggfnoid)));
	if (aggregate->args != NIL)
	{
		argument = linitial_node(TargetEntry, aggregate->args)->expr;
		if (!check_argument(sums, aggregate, sum->kind, (Node *) argument))
			return false;
	}
	else if (aggregate->aggfilter != NULL)
		argument = (Expr *) makeBoolConst(true, false);
	if (argument == NULL)
		return true;
	if (aggregate->aggfilter != NULL)
		argument = filtered(aggregate->aggfilter, argument);
	sum->argument = argument_number(sums, argument);
	use_argument(list_nth(sums->arguments, sum->argument), sum->kind);
	return true;
}

/* ---- groups ---- */

int
sums_group_of(const Sums *sums, const Node *node)
{
	ListCell *cell;

	foreach(cell, sums->groups)
		if (equal(lfirst(cell), node))
			return foreach_current_index(cell);
	return -1;
}

static bool
add_group(Sums *sums, Node *expression)
{
	if (sums_group_of(sums, expression) >= 0)
		return true;
	if (!equal_is_same_image(exprType(expression), exprCollation(expression)))
		return refuse(sums,
					  "group_image",
					  pstrdup("Equal values of a grouping expression may look different."));
	sums->groups = lappend(sums->groups, expression);
	return true;
}

static bool
add_groups(Sums *sums)
{
	const Query *query = sums->join.query;
	ListCell *cell;

	foreach(cell, query->groupClause)
		if (!add_group(sums, get_sortgroupclause_expr(lfirst(cell), query->targetList)))
			return false;
	return true;
}

/* ---- expressions of groups and aggregates ---- */

/*
 * Collects the groups and aggregates of an expression.  Returns true to stop
 * the walk if the query is refused.
 */
static bool
take_apart(Node *node, void *context)
{
	Sums *sums = context;

	if (node == NULL || sums_group_of(sums, node) >= 0)
		return false;
	if (IsA(node, Aggref))
		return !add_aggregate(sums, (Aggref *) node);
	/*
	 * functionally dependent on the groups, so its values agree within a
	 * group: add it as a group
	 */
	if (IsA(node, Var))
		return !add_group(sums, node);
	if (IsA(node, GroupingFunc))
		return !refuse(sums, "not_grouped", pstrdup("The query has GROUPING."));
	return expression_tree_walker(node, take_apart, sums);
}

static bool
add_outputs(Sums *sums)
{
	ListCell *cell;

	foreach(cell, sums->join.query->targetList)
	{
		TargetEntry *entry = lfirst(cell);

		if (entry->resjunk)
			continue;
		sums->outputs = lappend(sums->outputs, entry);
		if (take_apart((Node *) entry->expr, sums))
			return false;
	}
	sums->having = sums->join.query->havingQual;
	return !take_apart(sums->having, sums);
}

/* ---- self-contained queries ---- */

static const SumAggregate *
aggregate_of(const Sums *sums, const Node *node)
{
	ListCell *cell;

	foreach(cell, sums->aggregates)
		if (equal(((SumAggregate *) lfirst(cell))->aggregate, node))
			return lfirst(cell);
	return NULL;
}

/* Records which number a column of the result holds.  Returns false if it holds none. */
static bool
note_column(Sums *sums, int number, const Node *node)
{
	const SumAggregate *sum = aggregate_of(sums, node);
	SumArgument *argument;

	if (sum == NULL)
		return false;
	if (sum->argument < 0)
	{
		sums->rows_column = number;
		return true;
	}
	argument = list_nth(sums->arguments, sum->argument);
	if (sum->kind == SUM_COUNT)
		argument->count_column = number;
	if (sum->kind == SUM_SUM)
		argument->sum_column = number;
	if (sum->kind == SUM_MAX)
		argument->extreme_columns[0] = number;
	if (sum->kind == SUM_MIN)
		argument->extreme_columns[1] = number;
	if (sum->kind == SUM_COUNT && argument->never_null && sums->rows_column < 0)
		sums->rows_column = number;
	return true;
}

static bool
has_numbers(const SumArgument *argument)
{
	return (!sums_keeps_count(argument) || argument->count_column >= 0) &&
		   (!argument->summed || argument->sum_column >= 0) &&
		   (!argument->extremes[0] || argument->extreme_columns[0] >= 0) &&
		   (!argument->extremes[1] || argument->extreme_columns[1] >= 0);
}

static bool
is_key_column(List *key, const char *name)
{
	ListCell *cell;

	foreach(cell, key)
		if (strcmp(lfirst(cell), name) == 0)
			return true;
	return false;
}

/* Returns whether the key of the target consists of exactly the groups. */
static bool
is_keyed(Sums *sums, const Shape *shape, List *key)
{
	int ngroups = 0;
	ListCell *cell;

	sums->group_columns = palloc(sizeof(int) * Max(list_length(sums->groups), 1));
	for (int i = 0; i < list_length(sums->groups); i++)
		sums->group_columns[i] = -1;
	if (!sums->grouped)
		return false;
	foreach(cell, sums->outputs)
	{
		int number = foreach_current_index(cell);
		int group = sums_group_of(sums, (Node *) ((TargetEntry *) lfirst(cell))->expr);

		if ((group >= 0) !=
			is_key_column(key, NameStr(TupleDescAttr(shape->columns, number)->attname)))
			return false;
		if (group < 0)
			continue;
		if (sums->group_columns[group] >= 0)
			return false; /* two columns show it, and none may show another */
		sums->group_columns[group] = number;
		ngroups++;
	}
	return ngroups == list_length(sums->groups);
}

/*
 * Returns whether the target has all numbers that are needed.  Every column
 * that is not of the key must hold one number.
 */
static bool
is_self_contained(Sums *sums)
{
	ListCell *cell;

	sums->rows_column = -1;
	if (!sums->keyed || sums->having != NULL)
		return false;
	foreach(cell, sums->outputs)
	{
		const Node *node = (Node *) ((TargetEntry *) lfirst(cell))->expr;

		if (sums_group_of(sums, node) < 0 && !note_column(sums, foreach_current_index(cell), node))
			return false;
	}
	foreach(cell, sums->arguments)
		if (!has_numbers(lfirst(cell)))
			return false;
	return sums->rows_column >= 0;
}

bool
sums_keeps_count(const SumArgument *argument)
{
	return argument->counted && !argument->never_null;
}

bool
sums_have_extremes(const Sums *sums)
{
	ListCell *cell;

	foreach(cell, sums->arguments)
	{
		const SumArgument *argument = lfirst(cell);

		if (argument->extremes[0] || argument->extremes[1])
			return true;
	}
	return false;
}

bool
sums_may_be_special(const SumArgument *argument)
{
	return argument->summed && exprType((Node *) argument->expression) == NUMERICOID;
}

bool
sums_may_be_dirty(const Sums *sums)
{
	ListCell *cell;

	foreach(cell, sums->arguments)
		if (sums_may_be_special(lfirst(cell)))
			return true;
	return sums_have_extremes(sums);
}

/*
 * Returns SELECT DISTINCT as GROUP BY all columns of the result, and any other
 * query as it is.
 */
static const Query *
as_grouping(const Query *query)
{
	Query *grouping;

	if (query->distinctClause == NIL || query->hasDistinctOn || query->hasAggs ||
		query->groupClause != NIL || query->groupingSets != NIL || query->havingQual != NULL ||
		query->hasWindowFuncs)
		return query;
	grouping = copyObject((Query *) query);
	grouping->groupClause = grouping->distinctClause;
	grouping->distinctClause = NIL;
	return grouping;
}

Sums *
sums_analyse(Shape *shape, List *key)
{
	Sums *sums = palloc0(sizeof(Sums));
	const Query *query = as_grouping(shape_blocks(shape)->query);

	if ((!query->hasAggs && query->groupClause == NIL && query->havingQual == NULL) ||
		query->groupingSets != NIL)
	{
		(void) refuse(sums, "not_grouped", pstrdup("The query does not group rows, or in sets."));
		return sums;
	}
	sums->grouped = query->groupClause != NIL;
	if (signed_join_of_query(query, &sums->join, &sums->code, &sums->detail) && add_groups(sums) &&
		add_outputs(sums))
	{
		sums->keyed = is_keyed(sums, shape, key);
		sums->self_contained = is_self_contained(sums);
	}
	return sums;
}
