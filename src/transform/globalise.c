/*-------------------------------------------------------------------------
 *
 * globalise.c
 *		Conditions of any level of a query in terms of its base relations.
 *
 * A column of a subquery is replaced by what it is made of, where that keeps
 * the rows of the subquery apart (passes.c).  Where rows meet whose values are
 * equal but not the same (1.0 and 1.00), the condition sees another value than
 * the changed row has: such a column is replaced only in comparisons by
 * operators of its type, which cannot see a difference either.
 *
 *-------------------------------------------------------------------------
 */
#include "transform/globalise.h"

#include "delta/record_image.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "transform/passes.h"
#include "transform/volatility.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

typedef struct Globalise
{
	const GraphBlock *block; /* whose columns are meant */
	const GraphBlock *rows;  /* of the sublink that parameters stand for */
	List *choices;
	bool failed;
	bool loose; /* a value stands for others that are equal, but not the same */
} Globalise;

static Node *globalise(Node *node, void *context);

/* ---- columns of subqueries ---- */

/* Rows with equal values are put together. */
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

/* What a column (from 1) of a block is made of; NULL: of more than single values. */
static Node *
column_of_block(const GraphBlock *block, int column, Globalise *walk)
{
	Globalise inner = {.block = block, .choices = walk->choices};
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

static Node *
globalise(Node *node, void *context)
{
	Globalise *walk = context;

	if (node == NULL || walk->failed)
		return NULL;
	/* conditions must hold at the time of the last refresh, too */
	if (volatility_is_clock(node))
		return fail(walk);
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

/* An operator of the columns' type, which cannot tell equal values from each other. */
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

/* Can it be NULL?  Not a comparison of columns that are never NULL. */
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

/* Rows filled with NULLs by an outer join that is evaluated before must not meet it. */
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

/* Are values that stand for equal ones only compared, by an operator that treats them alike? */
static bool
cannot_tell(const GraphQual *qual, const Node *part, List *choices)
{
	const OpExpr *op = (const OpExpr *) part;
	ListCell *cell;

	if (!IsA(part, OpExpr) || list_length(op->args) != 2)
		return false;
	foreach(cell, op->args)
	{
		Node *argument = without_relabels(lfirst(cell));
		Oid family = lookup_type_cache(exprType(argument), TYPECACHE_BTREE_OPFAMILY)->btree_opf;
		Globalise walk = {.block = qual->block, .choices = choices};

		if (qual->unit != qual->block)
			walk.rows = qual->unit;
		(void) globalise(argument, &walk);
		if (walk.loose && ((!IsA(argument, Var) && !IsA(argument, Param)) || !OidIsValid(family) ||
						   !op_in_opfamily(op->opno, family)))
			return false;
	}
	return true;
}

/* The parts of a comparison of rows, of which all must hold. */
static void
add_parts(const Graph *graph, const GraphQual *qual, Node *part, List *choices, List **globals)
{
	Globalise walk = {.block = qual->block, .choices = choices};
	Node *expression;
	ListCell *cell;

	if (qual->test == QUAL_TRUE && is_andclause(part))
	{
		foreach(cell, ((BoolExpr *) part)->args)
			add_parts(graph, qual, lfirst(cell), choices, globals);
		return;
	}
	if (qual->unit != qual->block)
		walk.rows = qual->unit;
	expression = globalise(part, &walk);
	if (walk.failed || (walk.loose && !cannot_tell(qual, part, choices)) ||
		expression_returns_set(expression))
		return;
	add_global(graph, qual, expression, globals);
}

List *
graph_quals(const Graph *graph, List *choices)
{
	List *globals = NIL;
	ListCell *cell;

	foreach(cell, graph->quals)
	{
		const GraphQual *qual = lfirst(cell);

		add_parts(graph, qual, qual->expression, choices, &globals);
	}
	return globals;
}

Node *
global_expression(const GraphBlock *block, Node *expression, List *choices)
{
	Globalise walk = {.block = block, .choices = choices};
	Node *global = globalise(expression, &walk);

	return walk.failed || walk.loose ? NULL : global;
}

bool
qual_equates(const GlobalQual *global, const Var *key, Var **one, Var **other)
{
	OpExpr *op = (OpExpr *) global->expression;

	if (!IsA(op, OpExpr) || list_length(op->args) != 2 || op->opno != type_equality(key->vartype))
		return false;
	*one = (Var *) without_relabels(linitial(op->args));
	*other = (Var *) without_relabels(lsecond(op->args));
	return IsA(*one, Var) && IsA(*other, Var) && (*one)->vartype == key->vartype &&
		   (*other)->vartype == key->vartype &&
		   (op->inputcollid == key->varcollid || !OidIsValid(op->inputcollid) ||
			get_collation_isdeterministic(op->inputcollid));
}
