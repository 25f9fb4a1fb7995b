/*-------------------------------------------------------------------------
 *
 * signed_delta.c
 *		Delta of a transform from signed rows of its query.
 *
 * The weights of the rows are summed by row image (delta/net.c).  The
 * remaining rows are the difference between the results before and after the
 * change.  Because the target holds the result, this is also the difference
 * between the target and its required contents.
 *
 * If the target has a key, this assumption is checked.  Each old image must
 * equal the row that the target has for its key.  If a key has a new image but
 * no old one, the target must not have a row with that key.  The check detects
 * a target that does not hold the result, and a key that is not unique.
 *
 *-------------------------------------------------------------------------
 */
#include "strategy/signed_delta.h"

#include "core/identity.h"
#include "core/plans.h"
#include "core/sqltext.h"
#include "delta/net.h"
#include "delta/record_image.h"
#include "executor/spi.h"
#include "strategy/quarantined.h"
#include "strategy/signed_join.h"

#define SIGNED "_depipe_signed"

bool
query_finds_row(const char *sql, List *columns)
{
	MemoryContext caller = CurrentMemoryContext;
	int level = identity_begin_statement();
	bool found;
	int result = columns == NIL ? read_query(sql, 0, NULL, NULL)
								: read_plan(plan_query(sql, columns), NULL);

	if (result != SPI_OK_SELECT)
		elog(ERROR, "could not look for a row");
	found = SPI_processed > 0;
	SPI_freetuptable(SPI_tuptable);
	MemoryContextSwitchTo(caller); /* SPI leaves its own memory context current */
	identity_end_statement(level);
	return found;
}

/* ---- the check ---- */

static void
append_keys(StringInfo sql, const Delta *delta, const char *prefix, const char *suffix)
{
	for (int i = 0; i < delta->nkeys; i++)
		appendStringInfo(
			sql,
			"%s%s%s%s",
			i > 0 ? ", " : "",
			prefix,
			sql_identifier(NameStr(TupleDescAttr(delta->columns, delta->keys[i] - 1)->attname)),
			suffix);
}

/*
 * Appends one side of the join of the check.  With "nulls", the side has only
 * the rows that have a NULL in the key, with the key as a record, because
 * NULLs in records compare as equal.
 */
static void
append_side(StringInfo sql, const Delta *delta, const char *rows, const char *alias, bool nulls)
{
	appendStringInfoString(sql, "(SELECT true AS _depipe_here, *");
	if (nulls)
	{
		appendStringInfoString(sql, ", ROW(");
		append_keys(sql, delta, "", "");
		appendStringInfoString(sql, ") AS _depipe_key");
	}
	appendStringInfo(sql, " FROM %s", rows);
	if (nulls)
	{
		appendStringInfoString(sql, " WHERE NOT (ROW(");
		append_keys(sql, delta, "", "");
		appendStringInfoString(sql, ") IS NOT NULL)");
	}
	appendStringInfo(sql, ") %s", alias);
}

/*
 * Returns SQL for the rows of the delta, each with the numbers of old and new
 * images of its key.
 */
static char *
counted_rows(const Delta *delta)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql,
						   "(SELECT *, pg_catalog.count(*) FILTER (WHERE _depipe_weight"
						   " OPERATOR(pg_catalog.<) 0) OVER _depipe_same AS _depipe_old,"
						   " pg_catalog.count(*) FILTER (WHERE _depipe_weight"
						   " OPERATOR(pg_catalog.>) 0) OVER _depipe_same AS _depipe_new");
	appendStringInfo(&sql, " FROM %s WINDOW _depipe_same AS (PARTITION BY ", delta->name);
	append_keys(&sql, delta, "", "");
	appendStringInfoString(&sql, "))");
	return sql.data;
}

