/*-------------------------------------------------------------------------
 *
 * aggregate.c
 *		Strategy "aggregate": counts and sums of groups from their old values and
 *		the changes of the inputs.
 *
 * The signed rows of the change (signed_join.c) are summed by group, and added
 * to what the target holds for these groups.  So a group costs the same however
 * many rows it has.  sums.c says for which queries this is exact.
 *
 * Invariant: the target holds what the query returned at the frontier.  Rows in
 * quarantine and direct changes of the target contradict it, so they rule the
 * strategy out; and so does any group whose count would become negative.
 *
 *-------------------------------------------------------------------------
 */
#include "transform/aggregate.h"

#include "core/plans.h"
#include "delta/difference.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "nodes/makefuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "transform/aggregate_sql.h"
#include "transform/idle.h"
#include "transform/incremental.h"
#include "transform/signed_delta.h"
#include "transform/signed_terms.h"

/* Rows of the terms and groups are written to memory, sorted or hashed, and joined. */
#define TIMES_HANDLED 4

struct AggregateWork
{
	Sums *sums;
	SignedTerms terms; /* of rows g0.., a0.., and the weight */
	TreeRelation result;
	TreeRelation present;
};

/* ---- the terms ---- */

static char *
term_column(const char *kind, int number)
{
	return psprintf("%s%d", kind, number);
}

/* Grouping expressions g0, g1, ..., and arguments a0, a1, ... */
static List *
term_outputs(const Sums *sums)
{
	List *outputs = NIL;
	ListCell *cell;

	foreach(cell, sums->groups)
		outputs = lappend(outputs,
						  makeTargetEntry(lfirst(cell),
										  list_length(outputs) + 1,
										  term_column("g", foreach_current_index(cell)),
										  false));
	foreach(cell, sums->arguments)
		outputs = lappend(outputs,
						  makeTargetEntry(((SumArgument *) lfirst(cell))->expression,
										  list_length(outputs) + 1,
										  term_column("a", foreach_current_index(cell)),
										  false));
	return outputs;
}

/* ---- running ---- */

/* Run a query on ephemeral relations into another one, which is registered. */
static void
derive(const StrategyContext *context, TreeRelation *relation, const char *name, const char *sql)
{
	uint64 count;

	relation->name = name;
	relation->rows = query_to_tuplestore(sql, &relation->desc, &count, context->context);
	relation->count = count;
	register_tuplestore(name, relation->desc, relation->rows, count);
}

static void
discard(TreeRelation *relation)
{
	(void) SPI_unregister_relation(relation->name);
	tuplestore_end(relation->rows);
	relation->rows = NULL;
}

static void
run_terms(const StrategyContext *context, TreeRelation *terms)
{
	AggregateWork *work = *context->aggregate;

	terms->rows = signed_terms_run(&work->terms, context->context);
	terms->name = AGGREGATE_TERMS;
	terms->desc = work->terms.desc;
	terms->count = tuplestore_tuple_count(terms->rows);
	register_tuplestore(AGGREGATE_TERMS, terms->desc, terms->rows, terms->count);
}

/* Compute the rows of the result that change, and those that the target has for them. */
static bool
compute(const StrategyContext *context)
{
	AggregateWork *work = *context->aggregate;
	AggregateText text = {.sums = work->sums,
						  .target = context->transform->target,
						  .columns = context->shape->columns,
						  .delta = strategy_begin_delta(context)};
	TreeRelation terms;
	TreeRelation groups;
	TreeRelation totals;
	bool sound;

	run_terms(context, &terms);
	derive(context, &groups, AGGREGATE_GROUPS, aggregate_groups_sql(&text));
	discard(&terms);
	derive(context, &work->present, AGGREGATE_PRESENT, aggregate_present_sql(&text));
	derive(context, &totals, AGGREGATE_TOTALS, aggregate_totals_sql(&text));
	discard(&groups);
	sound = !query_finds_row(aggregate_contradiction_sql(&text));
	if (sound)
		derive(context, &work->result, AGGREGATE_RESULT, aggregate_result_sql(&text));
	discard(&totals);
	(void) SPI_unregister_relation(AGGREGATE_PRESENT);
	if (sound)
		(void) SPI_unregister_relation(AGGREGATE_RESULT);
	return sound;
}

