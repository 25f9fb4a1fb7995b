/*-------------------------------------------------------------------------
 *
 * held.c
 *		Samples of the rows because of which a batch was not published.
 *
 * A held batch is rolled back, and that of a transform is lost: the findings of
 * its gate would be nowhere.  Therefore the gate keeps some of the violating
 * rows until something is published.
 *
 * If a check raises an error, it is known only that some row of the delta
 * raises it.  That row is found by bisection: the evaluation of a part of the
 * delta raises the error if the row is in it.
 *
 *-------------------------------------------------------------------------
 */
#include "quality/held.h"

#include "catalog/incidents.h"
#include "core/guarded.h"
#include "core/identity.h"
#include "core/plans.h"
#include "core/settings.h"
#include "core/sqltext.h"
#include "executor/spi.h"
#include "quality/row_key.h"
#include "utils/lsyscache.h"

/* Number of rows that are kept for one constraint. */
#define MAX_HELD_ROWS 100

/* Number of rows with errors to find, and number of rows up to which more than one is sought. */
#define MAX_ERROR_ROWS 10
#define MANY_ROWS 10000

/* ---- keys ---- */

/* "a, b" of the table's key as one text; NULL if it has none. */
char *
held_key_text(const Target *target)
{
	Oid relid = target->relid;
	AttrNumber *attnums;
	int count = row_identity_attributes(target, &attnums);
	StringInfoData buf;

	if (count == 0)
		return pstrdup("NULL::pg_catalog.text");
	initStringInfo(&buf);
	for (int i = 0; i < count; i++)
		appendStringInfo(&buf,
						 ", " CHECK_ROW ".%s",
						 sql_identifier(get_attname(relid, attnums[i], false)));
	return psprintf("pg_catalog.concat_ws(', '%s)", buf.data);
}

/* ---- queries ---- */

typedef struct HeldQuery
{
	Target *target;
	const char *sql;
	int32 constraint_id;
	List *settings; /* of the constraint */
	bool count;     /* the result is one number */
	int64 number;
	List *rows; /* of HeldRow */
	MemoryContext context;
} HeldQuery;

static void
take_rows(HeldQuery *query)
{
	MemoryContext old = MemoryContextSwitchTo(query->context);

	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeldRow *row = palloc0(sizeof(HeldRow));

		row->constraint_id = query->constraint_id;
		row->key = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1);
		row->row = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 2);
		query->rows = lappend(query->rows, row);
	}
	MemoryContextSwitchTo(old);
}

static bool
run_query(void *argument)
{
	HeldQuery *query = argument;
	Identity identity;

	identity_become_with(query->target->owner, query->settings, &identity);
	settings_pin_literals(); /* for what is shown */
	identity_without_jit();
	if (read_query(query->sql, 0, NULL, NULL) != SPI_OK_SELECT)
		elog(ERROR, "search for violations failed");
	if (query->count)
	{
		bool isnull;
		Datum value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);

		query->number = isnull ? 0 : DatumGetInt64(value);
	}
	else
		take_rows(query);
	identity_restore(&identity);
	return true;
}

/* "key, row FROM ..." of the delta's new images, without depipe's own columns. */
static char *
delta_rows_text(const Target *target, const Delta *delta)
{
	StringInfoData columns;

	initStringInfo(&columns);
	sql_append_columns(&columns, delta->columns, CHECK_ROW);
	return psprintf("SELECT %s, pg_catalog.to_jsonb((SELECT _depipe FROM (SELECT %s) _depipe))"
					" FROM %s " CHECK_ROW " WHERE " CHECK_ROW
					"._depipe_weight OPERATOR(pg_catalog.>) 0",
					held_key_text(target),
					columns.data,
					sql_identifier(delta->name));
}

static List *
find_rows(Target *target, const Measured *measured, const char *sql)
{
	HeldQuery query = {.target = target,
					   .sql = sql,
					   .constraint_id = measured->constraint->row->id,
					   .settings = measured->constraint->row->settings,
					   .context = CurrentMemoryContext};

	return guarded_run(run_query, &query) == NULL ? query.rows : NIL;
}

/* ---- rows with errors ---- */

