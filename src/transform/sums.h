/*-------------------------------------------------------------------------
 *
 * sums.h
 *		Groups whose aggregates follow from their old values and the changes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_TRANSFORM_SUMS_H
#define DEPIPE_TRANSFORM_SUMS_H

#include "transform/shape.h"
#include "transform/signed_join.h"

typedef enum SumKind
{
	SUM_GROUP, /* a grouping expression */
	SUM_COUNT,
	SUM_SUM,
	SUM_AVG
} SumKind;

/* The argument of some aggregates. */
typedef struct SumArgument
{
	Expr *expression;
	bool never_null;
	int count_column; /* of the result (from 0): how many values are not NULL; -1: unknown */
	int sum_column;   /* of the result: their sum; -1: it is not part of the result */
} SumArgument;

/* One column of the result. */
typedef struct SumColumn
{
	SumKind kind;
	int number; /* of the grouping expression or of the argument; -1: count(*) */
	Oid type;
} SumColumn;

typedef struct Sums
{
	const char *code; /* why the query cannot be maintained so; NULL: it can */
	char *detail;     /* the same as a sentence */
	SignedJoin join;
	List *groups;       /* of Expr, one for each key column of the target, in its order */
	List *arguments;    /* of SumArgument */
	SumColumn *columns; /* one for each column of the result */
	int rows_column;    /* of the result (from 0): how many rows the group has */
} Sums;

/*
 * Look at the query of a transform with this key (names of columns), as the
 * current user.  In the current memory context.
 */
extern Sums *sums_analyse(Shape *shape, List *key);

#endif /* DEPIPE_TRANSFORM_SUMS_H */
