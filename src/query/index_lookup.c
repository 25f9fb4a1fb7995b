/*-------------------------------------------------------------------------
 *
 * index_lookup.c
 *		Indexes that find rows by an expression of their columns.
 *
 *-------------------------------------------------------------------------
 */
#include "query/index_lookup.h"

#include "access/genam.h"
#include "access/relation.h"
#include "catalog/pg_am.h"
#include "core/sqltext.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/ruleutils.h"

static Node *
of_first_entry(Node *node, void *context)
{
	Var *var = (Var *) node;

	if (node == NULL)
		return NULL;
	if (!IsA(node, Var))
		return expression_tree_mutator(node, of_first_entry, context);
	return (Node *) makeVar(1, var->varattno, var->vartype, var->vartypmod, var->varcollid, 0);
}

/* Does the index begin with the expression? */
static bool
begins_with(Relation index, Node *expression)
{
	AttrNumber first = index->rd_index->indkey.values[0];

	if (index->rd_rel->relam != BTREE_AM_OID || !index->rd_index->indisvalid ||
		RelationGetIndexPredicate(index) != NIL)
		return false;
	if (first != 0)
		return IsA(expression, Var) && ((Var *) expression)->varattno == first;
	return equal(linitial(RelationGetIndexExpressions(index)), expression);
}

bool
index_finds(Oid relid, Node *expression)
{
	Relation rel = relation_open(relid, NoLock);
	bool found = false;
	ListCell *cell;

	expression = of_first_entry(expression, NULL);
	foreach(cell, RelationGetIndexList(rel))
	{
		Relation index = index_open(lfirst_oid(cell), AccessShareLock);

		found |= begins_with(index, expression);
		index_close(index, AccessShareLock);
	}
	relation_close(rel, NoLock);
	return found;
}

char *
index_expression_text(Oid relid, Node *expression)
{
	return deparse_expression(of_first_entry(expression, NULL),
							  deparse_context_for(get_rel_name(relid), relid),
							  false,
							  false);
}

char *
index_statement(Oid relid, Node *expression)
{
	bool column = IsA(expression, Var);

	return psprintf("CREATE INDEX ON %s (%s%s%s);",
					sql_relation(relid),
					column ? "" : "(",
					index_expression_text(relid, expression),
					column ? "" : ")");
}
