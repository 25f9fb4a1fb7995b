/*-------------------------------------------------------------------------
 *
 * range.c
 *		The delta of one range of a transform, for backfills.
 *
 * The condition is on the output column of the query.  The planner moves it to
 * the tables that the query reads where the result does not depend on other
 * rows.  Both sides are read once and then compared.
 *
 * A key may have moved into the range: the target has its row outside.  Such
 * rows are found by the key, so that they are updated instead of added twice.
 * A key that has moved out of the range is deleted here, and added by the slice
 * that it has moved to.
 *
 *-------------------------------------------------------------------------
 */
#include "strategy/range.h"

#include "core/plans.h"
#include "core/sqltext.h"
#include "delta/difference.h"
#include "executor/spi.h"
#include "strategy/signed_delta.h"

#define INCOMING "_depipe_incoming"
#define PRESENT "_depipe_present"

static void
append_bound(StringInfo sql, const Range *range, const char *alias, const char *operator,
			 const char * bound)
{
	appendStringInfo(sql,
					 "%s.%s OPERATOR(pg_catalog.%s) %s::%s",
					 alias,
					 sql_identifier(range->column),
					 operator,
					 sql_literal(bound),
					 sql_type(range->type, -1));
}

/* Returns the condition that a row lies in the range.  It is NULL for a NULL in the column. */
static char *
condition(const Range *range, const char *alias)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoChar(&sql, '(');
	append_bound(&sql, range, alias, ">=", range->since);
	appendStringInfoString(&sql, " AND ");
	append_bound(&sql, range, alias, "<", range->before);
	appendStringInfoChar(&sql, ')');
	return sql.data;
}

static char *
incoming_sql(const Transform *transform, const Range *range, Delta *delta)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	sql_append_columns(&sql, delta->columns, "q");
	appendStringInfo(&sql, " FROM (%s) q WHERE %s", transform->query_sql, condition(range, "q"));
	return sql.data;
}

/* Is a column of the key the column of the range?  Then a key does not move between ranges. */
static bool
key_has_column(const Transform *transform, const Range *range)
{
	ListCell *cell;

	foreach(cell, transform->key)
		if (strcmp(lfirst(cell), range->column) == 0)
			return true;
	return false;
}

static char *
any_null(const Delta *delta, const char *alias)
{
	StringInfoData sql;

	initStringInfo(&sql);
	for (int i = 0; i < delta->nkeys; i++)
		appendStringInfo(
			&sql,
			"%s%s.%s IS NOT DISTINCT FROM NULL",
			i > 0 ? " OR " : "",
			alias,
			sql_identifier(NameStr(TupleDescAttr(delta->columns, delta->keys[i] - 1)->attname)));
	return sql.data;
}

/* Appends the rows outside of the range whose key is among the incoming rows. */
static void
append_moved(StringInfo sql, const Transform *transform, const Range *range, Delta *delta,
			 bool not_null)
{
	appendStringInfoString(sql, " UNION ALL SELECT ");
	sql_append_columns(sql, delta->columns, "t");
	appendStringInfo(sql,
					 " FROM %s WHERE %s IS NOT TRUE AND EXISTS (SELECT FROM " INCOMING " i WHERE ",
					 target_rows_sql(transform->target, "t"),
					 condition(range, "t"));
	sql_append_match(sql, delta->columns, delta->nkeys, delta->keys, "t", "i", not_null);
	if (!not_null)
		appendStringInfo(sql, " AND (%s)", any_null(delta, "i"));
	appendStringInfoChar(sql, ')');
	if (!not_null)
		appendStringInfo(sql, " AND (%s)", any_null(delta, "t"));
}

static char *
present_sql(const Transform *transform, const Range *range, Delta *delta)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	sql_append_columns(&sql, delta->columns, "t");
	appendStringInfo(&sql,
					 " FROM %s WHERE %s",
					 target_rows_sql(transform->target, "t"),
					 condition(range, "t"));
	if (delta->nkeys == 0 || key_has_column(transform, range))
		return sql.data;
	append_moved(&sql, transform, range, delta, true);
	if (query_finds_row(
			psprintf("SELECT FROM " INCOMING " i WHERE %s LIMIT 1", any_null(delta, "i")),
			NIL))
		append_moved(&sql, transform, range, delta, false);
	return sql.data;
}

Delta *
range_make_delta(Transform *transform, Shape *shape, const Range *range, MemoryContext context)
{
	StrategyContext strategy = {.transform = transform, .shape = shape, .context = context};
	Delta *delta = strategy_begin_delta(&strategy);
	Tuplestorestate *incoming;
	Tuplestorestate *present;
	TupleDesc desc;
	uint64 nincoming;
	uint64 npresent;

	incoming =
		query_to_tuplestore(incoming_sql(transform, range, delta), NIL, &desc, &nincoming, context);
	register_tuplestore(INCOMING, desc, incoming, nincoming);
	strategy_refuse_duplicate_keys(&strategy, delta, INCOMING);
	present =
		query_to_tuplestore(present_sql(transform, range, delta), NIL, &desc, &npresent, context);
	register_tuplestore(PRESENT, desc, present, npresent);
	delta_fill_from_difference(delta, INCOMING, PRESENT, NIL);
	(void) SPI_unregister_relation(PRESENT);
	(void) SPI_unregister_relation(INCOMING);
	tuplestore_end(present);
	tuplestore_end(incoming);
	delta->changes = nincoming;
	return delta;
}
