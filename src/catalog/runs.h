/*-------------------------------------------------------------------------
 *
 * runs.h
 *		Runs: one row for each attempt to bring one target up to date.
 *
 * A run row is inserted as 'running' and corrected at the end.  In a
 * procedure the first is committed before the work begins; in a function both
 * belong to the caller's transaction.
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
	RUN_BLOCKED, /* a gate or a breaker */
	RUN_SKIPPED, /* another run holds the target */
	RUN_FAILED
} RunStatus;

typedef struct Run
{
	int64 id; /* 0: no row written yet */
	Target *target;
	const char *started_by; /* 'refresh', 'run', 'upstream', ... */
	RunStatus status;
	const char *strategy; /* 'stream', 'copy', 'full', 'full_diff', ... or NULL */
	char *reason;         /* without column values; NULL when there is nothing to say */
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
} Run;

/*
 * Make a run without a row: nothing is written, so that a transaction that
 * must not have an xid yet (a slot is to be created) stays without.
 */
extern Run *run_create(Target *target, const char *started_by);

/*
 * Insert the row as 'running', unless it was already.  Returns false, and the
 * run stays without a row, when its target was dropped meanwhile.
 */
extern bool run_insert(Run *run);

/* The same; raises 42704 when the target was dropped. */
extern void run_insert_or_fail(Run *run);

/* Copy its texts into the current memory context: they outlive the one they were made in. */
extern void run_copy_texts(Run *run);

/* Make a run and insert it; raises 42704 when the target was dropped. */
extern Run *run_begin(Target *target, const char *started_by);

/*
 * Update the row from the struct; the status must not be RUN_RUNNING.  Nothing
 * when it has no row yet and its target was dropped.
 */
extern void run_finish(Run *run);

/*
 * Runs that go on: update their rows (finished_at and status included) in one
 * statement.  run_log() is for when such a run is over.
 */
extern void runs_update(List *runs);
extern void run_log(const Run *run);

/* What this transaction has recorded with one run (verdicts and the like) belongs to another. */
extern void run_move_details(int64 from, int64 to);

/*
 * The newest finished run (id, status, reason only), without those of workers
 * that were skipped; NULL: none.
 */
extern Run *run_last(Target *target);

/*
 * The newest run of somebody else on the same target that has finished since
 * this one began, with its counts and error, but for those that ended for one of
 * these reasons (texts); NULL: none.
 */
extern Run *run_last_other(const Run *asking, List *reasons);

extern const char *run_status_name(RunStatus status);

/*
 * Put a caught error into the run: SQLSTATE, message, hint, status
 * RUN_FAILED.  Details are left out, because they carry column values.
 */
extern void run_set_error(Run *run, const ErrorData *error);

/*
 * One run at a time has a target, until the end of its transaction: a lock of
 * depipe's own, which VACUUM and the like do not take.  Returns false when
 * another run has it; with wait that is waited for, within lock_timeout.
 */
extern bool run_take_target(int32 target_id, bool wait);

/* Raise 55000 with a hint while depipe.enabled is off. */
extern void run_check_enabled(void);

#endif /* DEPIPE_CATALOG_RUNS_H */
