/*-------------------------------------------------------------------------
 *
 * choose.c
 *		The table of strategies, and the choice between them.
 *
 *-------------------------------------------------------------------------
 */
#include "transform/choose.h"

#include "transform/full.h"
#include "transform/full_diff.h"

const Strategy *const strategies[NSTRATEGIES + 1] = {&strategy_full, &strategy_full_diff, NULL};

const Strategy *
strategy_choose(const StrategyContext *context, StrategyOffer *offers)
{
	const Strategy *chosen = NULL;
	double best = 0;

	for (int i = 0; strategies[i] != NULL; i++)
	{
		StrategyOffer offer = {0};

		strategies[i]->offer(context, &offer);
		if (offers != NULL)
			offers[i] = offer;
		if (offer.possible && (chosen == NULL || offer.cost < best))
		{
			chosen = strategies[i];
			best = offer.cost;
		}
	}
	Assert(chosen != NULL);
	return chosen;
}
