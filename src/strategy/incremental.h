/*-------------------------------------------------------------------------
 *
 * incremental.h
 *		Questions that all offers of strategies on changes have to answer.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_STRATEGY_INCREMENTAL_H
#define DEPIPE_STRATEGY_INCREMENTAL_H

#include "strategy/strategy.h"

/* The offer is not possible, for this reason; returns false. */
extern bool incremental_impossible(StrategyOffer *offer, const char *code, char *detail);

/*
 * May the target be brought up to date from changes of its inputs?  It may not
 * where all rows are replaced, or where it is not known what they cover.
 */
extern bool incremental_is_allowed(const StrategyContext *context, StrategyOffer *offer);

/* Are the changes of all inputs known, and the target as the last refresh left it? */
extern bool incremental_knows_changes(const StrategyContext *context, StrategyOffer *offer);

/*
 * The cost of the cheapest strategy that evaluates the whole query; negative
 * when there is none, or when the transform's mode rules them out.
 */
extern double incremental_cost_to_beat(const StrategyContext *context);

/* The offer is possible, but costs more than that; returns false. */
extern bool incremental_too_expensive(StrategyOffer *offer, double cost, double other,
									  const char *what);

/* Does the result depend on nothing but the rows of the inputs? */
extern bool incremental_is_pure(const StrategyContext *context, StrategyOffer *offer);

/* Has each column of the target the type, modifier and collation of the query's? */
extern bool incremental_has_columns(const StrategyContext *context, StrategyOffer *offer,
									TupleDesc columns);

#endif /* DEPIPE_STRATEGY_INCREMENTAL_H */
