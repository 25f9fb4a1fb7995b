/*-------------------------------------------------------------------------
 *
 * passes.h
 *		Which columns keep the rows of a query level apart?
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUERY_PASSES_H
#define DEPIPE_QUERY_PASSES_H

#include "query/graph.h"

/* Is there something in the block that mixes all rows?  Then *why is set. */
extern bool block_mixes_all(const GraphBlock *block, const char **why);

/*
 * Do rows with different values of the column stay apart in the block, so that
 * a condition on it may be evaluated before grouping, windows and the like?
 * Otherwise *why is set, to a fragment that follows "because".
 */
extern bool block_passes(const GraphBlock *block, const TargetEntry *entry, const char **why);

/* The same for a column (from 1) of a set operation and one of its operands. */
extern bool operation_passes(const GraphBlock *block, int column, const TargetEntry *operand,
							 const char **why);

/* The operator by which the type is grouped; InvalidOid: none. */
extern Oid type_equality(Oid type);

/* Is a column of the table, and of what it is read with, never NULL? */
extern bool column_is_never_null(const RangeTblEntry *entry, AttrNumber attnum);

#endif /* DEPIPE_QUERY_PASSES_H */
