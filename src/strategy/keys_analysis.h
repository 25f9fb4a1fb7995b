/*-------------------------------------------------------------------------
 *
 * keys_analysis.h
 *		Analysis of whether the result of a query can be recomputed for some
 *		values of a key.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_STRATEGY_KEYS_ANALYSIS_H
#define DEPIPE_STRATEGY_KEYS_ANALYSIS_H

#include "query/partition.h"
#include "query/shape.h"

typedef struct KeysAnalysis
{
	const char *code; /* short constant that says why not, or NULL if it can be recomputed */
	char *detail;     /* the same as a sentence */
	int location;     /* byte offset in the text that the shape was made from; -1 if unknown */
	Query *query;     /* the query after rewriting, with WITH inlined */
	Graph *graph;
	List *keys;  /* of ResultKey, most promising first; one key without columns if code is set */
	List *tests; /* of ClockTest: comparisons with the time of the refresh */
} KeysAnalysis;

/*
 * Analyzes the query as the current user, who runs it.  The result is in the
 * current memory context.
 */
extern KeysAnalysis *keys_analyse(Shape *shape);

/*
 * Returns a description of the key and of the queries that find and recompute
 * its values.  It is meant for explain_transform and tests.
 */
extern char *keys_text(const KeysAnalysis *analysis);

#endif /* DEPIPE_STRATEGY_KEYS_ANALYSIS_H */
