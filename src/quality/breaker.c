/*-------------------------------------------------------------------------
 *
 * breaker.c
 *		The circuit breaker of a target.
 *
 *-------------------------------------------------------------------------
 */
#include "quality/breaker.h"

Admission
breaker_admit(Target *target, bool changed, char **reason)
{
	return ADMIT;
}

Action
breaker_enforce(Target *target, Action action)
{
	return action;
}

bool
breaker_record(Target *target, Admission admission, Action action, const char *reason)
{
	return action < ACTION_REJECT;
}

BreakerState
breaker_state(int32 target_id)
{
	return BREAKER_CLOSED;
}

const char *
breaker_state_name(BreakerState state)
{
	switch (state)
	{
		case BREAKER_CLOSED:
			return "closed";
		case BREAKER_OPEN:
			return "open";
		case BREAKER_HALF_OPEN:
			return "half_open";
		case BREAKER_FORCED_OPEN:
			return "forced_open";
		case BREAKER_DISABLED:
			return "disabled";
	}
	pg_unreachable();
}

bool
breaker_blocks(int32 target_id, char **reason)
{
	return false;
}
