/*-------------------------------------------------------------------------
 *
 * choose.h
 *		The table of strategies, and the choice between them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_TRANSFORM_CHOOSE_H
#define DEPIPE_TRANSFORM_CHOOSE_H

#include "transform/strategy.h"

#define NSTRATEGIES 2

/* The table, ended by NULL. */
extern const Strategy *const strategies[NSTRATEGIES + 1];

/* Ask all of them; the chosen one, with all offers (one per strategy) if wanted. */
extern const Strategy *strategy_choose(const StrategyContext *context, StrategyOffer *offers);

#endif /* DEPIPE_TRANSFORM_CHOOSE_H */
