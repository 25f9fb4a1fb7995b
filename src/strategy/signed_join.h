/*-------------------------------------------------------------------------
 *
 * signed_join.h
 *		The exact change of a join of tables, as a sum of signed joins.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_STRATEGY_SIGNED_JOIN_H
#define DEPIPE_STRATEGY_SIGNED_JOIN_H

#include "depipe.h"
#include "nodes/parsenodes.h"
#include "query/runtree.h"

/* More changed tables than this need more than fifteen joins. */
#define SIGNED_JOIN_MOST_CHANGED 4

/* The name of the column with the weight. */
#define SIGNED_JOIN_WEIGHT "_depipe_weight"

/* One query level that joins tables with inner joins. */
typedef struct SignedJoin
{
	Query *query;    /* without WITH, aliases of joins, and subqueries that only join */
	List *relations; /* of int: the range table entries that are joined */
	Node *quals;     /* the implicit AND of all conditions; NULL: none */
} SignedJoin;

/*
 * Is the query (rewritten; it is not changed) one level of inner joins of tables?
 * Otherwise *code and *detail say why not: a short constant, and a sentence.
 * Grouping and aggregates of that level are the caller's.
 */
extern bool signed_join_of_query(const Query *query, SignedJoin *join, const char **code,
								 char **detail);

/* The tables that occur in it, as a list of int, whose relation is this one. */
extern List *signed_join_occurrences(const SignedJoin *join, Oid relid);

/*
 * The queries whose rows, together, are the change of the join.  changed: of
 * SignedJoinChange, at most SIGNED_JOIN_MOST_CHANGED.  outputs: of TargetEntry,
 * expressions over the join's tables that each query returns, followed by the
 * weight of the row (int2, SIGNED_JOIN_WEIGHT).
 */
typedef struct SignedJoinChange
{
	int rtindex;
	const TreeRelation *images; /* its columns without dropped ones, then the weight (int2) */
} SignedJoinChange;

/* The query whose rows are all rows of the join, with the weight 1. */
extern Query *signed_join_rows(const SignedJoin *join, List *outputs);

extern List *signed_join_terms(const SignedJoin *join, List *outputs, List *changed);

#endif /* DEPIPE_STRATEGY_SIGNED_JOIN_H */
