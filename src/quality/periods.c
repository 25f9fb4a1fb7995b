/*-------------------------------------------------------------------------
 *
 * periods.c
 *		Checks about time: every_period and arrived_by.
 *
 * Times of day, and the limits of days and months, are those of the TimeZone of the
 * definition.  Columns that are dates or timestamps without time zone are local times.
 *
 * every_period	violations are the complete periods without a row.  The period that is
 *				going on does not count.  Periods begin at "since"; without it, at the
 *				beginning of the day (month, hour) of the oldest row.
 * arrived_by	after that time of a day, a row of that day or a later one must be there;
 *				before it, one of the day before.  So it fails from the deadline until
 *				the data arrives.  An empty table fails.
 *
 *-------------------------------------------------------------------------
 */
#include "quality/periods.h"

#include "catalog/pg_type.h"
#include "core/plans.h"
#include "core/sqltext.h"
#include "executor/spi.h"
#include "quality/compile_row.h"
#include "quality/constraint.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

/* More periods than this are a mistake. */
#define MAX_PERIODS 100000

/* ---- both ---- */

/* The type in which the times of the column are compared. */
static Oid
time_type(Oid column_type)
{
	return getBaseType(column_type) == TIMESTAMPTZOID ? TIMESTAMPTZOID : TIMESTAMPOID;
}

static Oid
check_time_column(const CheckRule *rule, Relation rel)
{
	Form_pg_attribute att = check_column(rel, check_text(rule, "column_name"));
	Oid type = getBaseType(att->atttypid);

	if (type != TIMESTAMPTZOID && type != TIMESTAMPOID && type != DATEOID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("check %s needs a column of a date or timestamp type, but \"%s\" is of"
						" type %s",
						rule->kind->name,
						NameStr(att->attname),
						format_type_be(att->atttypid))));
	return time_type(type);
}

static void
take_compiled(const CheckRule *rule, CompiledCheck *check)
{
	check->expression = pstrdup("true"); /* it is compiled */
	check->is_aggregate = true;
	check->columns = list_make1(check_text(rule, "column_name"));
}

/* SQL text of the type, and of the column. */
static const char *
type_of_column(const DataConstraint *constraint, const Target *target)
{
	AttrNumber number = get_attnum(target->relid, check_text(constraint->rule, "column_name"));

	return sql_type(time_type(get_atttype(target->relid, number)), -1);
}

static char *
column_of(const DataConstraint *constraint)
{
	return psprintf(CHECK_ROW ".%s", sql_identifier(check_text(constraint->rule, "column_name")));
}

static const char *
filter_text(const DataConstraint *constraint)
{
	return constraint->row->filter_expression ? constraint->row->filter_expression : "true";
}

static Datum
value(int column, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column, isnull);
}

static int64
number(int column)
{
	bool isnull;
	Datum result = value(column, &isnull);

	return isnull ? 0 : DatumGetInt64(result);
}

/* ---- every_period ---- */

static Interval *
step_of(const CheckRule *rule)
{
	return DatumGetIntervalP(
		DirectFunctionCall3(interval_in,
							CStringGetDatum(check_text(unconstify(CheckRule *, rule), "step")),
							ObjectIdGetDatum(InvalidOid),
							Int32GetDatum(-1)));
}

void
validate_every_period(CheckRule *rule)
{
	Interval *step = step_of(rule);

	if (step->month < 0 || step->day < 0 || step->time < 0 ||
		(step->month == 0 && step->day == 0 && step->time < USECS_PER_SEC))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("step of check every_period must be at least one second")));
}

void
compile_every_period(const CheckRule *rule, Relation rel, CompiledCheck *check)
{
	Oid type = check_time_column(rule, rel);
	const CheckGiven *since = check_given(rule, "since");

	if (since->given)
		(void) check_literal(NULL, "since", &since->values[0], type);
	take_compiled(rule, check);
}

/* The unit to whose beginning the oldest row is rounded down. */
static const char *
unit_of(const Interval *step)
{
	if (step->month > 0)
		return step->month % MONTHS_PER_YEAR == 0 ? "year" : "month";
	if (step->day > 0)
		return "day";
	if (step->time % USECS_PER_HOUR == 0)
		return "hour";
	return step->time % USECS_PER_MINUTE == 0 ? "minute" : "second";
}

