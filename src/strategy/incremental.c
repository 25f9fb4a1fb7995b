/*-------------------------------------------------------------------------
 *
 * incremental.c
 *		Checks that are common to the offers of strategies on changes.
 *
 *-------------------------------------------------------------------------
 */
#include "strategy/incremental.h"

#include "capture/changes.h"
#include "strategy/full.h"
#include "strategy/full_diff.h"
#include "strategy/quarantined.h"
#include "query/idle.h"
#include "utils/lsyscache.h"

bool
incremental_impossible(StrategyOffer *offer, const char *code, char *detail)
{
	offer->possible = false;
	offer->reason_code = code;
	offer->detail = detail;
	offer->cost = 0;
	return false;
}

static bool
has_changes(const StrategyContext *context)
{
	ListCell *cell;

	foreach(cell, context->changes)
		if (((InputChanges *) lfirst(cell))->count > 0)
			return true;
	return false;
}

bool
incremental_is_allowed(const StrategyContext *context, StrategyOffer *offer)
{
	if (context->whole_only != NULL)
		return incremental_impossible(offer, context->whole_only, context->whole_detail);
	if (context->other_instance)
		return incremental_impossible(
			offer,
			"other_instance",
			pstrdup("What the table covers was recorded in another database."));
	if (context->from == NULL)
		return incremental_impossible(offer,
									  "initial",
									  pstrdup("The table has not been filled yet."));
	/* rows in quarantine may pass the constraints now */
	if (context->changes != NIL && changes_first_unknown(context->changes) == NULL &&
		!context->shape->volatility.is_stable && !has_changes(context) && !context->quarantine)
		return incremental_impossible(offer, "no_change", pstrdup("The inputs have not changed."));
	return true;
}

bool
incremental_knows_changes(const StrategyContext *context, StrategyOffer *offer)
{
	InputChanges *unknown = changes_first_unknown(context->changes);

	if (context->distrusted)
		return incremental_impossible(offer,
									  "contradiction",
									  pstrdup("What the table holds contradicts the changes."));
	if (unknown != NULL)
		return incremental_impossible(offer, unknown->reason_code, unknown->detail);
	if (context->changes == NIL)
		return incremental_impossible(offer,
									  "not_captured",
									  pstrdup("The changes of the inputs are not known."));
	if (!quarantined_are_known(context))
		return incremental_impossible(
			offer,
			"in_quarantine",
			pstrdup("Rows in quarantine have other columns than the query now."));
	return true;
}

double
incremental_cost_to_beat(const StrategyContext *context)
{
	const Strategy *const others[] = {&strategy_full_diff, &strategy_full};
	double cheapest = -1;

	if (strcmp(context->transform->mode, "incremental") == 0)
		return -1;
	for (int i = 0; i < lengthof(others); i++)
	{
		StrategyOffer offer = {0};

		others[i]->offer(context, &offer);
		if (offer.possible && (cheapest < 0 || offer.cost < cheapest))
			cheapest = offer.cost;
	}
	return cheapest;
}

bool
incremental_too_expensive(StrategyOffer *offer, double cost, double other, const char *what)
{
	(void) incremental_impossible(
		offer,
		"more_expensive",
		psprintf("%s is estimated to cost %.2f, and another strategy %.2f.", what, cost, other));
	offer->cost = cost;
	return false;
}

bool
incremental_is_pure(const StrategyContext *context, StrategyOffer *offer)
{
	const Volatility *volatility = &context->shape->volatility;

	if (volatility->is_stable)
		return incremental_impossible(offer,
									  "stable_function",
									  psprintf("%s.", volatility_why_stable(volatility)));
	if (!idle_query_is_pure(context->shape))
		return incremental_impossible(offer, "user_function", pstrdup(CALLS_USERS_FUNCTION));
	return true;
}

static bool
same_columns(const StrategyContext *context, TupleDesc columns)
{
	Oid relid = context->transform->target->relid;

	for (int i = 0; i < columns->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(columns, i);
		Oid type;
		int32 typmod;
		Oid collation;

		get_atttypetypmodcoll(relid,
							  get_attnum(relid, NameStr(att->attname)),
							  &type,
							  &typmod,
							  &collation);
		/* the table may hold rounded values if the column has its own modifier */
		if (type != att->atttypid || collation != att->attcollation ||
			(typmod != -1 && typmod != att->atttypmod))
			return false;
	}
	return true;
}

bool
incremental_has_columns(const StrategyContext *context, StrategyOffer *offer, TupleDesc columns)
{
	if (same_columns(context, columns))
		return true;
	return incremental_impossible(
		offer,
		"other_type",
		pstrdup("Columns of the table have other types or collations than the query."));
}
