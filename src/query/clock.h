/*-------------------------------------------------------------------------
 *
 * clock.h
 *		Queries that compare columns with the time of the refresh.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUERY_CLOCK_H
#define DEPIPE_QUERY_CLOCK_H

#include "depipe.h"
#include "datatype/timestamp.h"
#include "query/graph.h"
#include "query/shape.h"

/* A comparison with an expression of the clock alone, for one occurrence of a relation. */
typedef struct ClockTest
{
	const GraphNode *node;
	Node *expression; /* of columns of the node: varno is its number */
	Node *moment;     /* of the clock */
	Oid family;       /* of the operator, a btree operator family */
	int strategy;     /* in it, with the expression on the left */
	Oid left;         /* the types that it compares */
	Oid right;
	Oid collation;
} ClockTest;

/* Rows of one occurrence of a relation for which the answer of a test has changed. */
typedef struct ClockRange
{
	const ClockTest *test;
	List *quals; /* conditions on columns of the node; maybe they hold for more rows */
} ClockRange;

/*
 * The tests of a query.  Returns false when the query uses the clock in any
 * other way.
 */
extern bool clock_tests(const Graph *graph, List **tests);

/* Does the query of the shape use the clock in tests only, and depend on nothing else? */
extern bool clock_moves_rows(Shape *shape);

/*
 * The rows whose answer was different at two times, as ClockRanges; none for
 * tests whose moment is the same.  Returns false when that is not known,
 * because a moment was or is NULL.  Evaluates the moments as the current user.
 */
extern bool clock_ranges(List *tests, TimestampTz from, TimestampTz to, List **ranges);

/* Some range for each test, to find out whether its rows can be followed. */
extern List *clock_any_ranges(List *tests);

/* A copy of an expression or a query with a time in place of the clock. */
extern Node *clock_at(Node *node, TimestampTz at);

/*
 * Advice for a test whose rows no index finds, as a sentence; NULL: an index
 * finds them.
 */
extern char *clock_advice(const ClockTest *test);

#endif /* DEPIPE_QUERY_CLOCK_H */
