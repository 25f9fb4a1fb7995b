/*-------------------------------------------------------------------------
 *
 * aggregate_offer.h
 *		The offer of strategy "aggregate".
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_STRATEGY_AGGREGATE_OFFER_H
#define DEPIPE_STRATEGY_AGGREGATE_OFFER_H

#include "strategy/signed_terms.h"
#include "strategy/strategy.h"
#include "strategy/sums.h"

/* What the offer finds for the delta. */
struct AggregateWork
{
	Sums *sums;
	int64 layout;              /* of the numbers that are kept; never 0 */
	SignedTerms terms;         /* of rows g0.., a0.., and the weight */
	bool unkept;               /* all that is missing are the numbers */
	double cost;               /* of the delta, with the numbers */
	struct HiddenState *state; /* made with the delta; NULL: none */
};

extern void aggregate_offer(const StrategyContext *context, StrategyOffer *offer);

/*
 * Could the strategy ever serve a transform with this query and key (names of
 * columns)?  As the user who will run it.
 */
extern bool aggregate_could_serve(Shape *shape, List *key);

/* Does it pay to make the numbers beside the delta of another strategy, of this cost? */
extern bool aggregate_pays(const StrategyContext *context, const Strategy *chosen, double cost);

#endif /* DEPIPE_STRATEGY_AGGREGATE_OFFER_H */
