/*-------------------------------------------------------------------------
 *
 * incremental.h
 *		Checks that are common to the offers of strategies on changes.
 *
 * A check that fails makes the offer impossible, sets its reason, and returns
 * false.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_STRATEGY_INCREMENTAL_H
#define DEPIPE_STRATEGY_INCREMENTAL_H

#include "strategy/strategy.h"

/*
 * Makes the offer impossible for this reason.  "code" and "detail" are not
 * copied.  Returns false.
 */
extern bool incremental_impossible(StrategyOffer *offer, const char *code, char *detail);

/*
 * Checks whether the target may be updated from changes of its inputs.  This
 * is not possible if all rows must be replaced, if the frontier of the target
 * is unknown or was recorded in another database, or if no input has changed.
 */
extern bool incremental_is_allowed(const StrategyContext *context, StrategyOffer *offer);

/*
 * Checks that the changes of all inputs are known, that no rows of the target
 * were found to contradict them, and that rows in quarantine have the columns of
 * the query.
 */
extern bool incremental_knows_changes(const StrategyContext *context, StrategyOffer *offer);

/*
 * Returns the cost of the cheapest strategy that evaluates the whole query, or
 * -1 if there is none or if the mode of the transform is incremental.
 */
extern double incremental_cost_to_beat(const StrategyContext *context);

/*
 * Makes the offer impossible because its cost is higher than that of another
 * strategy.  "what" is the subject of the sentence that explains this.
 * Returns false.
 */
extern bool incremental_too_expensive(StrategyOffer *offer, double cost, double other,
									  const char *what);

/* Checks that the result depends only on the rows of the inputs. */
extern bool incremental_is_pure(const StrategyContext *context, StrategyOffer *offer);

/*
 * Checks that each column of the target has the type, modifier and collation
 * of the column of the query.  A target column without a modifier accepts any
 * modifier.
 */
extern bool incremental_has_columns(const StrategyContext *context, StrategyOffer *offer,
									TupleDesc columns);

#endif /* DEPIPE_STRATEGY_INCREMENTAL_H */
