/*-------------------------------------------------------------------------
 *
 * binding.h
 *		Queries of transforms, bound to what their names lead to.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_TRANSFORM_BINDING_H
#define DEPIPE_TRANSFORM_BINDING_H

#include "transform/shape.h"
#include "transform/transform.h"

/*
 * Analyse the query, as the owner of the transform.  Where an object of
 * another meaning now has a name of it (a function that fits better), the query
 * is written anew, in transform only.  Raises what shape_analyse() does.
 */
extern Shape *transform_analyse(Transform *transform);

/*
 * After an analysis: store what the query is bound to, and its inputs when
 * they changed (a view was replaced): returns whether they did.  Raises 42P17
 * for a cycle.
 */
extern bool transform_rebind(Transform *transform, const Shape *shape);

/*
 * After names changed: bind the stored query to what its names lead to, or
 * write its text anew for what was renamed.  An error of the query leaves it as
 * it is: it fails at the next refresh.
 */
extern void binding_settle(int32 target_id);

#endif /* DEPIPE_TRANSFORM_BINDING_H */
