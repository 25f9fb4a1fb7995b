/*-------------------------------------------------------------------------
 *
 * runtree.c
 *		Planning and running query trees that read ephemeral relations.
 *
 * The trees come from an analysed and rewritten query, and are run as they
 * are.  A text would have to be analysed and rewritten again, and by then its
 * names could denote other objects.
 *
 *-------------------------------------------------------------------------
 */
#include "query/runtree.h"

#include "core/identity.h"
#include "executor/executor.h"
#include "executor/tstoreReceiver.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "tcop/tcopprot.h"
#include "utils/queryenvironment.h"
#include "utils/ruleutils.h"
#include "utils/snapmgr.h"

#define SOURCE_TEXT "incremental refresh of a transform"

RangeTblEntry *
tree_entry(const TreeRelation *relation, const char *alias)
{
	RangeTblEntry *entry = makeNode(RangeTblEntry);
	List *names = NIL;

	for (int i = 0; i < relation->desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(relation->desc, i);

		names = lappend(names, makeString(pstrdup(NameStr(att->attname))));
		entry->coltypes = lappend_oid(entry->coltypes, att->atttypid);
		entry->coltypmods = lappend_int(entry->coltypmods, att->atttypmod);
		entry->colcollations = lappend_oid(entry->colcollations, att->attcollation);
	}
	entry->rtekind = RTE_NAMEDTUPLESTORE;
	entry->enrname = pstrdup(relation->name);
	entry->enrtuples = relation->count;
	entry->alias = makeAlias(alias, NIL);
	entry->eref = makeAlias(alias, names);
	entry->inFromCl = true;
	return entry;
}

PlannedStmt *
tree_plan(const Query *query)
{
	int level = identity_begin_statement();
	PlannedStmt *plan;

	identity_without_jit();
	plan = pg_plan_query(copyObject((Query *) query), SOURCE_TEXT, 0, NULL);
	identity_end_statement(level);
	return plan;
}

static QueryEnvironment *
environment(List *relations)
{
	QueryEnvironment *environment = create_queryEnv();
	ListCell *cell;

	foreach(cell, relations)
	{
		const TreeRelation *relation = lfirst(cell);
		EphemeralNamedRelation named = palloc0(sizeof(EphemeralNamedRelationData));

		named->md.name = pstrdup(relation->name);
		named->md.tupdesc = relation->desc;
		named->md.enrtype = ENR_NAMED_TUPLESTORE;
		named->md.enrtuples = relation->count;
		named->reldata = relation->rows;
		register_ENR(environment, named);
	}
	return environment;
}

void
tree_run(PlannedStmt *plan, List *relations, Tuplestorestate *into)
{
	int level = identity_begin_statement();
	DestReceiver *receiver = CreateDestReceiver(DestTuplestore);
	QueryDesc *query;

	SetTuplestoreDestReceiverParams(receiver, into, CurrentMemoryContext, false, NULL, NULL);
	query = CreateQueryDesc(plan,
							SOURCE_TEXT,
							GetActiveSnapshot(),
							InvalidSnapshot,
							receiver,
							NULL,
							environment(relations),
							0);
	ExecutorStart(query, 0);
	executor_run_all_compat(query);
	ExecutorFinish(query);
	ExecutorEnd(query);
	FreeQueryDesc(query);
	receiver->rDestroy(receiver);
	identity_end_statement(level);
}

/*
 * Replace references to ephemeral relations, which the deparser does not
 * support, by references to WITH queries, which look the same as text.
 */
static bool
disguise(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, disguise, context, QTW_EXAMINE_RTES_BEFORE);
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *entry = (RangeTblEntry *) node;

		if (entry->rtekind == RTE_NAMEDTUPLESTORE)
		{
			entry->rtekind = RTE_CTE;
			entry->ctename = entry->enrname;
		}
		return false;
	}
	return expression_tree_walker(node, disguise, context);
}

char *
tree_text(const Query *query)
{
	Query *copy = copyObject((Query *) query);

	(void) disguise((Node *) copy, NULL);
	return pg_get_querydef(copy, false);
}
