/*-------------------------------------------------------------------------
 *
 * aggregate_sql.h
 *		The statements that add signed rows to the numbers of groups.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_STRATEGY_AGGREGATE_SQL_H
#define DEPIPE_STRATEGY_AGGREGATE_SQL_H

#include "catalog/target.h"
#include "delta/delta.h"
#include "strategy/sums.h"

/* Names of the ephemeral relations. */
#define AGGREGATE_TERMS "_depipe_terms"
#define AGGREGATE_GROUPS "_depipe_groups"
#define AGGREGATE_PRESENT "_depipe_present"
#define AGGREGATE_OLD "_depipe_old"
#define AGGREGATE_TOTALS "_depipe_totals"
#define AGGREGATE_DIRTY "_depipe_dirty"
#define AGGREGATE_FRESH "_depipe_fresh"
#define AGGREGATE_VALUES "_depipe_values"
#define AGGREGATE_RESULT "_depipe_result"

/* What becomes of the kept numbers of a group, the column "change" of its rows. */
#define GROUP_GONE (-1)
#define GROUP_CHANGED 0
#define GROUP_NEW 1

typedef struct AggregateText
{
	const Sums *sums;
	Target *target;
	TupleDesc columns;  /* of the query */
	const Delta *delta; /* its columns and key are the target's */
	bool nulls;         /* in some of the groups */
	bool fresh;         /* there are dirty groups, which were recomputed */
} AggregateText;

/* Terms to groups.  all: also those in which nothing changes. */
extern char *aggregate_groups_sql(const AggregateText *text, bool all);

/* Groups and the target to present. */
extern char *aggregate_present_sql(const AggregateText *text);

/* Groups and the old numbers to totals. */
extern char *aggregate_totals_sql(const AggregateText *text);

/* Totals that contradict the old numbers, or cannot be added to (NaN): at most one row. */
extern char *aggregate_contradiction_sql(const AggregateText *text);

/* Totals to dirty. */
extern char *aggregate_dirty_sql(const AggregateText *text);

/* Totals and fresh to values. */
extern char *aggregate_values_sql(const AggregateText *text);

/* Totals and fresh, or (whole) groups, to the numbers that must be kept. */
extern char *aggregate_kept_sql(const AggregateText *text, bool whole);

/* The columns of the kept numbers of a group, and the key of the group before them. */
extern TupleDesc aggregate_old_desc(const Sums *sums);

#endif /* DEPIPE_STRATEGY_AGGREGATE_SQL_H */
