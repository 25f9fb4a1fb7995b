/*-------------------------------------------------------------------------
 *
 * constraint.c
 *		The policies of a constraint: actions and thresholds.
 *
 *-------------------------------------------------------------------------
 */
#include "quality/constraint.h"

#include "core/arguments.h"

static const char *const action_names[] = {"warn", "quarantine", "reject", "break", NULL};

Action
action_from_name(const char *name)
{
	return ACTION_WARN + word_choice(name, "on_violation", action_names);
}

const char *
action_name(Action action)
{
	switch (action)
	{
		case ACTION_NONE:
			return "none";
		case ACTION_WARN:
			return "warn";
		case ACTION_QUARANTINE:
			return "quarantine";
		case ACTION_REJECT:
			return "reject";
		case ACTION_BREAK:
			return "break";
	}
	pg_unreachable();
}

Threshold
threshold_parse(const char *text, const char *argument)
{
	Threshold threshold = {0};
	const char *p = text;
	char *end;

	if (text == NULL)
		return threshold;
	p += strspn(p, " ");
	threshold.given = (*p == '>');
	if (*p != '\0')
		p++;
	threshold.inclusive = (*p == '=');
	p += threshold.inclusive ? 1 : 0;
	p += strspn(p, " ");
	threshold.bound = strtod(p, &end);
	if (end == p || strspn(p, "0123456789.") != (size_t) (end - p))
		threshold.given = false;
	p = end + strspn(end, " ");
	threshold.percent = (*p == '%');
	p += threshold.percent ? 1 : 0;
	if (!threshold.given || p[strspn(p, " ")] != '\0' ||
		(threshold.percent && threshold.bound > 100))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for argument \"%s\": \"%s\"", argument, text),
				 errhint("Write a count of rows or a percentage, such as '> 10' or '> 0.5%%'.")));
	return threshold;
}

bool
threshold_exceeded(const Threshold *threshold, int64 count, int64 evaluated)
{
	double value = (double) count;

	if (!threshold->given)
		return false;
	if (threshold->percent)
		value = evaluated > 0 ? 100.0 * value / (double) evaluated : 0.0;
	return threshold->inclusive ? value >= threshold->bound : value > threshold->bound;
}
