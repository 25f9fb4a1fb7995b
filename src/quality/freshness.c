/*-------------------------------------------------------------------------
 *
 * freshness.c
 *		The kind of check about time: the newest value of a column is not older
 *		than it may be.
 *
 *-------------------------------------------------------------------------
 */
#include "quality/freshness.h"

#include "core/plans.h"
#include "core/sqltext.h"
#include "executor/spi.h"
#include "quality/constraint.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

void
validate_freshness(CheckRule *rule)
{
	Interval *age = DatumGetIntervalP(
		DirectFunctionCall3(interval_in,
							CStringGetDatum(check_text(rule, "max_age")),
							ObjectIdGetDatum(InvalidOid),
							Int32GetDatum(-1)));

	if (age->time < 0 || age->day < 0 || age->month < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_age of check freshness must not be negative")));
}

void
compile_freshness(const CheckRule *rule, Relation rel, CompiledCheck *check)
{
	Form_pg_attribute att = check_column(rel, check_text(rule, "column_name"));
	Oid type = getBaseType(att->atttypid);

	if (type != TIMESTAMPTZOID && type != TIMESTAMPOID && type != DATEOID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("check freshness needs a column of a date or timestamp type, but \"%s\" is"
						" of type %s",
						NameStr(att->attname),
						format_type_be(att->atttypid))));
	check->is_aggregate = true;
	check->columns = list_make1(pstrdup(NameStr(att->attname)));
}

/*
 * The newest finite value, which an index of the column supplies at once, and
 * whether it is too old.  'infinity' is not the time of any event.
 */
static char *
freshness_query(const DataConstraint *constraint, const Target *target)
{
	const char *column = check_text(constraint->rule, "column_name");
	const char *type = sql_type(
		getBaseType(get_atttype(target->relid, get_attnum(target->relid, column))),
		-1);
	const char *filter = constraint->row->filter_expression;

	return psprintf("SELECT x.newest::pg_catalog.text,"
					" (pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-)"
					" x.newest::pg_catalog.timestamptz) OPERATOR(pg_catalog.>)"
					" %s::pg_catalog.interval"
					" FROM (SELECT pg_catalog.max(" CHECK_ROW ".%s::%s) AS newest"
					" FROM %s WHERE " CHECK_ROW ".%s::%s"
					" OPERATOR(pg_catalog.>) '-infinity'::%s"
					" AND " CHECK_ROW ".%s::%s OPERATOR(pg_catalog.<) 'infinity'::%s%s%s%s) x",
					sql_literal(check_text(constraint->rule, "max_age")),
					sql_identifier(column),
					type,
					target_rows_sql(target, CHECK_ROW),
					sql_identifier(column),
					type,
					type,
					sql_identifier(column),
					type,
					type,
					filter != NULL ? " AND (" : "",
					filter != NULL ? filter : "",
					filter != NULL ? ")" : "");
}

void
evaluate_freshness(const DataConstraint *constraint, const CheckScope *scope, Measure *measure)
{
	MemoryContext caller = CurrentMemoryContext;
	char *query = freshness_query(constraint, scope->target);
	bool isnull;
	Datum old;

	if (read_query(query, 0, NULL, NULL) != SPI_OK_SELECT)
		elog(ERROR, "evaluation of a time check failed");
	MemoryContextSwitchTo(caller); /* SPI switched to a context of its own */
	old = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &isnull);
	measure->evaluated = -1;
	measure->no_data = isnull;
	measure->violations = isnull ? -1 : DatumGetBool(old) ? 1 : 0;
	measure->metric = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	measure->strategy = "newest value";
}
