/*-------------------------------------------------------------------------
 *
 * paths.h
 *		Terms that find the values of a key that changes of inputs affect.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUERY_PATHS_H
#define DEPIPE_QUERY_PATHS_H

#include "query/clock.h"
#include "query/partition.h"
#include "query/runtree.h"

/*
 * The changes of one occurrence of a relation, joined along the path to the
 * node where the key can be read.
 */
typedef struct PathTerm
{
	const GraphNode *changed;
	const ClockRange *range; /* rows whose test has changed with time; NULL for changed rows */
	bool any_value;          /* a row that the term finds may affect any value */
	List *nodes;             /* numbers of the joined nodes */
	List *quals;             /* of GlobalQual: the quals on these nodes only */
	List *keys;              /* columns of the key, in terms of nodes */
} PathTerm;

/*
 * Find the terms that together return every value of the key affected by
 * changes of these relations (a list of OIDs) or by rows in these ranges (a
 * list of ClockRange).  They may return other values.  *terms is a list of
 * PathTerm, allocated in the current memory context.  Returns false if any
 * change of some relation may affect any value; then *obstacle is the OID of
 * that relation.
 */
extern bool path_terms(const Graph *graph, const ResultKey *key, List *relids, List *ranges,
					   List **terms, Oid *obstacle);

/*
 * Returns the query of a term.  changes contains the images of the changed
 * relation under the names of its columns; it is NULL if the term has a range.
 */
extern Query *path_query(const Graph *graph, const ResultKey *key, const PathTerm *term,
						 const TreeRelation *changes);

/* Returns the first term of which a row may affect any value, or NULL if there is none. */
extern const PathTerm *path_any_value(const List *terms);

#endif /* DEPIPE_QUERY_PATHS_H */
