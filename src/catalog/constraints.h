/*-------------------------------------------------------------------------
 *
 * constraints.h
 *		depipe's own tables about constraints, verdicts, incidents and
 *		breakers.
 *
 * Plain rows in and out: what they mean is known in quality/ only.
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
	char *rule;        /* JSON text in one spelling */
	char *search_path; /* of whoever declared it */
	List *settings;    /* likewise: core/settings */
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
	int64 grace_microseconds; /* read only: of grace */
	char *existing;
	TimestampTz enforce_from; /* 0: none */
	char *check_every;        /* interval as text */
	char *owner;
	char *description;
	/* state, read only */
	char *outcome; /* of the last evaluation; NULL: never evaluated */
	int64 baseline;
} ConstraintRow;

/* All constraints of a target, in the order of their declaration. */
extern List *constraint_rows(int32 target_id);

/* One by name, or NULL. */
extern ConstraintRow *constraint_row_find(int32 target_id, const char *name);

/* Those of any target whose reference is this table. */
extern List *constraint_rows_referencing(const char *schema_name, const char *table_name);

/* Insert (sets id) or update all that is declared and compiled. */
extern void constraint_row_put(ConstraintRow *row);

/* Update what is compiled. */
extern void constraint_row_put_compiled(const ConstraintRow *row);

extern void constraint_row_delete(int32 constraint_id);

extern void constraint_set_baseline(int32 constraint_id, int64 baseline);

/* Violations that were there may become fewer, never more. */
extern void constraint_shrink_baseline(int32 constraint_id, int64 violations);

/* ---- pending keys ---- */

/* Remember keys (each a text[]) unless they are pending already. */
extern void pending_keys_add(int32 constraint_id, List *keys);

/* All pending keys, as text[] of array texts; NULL: none. */
extern ArrayType *pending_keys(int32 constraint_id);

/* Those that have been pending for longer than the grace, as a list of array texts. */
extern List *pending_keys_older(int32 constraint_id, int64 grace_microseconds);

/* Forget those that are not among these (text[] of array texts; NULL: none are). */
extern void pending_keys_keep(int32 constraint_id, ArrayType *keys);

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
	bool whole_table; /* the counts are of the table, not of a batch */
} VerdictRow;

/* What is recorded of constraints already: verdict_known() says it of many at once. */
typedef struct KnownVerdict
{
	char *outcome;     /* its state; NULL: none */
	int64 verdict_id;  /* of the run's newest row of it; 0: none */
	char *run_outcome; /* of that row */
	bool open_incident;
} KnownVerdict;

extern KnownVerdict *verdicts_known(int64 run_id, List *constraint_ids);

/* Store it as the constraint's state, as a row of the history, or add it to such a row. */
extern void verdict_put_state(const VerdictRow *row);
extern void verdict_insert(const VerdictRow *row);
extern void verdict_add(int64 verdict_id, const VerdictRow *row);

/* Rows in quarantine that failed this constraint. */
extern int64 quarantine_count_of(int32 target_id, int32 constraint_id);

/* The same without rows of these keys (text[] of array texts; NULL: all count). */
extern int64 quarantine_count_beside(int32 target_id, int32 constraint_id, ArrayType *keys);

extern bool quarantine_has_rows(int32 target_id);

/* Which of the keys (text[] of array texts) are those of rows in quarantine. */
extern List *quarantine_keys(int32 target_id, List *columns, ArrayType *keys);

/*
 * Mark quarantined rows that failed the constraint for another try: all
 * (keys NULL), or those whose columns hold one of the keys (text[] of array
 * texts).  Returns how many.
 */
extern int64 quarantine_mark_retries(int32 target_id, int32 constraint_id, List *columns,
									 ArrayType *keys);

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
	int32 bad_before; /* bad runs among the last of_runs - 1 */
	/* settings, with the defaults filled in */
	bool metrics_only;
	int32 bad_runs;
	int32 of_runs;
	int32 close_after;
	int64 retry_wait_microseconds;
	int64 max_wait_microseconds;
	int64 probe_timeout_microseconds;
} BreakerRow;

/* State with settings; never NULL: a target without rows is closed. */
extern BreakerRow *breaker_row(int32 target_id, bool lock);

/* Write the state (not the settings, not the outcomes). */
extern void breaker_row_put(int32 target_id, const BreakerRow *row);

/* Remember the outcome of a run among the last of_runs. */
extern void breaker_add_outcome(int32 target_id, bool bad, int32 of_runs);
extern void breaker_forget_outcomes(int32 target_id);

/* Something that an open breaker waits for has changed. */
extern void breaker_note_change(int32 target_id);

typedef struct BreakerSetting
{
	char *mode;
	char *on_open;
	int32 bad_runs;
	int32 of_runs;
	int32 close_after;
	char *retry_wait;
	char *max_wait;
	char *probe_timeout;
} BreakerSetting;

extern BreakerSetting *breaker_setting(int32 target_id);
extern void breaker_setting_put(int32 target_id, const BreakerSetting *setting);

/* ---- around ---- */

/* Targets that this one reads at any depth (integer list), itself first. */
extern List *upstream_ids(int32 target_id);

/*
 * Do the two tables get their rows together: both by the loads of one server,
 * both by transforms, or both from outside?  target_id: 0 for a table that no
 * load or transform maintains.
 */
extern bool same_origin(int32 target_id, const char *reference_schema, const char *reference_table);

/*
 * Is a reference not to be relied on: copying, paused, with held batches?
 * Returns a short reason, or NULL.
 */
extern char *reference_unsettled(int32 target_id);

/*
 * Rows that are kept out of the target, as jsonb[] of objects that
 * jsonb_populate_record reads; NULL: none.  Of quarantine: those that failed
 * the constraint (0: all); parked: new images that are whole.
 */
extern ArrayType *quarantined_images(int32 target_id, int32 constraint_id);
extern ArrayType *parked_images(int32 target_id);

#endif /* DEPIPE_CATALOG_CONSTRAINTS_H */
