/*-------------------------------------------------------------------------
 *
 * attempts.h
 *		Statements about what is due, attempts, and what is to be forgotten.
 *
 * A unit is what fails as a whole: "server shop" or "target 12".  An attempt
 * is counted as a failure when it begins, and cleared when it ends well, so
 * that one which takes its process with it is counted, too.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CATALOG_ATTEMPTS_H
#define DEPIPE_CATALOG_ATTEMPTS_H

#include "catalog/statement.h"

/* ---- attempts ---- */

extern char *unit_of_server(const char *server_name);
extern char *unit_of_target(int32 target_id);
extern char *unit_of_checks(int32 target_id); /* what time alone brings to a target */

/*
 * Begin an attempt: until it ends well, the next one is not before a wait
 * that doubles with each failure in a row.  Returns when that is over.
 */
extern TimestampTz attempt_begin(const char *unit);

/* It ended well, or what made it fail may have been repaired: no wait. */
extern void attempt_end(const char *unit);

/*
 * It could not do anything, for a reason that lies elsewhere: wait a minute at
 * most, or not at all when the wait was ended meanwhile.
 */
extern void attempt_held(const char *unit);

/* It was looked at, and there was nothing to try. */
extern void attempt_rested(const char *unit);

/* It was held back, and is not any more: due as if nothing had been tried since. */
extern void attempt_forget(const char *unit);

/* The same for the transforms that read the target, at any depth, and wait. */
extern void attempts_end_of_readers(int32 target_id);

/* columns of attempts_of_loads() */
#define ATTEMPT_TARGET_ID 1
#define ATTEMPT_FAILURES 2
#define ATTEMPT_RETRY_AT 3

/* Of those loads of a server that have failed. */
extern CatalogRows *attempts_of_loads(const char *server_name);

/* ---- what is due (ids of targets, in no order unless said) ---- */

/* columns of due_loads() */
#define DUE_SERVER 1
#define DUE_TARGET_ID 2
#define DUE_STATE 3

/*
 * Loads whose target_lag has passed since the last attempt of their server,
 * and those of the list (what transforms that are due read), by server, the
 * longest untried first.
 */
extern CatalogRows *due_loads(List *target_ids);

/*
 * Transforms that are older than their target_lag, and those (with or without
 * one) whose breaker is to be probed; the longest untried first.
 */
extern List *due_transforms(void);

/* Is the target not waiting after failures? */
extern bool due_after_failures(int32 target_id);

/* Is the target older than the transform that reads it may be? */
extern bool due_for_reader(int32 target_id, int32 reader_id);

/* Targets with a time check whose check_every has passed. */
extern List *due_time_checks(void);

/* Has the target one, or one that failed when it was evaluated last? */
extern bool has_time_checks_to_follow(int32 target_id);

/* Targets that have keys whose grace has ended since anybody looked at them. */
extern List *due_pending_keys(void);

/* Tables that nothing publishes to, whose breaker waits for a look at them. */
extern List *due_tables(void);

/* Targets whose breaker is held by hand until a time that has come. */
extern List *due_breakers(void);

/* Servers (names) with loads to run that are not waiting after a failure. */
extern List *servers_to_stream(void);

/* Those loads of a server (ids), and the shortest of their target_lags. */
extern List *loads_to_stream(const char *server_name, long *target_lag_ms);

/*
 * When something is to be done in the loads of a server although the source
 * may send nothing: a copy, a probe, parked rows to be tried again.
 */
extern TimestampTz server_next_work(const char *server_name);

/* ---- when something becomes due (a time that has come, or -infinity: now) ---- */

/* columns of servers_next() */
#define NEXT_SERVER 1
#define NEXT_RUN 2 /* its loads are due, when no worker has its stream */
extern CatalogRows *servers_next(void);

/* Everything but loads: transforms, checks by time, housekeeping; DT_NOEND: nothing. */
extern TimestampTz other_work_next(void);

/* ---- housekeeping ---- */

/* End pauses whose time has come; the targets. */
extern List *pauses_expire(void);

/* columns of owners_note() */
#define OWNER_TARGET_ID 1
#define OWNER_PROBLEM 2 /* NULL: it can be run as its owner again */

/* Put down what is ownerless now, and what is not any more; those that have changed. */
extern CatalogRows *owners_note(void);

/*
 * Runs that say 'running' although the session that began them is gone, idle,
 * or at another statement: they failed.  Returns how many.
 */
extern int64 runs_fail_orphans(void);

/*
 * Delete history older than so many seconds (negative: keep it), at most
 * once an hour; returns whether it looked.
 */
extern bool history_delete_old(int32 history_seconds, int32 quarantine_seconds);

#endif /* DEPIPE_CATALOG_ATTEMPTS_H */
