/*-------------------------------------------------------------------------
 *
 * full_diff.c
 *		Strategy "full_diff": the query is evaluated once, and only the
 *		differences to the target are written.
 *
 *-------------------------------------------------------------------------
 */
#include "transform/full_diff.h"

#include "core/plans.h"
#include "core/sqltext.h"
#include "delta/difference.h"
#include "executor/spi.h"
#include "transform/full.h"

#define INCOMING "_depipe_incoming"

static void
full_diff_offer(const StrategyContext *context, StrategyOffer *offer)
{
	StrategyOffer full = {0};

	full_offer(context, &full);
	offer->possible = !full.possible;
	offer->routine = offer->possible;
	offer->reason_code = full.possible ? full.reason_code : "not_incremental";
	offer->detail = full.possible ? full.detail
								  : "The query is evaluated, and what differs is written.";
}

/* The query's columns in the order of the table's. */
static char *
incoming_sql(const StrategyContext *context, Delta *delta)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	sql_append_columns(&sql, delta->columns, "q");
	appendStringInfo(&sql, " FROM (%s) q", context->transform->query_sql);
	return sql.data;
}

static Delta *
full_diff_make_delta(const StrategyContext *context)
{
	Delta *delta = strategy_begin_delta(context);
	Tuplestorestate *rows;
	TupleDesc desc;
	uint64 nrows;

	rows = query_to_tuplestore(incoming_sql(context, delta), &desc, &nrows, context->context);
	register_tuplestore(INCOMING, desc, rows, nrows);
	strategy_refuse_duplicate_keys(context, delta, INCOMING);
	delta_fill_from_difference(delta, INCOMING, target_rows_sql(context->transform->target, NULL));
	(void) SPI_unregister_relation(INCOMING);
	tuplestore_end(rows);
	delta->changes = nrows;
	return delta;
}

static char *
full_diff_delta_sql(const StrategyContext *context)
{
	Delta *delta = strategy_begin_delta(context);

	return difference_sql(delta,
						  psprintf("(%s) q", incoming_sql(context, delta)),
						  target_rows_sql(context->transform->target, NULL));
}

const Strategy strategy_full_diff = {.name = "full_diff",
									 .whole = true,
									 .offer = full_diff_offer,
									 .make_delta = full_diff_make_delta,
									 .delta_sql = full_diff_delta_sql};
