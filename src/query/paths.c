/*-------------------------------------------------------------------------
 *
 * paths.c
 *		Terms that find the values of a key that changes of inputs affect.
 *
 * A tree of conditions leads from the owner of the key to the other relations.
 * There is one term for each changed relation: its changed rows, joined to the
 * current rows of the relations on the path to the owner.
 *
 * The terms find every affected value.  The input rows that together produce,
 * or produced, a row of the result satisfy all conditions between them.  If
 * the rows of the result with some value have changed, at least one of these
 * input rows has changed.  Consider the changed row that is nearest to the
 * owner on the path.  The rows between it and the owner have not changed, so
 * the tables still hold them, and the term of that row finds the value.  This
 * requires that
 *
 * - the path to a relation begins with the paths to the relations on it;
 * - a term joins only relations on the path, because a row of another relation
 *   may have disappeared at the same time;
 * - a condition must hold whenever rows are joined: in a side of an outer join
 *   only if there is a row of that side, and in a sublink only for the rows of
 *   the sublink.
 *
 * Rows for which time has changed the result of a test (clock.c) are changed
 * rows too, and the tables still hold them.  No condition on a path reads the
 * clock.
 *
 * If a condition equates the key with a column of a relation nearer to the
 * changed relation, the path is cut there.
 *
 * If no path leads to a changed relation, its rows may affect any value.
 * Examples are the relations of a subquery that refers to nothing outside, and
 * of an aggregate of all rows.  Even then, only those changed rows matter that
 * satisfy the conditions on them and find join partners where these are
 * required.  A term therefore asks whether there is such a row.  It joins only
 * relations that have not changed, because a partner in a changed relation may
 * have disappeared.
 *
 *-------------------------------------------------------------------------
 */
#include "query/paths.h"

#include "access/relation.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_clause.h"
#include "parser/parse_oper.h"
#include "parser/parse_relation.h"
#include "query/globalise.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

typedef struct Tree
{
	const Graph *graph;
	const KeyOwner *owner;
	List *choices;
	List *quals;     /* of GlobalQual */
	List **paths;    /* by node: node numbers from the owner to it; NIL if not reached */
	Bitmapset *done; /* nodes whose terms have been added */
} Tree;

/* ---- changed relations ---- */

/* The changes since the last refresh. */
typedef struct Changed
{
	List *relids;
	List *ranges; /* of ClockRange */
} Changed;

static bool
has_changed(const Changed *changed, const GraphNode *node)
{
	ListCell *cell;

	foreach(cell, changed->ranges)
		if (((ClockRange *) lfirst(cell))->test->node == node)
			return true;
	return list_member_oid(changed->relids, node->entry->relid);
}

/* ---- conditions that must hold ---- */

static Bitmapset *
sides_of(const Graph *graph, const Bitmapset *nodes)
{
	Bitmapset *sides = NULL;
	int number = -1;

	while ((number = bms_next_member(nodes, number)) >= 0)
		sides = bms_add_members(sides, graph_node(graph, number)->sides);
	return sides;
}

/* Must the condition hold wherever there are rows of all these nodes? */
static bool
must_hold(const Graph *graph, const GlobalQual *global, const Bitmapset *nodes)
{
	int number = -1;

	if (!bms_is_subset(global->qual->sides, sides_of(graph, nodes)))
		return false;
	while ((number = bms_next_member(nodes, number)) >= 0)
		if (block_is_within(graph_node(graph, number)->block, global->qual->unit))
			return true;
	return false;
}

/*
 * Returns all nodes that must have rows wherever these nodes have rows.
 * Changes the set passed in.
 */
static Bitmapset *
implied(const Tree *tree, Bitmapset *nodes)
{
	bool grown = true;
	ListCell *cell;

	while (grown)
	{
		grown = false;
		foreach(cell, tree->quals)
		{
			const GlobalQual *global = lfirst(cell);

			if (bms_is_subset(global->nodes, nodes) || !must_hold(tree->graph, global, nodes))
				continue;
			nodes = bms_add_members(nodes, global->nodes);
			grown = true;
		}
	}
	return nodes;
}

/* ---- the tree ---- */

static bool
is_chosen(const Tree *tree, int number)
{
	return list_difference_ptr(block_choices(graph_node(tree->graph, number)->block),
							   tree->choices) == NIL;
}

