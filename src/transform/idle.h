/*-------------------------------------------------------------------------
 *
 * idle.h
 *		Transforms whose inputs have not changed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_TRANSFORM_IDLE_H
#define DEPIPE_TRANSFORM_IDLE_H

#include "transform/shape.h"

/*
 * Is the result of the query a matter of its inputs alone?  Not of time, not
 * of chance, and not of functions that can be replaced.
 */
extern bool idle_query_is_pure(const Shape *shape);

#endif /* DEPIPE_TRANSFORM_IDLE_H */
