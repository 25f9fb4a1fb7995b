/*-------------------------------------------------------------------------
 *
 * breaker.c
 *		The circuit breaker of a target.
 *
 * The state is a row of depipe.breaker_state; no row means closed.  Every
 * change of state goes through transition(), which knows the legal ones and
 * records an event.  A row that is not closed is locked before it is changed,
 * so that of two runs one makes the transition and the other sees it.
 *
 * Times are evaluated when the state is read: a forced_open or disabled breaker
 * whose time is over counts as half_open from then on.
 *
 *-------------------------------------------------------------------------
 */
#include "quality/breaker.h"

#include "catalog/attempts.h"
#include "catalog/audit.h"
#include "catalog/constraints.h"
#include "catalog/guards.h"
#include "common/pg_prng.h"
#include "core/arguments.h"
#include "core/identity.h"
#include "core/shmem.h"
#include "utils/timestamp.h"

/* share by which a wait may vary, so that tables do not probe in step */
#define JITTER 0.1

static const char *const state_names[] = {"closed", "open", "half_open", "forced_open", "disabled"};

/* legal[from][to], as in breaker.h */
static const bool legal[][5] = {
	[BREAKER_CLOSED] = {false, true, false, true, true},
	[BREAKER_OPEN] = {false, false, true, true, true},
	[BREAKER_HALF_OPEN] = {true, true, false, true, true},
	[BREAKER_FORCED_OPEN] = {false, false, true, false, true},
	[BREAKER_DISABLED] = {false, false, true, true, false},
};

static BreakerState
state_of(const BreakerRow *row)
{
	for (int i = 0; i <= BREAKER_DISABLED; i++)
		if (strcmp(state_names[i], row->state) == 0)
			return (BreakerState) i;
	elog(ERROR, "unknown state of a breaker: %s", row->state);
}

/* What the state counts as now. */
static BreakerState
effective_state(const BreakerRow *row)
{
	BreakerState state = state_of(row);

	if ((state == BREAKER_FORCED_OPEN || state == BREAKER_DISABLED) && row->until != 0 &&
		row->until <= GetCurrentTimestamp())
		return BREAKER_HALF_OPEN;
	return state;
}

/* ---- transitions ---- */

static void
transition(Target *target, BreakerRow *row, BreakerState to, const char *reason)
{
	BreakerState from = state_of(row);

	if (!legal[from][to])
		elog(ERROR,
			 "illegal transition of a breaker: %s to %s",
			 state_names[from],
			 state_names[to]);
	row->state = pstrdup(state_names[to]);
	row->since = GetCurrentTimestamp();
	row->reason = reason == NULL ? NULL : pstrdup(reason);
	row->until = 0;
	row->passes = 0;
	row->probe_started = 0;
	row->sets_aside = false;
	row->bad_since = 0;
	breaker_row_put(target->id, row);
	event_record(target->id, "breaker", row->state, reason);
	if (to == BREAKER_CLOSED)
		breaker_forget_outcomes(target->id); /* what was bad is over */
	if (to == BREAKER_CLOSED || to == BREAKER_DISABLED)
		attempts_end_of_readers(target->id);
}

static int64
with_jitter(int64 wait, int64 ceiling)
{
	double factor = 1.0 - JITTER + 2.0 * JITTER * pg_prng_double(&pg_global_prng_state);

	return Min((int64) ((double) wait * factor), ceiling);
}

/* The first wait is retry_wait; each failing probe doubles it. */
static void
open_breaker(Target *target, BreakerRow *row, bool failed_probe, const char *reason)
{
	int64 wait = row->retry_wait_microseconds;

	if (failed_probe && row->wait_microseconds > 0)
		wait = Max(wait, 2 * row->wait_microseconds);
	wait = Min(wait, row->max_wait_microseconds);
	row->wait_microseconds = wait;
	row->retry_at = GetCurrentTimestamp() + with_jitter(wait, row->max_wait_microseconds);
	row->changed = false;
	transition(target, row, BREAKER_OPEN, reason);
}

static void
half_open(Target *target, BreakerRow *row, const char *reason)
{
	row->retry_at = 0;
	transition(target, row, BREAKER_HALF_OPEN, reason);
}

static void
start_probe(Target *target, BreakerRow *row)
{
	row->probe_started = GetCurrentTimestamp();
	breaker_row_put(target->id, row);
}

/* ---- for publish ---- */

