/*-------------------------------------------------------------------------
 *
 * quarantined.c
 *		Incremental refreshes of a target whose gate has set rows aside.
 *
 * Strategies on changes compute the change from the last result of the query
 * to the new one.  The last result is the target, with the rows in quarantine
 * added, or in place of the earlier versions that the target still has.  Two
 * steps are therefore needed:
 *
 * -	What a strategy reads from the target is turned into the last result
 *		(quarantined_overlay).
 * -	The change is turned into a delta of the target (quarantined_settle): for
 *		each key that has changed or is in quarantine, the new row of the result
 *		is compared with the row of the target.
 *
 * The delta contains each row that is in quarantine and still in the result,
 * because the constraint or a referenced table may have changed.  The gate
 * decides about all of them again, as it does when the whole query is
 * evaluated, so all earlier rows in quarantine are obsolete after the refresh.
 * The cost depends on the number of changed rows and of rows in quarantine.
 *
 * In a table without a key, rows in quarantine are copies of images that the
 * target lacks.
 *
 *-------------------------------------------------------------------------
 */
#include "strategy/quarantined.h"

#include "catalog/kept_rows.h"
#include "core/identity.h"
#include "core/plans.h"
#include "core/sqltext.h"
#include "delta/difference.h"
#include "delta/net.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "publish/image.h"

#define OVERLAID "_depipe_overlaid"
#define WANTED "_depipe_wanted"
#define HERE "_depipe_here_now"

struct Quarantined
{
	bool known;            /* all rows have the columns of the query */
	Tuplestorestate *rows; /* with the columns of the delta; NULL if there are none */
};

/* ---- reading ---- */

/* Returns false if a row has other columns. */
static bool
read_images(const StrategyContext *context, Delta *delta, Tuplestorestate *rows)
{
	Target *target = context->transform->target;
	CatalogRows *images = catalog_quarantined_images(target->id, delta->columns);
	ImageReader *reader = image_reader(target, delta);
	Datum *values = palloc(sizeof(Datum) * Max(delta->columns->natts, 1));
	bool *nulls = palloc(sizeof(bool) * Max(delta->columns->natts, 1));

	for (uint64 i = 0; i < images->count; i++)
	{
		Bitmapset *unknown;
		bool isnull;

		CHECK_FOR_INTERRUPTS();
		if (!catalog_bool(images, i, 1))
			return false;
		image_read(reader,
				   delta_column_names(delta),
				   DatumGetArrayTypeP(catalog_datum(images, i, 2, &isnull)),
				   values,
				   nulls,
				   &unknown);
		tuplestore_putvalues(rows, delta->columns, values, nulls);
	}
	return true;
}

static void
read_rows(const StrategyContext *context, Quarantined *quarantined)
{
	Delta *delta = strategy_begin_delta(context);
	MemoryContext old = MemoryContextSwitchTo(context->context);
	Tuplestorestate *rows = tuplestore_begin_heap(true, false, work_mem);
	Identity identity;

	MemoryContextSwitchTo(old);
	/* under the settings under which the texts were written */
	identity_become(context->transform->target->owner, &identity);
	quarantined->known = read_images(context, delta, rows);
	identity_restore(&identity);
	if (!quarantined->known || tuplestore_tuple_count(rows) == 0)
	{
		tuplestore_end(rows);
		delta_destroy(delta);
		return;
	}
	quarantined->rows = rows;
	register_tuplestore(QUARANTINED, delta->columns, rows, tuplestore_tuple_count(rows));
}

bool
quarantined_are_known(const StrategyContext *context)
{
	Quarantined *quarantined = *context->quarantined;

	if (!context->quarantine)
		return true;
	if (quarantined == NULL)
	{
		quarantined = *context->quarantined = palloc0(sizeof(Quarantined));
		read_rows(context, quarantined);
	}
	return quarantined->known;
}

bool
quarantined_exist(const StrategyContext *context)
{
	/* the context of a backfill has no such rows */
	return context->quarantined != NULL && *context->quarantined != NULL &&
		   (*context->quarantined)->rows != NULL;
}

void
quarantined_end(const StrategyContext *context)
{
	if (!quarantined_exist(context))
		return;
	(void) SPI_unregister_relation(QUARANTINED);
	tuplestore_end((*context->quarantined)->rows);
	*context->quarantined = NULL;
}

/* ---- keys ---- */

/* Appends "some column of the key is NULL". */
static void
append_any_null(StringInfo sql, const Delta *delta, const char *alias)
{
	for (int i = 0; i < delta->nkeys; i++)
		appendStringInfo(
			sql,
			"%s%s.%s IS NOT DISTINCT FROM NULL",
			i > 0 ? " OR " : "",
			alias,
			sql_identifier(NameStr(TupleDescAttr(delta->columns, delta->keys[i] - 1)->attname)));
}

/*
 * Appends a condition on relations x and y: they have the same key.  With
 * "nulls", only keys that contain a NULL match, otherwise only others.
 */
static void
append_same_key(StringInfo sql, const Delta *delta, bool nulls)
{
	sql_append_match(sql, delta->columns, delta->nkeys, delta->keys, "x", "y", !nulls);
	if (!nulls)
		return;
	appendStringInfoString(sql, " AND (");
	append_any_null(sql, delta, "x");
	appendStringInfoChar(sql, ')');
}

/* Appends a condition on relation x: the other relation (y) has its key. */
static void
append_is_among(StringInfo sql, const Delta *delta, const char *relation, bool nulls)
{
	appendStringInfo(sql, "EXISTS (SELECT FROM %s y WHERE ", relation);
	append_same_key(sql, delta, nulls);
	appendStringInfoChar(sql, ')');
}

