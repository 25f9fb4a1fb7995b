/*-------------------------------------------------------------------------
 *
 * full_diff.c
 *		Strategy "full_diff": evaluates the query once and writes only the
 *		differences from the target.
 *
 *-------------------------------------------------------------------------
 */
#include "strategy/full_diff.h"

#include "core/plans.h"
#include "core/sqltext.h"
#include "delta/difference.h"
#include "executor/spi.h"

#define INCOMING "_depipe_incoming"

#define WHOLE_QUERY "the query is evaluated, and only the differences are written."

/* Sets the reason why no strategy can work on the changes of the inputs. */
static void
explain_not_incremental(const StrategyContext *context, StrategyOffer *offer)
{
	const Volatility *volatility = &context->shape->volatility;
	const Occurrence *secured = blocks_row_security(shape_blocks(context->shape));
	const InputChanges *unknown = changes_first_unknown(context->changes);

	offer->routine = !context->other_instance;
	if (context->other_instance)
	{
		offer->reason_code = "other_instance";
		offer->detail = "The state of the table was recorded in another database: " WHOLE_QUERY;
	}
	else if (secured != NULL)
	{
		offer->reason_code = "row_security";
		offer->detail = psprintf("%s: %s", blocks_why_secured(secured->relid), WHOLE_QUERY);
	}
	else if (volatility->is_stable)
	{
		offer->reason_code = "stable_function";
		offer->detail = psprintf("%s: %s", volatility_why_stable(volatility), WHOLE_QUERY);
	}
	else if (unknown != NULL)
	{
		offer->reason_code = unknown->reason_code;
		offer->routine = context->initial || changes_reason_is_routine(unknown->reason_code);
		offer->detail = psprintf("The changes of %s are not known. %s%sThe query is evaluated, and"
								 " only the differences are written.",
								 sql_relation(unknown->relid),
								 unknown->detail == NULL ? "" : unknown->detail,
								 unknown->detail == NULL ? "" : " ");
	}
	else
	{
		offer->reason_code = "not_incremental";
		offer->detail = "The query is evaluated, and only the differences are written.";
	}
}

/*
 * Number of comparisons for each row.  Rows with a key are joined by the key
 * and their images are compared once.  Rows of a bag are grouped by all
 * columns.
 */
static int
comparisons(const StrategyContext *context)
{
	List *key = context->transform->key;

	return key == NIL ? context->shape->columns->natts : list_length(key) + 1;
}

static void
full_diff_offer(const StrategyContext *context, StrategyOffer *offer)
{
	const Estimate *estimate = &context->estimate;
	double share = context->empty ? 1 : strategy_differing_share(context);

	offer->cost = estimate->query_cost +
				  cost_compare(estimate, estimate->query_rows, comparisons(context)) +
				  (context->empty ? 0 : strategy_cost_of_comparing(context)) +
				  cost_write(estimate,
							 context->empty ? 0 : share * estimate->target_rows,
							 share * estimate->query_rows);
	/* rows are compared if foreign keys of other tables forbid replacement */
	offer->possible = context->whole_only == NULL || !context->replaceable;
	if (offer->possible)
	{
		explain_not_incremental(context, offer);
		return;
	}
	offer->reason_code = context->whole_only;
	offer->detail = context->whole_detail;
}

/* Returns the query with its columns in the order of the columns of the table. */
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

	rows = query_to_tuplestore(incoming_sql(context, delta), NIL, &desc, &nrows, context->context);
	register_tuplestore(INCOMING, desc, rows, nrows);
	strategy_refuse_duplicate_keys(context, delta, INCOMING);
	delta_fill_from_difference(delta,
							   INCOMING,
							   target_rows_sql(context->transform->target, NULL),
							   NIL);
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