static char *
why_not(const BreakerRow *row, BreakerState state)
{
	const char *because = row->reason != NULL ? row->reason : "no reason was given";

	return psprintf("breaker is %s: %s", state_names[state], because);
}

Admission
breaker_admit(Target *target, bool changed, char **reason)
{
	BreakerRow *row = breaker_row(target->id, false);

	if (reason != NULL)
		*reason = NULL;
	if (state_of(row) == BREAKER_CLOSED)
		return ADMIT;
	row = breaker_row(target->id, true);
	if (effective_state(row) != state_of(row))
		half_open(target, row, row->reason);
	if (state_of(row) == BREAKER_OPEN && row->retry_at <= GetCurrentTimestamp() &&
		(changed || row->changed))
		half_open(target, row, row->reason);
	switch (state_of(row))
	{
		case BREAKER_CLOSED:
		case BREAKER_DISABLED:
			return ADMIT;
		case BREAKER_HALF_OPEN:
			start_probe(target, row);
			return ADMIT_PROBE;
		case BREAKER_OPEN:
		case BREAKER_FORCED_OPEN:
			break;
	}
	if (reason != NULL)
		*reason = why_not(row, state_of(row));
	return ADMIT_NOT;
}

Action
breaker_enforce(Target *target, Action action)
{
	BreakerRow *row;

	if (action < ACTION_REJECT)
		return action;
	row = breaker_row(target->id, false);
	if (row->metrics_only || effective_state(row) == BREAKER_DISABLED)
		return ACTION_WARN;
	return action;
}

/* Since when all runs were bad, this one included; 0: this one is good. */
static void
note_streak(Target *target, BreakerRow *row, bool bad)
{
	TimestampTz since = row->bad_since != 0 ? row->bad_since : GetCurrentTimestamp();

	if (row->sustain_microseconds == 0 || bad == (row->bad_since != 0))
		return;
	row->bad_since = bad ? since : 0;
	breaker_row_put(target->id, row);
}

static bool
is_sustained(const BreakerRow *row)
{
	return row->sustain_microseconds == 0 ||
		   GetCurrentTimestamp() - row->bad_since >= row->sustain_microseconds;
}

/* k of n: bad runs among the last ones, this one included, for as long as sustain says. */
static void
record_normal_run(Target *target, BreakerRow *row, bool bad, const char *reason)
{
	note_streak(target, row, bad);
	if (row->of_runs > 1)
		breaker_add_outcome(target->id, bad, row->of_runs);
	if (bad && row->bad_before + 1 >= row->bad_runs && is_sustained(row))
	{
		breaker_forget_outcomes(target->id);
		open_breaker(target, row, false, reason);
	}
}

static void
record_probe(Target *target, BreakerRow *row, bool failed, const char *reason)
{
	bool late = row->probe_started != 0 &&
				GetCurrentTimestamp() - row->probe_started > row->probe_timeout_microseconds;

	if (failed || late)
		open_breaker(target,
					 row,
					 true,
					 failed ? reason : "the probe took longer than probe_timeout");
	else if (row->passes + 1 >= row->close_after)
	{
		row->wait_microseconds = 0;
		row->retry_at = 0;
		transition(target, row, BREAKER_CLOSED, NULL);
	}
	else
	{
		row->passes++;
		row->probe_started = 0;
		breaker_row_put(target->id, row);
	}
}

/* In mode metrics_only: would the breaker, if it were closed by each good run, have opened? */
static void
note_shadow(Target *target, BreakerRow *row, bool bad)
{
	bool opens = bad && row->bad_before + 1 >= row->bad_runs;

	if (row->of_runs > 1)
		breaker_add_outcome(target->id, bad, row->of_runs);
	if (opens == row->shadow_open || (bad && row->shadow_open))
		return;
	row->shadow_open = opens;
	row->would_have_opened += opens ? 1 : 0;
	breaker_row_put(target->id, row);
}

bool
breaker_record(Target *target, Admission admission, Action action, Action asked, const char *reason)
{
	bool blocked = action >= ACTION_REJECT;
	BreakerRow *row;

	if (admission == ADMIT_NOT)
		return false;
	row = breaker_row(target->id, admission == ADMIT_PROBE);
	if (state_of(row) == BREAKER_HALF_OPEN)
		record_probe(target, row, blocked, reason);
	else if (state_of(row) == BREAKER_CLOSED)
	{
		if (row->sets_aside)
		{
			row->sets_aside = false;
			breaker_row_put(target->id, row);
		}
		if (row->metrics_only)
			note_shadow(target, row, asked == ACTION_BREAK);
		else
			record_normal_run(target, row, action == ACTION_BREAK, reason);
	}
	return !blocked;
}

