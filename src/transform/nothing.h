/*-------------------------------------------------------------------------
 *
 * nothing.h
 *		Strategy "nothing": no input has changed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_TRANSFORM_NOTHING_H
#define DEPIPE_TRANSFORM_NOTHING_H

#include "transform/strategy.h"

extern const Strategy strategy_nothing;

#endif /* DEPIPE_TRANSFORM_NOTHING_H */
