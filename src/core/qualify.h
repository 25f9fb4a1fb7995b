/*-------------------------------------------------------------------------
 *
 * qualify.h
 *		Analysed trees whose text does not depend on names in scope.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALIFY_H
#define DEPIPE_QUALIFY_H

#include "depipe.h"
#include "nodes/parsenodes.h"
#include "nodes/primnodes.h"

/*
 * A copy of a tree (a Query or an expression) that means the same, in which
 * operators outside pg_catalog stand only where SQL lets them be named, and
 * joins have neither USING nor aliases.  What cannot be rewritten stays as it
 * was.  Raises nothing of its own.
 */
extern Node *qualify_tree(Node *tree);

/* A copy in which casts that the parser added are written out. */
extern Node *qualify_casts(Node *tree);

/*
 * A copy of the query in which references to columns of its joins, and of its
 * groups, are replaced by what they stand for.  Parts are shared.
 */
extern Query *qualify_flatten(Query *query);

/*
 * (ARRAY[a, b])::t[] as ARRAY[a::t, b::t], which the parser makes of the text;
 * the cast itself where it is another one.
 */
extern Node *qualify_array_cast(ArrayCoerceExpr *cast);

#endif /* DEPIPE_QUALIFY_H */
