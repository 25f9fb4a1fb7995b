/*-------------------------------------------------------------------------
 *
 * cost.c
 *		Costs of refreshes, in planner units.
 *
 * The planner estimates reads but does not charge for writes.  The cost of a
 * written row is the sum of reading it, its share of a page in the table and
 * in the WAL, and one descent of each index.  A deleted row is charged once
 * more for its removal by VACUUM.
 *
 *-------------------------------------------------------------------------
 */
#include "strategy/cost.h"

#include <math.h>

#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "nodes/plannodes.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/plancat.h"
#include "tcop/tcopprot.h"
#include "utils/rel.h"

/* bytes of the tuple header and line pointer */
#define ROW_OVERHEAD 28

/* a row is written to the table and to the WAL */
#define TIMES_WRITTEN 2

/*
 * Number of times that a row is charged when it is put into memory, joined with
 * a row of the table, and compared with it; and when it is put into a delta and
 * its key is counted.  Measured, as multiples of cpu_tuple_cost.
 */
#define TIMES_COMPARED 35
#define TIMES_DELIVERED 9

/* As many rows are handled for nothing, so that small tables are compared. */
#define FEW_ROWS 1000

/* number of comparisons that the planner charges for one index page */
#define COMPARISONS_PER_PAGE 50

/* ---- query and target ---- */

static void
add_relation(Oid relid, Estimate *estimate)
{
	Relation rel = table_open(relid, AccessShareLock);
	BlockNumber pages = 0;
	double rows = 0;
	double all_visible;

	if (rel->rd_rel->relkind == RELKIND_RELATION)
		estimate_rel_size(rel, NULL, &pages, &rows, &all_visible);
	estimate->target_rows += rows;
	estimate->target_pages += pages;
	estimate->target_indexes = Max(estimate->target_indexes,
								   list_length(RelationGetIndexList(rel)));
	table_close(rel, NoLock);
}

static void
estimate_query(Shape *shape, const char *query_sql, Estimate *estimate)
{
	PlannedStmt *plan = pg_plan_query(copyObject(shape_blocks(shape)->query), query_sql, 0, NULL);

	estimate->query_cost = plan->planTree->total_cost;
	estimate->query_rows = plan->planTree->plan_rows;
	estimate->query_width = plan->planTree->plan_width;
}

void
cost_estimate(Shape *shape, const char *query_sql, Oid target, Estimate *estimate)
{
	ListCell *cell;

	memset(estimate, 0, sizeof(Estimate));
	estimate_query(shape, query_sql, estimate);
	foreach(cell, find_all_inheritors(target, AccessShareLock, NULL))
		add_relation(lfirst_oid(cell), estimate);
}

/* ---- comparing and writing ---- */

static double
pages_of(const Estimate *estimate, double rows)
{
	return rows * (estimate->query_width + ROW_OVERHEAD) / BLCKSZ;
}

double
cost_scan(const Estimate *estimate)
{
	return estimate->target_pages * seq_page_cost + estimate->target_rows * cpu_tuple_cost;
}

double
cost_handle_compared(double rows)
{
	return Max(rows - FEW_ROWS, 0) * TIMES_COMPARED * cpu_tuple_cost;
}

double
cost_deliver(double rows)
{
	return Max(rows - FEW_ROWS, 0) * TIMES_DELIVERED * cpu_tuple_cost;
}

double
cost_compare(const Estimate *estimate, double rows, int ncomparisons)
{
	double both = rows + estimate->target_rows;
	double cost = cost_scan(estimate);

	cost += rows * cpu_tuple_cost + both * ncomparisons * cpu_operator_cost;
	/* rows that exceed work_mem are written and read once */
	if (pages_of(estimate, both) * BLCKSZ > work_mem * 1024.0)
		cost += 2 * pages_of(estimate, both) * seq_page_cost;
	return cost;
}

static double
index_cost(const Estimate *estimate, double rows)
{
	double descent = ceil(log2(estimate->target_rows + 2)) + COMPARISONS_PER_PAGE;

	return rows * estimate->target_indexes * (cpu_index_tuple_cost + descent * cpu_operator_cost);
}

double
cost_write(const Estimate *estimate, double deleted, double inserted)
{
	double written = deleted + inserted;
	double cost = written * cpu_tuple_cost;

	cost += TIMES_WRITTEN * pages_of(estimate, written) * seq_page_cost;
	cost += index_cost(estimate, inserted);
	/* removal by VACUUM */
	cost += deleted * cpu_tuple_cost + TIMES_WRITTEN * pages_of(estimate, deleted) * seq_page_cost;
	return cost + index_cost(estimate, deleted);
}
