/*-------------------------------------------------------------------------
 *
 * attempts.h
 *		Statements about due work, attempts, and the deletion of old history.
 *
 * A unit is anything that fails as a whole: "server shop", "target 12" or
 * "checks 12".  An attempt counts as a failure when it begins, and is cleared
 * when it succeeds.  So an attempt that crashes its process counts as well.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CATALOG_ATTEMPTS_H
#define DEPIPE_CATALOG_ATTEMPTS_H

#include "catalog/statement.h"

/* ---- attempts ---- */

/* Keys of the units that the scheduler attempts, in the current memory context. */
extern char *unit_of_server(const char *server_name);

/* The unit that a load is tried with: its server, or the target if it has none. */
extern char *unit_of_load(const char *server_name, int32 target_id);

/* The same in SQL, of the target t. */
#define UNIT_OF_LOAD(server_name) "COALESCE('server ' || " server_name ", 'target ' || t.target_id)"

extern char *unit_of_target(int32 target_id);
extern char *unit_of_checks(int32 target_id); /* checks of a target that only depend on time */

/*
 * Record the start of an attempt.  Until it succeeds, the next one must wait,
 * for a time that doubles with each consecutive failure.  Returns the end of
 * that wait.
 */
extern TimestampTz attempt_begin(const char *unit);

/*
 * Clear the failures and the wait, because the attempt succeeded or the cause
 * of the failure may have been removed.
 */
extern void attempt_end(const char *unit);

/*
 * Shorten the wait to at most one minute, because the attempt could do nothing
 * for an external reason.  If the wait was cleared meanwhile, it stays so.
 */
extern void attempt_held(const char *unit);

/* Record an attempt that found nothing to do. */
extern void attempt_rested(const char *unit);

/*
 * Forget the attempts of a unit that is no longer held back: it is due as if
 * there had been none.
 */
extern void attempt_forget(const char *unit);

/* Forget the attempts of all waiting transforms that read the target, directly or indirectly. */
extern void attempts_end_of_readers(int32 target_id);

/* columns of attempts_of_loads() */
#define ATTEMPT_TARGET_ID 1
#define ATTEMPT_FAILURES 2
#define ATTEMPT_RETRY_AT 3

/* The loads of a server that have failed. */
extern CatalogRows *attempts_of_loads(const char *server_name);

/* ---- due work (target ids, in no particular order unless stated) ---- */

/* columns of due_loads() */
#define DUE_SERVER 1
#define DUE_TARGET_ID 2
#define DUE_STATE 3

/*
 * Loads whose target_lag has passed since the last attempt of their server,
 * loads with pending work, and those of target_ids (the inputs of due
 * transforms) that are not held.  Ordered by server, the least recently tried
 * first.
 */
extern CatalogRows *due_loads(List *target_ids);

/*
 * Transforms that are older than their target_lag, and transforms (with or
 * without one) whose breaker is due for a probe.  The least recently tried
 * come first.
 */
extern List *due_transforms(void);

/* Is the target free of a wait after failures? */
extern bool due_after_failures(int32 target_id);

/* Is the target older than the target_lag of the transform that reads it? */
extern bool due_for_reader(int32 target_id, int32 reader_id);

/* Targets with a time check whose check_every has passed. */
extern List *due_time_checks(void);

/* Has the target a time check that is due, or whose last evaluation did not pass? */
extern bool has_time_checks_to_follow(int32 target_id);

/* Targets with pending keys whose grace period has ended since the last evaluation. */
extern List *due_pending_keys(void);

/* Tables without a load or transform whose breaker is due for a probe. */
extern List *due_tables(void);

/* Targets whose breaker was forced open or disabled until a time that has passed. */
extern List *due_breakers(void);

/* Names of the servers with loads to run that are not waiting after a failure. */
extern List *servers_to_stream(void);

/*
 * The ids of those loads of a server.  *target_lag_ms gets the shortest of
 * their target_lags, limited to 10 ms to 1 minute; it is unchanged if there
 * are no loads.
 */
extern List *loads_to_stream(const char *server_name, long *target_lag_ms);

/*
 * The time of the next pending work in the loads of a server, even if the
 * source sends nothing: a copy, a probe, or parked rows to retry.  DT_NOEND:
 * none.
 */
extern TimestampTz server_next_work(const char *server_name);

/* ---- due times (a past time or -infinity: now) ---- */

/* columns of servers_next() */
#define NEXT_SERVER 1
#define NEXT_RUN 2 /* due time of its loads if no worker has its stream */
extern CatalogRows *servers_next(void);

/*
 * The due time of all work other than loads: transforms, time checks,
 * housekeeping.  DT_NOEND: none.
 */
extern TimestampTz other_work_next(void);

/* ---- copies ---- */

/*
 * Loads of a server that need a copy and that no process is copying.  The
 * result includes loads that are not due because they have failed before.
 */
#define WAITING_TARGET_ID 1
#define WAITING_SCHEMA 2
#define WAITING_TABLE 3
#define WAITING_RELID 4
#define WAITING_FAILURES 5
#define WAITING_IS_DUE 6

extern CatalogRows *copies_waiting(const char *server_name);

/*
 * For each server, the number of loads that are due for a copy, and the time
 * at which the first is.
 */
#define COPIES_SERVER 1
#define COPIES_COUNT 2
#define COPIES_AT 3

extern CatalogRows *copies_next(void);

/* ---- housekeeping ---- */

/* End the pauses whose time has passed.  Returns the ids of their targets. */
extern List *pauses_expire(void);

/* columns of owners_note() */
#define OWNER_TARGET_ID 1
#define OWNER_PROBLEM 2 /* NULL: it can run as its owner again */

/*
 * Record which definitions are ownerless now and which are no longer.  Returns
 * those that have changed.
 */
extern CatalogRows *owners_note(void);

/*
 * Mark runs with status 'running' as failed if the session that began them is
 * gone, idle, or executing another statement.  Returns their number.
 */
extern int64 runs_fail_orphans(void);

/*
 * Delete history older than this many seconds (negative: keep it), at most
 * once an hour.  Returns whether it was time to do so.
 */
extern bool history_delete_old(int32 history_seconds, int32 quarantine_seconds,
							   int32 audit_seconds);

#endif /* DEPIPE_CATALOG_ATTEMPTS_H */
