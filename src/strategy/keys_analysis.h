/*-------------------------------------------------------------------------
 *
 * keys_analysis.h
 *		Can the result of a query be recomputed for some values of a key?
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_STRATEGY_KEYS_ANALYSIS_H
#define DEPIPE_STRATEGY_KEYS_ANALYSIS_H

#include "query/partition.h"
#include "query/shape.h"

typedef struct KeysAnalysis
{
	const char *code; /* why not: a short constant; NULL: it can be */
	char *detail;     /* the same as a sentence */
	int location;     /* in the text that the shape was made of; -1: unknown */
	Query *query;     /* rewritten, without WITH */
	Graph *graph;
	List *keys;  /* of ResultKey, the most promising first; of no column if code is set */
	List *tests; /* of ClockTest: comparisons with the time of the refresh */
} KeysAnalysis;

/* As the current user, who runs the query. */
extern KeysAnalysis *keys_analyse(Shape *shape);

/* For people and tests: keys, and the queries that find and recompute their values. */
extern char *keys_text(const KeysAnalysis *analysis);

#endif /* DEPIPE_STRATEGY_KEYS_ANALYSIS_H */
