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

/*
 * Could the strategy ever serve a transform with this query and key (names of
 * columns)?  As the user who will run it.
 */
extern bool aggregate_could_serve(Shape *shape, List *key);

#endif /* DEPIPE_TRANSFORM_AGGREGATE_H */