static bool
is_equality(const GlobalQual *global)
{
	OpExpr *op = (OpExpr *) global->expression;

	return IsA(op, OpExpr) && list_length(op->args) == 2 &&
		   (op_hashjoinable(op->opno, exprType(linitial(op->args))) ||
			op_mergejoinable(op->opno, exprType(linitial(op->args))));
}

static Bitmapset *
node_set(List *numbers)
{
	Bitmapset *set = NULL;
	ListCell *cell;

	foreach(cell, numbers)
		set = bms_add_member(set, lfirst_int(cell));
	return set;
}

/*
 * Returns the path to a node through a condition.  Returns NIL if another node
 * in the condition has not been reached, if the condition need not hold, or if
 * rows of the node and of the owner do not imply rows of all nodes on the
 * path.
 */
static List *
reach(const Tree *tree, const GlobalQual *global, int number)
{
	List *path = NIL;
	Bitmapset *nodes;
	int other = -1;

	while ((other = bms_next_member(global->nodes, other)) >= 0)
	{
		if (other == number)
			continue;
		if (tree->paths[other] == NIL)
			return NIL;
		path = list_concat_unique_int(path, tree->paths[other]);
	}
	if (path == NIL)
		return NIL;
	path = lappend_int(path, number);
	nodes = node_set(path);
	if (!must_hold(tree->graph, global, nodes) ||
		!bms_is_subset(
			nodes,
			implied(tree, bms_add_member(bms_make_singleton(number), tree->owner->node->number))))
		return NIL;
	return path;
}

/*
 * Extend the paths by one step, either through equalities or through other
 * conditions.  Returns false if no path was added.
 */
static bool
grow(Tree *tree, bool by_equality)
{
	int nnodes = list_length(tree->graph->nodes);
	List **found = palloc0(sizeof(List *) * (nnodes + 1));
	bool grown = false;
	ListCell *cell;

	foreach(cell, tree->quals)
	{
		const GlobalQual *global = lfirst(cell);
		int number = -1;

		if (is_equality(global) != by_equality)
			continue;
		while ((number = bms_next_member(global->nodes, number)) >= 0)
			if (tree->paths[number] == NIL && found[number] == NIL && is_chosen(tree, number))
				found[number] = reach(tree, global, number);
	}
	for (int i = 1; i <= nnodes; i++)
		if (found[i] != NIL)
		{
			tree->paths[i] = found[i];
			grown = true;
		}
	return grown;
}

static Tree *
make_tree(const Graph *graph, const KeyOwner *owner, List *choices)
{
	Tree *tree = palloc0(sizeof(Tree));

	tree->graph = graph;
	tree->owner = owner;
	tree->choices = choices;
	tree->quals = graph_quals(graph, choices, owner->merges);
	tree->paths = palloc0(sizeof(List *) * (list_length(graph->nodes) + 1));
	tree->paths[owner->node->number] = list_make1_int(owner->node->number);
	while (grow(tree, true) || grow(tree, false))
		;
	return tree;
}

/* ---- expressions equal to the key ---- */

static bool
is_listed(List *columns, const Node *expression)
{
	ListCell *cell;

	foreach(cell, columns)
		if (global_equal(lfirst(cell), expression))
			return true;
	return false;
}

/* Returns all expressions that the conditions equate with the column of the key. */
static List *
equal_columns(Node *key, List *quals)
{
	List *columns = list_make1(key);
	bool grown = true;
	ListCell *cell;

	while (grown)
	{
		grown = false;
		foreach(cell, quals)
		{
			Node *one;
			Node *other;

			if (!qual_equates(lfirst(cell), key, &one, &other) ||
				is_listed(columns, one) == is_listed(columns, other))
				continue;
			columns = lappend(columns, is_listed(columns, one) ? other : one);
			grown = true;
		}
	}
	return columns;
}

/*
 * Returns the expression that is nearest to the end of the path.  Sets
 * *position to its position in the path.
 */
static Node *
nearest(List *columns, List *path, int *position)
{
	Node *best = NULL;
	ListCell *cell;
	ListCell *step;

	*position = -1;
	foreach(cell, columns)
		foreach(step, path)
			if (global_node(lfirst(cell)) == lfirst_int(step) &&
				foreach_current_index(step) > *position)
			{
				best = lfirst(cell);
				*position = foreach_current_index(step);
			}
	return best;
}

