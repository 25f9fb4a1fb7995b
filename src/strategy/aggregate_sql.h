/*-------------------------------------------------------------------------
 *
 * aggregate_sql.h
 *		SQL statements that add signed rows to the numbers of groups.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_STRATEGY_AGGREGATE_SQL_H
#define DEPIPE_STRATEGY_AGGREGATE_SQL_H

#include "catalog/target.h"
#include "delta/delta.h"
#include "strategy/sums.h"

/* Names of the ephemeral relations, which are described in aggregate_sql.c. */
#define AGGREGATE_TERMS "_depipe_terms"
#define AGGREGATE_GROUPS "_depipe_groups"
#define AGGREGATE_PRESENT "_depipe_present"
#define AGGREGATE_OLD "_depipe_old"
#define AGGREGATE_TOTALS "_depipe_totals"
#define AGGREGATE_DIRTY "_depipe_dirty"
#define AGGREGATE_FRESH "_depipe_fresh"
#define AGGREGATE_VALUES "_depipe_values"
#define AGGREGATE_RESULT "_depipe_result"

typedef struct AggregateText
{
	const Sums *sums;
	Target *target;
	TupleDesc columns;  /* columns of the query */
	const Delta *delta; /* has the columns and key of the target */
	bool nulls;         /* some group contains a NULL */
	bool fresh;         /* there are dirty groups, and they were recomputed */
} AggregateText;

/*
 * Returns SQL that computes groups from terms.  Groups without a change are
 * included only if "all" is set.
 */
extern char *aggregate_groups_sql(const AggregateText *text, bool all);

/* Returns SQL that computes present from groups and the target. */
extern char *aggregate_present_sql(const AggregateText *text);

/* Returns the condition that a row of the result, with this alias, is one of the groups. */
extern char *aggregate_is_group_sql(const AggregateText *text, const char *alias);

/* Returns SQL that computes totals from groups and the old numbers. */
extern char *aggregate_totals_sql(const AggregateText *text);

/*
 * Returns SQL for one row about totals: whether some group contradicts the old
 * numbers, and whether some group is dirty.  Both are NULL if there is no group.
 */
extern char *aggregate_findings_sql(const AggregateText *text);

/* Returns SQL that computes dirty from totals. */
extern char *aggregate_dirty_sql(const AggregateText *text);

/* Returns SQL that computes values from totals and fresh. */
extern char *aggregate_values_sql(const AggregateText *text);

/*
 * Returns SQL for the numbers to be stored, computed from totals and fresh, or
 * from groups if "whole" is set.
 */
extern char *aggregate_kept_sql(const AggregateText *text, bool whole);

/*
 * Returns a descriptor of the key of a group followed by the place of its
 * stored numbers and the numbers, in the current memory context.
 */
extern TupleDesc aggregate_old_desc(const Sums *sums);

#endif /* DEPIPE_STRATEGY_AGGREGATE_SQL_H */
