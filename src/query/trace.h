/*-------------------------------------------------------------------------
 *
 * trace.h
 *		From which expression of which relation does a column of the result come?
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUERY_TRACE_H
#define DEPIPE_QUERY_TRACE_H

#include "query/globalise.h"

/* A column of the result, under the choice of an operand of each set operation on the way. */
typedef struct ColumnSource
{
	const GraphNode *node;
	Node *expression; /* of columns of the node: varno is its number */
	List *choices;    /* of GraphBlock */
	List *merges;     /* of Merge: the node is a side of these FULL JOINs */
} ColumnSource;

typedef struct ColumnTrace
{
	List *sources;   /* of ColumnSource: one for each operand and side */
	bool grouped;    /* rows are grouped by the column on the way */
	const char *why; /* there are none: a fragment that follows "because" */
	int location;    /* of what is in the way, in the text; -1: unknown */
} ColumnTrace;

/* Follow a column (from 1) of the result down.  Returns whether there are sources. */
extern bool trace_column(const Graph *graph, int column, ColumnTrace *trace);

#endif /* DEPIPE_QUERY_TRACE_H */
