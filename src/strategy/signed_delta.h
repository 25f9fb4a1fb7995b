/*-------------------------------------------------------------------------
 *
 * signed_delta.h
 *		Delta of a transform from signed rows of its query.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_STRATEGY_SIGNED_DELTA_H
#define DEPIPE_STRATEGY_SIGNED_DELTA_H

#include "strategy/strategy.h"

/*
 * Returns a descriptor of the columns of a query, followed by the weight of a
 * row (SIGNED_JOIN_WEIGHT, int2), in the current memory context.
 */
extern TupleDesc signed_desc(TupleDesc columns);

/*
 * Returns the delta that results from signed rows, in the memory context of
 * the delta.  "rows" has the columns of the query, found by name, and the
 * weight (SIGNED_JOIN_WEIGHT).  The function releases "rows".  Returns NULL if
 * the rows contradict those of the target: the target lacks an old row, or it
 * already has the key of a new row.
 */
extern Delta *signed_delta(const StrategyContext *context, TupleDesc desc, Tuplestorestate *rows);

/*
 * Returns whether a delta of signed images contradicts the rows of the target,
 * as described above.  Returns false for a target without a key.  The delta
 * must not be registered.
 */
extern bool signed_delta_contradicts(const StrategyContext *context, Delta *delta);

/*
 * Returns whether the query (SQL text) returns a row, as the current user
 * under the active snapshot.  columns: see delta_fill_from_query().
 */
extern bool query_finds_row(const char *sql, List *columns);

#endif /* DEPIPE_STRATEGY_SIGNED_DELTA_H */
