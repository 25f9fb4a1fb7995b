/*-------------------------------------------------------------------------
 *
 * choose.h
 *		The table of strategies, and the choice between them.
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
	StrategyOffer asked[NSTRATEGIES];  /* in the same order, each asked for once */
	StrategyOffer offers[NSTRATEGIES]; /* the same, with the reasons of the choice */
	const Strategy *chosen;
	const StrategyOffer *offer; /* of the chosen one */
} Choice;

/*
 * Ask every strategy for its offer and choose the cheapest possible one.  The
 * other offers receive the reason why they were not chosen.
 */
extern void strategy_choose(const StrategyContext *context, Choice *choice);

/*
 * The delta of the chosen strategy.  If it turns out that it cannot serve, the
 * next one is chosen.
 */
extern Delta *strategy_make_delta(const StrategyContext *context, Choice *choice);

/* Release what the offers have kept.  After this the chosen strategy makes no delta. */
extern void strategies_end(const StrategyContext *context);

#endif /* DEPIPE_STRATEGY_CHOOSE_H */
