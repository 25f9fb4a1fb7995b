/*-------------------------------------------------------------------------
 *
 * restrict.h
 *		The query of a transform for some values of a key only.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_STRATEGY_RESTRICT_H
#define DEPIPE_STRATEGY_RESTRICT_H

#include "query/partition.h"
#include "query/runtree.h"

/*
 * A copy of the query (that the graph was made of) with the condition that the
 * key is in a relation, which has each value once, without NULLs.  NULL: that
 * a column of the key is NULL.
 */
extern Query *restrict_query(const Query *query, const Graph *graph, const ResultKey *key,
							 const TreeRelation *values);

/*
 * The same for a query of one table (SQL text), whose columns have the names of
 * the key's.
 */
extern Query *restrict_table(const char *sql, const ResultKey *key, const TreeRelation *values);

#endif /* DEPIPE_STRATEGY_RESTRICT_H */
