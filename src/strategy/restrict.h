/*-------------------------------------------------------------------------
 *
 * restrict.h
 *		Restriction of the query of a transform to some values of a key.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_STRATEGY_RESTRICT_H
#define DEPIPE_STRATEGY_RESTRICT_H

#include "query/partition.h"
#include "query/runtree.h"

/*
 * Returns a copy of the query, which the graph was made from, with a condition
 * on the key.  The condition is that the key is in the relation "values",
 * which has each value once and no NULLs.  If "values" is NULL, the condition
 * is that a column of the key is NULL.
 */
extern Query *restrict_query(const Query *query, const Graph *graph, const ResultKey *key,
							 const TreeRelation *values);

/*
 * Does the same for a query of one table (SQL text) whose columns have the
 * names of the key's columns.  Must be called as the user who will run the
 * query.  Raises the errors of parsing.
 */
extern Query *restrict_table(const char *sql, const ResultKey *key, const TreeRelation *values);

#endif /* DEPIPE_STRATEGY_RESTRICT_H */
