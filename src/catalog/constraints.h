/*-------------------------------------------------------------------------
 *
 * constraints.h
 *		depipe's own tables of constraints, verdicts and breakers.
 *
 * This file only reads and writes rows.  Their meaning is known to quality/.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CATALOG_CONSTRAINTS_H
#define DEPIPE_CATALOG_CONSTRAINTS_H

#include "catalog/statement.h"

/* ---- constraints ---- */

typedef struct ConstraintRow
{
	int32 id; /* 0: not stored yet */
	int32 target_id;
	char *name;
	char *rule;        /* JSON text in canonical form */
	char *search_path; /* of the session that declared it */
	List *settings;    /* of the same session; see core/settings */
	char *expression;  /* analysed forms; NULL: not compiled yet */
	char *metric;
	bool is_aggregate;
	bool is_late;
	char *filter; /* as written */
	char *filter_expression;
	List *columns;
	List *column_types;
	char *reference_schema;
	char *reference_table;
	char *on_violation;
	char *warn_if;
	char *fail_if;
	char *scope;
	int64 min_rows;
	char *on_null;
	char *on_no_data;
	char *on_error;
	char *grace;              /* interval as text */
	int64 grace_microseconds; /* grace in microseconds; read-only */
	char *existing;
	TimestampTz enforce_from; /* 0: none */
	char *check_every;        /* interval as text */
	char *owner;
	char *description;
	char *origin; /* the contract that declared it; NULL: declared by hand */
	/* state, read-only */
	char *outcome; /* of the last evaluation; NULL: never evaluated */
	int64 baseline;
	TimestampTz waived_until; /* 0: not waived */
	List *accepted;           /* hashes of accepted rows, in hexadecimal; see quality/accepted */
} ConstraintRow;

/* In SQL: is the constraint c one of the kinds of FAMILY_TIME (quality/check.h)? */
#define IS_TIME_CHECK                                          \
	"(c.rule OPERATOR(pg_catalog.->>) 'kind') IN ('freshness'" \
	", 'every_period', 'arrived_by')"

/* All constraints of a target, in the order of their declaration. */
extern List *constraint_rows(int32 target_id);

/* A constraint by name; NULL if there is none. */
extern ConstraintRow *constraint_row_find(int32 target_id, const char *name);

/* The constraints of any target that a contract of this origin declared. */
extern List *constraint_rows_of_origin(const char *origin);

/* The constraints of any target that refer to this table. */
extern List *constraint_rows_referencing(const char *schema_name, const char *table_name);

/* Insert (sets id) or update everything declared and compiled. */
extern void constraint_row_put(ConstraintRow *row);

/* Update the compiled columns. */
extern void constraint_row_put_compiled(const ConstraintRow *row);

/* Delete a constraint. */
extern void constraint_row_delete(int32 constraint_id);

/*
 * Set the number of violations that are accepted because they existed before.
 */
extern void constraint_set_baseline(int32 constraint_id, int64 baseline);

/* Waive the constraint until this time. */
extern void constraint_waive(int32 constraint_id, TimestampTz until);

/*
 * Accept rows of a constraint by their hashes (in hexadecimal), forget all that are
 * accepted, or count them.
 */
extern void accepted_rows_add(int32 constraint_id, List *hashes);
extern void accepted_rows_forget(int32 constraint_id);

/* Lower the baseline to this number of violations, but never raise it. */
extern void constraint_shrink_baseline(int32 constraint_id, int64 violations);

/* ---- pending keys ---- */

/* Store keys (each a text[]) that are not pending yet. */
extern void pending_keys_add(int32 constraint_id, List *keys);

/* All pending keys, as a text[] of array texts; NULL if there are none. */
extern ArrayType *pending_keys(int32 constraint_id);

/* The keys that have been pending for longer than the grace period, as a list of array texts. */
extern List *pending_keys_older(int32 constraint_id, int64 grace_microseconds);

/* Delete the pending keys that are not among these (text[] of array texts; NULL: delete all). */
extern void pending_keys_keep(int32 constraint_id, ArrayType *keys);

/* Number of pending keys. */
extern int64 pending_keys_count(int32 constraint_id);

/* ---- verdicts ---- */

typedef struct VerdictRow
{
	int64 run_id; /* 0: none */
	int32 target_id;
	int32 constraint_id;
	const char *constraint_name;
	const char *check_kind;
	const char *outcome;
	const char *action;
	int64 evaluated; /* -1: unknown */
	int64 violations;
	const char *metric;
	const char *warn_if;
	const char *fail_if;
	bool would_have_blocked;
	const char *strategy;
	double elapsed_ms;
	const char *detail;
	bool whole_table; /* the counts are those of the table, not of a batch */
} VerdictRow;

/*
 * What is already recorded about a constraint.  verdicts_known() returns it
 * for many constraints.
 */
typedef struct KnownVerdict
{
	char *outcome;     /* stored state; NULL: none */
	int64 verdict_id;  /* newest row for the run; 0: none */
	char *run_outcome; /* outcome of that row */
	bool open_incident;
} KnownVerdict;

/*
 * What is recorded about these constraints (integer list), and about their
 * verdicts in the run.  Returns a palloc'd array in the order of the list.
 */
extern KnownVerdict *verdicts_known(int64 run_id, List *constraint_ids);

