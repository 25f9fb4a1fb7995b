/*-------------------------------------------------------------------------
 *
 * keys.h
 *		Strategy "keys": the rows of the values of a key that changes of the
 *		inputs concern are recomputed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_STRATEGY_KEYS_H
#define DEPIPE_STRATEGY_KEYS_H

#include "strategy/strategy.h"

extern const Strategy strategy_keys;

/*
 * Raise 0A000, with the construct that is in the way, unless changes of at
 * least one input could be followed.  query: the text that the shape was made
 * of.  As the user who will run it.
 */
extern void keys_require(Shape *shape, const char *query, const char *display);

#endif /* DEPIPE_STRATEGY_KEYS_H */
