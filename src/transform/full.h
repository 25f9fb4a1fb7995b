/*-------------------------------------------------------------------------
 *
 * full.h
 *		Strategy "full": the target is emptied and filled with the result of
 *		the query.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_TRANSFORM_FULL_H
#define DEPIPE_TRANSFORM_FULL_H

#include "transform/strategy.h"

extern const Strategy strategy_full;

#endif /* DEPIPE_TRANSFORM_FULL_H */
