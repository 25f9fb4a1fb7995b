/*-------------------------------------------------------------------------
 *
 * sums.c
 *		Groups whose aggregates follow from their old values and the changes.
 *
 * A count or a sum of a group after a change is the one before it plus that of
 * the signed rows of the change.  This holds exactly when
 *
 * -	the query groups a join of tables (signed_join.c) by all columns of the
 *		target's key, and returns nothing but them, count, sum and avg;
 * -	the arguments of sum and avg are integers, or numerics with a fixed
 *		number of decimal places: addition of floating-point numbers depends on
 *		the order, and the places of a sum of numerics depend on its terms;
 * -	equal values of a grouping expression have the same image: else the change
 *		may decide which image stands for the group;
 * -	the result has the number of rows of each group: a group without rows is
 *		gone; and for each sum the number of values that are not NULL, where they
 *		can be: a sum of no value is NULL.
 *
 *-------------------------------------------------------------------------
 */
#include "transform/sums.h"

#include "catalog/pg_type.h"
#include "delta/record_image.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/tlist.h"
#include "parser/parsetree.h"
#include "transform/passes.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"

/* ---- arguments ---- */

/* Functions that return NULL only for a NULL argument. */
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

/* The function that an expression calls, and its arguments; InvalidOid: none. */
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

/* The scale of a numeric with this modifier. */
static int
modifier_scale(int32 typmod)
{
	/* 11 bits with a sign: see numeric.c */
	int scale = (((typmod - VARHDRSZ) & 0x7ff) ^ 1024) - 1024;

	return Max(scale, 0);
}

/* Of NaN and the infinities, which have no decimal places: -1. */
static int
constant_scale(Numeric value)
{
	if (numeric_is_nan(value) || numeric_is_inf(value))
		return -1;
	return DatumGetInt32(DirectFunctionCall1(numeric_scale, NumericGetDatum(value)));
}

/* How many decimal places all values of the expression have; -1: they differ, or it is unknown. */
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

/* The number of the argument, which is added if it is new. */
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
	sums->arguments = lappend(sums->arguments, argument);
	return list_length(sums->arguments) - 1;
}

/* ---- columns ---- */

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
			return SUM_GROUP; /* no such aggregate */
	}
}

static bool
add_aggregate(Sums *sums, int number, const Aggref *aggregate)
{
	SumColumn *column = &sums->columns[number];
	Expr *expression;
	SumArgument *argument;

	column->kind = kind_of_aggregate(aggregate->aggfnoid);
	column->type = aggregate->aggtype;
	column->number = -1;
	if (column->kind == SUM_GROUP || aggregate->aggdistinct != NIL ||
		aggregate->aggfilter != NULL || aggregate->aggorder != NIL || aggregate->agglevelsup > 0)
		return refuse(sums,
					  "aggregate",
					  psprintf("%s cannot be computed from its old value and the changes.",
							   get_func_name(aggregate->aggfnoid)));
	if (aggregate->args == NIL)
	{
		sums->rows_column = number;
		return true;
	}
	expression = linitial_node(TargetEntry, aggregate->args)->expr;
	if (column->kind != SUM_COUNT && fixed_scale((Node *) expression) < 0)
		return refuse(sums,
					  "inexact_sum",
					  psprintf("The decimal places of the argument of %s vary.",
							   get_func_name(aggregate->aggfnoid)));
	column->number = argument_number(sums, expression);
	argument = list_nth(sums->arguments, column->number);
	if (column->kind == SUM_COUNT)
		argument->count_column = number;
	if (column->kind == SUM_SUM)
		argument->sum_column = number;
	if (column->kind == SUM_COUNT && argument->never_null && sums->rows_column < 0)
		sums->rows_column = number;
	return true;
}

static bool
add_column(Sums *sums, int number, const TargetEntry *entry)
{
	if (IsA(entry->expr, Aggref))
		return add_aggregate(sums, number, (Aggref *) entry->expr);
	if (entry->ressortgroupref == 0)
		return refuse(sums,
					  "expression_of_aggregates",
					  psprintf("Column \"%s\" is no group, count, sum or avg.", entry->resname));
	if (!equal_is_same_image(exprType((Node *) entry->expr), exprCollation((Node *) entry->expr)))
		return refuse(
			sums,
			"group_image",
			psprintf("Equal values of column \"%s\" may look different.", entry->resname));
	sums->columns[number].kind = SUM_GROUP;
	sums->columns[number].number = list_length(sums->groups);
	sums->groups = lappend(sums->groups, entry->expr);
	return true;
}

static bool
add_columns(Sums *sums, const Shape *shape)
{
	List *entries = sums->join.query->targetList;
	int number = 0;
	ListCell *cell;

	sums->columns = palloc0(sizeof(SumColumn) * shape->columns->natts);
	sums->rows_column = -1;
	foreach(cell, entries)
	{
		TargetEntry *entry = lfirst(cell);

		if (entry->resjunk)
			return refuse(sums, "hidden_group", "The query groups by what it does not return.");
		if (!add_column(sums, number++, entry))
			return false;
	}
	return true;
}

/* The numbers that old values are made of must be part of the result. */
static bool
check_counts(Sums *sums, const Shape *shape)
{
	if (sums->rows_column < 0)
		return refuse(sums, "no_count", "The query does not return count(*).");
	for (int i = 0; i < shape->columns->natts; i++)
	{
		const SumColumn *column = &sums->columns[i];
		const SumArgument *argument;

		if (column->kind == SUM_GROUP || column->number < 0)
			continue;
		argument = list_nth(sums->arguments, column->number);
		if (!argument->never_null && argument->count_column < 0)
			return refuse(
				sums,
				"no_count",
				psprintf("The argument of column \"%s\" may be NULL, and the query does not"
						 " return its count.",
						 NameStr(TupleDescAttr(shape->columns, i)->attname)));
		if (column->kind == SUM_AVG && argument->sum_column < 0)
			return refuse(sums,
						  "no_sum",
						  psprintf("The query does not return the sum for column \"%s\".",
								   NameStr(TupleDescAttr(shape->columns, i)->attname)));
	}
	return true;
}

/* The key of the target must be the groups, and nothing else. */
static bool
check_key(Sums *sums, const Shape *shape, List *key)
{
	for (int i = 0; i < shape->columns->natts; i++)
	{
		ListCell *cell;
		bool in_key = false;

		foreach(cell, key)
			in_key |= strcmp(lfirst(cell), NameStr(TupleDescAttr(shape->columns, i)->attname)) == 0;
		if (in_key != (sums->columns[i].kind == SUM_GROUP))
			return refuse(sums, "other_key", "The key of the transform is not that of the groups.");
	}
	return true;
}

Sums *
sums_analyse(Shape *shape, List *key)
{
	Sums *sums = palloc0(sizeof(Sums));
	const Query *query = shape_blocks(shape)->query;

	if (!query->hasAggs || query->groupClause == NIL || query->groupingSets != NIL ||
		query->havingQual != NULL)
	{
		(void) refuse(sums, "not_grouped", "The query does not group rows, or has HAVING.");
		return sums;
	}
	if (signed_join_of_query(query, &sums->join, &sums->code, &sums->detail) &&
		add_columns(sums, shape) && check_counts(sums, shape))
		(void) check_key(sums, shape, key);
	return sums;
}
