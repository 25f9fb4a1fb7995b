/*-------------------------------------------------------------------------
 *
 * aggregate.h
 *		Strategy "aggregate": counts, sums and extremes of groups from their old
 *		values and the changes of the inputs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_STRATEGY_AGGREGATE_H
#define DEPIPE_STRATEGY_AGGREGATE_H

#include "strategy/hidden.h"
#include "strategy/strategy.h"

extern const Strategy strategy_aggregate;

/*
 * What must become of the numbers that are kept of groups, when the delta of
 * the chosen strategy, of this cost, is published.  NULL: nothing.  Sets hidden of the new
 * frontier.  After strategy_make_delta(), in the context of the strategies.
 */
extern HiddenState *aggregate_hidden(const StrategyContext *context, const Strategy *chosen,
									 double cost);

#endif /* DEPIPE_STRATEGY_AGGREGATE_H */
