/*-------------------------------------------------------------------------
 *
 * full_diff.h
 *		Strategy "full_diff": evaluates the query once and writes only the
 *		differences from the target.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_STRATEGY_FULL_DIFF_H
#define DEPIPE_STRATEGY_FULL_DIFF_H

#include "strategy/strategy.h"

extern const Strategy strategy_full_diff;

#endif /* DEPIPE_STRATEGY_FULL_DIFF_H */
