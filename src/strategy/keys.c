/*-------------------------------------------------------------------------
 *
 * keys.c
 *		Strategy "keys": recomputes the rows for those values of a key that
 *		changes of the inputs affect.
 *
 * First the affected values are found (paths.c).  Then the query is run for
 * these values only (restrict.c), and its rows are compared with the rows of
 * the target for the same values.  Rows in which a column of the key is NULL
 * are recomputed together, because NULLs are equal in groups and windows but
 * not in joins.
 *
 * The cost depends on the number of values.  The offer therefore finds the
 * values, and the plan for them is made once their number is known.  If
 * finding them is not cheap compared to another strategy, the estimated total
 * must not exceed the cost of that strategy.
 *
 *-------------------------------------------------------------------------
 */
#include "strategy/keys.h"

#include "access/xact.h"
#include "catalog/constraints.h"
#include "core/querytext.h"
#include "core/sqltext.h"
#include "delta/difference.h"
#include "delta/fill.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "core/plans.h"
#include "optimizer/optimizer.h"
#include "strategy/incremental.h"
#include "strategy/keys_analysis.h"
#include "strategy/quarantined.h"
#include "query/paths.h"
#include "strategy/restrict.h"
#include "strategy/signed_delta.h"

#define FOUND "_depipe_found"
#define AFFECTED "_depipe_keys"
#define RESULT "_depipe_result"
#define PRESENT "_depipe_present"

/*
 * Up to this fraction of the cheapest whole evaluation, the values are found
 * without an estimate of the total cost.
 */
#define DISCOVERY_SHARE 0.2

/*
 * Another strategy on changes is cheap enough if it costs no more than this
 * fraction of the cheapest whole evaluation.
 */
#define CHEAP_SHARE 0.2

/* Assumed fraction of the recomputed rows that differ, which is unknown. */
#define DIFFERING_SHARE 0.5

/* Result of an offer, used to make the delta and to explain it. */
struct KeysWork
{
	const KeysAnalysis *analysis;
	const ResultKey *key;
	List *ranges;          /* of ClockRange: rows whose comparison with the time has changed */
	List *terms;           /* of PathTerm */
	List *queries;         /* queries of the terms */
	List *plans;           /* plans of the terms */
	List *relations;       /* of TreeRelation: the changes that the queries read */
	TreeRelation affected; /* the affected values, without duplicates */
	bool has_nulls;        /* some value has a NULL column */
	/* plans that read the query [0] and the target [1] */
	PlannedStmt *plans_of_values[2];
	PlannedStmt *plans_of_nulls[2];
	double cost;
};

/* ---- finding the values ---- */

static TreeRelation *
changes_relation(KeysWork *work, const InputChanges *changes)
{
	TreeRelation *relation;
	ListCell *cell;

	foreach(cell, work->relations)
		if (((TreeRelation *) lfirst(cell))->rows == changes->rows)
			return lfirst(cell);
	relation = palloc0(sizeof(TreeRelation));
	relation->name = psprintf("_depipe_changes_%d", list_length(work->relations) + 1);
	relation->desc = changes->desc;
	relation->rows = changes->rows;
	relation->count = changes->count;
	work->relations = lappend(work->relations, relation);
	return relation;
}

/*
 * Chooses a key and its terms.  Prefers the first key by which all changes can
 * be followed.  Otherwise takes the first key with terms, although some
 * changes may affect any value.  Returns false if there is no such key, and
 * sets *obstacle to the relation in the way.
 */
static bool
find_terms(KeysWork *work, const StrategyContext *context, Oid *obstacle)
{
	List *relids = NIL;
	ListCell *cell;

	foreach(cell, context->changes)
		if (((InputChanges *) lfirst(cell))->count > 0)
			relids = lappend_oid(relids, ((InputChanges *) lfirst(cell))->relid);
	foreach(cell, work->analysis->keys)
	{
		List *terms;

		if (!path_terms(work->analysis->graph,
						lfirst(cell),
						relids,
						work->ranges,
						&terms,
						obstacle))
			continue;
		if (work->key != NULL && path_any_value(terms) != NULL)
			continue;
		work->key = lfirst(cell);
		work->terms = terms;
		if (path_any_value(terms) == NULL)
			break;
	}
	return work->key != NULL;
}