static PathTerm *
make_term(const Tree *tree, const ResultKey *key, int number, const ClockRange *range)
{
	PathTerm *term = palloc0(sizeof(PathTerm));
	List *path = tree->paths[number];
	Bitmapset *nodes = node_set(path);
	List *quals = NIL;
	int first = list_length(path) - 1;
	ListCell *cell;

	term->changed = graph_node(tree->graph, number);
	term->range = range;
	foreach(cell, tree->quals)
		if (bms_is_subset(((GlobalQual *) lfirst(cell))->nodes, nodes) &&
			must_hold(tree->graph, lfirst(cell), nodes))
			quals = lappend(quals, lfirst(cell));
	for (int i = 0; i < key->natts; i++)
	{
		List *columns = equal_columns(tree->owner->columns[i], quals);
		int position;

		term->keys = lappend(term->keys, nearest(columns, path, &position));
		first = Min(first, position);
	}
	term->nodes = list_copy_tail(path, first);
	nodes = node_set(term->nodes);
	foreach(cell, quals)
		if (bms_is_subset(((GlobalQual *) lfirst(cell))->nodes, nodes))
			term->quals = lappend(term->quals, lfirst(cell));
	return term;
}

/* ---- rows that may affect any value ---- */

/* Returns the nodes in the set that conditions connect with the given node. */
static Bitmapset *
connected(const Tree *tree, int number, const Bitmapset *nodes)
{
	Bitmapset *set = bms_make_singleton(number);
	bool grown = true;
	ListCell *cell;

	while (grown)
	{
		grown = false;
		foreach(cell, tree->quals)
		{
			const GlobalQual *global = lfirst(cell);

			if (!bms_is_subset(global->nodes, nodes) || bms_is_subset(global->nodes, set) ||
				!bms_overlap(global->nodes, set))
				continue;
			set = bms_add_members(set, global->nodes);
			grown = true;
		}
	}
	return set;
}

static Bitmapset *
unchanged(const Tree *tree, int number, Bitmapset *nodes, const Changed *changed)
{
	Bitmapset *set = bms_make_singleton(number);
	int other = -1;

	while ((other = bms_next_member(nodes, other)) >= 0)
		if (!has_changed(changed, graph_node(tree->graph, other)) && is_chosen(tree, other))
			set = bms_add_member(set, other);
	return set;
}

/* Make the term that asks for any row of the node that finds the required join partners. */
static PathTerm *
make_any_term(const Graph *graph, const GraphNode *node, const ClockRange *range,
			  const Changed *changed)
{
	PathTerm *term = palloc0(sizeof(PathTerm));
	Tree tree = {.graph = graph, .choices = block_choices(node->block)};
	Bitmapset *real;
	Bitmapset *joined;
	int number = -1;
	ListCell *cell;

	tree.quals = graph_quals(graph, tree.choices, NIL);
	real = implied(&tree, bms_make_singleton(node->number));
	joined = connected(&tree, node->number, unchanged(&tree, node->number, real, changed));
	term->changed = node;
	term->range = range;
	term->any_value = true;
	while ((number = bms_next_member(joined, number)) >= 0)
		term->nodes = lappend_int(term->nodes, number);
	foreach(cell, tree.quals)
		if (bms_is_subset(((GlobalQual *) lfirst(cell))->nodes, joined) &&
			must_hold(graph, lfirst(cell), real))
			term->quals = lappend(term->quals, lfirst(cell));
	return term;
}

static void
add_any_terms(List **terms, const Graph *graph, const GraphNode *node, const Changed *changed)
{
	ListCell *cell;

	if (list_member_oid(changed->relids, node->entry->relid))
		*terms = lappend(*terms, make_any_term(graph, node, NULL, changed));
	foreach(cell, changed->ranges)
		if (((ClockRange *) lfirst(cell))->test->node == node)
			*terms = lappend(*terms, make_any_term(graph, node, lfirst(cell), changed));
}

const PathTerm *
path_any_value(const List *terms)
{
	ListCell *cell;

	foreach(cell, terms)
		if (((PathTerm *) lfirst(cell))->any_value)
			return lfirst(cell);
	return NULL;
}

