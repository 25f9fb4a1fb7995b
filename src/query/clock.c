/*-------------------------------------------------------------------------
 *
 * clock.c
 *		Queries that compare columns with the time of the refresh.
 *
 * The clock is an input that advanced from T0, the time of the previous
 * refresh, to T1.  A test compares an expression of a row with an expression
 * that depends on the clock alone, the moment.  The result of a test is like
 * one more column of the row, whose value changes with time.  Rows for which
 * the result differs between T0 and T1 are therefore changed rows of their
 * relation, and are followed like other changed rows (paths.c).  They are
 * found through the other operand of the comparison, whose value lies between
 * the two moments.  It does not matter which moment is the later one: time can
 * go backwards between two refreshes if their transactions did not begin in
 * the same order.
 *
 * The time is the start of the transaction, as now() returns it in the query.
 * Moments are evaluated under the TimeZone setting of the definition, which is
 * the same at both times.
 *
 * Invariant: every use of the clock in the query is part of a test; otherwise
 * clock_tests() returns false.
 *
 *-------------------------------------------------------------------------
 */
#include "query/clock.h"

#include "access/genam.h"
#include "access/relation.h"
#include "access/stratnum.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "core/sqltext.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "query/globalise.h"
#include "query/index_lookup.h"
#include "query/inline.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

/* ---- the clock at another time ---- */

static Node *
call(Oid function, Oid type, Node *argument, int32 typmod)
{
	List *arguments = list_make1(argument);

	if (typmod >= 0)
		arguments = lappend(
			arguments,
			makeConst(INT4OID, -1, InvalidOid, sizeof(int32), Int32GetDatum(typmod), false, true));
	return (Node *)
		makeFuncExpr(function, type, arguments, InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);
}

/* Round a value to the precision of the type, if there is one. */
static Node *
rounded(Oid function, Oid type, Node *value, int32 typmod)
{
	return typmod < 0 ? value : call(function, type, value, typmod);
}

static Node *
sql_value_at(const SQLValueFunction *value, Node *time)
{
	switch (value->op)
	{
		case SVFOP_CURRENT_DATE:
			return call(F_DATE_TIMESTAMPTZ, DATEOID, time, -1);
		case SVFOP_CURRENT_TIME:
		case SVFOP_CURRENT_TIME_N:
			return rounded(F_TIMETZ_TIMETZ_INT4,
						   TIMETZOID,
						   call(F_TIMETZ_TIMESTAMPTZ, TIMETZOID, time, -1),
						   value->typmod);
		case SVFOP_LOCALTIME:
		case SVFOP_LOCALTIME_N:
			return rounded(F_TIME_TIME_INT4,
						   TIMEOID,
						   call(F_TIME_TIMESTAMPTZ, TIMEOID, time, -1),
						   value->typmod);
		case SVFOP_LOCALTIMESTAMP:
		case SVFOP_LOCALTIMESTAMP_N:
			return rounded(F_TIMESTAMP_TIMESTAMP_INT4,
						   TIMESTAMPOID,
						   call(F_TIMESTAMP_TIMESTAMPTZ, TIMESTAMPOID, time, -1),
						   value->typmod);
		default:
			return rounded(F_TIMESTAMPTZ_TIMESTAMPTZ_INT4, TIMESTAMPTZOID, time, value->typmod);
	}
}

static Node *
put_time(Node *node, void *at)
{
	Node *time;

	if (node == NULL)
		return NULL;
	if (IsA(node, Query))
		return (Node *) query_tree_mutator((Query *) node, put_time, at, 0);
	if (!volatility_is_clock(node))
		return expression_tree_mutator(node, put_time, at);
	time = (Node *) makeConst(TIMESTAMPTZOID,
							  -1,
							  InvalidOid,
							  sizeof(TimestampTz),
							  TimestampTzGetDatum(*(TimestampTz *) at),
							  false,
							  FLOAT8PASSBYVAL);
	return IsA(node, SQLValueFunction) ? sql_value_at((SQLValueFunction *) node, time) : time;
}

Node *
clock_at(Node *node, TimestampTz at)
{
	return put_time(node, &at);
}

/* ---- which comparisons are tests ---- */

typedef struct TestWalk
{
	const Graph *graph;
	const GraphBlock *block;
	List *tests;
	int accounted; /* number of uses of the clock within tests */
	bool failed;
} TestWalk;

static bool
count_clock(Node *node, void *count)
{
	if (node == NULL)
		return false;
	if (volatility_is_clock(node))
	{
		(*(int *) count)++;
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, count_clock, count, QTW_IGNORE_JOINALIASES);
	return expression_tree_walker(node, count_clock, count);
}

