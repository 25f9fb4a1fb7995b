/*-------------------------------------------------------------------------
 *
 * verdict.c
 *		Verdicts and incidents: what the gate found, kept.
 *
 *-------------------------------------------------------------------------
 */
#include "quality/gate.h"

const char *
outcome_name(Outcome outcome)
{
	switch (outcome)
	{
		case OUTCOME_PASS:
			return "pass";
		case OUTCOME_WARN:
			return "warn";
		case OUTCOME_FAIL:
			return "fail";
		case OUTCOME_ERROR:
			return "error";
		case OUTCOME_NOT_EVALUATED:
			return "not_evaluated";
		case OUTCOME_PENDING:
			return "pending";
	}
	pg_unreachable();
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

void
verdicts_record(int64 run_id, Target *target, List *verdicts)
{
}
