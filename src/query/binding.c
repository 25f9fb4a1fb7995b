/*-------------------------------------------------------------------------
 *
 * binding.c
 *		Binding of the queries of transforms to the objects that their names
 *		denote.
 *
 * The text of a query names tables, columns and functions.  Its analysed tree
 * refers to tables and functions by OID, and to columns by number.  The
 * catalog stores both.  After a rename, the tree is deparsed again and the
 * stored text is replaced by the result.  If another object has taken over the
 * old name, the text keeps the name, and so refers to the new object.
 *
 *-------------------------------------------------------------------------
 */
#include "query/binding.h"

#include "access/htup_details.h"
#include "catalog/pg_attribute.h"
#include "catalog/transforms.h"
#include "core/guarded.h"
#include "core/identity.h"
#include "core/querytext.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "parser/parsetree.h"
#include "query/dag.h"
#include "query/table.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

/* ---- the tree of the last analysis ---- */

typedef struct TreeWalk
{
	List *queries; /* stack of Query */
	bool broken;
} TreeWalk;

/* Returns the name of a column at the time of the analysis, or NULL if it is not known. */
static const char *
known_name(const RangeTblEntry *entry, AttrNumber attnum)
{
	if (entry->alias != NULL && entry->alias->colnames != NIL)
		return NULL;
	if (attnum > list_length(entry->eref->colnames))
		return NULL;
	return strVal(list_nth(entry->eref->colnames, attnum - 1));
}

static bool
has_column(Oid relid, AttrNumber attnum)
{
	HeapTuple tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relid), Int16GetDatum(attnum));
	bool dropped;

	if (!HeapTupleIsValid(tuple))
		return false;
	dropped = ((Form_pg_attribute) GETSTRUCT(tuple))->attisdropped;
	ReleaseSysCache(tuple);
	return !dropped;
}

/*
 * Follow the rename of a column.  The rule is the same as for tables: if the
 * old name still denotes a column, the query refers to that column, even if it
 * is a different one.  Otherwise the column was renamed, or it was dropped and
 * the tree is broken.
 */
static void
follow_column(Var *var, TreeWalk *walk)
{
	Query *query = list_nth(walk->queries, list_length(walk->queries) - 1 - (int) var->varlevelsup);
	RangeTblEntry *entry = rt_fetch(var->varno, query->rtable);
	const char *name;
	AttrNumber attnum = InvalidAttrNumber;

	if (var->varattno <= 0 || entry->rtekind != RTE_RELATION)
		return;
	name = known_name(entry, var->varattno);
	if (name != NULL)
		attnum = get_attnum(entry->relid, name);
	if (attnum != InvalidAttrNumber)
		var->varattno = var->varattnosyn = attnum;
	else if (!has_column(entry->relid, var->varattno))
		walk->broken = true;
}

/*
 * Follow the names in a tree.  Sets walk->broken if a relation or a column no
 * longer exists, because such a tree cannot be deparsed.
 */
static bool
follow_names(Node *node, TreeWalk *walk)
{
	if (node == NULL || walk->broken)
		return walk->broken;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *entry = (RangeTblEntry *) node;

		if (entry->rtekind == RTE_RELATION && get_rel_name(entry->relid) == NULL)
			walk->broken = true;
		return walk->broken;
	}
	if (IsA(node, Query))
	{
		walk->queries = lappend(walk->queries, node);
		(void) query_tree_walker((Query *) node,
								 follow_names,
								 walk,
								 QTW_EXAMINE_RTES_BEFORE | QTW_IGNORE_JOINALIASES);
		walk->queries = list_truncate(walk->queries, list_length(walk->queries) - 1);
		return walk->broken;
	}
	if (IsA(node, Var))
	{
		follow_column((Var *) node, walk);
		return walk->broken;
	}
	return expression_tree_walker(node, follow_names, walk);
}

static char *
deparse_tree(const char *tree)
{
	Query *query = (Query *) stringToNode(tree);
	TreeWalk walk = {0};
	char *problem;

	if (follow_names((Node *) query, &walk))
		return NULL;
	return querytext_of_query(query, &problem);
}

/* ---- names that were taken over ---- */

static bool
names_relation(const List *relids, const TransformInput *input)
{
	ListCell *cell;

	foreach(cell, relids)
	{
		char *name = get_rel_name(lfirst_oid(cell));

		if (name != NULL && strcmp(name, input->table_name) == 0 &&
			strcmp(get_namespace_name(get_rel_namespace(lfirst_oid(cell))), input->schema_name) ==
				0)
			return true;
	}
	return false;
}

/* Has another table taken over a name that the query uses?  If so, the query keeps its names. */
static bool
name_was_taken(const Transform *transform)
{
	ListCell *cell;

	foreach(cell, transform->inputs)
	{
		TransformInput *input = lfirst(cell);

		if (input->direct && !names_relation(transform->relids, input) &&
			OidIsValid(transform_input_relid(input)))
			return true;
	}
	return false;
}

/*
 * Returns the current text of the query, deparsed from the tree of its last
 * analysis, or NULL if an object no longer exists or another one has taken
 * over its name.  Must be called as the owner of the transform.
 */
