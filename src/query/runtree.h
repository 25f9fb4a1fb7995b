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

/* Rows that a query reads by name.  They must outlive its run. */
typedef struct TreeRelation
{
	const char *name;
	TupleDesc desc;
	Tuplestorestate *rows; /* made for rewinding; NULL: only planned with */
	double count;          /* of rows, for the planner */
} TreeRelation;

/* A range table entry for the relation, under this alias. */
extern RangeTblEntry *tree_entry(const TreeRelation *relation, const char *alias);

/* Plan a copy of the query, as the current user under the active snapshot. */
extern PlannedStmt *tree_plan(const Query *query);

/*
 * Run a plan, as the current user under the active snapshot, and append its
 * rows to a tuplestore.  relations: of TreeRelation.
 */
extern void tree_run(PlannedStmt *plan, List *relations, Tuplestorestate *into);

/* SQL of the query for people: what it does, though not always what could be run. */
extern char *tree_text(const Query *query);

#endif /* DEPIPE_QUERY_RUNTREE_H */
