/*-------------------------------------------------------------------------
 *
 * cost.h
 *		What refreshes cost, in the units of the server's planner.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_TRANSFORM_COST_H
#define DEPIPE_TRANSFORM_COST_H

#include "transform/shape.h"

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
 * Plans the query, as the current user under the active snapshot, and looks at
 * the size of the target.  Raises what planning raises.
 */
extern void cost_estimate(Shape *shape, const char *query_sql, Oid target, Estimate *estimate);

/* Of reading the whole target. */
extern double cost_scan(const Estimate *estimate);

/* Of comparing so many rows with those of the target, each by so many comparisons. */
extern double cost_compare(const Estimate *estimate, double rows, int ncomparisons);

/* Of writing: rows that go, and rows that come, with their indexes, WAL and the later VACUUM. */
extern double cost_write(const Estimate *estimate, double deleted, double inserted);

#endif /* DEPIPE_TRANSFORM_COST_H */
