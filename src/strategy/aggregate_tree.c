/*-------------------------------------------------------------------------
 *
 * aggregate_tree.c
 *		Query trees of strategy "aggregate".
 *
 *-------------------------------------------------------------------------
 */
#include "strategy/aggregate_tree.h"

#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "query/passes.h"
#include "utils/lsyscache.h"

#define DIRTY_ALIAS "_depipe_dirty"

/* ---- terms ---- */

static TargetEntry *
output(List *outputs, const char *kind, int number, Expr *expression)
{
	return makeTargetEntry(expression,
						   list_length(outputs) + 1,
						   psprintf("%s%d", kind, number),
						   false);
}

/*
 * Returns the expression for an argument in the terms.  If the argument is
 * only counted, this is whether it is not NULL, because its type need not have
 * an equality operator.
 */
static Expr *
value_of(const SumArgument *argument)
{
	NullTest *test;

	if (argument->summed || argument->extremes[0] || argument->extremes[1])
		return argument->expression;
	test = makeNode(NullTest);
	test->arg = argument->expression;
	test->nulltesttype = IS_NOT_NULL;
	test->argisrow = false;
	test->location = -1;
	return (Expr *) test;
}

List *
aggregate_term_outputs(const Sums *sums)
{
	List *outputs = NIL;
	ListCell *cell;

	foreach(cell, sums->groups)
		outputs = lappend(outputs, output(outputs, "g", foreach_current_index(cell), lfirst(cell)));
	foreach(cell, sums->arguments)
		outputs = lappend(
			outputs,
			output(outputs, "a", foreach_current_index(cell), value_of(lfirst(cell))));
	return outputs;
}

/* ---- all rows ---- */

/* Returns "group = value" or, with "nulls", "group IS NOT DISTINCT FROM value". */
static Expr *
same_group(Expr *group, Var *value, bool nulls)
{
	OpExpr *equality = make_equality((Node *) group, (Node *) value, exprCollation((Node *) group));

	if (!nulls)
		return (Expr *) equality;
	/* OpExpr and DistinctExpr have the same layout */
	NodeSetTag(equality, T_DistinctExpr);
	return makeBoolExpr(NOT_EXPR, list_make1(equality), -1);
}

/*
 * Joins the dirty groups with the query.  Without "nulls", groups that contain
 * NULLs do not match.  With "nulls", only groups that contain NULLs are
 * joined.
 */
static void
join_groups(const Sums *sums, Query *query, const TreeRelation *dirty, bool nulls)
{
	RangeTblRef *reference = makeNode(RangeTblRef);
	List *conditions = NIL;
	List *tests = NIL;

	query->rtable = lappend(query->rtable, tree_entry(dirty, DIRTY_ALIAS));
	reference->rtindex = list_length(query->rtable);
	query->jointree->fromlist = lappend(query->jointree->fromlist, reference);
	for (int i = 0; i < list_length(sums->groups); i++)
	{
		Expr *group = ((TargetEntry *) list_nth(query->targetList, i))->expr;
		Var *value = makeVar(reference->rtindex,
							 i + 1,
							 exprType((Node *) group),
							 exprTypmod((Node *) group),
							 exprCollation((Node *) group),
							 0);
		NullTest *test = makeNode(NullTest);

		test->arg = (Expr *) copyObject(value);
		test->nulltesttype = IS_NULL;
		test->location = -1;
		tests = lappend(tests, test);
		conditions = lappend(conditions, same_group(copyObject(group), value, nulls));
	}
	if (nulls)
		conditions = lappend(conditions,
							 list_length(tests) == 1 ? linitial(tests)
													 : makeBoolExpr(OR_EXPR, tests, -1));
	query->jointree->quals = make_and_qual(query->jointree->quals,
										   (Node *) make_ands_explicit(conditions));
}

List *
aggregate_rows(const Sums *sums, const TreeRelation *dirty)
{
	Query *whole = signed_join_rows(&sums->join, aggregate_term_outputs(sums));
	Query *with_nulls;

	if (dirty == NULL || sums->groups == NIL)
		return list_make1(whole);
	with_nulls = copyObject(whole);
	join_groups(sums, whole, dirty, false);
	join_groups(sums, with_nulls, dirty, true);
	return list_make2(whole, with_nulls);
}

/* ---- the result ---- */

static Var *
value_var(int number, const Node *node)
{
	return makeVar(1, number, exprType(node), exprTypmod(node), exprCollation(node), 0);
}

/* Replaces groups and aggregates with columns of the relation of values. */
static Node *
use_values(Node *node, void *context)
{
	const Sums *sums = context;
	ListCell *cell;
	int group;

	if (node == NULL)
		return NULL;
	group = sums_group_of(sums, node);
	if (group >= 0)
		return (Node *) value_var(group + 1, node);
	if (IsA(node, Aggref))
		foreach(cell, sums->aggregates)
			if (equal(((SumAggregate *) lfirst(cell))->aggregate, node))
				return (Node *) value_var(list_length(sums->groups) + foreach_current_index(cell) +
											  1,
										  node);
	return expression_tree_mutator(node, use_values, context);
}

Query *
aggregate_result(const Sums *sums, const TreeRelation *values)
{
	Query *query = makeNode(Query);
	RangeTblRef *reference = makeNode(RangeTblRef);
	ListCell *cell;

	query->commandType = CMD_SELECT;
	query->canSetTag = true;
	query->rtable = list_make1(tree_entry(values, "v"));
	reference->rtindex = 1;
	query->jointree = makeFromExpr(list_make1(reference), use_values(sums->having, (void *) sums));
	foreach(cell, sums->outputs)
	{
		const TargetEntry *entry = lfirst(cell);

		query->targetList = lappend(
			query->targetList,
			makeTargetEntry((Expr *) use_values((Node *) entry->expr, (void *) sums),
							foreach_current_index(cell) + 1,
							entry->resname,
							false));
	}
	query->targetList = lappend(
		query->targetList,
		makeTargetEntry((Expr *) makeVar(1, values->desc->natts, INT2OID, -1, InvalidOid, 0),
						list_length(query->targetList) + 1,
						pstrdup(SIGNED_JOIN_WEIGHT),
						false));
	return query;
}
