/*-------------------------------------------------------------------------
 *
 * guard.c
 *		The guard: may a reader rely on a table now?
 *
 *-------------------------------------------------------------------------
 */
#include "quality/guard.h"

void
guard_check(Target *target)
{
}

bool
freshness_fails(int32 target_id, char **reason)
{
	return false;
}

void
time_checks_record(Target *target, int64 run_id)
{
}
