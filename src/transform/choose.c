/*-------------------------------------------------------------------------
 *
 * choose.c
 *		The table of strategies, and the choice between them.
 *
 * A replacement of all rows is always possible, unless foreign keys of other
 * tables refer to them.  In that case a comparison is possible.  So there is
 * always a choice.
 *
 *-------------------------------------------------------------------------
 */
#include "transform/choose.h"

#include "transform/full.h"
#include "transform/full_diff.h"
#include "transform/nothing.h"

static const Strategy *const strategies[NSTRATEGIES] = {&strategy_nothing,
														&strategy_full,
														&strategy_full_diff};

static void
explain_loss(const Choice *choice, StrategyOffer *offer)
{
	offer->reason_code = "more_expensive";
	offer->detail = psprintf("Its estimated cost is %.2f; that of %s is %.2f.",
							 offer->cost,
							 choice->chosen->name,
							 choice->offer->cost);
}

void
strategy_choose(const StrategyContext *context, Choice *choice)
{
	memset(choice, 0, sizeof(Choice));
	for (int i = 0; i < NSTRATEGIES; i++)
	{
		StrategyOffer *offer = &choice->offers[i];

		choice->strategies[i] = strategies[i];
		strategies[i]->offer(context, offer);
		if (offer->possible && (choice->offer == NULL || offer->cost < choice->offer->cost))
		{
			choice->chosen = strategies[i];
			choice->offer = offer;
		}
	}
	Assert(choice->chosen != NULL);
	for (int i = 0; i < NSTRATEGIES; i++)
		if (choice->offers[i].possible && choice->chosen != strategies[i])
			explain_loss(choice, &choice->offers[i]);
}
