/*-------------------------------------------------------------------------
 *
 * aggregate.h
 *		Strategy "aggregate": counts and sums of groups from their old values and
 *		the changes of the inputs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_TRANSFORM_AGGREGATE_H
#define DEPIPE_TRANSFORM_AGGREGATE_H

#include "transform/strategy.h"

extern const Strategy strategy_aggregate;

#endif /* DEPIPE_TRANSFORM_AGGREGATE_H */
