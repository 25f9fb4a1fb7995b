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

/* What each row of the terms has: groups g0, g1, ..., and arguments a0, a1, ... (of TargetEntry) */
extern List *aggregate_term_outputs(const Sums *sums);

/*
 * Queries whose rows, together, are all rows of the query, with these columns
 * and the weight 1; or those of the groups in the relation dirty only, which has
 * the columns g0, g1, ..., and each group once.
 */
extern List *aggregate_rows(const Sums *sums, const TreeRelation *dirty);

/*
 * The query that makes rows of the result, and their weight, from the relation
 * values: groups g0, g1, ..., aggregates v0, v1, ..., and the weight.
 */
extern Query *aggregate_result(const Sums *sums, const TreeRelation *values);

#endif /* DEPIPE_STRATEGY_AGGREGATE_TREE_H */
