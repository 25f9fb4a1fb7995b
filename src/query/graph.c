/*-------------------------------------------------------------------------
 *
 * graph.c
 *		The base relations of a query at all its levels, and the conditions
 *		that connect them.
 *
 * Each occurrence of a relation is a node, including those in subqueries and
 * sublinks.  globalise.c rewrites the conditions of WHERE, ON and IN in terms
 * of the columns of nodes: it replaces a column of a subquery by the
 * expression that computes it.
 *
 * Invariant: each relation that the executor reads for the query is a node, or
 * is listed as hidden.
 *
 *-------------------------------------------------------------------------
 */
#include "query/graph.h"

#include "catalog/pg_class.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "query/inline.h"

typedef struct SublinkWalk
{
	Graph *graph;
	GraphBlock *block;
	Bitmapset *sides;
	bool found;
} SublinkWalk;

static GraphBlock *add_block(Graph *graph, GraphBlock *parent, Query *query, Bitmapset *sides);

/* ---- sublinks ---- */

/* Add the condition between the left operand of a sublink and the rows of its subquery. */
static void
add_test(Graph *graph, GraphBlock *block, GraphBlock *inner, SubLink *sublink, Bitmapset *sides,
		 bool must_be_true)
{
	GraphQual *qual;

	if (sublink->testexpr == NULL ||
		(sublink->subLinkType != ANY_SUBLINK && sublink->subLinkType != ALL_SUBLINK))
		return;
	qual = palloc0(sizeof(GraphQual));
	qual->expression = sublink->testexpr;
	qual->block = block;
	qual->unit = inner;
	qual->sides = sides;
	qual->test = sublink->subLinkType == ALL_SUBLINK ? QUAL_NOT_TRUE
				 : must_be_true                      ? QUAL_TRUE
													 : QUAL_NOT_FALSE;
	graph->quals = lappend(graph->quals, qual);
}

static void
add_sublink(Graph *graph, GraphBlock *block, SubLink *sublink, Bitmapset *sides, bool must_be_true)
{
	GraphBlock *inner;

	if (list_member_ptr(graph->sublinks, sublink))
		return;
	graph->sublinks = lappend(graph->sublinks, sublink);
	inner = add_block(graph, block, castNode(Query, sublink->subselect), sides);
	add_test(graph, block, inner, sublink, sides, must_be_true);
}

static bool
find_sublinks(Node *node, void *context)
{
	SublinkWalk *walk = context;

	if (node == NULL || IsA(node, Query))
		return false; /* another level */
	if (IsA(node, SubLink))
	{
		walk->found = true;
		add_sublink(walk->graph, walk->block, (SubLink *) node, walk->sides, false);
		return find_sublinks(((SubLink *) node)->testexpr, walk);
	}
	return expression_tree_walker(node, find_sublinks, walk);
}

/* ---- conditions ---- */

static void
add_qual(Graph *graph, GraphBlock *block, Node *expression, Bitmapset *sides)
{
	SublinkWalk walk = {.graph = graph, .block = block, .sides = sides};
	GraphQual *qual;
	ListCell *cell;

	if (expression == NULL)
		return;
	if (is_andclause(expression))
	{
		foreach(cell, ((BoolExpr *) expression)->args)
			add_qual(graph, block, lfirst(cell), sides);
		return;
	}
	if (IsA(expression, SubLink))
		add_sublink(graph, block, (SubLink *) expression, sides, true);
	(void) find_sublinks(expression, &walk);
	if (walk.found)
		return;
	qual = palloc0(sizeof(GraphQual));
	qual->expression = expression;
	qual->block = qual->unit = block;
	qual->sides = sides;
	graph->quals = lappend(graph->quals, qual);
}

/* ---- FROM ---- */

static void
add_entry(Graph *graph, GraphBlock *block, Index rtindex, Bitmapset *sides)
{
	RangeTblEntry *entry = rt_fetch(rtindex, block->query->rtable);
	GraphNode *node;

	if (entry->rtekind == RTE_SUBQUERY)
		block->blocks[rtindex] = add_block(graph, block, entry->subquery, sides);
	if (entry->rtekind != RTE_RELATION)
		return;
	node = palloc0(sizeof(GraphNode));
	node->number = list_length(graph->nodes) + 1;
	node->block = block;
	node->rtindex = rtindex;
	node->entry = entry;
	node->sides = sides;
	graph->nodes = lappend(graph->nodes, node);
	block->nodes[rtindex] = node->number;
}