/* ---- all terms ---- */

static bool
same_term(const PathTerm *one, const PathTerm *other)
{
	ListCell *cell;
	ListCell *second;

	if (one->changed != other->changed || one->range != other->range ||
		!equal(one->nodes, other->nodes) || !equal(one->keys, other->keys) ||
		list_length(one->quals) != list_length(other->quals))
		return false;
	forboth(cell, one->quals, second, other->quals)
		if (!equal(((GlobalQual *) lfirst(cell))->expression,
				   ((GlobalQual *) lfirst(second))->expression))
			return false;
	return true;
}

static void
add_term(List **terms, PathTerm *term)
{
	ListCell *cell;

	foreach(cell, *terms)
		if (same_term(lfirst(cell), term))
			return;
	*terms = lappend(*terms, term);
}

static void
add_terms(List **terms, Tree *tree, const ResultKey *key, int number, const Changed *changed)
{
	const GraphNode *node = graph_node(tree->graph, number);
	ListCell *cell;

	if (bms_is_member(number, tree->done))
		return;
	tree->done = bms_add_member(tree->done, number);
	if (list_member_oid(changed->relids, node->entry->relid))
		add_term(terms, make_term(tree, key, number, NULL));
	foreach(cell, changed->ranges)
		if (((ClockRange *) lfirst(cell))->test->node == node)
			add_term(terms, make_term(tree, key, number, lfirst(cell)));
}

/* Do the choices contain two operands of the same set operation? */
static bool
contradict(List *choices)
{
	ListCell *cell;
	ListCell *other;

	foreach(cell, choices)
		foreach(other, choices)
			if (lfirst(cell) != lfirst(other) &&
				((GraphBlock *) lfirst(cell))->parent == ((GraphBlock *) lfirst(other))->parent)
				return true;
	return false;
}

static Tree *
tree_for(List **trees, const Graph *graph, const KeyOwner *owner, List *choices)
{
	ListCell *cell;

	foreach(cell, *trees)
	{
		Tree *tree = lfirst(cell);

		if (tree->owner == owner && list_length(tree->choices) == list_length(choices) &&
			list_difference_ptr(choices, tree->choices) == NIL)
			return tree;
	}
	*trees = lappend(*trees, make_tree(graph, owner, choices));
	return llast(*trees);
}

static bool
add_terms_of_node(const Graph *graph, const ResultKey *key, const GraphNode *node,
				  const Changed *changed, List **trees, List **terms)
{
	ListCell *cell;
	ListCell *step;

	foreach(cell, key->owners)
	{
		KeyOwner *owner = lfirst(cell);
		List *choices = list_concat_unique_ptr(list_copy(owner->choices),
											   block_choices(node->block));
		Tree *tree;

		if (contradict(choices))
			continue;
		tree = tree_for(trees, graph, owner, choices);
		if (tree->paths[node->number] == NIL)
			return false;
		/* nodes on the path have terms under the same choices */
		foreach(step, tree->paths[node->number])
			add_terms(terms, tree, key, lfirst_int(step), changed);
	}
	return true;
}

bool
path_terms(const Graph *graph, const ResultKey *key, List *relids, List *ranges, List **terms,
		   Oid *obstacle)
{
	Changed changed = {.relids = relids, .ranges = ranges};
	List *trees = NIL;
	ListCell *cell;

	*terms = NIL;
	foreach(cell, graph->hidden)
		if (list_member_oid(relids, lfirst_oid(cell)))
		{
			*obstacle = lfirst_oid(cell);
			return false;
		}
	foreach(cell, graph->nodes)
	{
		GraphNode *node = lfirst(cell);

		if (has_changed(&changed, node) &&
			(key->natts == 0 || !add_terms_of_node(graph, key, node, &changed, &trees, terms)))
			add_any_terms(terms, graph, node, &changed);
	}
	return true;
}

/* ---- the query of a term ---- */

typedef struct Localise
{
	const PathTerm *term;
	AttrNumber *positions; /* of columns in images of the changed relation; NULL if it has none */
} Localise;

