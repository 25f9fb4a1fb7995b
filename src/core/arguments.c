/*-------------------------------------------------------------------------
 *
 * arguments.c
 *		Arguments of SQL functions.
 *
 *-------------------------------------------------------------------------
 */
#include "core/arguments.h"

#include "core/settings.h"
#include "utils/builtins.h"
#include "utils/guc.h"

/* The limit is 100 years.  A time plus such an interval, in microseconds, stays in range. */
#define LONGEST_MONTHS 1200
#define LONGEST_DAYS 36525

void
argument_not_null(FunctionCallInfo fcinfo, int number, const char *name)
{
	if (PG_ARGISNULL(number))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", name)));
}

char *
argument_text(FunctionCallInfo fcinfo, int number, const char *name)
{
	argument_not_null(fcinfo, number, name);
	return text_to_cstring(PG_GETARG_TEXT_PP(number));
}

char *
argument_text_or_null(FunctionCallInfo fcinfo, int number)
{
	return PG_ARGISNULL(number) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(number));
}

int
word_choice(const char *value, const char *name, const char *const *words)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; words[i] != NULL; i++)
	{
		if (strcmp(value, words[i]) == 0)
			return i;
		appendStringInfo(&list, "%s\"%s\"", i > 0 ? ", " : "", words[i]);
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for argument \"%s\": \"%s\"", name, value),
			 errhint("Valid values are %s.", list.data)));
}

int
argument_choice(FunctionCallInfo fcinfo, int number, const char *name, const char *const *words)
{
	return word_choice(argument_text(fcinfo, number, name), name, words);
}

char *
argument_reason(FunctionCallInfo fcinfo, int number)
{
	char *reason = argument_text(fcinfo, number, "reason");

	if (reason[strspn(reason, " \t\r\n")] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"reason\" must not be empty"),
				 errhint("Say why, for whoever looks at this table next.")));
	return reason;
}

TimestampTz
argument_time(FunctionCallInfo fcinfo, int number, const char *name)
{
	TimestampTz time;

	if (PG_ARGISNULL(number))
		return 0;
	time = PG_GETARG_TIMESTAMPTZ(number);
	if (TIMESTAMP_NOT_FINITE(time))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must be finite", name)));
	return time;
}

char *
interval_text(Datum interval)
{
	int level = NewGUCNestLevel();
	char *text;

	settings_pin_literals();
	text = DatumGetCString(DirectFunctionCall1(interval_out, interval));
	AtEOXact_GUC(false, level);
	return text;
}

char *
argument_interval(FunctionCallInfo fcinfo, int number, const char *name)
{
	Interval *interval;

	if (PG_ARGISNULL(number))
		return NULL;
	interval = PG_GETARG_INTERVAL_P(number);
	if (interval->month < 0 || interval->day < 0 || interval->time < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must not be negative", name)));
	if (interval->month > LONGEST_MONTHS || interval->day > LONGEST_DAYS ||
		interval->time > LONGEST_DAYS * USECS_PER_DAY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must not be longer than 100 years", name)));
	return interval_text(PG_GETARG_DATUM(number));
}

TimestampTz
argument_deadline(FunctionCallInfo fcinfo, int number, const char *name, bool zero_too)
{
	Interval *interval;
	double duration;

	argument_not_null(fcinfo, number, name);
	interval = PG_GETARG_INTERVAL_P(number);
	duration = (double) interval->time +
			   (interval->day + 30.0 * interval->month) * (double) USECS_PER_DAY;
	if (duration < 0 || (duration == 0 && !zero_too))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 zero_too ? errmsg("argument \"%s\" must not be negative", name)
						  : errmsg("argument \"%s\" must be greater than zero", name)));
	return GetCurrentTimestamp() + (int64) Min(duration, 365.0 * (double) USECS_PER_DAY);
}
