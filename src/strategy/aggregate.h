/*-------------------------------------------------------------------------
 *
 * aggregate.h
 *		Strategy "aggregate": computes counts, sums and extremes of groups
 *		from their old values and the changes of the inputs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_STRATEGY_AGGREGATE_H
#define DEPIPE_STRATEGY_AGGREGATE_H

#include "strategy/hidden.h"
#include "strategy/strategy.h"

extern const Strategy strategy_aggregate;

/*
 * Returns the change to the stored numbers of groups that must be published
 * together with the delta of the chosen strategy, whose cost is "cost" in
 * planner units.  Returns NULL if there is none.  Sets "hidden" of the new
 * frontier.  May evaluate the query to build the numbers.  Must be called
 * after strategy_make_delta(), with the same identity, snapshot and SPI
 * connection.  The rows are in the memory context of the delta, and the caller
 * releases them with hidden_release().
 */
extern HiddenState *aggregate_hidden(const StrategyContext *context, const Strategy *chosen,
									 double cost);

#endif /* DEPIPE_STRATEGY_AGGREGATE_H */
