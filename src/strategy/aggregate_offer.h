/*-------------------------------------------------------------------------
 *
 * aggregate_offer.h
 *		Offer of strategy "aggregate".
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_STRATEGY_AGGREGATE_OFFER_H
#define DEPIPE_STRATEGY_AGGREGATE_OFFER_H

#include "strategy/signed_terms.h"
#include "strategy/strategy.h"
#include "strategy/sums.h"

/* Result of the offer, used to make the delta. */
struct AggregateWork
{
	Sums *sums;
	int64 layout;              /* layout of the stored numbers; never 0 */
	SignedTerms terms;         /* terms with the columns g0.., a0.., and the weight */
	bool unkept;               /* the strategy is impossible only because numbers are missing */
	double cost;               /* cost of the delta, including the numbers */
	struct HiddenState *state; /* made with the delta; NULL if none */
};

extern void aggregate_offer(const StrategyContext *context, StrategyOffer *offer);

/*
 * Returns whether the strategy could ever serve a transform with this query
 * and key (list of column names).  Must be called as the user who will run the
 * query.
 */
extern bool aggregate_could_serve(Shape *shape, List *key);

/*
 * Returns whether it pays to build the numbers in addition to the delta of
 * another strategy, whose cost is "cost" in planner units.
 */
extern bool aggregate_pays(const StrategyContext *context, const Strategy *chosen, double cost);

#endif /* DEPIPE_STRATEGY_AGGREGATE_OFFER_H */
