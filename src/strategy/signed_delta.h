/*-------------------------------------------------------------------------
 *
 * signed_delta.h
 *		The delta of a transform from signed rows of its query.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_STRATEGY_SIGNED_DELTA_H
#define DEPIPE_STRATEGY_SIGNED_DELTA_H

#include "strategy/strategy.h"

/* The columns of a query, and the weight of a row (SIGNED_JOIN_WEIGHT). */
extern TupleDesc signed_desc(TupleDesc columns);

/*
 * The delta of signed rows: a tuplestore with the columns of the query by their
 * names, and the weight (SIGNED_JOIN_WEIGHT).  It is released.  Returns NULL if
 * the rows contradict those of the target: an old row that the target does not
 * have, or a new one whose key it has already.
 */
extern Delta *signed_delta(const StrategyContext *context, TupleDesc desc, Tuplestorestate *rows);

/*
 * Does a delta of signed images contradict the rows of a target with a key?  See
 * above.  It is not registered.
 */
extern bool signed_delta_contradicts(const StrategyContext *context, Delta *delta);

/* Does the query return a row?  As the current user under the active snapshot. */
extern bool query_finds_row(const char *sql);

#endif /* DEPIPE_STRATEGY_SIGNED_DELTA_H */
