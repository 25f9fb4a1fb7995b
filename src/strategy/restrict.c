/*-------------------------------------------------------------------------
 *
 * restrict.c
 *		Restriction of the query of a transform to some values of a key.
 *
 * The condition is placed where the owner of the key is read, below all
 * grouping.  The planner can then start from the values and look up the rows
 * of the owner.  A plain join is sufficient because each value occurs once,
 * and the planner estimates it better than IN.
 *
 * A relation that is a side of a FULL JOIN is first wrapped in a subquery,
 * because a condition above the join would be applied too late.
 *
 * The planner does not push a join condition into a subquery that groups.  If
 * the rows of such a subquery are joined with those of the owner by the key,
 * the condition is added to the subquery also.
 *
 *-------------------------------------------------------------------------
 */
#include "strategy/restrict.h"

#include "access/relation.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parse_relation.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "tcop/tcopprot.h"
#include "query/globalise.h"
#include "query/passes.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#define VALUES_ALIAS "_depipe_affected"

/* Returns the query level, in a copy of the query, that corresponds to a block. */
static Query *
find_level(Query *query, const GraphBlock *block)
{
	Query *parent;
	Index rtindex = 1;

	if (block->parent == NULL)
		return query;
	parent = find_level(query, block->parent);
	while (block->parent->blocks[rtindex] != block)
		rtindex++;
	return rt_fetch(rtindex, parent->rtable)->subquery;
}

typedef struct Placing
{
	int number;
	Index rtindex;
} Placing;

static Node *
place(Node *node, void *context)
{
	const Placing *placing = context;
	Var *var;

	if (node == NULL)
		return NULL;
	if (!IsA(node, Var))
		return expression_tree_mutator(node, place, context);
	Assert(((Var *) node)->varno == placing->number);
	var = copyObject((Var *) node);
	return (Node *)
		makeVar(placing->rtindex, var->varattno, var->vartype, var->vartypmod, var->varcollid, 0);
}

/* Returns a column of the key as an expression over the owner at this range table index. */
static Node *
owner_column(const KeyOwner *owner, int i, Index rtindex)
{
	Placing placing = {.number = owner->node->number, .rtindex = rtindex};

	return place(owner->columns[i], &placing);
}

/* ---- subqueries that group ---- */

/*
 * Returns the expression of a node within the block that must equal the column
 * of the owner, or NULL if there is none.
 */
static Node *
equal_column(const Node *column, List *quals, const GraphNode *node, const GraphBlock *block)
{
	ListCell *cell;

	foreach(cell, quals)
	{
		const GlobalQual *global = lfirst(cell);
		Node *one;
		Node *other;

		if (!qual_equates(global, column, &one, &other) ||
			block_is_within(global->qual->unit, block) ||
			!block_is_within(block, global->qual->unit) ||
			!bms_is_subset(global->qual->sides, node->sides))
			continue;
		if (global_equal(other, column))
		{
			Node *swap = one;

			one = other;
			other = swap;
		}
		if (global_equal(one, column) && global_node(other) == node->number)
			return other;
	}
	return NULL;
}

/*
 * Returns the node as an owner of the same key, or NULL if not all columns of
 * the key have an equal expression in it.
 */
static KeyOwner *
as_owner(const ResultKey *key, const KeyOwner *owner, List *quals, const GraphNode *node,
		 const GraphBlock *block)
{
	KeyOwner *other = palloc0(sizeof(KeyOwner));

	other->node = node;
	other->columns = palloc0(sizeof(Node *) * key->natts);
	for (int i = 0; i < key->natts; i++)
	{
		other->columns[i] = equal_column(owner->columns[i], quals, node, block);
		if (other->columns[i] == NULL)
			return NULL;
	}
	return other;
}

static bool
is_fence(const Query *query)
{
	return query->hasAggs || query->groupClause != NIL || query->distinctClause != NIL ||
		   query->hasWindowFuncs;
}

/*
 * Returns the outermost grouping subquery in FROM that contains the node but
 * not the owner, or NULL if there is none.
 */
static const GraphBlock *
fence_around(const GraphNode *node, const KeyOwner *owner)
{
	const GraphBlock *fence = NULL;

	for (const GraphBlock *block = node->block; block->parent != NULL; block = block->parent)
	{
		bool in_from = false;

		if (block_is_within(owner->node->block, block) || block_is_operation(block))
			break;
		for (int i = 1; i <= list_length(block->parent->query->rtable); i++)
			in_from |= block->parent->blocks[i] == block;
		if (!in_from || block_is_operation(block->parent))
			return NULL;
		if (is_fence(block->query))
			fence = block;
	}
	return fence;
}

/* Returns further nodes that can be joined with the values, as a list of KeyOwner. */
static List *
other_owners(const Graph *graph, const ResultKey *key, const KeyOwner *owner)
{
	List *quals = graph_quals(graph, owner->choices, owner->merges);
	List *owners = NIL;
	ListCell *cell;

	foreach(cell, graph->nodes)
	{
		const GraphNode *node = lfirst(cell);
		const GraphBlock *fence = fence_around(node, owner);
		KeyOwner *other = fence == NULL ? NULL : as_owner(key, owner, quals, node, fence);

		if (other != NULL)
			owners = lappend(owners, other);
	}
	return owners;
}

/* ---- sides of a FULL JOIN ---- */

/*
 * Returns a target list of all columns of the relation at their positions,
 * with NULL for dropped columns.
 */
