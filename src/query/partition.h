/*-------------------------------------------------------------------------
 *
 * partition.h
 *		By which columns may the result of a query be recomputed in parts?
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUERY_PARTITION_H
#define DEPIPE_QUERY_PARTITION_H

#include "query/graph.h"

/*
 * The relation that a key comes from, under the choice of an operand of each
 * set operation on the way.
 */
typedef struct KeyOwner
{
	const GraphNode *node;
	List *choices;  /* of GraphBlock */
	List *merges;   /* of Merge: the relation is a side of these FULL JOINs */
	Node **columns; /* the key's: expressions of columns of the relation; varno is the node's */
} KeyOwner;

/*
 * Columns of the result: rows with one value of them depend only on rows of
 * the owner with the same value.
 */
typedef struct ResultKey
{
	int natts;
	AttrNumber *columns; /* of the result, from 1 */
	TupleDesc desc;      /* their names, types and collations */
	List *owners;        /* of KeyOwner: one for each operand, and side of a FULL JOIN */
	bool is_unique;      /* they identify a row of the owner */
	bool has_index;      /* of the owner, that begins with one of them */
	double distinct;     /* estimated number of values */
} ResultKey;

/*
 * The keys of a query, the most promising first.  Where there is none, *code
 * and *detail say why (a short constant, and a sentence) and *location where
 * in the text (-1: unknown).
 */
extern List *partition_keys(const Graph *graph, const char **code, char **detail, int *location);

/*
 * The key of no column, by which all rows of the result are one part: for a
 * query that has no other.
 */
extern ResultKey *partition_of_all(void);

/* The key in words: "(a, b) of schema.table alias". */
extern char *partition_key_text(const ResultKey *key);

#endif /* DEPIPE_QUERY_PARTITION_H */
