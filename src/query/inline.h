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
 * A copy in which each reference to a WITH query is a subquery of its own, at
 * every level; recursive ones stay.  It means the same as long as nothing in
 * the query is volatile.
 */
extern Query *inline_with(const Query *query);

/*
 * Replace columns of joins and of the grouping step by what they stand for, at
 * every level, in place.  For analysis: what outer joins make null is lost.
 */
extern void inline_aliases(Query *query);

#endif /* DEPIPE_QUERY_INLINE_H */
