/*-------------------------------------------------------------------------
 *
 * choose.c
 *		Table of strategies, and the choice between them.
 *
 * There is always a possible strategy.  All rows can be replaced (strategy
 * "full") unless foreign keys of other tables refer to them.  In that case the
 * rows can be compared (strategy "full_diff").
 *
 *-------------------------------------------------------------------------
 */
#include "strategy/choose.h"

#include "strategy/aggregate.h"
#include "strategy/full.h"
#include "strategy/full_diff.h"
#include "strategy/incremental.h"
#include "strategy/keys.h"
#include "strategy/linear.h"
#include "strategy/nothing.h"
#include "strategy/quarantined.h"

static const Strategy *const strategies[NSTRATEGIES] = {&strategy_nothing,
														&strategy_full,
														&strategy_full_diff,
														&strategy_linear,
														&strategy_join,
														&strategy_aggregate,
														&strategy_keys};

/* Mode "incremental" prefers any strategy that works on changes, at any cost. */
static bool
prefers(const StrategyContext *context, const Strategy *strategy, const Strategy *other)
{
	return strcmp(context->transform->mode, "incremental") == 0 && !strategy->whole && other->whole;
}

static bool
beats(const StrategyContext *context, const Choice *choice, const Strategy *strategy,
	  const StrategyOffer *offer)
{
	if (choice->chosen == NULL || prefers(context, strategy, choice->chosen))
		return true;
	return !prefers(context, choice->chosen, strategy) &&
		   offer->cost - offer->worth < choice->offer->cost - choice->offer->worth;
}

static void
explain_loss(const StrategyContext *context, const Choice *choice, const Strategy *strategy,
			 StrategyOffer *offer)
{
	if (prefers(context, choice->chosen, strategy))
	{
		offer->reason_code = "mode_incremental";
		offer->detail = "The mode of the transform is incremental.";
		return;
	}
	offer->reason_code = "more_expensive";
	offer->detail = psprintf("Its estimated cost is %.2f; that of %s is %.2f.",
							 offer->cost,
							 choice->chosen->name,
							 choice->offer->cost);
}

/*
 * Returns whether the reason is an event in an input or in the table, rather
 * than a permanent property of the query.
 */
static bool
is_event(const char *reason_code)
{
	return strcmp(reason_code, "no_path") == 0 || strcmp(reason_code, "in_quarantine") == 0;
}

/* Explains why the query is evaluated as a whole, with the reason given by strategy "keys". */
static void
explain_whole(const StrategyContext *context, Choice *choice)
{
	StrategyOffer *chosen = NULL;
	const StrategyOffer *keys = NULL;

	for (int i = 0; i < NSTRATEGIES; i++)
	{
		if (choice->strategies[i] == choice->chosen)
			chosen = &choice->offers[i];
		if (choice->strategies[i] == &strategy_keys)
			keys = &choice->offers[i];
	}
	if (!choice->chosen->whole || keys->possible || context->initial || context->whole_only != NULL)
		return;
	if (chosen->routine && is_event(keys->reason_code))
		chosen->routine = false;
	if (chosen->routine && strcmp(context->transform->mode, "incremental") == 0)
		chosen->routine = false;
	if (strcmp(keys->reason_code, "more_expensive") == 0 ||
		(strcmp(chosen->reason_code, "not_incremental") != 0 &&
		 strcmp(chosen->reason_code, "cheapest") != 0))
		return;
	chosen->reason_code = keys->reason_code;
	chosen->detail = keys->detail;
}

static void
choose_among_asked(const StrategyContext *context, Choice *choice)
{
	choice->chosen = NULL;
	choice->offer = NULL;
	memcpy(choice->offers, choice->asked, sizeof(choice->offers));
	for (int i = 0; i < NSTRATEGIES; i++)
		if (choice->offers[i].possible && beats(context, choice, strategies[i], &choice->offers[i]))
		{
			choice->chosen = strategies[i];
			choice->offer = &choice->offers[i];
		}
	Assert(choice->chosen != NULL);
	explain_whole(context, choice);
	for (int i = 0; i < NSTRATEGIES; i++)
		if (choice->offers[i].possible && choice->chosen != strategies[i])
			explain_loss(context, choice, strategies[i], &choice->offers[i]);
}

void
strategy_choose(const StrategyContext *context, Choice *choice)
{
	StrategyContext asking = *context;

	memset(choice, 0, sizeof(Choice));
	for (int i = 0; i < NSTRATEGIES; i++)
	{
		StrategyOffer *offer = &choice->asked[i];

		choice->strategies[i] = strategies[i];
		strategies[i]->offer(&asking, offer);
		if (offer->possible && !strategies[i]->whole &&
			(asking.cheapest < 0 || offer->cost < asking.cheapest))
			asking.cheapest = offer->cost;
	}
	choose_among_asked(context, choice);
}

/*
 * Repeats the offers of strategies that were not tried because the failed
 * strategy was cheap.
 */
static void
ask_again(const StrategyContext *context, Choice *choice)
{
	for (int i = 0; i < NSTRATEGIES; i++)
		if (!choice->asked[i].possible && strcmp(choice->asked[i].reason_code, "not_tried") == 0)
			strategies[i]->offer(context, &choice->asked[i]);
}

Delta *
strategy_make_delta(const StrategyContext *context, Choice *choice)
{
	for (;;)
	{
		const Strategy *strategy = choice->chosen;
		StrategyOffer *offer = &choice->asked[choice->offer - choice->offers];
		Delta *delta = strategy->make_delta(context);

		if (delta != NULL)
			return strategy->whole ? delta : quarantined_settle(context, delta);
		Assert(!strategy->whole);
		(void) incremental_impossible(offer,
									  "contradiction",
									  pstrdup("What the table holds contradicts the changes."));
		ask_again(context, choice);
		choose_among_asked(context, choice);
	}
}

void
strategies_end(const StrategyContext *context)
{
	for (int i = 0; i < NSTRATEGIES; i++)
		if (strategies[i]->end != NULL)
			strategies[i]->end(context);
	quarantined_end(context);
}
