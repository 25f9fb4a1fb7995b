/*-------------------------------------------------------------------------
 *
 * aggregate_tree.h
 *		Query trees of strategy "aggregate".
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_STRATEGY_AGGREGATE_TREE_H
#define DEPIPE_STRATEGY_AGGREGATE_TREE_H

#include "query/runtree.h"
#include "strategy/sums.h"

/*
 * Returns the columns of the terms (list of TargetEntry): groups g0, g1, ...,
 * then arguments a0, a1, ...
 */
extern List *aggregate_term_outputs(const Sums *sums);

/*
 * Returns queries whose rows together are all rows of the query, with these
 * columns and the weight 1.  If "dirty" is not NULL, only rows of the groups
 * in that relation are returned.  It has the columns g0, g1, ..., and each
 * group once.
 */
extern List *aggregate_rows(const Sums *sums, const TreeRelation *dirty);

/*
 * Returns the query that makes rows of the result, with their weights, from
 * the relation "values".  Its columns are groups g0, g1, ..., aggregates v0,
 * v1, ..., and the weight.
 */
extern Query *aggregate_result(const Sums *sums, const TreeRelation *values);

#endif /* DEPIPE_STRATEGY_AGGREGATE_TREE_H */
