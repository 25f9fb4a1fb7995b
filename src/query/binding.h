/*-------------------------------------------------------------------------
 *
 * binding.h
 *		Binding of the queries of transforms to the objects that their names
 *		denote.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUERY_BINDING_H
#define DEPIPE_QUERY_BINDING_H

#include "query/shape.h"
#include "query/transform.h"

/*
 * Analyse the query as the owner of the transform.  If one of its names now
 * denotes an object of another meaning (for example a function that fits
 * better), the query is rewritten, in transform only.  Raises the errors of
 * shape_analyse().
 */
extern Shape *transform_analyse(Transform *transform);

/*
 * After an analysis: store the bindings of the query, and its inputs if they
 * changed (a view was replaced).  Returns true if they changed.  Raises 42P17
 * for a cycle.
 */
extern bool transform_rebind(Transform *transform, const Shape *shape);

/*
 * After names changed: bind the stored query to the objects that its names
 * denote, or rewrite its text where objects were renamed.  A query that raises
 * an error stays as it is, and fails at the next refresh.
 */
extern void binding_settle(int32 target_id);

#endif /* DEPIPE_QUERY_BINDING_H */
