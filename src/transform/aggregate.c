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

#include "core/identity.h"
#include "core/plans.h"
#include "delta/difference.h"
#include "executor/execdesc.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "transform/aggregate_sql.h"
#include "transform/changes.h"
#include "transform/idle.h"
#include "transform/incremental.h"

/* Rows of the terms and groups are written to memory, sorted or hashed, and joined. */
#define TIMES_HANDLED 4

struct AggregateWork
{
	Sums *sums;
	List *terms;     /* of Query */
	List *plans;     /* theirs */
	List *relations; /* of TreeRelation: the changes that they read */
	TupleDesc desc;  /* of the rows of the terms: g0.., a0.., w */
	double rows;     /* estimated rows of the terms */
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

/* The occurrences of changed inputs, as a list of SignedJoinChange. */
static List *
changed_occurrences(AggregateWork *work, List *changes)
{
	List *changed = NIL;
	ListCell *cell;
	ListCell *occurrence;

	foreach(cell, changes)
	{
		const InputChanges *input = lfirst(cell);
		TreeRelation *images;

		if (input->count == 0)
			continue;
		images = palloc0(sizeof(TreeRelation));
		images->name = psprintf("_depipe_changes_%d", list_length(work->relations) + 1);
		images->desc = input->desc;
		images->rows = input->rows;
		images->count = input->count;
		work->relations = lappend(work->relations, images);
		foreach(occurrence, signed_join_occurrences(&work->sums->join, input->relid))
		{
			SignedJoinChange *change = palloc(sizeof(SignedJoinChange));

			change->rtindex = lfirst_int(occurrence);
			change->images = images;
			changed = lappend(changed, change);
		}
	}
	return changed;
}

/* Returns the planner's cost of the terms. */
static double
plan_terms(AggregateWork *work, List *changed)
{
	double cost = 0;
	ListCell *cell;

	work->terms = signed_join_terms(&work->sums->join, term_outputs(work->sums), changed);
	work->desc = ExecCleanTypeFromTL(linitial_node(Query, work->terms)->targetList);
	foreach(cell, work->terms)
	{
		PlannedStmt *plan = tree_plan(lfirst(cell));

		work->plans = lappend(work->plans, plan);
		cost += plan->planTree->total_cost;
		work->rows += plan->planTree->plan_rows;
	}
	return cost;
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
	MemoryContext old = MemoryContextSwitchTo(context->context);
	ListCell *cell;

	terms->rows = tuplestore_begin_heap(true, false, work_mem);
	MemoryContextSwitchTo(old);
	foreach(cell, work->plans)
		tree_run(lfirst(cell), work->relations, terms->rows);
	terms->name = AGGREGATE_TERMS;
	terms->desc = work->desc;
	terms->count = tuplestore_tuple_count(terms->rows);
	register_tuplestore(AGGREGATE_TERMS, terms->desc, terms->rows, terms->count);
}

static bool
finds_contradiction(const AggregateText *text)
{
	MemoryContext caller = CurrentMemoryContext;
	int level = identity_begin_statement();
	bool found;

	if (read_query(aggregate_contradiction_sql(text), 0, NULL, NULL) != SPI_OK_SELECT)
		elog(ERROR, "could not look at the totals");
	found = SPI_processed > 0;
	SPI_freetuptable(SPI_tuptable);
	MemoryContextSwitchTo(caller); /* SPI leaves its own context current */
	identity_end_statement(level);
	return found;
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
	sound = !finds_contradiction(&text);
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
may_add(const StrategyContext *context, StrategyOffer *offer, List **changed)
{
	AggregateWork *work = *context->aggregate;
	const Volatility *volatility = &context->shape->volatility;

	if (!incremental_is_allowed(context, offer))
		return false;
	if (volatility->is_stable)
		return incremental_impossible(offer,
									  "stable_function",
									  psprintf("The query %s, whose result may differ between"
											   " transactions.",
											   volatility->stable_part));
	if (!idle_query_is_pure(context->shape))
		return incremental_impossible(
			offer,
			"user_function",
			pstrdup("The query calls a function that may be replaced without notice."));
	work->sums = sums_analyse(context->shape, context->transform->key);
	if (work->sums->code != NULL)
		return incremental_impossible(offer, work->sums->code, work->sums->detail);
	if (!incremental_knows_changes(context, offer))
		return false;
	if (!incremental_same_columns(context, context->shape->columns))
		return incremental_impossible(
			offer,
			"other_type",
			pstrdup("Columns of the table have other types or collations than the query."));
	/* the terms do not read the changed tables themselves */
	query_check_privileges_compat(work->sums->join.query);
	*changed = changed_occurrences(work, context->changes);
	if (list_length(*changed) > SIGNED_JOIN_MOST_CHANGED)
		return incremental_impossible(
			offer,
			"many_inputs",
			psprintf("%d tables of the join have changed.", list_length(*changed)));
	return true;
}

/* Of summing the rows of the terms, and of writing the groups that they are of. */
static double
cost_of_groups(const StrategyContext *context, const AggregateWork *work)
{
	const Estimate *estimate = &context->estimate;
	double groups = Min(work->rows, Max(estimate->query_rows, 1));
	double handling = cpu_tuple_cost + cpu_operator_cost * (list_length(work->sums->groups) +
															list_length(work->sums->arguments));

	return TIMES_HANDLED * work->rows * handling +
		   Min(groups * random_page_cost, cost_scan(estimate)) +
		   cost_write(estimate, groups, groups);
}

static void
aggregate_offer(const StrategyContext *context, StrategyOffer *offer)
{
	AggregateWork *work = *context->aggregate = palloc0(sizeof(AggregateWork));
	List *changed = NIL;
	double other;

	if (!may_add(context, offer, &changed))
		return;
	offer->cost = plan_terms(work, changed) + cost_of_groups(context, work);
	other = incremental_cost_to_beat(context);
	if (other >= 0 && offer->cost > other)
	{
		(void) incremental_too_expensive(offer, offer->cost, other, "Adding the changes");
		return;
	}
	if (!compute(context))
	{
		(void) incremental_impossible(
			offer,
			"contradiction",
			pstrdup("What the table holds contradicts the changes, or a sum is not a number."));
		return;
	}
	offer->possible = true;
	offer->routine = true;
	offer->reason_code = "sums_of_changes";
	offer->detail = psprintf("The changes are added to %.0f groups.", work->present.count);
}

/* ---- the delta ---- */

static Delta *
aggregate_make_delta(const StrategyContext *context)
{
	AggregateWork *work = *context->aggregate;
	Delta *delta = strategy_begin_delta(context);

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
	StringInfoData text;
	ListCell *cell;

	if (work == NULL || work->terms == NIL)
		return NULL;
	initStringInfo(&text);
	foreach(cell, work->terms)
		appendStringInfo(&text,
						 "%s%s",
						 foreach_current_index(cell) > 0 ? "\nUNION ALL\n" : "",
						 tree_text(lfirst(cell)));
	return text.data;
}

const Strategy strategy_aggregate = {.name = "aggregate",
									 .whole = false,
									 .offer = aggregate_offer,
									 .make_delta = aggregate_make_delta,
									 .delta_sql = aggregate_delta_sql,
									 .end = aggregate_end};
