/*-------------------------------------------------------------------------
 *
 * dag.c
 *		The graph of targets: order, upstream targets, blocking targets.
 *
 * The graph is not declared.  There is an edge for each target that the query
 * of a transform reads.
 *
 * Invariant: the graph has no cycles, because a transform that would close one
 * is refused.
 *
 *-------------------------------------------------------------------------
 */
#include "query/dag.h"

#include "catalog/namespace.h"
#include "catalog/transforms.h"
#include "core/identity.h"
#include "catalog/owner.h"
#include "core/sqltext.h"
#include "query/shape.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

/* states of loads and transforms that block the readers of the table */
static const char *const blocking_load_states[] = {"new",
												   "copying",
												   "needs_resync",
												   "missing",
												   "detached"};
/* states in which a load has yet to create its table */
static const char *const makes_table[] = {"new", "copying"};
static const char *const blocking_transform_states[] = {"broken", "failed", "rejected"};

/* ---- loading ---- */

static bool
is_one_of(const char *word, const char *const *words, int nwords)
{
	for (int i = 0; word != NULL && i < nwords; i++)
		if (strcmp(word, words[i]) == 0)
			return true;
	return false;
}

static char *
with_reason(const char *what, const char *reason)
{
	return reason == NULL ? pstrdup(what) : psprintf("%s: %s", what, reason);
}

static void
set_blocking(DagNode *node, const char *state, const char *reason)
{
	node->state = pstrdup(state);
	node->reason = reason == NULL ? NULL : pstrdup(reason);
	node->cause = with_reason(state, reason);
}

/* Set the state and the reason of the node if it blocks its readers. */
static void
find_own_cause(CatalogRows *rows, uint64 row, DagNode *node)
{
	char *reason = catalog_text(rows, row, NODE_REASON);
	char *load_state = catalog_text(rows, row, NODE_LOAD_STATE);
	char *transform_state = catalog_text(rows, row, NODE_TRANSFORM_STATE);
	char *breaker = catalog_text(rows, row, NODE_BREAKER_STATE);
	char *problem = node->kind == TARGET_TABLE
						? NULL
						: owner_problem(node->owner, catalog_text(rows, row, NODE_SERVER));

	if (problem != NULL)
		set_blocking(node, OWNERLESS, problem);
	else if (!OidIsValid(node->relid) && !is_one_of(load_state, makes_table, lengthof(makes_table)))
		set_blocking(node, "missing", NULL);
	else if (catalog_bool(rows, row, NODE_PAUSED))
		set_blocking(node, "paused", catalog_text(rows, row, NODE_PAUSE_REASON));
	else if (breaker != NULL)
	{
		set_blocking(node, breaker, catalog_text(rows, row, NODE_BREAKER_REASON));
		node->cause = psprintf("breaker %s", node->cause);
	}
	else if (node->kind == TARGET_LOAD &&
			 is_one_of(load_state, blocking_load_states, lengthof(blocking_load_states)))
		set_blocking(node, load_state, reason);
	else if (node->kind == TARGET_TRANSFORM && !catalog_bool(rows, row, NODE_POPULATED))
	{
		set_blocking(node, "new", "never populated");
		node->cause = node->reason;
	}
	else if (node->kind == TARGET_TRANSFORM && is_one_of(transform_state,
														 blocking_transform_states,
														 lengthof(blocking_transform_states)))
		set_blocking(node, transform_state, reason);
}

static Oid
find_table(const char *schema_name, const char *table_name)
{
	Oid schema = get_namespace_oid(schema_name, true);

	return OidIsValid(schema) ? get_relname_relid(table_name, schema) : InvalidOid;
}

DagNode *
dag_node(Dag *dag, int32 target_id)
{
	for (int i = 0; i < dag->nnodes; i++)
		if (dag->nodes[i].id == target_id)
			return &dag->nodes[i];
	return NULL;
}

Dag *
dag_from_rows(CatalogRows *rows)
{
	CatalogRows *edges = dag_select_edges();
	Dag *dag = palloc0(sizeof(Dag));

	dag->nnodes = rows->count;
	dag->nodes = palloc0(sizeof(DagNode) * Max(rows->count, 1));
	for (int i = 0; i < dag->nnodes; i++)
	{
		DagNode *node = &dag->nodes[i];

		node->id = catalog_int4(rows, i, NODE_ID);
		node->schema_name = catalog_text(rows, i, NODE_SCHEMA);
		node->table_name = catalog_text(rows, i, NODE_TABLE);
		node->display = sql_table(node->schema_name, node->table_name);
		node->kind = (TargetKind) catalog_text(rows, i, NODE_KIND)[0];
		node->owner = catalog_oid(rows, i, NODE_OWNER);
		node->relid = find_table(node->schema_name, node->table_name);
		find_own_cause(rows, i, node);
	}
	for (uint64 i = 0; i < edges->count; i++)
	{
		DagNode *reader = dag_node(dag, catalog_int4(edges, i, 1));
		DagNode *input = dag_node(dag, catalog_int4(edges, i, 2));

		/* created after the nodes were read */
		if (reader == NULL || input == NULL)
			continue;
		reader->reads = lappend(reader->reads, input);
		input->read_by = lappend(input->read_by, reader);
	}
	return dag;
}

Dag *
dag_load(void)
{
	return dag_from_rows(dag_select_nodes());
}

void
dag_set_cause(Dag *dag, int32 target_id, const char *cause)
{
	DagNode *node = dag_node(dag, target_id);

	if (node != NULL)
		node->cause = cause == NULL ? NULL : MemoryContextStrdup(GetMemoryChunkContext(dag), cause);
}

/* ---- walking ---- */

static void
clear_visited(Dag *dag)
{
	for (int i = 0; i < dag->nnodes; i++)
		dag->nodes[i].visited = dag->nodes[i].reached = false;
}

