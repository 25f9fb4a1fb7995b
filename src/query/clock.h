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

/* A comparison of one occurrence of a relation with an expression of the clock alone. */
typedef struct ClockTest
{
	const GraphNode *node;
	Node *expression; /* in terms of the node: varno is its number */
	Node *moment;     /* expression that depends on the clock alone */
	Oid family;       /* btree operator family of the operator */
	int strategy;     /* its strategy in the family, with the expression on the left */
	Oid left;         /* operand types of the operator */
	Oid right;
	Oid collation;
} ClockTest;

/* Rows of one occurrence of a relation for which the result of a test has changed. */
typedef struct ClockRange
{
	const ClockTest *test;
	List *quals; /* quals on columns of the node; other rows may satisfy them */
} ClockRange;

/*
 * Find the tests of a query.  Returns false if the query uses the clock in any
 * other way.  *tests is a list of ClockTest, allocated in the current memory
 * context.
 */
extern bool clock_tests(const Graph *graph, List **tests);

/* Does the query use the clock in tests only, and is it otherwise immutable? */
extern bool clock_moves_rows(Shape *shape);

/*
 * Find the rows for which a test had different results at two times.  *ranges
 * is a list of ClockRange.  A test whose moment is the same at both times has
 * no range.  Returns false if the rows are not known, because a moment is NULL
 * at only one of the two times.  Evaluates the moments as the current user.
 */
extern bool clock_ranges(List *tests, TimestampTz from, TimestampTz to, List **ranges);

/*
 * Returns a ClockRange without quals for each test, to find out whether its
 * rows can be followed.
 */
extern List *clock_any_ranges(List *tests);

/* Returns a copy of an expression or a query with a constant time in place of the clock. */
extern Node *clock_at(Node *node, TimestampTz at);

/*
 * Returns advice for a test whose rows no index finds, as a sentence, or NULL
 * if an index finds them.
 */
extern char *clock_advice(const ClockTest *test);

#endif /* DEPIPE_QUERY_CLOCK_H */
