/*-------------------------------------------------------------------------
 *
 * full.c
 *		Strategy "full": empties the target and fills it with the result of
 *		the query.
 *
 * The strategy serves targets without rows, and targets whose rows belong to
 * another definition and cannot be compared.  It also serves queries whose
 * result may differ at each evaluation.
 *
 *-------------------------------------------------------------------------
 */
#include "strategy/full.h"

#include "core/sqltext.h"
#include "delta/fill.h"

/*
 * Number of times that the cost of writing is charged.  Unchanged rows become
 * new rows for the indexes and for all readers that follow the table, so each
 * of them is charged twice, unless most rows are known to differ anyway.
 */
static double
times_felt(const StrategyContext *context)
{
	if (context->estimate.query_rows < STRATEGY_SMALL_TABLE)
		return 2;
	if (strategy_much_differs(context))
		return 1;
	return 2 - strategy_differing_share(context);
}

/*
 * Returns the cost of replacing rows.  Unless most of them are known to differ,
 * the cost of comparing them is no reason against comparing.
 */
static double
cost_of_replacing(const StrategyContext *context)
{
	const Estimate *estimate = &context->estimate;

	return cost_deliver(estimate->query_rows) + cost_scan(estimate) +
		   (strategy_much_differs(context) ? 0 : strategy_cost_of_comparing(context)) +
		   times_felt(context) * cost_write(estimate, estimate->target_rows, estimate->query_rows);
}

static void
full_offer(const StrategyContext *context, StrategyOffer *offer)
{
	const Estimate *estimate = &context->estimate;

	offer->possible = context->replaceable;
	offer->cost = estimate->query_cost;
	if (context->empty)
		offer->cost += cost_write(estimate, 0, estimate->query_rows);
	else
		offer->cost += cost_of_replacing(context);
	if (!offer->possible)
	{
		offer->reason_code = "referenced";
		offer->detail = "Foreign keys refer to the table: only the differences are written.";
	}
	else if (context->whole_only != NULL)
	{
		offer->reason_code = context->whole_only;
		offer->detail = context->whole_detail;
	}
	else if (context->empty)
		offer->reason_code = "initial";
	else
	{
		offer->reason_code = "cheapest";
		offer->routine = true;
	}
}

static char *
full_sql(const StrategyContext *context, Delta *delta)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql,
						   "SELECT 1::pg_catalog.int8, pg_catalog.row_number() OVER (),"
						   " NULL::pg_catalog.pg_lsn, NULL::pg_catalog.timestamptz,"
						   " NULL::pg_catalog.int8, false, NULL::pg_catalog.int2, ");
	sql_append_columns(&sql, delta->columns, "q");
	appendStringInfo(&sql, " FROM (%s) q", context->transform->query_sql);
	return sql.data;
}

static Delta *
full_make_delta(const StrategyContext *context)
{
	Delta *delta = strategy_begin_delta(context);

	delta_clear(delta);
	delta_fill_from_query(delta, full_sql(context, delta), NIL);
	delta_register(delta);
	strategy_refuse_duplicate_keys(context, delta, delta->name);
	delta_unregister(delta);
	return delta;
}

static char *
full_delta_sql(const StrategyContext *context)
{
	return full_sql(context, strategy_begin_delta(context));
}

const Strategy strategy_full = {.name = "full",
								.whole = true,
								.offer = full_offer,
								.make_delta = full_make_delta,
								.delta_sql = full_delta_sql};