static Node *
localise(Node *node, void *context)
{
	Localise *walk = context;
	Var *var = (Var *) node;
	ListCell *cell;

	if (node == NULL)
		return NULL;
	if (!IsA(node, Var))
		return expression_tree_mutator(node, localise, walk);
	var = copyObject(var);
	if (walk->positions != NULL && var->varno == walk->term->changed->number)
		var->varattno = walk->positions[var->varattno - 1];
	foreach(cell, walk->term->nodes)
		if (lfirst_int(cell) == ((Var *) node)->varno)
		{
			var->varno = foreach_current_index(cell) + 1;
			break;
		}
	var->varnosyn = 0;
	var->varattnosyn = 0;
	return (Node *) var;
}

/*
 * Returns the positions of the columns of a relation in its images, which
 * leave out dropped columns.
 */
static AttrNumber *
image_positions(Oid relid)
{
	Relation rel = relation_open(relid, NoLock);
	TupleDesc desc = RelationGetDescr(rel);
	AttrNumber *positions = palloc0(sizeof(AttrNumber) * Max(desc->natts, 1));
	AttrNumber position = 0;

	for (int i = 0; i < desc->natts; i++)
		if (!TupleDescAttr(desc, i)->attisdropped)
			positions[i] = ++position;
	relation_close(rel, NoLock);
	return positions;
}

static void
add_nodes(Query *query, const Graph *graph, const PathTerm *term, const TreeRelation *changes)
{
	List *references = NIL;
	ListCell *cell;

	foreach(cell, term->nodes)
	{
		const GraphNode *node = graph_node(graph, lfirst_int(cell));
		RangeTblRef *reference = makeNode(RangeTblRef);

		if (node == term->changed && changes != NULL)
			query->rtable = lappend(query->rtable,
									tree_entry(changes, node->entry->eref->aliasname));
		else
			query_add_entry_compat(query, node->block->query, node->entry);
		reference->rtindex = list_length(query->rtable);
		references = lappend(references, reference);
	}
	query->jointree = makeFromExpr(references, NULL);
}

static void
add_distinct(Query *query)
{
	ListCell *cell;

	foreach(cell, query->targetList)
	{
		TargetEntry *entry = lfirst(cell);
		SortGroupClause *clause = makeNode(SortGroupClause);

		entry->ressortgroupref = entry->resno;
		clause->tleSortGroupRef = entry->resno;
		get_sort_group_operators(exprType((Node *) entry->expr),
								 true,
								 true,
								 false,
								 &clause->sortop,
								 &clause->eqop,
								 NULL,
								 &clause->hashable);
		query->distinctClause = lappend(query->distinctClause, clause);
	}
}

/* The query of such a term only has to find out whether there is a row. */
static void
limit_to_one(Query *query)
{
	query->limitCount = (Node *)
		makeConst(INT8OID, -1, InvalidOid, sizeof(int64), Int64GetDatum(1), false, FLOAT8PASSBYVAL);
	query->limitOption = LIMIT_OPTION_COUNT;
}

Query *
path_query(const Graph *graph, const ResultKey *key, const PathTerm *term,
		   const TreeRelation *changes)
{
	Query *query = makeNode(Query);
	Localise walk = {.term = term};
	List *quals = NIL;
	ListCell *cell;

	if (changes != NULL)
		walk.positions = image_positions(term->changed->entry->relid);
	query->commandType = CMD_SELECT;
	query->canSetTag = true;
	add_nodes(query, graph, term, changes);
	foreach(cell, term->quals)
		quals = lappend(quals, localise(((GlobalQual *) lfirst(cell))->expression, &walk));
	foreach(cell, term->range == NULL ? NIL : term->range->quals)
		quals = lappend(quals, localise(lfirst(cell), &walk));
	query->jointree->quals = quals == NIL ? NULL : (Node *) make_ands_explicit(quals);
	if (term->any_value)
		limit_to_one(query);
	foreach(cell, term->keys)
	{
		int i = foreach_current_index(cell);

		query->targetList = lappend(
			query->targetList,
			makeTargetEntry((Expr *) localise(lfirst(cell), &walk),
							i + 1,
							pstrdup(NameStr(TupleDescAttr(key->desc, i)->attname)),
							false));
	}
	if (!term->any_value && (list_length(term->nodes) > 1 || term->range != NULL))
		add_distinct(query);
	return query;
}