/* When the first period begins; NULL without rows. */
static char *
first_begin(const DataConstraint *constraint, const Target *target, const char *type)
{
	const CheckGiven *since = check_given(constraint->rule, "since");
	char *column = column_of(constraint);

	if (since->given)
		return psprintf("%s::%s", sql_literal(since->values[0].text), type);
	return psprintf("(SELECT pg_catalog.date_trunc(%s, pg_catalog.min(%s::%s)) FROM %s WHERE (%s)"
					" AND %s OPERATOR(pg_catalog.>) '-infinity'"
					" AND %s OPERATOR(pg_catalog.<) 'infinity')",
					sql_literal(unit_of(step_of(constraint->rule))),
					column,
					type,
					target_rows_sql(target, CHECK_ROW),
					filter_text(constraint),
					column,
					column);
}

/*
 * The number of complete periods, of those with rows, and whether there is a beginning.
 * The beginnings of the periods are generated once, and no more of them than the limit (a
 * set in the target list stops there); each row is put into its period by binary search.
 */
static char *
periods_query(const DataConstraint *constraint, const Target *target)
{
	const char *type = type_of_column(constraint, target);
	char *column = psprintf("%s::%s", column_of(constraint), type);
	const char *step = psprintf("%s::pg_catalog.interval",
								sql_literal(check_text(constraint->rule, "step")));

	return psprintf(
		"WITH first AS MATERIALIZED (SELECT %s AS begin,"
		" pg_catalog.clock_timestamp()::%s AS now),"
		" many AS MATERIALIZED (SELECT pg_catalog.generate_series(f.begin, f.now, %s) AS s"
		" FROM first f LIMIT %d),"
		" starts AS MATERIALIZED (SELECT pg_catalog.array_agg(m.s ORDER BY m.s) AS all_of,"
		" pg_catalog.count(*) AS n FROM many m)"
		" SELECT p.n, (SELECT pg_catalog.count(DISTINCT"
		" pg_catalog.width_bucket(%s, p.all_of)) FROM %s WHERE (%s)"
		" AND %s OPERATOR(pg_catalog.>=) (p.all_of)[1]"
		" AND %s OPERATOR(pg_catalog.<) (p.all_of)[p.n]), f.begin IS NULL"
		" FROM starts p, first f",
		first_begin(constraint, target, type),
		type,
		step,
		MAX_PERIODS + 2,
		column,
		target_rows_sql(target, CHECK_ROW),
		filter_text(constraint),
		column,
		column);
}

void
evaluate_every_period(const DataConstraint *constraint, const CheckScope *scope, Measure *measure)
{
	int64 starts;
	bool isnull;

	read_statement(periods_query(constraint, scope->target), NULL, PLAN_ONCE);
	starts = number(1);
	measure->strategy = "scan";
	if (starts > MAX_PERIODS + 1)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("check every_period has more than %d periods", MAX_PERIODS)));
	/* the last beginning is that of the period that is going on */
	measure->evaluated = Max(starts - 1, 0);
	measure->no_data = DatumGetBool(value(3, &isnull)) || measure->evaluated == 0;
	measure->violations = measure->no_data ? -1 : measure->evaluated - number(2);
}

/* ---- arrived_by ---- */

void
validate_arrived_by(CheckRule *rule)
{
	CheckValue due = {check_text(rule, "due_time"), jbvString};

	(void) check_literal(NULL, "due_time", &due, TIMEOID);
}

void
compile_arrived_by(const CheckRule *rule, Relation rel, CompiledCheck *check)
{
	(void) check_time_column(rule, rel);
	take_compiled(rule, check);
}

void
evaluate_arrived_by(const DataConstraint *constraint, const CheckScope *scope, Measure *measure)
{
	const char *type = type_of_column(constraint, scope->target);
	char *column = column_of(constraint);
	const char *now = "pg_catalog.clock_timestamp()::pg_catalog.timestamp";
	bool isnull;
	Datum arrived;

	read_statement(
		psprintf("SELECT EXISTS (SELECT FROM %s WHERE (%s) AND %s OPERATOR(pg_catalog.<) 'infinity'"
				 " AND %s OPERATOR(pg_catalog.>=) d.day::%s) FROM (SELECT pg_catalog.date_trunc("
				 "'day', %s OPERATOR(pg_catalog.-) %s::pg_catalog.time::pg_catalog.interval)"
				 " AS day) d",
				 target_rows_sql(scope->target, CHECK_ROW),
				 filter_text(constraint),
				 column,
				 column,
				 type,
				 now,
				 sql_literal(check_text(constraint->rule, "due_time"))),
		NULL,
		PLAN_ONCE);
	arrived = value(1, &isnull);
	measure->evaluated = -1;
	measure->violations = DatumGetBool(arrived) ? 0 : 1;
	measure->strategy = "newest value";
}