/* ---- the offer ---- */

bool
aggregate_could_serve(Shape *shape, List *key)
{
	return idle_query_is_pure(shape) && sums_analyse(shape, key)->code == NULL;
}

static bool
may_add(const StrategyContext *context, StrategyOffer *offer)
{
	AggregateWork *work = *context->aggregate;

	if (!incremental_is_allowed(context, offer) || !incremental_is_pure(context, offer))
		return false;
	work->sums = sums_analyse(context->shape, context->transform->key);
	if (work->sums->code != NULL)
		return incremental_impossible(offer, work->sums->code, work->sums->detail);
	if (!incremental_knows_changes(context, offer) ||
		!incremental_has_columns(context, offer, context->shape->columns))
		return false;
	/* the terms do not read the changed tables themselves */
	query_check_privileges_compat(work->sums->join.query);
	return signed_terms_add(&work->terms,
							&work->sums->join,
							term_outputs(work->sums),
							context->changes) ||
		   signed_terms_too_many(&work->terms, offer);
}

/* Of summing the rows of the terms, and of writing the groups that they are of. */
static double
cost_of_groups(const StrategyContext *context, const AggregateWork *work)
{
	const Estimate *estimate = &context->estimate;
	double groups = Min(work->terms.rows, Max(estimate->query_rows, 1));
	double handling = cpu_tuple_cost + cpu_operator_cost * (list_length(work->sums->groups) +
															list_length(work->sums->arguments));

	return TIMES_HANDLED * work->terms.rows * handling +
		   Min(groups * random_page_cost, cost_scan(estimate)) +
		   cost_write(estimate, groups, groups);
}

static void
aggregate_offer(const StrategyContext *context, StrategyOffer *offer)
{
	AggregateWork *work = *context->aggregate = palloc0(sizeof(AggregateWork));

	if (!may_add(context, offer))
		return;
	offer->possible = true;
	offer->routine = true;
	offer->cost = work->terms.cost + cost_of_groups(context, work);
	offer->reason_code = "sums_of_changes";
	offer->detail = psprintf("The changes are added to about %.0f groups.",
							 Min(work->terms.rows, Max(context->estimate.query_rows, 1)));
}

/* ---- the delta ---- */

static Delta *
aggregate_make_delta(const StrategyContext *context)
{
	AggregateWork *work = *context->aggregate;
	Delta *delta;

	if (!compute(context))
		return NULL;
	delta = strategy_begin_delta(context);
	register_tuplestore(AGGREGATE_RESULT, work->result.desc, work->result.rows, work->result.count);
	register_tuplestore(AGGREGATE_PRESENT,
						work->present.desc,
						work->present.rows,
						work->present.count);
	delta_fill_from_difference(delta, AGGREGATE_RESULT, AGGREGATE_PRESENT);
	delta->changes = work->result.count;
	(void) SPI_unregister_relation(AGGREGATE_RESULT);
	(void) SPI_unregister_relation(AGGREGATE_PRESENT);
	return delta;
}

static void
aggregate_end(const StrategyContext *context)
{
	AggregateWork *work = *context->aggregate;

	*context->aggregate = NULL;
	if (work == NULL)
		return;
	if (work->present.rows != NULL)
		tuplestore_end(work->present.rows);
	if (work->result.rows != NULL)
		tuplestore_end(work->result.rows);
}

static char *
aggregate_delta_sql(const StrategyContext *context)
{
	const AggregateWork *work = *context->aggregate;

	return work == NULL ? NULL : signed_terms_text(&work->terms);
}

const Strategy strategy_aggregate = {.name = "aggregate",
									 .whole = false,
									 .offer = aggregate_offer,
									 .make_delta = aggregate_make_delta,
									 .delta_sql = aggregate_delta_sql,
									 .end = aggregate_end};
