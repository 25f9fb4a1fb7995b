/*-------------------------------------------------------------------------
 *
 * full_diff.h
 *		Strategy "full_diff": the query is evaluated once, and only the
 *		differences to the target are written.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_STRATEGY_FULL_DIFF_H
#define DEPIPE_STRATEGY_FULL_DIFF_H

#include "strategy/strategy.h"

extern const Strategy strategy_full_diff;

#endif /* DEPIPE_STRATEGY_FULL_DIFF_H */
