/*-------------------------------------------------------------------------
 *
 * explain.c
 *		SQL function explain_transform(): strategies for the next refresh.
 *
 * Every strategy is asked for its offer, as in a refresh.  The result shows
 * the cost of each, whether it is chosen, and why or why not.
 *
 *-------------------------------------------------------------------------
 */
#include "depipe.h"

#include "core/identity.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "query/binding.h"
#include "capture/capture.h"
#include "strategy/choose.h"
#include "capture/frontier.h"
#include "strategy/index_advice.h"
#include "query/table.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

CHECKED_FUNCTION(depipe_explain_transform);

static Datum
text_or_null(const char *string, bool *isnull)
{
	*isnull = string == NULL;
	return string == NULL ? (Datum) 0 : CStringGetTextDatum(string);
}

/* The detail of an offer; of strategy "keys" with the indexes that it lacks. */
static char *
detail_of(const StrategyContext *context, const Strategy *strategy, const StrategyOffer *offer)
{
	char *advice;

	if (strcmp(strategy->name, "keys") != 0)
		return offer->detail;
	advice = index_advice(keys_analyse(context->shape));
	if (advice == NULL || offer->detail == NULL)
		return advice == NULL ? offer->detail : advice;
	return psprintf("%s %s", offer->detail, advice);
}

static void
return_offer(ReturnSetInfo *result, const StrategyContext *context, const Strategy *strategy,
			 const StrategyOffer *offer, bool chosen)
{
	Datum values[7];
	bool nulls[7] = {false};

	values[0] = CStringGetTextDatum(strategy->name);
	values[1] = BoolGetDatum(offer->possible);
	values[2] = BoolGetDatum(chosen);
	values[3] = Float8GetDatum(offer->cost);
	values[4] = text_or_null(offer->reason_code, &nulls[4]);
	values[5] = text_or_null(detail_of(context, strategy, offer), &nulls[5]);
	values[6] = text_or_null(strategy->delta_sql(context), &nulls[6]);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static void
return_offers(ReturnSetInfo *result, Transform *transform)
{
	Shape *shape = transform_analyse(transform);
	StoredFrontier now = {0};
	StrategyContext context;
	Choice choice;

	table_check_columns(transform, shape);
	frontier_describe(&now, transform, shape);
	strategy_begin(&context, transform, shape, GetActiveSnapshot(), NULL);
	context.changes = changes_read(transform, captures_find(transform, shape), &now);
	strategy_choose(&context, &choice);
	for (int i = 0; i < NSTRATEGIES; i++)
		return_offer(result,
					 &context,
					 choice.strategies[i],
					 &choice.offers[i],
					 choice.strategies[i] == choice.chosen);
	strategies_end(&context);
	changes_release(context.changes);
}

/*
 * SQL function explain_transform(target): the strategies for the next refresh,
 * with the reasons for the choice.
 */
static Datum
depipe_explain_transform_checked(PG_FUNCTION_ARGS)
{
	MemoryContext context = CurrentMemoryContext;
	Identity identity;
	Transform *transform;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", "target")));
	transform = transform_get(target_find(text_to_cstring(PG_GETARG_TEXT_PP(0)), false)->id);
	transform_check_owner(transform->target);
	if (!OidIsValid(transform->target->relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("%s", target_why_missing(transform->target))));
	InitMaterializedSRF(fcinfo, 0);
	identity_become_with(transform->target->owner, transform->target->settings, &identity);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	MemoryContextSwitchTo(context);
	return_offers((ReturnSetInfo *) fcinfo->resultinfo, transform);
	SPI_finish();
	identity_restore(&identity);
	return (Datum) 0;
}
