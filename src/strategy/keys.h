/*-------------------------------------------------------------------------
 *
 * keys.h
 *		Strategy "keys": recomputes the rows for those values of a key that
 *		changes of the inputs affect.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_STRATEGY_KEYS_H
#define DEPIPE_STRATEGY_KEYS_H

#include "strategy/strategy.h"

extern const Strategy strategy_keys;

/*
 * Raises 0A000 if there is no key by which changes of at least one input can
 * be followed.  The error names the construct that prevents it.  "query" is
 * the text that the shape was made from, and "display" is the name of the
 * transform.  Must be called as the user who will run the query.
 */
extern void keys_require(Shape *shape, const char *query, const char *display);

#endif /* DEPIPE_STRATEGY_KEYS_H */
