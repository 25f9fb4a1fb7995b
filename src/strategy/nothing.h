/*-------------------------------------------------------------------------
 *
 * nothing.h
 *		Strategy "nothing": serves refreshes for which no input has changed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_STRATEGY_NOTHING_H
#define DEPIPE_STRATEGY_NOTHING_H

#include "strategy/strategy.h"

extern const Strategy strategy_nothing;

#endif /* DEPIPE_STRATEGY_NOTHING_H */
