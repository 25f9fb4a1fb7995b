/*-------------------------------------------------------------------------
 *
 * time_checks.h
 *		Checks that can fail by the passage of time alone: freshness.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_TIME_CHECKS_H
#define DEPIPE_QUALITY_TIME_CHECKS_H

#include "catalog/target.h"

/*
 * Does a time check of the target fail now?  It is evaluated as the owner of
 * the target; nothing is recorded.
 */
extern bool time_checks_fail(int32 target_id, char **reason);

/*
 * Evaluate the time checks of the target and record their verdicts; run_id: 0
 * if there is no run.
 */
extern void time_checks_record(Target *target, int64 run_id);

/*
 * The same after a batch, if that could have made the table fresh again, or
 * check_every has passed.
 */
extern void time_checks_follow(Target *target, int64 run_id);

#endif /* DEPIPE_QUALITY_TIME_CHECKS_H */
