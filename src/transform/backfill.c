/*-------------------------------------------------------------------------
 *
 * backfill.c
 *		CALL depipe.backfill(): recomputes a transform range by range.
 *
 * Each slice is published in a transaction of its own, and its progress with
 * it.  A slice that is not published stops the backfill.  The next call with
 * the same arguments continues with that slice.  Another definition of the
 * transform, or other arguments, begin a new backfill.
 *
 * What a slice does to the frontier of the transform: see refresh.c.
 *
 *-------------------------------------------------------------------------
 */
#include "depipe.h"

#include "access/xact.h"
#include "catalog/backfills.h"
#include "common/hashfn.h"
#include "core/arguments.h"
#include "core/guarded.h"
#include "core/identity.h"
#include "core/sqltext.h"
#include "core/transaction.h"
#include "fmgr.h"
#include "transform/refresh.h"
#include "transform/steps.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

CHECKED_FUNCTION(depipe_backfill);

typedef struct Backfill
{
	int32 target_id;
	char *display;
	char *column;
	Steps *steps;
	char *definition;
	int wait_ms; /* for other runs of the target, at each slice */
} Backfill;

/* ---- the request ---- */

/* Returns a text that changes with the query and the key of the transform. */
static char *
definition_of(const Transform *transform)
{
	StringInfoData text;
	ListCell *cell;

	initStringInfo(&text);
	appendStringInfoString(&text, transform->query_sql);
	foreach(cell, transform->key)
		appendStringInfo(&text, ", %s", sql_identifier(lfirst(cell)));
	return psprintf(UINT64_FORMAT, hash_bytes_extended((unsigned char *) text.data, text.len, 0));
}

static Oid
column_type(const Target *target, const char *column)
{
	AttrNumber attnum = OidIsValid(target->relid) ? get_attnum(target->relid, column) : 0;

	if (!OidIsValid(target->relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE), errmsg("%s", target_why_missing(target))));
	if (attnum <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of %s does not exist", column, target->display)));
	return get_atttype(target->relid, attnum);
}

static void
read_request(FunctionCallInfo fcinfo, Backfill *backfill, BackfillRequest *request)
{
	Target *target = target_find(argument_text(fcinfo, 0, "target"), false);
	Transform *transform = transform_get(target->id);
	char *since = argument_text(fcinfo, 2, "since");
	char *before = argument_text(fcinfo, 3, "before");
	char *step = argument_text(fcinfo, 4, "step");
	Steps *steps;

	identity_check_operate(target->owner, target->display);
	backfill->target_id = target->id;
	backfill->display = target->display;
	backfill->column = argument_text(fcinfo, 1, "column_name");
	backfill->definition = definition_of(transform);
	steps =
		steps_parse(backfill->column, column_type(target, backfill->column), since, before, step);
	backfill->steps = steps;
	request->target_id = target->id;
	request->column_name = backfill->column;
	request->since = steps_bound(steps, 0);
	request->before = steps_bound(steps, steps->count);
	request->step = steps_step(steps);
	if (steps->kind == STEPS_TIMESTAMPTZ)
		request->time_zone = pstrdup(GetConfigOption("TimeZone", false, false));
	request->definition = backfill->definition;
	request->slices = steps->count;
}

static int
wait_argument(FunctionCallInfo fcinfo, int number)
{
	TimestampTz deadline = argument_deadline(fcinfo, number, "wait", true);
	long left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);

	return (int) Min(left, INT_MAX);
}

/* Begin or continue.  Returns the number of slices that are done. */
static int32
begin(const Backfill *backfill, const BackfillRequest *request, bool restart)
{
	int32 done;

	if (!backfill_claim(backfill->target_id))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("a backfill of %s is already running", backfill->display),
				 errhint("See SELECT * FROM depipe.backfills.")));
	done = backfill_begin(request, restart);
	if (done > 0)
		ereport(NOTICE,
				(errmsg("backfill of %s continues with slice %d of %d",
						backfill->display,
						done + 1,
						backfill->steps->count),
				 errhint("Use restart => true to begin again.")));
	return done;
}

/* ---- slices ---- */