/* Plans the terms.  Returns their cost, and sets *values to the estimated number of values. */
static double
plan_terms(KeysWork *work, const StrategyContext *context, double *values)
{
	double cost = 0;
	ListCell *cell;

	*values = 0;
	foreach(cell, work->terms)
	{
		const PathTerm *term = lfirst(cell);
		TreeRelation *changes = term->range != NULL
									? NULL
									: changes_relation(work,
													   changes_of(context->changes,
																  term->changed->entry->relid));
		Query *query = path_query(work->analysis->graph, work->key, term, changes);
		PlannedStmt *plan = tree_plan(query);

		work->queries = lappend(work->queries, query);
		work->plans = lappend(work->plans, plan);
		cost += plan->planTree->total_cost;
		*values += plan->planTree->plan_rows;
	}
	return cost;
}

/*
 * Returns a changed relation with a row that may affect any value, or
 * InvalidOid if there is none.
 */
static Oid
concerns_any_value(const KeysWork *work)
{
	Oid relid = InvalidOid;
	ListCell *cell;

	foreach(cell, work->terms)
	{
		const PathTerm *term = lfirst(cell);
		Tuplestorestate *rows;

		if (!term->any_value || OidIsValid(relid))
			continue;
		rows = tuplestore_begin_heap(false, false, work_mem);
		tree_run(list_nth(work->plans, foreach_current_index(cell)), work->relations, rows);
		if (tuplestore_tuple_count(rows) > 0)
			relid = term->changed->entry->relid;
		tuplestore_end(rows);
	}
	return relid;
}

static char *
distinct_sql(const ResultKey *key)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT DISTINCT ");
	sql_append_columns(&sql, key->desc, NULL);
	appendStringInfoString(&sql, " FROM " FOUND);
	return sql.data;
}

static bool
any_null(const TreeRelation *values)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(values->desc, &TTSOpsMinimalTuple);
	bool found = false;

	tuplestore_rescan(values->rows);
	while (!found && tuplestore_gettupleslot(values->rows, true, false, slot))
	{
		slot_getallattrs(slot);
		for (int i = 0; i < values->desc->natts; i++)
			found |= slot->tts_isnull[i];
	}
	ExecDropSingleTupleTableSlot(slot);
	return found;
}

static void
find_values(KeysWork *work, const StrategyContext *context)
{
	MemoryContext old = MemoryContextSwitchTo(context->context);
	Tuplestorestate *found = tuplestore_begin_heap(true, false, work_mem);
	List *columns;
	TupleDesc desc;
	uint64 count;
	ListCell *cell;

	MemoryContextSwitchTo(old);
	foreach(cell, work->plans)
		if (!((PathTerm *) list_nth(work->terms, foreach_current_index(cell)))->any_value)
			tree_run(lfirst(cell), work->relations, found);
	register_tuplestore(FOUND, work->key->desc, found, tuplestore_tuple_count(found));
	columns = tuplestore_tuple_count(found) > PLAN_SMALL_ROWS ? NIL : list_make1(work->key->desc);
	work->affected.name = AFFECTED;
	work->affected.desc = work->key->desc;
	work->affected.rows =
		query_to_tuplestore(distinct_sql(work->key), columns, &desc, &count, context->context);
	work->affected.count = count;
	(void) SPI_unregister_relation(FOUND);
	tuplestore_end(found);
	work->has_nulls = any_null(&work->affected);
}

/* ---- the offer ---- */

/* Returns a query of the target's rows, with the columns in the order of the delta. */
static char *
present_sql(const StrategyContext *context)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	sql_append_columns(&sql, strategy_begin_delta(context)->columns, NULL);
	appendStringInfo(&sql, " FROM %s", target_rows_sql(context->transform->target, NULL));
	return sql.data;
}

/*
 * Finds the rows whose comparison with the current time has changed since the
 * last refresh.  Makes the offer impossible and returns false if these rows
 * cannot be determined.
 */
static bool
find_ranges(const StrategyContext *context, StrategyOffer *offer)
{
	KeysWork *work = *context->keys;

	if (work->analysis->tests == NIL)
		return true;
	if (context->from->taken_at == 0)
		return incremental_impossible(offer,
									  "clock_unknown",
									  pstrdup("The time of the last refresh is not known."));
	if (!clock_ranges(work->analysis->tests,
					  context->from->taken_at,
					  GetCurrentTransactionStartTimestamp(),
					  &work->ranges))
		return incremental_impossible(offer,
									  "clock_unknown",
									  pstrdup("A time that columns are compared with is NULL."));
	return true;
}

