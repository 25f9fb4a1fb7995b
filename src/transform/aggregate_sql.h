/*-------------------------------------------------------------------------
 *
 * aggregate_sql.h
 *		The statements that add signed rows to the groups of a result.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_TRANSFORM_AGGREGATE_SQL_H
#define DEPIPE_TRANSFORM_AGGREGATE_SQL_H

#include "catalog/target.h"
#include "delta/delta.h"
#include "transform/sums.h"

/* Names of the ephemeral relations. */
#define AGGREGATE_TERMS "_depipe_terms"
#define AGGREGATE_GROUPS "_depipe_groups"
#define AGGREGATE_PRESENT "_depipe_present"
#define AGGREGATE_TOTALS "_depipe_totals"
#define AGGREGATE_RESULT "_depipe_result"

typedef struct AggregateText
{
	const Sums *sums;
	Target *target;
	TupleDesc columns;  /* of the query */
	const Delta *delta; /* its columns and key are the target's */
} AggregateText;

/* Terms to groups. */
extern char *aggregate_groups_sql(const AggregateText *text);

/* Groups and the target to present. */
extern char *aggregate_present_sql(const AggregateText *text);

/* Groups and present to totals. */
extern char *aggregate_totals_sql(const AggregateText *text);

/* Totals that contradict what the target holds, or cannot be added to (NaN): at most one row. */
extern char *aggregate_contradiction_sql(const AggregateText *text);

/* Totals to the result. */
extern char *aggregate_result_sql(const AggregateText *text);

#endif /* DEPIPE_TRANSFORM_AGGREGATE_SQL_H */
