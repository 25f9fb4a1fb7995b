/*-------------------------------------------------------------------------
 *
 * sums.h
 *		Analysis of grouping queries whose aggregates can be maintained by
 *		addition.
 *
 * The numbers of a group are its count of rows and, for each argument of an
 * aggregate, the count of non-NULL values, their sum, their greatest value and
 * their least value, as far as needed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_STRATEGY_SUMS_H
#define DEPIPE_STRATEGY_SUMS_H

#include "query/shape.h"
#include "strategy/signed_join.h"

typedef enum SumKind
{
	SUM_NONE, /* any other aggregate */
	SUM_COUNT,
	SUM_SUM,
	SUM_AVG,
	SUM_MAX,
	SUM_MIN
} SumKind;

/*
 * An argument that one or more aggregates share.  The *_column fields give the
 * columns of the result (from 0) that hold its numbers, or -1.
 */
typedef struct SumArgument
{
	Expr *expression; /* the argument; NULL for rows that FILTER excludes */
	bool never_null;
	bool counted;     /* the count of non-NULL values is needed */
	bool summed;      /* the sum is needed */
	bool extremes[2]; /* the greatest value [0] and the least value [1] are needed */
	int count_column;
	int sum_column;
	int extreme_columns[2];
} SumArgument;

typedef struct SumAggregate
{
	const Aggref *aggregate; /* as it occurs in the outputs and in HAVING */
	SumKind kind;
	int argument; /* index into Sums.arguments; -1 for count(*) */
} SumAggregate;

typedef struct Sums
{
	const char *code; /* reason code why the query cannot be maintained, or NULL */
	char *detail;     /* the same as a sentence */
	SignedJoin join;
	bool grouped;        /* the query has GROUP BY: a group without rows does not exist */
	List *groups;        /* of Expr */
	List *arguments;     /* of SumArgument */
	List *aggregates;    /* of SumAggregate, without duplicates */
	List *outputs;       /* of TargetEntry: the columns of the result */
	Node *having;        /* over groups and aggregates, or NULL */
	bool keyed;          /* the key of the target is exactly the groups */
	int *group_columns;  /* if keyed: result column (from 0) of each group */
	bool self_contained; /* the target is keyed, and has all numbers that are needed */
	int rows_column;     /* if self_contained: result column (from 0) with the count of rows */
} Sums;

/*
 * Analyzes the query of a transform with this key (list of column names), as
 * the current user.  The result is in the current memory context.
 */
extern Sums *sums_analyse(Shape *shape, List *key);

/* Returns the index (from 0) of the grouping expression equal to this expression, or -1. */
extern int sums_group_of(const Sums *sums, const Node *node);

/* Returns whether the query has max or min aggregates. */
extern bool sums_have_extremes(const Sums *sums);

/* Returns whether the sum of the argument can be NaN or infinite. */
extern bool sums_may_be_special(const SumArgument *argument);

/* Returns whether the numbers of some groups may have to be computed from all their rows. */
extern bool sums_may_be_dirty(const Sums *sums);

/*
 * Returns whether the count of values of the argument is among the numbers.
 * The count of rows serves instead if the argument is never NULL.
 */
extern bool sums_keeps_count(const SumArgument *argument);

#endif /* DEPIPE_STRATEGY_SUMS_H */
