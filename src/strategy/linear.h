/*-------------------------------------------------------------------------
 *
 * linear.h
 *		Strategies "linear" and "join": rows that follow from changed rows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_STRATEGY_LINEAR_H
#define DEPIPE_STRATEGY_LINEAR_H

#include "strategy/strategy.h"

extern const Strategy strategy_linear;
extern const Strategy strategy_join;

/*
 * Could one of the strategies ever serve a transform with this query?  As the
 * user who will run it.
 */
extern bool linear_could_serve(Shape *shape);

#endif /* DEPIPE_STRATEGY_LINEAR_H */
