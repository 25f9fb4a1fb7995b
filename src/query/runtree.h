/*-------------------------------------------------------------------------
 *
 * runtree.h
 *		Planning and running query trees that read ephemeral relations.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUERY_RUNTREE_H
#define DEPIPE_QUERY_RUNTREE_H

#include "depipe.h"
#include "access/tupdesc.h"
#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"
#include "utils/tuplestore.h"

/*
 * An ephemeral relation: rows that a query reads by name.  They must outlive
 * the execution of the query.
 */
typedef struct TreeRelation
{
	const char *name;
	TupleDesc desc;
	Tuplestorestate *rows; /* must support rewinding; NULL if only used for planning */
	double count;          /* number of rows, for the planner */
} TreeRelation;

/* Returns a range table entry for the relation under this alias. */
extern RangeTblEntry *tree_entry(const TreeRelation *relation, const char *alias);

/* Plan a copy of the query, as the current user under the active snapshot. */
extern PlannedStmt *tree_plan(const Query *query);

/*
 * Run a plan, as the current user under the active snapshot, and append its
 * rows to a tuplestore.  relations is a list of TreeRelation.
 */
extern void tree_run(PlannedStmt *plan, List *relations, Tuplestorestate *into);

/*
 * Returns the query as SQL for the user.  It shows what the query does, but it
 * cannot always be run.
 */
extern char *tree_text(const Query *query);

#endif /* DEPIPE_QUERY_RUNTREE_H */
