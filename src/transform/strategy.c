/*-------------------------------------------------------------------------
 *
 * strategy.c
 *		How a transform makes its delta: the table of strategies.
 *
 * full			Everything that the query returns, after emptying the target.
 *				For a target without rows, or with rows of another definition,
 *				where there is nothing to compare with, and for queries whose
 *				result differs at each evaluation.
 * full_diff	The query is evaluated once, and only the differences to the
 *				target are written.
 *
 * explain_transform() asks every strategy for its offer and shows it.
 *
 * Both run with the identity of the transform's owner and the slice's snapshot
 * active.
 *
 *-------------------------------------------------------------------------
 */
#include "transform/strategy.h"

#include "delta/difference.h"

#include "core/identity.h"
#include "core/sqltext.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "transform/table.h"
#include "utils/snapmgr.h"
#include "core/plans.h"

CHECKED_FUNCTION(depipe_explain_transform);

#define INCOMING "_depipe_incoming"

/* ---- shared ---- */

static List *
column_names(TupleDesc columns)
{
	List *names = NIL;

	for (int i = 0; i < columns->natts; i++)
		names = lappend(names, pstrdup(NameStr(TupleDescAttr(columns, i)->attname)));
	return names;
}

static Delta *
begin_delta(const StrategyContext *context)
{
	return delta_create(context->transform->target->relid,
						column_names(context->shape->columns),
						context->transform->key,
						FOLD_NONE,
						context->context);
}

static void
refuse_duplicate_keys(const StrategyContext *context, Delta *delta, const char *relation)
{
	StringInfoData columns;
	ListCell *cell;

	if (delta->nkeys == 0 || key_is_unique(delta, relation))
		return;
	initStringInfo(&columns);
	foreach(cell, context->transform->key)
		appendStringInfo(&columns,
						 "%s%s",
						 columns.len > 0 ? ", " : "",
						 sql_identifier(lfirst(cell)));
	ereport(ERROR,
			(errcode(ERRCODE_UNIQUE_VIOLATION),
			 errmsg("key of transform %s is not unique", context->transform->target->display),
			 errdetail("The query returns more than one row for some value of (%s).", columns.data),
			 errhint("Declare a key that identifies the rows of the query, or an empty one.")));
}

static bool
target_is_empty(const StrategyContext *context)
{
	MemoryContext caller = CurrentMemoryContext;
	StringInfoData sql;
	int level = identity_begin_statement();
	bool empty;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT FROM %s LIMIT 1", context->transform->target->display);
	if (SPI_execute(sql.data, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not look into %s", context->transform->target->display);
	empty = SPI_processed == 0;
	SPI_freetuptable(SPI_tuptable);
	MemoryContextSwitchTo(caller); /* SPI leaves us in its own, which ends with it */
	identity_end_statement(level);
	return empty;
}

/*
 * Deleting all rows would empty, or be refused by, the tables whose foreign
 * keys refer to them.  Without a key there is no other way.
 */
static bool
may_replace_all(const StrategyContext *context)
{
	const Transform *transform = context->transform;

	if (!table_is_referenced(transform->target->relid) || target_is_empty(context))
		return true;
	if (transform->key == NIL || transform->rebuild)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("rows of %s cannot all be replaced", transform->target->display),
				 errdetail("Foreign keys of other tables refer to them."),
				 errhint("Drop these foreign keys first, or keep the key of the transform.")));
	return false;
}

/* ---- full ---- */

static void
offer_full(const StrategyContext *context, StrategyOffer *offer)
{
	offer->possible = true;
	if (strcmp(context->transform->mode, "full") == 0)
		offer->reason_code = "mode_full";
	else if (context->shape->is_volatile)
	{
		offer->reason_code = "volatile_function";
		offer->detail = "The query returns something else at each evaluation.";
	}
	else if (context->transform->rebuild)
		offer->reason_code = "rebuild";
	else if (context->initial && target_is_empty(context))
		offer->reason_code = "initial";
	else
	{
		offer->possible = false;
		offer->reason_code = "differences_suffice";
		offer->detail = "Only what differs needs to be written.";
	}
}

static void
full_offer(const StrategyContext *context, StrategyOffer *offer)
{
	offer_full(context, offer);
	if (!offer->possible || strcmp(offer->reason_code, "initial") == 0 || may_replace_all(context))
		return;
	offer->possible = false;
	offer->reason_code = "referenced";
	offer->detail = "Foreign keys refer to the table: only what differs is written.";
}

static char *
full_sql(const StrategyContext *context, Delta *delta)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql,
						   "SELECT 1::pg_catalog.int8, pg_catalog.row_number() OVER (),"
						   " NULL::pg_catalog.pg_lsn, NULL::pg_catalog.timestamptz,"
						   " NULL::pg_catalog.int8, false, NULL::pg_catalog.int2, ");
	sql_append_columns(&sql, delta->columns, "q");
	appendStringInfo(&sql, " FROM (%s) q", context->transform->query_sql);
	return sql.data;
}

static Delta *
full_make_delta(const StrategyContext *context)
{
	Delta *delta = begin_delta(context);

	delta_clear(delta);
	delta_fill_from_query(delta, full_sql(context, delta));
	delta_register(delta);
	refuse_duplicate_keys(context, delta, delta->name);
	delta_unregister(delta);
	return delta;
}

