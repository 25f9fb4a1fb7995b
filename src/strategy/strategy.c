/*-------------------------------------------------------------------------
 *
 * strategy.c
 *		Functions common to all strategies.
 *
 * A strategy runs as the owner of the transform, with the snapshot of the
 * slice active, inside an SPI connection.
 *
 *-------------------------------------------------------------------------
 */
#include "strategy/strategy.h"

#include <math.h>

#include "catalog/constraints.h"
#include "core/identity.h"
#include "core/sqltext.h"
#include "delta/difference.h"
#include "executor/spi.h"
#include "capture/frontier.h"
#include "query/table.h"

static List *
column_names(TupleDesc columns)
{
	List *names = NIL;

	for (int i = 0; i < columns->natts; i++)
		names = lappend(names, pstrdup(NameStr(TupleDescAttr(columns, i)->attname)));
	return names;
}

Delta *
strategy_begin_delta(const StrategyContext *context)
{
	return delta_create(context->transform->target->relid,
						column_names(context->shape->columns),
						context->transform->key,
						context->context);
}

/* Returns the number of the key column of the delta with this name, or 0. */
static int
key_column(const Delta *delta, const char *name)
{
	for (int i = 0; i < delta->nkeys; i++)
		if (strcmp(NameStr(TupleDescAttr(delta->columns, delta->keys[i] - 1)->attname), name) == 0)
			return delta->keys[i];
	return 0;
}

/*
 * Returns whether the query cannot return a key twice: columns of the key
 * identify its rows, by the same equality as in the table.
 */
static bool
key_is_inferred(const StrategyContext *context, const Delta *delta)
{
	const Shape *shape = context->shape;
	ListCell *cell;

	foreach(cell, shape->unique_key)
	{
		int number = key_column(delta, lfirst(cell));
		Form_pg_attribute att;

		if (number == 0)
			return false;
		att = TupleDescAttr(delta->columns, number - 1);
		for (int i = 0; i < shape->columns->natts; i++)
		{
			Form_pg_attribute wanted = TupleDescAttr(shape->columns, i);

			if (strcmp(NameStr(wanted->attname), lfirst(cell)) == 0 &&
				(wanted->atttypid != att->atttypid || wanted->attcollation != att->attcollation))
				return false;
		}
	}
	return shape->unique_key != NIL;
}

void
strategy_refuse_duplicate_keys(const StrategyContext *context, Delta *delta, const char *relation)
{
	char *keys = NULL;

	if (delta->nkeys > 0 && (context->shape == NULL || !key_is_inferred(context, delta)))
		keys = key_duplicates(delta, relation, 3);
	if (keys == NULL)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_UNIQUE_VIOLATION),
			 errmsg("key of transform %s is not unique", context->transform->target->display),
			 errdetail("The query returns more than one row for %s.", keys),
			 errhint("Declare a key that identifies the rows of the query, or an empty key.")));
}

bool
strategy_target_is_empty(const StrategyContext *context)
{
	MemoryContext caller = CurrentMemoryContext;
	StringInfoData sql;
	int level = identity_begin_statement();
	bool empty;

	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "SELECT FROM %s LIMIT 1",
					 target_rows_sql(context->transform->target, NULL));
	if (SPI_execute(sql.data, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not look into %s", context->transform->target->display);
	empty = SPI_processed == 0;
	SPI_freetuptable(SPI_tuptable);
	MemoryContextSwitchTo(caller); /* SPI switches to its own memory context */
	identity_end_statement(level);
	return empty;
}

/* ---- data for offers ---- */

/* Fraction of rows that differ, if the number of changes is unknown. */
#define DIFFERING_SHARE 0.1

/* Known fraction of rows from which on only time counts. */
#define MUCH_DIFFERS 0.3

/*
 * Each changed row of an input is assumed to change one row of the result: a
 * group chosen at random, or a row of its own.  An update has two images.
 */
double
strategy_differing_share(const StrategyContext *context)
{
	const Query *query = shape_blocks(context->shape)->query;
	double images = 0;
	double for_each_row;
	ListCell *cell;

	foreach(cell, context->changes)
		images += ((InputChanges *) lfirst(cell))->images;
	for_each_row = images / 2 / Max(context->estimate.query_rows, 1);
	return Max(DIFFERING_SHARE,
			   query->groupClause != NIL || query->distinctClause != NIL ? 1 - exp(-for_each_row)
																		 : Min(1, for_each_row));
}

bool
strategy_much_differs(const StrategyContext *context)
{
	return context->estimate.query_rows >= STRATEGY_SMALL_TABLE &&
		   strategy_differing_share(context) > MUCH_DIFFERS;
}

double
strategy_cost_of_comparing(const StrategyContext *context)
{
	return cost_handle_compared(Max(context->estimate.query_rows, context->estimate.target_rows));
}

/* Raises an error if all rows must be replaced, which foreign keys forbid. */
static void
refuse_referenced(const StrategyContext *context)
{
	const Transform *transform = context->transform;

	if (context->whole_only == NULL || (transform->key != NIL && !transform->rebuild))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("rows of %s cannot all be replaced", transform->target->display),
			 errdetail("Foreign keys of other tables refer to them."),
			 errhint("Drop these foreign keys first, or keep the key of the transform.")));
}

/*
 * Returns whether all rows of the target may be replaced.  If foreign keys of
 * other tables refer to the target, deleting all its rows would either empty
 * those tables or be rejected.
 */
static bool
may_replace_all(const StrategyContext *context)
{
	if (context->empty || !table_is_referenced(context->transform->target->relid) ||
		strategy_target_is_empty(context))
		return true;
	refuse_referenced(context);
	return false;
}

/*
 * Requires the replacement of all rows if there are no comparable rows in the
 * target, or if two evaluations of the query may differ.
 */
static void
set_whole_only(StrategyContext *context)
{
	const Volatility *volatility = &context->shape->volatility;

	if (strcmp(context->transform->mode, "full") == 0)
		context->whole_only = "mode_full";
	else if (volatility->is_volatile)
	{
		context->whole_only = "volatile_function";
		context->whole_detail = psprintf("%s.", volatility_why_volatile(volatility));
	}
	else if (context->transform->rebuild)
		context->whole_only = "rebuild";
}

void
strategy_begin(StrategyContext *context, Transform *transform, Shape *shape, Snapshot snapshot,
			   StoredFrontier *to)
{
	memset(context, 0, sizeof(StrategyContext));
	context->transform = transform;
	context->shape = shape;
	context->cheapest = -1;
	context->keys = palloc0(sizeof(KeysWork *));
	context->linear = palloc0(sizeof(LinearWork *));
	context->aggregate = palloc0(sizeof(AggregateWork *));
	context->quarantined = palloc0(sizeof(Quarantined *));
	context->snapshot = snapshot;
	context->context = CurrentMemoryContext;
	context->initial = !transform->populated;
	context->to = to;
	context->other_instance = transform->frontier != NULL &&
							  !frontier_is_local(transform->frontier);
	if (!context->initial && !context->other_instance)
		context->from = transform->frontier;
	context->empty = context->initial && strategy_target_is_empty(context);
	set_whole_only(context);
	context->replaceable = may_replace_all(context);
	context->quarantine = quarantine_has_rows(transform->target->id);
	cost_estimate(shape, transform->query_sql, transform->target->relid, &context->estimate);
}
