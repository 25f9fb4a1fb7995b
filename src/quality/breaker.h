/*-------------------------------------------------------------------------
 *
 * breaker.h
 *		The circuit breaker of a target: decides whether batches are
 *		published.
 *
 * closed		batches are published
 * open			nothing is; waits (doubling) and for something to change
 * half_open	exactly one probe run goes through the whole gate
 * forced_open	by hand; at its end half_open
 * disabled		by hand (override): published, verdicts recorded, nothing
 *				blocks; at its end half_open
 *
 * The mode 'metrics_only' records what the breaker would have done.  No row
 * means closed and normal.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_BREAKER_H
#define DEPIPE_QUALITY_BREAKER_H

#include "quality/check.h"

typedef enum BreakerState
{
	BREAKER_CLOSED,      /* -> OPEN, FORCED_OPEN, DISABLED */
	BREAKER_OPEN,        /* -> HALF_OPEN, FORCED_OPEN, DISABLED */
	BREAKER_HALF_OPEN,   /* -> CLOSED, OPEN, FORCED_OPEN, DISABLED */
	BREAKER_FORCED_OPEN, /* -> HALF_OPEN, DISABLED */
	BREAKER_DISABLED     /* -> HALF_OPEN, FORCED_OPEN */
} BreakerState;

typedef enum Admission
{
	ADMIT,       /* publish: closed, or disabled by an override */
	ADMIT_PROBE, /* publish if the gate passes: half_open */
	ADMIT_NOT    /* hold: open or forced_open */
} Admission;

/*
 * May a batch of this target be published now?  Moves open -> half_open if the
 * wait is over and something changed since (changed: there is new data, or held
 * data and a changed constraint or a reset), and ends forced_open and disabled
 * at their time.  reason receives the reason for a refusal.
 */
extern Admission breaker_admit(Target *target, bool changed, char **reason);

/*
 * The effect of the gate's action on this target now: with the breaker disabled
 * or in mode metrics_only, REJECT and BREAK become WARN (and are recorded as
 * what would have been).
 */
extern Action breaker_enforce(Target *target, Action action);

/*
 * To be called after an admitted run; action is the enforced one, asked the one that
 * a constraint asked for.  Returns true
 * if the batch may be published.  A probe that passes is published as well; its
 * breaker closes once close_after probes have passed in a row.  The call must
 * be made in the transaction that publishes or holds, outside of the
 * subtransaction that is rolled back.
 */
extern bool breaker_record(Target *target, Admission admission, Action action, Action asked,
						   const char *reason);

/*
 * Record that a change of a reference broke a constraint of the target: a bad
 * run without a batch, so that the next batch meets an open breaker.
 */
extern void breaker_charge(Target *target, const char *reason);

/*
 * Does the next batch set aside what would keep it from being published?  Asked
 * for by depipe.set_aside; ends with the next transition, or with that batch.
 */
extern bool breaker_sets_aside(int32 target_id);
extern void breaker_set_aside(Target *target, const char *reason);

/* Somebody has changed what a batch may be held for: an open breaker probes with the next run. */
extern void breaker_probe_next(Target *target, const char *reason);

/*
 * Record an evaluation of a whole table without load or transform; action is
 * the strongest that its constraints require.  The evaluation is the probe: a
 * good one closes the breaker, unless it is held open by hand.
 */
extern void breaker_judge_table(Target *target, Action action, const char *reason);

/* Raise 22023 unless the time is in the future, and not beyond depipe.max_override. */
extern void breaker_check_override(TimestampTz until);

/* End forced_open and disabled at their time: half_open. */
extern void breaker_expire(Target *target);

/* The state of the breaker of a target by its times; see breaker.c. Closed if there is no row. */
extern BreakerState breaker_state(int32 target_id);
/*
 * Is the breaker open, half_open or forced_open (the states that block readers
 * downstream and in guard)?
 */
extern bool breaker_blocks(int32 target_id, char **reason);

#endif /* DEPIPE_QUALITY_BREAKER_H */
