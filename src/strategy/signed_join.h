/*-------------------------------------------------------------------------
 *
 * signed_join.h
 *		Exact change of a join of tables, as a sum of signed joins.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_STRATEGY_SIGNED_JOIN_H
#define DEPIPE_STRATEGY_SIGNED_JOIN_H

#include "depipe.h"
#include "nodes/parsenodes.h"
#include "query/runtree.h"

/* Highest number of changed tables in a join.  Four tables need fifteen joins. */
#define SIGNED_JOIN_MOST_CHANGED 4

/* Name of the column that holds the weight. */
#define SIGNED_JOIN_WEIGHT "_depipe_weight"

/* A query level that combines tables with inner joins. */
typedef struct SignedJoin
{
	Query *query;    /* WITH, join aliases and simple subqueries are inlined */
	List *relations; /* list of int: range table indexes of the joined tables */
	Node *quals;     /* implicit-AND list of all conditions, or NULL */
} SignedJoin;

/*
 * Returns true if the query, which must be rewritten already, is one level of
 * inner joins of tables, and fills *join in the current memory context.
 * Otherwise returns false and sets *code to a reason code (a constant) and
 * *detail to a sentence.  Does not modify the query.  Grouping and aggregates
 * at that level are not checked.
 */
extern bool signed_join_of_query(const Query *query, SignedJoin *join, const char **code,
								 char **detail);

/* Returns the range table indexes (list of int) at which the relation is joined. */
extern List *signed_join_occurrences(const SignedJoin *join, Oid relid);

/* A changed table of a join. */
typedef struct SignedJoinChange
{
	int rtindex;
	const TreeRelation *images; /* columns that are not dropped, then the weight (int2) */
} SignedJoinChange;

/* Returns the query for all rows of the join, with weight 1.  "outputs" is as below. */
extern Query *signed_join_rows(const SignedJoin *join, List *outputs);

/*
 * Returns the queries whose rows together are the change of the join.
 * "changed" is a list of SignedJoinChange with at most SIGNED_JOIN_MOST_CHANGED
 * elements.  "outputs" is a list of TargetEntry with expressions over the
 * tables of the join.  Each query returns the outputs, followed by the weight
 * of the row (int2, SIGNED_JOIN_WEIGHT).
 */
extern List *signed_join_terms(const SignedJoin *join, List *outputs, List *changed);

#endif /* DEPIPE_STRATEGY_SIGNED_JOIN_H */