/* The transform as it is now, as long as it is the one that the backfill began with. */
static Target *
current_target(const Backfill *backfill)
{
	Target *target = target_find_id(backfill->target_id);
	Transform *transform = target == NULL ? NULL : transform_find(target->id);

	if (transform == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("the transform of %s was dropped", backfill->display)));
	if (strcmp(definition_of(transform), backfill->definition) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the definition of %s has changed", backfill->display),
				 errhint("Call depipe.backfill again to begin with the new definition.")));
	return target;
}

static bool
take_target_work(void *argument)
{
	return run_take_target(*(int32 *) argument, true);
}

/*
 * Wait for another run of the target.  A transaction with a single snapshot is
 * older than what the other run has committed, and is replaced.
 */
static void
await_other_run(Backfill *backfill)
{
	if (backfill->wait_ms > 0)
		(void) guarded_run_waiting(take_target_work, &backfill->target_id, backfill->wait_ms);
	if (IsolationUsesXactSnapshot())
		transaction_commit();
}

static bool
is_done(const Run *run)
{
	return run->status == RUN_SUCCEEDED || run->status == RUN_NOTHING;
}

/* Publish slice n and record the progress, not committed yet. */
static Run *
run_slice(Backfill *backfill, int32 n)
{
	Range range = {.column = backfill->column, .type = backfill->steps->type};
	Target *target = current_target(backfill);
	Run *run = run_create(target, "backfill");

	steps_check(backfill->steps, n);
	range.since = steps_bound(backfill->steps, n);
	range.before = steps_bound(backfill->steps, n + 1);
	run_insert_or_fail(run);
	backfill_set_slice(target->id, run->id, range.since, range.before);
	transaction_commit();
	await_other_run(backfill);
	transform_refresh_range(current_target(backfill), run, &range);
	if (is_done(run))
		backfill_add(target->id, n + 1, run);
	else
		backfill_end(target->id, "stopped", run->reason);
	return run;
}

static int
sqlstate_of(const Run *run)
{
	const char *state = run->error_sqlstate;

	if (run->status == RUN_SKIPPED)
		return ERRCODE_OBJECT_IN_USE;
	if (run->status == RUN_BLOCKED || state == NULL)
		return ERRCODE_DEPIPE_BLOCKED;
	return MAKE_SQLSTATE(state[0], state[1], state[2], state[3], state[4]);
}

static void
raise_stopped(const Backfill *backfill, int32 n, const Run *run)
{
	ereport(ERROR,
			(errcode(sqlstate_of(run)),
			 errmsg("backfill of %s stopped: %s",
					backfill->display,
					run->reason ? run->reason : "no reason given"),
			 errdetail("Slice %d of %d: \"%s\" from %s before %s.",
					   n + 1,
					   backfill->steps->count,
					   backfill->column,
					   steps_bound(backfill->steps, n),
					   steps_bound(backfill->steps, n + 1)),
			 errhint("Call depipe.backfill with the same arguments to continue with this slice.")));
}

static void
run_slices(Backfill *backfill, int32 done)
{
	MemoryContext procedure = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(procedure,
												  "depipe slice of a backfill",
												  ALLOCSET_DEFAULT_SIZES);

	for (int32 n = done; n < backfill->steps->count; n++)
	{
		Run *run;

		MemoryContextSwitchTo(context);
		run = run_slice(backfill, n);
		transaction_commit();
		if (!is_done(run))
			raise_stopped(backfill, n, run);
		MemoryContextSwitchTo(procedure);
		MemoryContextReset(context);
	}
	MemoryContextDelete(context);
}

/*
 * SQL procedure backfill(target, column_name, since, before, step, restart,
 * wait).
 */
static Datum
depipe_backfill_checked(PG_FUNCTION_ARGS)
{
	Backfill backfill = {0};
	BackfillRequest request = {0};
	bool restart;
	int32 done;

	(void) transaction_begin_procedure(fcinfo,
									   "depipe.backfill",
									   "Call it outside of a transaction block.");
	argument_not_null(fcinfo, 5, "restart");
	restart = PG_GETARG_BOOL(5);
	backfill.wait_ms = wait_argument(fcinfo, 6);
	run_check_enabled();
	read_request(fcinfo, &backfill, &request);
	done = begin(&backfill, &request, restart);
	transaction_commit();
	run_slices(&backfill, done);
	backfill_end(backfill.target_id, "done", NULL);
	transaction_commit();
	backfill_disclaim(backfill.target_id);
	transaction_end_procedure();
	PG_RETURN_VOID();
}
