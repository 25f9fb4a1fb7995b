/*-------------------------------------------------------------------------
 *
 * aggregate.c
 *		Strategy "aggregate": computes counts, sums and extremes of groups
 *		from their old values and the changes of the inputs.
 *
 * The signed rows of the change (signed_join.c) are summed by group and added
 * to the numbers of these groups.  The cost for a group therefore does not
 * depend on the size of the group.  sums.c determines for which queries this is
 * exact.  Only groups whose greatest or least value may have been removed are
 * computed from all their rows.
 *
 * If the target has all numbers that are needed, they are read from it.
 * Otherwise depipe stores the numbers (hidden.c).  If the key of the target is
 * exactly the groups, the new rows are compared with its rows.  Otherwise the
 * result rows before and after the change are computed from the old and new
 * numbers, as signed rows (signed_delta.c).
 *
 * The plans of the statements on a few groups are kept for the session.
 *
 * Invariant: the old numbers are those of the query at the frontier of the
 * target.  Stored numbers belong to a frontier and are used only if it is the
 * current one.  The strategy is not used if the target was changed directly, or
 * if the count of a group would become negative.
 *
 *-------------------------------------------------------------------------
 */
#include "strategy/aggregate.h"

#include "core/plans.h"
#include "delta/difference.h"
#include "delta/fill.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "strategy/aggregate_offer.h"
#include "strategy/aggregate_sql.h"
#include "strategy/aggregate_tree.h"
#include "strategy/incremental.h"
#include "strategy/quarantined.h"
#include "strategy/signed_delta.h"

/* ---- ephemeral relations ---- */

/* Ephemeral relations of one computation, see aggregate_sql.c. */
typedef struct Computation
{
	List *registered; /* of TreeRelation */
	TreeRelation groups;
	TreeRelation present;
	TreeRelation old;
	TreeRelation totals;
	TreeRelation dirty;
	TreeRelation fresh;
	TreeRelation values;
} Computation;

static void
register_relation(Computation *computation, TreeRelation *relation)
{
	register_tuplestore(relation->name, relation->desc, relation->rows, relation->count);
	computation->registered = lappend(computation->registered, relation);
}

/*
 * Returns the descriptors of the registered relations, for plans that are
 * kept, or NIL if one of them has many rows.
 */
static List *
columns_of(const Computation *computation)
{
	List *columns = NIL;
	ListCell *cell;

	foreach(cell, computation->registered)
	{
		const TreeRelation *relation = lfirst(cell);

		if (relation->count > PLAN_SMALL_ROWS)
			return NIL;
		columns = lappend(columns, relation->desc);
	}
	return columns;
}

/* Runs a query on ephemeral relations into another ephemeral relation, and registers it. */
static void
derive(const StrategyContext *context, Computation *computation, TreeRelation *relation,
	   const char *name, const char *sql)
{
	uint64 count;

	relation->name = name;
	relation->rows = query_to_tuplestore(sql,
										 columns_of(computation),
										 &relation->desc,
										 &count,
										 context->context);
	relation->count = count;
	register_relation(computation, relation);
}

static void
discard(Computation *computation, TreeRelation *relation)
{
	if (relation->rows == NULL)
		return;
	(void) SPI_unregister_relation(relation->name);
	computation->registered = list_delete_ptr(computation->registered, relation);
	tuplestore_end(relation->rows);
	relation->rows = NULL;
}

static void
discard_all(Computation *computation)
{
	discard(computation, &computation->values);
	discard(computation, &computation->fresh);
	discard(computation, &computation->dirty);
	discard(computation, &computation->totals);
	discard(computation, &computation->old);
	discard(computation, &computation->present);
	discard(computation, &computation->groups);
}

static AggregateText
text_for(const StrategyContext *context, const Sums *sums)
{
	return (AggregateText){.sums = sums,
						   .target = context->transform->target,
						   .columns = context->shape->columns,
						   .delta = strategy_begin_delta(context)};
}

/* ---- groups ---- */

static void
groups_of_rows(const StrategyContext *context, const AggregateText *text, Computation *computation,
			   Tuplestorestate *rows, TupleDesc desc, bool all, const char *name,
			   TreeRelation *groups)
{
	TreeRelation terms = {.name = AGGREGATE_TERMS,
						  .desc = desc,
						  .rows = rows,
						  .count = tuplestore_tuple_count(rows)};

	register_relation(computation, &terms);
	derive(context, computation, groups, name, aggregate_groups_sql(text, all));
	discard(computation, &terms);
}

