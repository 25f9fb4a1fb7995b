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
 * Analyse the query of a transform.  Must be called as the owner of the
 * transform.  If one of its names now denotes a different object (for example
 * a function that is a better match), the text is deparsed again from the
 * stored tree.  The new text is stored in *transform only; transform_rebind()
 * writes it to the catalog.  Raises the errors of shape_analyse().
 */
extern Shape *transform_analyse(Transform *transform);

/*
 * Store the bindings of the query after an analysis, and its inputs if they
 * have changed (for example because a view was replaced).  Returns true if the
 * inputs have changed.  Raises 42P17 if the new inputs would form a cycle.
 */
extern bool transform_rebind(Transform *transform, const Shape *shape);

/*
 * Bind the stored query to the objects that its names denote after a change of
 * names.  Where objects were renamed, the stored text is replaced.  A query
 * that cannot be analysed stays as it is, and fails at the next refresh.
 * Returns the reason why the transform is broken, in the current memory
 * context, or NULL if it is not.
 */
extern char *binding_settle(int32 target_id);

/*
 * Does this error of analysing the query mean that objects which it reads are
 * gone or have other types?  Missing privileges do not count.
 */
extern bool binding_error_breaks(int sqlerrcode);

#endif /* DEPIPE_QUERY_BINDING_H */