bool
breaker_sets_aside(int32 target_id)
{
	return breaker_row(target_id, false)->sets_aside;
}

void
breaker_set_aside(Target *target, const char *reason)
{
	BreakerRow *row = breaker_row(target->id, true);

	if (legal[state_of(row)][BREAKER_HALF_OPEN])
		half_open(target, row, reason);
	row->sets_aside = true;
	breaker_row_put(target->id, row);
}

void
breaker_probe_next(Target *target, const char *reason)
{
	BreakerRow *row = breaker_row(target->id, true);

	if (state_of(row) == BREAKER_OPEN)
		half_open(target, row, reason);
	breaker_note_change(target->id);
	attempt_end(unit_of_target(target->id));
	attempt_end(unit_of_checks(target->id));
	catalog_changed();
}

void
breaker_charge(Target *target, const char *reason)
{
	BreakerRow *row;

	if (breaker_enforce(target, ACTION_BREAK) < ACTION_BREAK)
		return;
	row = breaker_row(target->id, true);
	if (state_of(row) == BREAKER_CLOSED)
		record_normal_run(target, row, true, reason);
	else if (state_of(row) == BREAKER_HALF_OPEN)
		open_breaker(target, row, true, reason);
}

void
breaker_judge_table(Target *target, Action action, const char *reason)
{
	BreakerRow *row = breaker_row(target->id, true);
	bool bad;

	action = breaker_enforce(target, action);
	bad = action >= ACTION_REJECT;
	if (effective_state(row) != state_of(row))
		half_open(target, row, row->reason);
	/* what a refused write has found is not in the table, which is good all the time */
	if (state_of(row) == BREAKER_OPEN &&
		((!bad && !target->is_protected) || row->retry_at <= GetCurrentTimestamp()))
		half_open(target, row, row->reason);
	if (state_of(row) == BREAKER_HALF_OPEN)
		record_probe(target, row, bad, reason);
	else if (state_of(row) == BREAKER_CLOSED)
		record_normal_run(target, row, action == ACTION_BREAK, reason);
}

void
breaker_expire(Target *target)
{
	BreakerRow *row = breaker_row(target->id, true);

	if (effective_state(row) != state_of(row))
		half_open(target, row, row->reason);
}

BreakerState
breaker_state(int32 target_id)
{
	return effective_state(breaker_row(target_id, false));
}

bool
breaker_blocks(int32 target_id, char **reason)
{
	BreakerRow *row = breaker_row(target_id, false);
	BreakerState state = effective_state(row);

	if (state == BREAKER_CLOSED || state == BREAKER_DISABLED)
		return false;
	if (reason != NULL)
		*reason = why_not(row, state);
	return true;
}

/* ---- SQL functions ---- */

AUDITED_FUNCTION(depipe_trip);
AUDITED_FUNCTION(depipe_reset);
AUDITED_FUNCTION(depipe_override);
AUDITED_FUNCTION(depipe_configure_breaker);

/* The target of a function with which an operator overrides the breaker. */
static Target *
operated_target(FunctionCallInfo fcinfo)
{
	Target *target = target_find(argument_text(fcinfo, 0, "target"), false);

	identity_check_operate(target->owner, target->display);
	return target;
}

static void
check_future(TimestampTz until)
{
	if (until != 0 && until <= GetCurrentTimestamp())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"until\" must be in the future")));
}

void
breaker_check_override(TimestampTz until)
{
	check_future(until);
	if (until > GetCurrentTimestamp() + depipe_max_override * USECS_PER_SEC)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an override must not last longer than depipe.max_override"),
				 errdetail("depipe.max_override is %d seconds.", depipe_max_override)));
}

/* SQL function trip(target, reason, until): forced_open, and half_open at until. */
static Datum
depipe_trip_checked(PG_FUNCTION_ARGS)
{
	Target *target = operated_target(fcinfo);
	char *reason = argument_reason(fcinfo, 1);
	TimestampTz until = argument_time(fcinfo, 2, "until");
	BreakerRow *row = breaker_row(target->id, true);

	check_future(until);
	if (state_of(row) != BREAKER_FORCED_OPEN)
		transition(target, row, BREAKER_FORCED_OPEN, reason);
	row->reason = reason;
	row->until = until;
	breaker_row_put(target->id, row);
	PG_RETURN_VOID();
}