/*
 * Computes groups from all rows of the query, or only from the rows of the
 * dirty groups if "dirty" is not NULL.
 */
static void
groups_of_query(const StrategyContext *context, const AggregateText *text, Computation *computation,
				const TreeRelation *dirty, const char *name, TreeRelation *groups)
{
	MemoryContext old = MemoryContextSwitchTo(context->context);
	Tuplestorestate *rows = tuplestore_begin_heap(true, false, work_mem);
	TupleDesc desc = NULL;
	ListCell *cell;

	MemoryContextSwitchTo(old);
	foreach(cell, aggregate_rows(text->sums, dirty))
	{
		Query *query = lfirst(cell);

		desc = ExecCleanTypeFromTL(query->targetList);
		tree_run(tree_plan(query), dirty == NULL ? NIL : list_make1((void *) dirty), rows);
	}
	groups_of_rows(context, text, computation, rows, desc, true, name, groups);
}

/* ---- the computation ---- */

/*
 * Returns whether a grouping expression is NULL in some group.  The groups are
 * the first columns.
 */
static bool
has_null_groups(const Sums *sums, const TreeRelation *groups)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(groups->desc, &TTSOpsMinimalTuple);
	bool found = false;

	tuplestore_rescan(groups->rows);
	while (!found && tuplestore_gettupleslot(groups->rows, true, false, slot))
		for (int i = 1; i <= list_length(sums->groups); i++)
			found |= slot_attisnull(slot, i);
	ExecDropSingleTupleTableSlot(slot);
	return found;
}

/* Replaces rows of the target by those of the last result. */
static void
overlay(const StrategyContext *context, const AggregateText *text, TreeRelation *present)
{
	if (!quarantined_exist(context))
		return;
	(void) SPI_unregister_relation(present->name);
	present->rows =
		quarantined_overlay(context, text->delta, present->rows, aggregate_is_group_sql(text, "q"));
	present->count = tuplestore_tuple_count(present->rows);
	register_tuplestore(present->name, present->desc, present->rows, present->count);
}

static bool
read_old(const StrategyContext *context, AggregateText *text, Computation *computation)
{
	MemoryContext caller = CurrentMemoryContext;
	bool there;

	if (text->sums->keyed)
	{
		text->nulls = has_null_groups(text->sums, &computation->groups);
		derive(context,
			   computation,
			   &computation->present,
			   AGGREGATE_PRESENT,
			   aggregate_present_sql(text));
		overlay(context, text, &computation->present);
	}
	if (text->sums->self_contained)
		return true;
	MemoryContextSwitchTo(context->context);
	computation->old.name = AGGREGATE_OLD;
	there = hidden_read(text->target->id,
						&computation->groups,
						aggregate_old_desc(text->sums),
						&computation->old);
	MemoryContextSwitchTo(caller);
	if (there)
		register_relation(computation, &computation->old);
	return there;
}

/* Determines whether some group contradicts the old numbers, and whether some group is dirty. */
static void
examine(const StrategyContext *context, const AggregateText *text, Computation *computation,
		bool *contradiction, bool *dirty)
{
	TupleDesc desc;
	uint64 count;
	Tuplestorestate *rows = query_to_tuplestore(aggregate_findings_sql(text),
												columns_of(computation),
												&desc,
												&count,
												context->context);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	bool isnull;

	if (!tuplestore_gettupleslot(rows, true, false, slot))
		elog(ERROR, "aggregates of groups are missing");
	*contradiction = DatumGetBool(slot_getattr(slot, 1, &isnull));
	*contradiction &= !isnull;
	*dirty = DatumGetBool(slot_getattr(slot, 2, &isnull));
	*dirty &= !isnull;
	ExecDropSingleTupleTableSlot(slot);
	tuplestore_end(rows);
}

/*
 * Computes all relations up to the values of the groups.  Returns false if the
 * old numbers are lost or contradict the changes.
 */
static bool
compute(const StrategyContext *context, AggregateText *text, Computation *computation)
{
	AggregateWork *work = *context->aggregate;
	bool contradiction;
	bool dirty;

	groups_of_rows(context,
				   text,
				   computation,
				   signed_terms_run(&work->terms, context->context),
				   work->terms.desc,
				   false,
				   AGGREGATE_GROUPS,
				   &computation->groups);
	if (!read_old(context, text, computation))
		return false;
	derive(context,
		   computation,
		   &computation->totals,
		   AGGREGATE_TOTALS,
		   aggregate_totals_sql(text));
	examine(context, text, computation, &contradiction, &dirty);
	if (contradiction)
		return false;
	text->fresh = dirty;
	if (text->fresh)
	{
		derive(context,
			   computation,
			   &computation->dirty,
			   AGGREGATE_DIRTY,
			   aggregate_dirty_sql(text));
		groups_of_query(context,
						text,
						computation,
						&computation->dirty,
						AGGREGATE_FRESH,
						&computation->fresh);
	}
	derive(context,
		   computation,
		   &computation->values,
		   AGGREGATE_VALUES,
		   aggregate_values_sql(text));
	return true;
}

