/*-------------------------------------------------------------------------
 *
 * choose.h
 *		Table of strategies, and the choice between them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_STRATEGY_CHOOSE_H
#define DEPIPE_STRATEGY_CHOOSE_H

#include "strategy/strategy.h"

#define NSTRATEGIES 7

typedef struct Choice
{
	const Strategy *strategies[NSTRATEGIES];
	StrategyOffer asked[NSTRATEGIES];  /* offers as made, in the same order */
	StrategyOffer offers[NSTRATEGIES]; /* the same offers, with the reasons of the choice */
	const Strategy *chosen;
	const StrategyOffer *offer; /* offer of the chosen strategy */
} Choice;

/*
 * Asks every strategy for an offer and chooses the possible one with the
 * lowest cost minus worth.  In mode "incremental", strategies on changes take
 * precedence over those that evaluate the whole query.  The other possible
 * offers are given the reason why they were not chosen.  *choice refers to
 * memory of the current context.
 */
extern void strategy_choose(const StrategyContext *context, Choice *choice);

/*
 * Returns the delta of the chosen strategy, in the memory context of the
 * delta.  If the strategy turns out not to be applicable, the next one is
 * chosen and *choice is updated.
 */
extern Delta *strategy_make_delta(const StrategyContext *context, Choice *choice);

/*
 * Releases the resources that the offers keep.  The chosen strategy cannot
 * make a delta afterwards.
 */
extern void strategies_end(const StrategyContext *context);

#endif /* DEPIPE_STRATEGY_CHOOSE_H */
