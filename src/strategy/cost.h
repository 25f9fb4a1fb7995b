/*-------------------------------------------------------------------------
 *
 * cost.h
 *		Costs of refreshes, in the units of the server's planner.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_STRATEGY_COST_H
#define DEPIPE_STRATEGY_COST_H

#include "query/shape.h"

typedef struct Estimate
{
	double query_cost; /* of evaluating the query once */
	double query_rows;
	double query_width; /* bytes of a row */
	double target_rows; /* as of now */
	double target_pages;
	int target_indexes;
} Estimate;

/*
 * Plan the query as the current user under the active snapshot, and determine
 * the size of the target.  Raises the errors of planning.
 */
extern void cost_estimate(Shape *shape, const char *query_sql, Oid target, Estimate *estimate);

/* Of reading the whole target. */
extern double cost_scan(const Estimate *estimate);

/*
 * The cost of comparing rows with those of the target, with the given number of
 * comparisons for each.
 */
extern double cost_compare(const Estimate *estimate, double rows, int ncomparisons);

/* The cost of deleting and inserting rows, with their indexes, WAL and the later VACUUM. */
extern double cost_write(const Estimate *estimate, double deleted, double inserted);

#endif /* DEPIPE_STRATEGY_COST_H */