static char *
followed_query(const Transform *transform)
{
	if (transform->query_tree == NULL || transform->relids == NIL || name_was_taken(transform))
		return NULL;
	return deparse_tree(transform->query_tree);
}

/* ---- analysing and storing ---- */

static bool
same_inputs(List *stored, List *found)
{
	ListCell *cell;
	ListCell *other;

	if (list_length(stored) != list_length(found))
		return false;
	foreach(cell, found)
	{
		ShapeInput *wanted = lfirst(cell);
		bool present = false;

		foreach(other, stored)
		{
			TransformInput *input = lfirst(other);

			present |= input->direct == wanted->direct &&
					   strcmp(input->schema_name, wanted->schema_name) == 0 &&
					   strcmp(input->table_name, wanted->table_name) == 0;
		}
		if (!present)
			return false;
	}
	return true;
}

Shape *
transform_analyse(Transform *transform)
{
	Shape *shape = shape_analyse(transform->query_sql);
	char *followed;

	if (transform->query_tree == NULL || strcmp(transform->query_tree, shape_tree(shape)) == 0)
		return shape;
	followed = followed_query(transform);
	if (followed == NULL || strcmp(followed, transform->query_sql) == 0)
		return shape;
	transform->query_sql = followed;
	transform->followed = true;
	return shape_analyse(followed);
}

bool
transform_rebind(Transform *transform, const Shape *shape)
{
	Target *target = transform->target;
	List *relids = shape_direct_relids(shape);
	char *tree = shape_tree(shape);
	bool changed = !same_inputs(transform->inputs, shape->inputs);
	ListCell *cell;

	if (changed)
	{
		dag_check_cycle(target->schema_name, target->table_name, shape->inputs);
		transform_delete_inputs(target->id);
		foreach(cell, shape->inputs)
		{
			ShapeInput *input = lfirst(cell);

			transform_insert_input(target->id,
								   input->schema_name,
								   input->table_name,
								   input->direct);
		}
		transform->inputs = transform_read_inputs(target->id);
	}
	if (transform->followed)
		transform_set_query_sql(target->id, transform->query_sql);
	if (transform->query_tree == NULL || !equal(transform->relids, relids) ||
		strcmp(transform->query_tree, tree) != 0)
		transform_set_binding(target->id, tree, relids);
	return changed;
}

/* ---- after renames ---- */

static void
store_followed(const Transform *transform, const char *query_sql)
{
	int32 id = transform->target->id;
	ListCell *cell;

	transform_set_query_sql(id, query_sql);
	transform_delete_inputs(id);
	foreach(cell, transform->relids)
		transform_insert_input(id,
							   get_namespace_name(get_rel_namespace(lfirst_oid(cell))),
							   get_rel_name(lfirst_oid(cell)),
							   true);
	foreach(cell, transform->inputs)
	{
		TransformInput *input = lfirst(cell);

		if (!input->direct && !names_relation(transform->relids, input))
			transform_insert_input(id, input->schema_name, input->table_name, false);
	}
}

typedef struct QueryWork
{
	const Transform *transform;
	char *query_sql;
	Shape *shape;
} QueryWork;

/*
 * Analyse the current text of the query as the owner of the transform.  If the
 * tree cannot be deparsed (for example because a column was dropped), the text
 * stays as it is.  Either its names now denote other objects, or the analysis
 * fails here and again at the next refresh.
 */
static bool
follow_query(void *argument)
{
	QueryWork *work = argument;
	Identity identity;

	identity_become_with(work->transform->target->owner,
						 work->transform->target->settings,
						 &identity); /* also sets the pinned search_path */
	work->query_sql = followed_query(work->transform);
	if (work->query_sql == NULL)
		work->query_sql = work->transform->query_sql;
	work->shape = shape_analyse(work->query_sql);
	identity_restore(&identity);
	return true;
}

bool
binding_error_breaks(int sqlerrcode)
{
	return sqlerrcode != ERRCODE_INSUFFICIENT_PRIVILEGE &&
		   (ERRCODE_TO_CATEGORY(sqlerrcode) ==
				ERRCODE_TO_CATEGORY(ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION) ||
			sqlerrcode == ERRCODE_INVALID_SCHEMA_NAME);
}

char *
binding_settle(int32 target_id)
{
	Transform *transform = transform_get(target_id);
	QueryWork work = {.transform = transform};
	ErrorData *error = guarded_run(follow_query, &work);
	char *tree;

	if (error != NULL)
	{
		if (transform->relids != NIL && name_was_taken(transform))
			transform_set_binding(target_id, NULL, NIL);
		return binding_error_breaks(error->sqlerrcode) ? error->message : NULL;
	}
	if (strcmp(work.query_sql, transform->query_sql) != 0)
		store_followed(transform, work.query_sql);
	tree = shape_tree(work.shape);
	if (transform->query_tree == NULL || strcmp(tree, transform->query_tree) != 0)
		transform_set_binding(target_id, tree, shape_direct_relids(work.shape));
	if (OidIsValid(transform->target->relid) &&
		table_difference(transform->target->relid, work.shape->columns) != NULL)
		return table_why_other_columns(transform->target);
	return NULL;
}