static Bitmapset *
new_side(Graph *graph, Bitmapset *sides, bool is_one)
{
	return is_one ? bms_add_member(bms_copy(sides), ++graph->nsides) : sides;
}

static void
add_from(Graph *graph, GraphBlock *block, Node *node, Bitmapset *sides)
{
	ListCell *cell;

	if (node == NULL)
		return;
	if (IsA(node, RangeTblRef))
		add_entry(graph, block, ((RangeTblRef *) node)->rtindex, sides);
	else if (IsA(node, JoinExpr))
	{
		JoinExpr *join = (JoinExpr *) node;
		Bitmapset *left = new_side(graph,
								   sides,
								   join->jointype == JOIN_RIGHT || join->jointype == JOIN_FULL);
		Bitmapset *right = new_side(graph,
									sides,
									join->jointype == JOIN_LEFT || join->jointype == JOIN_FULL);

		add_from(graph, block, join->larg, left);
		add_from(graph, block, join->rarg, right);
		add_qual(graph, block, join->quals, bms_union(left, right));
	}
	else
	{
		FromExpr *from = castNode(FromExpr, node);

		foreach(cell, from->fromlist)
			add_from(graph, block, lfirst(cell), sides);
		add_qual(graph, block, from->quals, sides);
	}
}

/* ---- blocks ---- */

static void
list_operands(Node *node, List **operands)
{
	if (IsA(node, SetOperationStmt))
	{
		list_operands(((SetOperationStmt *) node)->larg, operands);
		list_operands(((SetOperationStmt *) node)->rarg, operands);
	}
	else
		*operands = lappend_int(*operands, castNode(RangeTblRef, node)->rtindex);
}

bool
block_is_operation(const GraphBlock *block)
{
	return block->query->setOperations != NULL;
}

List *
block_operands(const GraphBlock *block)
{
	List *operands = NIL;

	if (block_is_operation(block))
		list_operands(block->query->setOperations, &operands);
	return operands;
}

static GraphBlock *
add_block(Graph *graph, GraphBlock *parent, Query *query, Bitmapset *sides)
{
	GraphBlock *block = palloc0(sizeof(GraphBlock));
	SublinkWalk walk = {.graph = graph, .block = block, .sides = sides};
	ListCell *cell;

	graph->blocks = lappend(graph->blocks, block);
	block->query = query;
	block->parent = parent;
	block->sides = sides;
	block->blocks = palloc0(sizeof(GraphBlock *) * (list_length(query->rtable) + 1));
	block->nodes = palloc0(sizeof(int) * (list_length(query->rtable) + 1));
	add_from(graph, block, (Node *) query->jointree, sides);
	foreach(cell, block_operands(block))
		add_entry(graph, block, lfirst_int(cell), sides);
	/* sublinks outside conditions: in columns, HAVING, arguments of functions in FROM */
	(void) query_tree_walker(query,
							 find_sublinks,
							 &walk,
							 QTW_IGNORE_RC_SUBQUERIES | QTW_IGNORE_JOINALIASES);
	return block;
}

bool
block_is_within(const GraphBlock *block, const GraphBlock *outer)
{
	for (; block != NULL; block = block->parent)
		if (block == outer)
			return true;
	return false;
}

List *
block_choices(const GraphBlock *block)
{
	List *choices = NIL;

	for (; block->parent != NULL; block = block->parent)
		if (block_is_operation(block->parent))
			choices = lappend(choices, (void *) block);
	return choices;
}

/* ---- the graph ---- */

static bool
find_hidden(Node *node, void *context)
{
	Graph *graph = context;
	ListCell *cell;

	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, find_hidden, graph, QTW_EXAMINE_RTES_BEFORE);
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *entry = (RangeTblEntry *) node;

		/* in PostgreSQL 15, expanded views have entries for OLD and NEW */
		if (entry->rtekind != RTE_RELATION || entry->relkind == RELKIND_VIEW)
			return false;
		foreach(cell, graph->nodes)
			if (((GraphNode *) lfirst(cell))->entry == entry)
				return false;
		graph->hidden = list_append_unique_oid(graph->hidden, entry->relid);
		return false;
	}
	return expression_tree_walker(node, find_hidden, graph);
}

Graph *
graph_of_query(const Query *query)
{
	Graph *graph = palloc0(sizeof(Graph));
	Query *copy = copyObject((Query *) query);

	inline_aliases(copy);
	graph->root = add_block(graph, NULL, copy, NULL);
	(void) find_hidden((Node *) copy, graph);
	return graph;
}

GraphNode *
graph_node(const Graph *graph, int number)
{
	return list_nth(graph->nodes, number - 1);
}
