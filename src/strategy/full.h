/*-------------------------------------------------------------------------
 *
 * full.h
 *		Strategy "full": empties the target and fills it with the result of
 *		the query.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_STRATEGY_FULL_H
#define DEPIPE_STRATEGY_FULL_H

#include "strategy/strategy.h"

extern const Strategy strategy_full;

#endif /* DEPIPE_STRATEGY_FULL_H */
