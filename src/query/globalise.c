/*-------------------------------------------------------------------------
 *
 * globalise.c
 *		Conditions of any level of a query in terms of its base relations.
 *
 * A column of a subquery is replaced by the expression that computes it, if
 * rows with different values of the column stay apart in the subquery
 * (passes.c).  Grouping can put rows together whose values are equal but not
 * identical (1.0 and 1.00).  The condition then sees a value other than that
 * of the changed row.  Such a column is replaced only where it is compared by
 * an operator of the btree operator family of its type, which does not
 * distinguish such values either.
 *
 *-------------------------------------------------------------------------
 */
#include "query/globalise.h"

#include "delta/record_image.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "query/passes.h"
#include "query/volatility.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

typedef struct Globalise
{
	const GraphBlock *block; /* level that the Vars refer to */
	const GraphBlock *rows;  /* subquery that PARAM_SUBLINK parameters refer to; NULL if none */
	List *choices;
	List *merges;
	bool failed;
	bool loose; /* a value stands for others that are equal, but not identical */
} Globalise;

static Node *globalise(Node *node, void *context);

/* ---- columns of subqueries ---- */

/* Does the query put rows with equal values together? */
static bool
merges(const Query *query)
{
	return query->groupClause != NIL || query->distinctClause != NIL || query->windowClause != NIL;
}

static bool
operation_merges(const Node *node)
{
	const SetOperationStmt *operation = (const SetOperationStmt *) node;

	if (node == NULL || !IsA(node, SetOperationStmt))
		return false;
	return operation->groupClauses != NIL || operation_merges(operation->larg) ||
		   operation_merges(operation->rarg);
}

static Node *
fail(Globalise *walk)
{
	walk->failed = true;
	return NULL;
}

/*
 * Returns a column (from 1) of a block in terms of nodes.  Fails and returns
 * NULL if rows with different values of the column do not stay apart, or if
 * the column is computed from values that stand for others.
 */
static Node *
column_of_block(const GraphBlock *block, int column, Globalise *walk)
{
	Globalise inner = {.block = block, .choices = walk->choices, .merges = walk->merges};
	TargetEntry *entry;
	Node *expression;
	const char *why;
	ListCell *cell;

	if (block_is_operation(block))
	{
		foreach(cell, block_operands(block))
		{
			const GraphBlock *operand = block->blocks[lfirst_int(cell)];

			if (!list_member_ptr(walk->choices, operand))
				continue;
			entry = get_tle_by_resno(operand->query->targetList, column);
			if (entry == NULL || !operation_passes(block, column, entry, &why))
				return fail(walk);
			if (operation_merges(block->query->setOperations) &&
				!equal_is_same_image(exprType((Node *) entry->expr),
									 exprCollation((Node *) entry->expr)))
				walk->loose = true;
			return column_of_block(operand, column, walk);
		}
		return fail(walk);
	}
	entry = get_tle_by_resno(block->query->targetList, column);
	if (entry == NULL || !block_passes(block, entry, &why))
		return fail(walk);
	if (merges(block->query) &&
		!equal_is_same_image(exprType((Node *) entry->expr), exprCollation((Node *) entry->expr)))
		walk->loose = true;
	expression = globalise((Node *) entry->expr, &inner);
	walk->loose |= inner.loose;
	if (inner.failed || (inner.loose && !IsA(entry->expr, Var)))
		return fail(walk);
	return expression;
}

/* ---- expressions ---- */

static Node *
globalise_var(const Var *var, Globalise *walk)
{
	const GraphBlock *block = walk->block;
	Var *global;

	for (Index i = 0; i < var->varlevelsup; i++)
		block = block->parent;
	if (var->varattno <= 0)
		return fail(walk);
	if (block->blocks[var->varno] != NULL)
		return column_of_block(block->blocks[var->varno], var->varattno, walk);
	if (block->nodes[var->varno] == 0)
		return fail(walk);
	global = makeVar(block->nodes[var->varno],
					 var->varattno,
					 var->vartype,
					 var->vartypmod,
					 var->varcollid,
					 0);
	return (Node *) global;
}

static bool
same_var(const Node *node, const Node *other)
{
	const Var *one = (const Var *) node;
	const Var *two = (const Var *) other;

	return IsA(node, Var) && one->varno == two->varno && one->varattno == two->varattno &&
		   one->varlevelsup == 0;
}

/*
 * Returns the column of the real side for the merged column of a FULL JOIN, or
 * NULL if the node is not such a column.
 */
static Node *
merged_column(const Node *node, Globalise *walk)
{
	const CoalesceExpr *coalesce = (const CoalesceExpr *) node;
	ListCell *cell;

	if (!IsA(node, CoalesceExpr) || list_length(coalesce->args) != 2)
		return NULL;
	foreach(cell, walk->merges)
	{
		const Merge *merge = lfirst(cell);
		const List *columns = ((const CoalesceExpr *) merge->expression)->args;

		if (merge->block != walk->block || !same_var(linitial(coalesce->args), linitial(columns)) ||
			!same_var(lsecond(coalesce->args), lsecond(columns)))
			continue;
		/* the columns of both sides are equal, but may not be identical */
		walk->loose |= !equal_is_same_image(exprType(node), exprCollation(node));
		return copyObject(merge->column);
	}
	return NULL;
}

