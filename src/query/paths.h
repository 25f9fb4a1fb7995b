/*-------------------------------------------------------------------------
 *
 * paths.h
 *		Which values of a key does a change of an input concern?
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUERY_PATHS_H
#define DEPIPE_QUERY_PATHS_H

#include "query/clock.h"
#include "query/partition.h"
#include "query/runtree.h"

/*
 * The changes of one occurrence of a relation, joined along a path to where
 * the key can be read.
 */
typedef struct PathTerm
{
	const GraphNode *changed;
	const ClockRange *range; /* rows that time has passed over; NULL: changed rows */
	bool any_value;          /* a row that the term finds may concern any value */
	List *nodes;             /* numbers of the nodes that are joined */
	List *quals;             /* of GlobalQual: all that are about these nodes only */
	List *keys;              /* the columns of the key: expressions in terms of nodes */
} PathTerm;

/*
 * Terms that together find every value of the key that changes of these
 * relations (OIDs), or rows in these ranges (of ClockRange), concern, and maybe
 * more.  Returns false when changes of a relation may concern any value,
 * whatever they are; then *obstacle is that relation.
 */
extern bool path_terms(const Graph *graph, const ResultKey *key, List *relids, List *ranges,
					   List **terms, Oid *obstacle);

/*
 * The query of a term: changes are the images of the changed relation, whose
 * columns have their names; NULL if the term has a range.
 */
extern Query *path_query(const Graph *graph, const ResultKey *key, const PathTerm *term,
						 const TreeRelation *changes);

/* The first of the terms of which a row may concern any value; NULL: there is none. */
extern const PathTerm *path_any_value(const List *terms);

#endif /* DEPIPE_QUERY_PATHS_H */
