/*-------------------------------------------------------------------------
 *
 * trace.h
 *		The expressions of base relations that a column of the result comes
 *		from.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUERY_TRACE_H
#define DEPIPE_QUERY_TRACE_H

#include "query/globalise.h"

/*
 * A source of a column of the result, under the choice of an operand of each
 * set operation on the way.
 */
typedef struct ColumnSource
{
	const GraphNode *node;
	Node *expression; /* in terms of the node: varno is its number */
	List *choices;    /* of GraphBlock */
	List *merges;     /* of Merge: FULL JOINs of which the node is a side */
} ColumnSource;

typedef struct ColumnTrace
{
	List *sources;   /* of ColumnSource: one for each operand and side */
	bool grouped;    /* the column is a grouping column on the way */
	const char *why; /* why there are no sources: a fragment that follows "because" */
	int location;    /* position of the obstacle in the query text; -1 if unknown */
} ColumnTrace;

/*
 * Trace a column (from 1) of the result to its sources.  Returns true if all
 * of them are found.  Otherwise trace->why is set, and trace->sources may be
 * incomplete.  The result is allocated in the current memory context.
 */
extern bool trace_column(const Graph *graph, int column, ColumnTrace *trace);

#endif /* DEPIPE_QUERY_TRACE_H */
