/*-------------------------------------------------------------------------
 *
 * linear.h
 *		Strategies "linear" and "join": compute the changed rows of the result
 *		from changed rows of the inputs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_STRATEGY_LINEAR_H
#define DEPIPE_STRATEGY_LINEAR_H

#include "strategy/strategy.h"

extern const Strategy strategy_linear;
extern const Strategy strategy_join;

/*
 * Returns whether one of the strategies could ever serve a transform with this
 * query.  Must be called as the user who will run the query.
 */
extern bool linear_could_serve(Shape *shape);

#endif /* DEPIPE_STRATEGY_LINEAR_H */
