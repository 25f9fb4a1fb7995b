/*-------------------------------------------------------------------------
 *
 * nothing.c
 *		Strategy "nothing": serves refreshes for which no input has changed.
 *
 * The query is not evaluated, and the delta is empty.  It is published like
 * any other delta, because the gate may still have to examine the table.
 *
 *-------------------------------------------------------------------------
 */
#include "strategy/nothing.h"

#include "access/xact.h"
#include "delta/fill.h"

/*
 * Returns the reason code why the strategy cannot serve, or NULL if it can.
 * *detail is set to a sentence or to NULL.
 *
 * A target with trouble is excluded.  Rows that a gate kept out of the table
 * are not among the changes of an input.  Once the constraint or the rows it
 * refers to have changed, only a comparison adds them.
 */
static const char *
why_not(const StrategyContext *context, char **detail)
{
	const InputChanges *unknown = changes_first_unknown(context->changes);
	ListCell *cell;

	*detail = NULL;
	if (context->initial)
		return "initial";
	if (context->other_instance)
		return "other_instance";
	if (context->whole_only != NULL)
	{
		*detail = context->whole_detail;
		return context->whole_only;
	}
	if (strcmp(context->transform->state, "ok") != 0)
		return "not_published";
	if (context->changes == NIL)
		return "not_captured";
	if (unknown != NULL)
	{
		*detail = unknown->detail;
		return unknown->reason_code;
	}
	if (context->shape->volatility.is_stable &&
		context->from->taken_at != GetCurrentTransactionStartTimestamp())
	{
		*detail = "The query depends on the time, which has moved since.";
		return "clock_moved";
	}
	if (target_has_trouble(context->transform->target->id))
		return "has_trouble";
	foreach(cell, context->changes)
		if (((InputChanges *) lfirst(cell))->count > 0)
			return "changed";
	return NULL;
}

static void
nothing_offer(const StrategyContext *context, StrategyOffer *offer)
{
	offer->reason_code = why_not(context, &offer->detail);
	offer->possible = offer->reason_code == NULL;
	offer->cost = 0;
	offer->routine = true;
	if (!offer->possible)
		return;
	offer->reason_code = "no_change";
	offer->detail = "No input has changed since the last refresh.";
}

static Delta *
nothing_make_delta(const StrategyContext *context)
{
	Delta *delta = strategy_begin_delta(context);

	delta_finish(delta);
	return delta;
}

static char *
nothing_delta_sql(const StrategyContext *context)
{
	return NULL;
}

const Strategy strategy_nothing = {.name = "nothing",
								   .whole = false,
								   .offer = nothing_offer,
								   .make_delta = nothing_make_delta,
								   .delta_sql = nothing_delta_sql};
