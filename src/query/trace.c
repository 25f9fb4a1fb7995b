/*-------------------------------------------------------------------------
 *
 * trace.c
 *		The expressions of base relations that a column of the result comes
 *		from.
 *
 * The column is followed down through subqueries.  At every level it must keep
 * the rows apart (passes.c), and come from a range table entry that no outer
 * join replaces by NULLs.  At one of the levels it may be an expression; then
 * the columns in the expression must come from one relation (globalise.c).
 *
 * In a set operation, the column is followed into every operand.  A FULL JOIN
 * that equates two columns merges them: COALESCE of the two columns, which
 * USING produces, is followed into both sides.  In each row of the result, at
 * least one side is real (not filled with NULLs), and the merged column equals
 * the column of each real side.
 *
 *-------------------------------------------------------------------------
 */
#include "query/trace.h"

#include "access/relation.h"
#include "catalog/pg_attribute.h"
#include "delta/record_image.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "query/passes.h"
#include "query/shape.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

typedef struct TraceWalk
{
	const Graph *graph;
	ColumnTrace *trace;
} TraceWalk;

static bool trace_block(TraceWalk *walk, const GraphBlock *block, int column, List *choices);

static bool
refuse(TraceWalk *walk, const char *why, const TargetEntry *entry)
{
	walk->trace->why = why;
	walk->trace->location = entry == NULL ? -1 : exprLocation((Node *) entry->expr);
	return false;
}

/* ---- set operations ---- */

static bool
trace_operation(TraceWalk *walk, const GraphBlock *block, int column, List *choices)
{
	ListCell *cell;

	foreach(cell, block_operands(block))
	{
		GraphBlock *operand = block->blocks[lfirst_int(cell)];
		TargetEntry *entry = get_tle_by_resno(operand->query->targetList, column);
		const char *why;

		if (!operation_passes(block, column, entry, &why))
			return refuse(walk, why, entry);
		if (!trace_block(walk, operand, column, lappend(list_copy(choices), operand)))
			return false;
	}
	return true;
}

/* ---- columns ---- */

static bool
is_virtual(Oid relid, AttrNumber column)
{
	Relation rel = relation_open(relid, NoLock);
	char generated = TupleDescAttr(RelationGetDescr(rel), column - 1)->attgenerated;

	relation_close(rel, NoLock);
	return generated != '\0' && generated != ATTRIBUTE_GENERATED_STORED;
}

static ColumnSource *
add_source(TraceWalk *walk, const GraphNode *node, Node *expression, List *choices)
{
	ColumnSource *source = palloc0(sizeof(ColumnSource));

	source->node = node;
	source->expression = expression;
	source->choices = choices;
	walk->trace->sources = lappend(walk->trace->sources, source);
	return source;
}

/* Trace a Var.  sides are the sides that its range table entry must have. */
static bool
trace_var(TraceWalk *walk, const GraphBlock *block, const TargetEntry *entry, const Var *var,
		  const Bitmapset *sides, List *choices)
{
	const GraphBlock *inner = block->blocks[var->varno];
	const GraphNode *node;

	if (inner != NULL)
		return bms_equal(inner->sides, sides)
				   ? trace_block(walk, inner, var->varattno, choices)
				   : refuse(walk, "an outer join can put NULL in its place", entry);
	if (block->nodes[var->varno] == 0)
		return refuse(walk, "it is not a column of a table", entry);
	node = graph_node(walk->graph, block->nodes[var->varno]);
	if (!bms_equal(node->sides, sides))
		return refuse(walk, "an outer join can put NULL in its place", entry);
	if (!shape_type_makes_key(var->vartype))
		return refuse(walk, "values of its type cannot be sorted and hashed", entry);
	if (is_virtual(node->entry->relid, var->varattno))
		return refuse(walk, "it is generated when it is read", entry);
	(void) add_source(
		walk,
		node,
		(Node *)
			makeVar(node->number, var->varattno, var->vartype, var->vartypmod, var->varcollid, 0),
		choices);
	return true;
}

/* ---- FULL JOIN ---- */

static bool
is_column(const Node *node)
{
	return IsA(node, Var) && ((const Var *) node)->varlevelsup == 0 &&
		   ((const Var *) node)->varattno > 0;
}

/* Can the expression be the merged column of a join, which is COALESCE of two columns? */
static bool
is_merged(const Node *expression)
{
	const CoalesceExpr *coalesce = (const CoalesceExpr *) expression;

	return IsA(expression, CoalesceExpr) && list_length(coalesce->args) == 2 &&
		   is_column(linitial(coalesce->args)) && is_column(lsecond(coalesce->args));
}

static bool
same_column(const Node *node, const Var *var)
{
	return is_column(node) && ((const Var *) node)->varno == var->varno &&
		   ((const Var *) node)->varattno == var->varattno;
}

/* Does one of these ANDed conditions equate the columns? */
static bool
equates(const Node *quals, const Var *one, const Var *other)
{
	const OpExpr *op = (const OpExpr *) quals;
	ListCell *cell;

	if (quals != NULL && is_andclause(quals))
	{
		foreach(cell, ((const BoolExpr *) quals)->args)
			if (equates(lfirst(cell), one, other))
				return true;
		return false;
	}
	if (quals == NULL || !IsA(quals, OpExpr) || list_length(op->args) != 2 ||
		op->opno != type_equality(one->vartype) ||
		(OidIsValid(op->inputcollid) && op->inputcollid != one->varcollid))
		return false;
	return (same_column(linitial(op->args), one) && same_column(lsecond(op->args), other)) ||
		   (same_column(linitial(op->args), other) && same_column(lsecond(op->args), one));
}