/* Returns the rows of the result, with their weights, for the values of groups. */
static Tuplestorestate *
result_rows(const StrategyContext *context, const AggregateText *text, const TreeRelation *values)
{
	MemoryContext old = MemoryContextSwitchTo(context->context);
	Tuplestorestate *rows = tuplestore_begin_heap(true, false, work_mem);

	MemoryContextSwitchTo(old);
	tree_run(tree_plan(aggregate_result(text->sums, values)), list_make1((void *) values), rows);
	return rows;
}

/* Makes the delta by comparing the new rows with those of a target that is keyed by the groups. */
static Delta *
compared(const StrategyContext *context, const AggregateText *text, Computation *computation)
{
	Delta *delta = strategy_begin_delta(context);
	TreeRelation result = {.name = AGGREGATE_RESULT,
						   .desc = signed_desc(context->shape->columns),
						   .rows = result_rows(context, text, &computation->values)};

	result.count = tuplestore_tuple_count(result.rows);
	register_relation(computation, &result);
	delta_fill_from_difference(delta, AGGREGATE_RESULT, AGGREGATE_PRESENT, columns_of(computation));
	delta->changes = result.count;
	discard(computation, &result);
	return delta;
}

static HiddenState *
state_of(const StrategyContext *context, const AggregateText *text, Computation *computation,
		 bool whole)
{
	TreeRelation rows;
	MemoryContext caller;
	HiddenState *state;

	derive(context, computation, &rows, AGGREGATE_RESULT, aggregate_kept_sql(text, whole));
	caller = MemoryContextSwitchTo(context->context);
	state = hidden_state(&rows, whole);
	MemoryContextSwitchTo(caller);
	discard(computation, &rows);
	return state;
}

static Delta *
aggregate_make_delta(const StrategyContext *context)
{
	AggregateWork *work = *context->aggregate;
	AggregateText text = text_for(context, work->sums);
	Computation computation = {0};
	Delta *delta = NULL;

	if (work->terms.queries == NIL)
	{
		delta = strategy_begin_delta(context);
		delta_finish(delta);
		return delta;
	}
	if (!compute(context, &text, &computation))
		delta = NULL;
	else if (text.sums->keyed)
		delta = compared(context, &text, &computation);
	else
		delta = signed_delta(context,
							 signed_desc(context->shape->columns),
							 result_rows(context, &text, &computation.values));
	if (delta != NULL && !text.sums->self_contained)
		work->state = state_of(context, &text, &computation, false);
	discard_all(&computation);
	return delta;
}

/* ---- stored numbers ---- */

/* Builds the numbers of all groups from the query. */
static HiddenState *
build(const StrategyContext *context)
{
	AggregateText text = text_for(context, (*context->aggregate)->sums);
	Computation computation = {0};
	HiddenState *state;

	groups_of_query(context, &text, &computation, NULL, AGGREGATE_GROUPS, &computation.groups);
	state = state_of(context, &text, &computation, true);
	discard_all(&computation);
	return state;
}

HiddenState *
aggregate_hidden(const StrategyContext *context, const Strategy *chosen, double cost)
{
	AggregateWork *work = *context->aggregate;

	context->to->hidden = 0;
	if (strcmp(chosen->name, "nothing") == 0)
	{
		context->to->hidden = context->from == NULL ? 0 : context->from->hidden;
		return NULL;
	}
	if (work == NULL || work->sums == NULL || work->sums->code != NULL ||
		work->sums->self_contained)
		return NULL;
	if (chosen == &strategy_aggregate)
	{
		context->to->hidden = work->layout;
		if (work->state == NULL)
			return NULL;
		if (work->state->count > 0)
			return work->state;
		hidden_release(work->state);
		return NULL;
	}
	if (!aggregate_pays(context, chosen, cost))
		return NULL;
	context->to->hidden = work->layout;
	return build(context);
}

/* ---- SQL for explain_transform ---- */

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
									 .delta_sql = aggregate_delta_sql};
