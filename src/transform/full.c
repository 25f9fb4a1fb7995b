/*-------------------------------------------------------------------------
 *
 * full.c
 *		Strategy "full": everything that the query returns, after emptying the
 *		target.
 *
 * For a target without rows, or with rows of another definition, where there is
 * nothing to compare with, and for queries whose result differs at each
 * evaluation.
 *
 *-------------------------------------------------------------------------
 */
#include "transform/full.h"

#include "core/sqltext.h"
#include "transform/table.h"

/*
 * Deleting all rows would empty, or be refused by, the tables whose foreign
 * keys refer to them.  Without a key there is no other way.
 */
static bool
may_replace_all(const StrategyContext *context)
{
	const Transform *transform = context->transform;

	if (!table_is_referenced(transform->target->relid) || strategy_target_is_empty(context))
		return true;
	if (transform->key == NIL || transform->rebuild)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("rows of %s cannot all be replaced", transform->target->display),
				 errdetail("Foreign keys of other tables refer to them."),
				 errhint("Drop these foreign keys first, or keep the key of the transform.")));
	return false;
}

static void
offer_full(const StrategyContext *context, StrategyOffer *offer)
{
	offer->possible = true;
	if (strcmp(context->transform->mode, "full") == 0)
		offer->reason_code = "mode_full";
	else if (context->shape->is_volatile)
	{
		offer->reason_code = "volatile_function";
		offer->detail = "The query returns something else at each evaluation.";
	}
	else if (context->transform->rebuild)
		offer->reason_code = "rebuild";
	else if (context->initial && strategy_target_is_empty(context))
		offer->reason_code = "initial";
	else
	{
		offer->possible = false;
		offer->reason_code = "differences_suffice";
		offer->detail = "Only what differs needs to be written.";
	}
}

void
full_offer(const StrategyContext *context, StrategyOffer *offer)
{
	offer_full(context, offer);
	if (!offer->possible || strcmp(offer->reason_code, "initial") == 0 || may_replace_all(context))
		return;
	offer->possible = false;
	offer->reason_code = "referenced";
	offer->detail = "Foreign keys refer to the table: only what differs is written.";
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
	delta_fill_from_query(delta, full_sql(context, delta));
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
