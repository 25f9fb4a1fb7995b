/*-------------------------------------------------------------------------
 *
 * aggregate_offer.c
 *		Offer of strategy "aggregate".
 *
 * If the numbers of groups must be stored, they must first be built, at the
 * cost of an evaluation of the query.  They are built in addition to the delta
 * of another strategy as soon as the changes are known, if this would pay
 * within a few refreshes.  If the mode of the transform is incremental, they
 * are built at once.  Existing numbers have a worth: a strategy that does not
 * maintain them is chosen only if it is cheaper by more than a fraction of the
 * cost of building them.
 *
 *-------------------------------------------------------------------------
 */
#include "strategy/aggregate_offer.h"

#include "common/hashfn.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "strategy/aggregate_tree.h"
#include "query/idle.h"
#include "strategy/incremental.h"

/*
 * Number of times that a row of the terms is charged.  Rows of the terms and
 * groups are written to memory, sorted or hashed, and joined.
 */
#define TIMES_HANDLED 6

/* Number of refreshes within which stored numbers should pay. */
#define REFRESHES_TO_PAY 10

/*
 * Version of the numbers and of how they are computed.  Stored numbers of
 * another layout are not used.
 */
#define LAYOUT_VERSION 1

/* ---- is it possible? ---- */

bool
aggregate_could_serve(Shape *shape, List *key)
{
	return idle_query_is_pure(shape) && sums_analyse(shape, key)->code == NULL;
}

/*
 * Returns a hash of everything that determines the stored numbers, except the
 * inputs of the query.  The hash is never 0.
 */
static int64
layout_of(const Sums *sums)
{
	StringInfoData text;
	ListCell *cell;
	uint64 hash;

	initStringInfo(&text);
	appendStringInfo(&text, "%d %s", LAYOUT_VERSION, nodeToString(sums->groups));
	foreach(cell, sums->arguments)
	{
		const SumArgument *argument = lfirst(cell);

		appendStringInfo(&text,
						 " %s %d%d%d%d",
						 nodeToString(argument->expression),
						 sums_keeps_count(argument),
						 argument->summed,
						 argument->extremes[0],
						 argument->extremes[1]);
	}
	hash = hash_bytes_extended((unsigned char *) text.data, text.len, 0);
	return hash == 0 ? 1 : (int64) hash;
}

static bool
may_add(const StrategyContext *context, StrategyOffer *offer)
{
	AggregateWork *work = *context->aggregate;
	bool allowed = incremental_is_allowed(context, offer);
	const Sums *sums;

	if (!allowed && strcmp(offer->reason_code, "no_change") == 0)
		return false;
	sums = work->sums = sums_analyse(context->shape, context->transform->key);
	if (sums->code == NULL)
		work->layout = layout_of(sums);
	if (!allowed || !incremental_is_pure(context, offer))
		return false;
	if (sums->code != NULL)
		return incremental_impossible(offer, sums->code, sums->detail);
	if (!incremental_knows_changes(context, offer) ||
		!incremental_has_columns(context, offer, context->shape->columns))
		return false;
	/* the terms do not read the changed tables themselves, so check privileges here */
	query_check_privileges_compat(sums->join.query);
	return signed_terms_add(&work->terms,
							&sums->join,
							aggregate_term_outputs(sums),
							context->changes) ||
		   signed_terms_too_many(&work->terms, offer);
}

/* ---- what does it cost? ---- */

static double
estimated_groups(const StrategyContext *context)
{
	const AggregateWork *work = *context->aggregate;

	return Min(work->terms.rows, Max(context->estimate.query_rows, 1));
}

/* Returns the cost of summing the rows of the terms and of writing their groups. */
static double
cost_of_groups(const StrategyContext *context)
{
	const AggregateWork *work = *context->aggregate;
	const Estimate *estimate = &context->estimate;
	double groups = estimated_groups(context);
	double handling = cpu_tuple_cost + cpu_operator_cost * (list_length(work->sums->groups) +
															list_length(work->sums->arguments));
	double search = Min(groups * random_page_cost, cost_scan(estimate));
	double cost = TIMES_HANDLED * work->terms.rows * handling + cost_handle_compared(groups) +
				  cost_write(estimate, groups, groups);

	/* stored numbers are read and written in addition to the target */
	return cost + (work->sums->self_contained ? 1 : 2) * search +
		   (work->sums->self_contained ? 0 : cost_write(estimate, groups, groups));
}

static double
cost_of_keeping(const StrategyContext *context)
{
	const Estimate *estimate = &context->estimate;

	return estimate->query_cost + cost_write(estimate, 0, estimate->query_rows);
}

static bool
numbers_are_known(const StrategyContext *context, StrategyOffer *offer)
{
	AggregateWork *work = *context->aggregate;

	if (work->sums->self_contained || context->from->hidden == work->layout)
		return true;
	work->unkept = true;
	return incremental_impossible(offer,
								  "no_numbers",
								  pstrdup("The target does not have all numbers of the groups that"
										  " are needed, and they are not kept beside it yet."));
}

/* Returns a sentence about the groups that are computed from their rows, or "". */
static const char *
why_recomputed(const Sums *sums)
{
	bool special = false;
	ListCell *cell;

	foreach(cell, sums->arguments)
		special |= sums_may_be_special(lfirst(cell));
	if (special && sums_have_extremes(sums))
		return " Groups that have lost their greatest or least value, or whose sum is NaN or"
			   " infinite, are computed from their rows.";
	if (special)
		return " Groups whose sum is NaN or infinite are computed from their rows.";
	if (sums_have_extremes(sums))
		return " Groups that have lost their greatest or least value are computed from their rows.";
	return "";
}

void
aggregate_offer(const StrategyContext *context, StrategyOffer *offer)
{
	AggregateWork *work = *context->aggregate = palloc0(sizeof(AggregateWork));

	if (!may_add(context, offer))
		return;
	work->cost = work->terms.cost + cost_of_groups(context);
	if (!numbers_are_known(context, offer))
	{
		offer->cost = work->cost;
		return;
	}
	offer->possible = true;
	offer->routine = true;
	offer->cost = work->cost;
	if (!work->sums->self_contained)
		offer->worth = cost_of_keeping(context) / REFRESHES_TO_PAY;
	offer->reason_code = "sums_of_changes";
	offer->detail = psprintf("The changes are added to about %.0f groups.%s",
							 estimated_groups(context),
							 why_recomputed(work->sums));
}

/* ---- does it pay? ---- */

bool
aggregate_pays(const StrategyContext *context, const Strategy *chosen, double cost)
{
	const AggregateWork *work = *context->aggregate;

	if (context->whole_only != NULL || !idle_query_is_pure(context->shape))
		return false;
	if (chosen->whole && strcmp(context->transform->mode, "incremental") == 0)
		return true;
	return work->unkept && (cost - work->cost) * REFRESHES_TO_PAY > cost_of_keeping(context);
}
