/*-------------------------------------------------------------------------
 *
 * time_checks.h
 *		Checks that time alone makes fail: freshness.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_TIME_CHECKS_H
#define DEPIPE_QUALITY_TIME_CHECKS_H

#include "catalog/target.h"

/*
 * Does a time check of the target fail now?  Evaluated as the target's owner;
 * nothing is recorded.
 */
extern bool time_checks_fail(int32 target_id, char **reason);

/* Evaluate the target's time checks and record their verdicts; run_id: 0 for none. */
extern void time_checks_record(Target *target, int64 run_id);

/*
 * The same after a batch, if that could have made the table fresh again, or
 * check_every has passed.
 */
extern void time_checks_follow(Target *target, int64 run_id);

#endif /* DEPIPE_QUALITY_TIME_CHECKS_H */
