/*-------------------------------------------------------------------------
 *
 * full.h
 *		Strategy "full": everything that the query returns, after emptying the
 *		target.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_TRANSFORM_FULL_H
#define DEPIPE_TRANSFORM_FULL_H

#include "transform/strategy.h"

extern const Strategy strategy_full;

/* Its offer, for strategies that are possible only where it is not needed. */
extern void full_offer(const StrategyContext *context, StrategyOffer *offer);

#endif /* DEPIPE_TRANSFORM_FULL_H */
