/*-------------------------------------------------------------------------
 *
 * passes.h
 *		Columns that keep the rows of a query level apart.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUERY_PASSES_H
#define DEPIPE_QUERY_PASSES_H

#include "query/graph.h"

/*
 * Does the block have a clause that mixes all rows?  If so, *why is set to a
 * fragment that follows "because"; otherwise it is set to NULL.
 */
extern bool block_mixes_all(const GraphBlock *block, const char **why);

/*
 * Do rows with different values of the column stay apart in the block?  If so,
 * a condition on the column may be evaluated before grouping, windows and
 * DISTINCT.  Otherwise *why is set to a fragment that follows "because".
 */
extern bool block_passes(const GraphBlock *block, const TargetEntry *entry, const char **why);

/* The same as block_passes() for a column (from 1) of a set operation and one of its operands. */
extern bool operation_passes(const GraphBlock *block, int column, const TargetEntry *operand,
							 const char **why);

/* Returns the default equality operator of the type, or InvalidOid if it has none. */
extern Oid type_equality(Oid type);

/* Makes "one = other" with the default equality operator of the type of the first expression. */
extern OpExpr *make_equality(Node *one, Node *other, Oid collation);

/* Is the column never NULL, in the table and in its inheritance children that are read with it? */
extern bool column_is_never_null(const RangeTblEntry *entry, AttrNumber attnum);

#endif /* DEPIPE_QUERY_PASSES_H */