/* Appends the rows of a relation whose key the other relation does not have. */
static void
append_others(StringInfo sql, const Delta *delta, const char *relation, const char *other)
{
	appendStringInfoString(sql, "SELECT ");
	sql_append_columns(sql, delta->columns, "x");
	appendStringInfo(sql, " FROM %s x WHERE NOT ", relation);
	append_is_among(sql, delta, other, false);
	appendStringInfoString(sql, " AND NOT ");
	append_is_among(sql, delta, other, true);
}

char *
quarantined_filter(const Delta *delta, const char *relation, bool inside, bool nulls)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "(SELECT x.* FROM %s x WHERE %s", relation, inside ? "" : "NOT ");
	append_is_among(&sql, delta, QUARANTINED, nulls);
	appendStringInfoString(&sql, ") _depipe_f");
	return sql.data;
}

/* ---- the last result ---- */

Tuplestorestate *
quarantined_overlay(const StrategyContext *context, const Delta *delta, Tuplestorestate *present,
					const char *condition)
{
	StringInfoData sql;
	Tuplestorestate *rows;
	TupleDesc desc;
	uint64 count;

	if (!quarantined_exist(context))
		return present;
	initStringInfo(&sql);
	if (delta->nkeys > 0)
		append_others(&sql, delta, OVERLAID, QUARANTINED);
	else
	{
		appendStringInfoString(&sql, "SELECT ");
		sql_append_columns(&sql, delta->columns, NULL);
		appendStringInfoString(&sql, " FROM " OVERLAID);
	}
	appendStringInfoString(&sql, " UNION ALL SELECT ");
	sql_append_columns(&sql, delta->columns, "q");
	appendStringInfo(&sql, " FROM " QUARANTINED " q WHERE %s", condition);
	register_tuplestore(OVERLAID, delta->columns, present, tuplestore_tuple_count(present));
	rows = query_to_tuplestore(sql.data, NIL, &desc, &count, context->context);
	(void) SPI_unregister_relation(OVERLAID);
	tuplestore_end(present);
	return rows;
}

/* ---- the delta of the target ---- */

/* The new rows of the result for all keys that have changed or are in quarantine. */
static char *
wanted_sql(const Delta *delta)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	sql_append_columns(&sql, delta->columns, "d");
	appendStringInfo(&sql,
					 " FROM %s d WHERE d._depipe_weight OPERATOR(pg_catalog.>) 0 UNION ALL ",
					 delta->name);
	append_others(&sql, delta, QUARANTINED, delta->name);
	return sql.data;
}

/* The rows of the target for these keys.  Each of them occurs once. */
static char *
here_sql(const StrategyContext *context, const Delta *delta)
{
	StringInfoData keys;
	StringInfoData names;
	StringInfoData sql;

	initStringInfo(&names);
	for (int i = 0; i < delta->nkeys; i++)
		appendStringInfo(
			&names,
			"%s%s",
			i > 0 ? ", " : "",
			sql_identifier(NameStr(TupleDescAttr(delta->columns, delta->keys[i] - 1)->attname)));
	initStringInfo(&keys);
	appendStringInfo(&keys,
					 "(SELECT %s FROM %s UNION SELECT %s FROM " QUARANTINED ")",
					 names.data,
					 delta->name,
					 names.data);
	initStringInfo(&sql);
	for (int nulls = 0; nulls <= 1; nulls++)
	{
		appendStringInfoString(&sql, nulls ? " UNION ALL SELECT " : "SELECT ");
		sql_append_columns(&sql, delta->columns, "x");
		appendStringInfo(&sql,
						 " FROM %s y JOIN %s ON ",
						 keys.data,
						 target_rows_sql(context->transform->target, "x"));
		append_same_key(&sql, delta, nulls);
	}
	return sql.data;
}

static void
fill_keyed(const StrategyContext *context, const Delta *delta, Delta *settled)
{
	TupleDesc wanted_desc;
	TupleDesc here_desc;
	uint64 nwanted;
	uint64 nhere;
	Tuplestorestate *wanted =
		query_to_tuplestore(wanted_sql(delta), NIL, &wanted_desc, &nwanted, context->context);
	Tuplestorestate *here =
		query_to_tuplestore(here_sql(context, delta), NIL, &here_desc, &nhere, context->context);

	register_tuplestore(WANTED, wanted_desc, wanted, nwanted);
	register_tuplestore(HERE, here_desc, here, nhere);
	delta_fill_from_difference(settled, WANTED, HERE, NIL);
	(void) SPI_unregister_relation(WANTED);
	(void) SPI_unregister_relation(HERE);
	tuplestore_end(wanted);
	tuplestore_end(here);
}

static void
fill_bag(const Delta *delta, Delta *settled)
{
	StringInfoData changed;
	StringInfoData aside;

	initStringInfo(&changed);
	appendStringInfoString(&changed, "SELECT _depipe_weight, ");
	sql_append_columns(&changed, delta->columns, NULL);
	appendStringInfo(&changed, " FROM %s", delta->name);
	initStringInfo(&aside);
	appendStringInfoString(&aside, "SELECT 1, ");
	sql_append_columns(&aside, delta->columns, NULL);
	appendStringInfoString(&aside, " FROM " QUARANTINED);
	delta_fill_from_terms(settled, list_make2(changed.data, aside.data), NIL);
}

Delta *
quarantined_settle(const StrategyContext *context, Delta *delta)
{
	Delta *settled;

	if (!quarantined_exist(context))
		return delta;
	settled = strategy_begin_delta(context);
	delta_register(delta);
	if (delta->nkeys > 0)
		fill_keyed(context, delta, settled);
	else
		fill_bag(delta, settled);
	delta_unregister(delta);
	settled->changes = delta->changes;
	delta_destroy(delta);
	return settled;
}
