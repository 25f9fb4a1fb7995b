/*-------------------------------------------------------------------------
 *
 * sums.h
 *		Groups whose aggregates follow from numbers of them and the changes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_STRATEGY_SUMS_H
#define DEPIPE_STRATEGY_SUMS_H

#include "query/shape.h"
#include "strategy/signed_join.h"

typedef enum SumKind
{
	SUM_NONE, /* another aggregate */
	SUM_COUNT,
	SUM_SUM,
	SUM_AVG,
	SUM_MAX,
	SUM_MIN
} SumKind;

/*
 * The argument of some aggregates.  Columns of the result, from 0, have its
 * numbers; -1: none has.
 */
typedef struct SumArgument
{
	Expr *expression; /* with FILTER as a condition: NULL where it does not hold */
	bool never_null;
	bool counted;     /* how many values are not NULL? */
	bool summed;      /* their sum? */
	bool extremes[2]; /* the greatest one, the least one? */
	int count_column;
	int sum_column;
	int extreme_columns[2];
} SumArgument;

typedef struct SumAggregate
{
	const Aggref *aggregate; /* as it stands in the outputs and in HAVING */
	SumKind kind;
	int argument; /* its number; -1: count(*) */
} SumAggregate;

typedef struct Sums
{
	const char *code; /* why the query cannot be maintained so; NULL: it can */
	char *detail;     /* the same as a sentence */
	SignedJoin join;
	bool grouped;        /* by GROUP BY: a group without rows is gone */
	List *groups;        /* of Expr */
	List *arguments;     /* of SumArgument */
	List *aggregates;    /* of SumAggregate, each once */
	List *outputs;       /* of TargetEntry: the columns of the result */
	Node *having;        /* over groups and aggregates; NULL: none */
	bool self_contained; /* the target has all numbers that are needed */
	int rows_column;     /* self-contained: of the result (from 0), how many rows the group has */
	int *group_columns;  /* self-contained: of the result (from 0), of each group */
} Sums;

/*
 * Look at the query of a transform with this key (names of columns), as the
 * current user.  In the current memory context.
 */
extern Sums *sums_analyse(Shape *shape, List *key);

/* The number (from 0) of the group that an expression is; -1: none. */
extern int sums_group_of(const Sums *sums, const Node *node);

/* Does it have max or min? */
extern bool sums_have_extremes(const Sums *sums);

/* Is the number of values kept?  Without NULLs it is that of the rows. */
extern bool sums_keeps_count(const SumArgument *argument);

#endif /* DEPIPE_STRATEGY_SUMS_H */