static char *
full_delta_sql(const StrategyContext *context)
{
	return full_sql(context, begin_delta(context));
}

/* ---- full_diff ---- */

static void
full_diff_offer(const StrategyContext *context, StrategyOffer *offer)
{
	StrategyOffer full = {0};

	full_offer(context, &full);
	offer->possible = !full.possible;
	offer->routine = offer->possible;
	offer->reason_code = full.possible ? full.reason_code : "not_incremental";
	offer->detail = full.possible ? full.detail
								  : "The query is evaluated, and what differs is written.";
}

/* The query's columns in the order of the table's. */
static char *
incoming_sql(const StrategyContext *context, Delta *delta)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	sql_append_columns(&sql, delta->columns, "q");
	appendStringInfo(&sql, " FROM (%s) q", context->transform->query_sql);
	return sql.data;
}

static Delta *
full_diff_make_delta(const StrategyContext *context)
{
	Delta *delta = begin_delta(context);
	Tuplestorestate *rows;
	TupleDesc desc;
	uint64 nrows;

	rows = query_to_tuplestore(incoming_sql(context, delta), &desc, &nrows, context->context);
	register_tuplestore(INCOMING, desc, rows, nrows);
	refuse_duplicate_keys(context, delta, INCOMING);
	delta_fill_from_difference(delta, INCOMING, context->transform->target->display);
	(void) SPI_unregister_relation(INCOMING);
	tuplestore_end(rows);
	delta->changes = nrows;
	return delta;
}

static char *
full_diff_delta_sql(const StrategyContext *context)
{
	Delta *delta = begin_delta(context);

	return difference_sql(delta,
						  psprintf("(%s) q", incoming_sql(context, delta)),
						  context->transform->target->display);
}

/* ---- the table ---- */

const Strategy strategies[] = {
	{.name = "full",
	 .whole = true,
	 .offer = full_offer,
	 .make_delta = full_make_delta,
	 .delta_sql = full_delta_sql},
	{.name = "full_diff",
	 .whole = true,
	 .offer = full_diff_offer,
	 .make_delta = full_diff_make_delta,
	 .delta_sql = full_diff_delta_sql},
	{.name = NULL},
};

const Strategy *
strategy_choose(const StrategyContext *context, StrategyOffer *offers)
{
	const Strategy *chosen = NULL;
	double best = 0;

	for (int i = 0; strategies[i].name != NULL; i++)
	{
		StrategyOffer offer = {0};

		strategies[i].offer(context, &offer);
		if (offers != NULL)
			offers[i] = offer;
		if (offer.possible && (chosen == NULL || offer.cost < best))
		{
			chosen = &strategies[i];
			best = offer.cost;
		}
	}
	Assert(chosen != NULL);
	return chosen;
}

/* ---- SQL function ---- */

static Datum
text_or_null(const char *string, bool *isnull)
{
	*isnull = string == NULL;
	return string == NULL ? (Datum) 0 : CStringGetTextDatum(string);
}

static void
return_offer(ReturnSetInfo *result, const StrategyContext *context, const Strategy *strategy,
			 const StrategyOffer *offer, bool chosen)
{
	Datum values[7];
	bool nulls[7] = {false};

	values[0] = CStringGetTextDatum(strategy->name);
	values[1] = BoolGetDatum(offer->possible);
	values[2] = BoolGetDatum(chosen);
	values[3] = Float8GetDatum(offer->cost);
	values[4] = text_or_null(offer->reason_code, &nulls[4]);
	values[5] = text_or_null(offer->detail, &nulls[5]);
	values[6] = text_or_null(strategy->delta_sql(context), &nulls[6]);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static void
return_offers(ReturnSetInfo *result, Transform *transform)
{
	StrategyContext context = {.transform = transform,
							   .context = CurrentMemoryContext,
							   .initial = !transform->populated};
	StrategyOffer *offers = palloc0(sizeof(StrategyOffer) * lengthof(strategies));
	const Strategy *chosen;

	context.shape = transform_analyse(transform);
	table_check_columns(transform, context.shape);
	context.snapshot = GetActiveSnapshot();
	chosen = strategy_choose(&context, offers);
	for (int i = 0; strategies[i].name != NULL; i++)
		return_offer(result, &context, &strategies[i], &offers[i], &strategies[i] == chosen);
}

/* explain_transform(target): how the next refresh would make its delta, and why. */
static Datum
depipe_explain_transform_checked(PG_FUNCTION_ARGS)
{
	MemoryContext context = CurrentMemoryContext;
	Identity identity;
	Transform *transform;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", "target")));
	transform = transform_get(target_find(text_to_cstring(PG_GETARG_TEXT_PP(0)), false)->id);
	transform_check_owner(transform->target);
	if (!OidIsValid(transform->target->relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("%s", target_why_missing(transform->target))));
	InitMaterializedSRF(fcinfo, 0);
	identity_become_with(transform->target->owner, transform->target->settings, &identity);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	MemoryContextSwitchTo(context);
	return_offers((ReturnSetInfo *) fcinfo->resultinfo, transform);
	SPI_finish();
	identity_restore(&identity);
	return (Datum) 0;
}
