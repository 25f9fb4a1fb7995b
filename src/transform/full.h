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

#endif /* DEPIPE_TRANSFORM_FULL_H */