static int
clock_uses(Node *node)
{
	int count = 0;

	(void) count_clock(node, &count);
	return count;
}

static bool
is_more_than_clock(Node *node, void *context)
{
	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_Var:
		case T_Param:
		case T_SubLink:
		case T_Query:
		case T_Aggref:
		case T_GroupingFunc:
		case T_WindowFunc:
			return true;
		default:
			return expression_tree_walker(node, is_more_than_clock, context);
	}
}

/*
 * Look up the operator in the btree operator family of its left type, with the
 * expression as the left operand.  Returns false if it has no such operator.
 */
static bool
find_operator(ClockTest *test, Oid operator, bool clock_is_left)
{
	if (clock_is_left)
		operator= get_commutator(operator);
	if (!OidIsValid(operator))
		return false;
	op_input_types(operator, & test->left, &test->right);
	test->family = lookup_type_cache(test->left, TYPECACHE_BTREE_OPFAMILY)->btree_opf;
	test->strategy = OidIsValid(test->family) ? get_op_opfamily_strategy(operator, test->family)
											  : InvalidStrategy;
	return test->strategy != InvalidStrategy;
}

/* Is the test always NULL for rows that an outer join has filled with NULLs? */
static bool
is_null_without_row(const TestWalk *walk, const GraphNode *node, Node *expression)
{
	return bms_is_subset(node->sides, walk->block->sides) ||
		   !contain_nonstrict_functions(expression);
}

/* Add one test for each relation that the expression reads under some choice of operands. */
static bool
add_occurrences(TestWalk *walk, const ClockTest *common, Node *expression)
{
	List *occurrences;
	ListCell *cell;

	if (!global_occurrences(walk->graph, walk->block, expression, NIL, &occurrences))
		return false;
	foreach(cell, occurrences)
	{
		const Occurring *occurring = lfirst(cell);
		ClockTest *test = palloc(sizeof(ClockTest));

		if (!is_null_without_row(walk, occurring->node, occurring->expression))
			return false;
		*test = *common;
		test->node = occurring->node;
		test->expression = occurring->expression;
		walk->tests = lappend(walk->tests, test);
	}
	return true;
}

static bool
add_test(TestWalk *walk, const OpExpr *op)
{
	ClockTest test = {.collation = op->inputcollid};
	Node *expression;
	bool clock_is_left;

	if (list_length(op->args) != 2 || op->opresulttype != BOOLOID)
		return false;
	clock_is_left = clock_uses(linitial(op->args)) > 0;
	test.moment = clock_is_left ? linitial(op->args) : lsecond(op->args);
	expression = clock_is_left ? lsecond(op->args) : linitial(op->args);
	if (clock_uses(test.moment) == 0 || clock_uses(expression) > 0 ||
		is_more_than_clock(test.moment, NULL) || expression_returns_set(test.moment) ||
		expression_returns_set(expression) || !find_operator(&test, op->opno, clock_is_left) ||
		!add_occurrences(walk, &test, expression))
		return false;
	walk->accounted += clock_uses(test.moment);
	return true;
}

static bool
find_tests(Node *node, void *context)
{
	TestWalk *walk = context;

	if (node == NULL || IsA(node, Query))
		return false; /* a query is another block */
	if (IsA(node, OpExpr) && clock_uses(node) > 0 && add_test(walk, (OpExpr *) node))
		return false;
	walk->failed |= volatility_is_clock(node);
	return walk->failed || expression_tree_walker(node, find_tests, walk);
}

bool
clock_tests(const Graph *graph, List **tests)
{
	TestWalk walk = {.graph = graph};
	ListCell *cell;

	foreach(cell, graph->blocks)
	{
		walk.block = lfirst(cell);
		(void) query_tree_walker(walk.block->query,
								 find_tests,
								 &walk,
								 QTW_IGNORE_RC_SUBQUERIES | QTW_IGNORE_JOINALIASES);
	}
	*tests = walk.tests;
	/* some levels, such as WITH RECURSIVE, are not blocks of the graph */
	return !walk.failed && walk.accounted == clock_uses((Node *) graph->root->query);
}

bool
clock_moves_rows(Shape *shape)
{
	List *tests;

	if (shape->volatility.is_volatile || !shape->volatility.reads_clock ||
		shape->volatility.beyond_clock)
		return false;
	return clock_tests(graph_of_query(inline_with(shape_blocks(shape)->query)), &tests);
}

/* ---- rows between two moments ---- */