typedef struct ErrorSearch
{
	Target *target;
	const Delta *delta;
	const char *condition;
	List *settings; /* of the constraint */
} ErrorSearch;

/* Does the evaluation of the rows with these sequence numbers raise an error? */
static bool
raises(const ErrorSearch *search, int64 first, int64 last)
{
	HeldQuery query = {.target = search->target, .settings = search->settings, .count = true};

	query.sql = psprintf("SELECT pg_catalog.count(*) FROM (SELECT * FROM %s " CHECK_ROW
						 " WHERE " CHECK_ROW "._depipe_weight OPERATOR(pg_catalog.>) 0"
						 " AND " CHECK_ROW "._depipe_sequence OPERATOR(pg_catalog.>=) " INT64_FORMAT
						 " AND " CHECK_ROW "._depipe_sequence OPERATOR(pg_catalog.<=) " INT64_FORMAT
						 " OFFSET 0) " CHECK_ROW " WHERE %s",
						 sql_identifier(search->delta->name),
						 first,
						 last,
						 search->condition);
	CHECK_FOR_INTERRUPTS();
	return guarded_run(run_query, &query) != NULL;
}

static int64
last_sequence(const ErrorSearch *search)
{
	HeldQuery query = {.target = search->target, .count = true};

	query.sql = psprintf("SELECT pg_catalog.max(_depipe_sequence) FROM %s",
						 sql_identifier(search->delta->name));
	return guarded_run(run_query, &query) == NULL ? query.number : 0;
}

static int64
first_that_raises(const ErrorSearch *search, int64 low, int64 high)
{
	while (low < high)
	{
		int64 middle = low + (high - low) / 2;

		if (raises(search, low, middle))
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

List *
held_find_errors(Target *target, Delta *delta, const Measured *measured, bool *complete)
{
	ErrorSearch search = {target,
						  delta,
						  violation_condition(measured->constraint, target),
						  measured->constraint->row->settings};
	int64 last = last_sequence(&search);
	int64 first = 0;
	int most = delta->nrows > MANY_ROWS ? 1 : MAX_ERROR_ROWS;
	List *sequences = NIL;

	for (;;)
	{
		int64 *sequence;

		*complete = first > last || !raises(&search, first, last);
		if (*complete || list_length(sequences) == most)
			return sequences;
		sequence = palloc(sizeof(int64));
		*sequence = first_that_raises(&search, first, last);
		sequences = lappend(sequences, sequence);
		first = *sequence + 1;
	}
}

static List *
find_error_rows(Target *target, Delta *delta, const Measured *measured)
{
	bool complete;
	List *rows = NIL;
	ListCell *cell;

	foreach(cell, held_find_errors(target, delta, measured, &complete))
		rows = list_concat(
			rows,
			find_rows(target,
					  measured,
					  psprintf("%s AND " CHECK_ROW
							   "._depipe_sequence OPERATOR(pg_catalog.=) " INT64_FORMAT,
							   delta_rows_text(target, delta),
							   *(int64 *) lfirst(cell))));
	return rows;
}

/* ---- for the gate ---- */

List *
held_find(Target *target, Delta *delta, const Measured *measured, bool whole_table)
{
	const DataConstraint *constraint = measured->constraint;
	bool of_delta = constraint_is_row(constraint) && !whole_table &&
					delta_has_columns(delta, constraint);
	char *condition;

	if (constraint->compile_sqlstate != 0)
		return NIL;
	if (measured->measure.error_sqlstate != 0)
		return of_delta ? find_error_rows(target, delta, measured) : NIL;
	condition = violation_condition(constraint, target);
	if (condition == NULL)
		return NIL;
	if (of_delta)
		return find_rows(target,
						 measured,
						 psprintf("%s AND %s LIMIT %d",
								  delta_rows_text(target, delta),
								  condition,
								  MAX_HELD_ROWS));
	return find_rows(target,
					 measured,
					 psprintf("SELECT %s, pg_catalog.to_jsonb(" CHECK_ROW ") FROM %s"
							  " WHERE %s LIMIT %d",
							  held_key_text(target),
							  target_rows_sql(target, CHECK_ROW),
							  condition,
							  MAX_HELD_ROWS));
}
