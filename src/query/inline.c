/*-------------------------------------------------------------------------
 *
 * inline.c
 *		A rewritten query without WITH, and without aliases of joins.
 *
 * Strategies on changes follow the rows of an input to the result.  The rows
 * of a WITH query with two references reach the result on two paths.  Each
 * reference is therefore replaced by a subquery of its own.  The planner does
 * the same for WITH queries that have one reference.
 *
 *-------------------------------------------------------------------------
 */
#include "query/inline.h"

#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_node.h"
#include "rewrite/rewriteManip.h"

typedef void (*QueryVisitor)(Query *query);

typedef struct WithWalk
{
	const CommonTableExpr *with;
	int levels; /* levels between its query and the one being walked */
} WithWalk;

/* ---- lower levels ---- */

static bool
visit_query(Node *node, void *visitor)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		(*(QueryVisitor *) visitor)((Query *) node);
		return false;
	}
	return expression_tree_walker(node, visit_query, visitor);
}

static void
visit_below(Query *query, QueryVisitor visitor)
{
	(void) query_tree_walker(query, visit_query, &visitor, QTW_IGNORE_JOINALIASES);
}

/* ---- WITH ---- */

static void
make_subquery(RangeTblEntry *entry, const CommonTableExpr *with)
{
	entry->rtekind = RTE_SUBQUERY;
	entry->subquery = copyObject(castNode(Query, with->ctequery));
	if (entry->ctelevelsup > 0)
		IncrementVarSublevelsUp((Node *) entry->subquery, entry->ctelevelsup, 1);
	entry->security_barrier = false;
	entry->ctename = NULL;
	entry->ctelevelsup = 0;
	entry->self_reference = false;
	entry->coltypes = entry->coltypmods = entry->colcollations = NIL;
}

static bool
replace_references(Node *node, void *context)
{
	WithWalk *walk = context;

	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *entry = (RangeTblEntry *) node;

		if (entry->rtekind == RTE_CTE && entry->ctelevelsup == walk->levels &&
			strcmp(entry->ctename, walk->with->ctename) == 0)
			make_subquery(entry, walk->with);
		return false;
	}
	if (IsA(node, Query))
	{
		bool stop;

		walk->levels++;
		stop = query_tree_walker((Query *) node, replace_references, walk, QTW_EXAMINE_RTES_AFTER);
		walk->levels--;
		return stop;
	}
	return expression_tree_walker(node, replace_references, walk);
}

/*
 * Inline the WITH queries of a level, in the order of the list: a WITH query
 * does not refer to later ones.
 */
static void
inline_level(Query *query)
{
	List *rest = NIL;
	ListCell *cell;

	foreach(cell, query->cteList)
	{
		CommonTableExpr *with = lfirst(cell);
		WithWalk walk = {.with = with, .levels = -1};

		if (with->cterecursive)
			rest = lappend(rest, with);
		else
			(void) replace_references((Node *) query, &walk);
	}
	query->cteList = rest;
	visit_below(query, inline_level);
}

Query *
inline_with(const Query *query)
{
	Query *copy = copyObject((Query *) query);

	inline_level(copy);
	return copy;
}

/* ---- aliases ---- */

static void
flatten_entry(Query *query, RangeTblEntry *entry)
{
	if (entry->rtekind == RTE_SUBQUERY)
		entry->subquery = (Query *) flatten_join_alias_vars_compat(query, (Node *) entry->subquery);
	else if (entry->rtekind == RTE_FUNCTION)
		entry->functions = (List *) flatten_join_alias_vars_compat(query,
																   (Node *) entry->functions);
	else if (entry->rtekind == RTE_VALUES)
		entry->values_lists = (List *) flatten_join_alias_vars_compat(query,
																	  (Node *) entry->values_lists);
	else if (entry->rtekind == RTE_TABLEFUNC)
		entry->tablefunc = (TableFunc *) flatten_join_alias_vars_compat(query,
																		(Node *) entry->tablefunc);
}

void
inline_aliases(Query *query)
{
	ListCell *cell;

	query_flatten_groups_compat(query);
	query->targetList = (List *) flatten_join_alias_vars_compat(query, (Node *) query->targetList);
	query->jointree = (FromExpr *) flatten_join_alias_vars_compat(query, (Node *) query->jointree);
	query->havingQual = flatten_join_alias_vars_compat(query, query->havingQual);
	query->limitOffset = flatten_join_alias_vars_compat(query, query->limitOffset);
	query->limitCount = flatten_join_alias_vars_compat(query, query->limitCount);
	foreach(cell, query->rtable)
		if (((RangeTblEntry *) lfirst(cell))->lateral)
			flatten_entry(query, lfirst(cell));
	visit_below(query, inline_aliases);
}