/* SQL function reset(target, reason): the next run is a probe. */
static Datum
depipe_reset_checked(PG_FUNCTION_ARGS)
{
	Target *target = operated_target(fcinfo);
	char *reason = argument_reason(fcinfo, 1);
	BreakerRow *row = breaker_row(target->id, true);

	switch (state_of(row))
	{
		case BREAKER_CLOSED:
			audit_nothing();
			ereport(NOTICE, (errmsg("breaker of %s is closed, nothing to reset", target->display)));
			break;
		case BREAKER_HALF_OPEN:
			audit_nothing();
			ereport(NOTICE,
					(errmsg("breaker of %s is half_open already", target->display),
					 errdetail("Its next run is a probe.")));
			break;
		default:
			half_open(target, row, reason);
			attempt_end(unit_of_target(target->id));
	}
	PG_RETURN_VOID();
}

/* SQL function override(target, reason, until): publish regardless of the gate. */
static Datum
depipe_override_checked(PG_FUNCTION_ARGS)
{
	Target *target = operated_target(fcinfo);
	char *reason = argument_reason(fcinfo, 1);
	TimestampTz until;
	BreakerRow *row;

	argument_not_null(fcinfo, 2, "until");
	until = argument_time(fcinfo, 2, "until");
	breaker_check_override(until);
	row = breaker_row(target->id, true);
	if (state_of(row) != BREAKER_DISABLED)
		transition(target, row, BREAKER_DISABLED, reason);
	row->reason = reason;
	row->until = until;
	breaker_row_put(target->id, row);
	PG_RETURN_VOID();
}

static int32
positive(FunctionCallInfo fcinfo, int number, const char *name, int32 current)
{
	int32 value = PG_ARGISNULL(number) ? current : PG_GETARG_INT32(number);

	if (value < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must be greater than zero", name)));
	return value;
}

static const char *const modes[] = {"normal", "metrics_only", NULL};
static const char *const on_open_words[] = {"serve_last_good",
											"block_reads",
											"block_writes",
											"block_all",
											NULL};

static void
take_modes(FunctionCallInfo fcinfo, BreakerSetting *setting)
{
	if (!PG_ARGISNULL(1))
		setting->mode = pstrdup(modes[argument_choice(fcinfo, 1, "mode", modes)]);
	if (PG_ARGISNULL(2))
		return;
	setting->on_open = pstrdup(on_open_words[argument_choice(fcinfo, 2, "on_open", on_open_words)]);
	if (strcmp(setting->on_open, "serve_last_good") != 0 && !depipe_is_preloaded)
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("on_open \"%s\" needs depipe in shared_preload_libraries", setting->on_open),
			 errdetail("Sessions that have not loaded depipe would not be refused."),
			 errhint("Readers that must not see old data can call depipe.guard.")));
	guards_changed();
}

/* SQL function configure_breaker(target, ...): only the given settings change. */
static Datum
depipe_configure_breaker_checked(PG_FUNCTION_ARGS)
{
	Target *target = target_find(argument_text(fcinfo, 0, "target"), false);
	BreakerSetting *setting = breaker_setting(target->id);
	char *interval;

	if (!has_privs_of_role(GetUserId(), target->owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of table %s", target->display)));
	take_modes(fcinfo, setting);
	setting->bad_runs = positive(fcinfo, 3, "bad_runs", setting->bad_runs);
	setting->of_runs = positive(fcinfo, 4, "of_runs", Max(setting->of_runs, setting->bad_runs));
	if ((interval = argument_interval(fcinfo, 5, "sustain")) != NULL)
		setting->sustain = interval;
	setting->close_after = positive(fcinfo, 6, "close_after", setting->close_after);
	if (setting->bad_runs > setting->of_runs)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"bad_runs\" must not be greater than \"of_runs\"")));
	if ((interval = argument_interval(fcinfo, 7, "retry_wait")) != NULL)
		setting->retry_wait = interval;
	if ((interval = argument_interval(fcinfo, 8, "max_wait")) != NULL)
		setting->max_wait = interval;
	if ((interval = argument_interval(fcinfo, 9, "probe_timeout")) != NULL)
		setting->probe_timeout = interval;
	breaker_setting_put(target->id, setting);
	catalog_changed();
	PG_RETURN_VOID();
}