static List *
all_columns(const RangeTblEntry *entry)
{
	Relation rel = relation_open(entry->relid, NoLock);
	TupleDesc desc = RelationGetDescr(rel);
	List *columns = NIL;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		Expr *expression =
			att->attisdropped
				? (Expr *) makeNullConst(INT4OID, -1, InvalidOid)
				: (Expr *) makeVar(1, i + 1, att->atttypid, att->atttypmod, att->attcollation, 0);

		columns = lappend(
			columns,
			makeTargetEntry(expression, i + 1, pstrdup(NameStr(att->attname)), false));
	}
	relation_close(rel, NoLock);
	return columns;
}

/*
 * Replaces the relation at this range table index with a subquery that reads
 * it.  Returns the subquery.
 */
static Query *
wrap(Query *level, Index rtindex)
{
	RangeTblEntry *entry = rt_fetch(rtindex, level->rtable);
	RangeTblEntry *subquery = makeNode(RangeTblEntry);
	RangeTblRef *reference = makeNode(RangeTblRef);
	Query *query = makeNode(Query);

	query->commandType = CMD_SELECT;
	query->canSetTag = true;
	query_add_entry_compat(query, level, entry);
	query->targetList = all_columns(entry);
	reference->rtindex = 1;
	query->jointree = makeFromExpr(list_make1(reference), NULL);
	subquery->rtekind = RTE_SUBQUERY;
	subquery->subquery = query;
	subquery->alias = entry->alias;
	subquery->eref = entry->eref;
	subquery->inFromCl = true;
	lfirst(list_nth_cell(level->rtable, rtindex - 1)) = subquery;
	return query;
}

/* ---- the condition ---- */

/*
 * Adds the values to FROM of the level.  Returns the conditions that join them
 * with the owner.
 */
static List *
join_values(Query *level, const ResultKey *key, const KeyOwner *owner, Index rtindex,
			const TreeRelation *values)
{
	RangeTblRef *reference = makeNode(RangeTblRef);
	List *conditions = NIL;

	level->rtable = lappend(level->rtable, tree_entry(values, VALUES_ALIAS));
	reference->rtindex = list_length(level->rtable);
	level->jointree->fromlist = lappend(level->jointree->fromlist, reference);
	for (int i = 0; i < key->natts; i++)
	{
		Node *column = owner_column(owner, i, rtindex);
		Var *value =
			makeVar(reference->rtindex, i + 1, exprType(column), -1, exprCollation(column), 0);

		conditions = lappend(conditions,
							 (Expr *) make_equality(column,
													(Node *) value,
													TupleDescAttr(key->desc, i)->attcollation));
	}
	return conditions;
}

static List *
any_is_null(const ResultKey *key, const KeyOwner *owner, Index rtindex)
{
	List *tests = NIL;

	for (int i = 0; i < key->natts; i++)
	{
		NullTest *test = makeNode(NullTest);

		test->arg = (Expr *) owner_column(owner, i, rtindex);
		test->nulltesttype = IS_NULL;
		test->location = -1;
		tests = lappend(tests, test);
	}
	return list_make1(list_length(tests) == 1 ? linitial(tests) : makeBoolExpr(OR_EXPR, tests, -1));
}

static void
restrict_level(Query *level, const ResultKey *key, const KeyOwner *owner,
			   const TreeRelation *values)
{
	Index rtindex = owner->node->rtindex;
	List *conditions;

	if (owner->merges != NIL && !bms_equal(owner->node->sides, owner->node->block->sides))
	{
		level = wrap(level, rtindex);
		rtindex = 1;
	}
	conditions = values != NULL ? join_values(level, key, owner, rtindex, values)
								: any_is_null(key, owner, rtindex);
	level->jointree->quals = make_and_qual(level->jointree->quals,
										   (Node *) make_ands_explicit(conditions));
}

Query *
restrict_query(const Query *query, const Graph *graph, const ResultKey *key,
			   const TreeRelation *values)
{
	Query *copy = copyObject((Query *) query);
	Bitmapset *done = NULL;
	ListCell *cell;
	ListCell *other;

	foreach(cell, key->owners)
	{
		const KeyOwner *owner = lfirst(cell);

		restrict_level(find_level(copy, owner->node->block), key, owner, values);
		foreach(other, other_owners(graph, key, owner))
		{
			const KeyOwner *more = lfirst(other);

			if (!bms_is_member(more->node->number, done))
				restrict_level(find_level(copy, more->node->block), key, more, values);
			done = bms_add_member(done, more->node->number);
		}
	}
	return copy;
}

static Node *
table_column(Oid relid, const char *name)
{
	AttrNumber column = get_attnum(relid, name);
	Oid type;
	int32 typmod;
	Oid collation;

	get_atttypetypmodcoll(relid, column, &type, &typmod, &collation);
	return (Node *) makeVar(0, column, type, typmod, collation, 0);
}

Query *
restrict_table(const char *sql, const ResultKey *key, const TreeRelation *values)
{
	RawStmt *statement = linitial(pg_parse_query(sql));
	Query *query = parse_analyze_fixedparams(statement, sql, NULL, 0, NULL);
	GraphNode node = {.rtindex = 1};
	KeyOwner owner = {.node = &node};

	query = linitial(QueryRewrite(query));
	node.entry = linitial(query->rtable);
	owner.columns = palloc(sizeof(Node *) * key->natts);
	for (int i = 0; i < key->natts; i++)
		owner.columns[i] = table_column(node.entry->relid,
										NameStr(TupleDescAttr(key->desc, i)->attname));
	restrict_level(query, key, &owner, values);
	return query;
}
