/*-------------------------------------------------------------------------
 *
 * runs.h
 *		Runs: one row for each attempt to refresh one target.
 *
 * The row of a run is inserted as 'running' and updated at the end.  In a
 * procedure the insertion is committed before the work begins.  In a function
 * both belong to the caller's transaction.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CATALOG_RUNS_H
#define DEPIPE_CATALOG_RUNS_H

#include "catalog/target.h"

typedef enum RunStatus
{
	RUN_RUNNING,
	RUN_SUCCEEDED,
	RUN_NOTHING, /* no change */
	RUN_BLOCKED, /* by a gate or a breaker */
	RUN_SKIPPED, /* another run holds the target */
	RUN_FAILED
} RunStatus;

typedef struct Run
{
	int64 id; /* 0: no row inserted yet */
	Target *target;
	const char *started_by; /* 'refresh', 'run', 'upstream', ... */
	RunStatus status;
	const char *strategy; /* 'stream', 'copy', 'full', 'full_diff', ... or NULL */
	char *reason;         /* without column values; NULL: none */
	int64 rows_in;
	int64 inserted;
	int64 updated;
	int64 deleted;
	int64 quarantined;
	TimestampTz started_at;
	TimestampTz finished_at; /* set by run_finish */
	double gate_ms;
	double apply_ms;
	double read_ms;
	char *error_sqlstate;
	char *error_message;
	char *error_hint;
	char *error_detail; /* may contain values: for the caller, not stored */
} Run;

/*
 * Create a run without a row.  This writes nothing, so that a transaction that
 * must not have an xid yet (because it will create a slot) gets none.
 * Palloc'd.
 */
extern Run *run_create(Target *target, const char *started_by);

/*
 * Insert the row as 'running' unless it exists.  Returns false, and leaves the
 * run without a row, if its target was dropped meanwhile.
 */
extern bool run_insert(Run *run);

/* Insert the row as run_insert() does.  Raises 42704 if the target was dropped. */
extern void run_insert_or_fail(Run *run);

/* Copy the texts of the run into the current memory context, so that they outlive their own. */
extern void run_copy_texts(Run *run);

/* Create a run and insert its row.  Raises 42704 if the target was dropped. */
extern Run *run_begin(Target *target, const char *started_by);

/*
 * Update the row from the struct, and write it to the log.  The status must
 * not be RUN_RUNNING.  Does nothing if the run has no row yet and its target
 * was dropped.
 */
extern void run_finish(Run *run);

/*
 * Update the rows of continuing runs, including finished_at and status, in one
 * statement.  run_log() writes such a run to the server log when it is over.
 */
extern void runs_update(List *runs);
extern void run_log(const Run *run);

/*
 * Assign everything that this transaction has recorded for one run (verdicts
 * and the like) to another.
 */
extern void run_move_details(int64 from, int64 to);

/*
 * The newest finished run (only id, status and reason), or NULL.  Skipped runs
 * of workers do not count.
 */
extern Run *run_last(Target *target);

/*
 * The newest other run on the same target that has finished since this one
 * began, with its counts and error, or NULL.  Runs that ended for one of these
 * reasons (texts) do not count.
 */
extern Run *run_last_other(const Run *asking, List *reasons);

/* The stored name of a status. */
extern const char *run_status_name(RunStatus status);

/*
 * Store a caught error in the run: SQLSTATE, message, hint, and status
 * RUN_FAILED.  The detail is left out, because it contains column values.
 */
extern void run_set_error(Run *run, const ErrorData *error);

/*
 * Lock the target for a run, until the end of the transaction.  The lock is
 * depipe's own, so that VACUUM and the like do not conflict with it.  Returns
 * false if another run holds it.  wait: wait for it instead, within
 * lock_timeout.
 */
extern bool run_take_target(int32 target_id, bool wait);

/* Raise 55000, with a hint, if depipe.enabled is off. */
extern void run_check_enabled(void);

#endif /* DEPIPE_CATALOG_RUNS_H */