static bool
may_follow(const StrategyContext *context, StrategyOffer *offer)
{
	KeysWork *work = *context->keys;

	if (!incremental_is_allowed(context, offer))
		return false;
	work->analysis = keys_analyse(context->shape);
	if (work->analysis->keys == NIL)
		return incremental_impossible(offer, work->analysis->code, work->analysis->detail);
	return incremental_knows_changes(context, offer) && find_ranges(context, offer);
}

/*
 * Plans the recomputation of the rows for the values, or, if "values" is NULL,
 * of the rows in which a column of the key is NULL.  Returns its cost.
 */
static double
plan_half(const KeysWork *work, const StrategyContext *context, const TreeRelation *values,
		  PlannedStmt **plans)
{
	double rows;
	double compared;
	double cost;

	plans[0] = tree_plan(
		restrict_query(work->analysis->query, work->analysis->graph, work->key, values));
	plans[1] = tree_plan(restrict_table(present_sql(context), work->key, values));
	rows = plans[0]->planTree->plan_rows;
	/* the planner knows less of groups than of rows of the table */
	compared = Min(rows, plans[1]->planTree->plan_rows);
	cost = plans[0]->planTree->total_cost + plans[1]->planTree->total_cost;
	cost += 2 * rows * (cpu_tuple_cost + cpu_operator_cost * context->shape->columns->natts);
	cost += cost_handle_compared(compared) + cost_deliver(compared);
	return cost + cost_write(&context->estimate, DIFFERING_SHARE * rows, DIFFERING_SHARE * rows);
}

/*
 * Plans the recomputation of the rows of these values.  Returns the cost of
 * recomputing, comparing and writing them.
 */
static double
plan_rows(KeysWork *work, const StrategyContext *context, const TreeRelation *values)
{
	double cost = plan_half(work, context, values, work->plans_of_values);

	if (work->has_nulls)
		cost += plan_half(work, context, NULL, work->plans_of_nulls);
	return cost;
}

/* Makes the offer impossible because the whole result must be evaluated.  Returns false. */
static bool
any_row(const KeysWork *work, StrategyOffer *offer, Oid relid)
{
	/* the absence of a better key is a permanent property of the query */
	if (work->analysis->code != NULL)
		return incremental_impossible(offer, work->analysis->code, work->analysis->detail);
	return incremental_impossible(
		offer,
		"no_path",
		psprintf("Rows of %s that have changed may concern any row of the result.",
				 sql_relation(relid)));
}

/*
 * Returns the cost of recomputing the rows.  A key without columns has no
 * partial recomputation.
 */
static double
recompute_cost(KeysWork *work, const StrategyContext *context, const TreeRelation *values)
{
	return work->key->natts == 0 ? 0 : plan_rows(work, context, values);
}

static bool
find_cheaply(const StrategyContext *context, StrategyOffer *offer, double other)
{
	KeysWork *work = *context->keys;
	TreeRelation estimated = {.name = AFFECTED, .desc = work->key->desc};
	Oid obstacle;

	work->cost = plan_terms(work, context, &estimated.count);
	if (other >= 0 && work->cost > DISCOVERY_SHARE * other)
	{
		double cost = work->cost + recompute_cost(work, context, &estimated);

		if (cost > other && work->key->natts == 0)
			return any_row(work, offer, InvalidOid);
		if (cost > other)
			return incremental_too_expensive(offer,
											 cost,
											 other,
											 "Finding and recomputing affected rows");
	}
	obstacle = concerns_any_value(work);
	if (OidIsValid(obstacle))
		return any_row(work, offer, obstacle);
	if (work->key->natts > 0)
		find_values(work, context);
	return true;
}

/*
 * Finding the values takes time.  It is skipped if another strategy on changes
 * is very cheap.
 */
static bool
is_not_worth_it(const StrategyContext *context, StrategyOffer *offer, double other)
{
	if (context->cheapest < 0 || other < 0 || context->cheapest > CHEAP_SHARE * other)
		return false;
	(void) incremental_impossible(
		offer,
		"not_tried",
		psprintf("Another strategy on changes is estimated to cost only %.2f.", context->cheapest));
	return true;
}