/*
 * Store a verdict as the constraint's state, as a new row of the history, or
 * by adding it to an existing row.
 */
extern void verdict_put_state(const VerdictRow *row);
extern void verdict_insert(const VerdictRow *row);
extern void verdict_add(int64 verdict_id, const VerdictRow *row);

/* Number of quarantined rows that failed this constraint. */
extern int64 quarantine_count_of(int32 target_id, int32 constraint_id);

/*
 * Number of quarantined rows that failed this constraint and have none of
 * these keys (text[] of array texts; NULL: count all rows).
 */
extern int64 quarantine_count_beside(int32 target_id, int32 constraint_id, ArrayType *keys);

/* Does the target have quarantined rows? */
extern bool quarantine_has_rows(int32 target_id);

/*
 * Those of the keys (text[] of array texts) that the given columns of some
 * quarantined row hold.
 */
extern List *quarantine_keys(int32 target_id, List *columns, ArrayType *keys);

/*
 * Mark quarantined rows that failed the constraint for a retry: all (keys
 * NULL), or those whose columns hold one of the keys (text[] of array texts).
 * Returns their number.
 */
extern int64 quarantine_mark_retries(int32 target_id, int32 constraint_id, List *columns,
									 ArrayType *keys);

/*
 * The number of quarantined rows of the target that have one of these keys (text
 * list, NIL: any), as depipe.quarantine or depipe.violations shows them.
 * constraint_id: only of this constraint, 0: all.  *keys_found, if not NULL, gets
 * the number of keys that some row has.
 */
extern int64 quarantine_matches(int32 target_id, int32 constraint_id, List *keys,
								int64 *keys_found);

/* Mark these rows for another try, or discard them. */
extern void quarantine_release(int32 target_id, int32 constraint_id, List *keys);
extern void quarantine_discard(int32 target_id, List *keys);

/* Does the target lack rows that are in quarantine?  Discarded ones do not count. */
extern bool quarantine_lacks_rows(int32 target_id);

/*
 * A constraint that holds the newest batch of the target, or rejects it, and is
 * not about single rows; NULL: there is none.
 */
extern char *holding_table_check(int32 target_id);

/* ---- breakers ---- */

typedef struct BreakerRow
{
	char *state;
	char *reason;
	TimestampTz since;
	TimestampTz until; /* 0: none */
	TimestampTz retry_at;
	int64 wait_microseconds;
	bool changed;
	int32 passes;
	TimestampTz probe_started;
	bool shadow_open;        /* with metrics_only: it would be open */
	int64 would_have_opened; /* ... so many times */
	TimestampTz bad_since;   /* all runs since were bad; 0: the last was good */
	bool sets_aside;         /* what holds the next batch */
	int32 bad_before;        /* bad runs among the last of_runs - 1 */
	/* settings, with defaults filled in */
	bool metrics_only;
	int32 bad_runs;
	int32 of_runs;
	int64 sustain_microseconds; /* 0: a bad run is enough */
	int32 close_after;
	int64 retry_wait_microseconds;
	int64 max_wait_microseconds;
	int64 probe_timeout_microseconds;
} BreakerRow;

/*
 * The state and settings of a breaker; never NULL.  A target without rows is
 * closed.  lock: lock the state row, if any, until the end of the transaction.
 */
extern BreakerRow *breaker_row(int32 target_id, bool lock);

/* Store the state, without settings and outcomes. */
extern void breaker_row_put(int32 target_id, const BreakerRow *row);

/* Store the outcome of a run, and keep the last of_runs outcomes. */
extern void breaker_add_outcome(int32 target_id, bool bad, int32 of_runs);
extern void breaker_forget_outcomes(int32 target_id);

/* Record a change of something that an open breaker waits for. */
extern void breaker_note_change(int32 target_id);

typedef struct BreakerSetting
{
	char *mode;
	char *on_open;
	int32 bad_runs;
	int32 of_runs;
	char *sustain;
	int32 close_after;
	char *retry_wait;
	char *max_wait;
	char *probe_timeout;
} BreakerSetting;

/*
 * The settings of a target's breaker, with defaults filled in and intervals as
 * text.
 */
extern BreakerSetting *breaker_setting(int32 target_id);
extern void breaker_setting_put(int32 target_id, const BreakerSetting *setting);

/* ---- origins and rows kept out ---- */

/*
 * The ids of the targets that this one reads, directly or indirectly (integer
 * list).  The target itself comes first.
 */
extern List *upstream_ids(int32 target_id);

/*
 * Do two tables have the same origin: loads of one server, transforms, or
 * neither?  target_id: 0 for a table without a load or transform.
 */
extern bool same_origin(int32 target_id, const char *reference_schema, const char *reference_table);

/*
 * Is the reference unreliable now: with parked batches, paused, or with a load
 * that is not streaming (copying, for example)?  Returns a short reason, or
 * NULL.
 */
extern char *reference_unsettled(int32 target_id);

/*
 * Rows that are kept out of the target, as a jsonb[] of objects that
 * jsonb_populate_record reads; NULL if there are none.  Quarantined rows:
 * those that failed the constraint (0: all).  Parked rows: complete new
 * images.
 */
extern ArrayType *quarantined_images(int32 target_id, int32 constraint_id);
extern ArrayType *parked_images(int32 target_id);

#endif /* DEPIPE_CATALOG_CONSTRAINTS_H */
