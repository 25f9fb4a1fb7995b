/*-------------------------------------------------------------------------
 *
 * inline.h
 *		A rewritten query without WITH, and without aliases of joins.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUERY_INLINE_H
#define DEPIPE_QUERY_INLINE_H

#include "depipe.h"
#include "nodes/parsenodes.h"

/*
 * Returns a copy of the query in which each reference to a WITH query is
 * replaced by a subquery, at every level.  Recursive WITH queries stay.  The
 * copy is equivalent as long as nothing in the query is volatile.
 */
extern Query *inline_with(const Query *query);

/*
 * Replace Vars of joins and of the grouping step by the expressions that they
 * stand for, at every level, in place.  The result is for analysis only,
 * because it no longer shows which values outer joins can replace by NULLs.
 */
extern void inline_aliases(Query *query);

#endif /* DEPIPE_QUERY_INLINE_H */