/* Append the node and all that it reads, inputs before their readers. */
static void
append_upstream_first(DagNode *node, List **ordered)
{
	ListCell *cell;

	/* NULL if it was dropped after it was looked up */
	if (node == NULL || node->visited)
		return;
	node->visited = true;
	foreach(cell, node->reads)
		append_upstream_first(lfirst(cell), ordered);
	*ordered = lappend(*ordered, node);
}

List *
dag_order(Dag *dag, List *target_ids)
{
	List *ordered = NIL;
	List *result = NIL;
	ListCell *cell;

	clear_visited(dag);
	foreach(cell, target_ids)
		append_upstream_first(dag_node(dag, lfirst_int(cell)), &ordered);
	foreach(cell, ordered)
	{
		DagNode *node = lfirst(cell);

		if (list_member_int(target_ids, node->id))
			result = lappend_int(result, node->id);
	}
	return result;
}

List *
dag_upstream_ids(Dag *dag, int32 target_id)
{
	List *ordered = NIL;
	List *result = NIL;
	ListCell *cell;

	clear_visited(dag);
	append_upstream_first(dag_node(dag, target_id), &ordered);
	foreach(cell, ordered)
	{
		DagNode *node = lfirst(cell);

		if (node->id != target_id)
			result = lappend_int(result, node->id);
	}
	return result;
}

List *
dag_upstream(List *targets)
{
	Dag *dag = dag_load();
	List *ordered = NIL;
	List *result = NIL;
	ListCell *cell;

	foreach(cell, targets)
		append_upstream_first(dag_node(dag, ((Target *) lfirst(cell))->id), &ordered);
	foreach(cell, ordered)
	{
		DagNode *node = lfirst(cell);

		if (node->kind != TARGET_TABLE)
			result = lappend(result, target_get(node->id));
	}
	return result;
}

/* ---- names and reasons that a role may see ---- */

static const char *
name_for(const DagNode *node, Oid reader)
{
	return identity_role_may_see(reader, node->owner, node->relid) ? node->display : DAG_HIDDEN;
}

static char *
cause_for(const DagNode *node, Oid reader)
{
	if (identity_role_may_inspect(reader, node->owner))
		return node->cause;
	if (!identity_role_may_see(reader, node->owner, node->relid))
		return pstrdup(DAG_HIDDEN);
	return pnstrdup(node->cause, strcspn(node->cause, ":"));
}

List *
dag_readers(int32 target_id)
{
	DagNode *node = dag_node(dag_load(), target_id);
	List *names = NIL;
	ListCell *cell;

	if (node == NULL)
		return NIL;
	foreach(cell, node->read_by)
		names = lappend(names, (char *) name_for(lfirst(cell), GetUserId()));
	return names;
}

/* ---- blocking ---- */

/*
 * Find a node upstream that blocks this one.  The path begins with the
 * blocking node that is farthest upstream.
 */
static bool
find_block(DagNode *node, Oid reader, char **path, char **reason)
{
	ListCell *cell;

	node->visited = true;
	foreach(cell, node->reads)
	{
		DagNode *input = lfirst(cell);

		if (input->visited)
			continue;
		if (find_block(input, reader, path, reason))
		{
			*path = psprintf("%s -> %s", *path, name_for(node, reader));
			return true;
		}
		if (input->cause != NULL)
		{
			*path = psprintf("%s -> %s", name_for(input, reader), name_for(node, reader));
			*reason = cause_for(input, reader);
			return true;
		}
	}
	return false;
}

bool
dag_find_block(Dag *dag, int32 target_id, char **path, char **reason)
{
	DagNode *node = dag_node(dag, target_id);

	if (node == NULL)
		return false;
	clear_visited(dag);
	return find_block(node, node->owner, path, reason);
}

/* ---- paths, cycles ---- */

/*
 * Returns the path from this node down to the goal, as "a -> b -> goal", or
 * NULL if there is none.
 */
static char *
path_to(DagNode *node, DagNode *goal, Oid reader)
{
	ListCell *cell;

	if (node == goal)
		return pstrdup(name_for(node, reader));
	if (node->visited)
		return NULL;
	node->visited = true;
	foreach(cell, node->read_by)
	{
		char *rest = path_to(lfirst(cell), goal, reader);

		if (rest != NULL)
			return psprintf("%s -> %s", name_for(node, reader), rest);
	}
	return NULL;
}

char *
dag_path(Dag *dag, int32 from_id, int32 to_id)
{
	DagNode *from = dag_node(dag, from_id);
	DagNode *goal = dag_node(dag, to_id);

	if (from == NULL || goal == NULL)
		return NULL;
	clear_visited(dag);
	return path_to(from, goal, goal->owner);
}

void
dag_check_cycle(const char *schema_name, const char *table_name, List *inputs)
{
	Target *target = target_find_named(schema_name, table_name);
	Dag *dag = dag_load();
	ListCell *cell;

	clear_visited(dag);
	foreach(cell, inputs)
	{
		ShapeInput *input = lfirst(cell);
		Target *read;
		char *path = NULL;

		if (strcmp(input->schema_name, schema_name) == 0 &&
			strcmp(input->table_name, table_name) == 0)
			ereport(
				ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("transform %s must not read itself", sql_table(schema_name, table_name))));
		if (target == NULL)
			continue;
		read = target_find_named(input->schema_name, input->table_name);
		if (read != NULL && dag_node(dag, target->id) != NULL && dag_node(dag, read->id) != NULL)
			path = path_to(dag_node(dag, target->id), dag_node(dag, read->id), GetUserId());
		if (path != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
					 errmsg("transforms must not form a cycle: %s -> %s", path, target->display)));
	}
}