static void
keys_offer(const StrategyContext *context, StrategyOffer *offer)
{
	KeysWork *work = *context->keys = palloc0(sizeof(KeysWork));
	Oid obstacle = InvalidOid;
	double other;
	ListCell *cell;

	if (!may_follow(context, offer))
		return;
	other = incremental_cost_to_beat(context);
	if (is_not_worth_it(context, offer, other))
		return;
	if (!find_terms(work, context, &obstacle))
	{
		(void) any_row(work, offer, obstacle);
		return;
	}
	if (!find_cheaply(context, offer, other))
		return;
	offer->possible = true;
	offer->routine = true;
	offer->cost = work->cost + recompute_cost(work, context, &work->affected);
	offer->reason_code = "affected_keys";
	offer->detail = work->key->natts == 0 ? pstrdup("No changed row concerns the result.")
										  : psprintf("Rows of %.0f values of %s are recomputed.",
													 work->affected.count,
													 partition_key_text(work->key));
	foreach(cell, work->analysis->tests)
	{
		char *advice = clock_advice(lfirst(cell));

		if (advice != NULL)
			offer->detail = psprintf("%s %s", offer->detail, advice);
	}
}

/* ---- the delta ---- */

/*
 * Runs the plans on the query (which = 0) or on the target (1), for the values
 * and for NULLs.
 */
static Tuplestorestate *
run_both(const StrategyContext *context, const KeysWork *work, int which)
{
	MemoryContext old = MemoryContextSwitchTo(context->context);
	Tuplestorestate *rows = tuplestore_begin_heap(true, false, work_mem);
	List *relations = list_make1((void *) &work->affected);

	MemoryContextSwitchTo(old);
	tree_run(work->plans_of_values[which], relations, rows);
	if (work->has_nulls)
		tree_run(work->plans_of_nulls[which], relations, rows);
	return rows;
}

/* Returns the condition that a row (q) is among the recomputed rows. */
static char *
is_recomputed(const KeysWork *work)
{
	const TupleDesc desc = work->key->desc;
	AttrNumber *columns = palloc(sizeof(AttrNumber) * desc->natts);
	StringInfoData sql;

	for (int i = 0; i < desc->natts; i++)
		columns[i] = i + 1;
	initStringInfo(&sql);
	appendStringInfoString(&sql, "EXISTS (SELECT FROM " AFFECTED " a WHERE ");
	sql_append_match(&sql, desc, desc->natts, columns, "q", "a", true);
	appendStringInfoChar(&sql, ')');
	for (int i = 0; work->has_nulls && i < desc->natts; i++)
		appendStringInfo(&sql,
						 " OR q.%s IS NOT DISTINCT FROM NULL",
						 sql_identifier(NameStr(TupleDescAttr(desc, i)->attname)));
	return sql.data;
}

/* Returns the rows of the last result that are recomputed. */
static Tuplestorestate *
last_rows(const StrategyContext *context, const KeysWork *work, const Delta *delta)
{
	Tuplestorestate *present = run_both(context, work, 1);

	if (!quarantined_exist(context))
		return present;
	register_tuplestore(AFFECTED, work->key->desc, work->affected.rows, work->affected.count);
	present = quarantined_overlay(context, delta, present, is_recomputed(work));
	(void) SPI_unregister_relation(AFFECTED);
	return present;
}

static void
fill_delta(const StrategyContext *context, const KeysWork *work, Delta *delta)
{
	Tuplestorestate *rows = run_both(context, work, 0);
	Tuplestorestate *present = last_rows(context, work, delta);

	register_tuplestore(RESULT, context->shape->columns, rows, tuplestore_tuple_count(rows));
	register_tuplestore(PRESENT, delta->columns, present, tuplestore_tuple_count(present));
	strategy_refuse_duplicate_keys(context, delta, RESULT);
	delta_fill_from_difference(delta,
							   RESULT,
							   PRESENT,
							   Max(tuplestore_tuple_count(rows), tuplestore_tuple_count(present)) >
									   PLAN_SMALL_ROWS
								   ? NIL
								   : list_make2(context->shape->columns, delta->columns));
	delta->changes = tuplestore_tuple_count(rows);
	(void) SPI_unregister_relation(RESULT);
	(void) SPI_unregister_relation(PRESENT);
	tuplestore_end(rows);
	tuplestore_end(present);
}

