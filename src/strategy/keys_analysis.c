/*-------------------------------------------------------------------------
 *
 * keys_analysis.c
 *		Analysis of whether the result of a query can be recomputed for some
 *		values of a key.
 *
 * This is possible only if the result changes only through changed rows of the
 * inputs, and if the images of these rows contain everything that the query
 * reads from them.
 *
 *-------------------------------------------------------------------------
 */
#include "strategy/keys_analysis.h"

#include "access/relation.h"
#include "catalog/pg_attribute.h"
#include "core/sqltext.h"
#include "nodes/nodeFuncs.h"
#include "query/idle.h"
#include "query/inline.h"
#include "query/paths.h"
#include "strategy/restrict.h"
#include "utils/rel.h"

static bool
refuse(KeysAnalysis *analysis, const char *code, char *detail, int location)
{
	analysis->code = code;
	analysis->detail = detail;
	analysis->location = location;
	return true;
}

/* ---- dependencies other than rows ---- */

static bool
find_unfit(Node *node, void *context)
{
	KeysAnalysis *analysis = context;

	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, find_unfit, analysis, QTW_EXAMINE_RTES_BEFORE);
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *entry = (RangeTblEntry *) node;

		if (entry->security_barrier)
			return refuse(analysis,
						  "security_barrier",
						  psprintf("View %s is a security barrier, whose conditions come first.",
								   sql_identifier(entry->eref->aliasname)),
						  -1);
		if (entry->tablesample != NULL)
			return refuse(analysis,
						  "tablesample",
						  pstrdup("TABLESAMPLE depends on where rows are stored."),
						  -1);
		return false;
	}
	if (IsA(node, Var) && ((Var *) node)->varattno < 0)
		return refuse(analysis,
					  "system_column",
					  pstrdup("The query reads a system column, whose changes are not captured."),
					  ((Var *) node)->location);
	return expression_tree_walker(node, find_unfit, analysis);
}

/* Row images do not contain virtual generated columns. */
static bool
reads_virtual_columns(KeysAnalysis *analysis)
{
	ListCell *cell;

	foreach(cell, analysis->graph->nodes)
	{
		Oid relid = ((GraphNode *) lfirst(cell))->entry->relid;
		Relation rel = relation_open(relid, NoLock);
		TupleDesc desc = RelationGetDescr(rel);
		bool found = false;

		for (int i = 0; i < desc->natts; i++)
			found |= TupleDescAttr(desc, i)->attgenerated != '\0' &&
					 TupleDescAttr(desc, i)->attgenerated != ATTRIBUTE_GENERATED_STORED;
		relation_close(rel, NoLock);
		if (found)
			return refuse(
				analysis,
				"virtual_column",
				psprintf("%s has a column that is generated when it is read.", sql_relation(relid)),
				-1);
	}
	return false;
}

static bool
depends_on_more(KeysAnalysis *analysis, Shape *shape)
{
	const Volatility *volatility = &shape->volatility;
	const Occurrence *secured;

	if (volatility->is_volatile)
		return refuse(analysis,
					  "volatile_function",
					  psprintf("%s.", volatility_why_volatile(volatility)),
					  -1);
	if (volatility->is_stable && volatility->beyond_clock)
		return refuse(analysis,
					  "stable_function",
					  psprintf("%s.", volatility_why_stable(volatility)),
					  -1);
	if (idle_calls_users_functions(shape))
		return refuse(analysis, "user_function", pstrdup(CALLS_USERS_FUNCTION), -1);
	secured = blocks_row_security(shape_blocks(shape));
	if (secured != NULL)
		return refuse(analysis,
					  "row_security",
					  psprintf("%s.", blocks_why_secured(secured->relid)),
					  -1);
	return false;
}

static char *
clock_detail(const Shape *shape)
{
	return psprintf("The query %s other than in comparisons with a column of one table.",
					shape->volatility.stable_part);
}

KeysAnalysis *
keys_analyse(Shape *shape)
{
	KeysAnalysis *analysis = palloc0(sizeof(KeysAnalysis));

	analysis->location = -1;
	if (depends_on_more(analysis, shape))
		return analysis;
	analysis->query = inline_with(shape_blocks(shape)->query);
	if (find_unfit((Node *) analysis->query, analysis))
		return analysis;
	analysis->graph = graph_of_query(analysis->query);
	if (reads_virtual_columns(analysis))
		return analysis;
	if (!clock_tests(analysis->graph, &analysis->tests))
	{
		(void) refuse(analysis, "stable_function", clock_detail(shape), -1);
		return analysis;
	}
	analysis->keys =
		partition_keys(analysis->graph, &analysis->code, &analysis->detail, &analysis->location);
	if (analysis->keys != NIL)
	{
		analysis->code = NULL;
		return analysis;
	}
	analysis->keys = list_make1(partition_of_all());
	if (analysis->code == NULL)
		(void) refuse(analysis, "no_partition_key", pstrdup("The query reads no table."), -1);
	return analysis;
}

/* ---- description ---- */

static TreeRelation *
relation_of_images(Oid relid)
{
	Relation rel = relation_open(relid, NoLock);
	TreeRelation *relation = palloc0(sizeof(TreeRelation));
	TupleDesc desc = RelationGetDescr(rel);
	int natts = 0;

	for (int i = 0; i < desc->natts; i++)
		natts += !TupleDescAttr(desc, i)->attisdropped;
	relation->name = "_depipe_changes";
	relation->desc = CreateTemplateTupleDesc(natts);
	natts = 0;
	for (int i = 0; i < desc->natts; i++)
		if (!TupleDescAttr(desc, i)->attisdropped)
			TupleDescCopyEntry(relation->desc, ++natts, desc, i + 1);
	relation_close(rel, NoLock);
	return relation;
}

static void
append_terms(StringInfo text, const KeysAnalysis *analysis, const ResultKey *key, Oid relid)
{
	List *terms;
	Oid obstacle;
	ListCell *cell;

	appendStringInfo(text, "\nchanges of %s:", sql_relation(relid));
	if (!path_terms(analysis->graph, key, list_make1_oid(relid), NIL, &terms, &obstacle))
	{
		appendStringInfoString(text, " any value");
		return;
	}
	if (path_any_value(terms) != NULL)
		appendStringInfoString(text, " any value, if there is such a row");
	foreach(cell, terms)
		appendStringInfo(
			text,
			"\n  %s",
			tree_text(path_query(analysis->graph, key, lfirst(cell), relation_of_images(relid))));
}

char *
keys_text(const KeysAnalysis *analysis)
{
	ResultKey *key;
	TreeRelation values = {.name = "_depipe_keys"};
	StringInfoData text;
	List *relids = NIL;
	ListCell *cell;

	if (analysis->code != NULL)
		return psprintf("%s: %s", analysis->code, analysis->detail);
	key = linitial(analysis->keys);
	values.desc = key->desc;
	initStringInfo(&text);
	appendStringInfo(&text, "key: %s", partition_key_text(key));
	foreach(cell, analysis->graph->nodes)
		relids = list_append_unique_oid(relids, ((GraphNode *) lfirst(cell))->entry->relid);
	foreach(cell, list_concat_unique_oid(relids, analysis->graph->hidden))
		append_terms(&text, analysis, key, lfirst_oid(cell));
	appendStringInfo(&text,
					 "\nrows:\n  %s",
					 tree_text(restrict_query(analysis->query, analysis->graph, key, &values)));
	return text.data;
}
