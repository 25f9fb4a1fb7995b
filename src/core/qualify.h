/*-------------------------------------------------------------------------
 *
 * qualify.h
 *		Analysed trees whose text does not depend on names in scope.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CORE_QUALIFY_H
#define DEPIPE_CORE_QUALIFY_H

#include "depipe.h"
#include "nodes/parsenodes.h"
#include "nodes/primnodes.h"

/*
 * A copy of a tree (a Query or an expression) with the same meaning.
 * Operators outside pg_catalog occur only where SQL can name them, and joins
 * have neither USING nor aliases.  Constructs that cannot be rewritten stay as
 * they are.  Raises no errors of its own.
 */
extern Node *qualify_tree(Node *tree);

/* A copy of the tree in which the casts that the parser added are explicit. */
extern Node *qualify_casts(Node *tree);

/*
 * The query with references to columns of its joins and groups replaced by the
 * expressions that they stand for.  The result shares parts with the argument.
 */
extern Query *qualify_flatten(Query *query);

/*
 * (ARRAY[a, b])::t[] as ARRAY[a::t, b::t], which is how the parser analyses
 * the text of the former.  Returns any other cast unchanged.
 */
extern Node *qualify_array_cast(ArrayCoerceExpr *cast);

#endif /* DEPIPE_CORE_QUALIFY_H */