static Datum
evaluate(Node *expression, bool *isnull)
{
	EState *estate = CreateExecutorState();
	MemoryContext old = MemoryContextSwitchTo(estate->es_query_cxt);
	ExprState *state = ExecPrepareExpr((Expr *) expression, estate);
	int16 length;
	bool by_value;
	Datum value = ExecEvalExprSwitchContext(state, GetPerTupleExprContext(estate), isnull);

	MemoryContextSwitchTo(old);
	get_typlenbyval(exprType(expression), &length, &by_value);
	if (!*isnull)
		value = datumCopy(value, by_value, length);
	FreeExecutorState(estate);
	return value;
}

/* Evaluate the moment of a test at the given time. */
static Const *
moment_at(const ClockTest *test, TimestampTz at)
{
	Node *moment = clock_at(test->moment, at);
	Oid type = exprType(moment);
	int16 length;
	bool by_value;
	bool isnull;
	Datum value = evaluate(moment, &isnull);

	get_typlenbyval(type, &length, &by_value);
	return makeConst(type, -1, exprCollation(moment), length, value, isnull, by_value);
}

static OpExpr *
compare(const ClockTest *test, int strategy, Node *left, Oid type, Node *right)
{
	Oid operator= get_opfamily_member(test->family, type, test->right, strategy);
	OpExpr *comparison;

	if (!OidIsValid(operator))
		elog(ERROR, "operator family %u lacks an operator", test->family);
	comparison = (OpExpr *) make_opclause(operator,
										  BOOLOID,
										  false,
										  (Expr *) left,
										  (Expr *) right,
										  InvalidOid,
										  test->collation);
	set_opfuncid(comparison);
	return comparison;
}

/* Does the comparison of this strategy hold between the two moments? */
static bool
compare_moments(const ClockTest *test, int strategy, Const *one, Const *other)
{
	bool isnull;
	Datum value = evaluate(
		(Node *) compare(test, strategy, (Node *) one, test->right, (Node *) other),
		&isnull);

	return !isnull && DatumGetBool(value);
}

static Node *
bound(const ClockTest *test, int strategy, Const *moment)
{
	return (
		Node *) compare(test, strategy, copyObject(test->expression), test->left, (Node *) moment);
}

/*
 * Make the range from the lower moment to the higher one.  A bound is left out
 * of the range if the test has the same result for it at both times.
 */
static ClockRange *
make_range(const ClockTest *test, Const *one, Const *other)
{
	bool ordered = compare_moments(test, BTLessStrategyNumber, one, other);
	Const *low = ordered ? one : other;
	Const *high = ordered ? other : one;
	ClockRange *range = palloc0(sizeof(ClockRange));
	int above = BTGreaterEqualStrategyNumber;
	int below = BTLessEqualStrategyNumber;

	if (test->strategy == BTLessStrategyNumber || test->strategy == BTGreaterEqualStrategyNumber)
		below = BTLessStrategyNumber;
	else if (test->strategy != BTEqualStrategyNumber)
		above = BTGreaterStrategyNumber;
	range->test = test;
	range->quals = list_make2(bound(test, above, low), bound(test, below, high));
	return range;
}

bool
clock_ranges(List *tests, TimestampTz from, TimestampTz to, List **ranges)
{
	ListCell *cell;

	*ranges = NIL;
	foreach(cell, tests)
	{
		const ClockTest *test = lfirst(cell);
		Const *one = moment_at(test, from);
		Const *other = moment_at(test, to);

		if (one->constisnull && other->constisnull)
			continue;
		if (one->constisnull || other->constisnull)
			return false;
		if (!compare_moments(test, BTEqualStrategyNumber, one, other))
			*ranges = lappend(*ranges, make_range(test, one, other));
	}
	return true;
}

List *
clock_any_ranges(List *tests)
{
	List *ranges = NIL;
	ListCell *cell;

	foreach(cell, tests)
	{
		ClockRange *range = palloc0(sizeof(ClockRange));

		range->test = lfirst(cell);
		ranges = lappend(ranges, range);
	}
	return ranges;
}

/* ---- indexes ---- */

char *
clock_advice(const ClockTest *test)
{
	Oid relid = test->node->entry->relid;
	Node *expression = test->expression;

	if (index_finds(relid, expression))
		return NULL;
	if (contain_mutable_functions(expression))
		return psprintf("Rows that time has passed over are found by reading all of %s: compare a"
						" column alone with the time, instead of %s, so that an index can find"
						" them.",
						sql_relation(relid),
						index_expression_text(relid, expression));
	return psprintf("Rows that time has passed over are found by reading all of %s; an index"
					" would find them: %s",
					sql_relation(relid),
					index_statement(relid, expression));
}
