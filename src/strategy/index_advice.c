/*-------------------------------------------------------------------------
 *
 * index_advice.c
 *		Advice on indexes that would save incremental refreshes from reading
 *		whole tables.
 *
 * Strategy "keys" searches tables in two steps.  It follows joins from changed
 * rows to values of the key, and then from these values to the rows of the
 * query.  Each searched table needs one index on one of the compared
 * expressions.  The planner decides whether to use it.
 *
 *-------------------------------------------------------------------------
 */
#include "strategy/index_advice.h"

#include "access/relation.h"
#include "core/sqltext.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "storage/bufmgr.h"
#include "query/globalise.h"
#include "query/index_lookup.h"
#include "query/paths.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

/* A table with fewer pages is read about as fast as it is searched. */
#define LARGE_TABLE 100

static bool
is_large(Oid relid)
{
	Relation rel = relation_open(relid, NoLock);
	bool large = !RELKIND_HAS_STORAGE(rel->rd_rel->relkind) ||
				 RelationGetNumberOfBlocks(rel) >= LARGE_TABLE;

	relation_close(rel, NoLock);
	return large;
}

/* ---- searches ---- */

/*
 * Appends the advice for a relation that is searched by one of these
 * expressions, unless the relation is small, has a suitable index, or no index
 * can serve.
 */
static void
advise(List **advice, const GraphNode *node, List *expressions)
{
	Oid relid = node->entry->relid;
	char *sentence;
	ListCell *cell;

	foreach(cell, expressions)
		if (contain_mutable_functions(lfirst(cell)) || index_finds(relid, lfirst(cell)))
			return;
	if (expressions == NIL || !is_large(relid))
		return;
	sentence = psprintf("Without an index on it, refreshes read all of %s: %s",
						sql_relation(relid),
						index_statement(relid, linitial(expressions)));
	foreach(cell, *advice)
		if (strcmp(lfirst(cell), sentence) == 0)
			return;
	*advice = lappend(*advice, sentence);
}

/*
 * Returns the expressions of the node that the conditions (list of GlobalQual)
 * compare for equality with columns of the reached nodes.
 */
static List *
compared(List *quals, const GraphNode *node, const Bitmapset *reached)
{
	List *expressions = NIL;
	ListCell *cell;
	ListCell *side;

	foreach(cell, quals)
	{
		OpExpr *op = (OpExpr *) ((GlobalQual *) lfirst(cell))->expression;

		if (!IsA(op, OpExpr) || list_length(op->args) != 2 ||
			!op_mergejoinable(op->opno, exprType(linitial(op->args))))
			continue;
		foreach(side, op->args)
		{
			Node *other = list_nth(op->args, 1 - foreach_current_index(side));

			if (global_node(lfirst(side)) == node->number &&
				bms_is_member(global_node(other), reached))
				expressions = list_append_unique(expressions, lfirst(side));
		}
	}
	return expressions;
}

/*
 * Advises on the searches that start at the first node and reach the other
 * nodes (by number) along the conditions that connect them.
 */
static void
advise_along(List **advice, const Graph *graph, List *quals, int first, List *numbers)
{
	Bitmapset *reached = bms_make_singleton(first);
	int nreached;

	do
	{
		ListCell *cell;

		nreached = bms_num_members(reached);
		foreach(cell, numbers)
		{
			const GraphNode *node = graph_node(graph, lfirst_int(cell));
			List *expressions;

			if (bms_is_member(node->number, reached))
				continue;
			expressions = compared(quals, node, reached);
			if (expressions == NIL)
				continue;
			advise(advice, node, expressions);
			reached = bms_add_member(reached, node->number);
		}
	} while (bms_num_members(reached) > nreached);
}

static void
advise_for_changes(List **advice, const KeysAnalysis *analysis, const ResultKey *key, Oid relid)
{
	List *terms;
	Oid obstacle;
	ListCell *cell;

	if (!path_terms(analysis->graph, key, list_make1_oid(relid), NIL, &terms, &obstacle))
		return;
	foreach(cell, terms)
	{
		const PathTerm *term = lfirst(cell);

		advise_along(advice, analysis->graph, term->quals, term->changed->number, term->nodes);
	}
}

/*
 * Advises on the searches for given values of the key.  Each owner is searched
 * for the values.  The other nodes are searched for rows that join with those
 * of the owner.
 */
static void
advise_for_values(List **advice, const KeysAnalysis *analysis, const ResultKey *key)
{
	List *numbers = NIL;
	ListCell *cell;

	foreach(cell, analysis->graph->nodes)
		numbers = lappend_int(numbers, ((GraphNode *) lfirst(cell))->number);
	foreach(cell, key->owners)
	{
		const KeyOwner *owner = lfirst(cell);
		List *expressions = NIL;

		for (int i = 0; i < key->natts; i++)
			expressions = lappend(expressions, owner->columns[i]);
		advise(advice, owner->node, expressions);
		advise_along(advice,
					 analysis->graph,
					 graph_quals(analysis->graph, owner->choices, owner->merges),
					 owner->node->number,
					 numbers);
	}
}

char *
index_advice(const KeysAnalysis *analysis)
{
	const ResultKey *key;
	List *relids = NIL;
	List *advice = NIL;
	StringInfoData text;
	ListCell *cell;

	if (analysis->code != NULL)
		return NULL;
	key = linitial(analysis->keys);
	foreach(cell, analysis->graph->nodes)
		relids = list_append_unique_oid(relids, ((GraphNode *) lfirst(cell))->entry->relid);
	foreach(cell, relids)
		advise_for_changes(&advice, analysis, key, lfirst_oid(cell));
	advise_for_values(&advice, analysis, key);
	initStringInfo(&text);
	foreach(cell, advice)
		appendStringInfo(&text, "%s%s", text.len > 0 ? " " : "", (char *) lfirst(cell));
	return text.len > 0 ? text.data : NULL;
}
