/*-------------------------------------------------------------------------
 *
 * steps.c
 *		The bounds of the slices of a backfill.
 *
 * Each bound is computed from the beginning: since + n * step.  So a month that
 * begins on the 31st ends on the last day of shorter months and returns to the
 * 31st, and days follow the clock of the session's TimeZone.
 *
 *-------------------------------------------------------------------------
 */
#include "transform/steps.h"

#include "catalog/pg_type.h"
#include "core/identity.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

static StepsKind
kind_of(const char *column, Oid type)
{
	switch (type)
	{
		case TIMESTAMPTZOID:
			return STEPS_TIMESTAMPTZ;
		case TIMESTAMPOID:
			return STEPS_TIMESTAMP;
		case DATEOID:
			return STEPS_DATE;
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case NUMERICOID:
			return STEPS_NUMBER;
	}
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("column \"%s\" of type %s cannot be divided into ranges",
					column,
					format_type_be(type)),
			 errhint("The type must be a time, a date, an integer or numeric.")));
}

/* ---- values and texts ---- */

static Datum
input(Oid type, const char *text)
{
	Oid function;
	Oid parameter;

	getTypeInputInfo(type, &function, &parameter);
	return OidInputFunctionCall(function, unconstify(char *, text), parameter, -1);
}

/* The text of a value, the same under all settings but TimeZone. */
static char *
output(Oid type, Datum value)
{
	int level = NewGUCNestLevel();
	Oid function;
	bool is_varlena;
	char *text;

	identity_pin_output();
	getTypeOutputInfo(type, &function, &is_varlena);
	text = OidOutputFunctionCall(function, value);
	AtEOXact_GUC(false, level);
	return text;
}

static Datum
numeric_of(Oid type, const char *text)
{
	char *canonical = output(type, input(type, text));

	return OidInputFunctionCall(F_NUMERIC_IN, canonical, InvalidOid, -1);
}

static void
refuse_infinite(const char *name)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("argument \"%s\" must be finite", name)));
}

static Datum
parse_bound(const Steps *steps, const char *name, const char *text)
{
	bool finite = true;
	Datum value;

	switch (steps->kind)
	{
		case STEPS_TIMESTAMPTZ:
		case STEPS_TIMESTAMP:
			value = input(steps->type, text);
			finite = !TIMESTAMP_NOT_FINITE(DatumGetTimestamp(value));
			break;
		case STEPS_DATE:
			value = DirectFunctionCall1(date_timestamp, input(DATEOID, text));
			finite = !TIMESTAMP_NOT_FINITE(DatumGetTimestamp(value));
			break;
		default:
			value = numeric_of(steps->type, text);
			finite = !numeric_is_nan(DatumGetNumeric(value)) &&
					 !numeric_is_inf(DatumGetNumeric(value));
			break;
	}
	if (!finite)
		refuse_infinite(name);
	return value;
}

static bool
precedes(const Steps *steps, Datum left, Datum right)
{
	return DatumGetBool(
		DirectFunctionCall2(steps->kind == STEPS_NUMBER ? numeric_lt : timestamp_lt, left, right));
}

/* ---- steps ---- */

static void
parse_step(Steps *steps, const char *text)
{
	if (steps->kind == STEPS_NUMBER)
	{
		Numeric step;

		steps->step = numeric_of(steps->type == NUMERICOID ? NUMERICOID : INT8OID, text);
		step = DatumGetNumeric(steps->step);
		if (numeric_is_nan(step) || numeric_is_inf(step))
			refuse_infinite("step");
		return;
	}
	steps->step = OidInputFunctionCall(F_INTERVAL_IN, unconstify(char *, text), InvalidOid, -1);
	if (!DatumGetBool(DirectFunctionCall1(interval_finite, steps->step)))
		refuse_infinite("step");
}

static Datum
advance(const Steps *steps, int32 n)
{
	Datum distance;

	if (steps->kind == STEPS_NUMBER)
	{
		distance = DirectFunctionCall2(numeric_mul,
									   DirectFunctionCall1(int4_numeric, Int32GetDatum(n)),
									   steps->step);
		return DirectFunctionCall2(numeric_add, steps->since, distance);
	}
	distance = DirectFunctionCall2(interval_mul, steps->step, Float8GetDatum((float8) n));
	return DirectFunctionCall2(steps->kind == STEPS_TIMESTAMPTZ ? timestamptz_pl_interval
																: timestamp_pl_interval,
							   steps->since,
							   distance);
}

static Datum
bound_value(const Steps *steps, int32 n)
{
	Datum value = n == 0 ? steps->since : advance(steps, n);

	return precedes(steps, value, steps->before) ? value : steps->before;
}

static char *
bound_text(const Steps *steps, Datum value)
{
	switch (steps->kind)
	{
		case STEPS_DATE:
			return output(DATEOID, DirectFunctionCall1(timestamp_date, value));
		case STEPS_NUMBER:
			return output(NUMERICOID, value);
		default:
			return output(steps->type, value);
	}
}

char *
steps_bound(const Steps *steps, int32 n)
{
	return bound_text(steps, bound_value(steps, n));
}

char *
steps_step(const Steps *steps)
{
	return output(steps->kind == STEPS_NUMBER ? NUMERICOID : INTERVALOID, steps->step);
}

static double
span_of(const Interval *step)
{
	return (double) step->time +
		   ((double) step->month * DAYS_PER_MONTH + (double) step->day) * USECS_PER_DAY;
}

/* The number of steps between the bounds, about. */
static double
estimate(const Steps *steps)
{
	if (steps->kind == STEPS_NUMBER)
	{
		Datum distance = DirectFunctionCall2(numeric_sub, steps->before, steps->since);

		return DatumGetFloat8(
			DirectFunctionCall1(numeric_float8_no_overflow,
								DirectFunctionCall2(numeric_div, distance, steps->step)));
	}
	return ((double) DatumGetTimestamp(steps->before) - (double) DatumGetTimestamp(steps->since)) /
		   span_of(DatumGetIntervalP(steps->step));
}

/* Returns the least n whose bound is the end. */
static int32
count_slices(const Steps *steps)
{
	double about = estimate(steps) * 1.1 + 2;
	int32 low = 1;
	int32 high;

	if (about > PG_INT32_MAX / 2)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" is too small for the range", "step")));
	high = (int32) about;
	while (low < high)
	{
		int32 middle = low + (high - low) / 2;

		if (precedes(steps, advance(steps, middle), steps->before))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool
is_positive(const Steps *steps)
{
	if (steps->kind == STEPS_NUMBER)
		return precedes(steps, DirectFunctionCall1(int4_numeric, Int32GetDatum(0)), steps->step);
	return span_of(DatumGetIntervalP(steps->step)) > 0;
}

void
steps_check(const Steps *steps, int32 n)
{
	char *since = steps_bound(steps, n);

	if (!precedes(steps, bound_value(steps, n), bound_value(steps, n + 1)) ||
		strcmp(since, steps_bound(steps, n + 1)) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" does not advance from %s", "step", since)));
}

Steps *
steps_parse(const char *column, Oid type, const char *since, const char *before, const char *step)
{
	Steps *steps = palloc0(sizeof(Steps));

	steps->type = getBaseType(type);
	steps->kind = kind_of(column, steps->type);
	steps->since = parse_bound(steps, "since", since);
	steps->before = parse_bound(steps, "before", before);
	parse_step(steps, step);
	if (!precedes(steps, steps->since, steps->before))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must be less than \"%s\"", "since", "before")));
	if (!is_positive(steps))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must be positive", "step")));
	steps->count = count_slices(steps);
	steps_check(steps, 0);
	return steps;
}
