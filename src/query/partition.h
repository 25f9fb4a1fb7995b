/*-------------------------------------------------------------------------
 *
 * partition.h
 *		Keys by which the result of a query can be recomputed in parts.
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
	List *merges;   /* of Merge: FULL JOINs of which the relation is a side */
	Node **columns; /* columns of the key, in terms of the node */
} KeyOwner;

/*
 * Columns that divide the result: rows with one value of these columns depend
 * only on rows of the owner with the same value.
 */
typedef struct ResultKey
{
	int natts;
	AttrNumber *columns; /* of the result, from 1 */
	TupleDesc desc;      /* their names, types and collations */
	List *owners;        /* of KeyOwner: one for each operand, and each side of a FULL JOIN */
	bool is_unique;      /* the columns identify a row of the owner */
	bool has_index;      /* the owner has an index that begins with one of them */
	double distinct;     /* estimated number of values */
} ResultKey;

/*
 * Returns the keys of a query as a list of ResultKey, the most promising
 * first, allocated in the current memory context.  Unless *code is already
 * set, the function reports the first column that does not divide the query:
 * *code is set to a short constant, *detail to a sentence and *location to its
 * position in the text of the query (-1 if unknown).
 */
extern List *partition_keys(const Graph *graph, const char **code, char **detail, int *location);

/*
 * Returns the key without columns, whose only part is the whole result.  It is
 * used for a query that has no other key.
 */
extern ResultKey *partition_of_all(void);

/* Returns a description of the key, such as "(a, b) of schema.table alias". */
extern char *partition_key_text(const ResultKey *key);

#endif /* DEPIPE_QUERY_PARTITION_H */
