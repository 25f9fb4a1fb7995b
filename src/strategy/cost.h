/*-------------------------------------------------------------------------
 *
 * cost.h
 *		Costs of refreshes, in planner units.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_STRATEGY_COST_H
#define DEPIPE_STRATEGY_COST_H

#include "query/shape.h"

typedef struct Estimate
{
	double query_cost; /* cost of one evaluation of the query */
	double query_rows;
	double query_width; /* bytes in a row */
	double target_rows; /* current number of rows */
	double target_pages;
	int target_indexes;
} Estimate;

/*
 * Plans the query as the current user under the active snapshot, and
 * determines the size of the target.  Locks the target and its children in
 * ACCESS SHARE mode.  Raises the errors of planning.
 */
extern void cost_estimate(Shape *shape, const char *query_sql, Oid target, Estimate *estimate);

/*
 * Returns the cost of joining rows in memory with rows of the target and
 * comparing them, and that of putting rows into a delta.  Neither includes
 * reading or writing.
 */
extern double cost_handle_compared(double rows);
extern double cost_deliver(double rows);

/* Returns the cost of reading the whole target. */
extern double cost_scan(const Estimate *estimate);

/*
 * Returns the cost of comparing the given number of rows with those of the
 * target, at ncomparisons comparisons for each row.
 */
extern double cost_compare(const Estimate *estimate, double rows, int ncomparisons);

/*
 * Returns the cost of deleting and inserting rows, including indexes, WAL and
 * the later VACUUM.
 */
extern double cost_write(const Estimate *estimate, double deleted, double inserted);

#endif /* DEPIPE_STRATEGY_COST_H */