static bool
joins_fully(const Node *node, const Var *one, const Var *other)
{
	ListCell *cell;

	if (IsA(node, RangeTblRef))
		return false;
	if (IsA(node, FromExpr))
	{
		foreach(cell, ((const FromExpr *) node)->fromlist)
			if (joins_fully(lfirst(cell), one, other))
				return true;
		return false;
	}
	return (((const JoinExpr *) node)->jointype == JOIN_FULL &&
			equates(((const JoinExpr *) node)->quals, one, other)) ||
		   joins_fully(((const JoinExpr *) node)->larg, one, other) ||
		   joins_fully(((const JoinExpr *) node)->rarg, one, other);
}

/*
 * Returns the sides of the range table entry of a column if it is in exactly
 * one side more than the block; otherwise NULL.
 */
static const Bitmapset *
one_more_side(const TraceWalk *walk, const GraphBlock *block, const Var *var)
{
	const Bitmapset *sides = NULL;

	if (block->blocks[var->varno] != NULL)
		sides = block->blocks[var->varno]->sides;
	else if (block->nodes[var->varno] != 0)
		sides = graph_node(walk->graph, block->nodes[var->varno])->sides;
	return bms_num_members(sides) == bms_num_members(block->sides) + 1 ? sides : NULL;
}

static bool
trace_side(TraceWalk *walk, const GraphBlock *block, const TargetEntry *entry, const Var *var,
		   List *choices)
{
	int before = list_length(walk->trace->sources);
	ColumnSource *source;
	Merge *merge;

	if (!trace_var(walk, block, entry, var, one_more_side(walk, block, var), choices))
		return false;
	if (list_length(walk->trace->sources) != before + 1)
		return refuse(walk, "a side of a FULL JOIN is a set operation", entry);
	source = llast(walk->trace->sources);
	merge = palloc(sizeof(Merge));
	merge->block = block;
	merge->expression = (Node *) entry->expr;
	merge->column = source->expression;
	source->merges = lappend(source->merges, merge);
	return true;
}

static bool
trace_merged(TraceWalk *walk, const GraphBlock *block, const TargetEntry *entry, List *choices)
{
	const CoalesceExpr *coalesce = (const CoalesceExpr *) entry->expr;
	const Var *one = linitial(coalesce->args);
	const Var *other = lsecond(coalesce->args);

	if (one->vartype != other->vartype || one->varcollid != other->varcollid ||
		one_more_side(walk, block, one) == NULL || one_more_side(walk, block, other) == NULL ||
		!joins_fully((Node *) block->query->jointree, one, other))
		return refuse(walk, "it is made of columns of several tables", entry);
	return trace_side(walk, block, entry, one, choices) &&
		   trace_side(walk, block, entry, other, choices);
}

/* ---- expressions ---- */

static bool
trace_expression(TraceWalk *walk, const GraphBlock *block, const TargetEntry *entry, List *choices)
{
	Node *expression = (Node *) entry->expr;
	List *occurrences;
	ListCell *cell;

	if (expression_returns_set(expression))
		return refuse(walk, "it returns a set", entry);
	if (volatility_is_unsettled(expression))
		return refuse(walk, "it is not an immutable expression", entry);
	if (!global_occurrences(walk->graph, block, expression, choices, &occurrences))
		return refuse(walk, "it is not an expression of columns of one table", entry);
	if (!shape_type_makes_key(exprType(expression)))
		return refuse(walk, "values of its type cannot be sorted and hashed", entry);
	foreach(cell, occurrences)
	{
		Occurring *occurring = lfirst(cell);

		if (!bms_equal(occurring->node->sides, block->sides))
			return refuse(walk, "an outer join can put NULL in its place", entry);
		(void) add_source(walk, occurring->node, occurring->expression, occurring->choices);
	}
	return true;
}

static bool
trace_block(TraceWalk *walk, const GraphBlock *block, int column, List *choices)
{
	const Query *query = block->query;
	TargetEntry *entry;
	const char *why;

	if (block_is_operation(block))
		return trace_operation(walk, block, column, choices);
	entry = get_tle_by_resno(query->targetList, column);
	if (block_mixes_all(block, &why) || !block_passes(block, entry, &why))
		return refuse(walk, why, entry);
	walk->trace->grouped |= query->groupClause != NIL || query->distinctClause != NIL ||
							query->windowClause != NIL;
	if (is_column((Node *) entry->expr))
		return trace_var(walk, block, entry, (Var *) entry->expr, block->sides, choices);
	if (is_merged((Node *) entry->expr))
		return trace_merged(walk, block, entry, choices);
	return trace_expression(walk, block, entry, choices);
}

bool
trace_column(const Graph *graph, int column, ColumnTrace *trace)
{
	TraceWalk walk = {.graph = graph, .trace = trace};

	memset(trace, 0, sizeof(ColumnTrace));
	trace->location = -1;
	return trace_block(&walk, graph->root, column, NIL);
}