static bool
is_of_transform_key(const StrategyContext *context, const char *name)
{
	ListCell *cell;

	foreach(cell, context->transform->key)
		if (strcmp(lfirst(cell), name) == 0)
			return true;
	return false;
}

/*
 * Returns whether the delta contradicts rows of the target that were not
 * recomputed.  If the key of the transform does not include all columns of
 * this key, rows with the same key of the transform may have different values,
 * and not all of these are recomputed.
 */
static bool
meets_other_rows(const StrategyContext *context, const KeysWork *work, Delta *delta)
{
	for (int i = 0; i < work->key->natts; i++)
		if (!is_of_transform_key(context, NameStr(TupleDescAttr(work->key->desc, i)->attname)))
			return signed_delta_contradicts(context, delta);
	return false;
}

static Delta *
keys_make_delta(const StrategyContext *context)
{
	KeysWork *work = *context->keys;
	Delta *delta = strategy_begin_delta(context);

	if (work->affected.count == 0)
	{
		delta_finish(delta);
		return delta;
	}
	fill_delta(context, work, delta);
	if (!meets_other_rows(context, work, delta))
		return delta;
	delta_destroy(delta);
	return NULL;
}

static void
keys_end(const StrategyContext *context)
{
	KeysWork *work = *context->keys;

	if (work != NULL && work->affected.rows != NULL)
		tuplestore_end(work->affected.rows);
	*context->keys = NULL;
}

/* ---- SQL for explain_transform ---- */

static char *
keys_delta_sql(const StrategyContext *context)
{
	const KeysWork *work = *context->keys;
	TreeRelation values = {.name = AFFECTED};
	StringInfoData text;
	ListCell *cell;

	if (work == NULL || work->analysis == NULL || work->analysis->code != NULL ||
		(work->key != NULL && work->key->natts == 0))
		return NULL;
	if (work->queries == NIL)
		return keys_text(work->analysis);
	initStringInfo(&text);
	appendStringInfo(&text, "-- values of %s\n", partition_key_text(work->key));
	foreach(cell, work->queries)
		appendStringInfo(&text,
						 "%s%s",
						 foreach_current_index(cell) > 0 ? "\nUNION\n" : "",
						 tree_text(lfirst(cell)));
	values.desc = work->key->desc;
	appendStringInfo(
		&text,
		";\n-- rows of these values\n%s",
		tree_text(
			restrict_query(work->analysis->query, work->analysis->graph, work->key, &values)));
	return text.data;
}

const Strategy strategy_keys = {.name = "keys",
								.whole = false,
								.offer = keys_offer,
								.make_delta = keys_make_delta,
								.delta_sql = keys_delta_sql,
								.end = keys_end};

/* ---- check at creation ---- */

static char *
nothing_follows(const KeysAnalysis *analysis)
{
	ListCell *cell;
	ListCell *other;
	Oid obstacle = InvalidOid;

	foreach(cell, analysis->keys)
		foreach(other, analysis->graph->nodes)
		{
			List *terms;
			Oid relid = ((GraphNode *) lfirst(other))->entry->relid;

			if (path_terms(analysis->graph,
						   lfirst(cell),
						   list_make1_oid(relid),
						   clock_any_ranges(analysis->tests),
						   &terms,
						   &obstacle))
			{
				const PathTerm *any = path_any_value(terms);

				if (any == NULL)
					return NULL;
				obstacle = any->changed->entry->relid;
			}
		}
	return psprintf("Rows of %s that have changed may concern any row of the result.",
					sql_relation(obstacle));
}

void
keys_require(Shape *shape, const char *query, const char *display)
{
	const KeysAnalysis *analysis = keys_analyse(shape);
	char *detail = analysis->code != NULL ? analysis->detail : nothing_follows(analysis);

	if (detail == NULL)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("transform %s cannot be refreshed incrementally", display),
			 errdetail("%s", detail),
			 errhint("Use mode \"auto\", which writes only the rows that differ."),
			 querytext_error_at(query, analysis->location)));
}