static void
append_check(StringInfo sql, const Delta *delta, const char *rows, const char *present, bool nulls)
{
	appendStringInfoString(sql, "(SELECT FROM ");
	append_side(sql, delta, rows, "_depipe_d", nulls);
	appendStringInfoString(sql, " LEFT JOIN ");
	append_side(sql, delta, present, "_depipe_t", nulls);
	appendStringInfoString(sql, " ON ");
	if (nulls)
		appendStringInfoString(
			sql,
			"_depipe_d._depipe_key OPERATOR(pg_catalog.=) _depipe_t._depipe_key");
	else
		sql_append_match(sql,
						 delta->columns,
						 delta->nkeys,
						 delta->keys,
						 "_depipe_d",
						 "_depipe_t",
						 true);
	appendStringInfoString(sql, " WHERE ");
	if (!nulls && !delta->filled_keys)
	{
		appendStringInfoString(sql, "ROW(");
		append_keys(sql, delta, "_depipe_d.", "");
		appendStringInfoString(sql, ") IS NOT NULL AND ");
	}
	appendStringInfoString(sql,
						   "(_depipe_d._depipe_old OPERATOR(pg_catalog.>) 1"
						   " OR _depipe_d._depipe_new OPERATOR(pg_catalog.>) 1"
						   " OR pg_catalog.abs(_depipe_d._depipe_weight) OPERATOR(pg_catalog.<>) 1"
						   " OR CASE WHEN _depipe_d._depipe_weight OPERATOR(pg_catalog.>) 0"
						   " THEN _depipe_t._depipe_here"
						   " AND _depipe_d._depipe_old OPERATOR(pg_catalog.=) 0"
						   " ELSE _depipe_t._depipe_here IS NULL OR ");
	image_append(sql, delta->columns, "_depipe_d");
	appendStringInfoString(sql, " OPERATOR(pg_catalog.<>) ");
	image_append(sql, delta->columns, "_depipe_t");
	appendStringInfoString(sql, " END) LIMIT 1)");
}

/*
 * Appends the rows of the delta that contradict the last result: the rows in
 * quarantine for their keys, and the target for others.
 */
static void
append_checks(StringInfo sql, const StrategyContext *context, const Delta *delta, bool nulls)
{
	char *rows = counted_rows(delta);
	char *present = target_rows_sql(context->transform->target, "_depipe_r");

	if (!quarantined_exist(context))
	{
		append_check(sql, delta, psprintf("%s _depipe_c", rows), present, nulls);
		return;
	}
	append_check(sql, delta, quarantined_filter(delta, rows, false, nulls), present, nulls);
	appendStringInfoString(sql, " UNION ALL ");
	append_check(sql,
				 delta,
				 quarantined_filter(delta, rows, true, nulls),
				 QUARANTINED " _depipe_r",
				 nulls);
}

bool
signed_delta_contradicts(const StrategyContext *context, Delta *delta)
{
	StringInfoData sql;
	bool found;

	if (delta->nkeys == 0 || delta->nrows == 0)
		return false;
	initStringInfo(&sql);
	append_checks(&sql, context, delta, false);
	if (!delta->filled_keys)
	{
		appendStringInfoString(&sql, " UNION ALL ");
		append_checks(&sql, context, delta, true);
	}
	delta_register(delta);
	found = query_finds_row(sql.data,
							delta->nrows > PLAN_SMALL_ROWS || quarantined_exist(context)
								? NIL
								: list_make1(delta->desc));
	delta_unregister(delta);
	return found;
}

/* ---- the delta ---- */

TupleDesc
signed_desc(TupleDesc columns)
{
	TupleDesc desc = CreateTemplateTupleDesc(columns->natts + 1);

	for (int i = 1; i <= columns->natts; i++)
		TupleDescCopyEntry(desc, i, columns, i);
	TupleDescInitEntry(desc, columns->natts + 1, SIGNED_JOIN_WEIGHT, INT2OID, -1, 0);
	return desc;
}

Delta *
signed_delta(const StrategyContext *context, TupleDesc desc, Tuplestorestate *rows)
{
	Delta *delta = strategy_begin_delta(context);
	int64 count = tuplestore_tuple_count(rows);
	StringInfoData term;

	initStringInfo(&term);
	appendStringInfoString(&term, "SELECT " SIGNED_JOIN_WEIGHT ", ");
	sql_append_columns(&term, delta->columns, NULL);
	appendStringInfoString(&term, " FROM " SIGNED);
	register_tuplestore(SIGNED, desc, rows, count);
	delta_fill_from_terms(delta,
						  list_make1(term.data),
						  count > PLAN_SMALL_ROWS ? NIL : list_make1(desc));
	(void) SPI_unregister_relation(SIGNED);
	tuplestore_end(rows);
	delta->changes = count;
	if (!signed_delta_contradicts(context, delta))
		return delta;
	delta_destroy(delta);
	return NULL;
}
