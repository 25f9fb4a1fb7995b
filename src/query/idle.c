/*-------------------------------------------------------------------------
 *
 * idle.c
 *		Transforms whose inputs have not changed.
 *
 * If the inputs are the same as under the snapshot of the last refresh, the
 * result is the same, provided that it depends on nothing else.  Functions
 * created by users can be replaced without notice, so a query that calls one
 * is always run.  Functions of extensions are assumed not to change.
 *
 *-------------------------------------------------------------------------
 */
#include "query/idle.h"

#include "access/relation.h"
#include "access/transam.h"
#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "nodes/nodeFuncs.h"
#include "rewrite/rewriteHandler.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

static bool
is_users_function(Oid function, void *context)
{
	return function >= FirstNormalObjectId &&
		   !OidIsValid(getExtensionOfObject(ProcedureRelationId, function));
}

static bool
calls_users_function(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (check_functions_in_node(node, is_users_function, context))
		return true;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, calls_users_function, context, 0);
	return expression_tree_walker(node, calls_users_function, context);
}

static bool
view_is_pure(Oid relid)
{
	Relation rel = relation_open(relid, AccessShareLock);
	bool pure = !calls_users_function((Node *) get_view_query(rel), NULL);

	relation_close(rel, NoLock);
	return pure;
}

bool
idle_calls_users_functions(const Shape *shape)
{
	ListCell *cell;

	if (calls_users_function((Node *) shape->query, NULL))
		return true;
	foreach(cell, shape->inputs)
	{
		Oid relid = ((ShapeInput *) lfirst(cell))->relid;

		if (get_rel_relkind(relid) == RELKIND_VIEW && !view_is_pure(relid))
			return true;
	}
	return false;
}

bool
idle_query_is_pure(const Shape *shape)
{
	return !shape->volatility.is_volatile && !shape->volatility.is_stable &&
		   !idle_calls_users_functions(shape);
}