static Node *
globalise(Node *node, void *context)
{
	Globalise *walk = context;
	Node *merged;

	if (node == NULL || walk->failed)
		return NULL;
	/* conditions must also hold at the time of the last refresh */
	if (volatility_is_clock(node))
		return fail(walk);
	merged = merged_column(node, walk);
	if (merged != NULL)
		return merged;
	switch (nodeTag(node))
	{
		case T_Var:
			return globalise_var((Var *) node, walk);
		case T_Param:
			if (((Param *) node)->paramkind != PARAM_SUBLINK || walk->rows == NULL)
				return fail(walk);
			return column_of_block(walk->rows, ((Param *) node)->paramid, walk);
		case T_Query:
		case T_SubLink:
		case T_Aggref:
		case T_GroupingFunc:
		case T_WindowFunc:
		case T_CurrentOfExpr:
		case T_NextValueExpr:
			return fail(walk);
		default:
			return expression_tree_mutator(node, globalise, walk);
	}
}

/* ---- conditions ---- */

static Node *
without_relabels(Node *node)
{
	while (IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	return node;
}

/*
 * Is this a comparison of columns or constants by a btree operator of their
 * types?  Such an operator does not distinguish equal values.
 */
static bool
compares_columns(const Node *expression)
{
	const OpExpr *op = (const OpExpr *) expression;
	ListCell *cell;

	if (!IsA(expression, OpExpr) || list_length(op->args) != 2)
		return false;
	foreach(cell, op->args)
	{
		Node *argument = without_relabels(lfirst(cell));
		TypeCacheEntry *entry = lookup_type_cache(exprType(argument), TYPECACHE_BTREE_OPFAMILY);

		if (!IsA(argument, Var) && !IsA(argument, Param) && !IsA(argument, Const))
			return false;
		if (!OidIsValid(entry->btree_opf) || !op_in_opfamily(op->opno, entry->btree_opf))
			return false;
	}
	return true;
}

/* Can the condition be NULL?  A comparison of columns that are never NULL cannot. */
static bool
may_be_null(const Graph *graph, const GraphQual *qual, const Node *expression)
{
	const OpExpr *op = (const OpExpr *) expression;
	ListCell *cell;

	if (!compares_columns(expression))
		return true;
	foreach(cell, op->args)
	{
		const Var *var = (const Var *) without_relabels(lfirst(cell));
		const GraphNode *node;

		if (!IsA(var, Var))
			return true;
		node = graph_node(graph, var->varno);
		if (!bms_is_subset(node->sides, qual->sides) ||
			!column_is_never_null(node->entry, var->varattno))
			return true;
	}
	return false;
}

static Node *
with_test(const Graph *graph, const GraphQual *qual, Node *expression)
{
	BooleanTest *test;

	if (qual->test == QUAL_TRUE ||
		(qual->test == QUAL_NOT_FALSE && !may_be_null(graph, qual, expression)))
		return expression;
	test = makeNode(BooleanTest);
	test->arg = (Expr *) expression;
	test->booltesttype = qual->test == QUAL_NOT_FALSE ? IS_NOT_FALSE : IS_NOT_TRUE;
	test->location = -1;
	return (Node *) test;
}

/* Does the condition reject rows that an earlier outer join has filled with NULLs? */
static bool
needs_real_rows(const Graph *graph, const GraphQual *qual, const GlobalQual *global)
{
	Bitmapset *real = NULL;
	int number = -1;

	while ((number = bms_next_member(global->nodes, number)) >= 0)
	{
		if (bms_is_subset(graph_node(graph, number)->sides, qual->sides))
			continue;
		if (real == NULL)
			real = find_nonnullable_rels(global->expression);
		if (!bms_is_member(number, real))
			return false;
	}
	return true;
}

static void
add_global(const Graph *graph, const GraphQual *qual, Node *expression, List **globals)
{
	GlobalQual *global = palloc0(sizeof(GlobalQual));

	global->qual = qual;
	global->expression = with_test(graph, qual, expression);
	global->nodes = pull_varnos(NULL, global->expression);
	if (!bms_is_empty(global->nodes) && needs_real_rows(graph, qual, global))
		*globals = lappend(*globals, global);
}

/*
 * Are values that stand for equal ones used only as operands of a comparison
 * that does not distinguish them?
 */
static bool
cannot_tell(const GraphQual *qual, const Node *part, List *choices, List *merges)
{
	const OpExpr *op = (const OpExpr *) part;
	ListCell *cell;

	if (!IsA(part, OpExpr) || list_length(op->args) != 2)
		return false;
	foreach(cell, op->args)
	{
		Node *argument = without_relabels(lfirst(cell));
		Oid family = lookup_type_cache(exprType(argument), TYPECACHE_BTREE_OPFAMILY)->btree_opf;
		Globalise walk = {.block = qual->block, .choices = choices, .merges = merges};

		if (qual->unit != qual->block)
			walk.rows = qual->unit;
		(void) globalise(argument, &walk);
		if (walk.loose && ((!IsA(argument, Var) && !IsA(argument, Param)) || !OidIsValid(family) ||
						   !op_in_opfamily(op->opno, family)))
			return false;
	}
	return true;
}

/*
 * Add a condition.  The parts of a row comparison are added separately,
 * because all of them must hold.
 */
static void
add_parts(const Graph *graph, const GraphQual *qual, Node *part, List *choices, List *merges,
		  List **globals)
{
	Globalise walk = {.block = qual->block, .choices = choices, .merges = merges};
	Node *expression;
	ListCell *cell;

	if (qual->test == QUAL_TRUE && is_andclause(part))
	{
		foreach(cell, ((BoolExpr *) part)->args)
			add_parts(graph, qual, lfirst(cell), choices, merges, globals);
		return;
	}
	if (qual->unit != qual->block)
		walk.rows = qual->unit;
	expression = globalise(part, &walk);
	if (walk.failed || (walk.loose && !cannot_tell(qual, part, choices, merges)) ||
		expression_returns_set(expression))
		return;
	add_global(graph, qual, expression, globals);
}

List *
graph_quals(const Graph *graph, List *choices, List *merges)
{
	List *globals = NIL;
	ListCell *cell;

	foreach(cell, graph->quals)
	{
		const GraphQual *qual = lfirst(cell);

		add_parts(graph, qual, qual->expression, choices, merges, &globals);
	}
	return globals;
}

/* ---- expressions of one relation ---- */

bool
global_equal(const Node *one, const Node *other)
{
	const Var *var = (const Var *) one;
	const Var *column = (const Var *) other;

	/* type modifiers are ignored */
	if (IsA(one, Var) && IsA(other, Var))
		return var->varno == column->varno && var->varattno == column->varattno;
	return equal(one, other);
}

int
global_node(const Node *expression)
{
	int number;

	return bms_get_singleton_member(pull_varnos(NULL, unconstify(Node *, expression)), &number)
			   ? number
			   : 0;
}

static bool
has_node_within(const List *occurrences, const GraphBlock *block)
{
	ListCell *cell;

	foreach(cell, occurrences)
		if (block_is_within(((Occurring *) lfirst(cell))->node->block, block))
			return true;
	return false;
}

/*
 * Is there an occurrence for each operand of the set operations that columns
 * of the expression may come from?
 */
static bool
has_all_operands(const Graph *graph, const GraphBlock *block, Node *expression,
				 const List *occurrences)
{
	List *vars = pull_vars_of_level(expression, 0);
	ListCell *cell;
	ListCell *other;

	foreach(cell, vars)
	{
		const GraphBlock *inner = block->blocks[((Var *) lfirst(cell))->varno];

		if (inner == NULL)
			continue;
		foreach(other, graph->blocks)
		{
			const GraphBlock *operand = lfirst(other);

			if (operand->parent != NULL && block_is_operation(operand->parent) &&
				block_is_within(operand, inner) && !has_node_within(occurrences, operand))
				return false;
		}
	}
	return true;
}

bool
global_occurrences(const Graph *graph, const GraphBlock *block, Node *expression, List *choices,
				   List **occurrences)
{
	ListCell *cell;

	*occurrences = NIL;
	foreach(cell, graph->nodes)
	{
		GraphNode *node = lfirst(cell);
		Globalise walk = {.block = block};
		Occurring *occurring;
		Node *global;

		walk.choices = list_concat_unique_ptr(list_copy(choices), block_choices(node->block));
		global = globalise(expression, &walk);
		if (walk.failed || walk.loose || global_node(global) != node->number)
			continue;
		occurring = palloc(sizeof(Occurring));
		occurring->node = node;
		occurring->expression = global;
		occurring->choices = walk.choices;
		*occurrences = lappend(*occurrences, occurring);
	}
	return *occurrences != NIL && has_all_operands(graph, block, expression, *occurrences);
}

bool
qual_equates(const GlobalQual *global, const Node *key, Node **one, Node **other)
{
	OpExpr *op = (OpExpr *) global->expression;
	Oid type = exprType(key);

	if (!IsA(op, OpExpr) || list_length(op->args) != 2 || op->opno != type_equality(type))
		return false;
	*one = without_relabels(linitial(op->args));
	*other = without_relabels(lsecond(op->args));
	return exprType(*one) == type && exprType(*other) == type &&
		   (op->inputcollid == exprCollation(key) || !OidIsValid(op->inputcollid) ||
			get_collation_isdeterministic(op->inputcollid));
}
