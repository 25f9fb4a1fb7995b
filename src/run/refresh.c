/*-------------------------------------------------------------------------
 *
 * refresh.c
 *		Refreshing targets on demand: refresh, run, assert_ok.
 *
 * refresh() is a function: everything belongs to the caller's transaction.  It
 * never raises an error because a gate failed, since the rollback would lose
 * the verdict.  run() is a procedure: it commits the 'running' rows first,
 * then each batch.  At the end it raises an error if a target is blocked,
 * failed or was skipped, so that a cron job reports it.
 *
 * A stream that a worker follows is not read here.  The session waits for the
 * worker instead.
 *
 * Loads come first, server by server.  Then all transforms follow as one
 * slice, in the order of the DAG: a load never reads a transform.
 *
 *-------------------------------------------------------------------------
 */
#include "depipe.h"

#include "access/xact.h"
#include "core/arguments.h"
#include "catalog/attempts.h"
#include "core/guarded.h"
#include "core/identity.h"
#include "core/shmem.h"
#include "catalog/runs.h"
#include "core/sqltext.h"
#include "core/transaction.h"
#include "fmgr.h"
#include "funcapi.h"
#include "load/load.h"
#include "load/modes.h"
#include "quality/guard.h"
#include "query/dag.h"
#include "transform/refresh.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "run/await.h"

CHECKED_FUNCTION(depipe_refresh);
CHECKED_FUNCTION(depipe_run);
CHECKED_FUNCTION(depipe_assert_ok);

/* A target to refresh, and its run. */
typedef struct RefreshItem
{
	Target *target;
	Run *run;
} RefreshItem;

/* ---- targets ---- */

static char *
text_argument(FunctionCallInfo fcinfo, int number, const char *name)
{
	if (PG_ARGISNULL(number))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", name)));
	return text_to_cstring(PG_GETARG_TEXT_PP(number));
}

static List *
wanted_targets(const char *pattern)
{
	List *targets;
	ListCell *cell;

	if (strpbrk(pattern, "*?") == NULL)
	{
		Target *target = target_find(pattern, false);

		if (target->kind == TARGET_TABLE)
			ereport(ERROR,
					(errcode(ERRCODE_WRONG_OBJECT_TYPE),
					 errmsg("%s has neither a load nor a transform", target->display),
					 errhint("Use depipe.check_table to evaluate its constraints.")));
		return list_make1(target);
	}
	targets = NIL;
	foreach(cell, target_match(pattern))
	{
		Target *target = lfirst(cell);

		/* targets that the caller may not see do not match */
		if (target->kind != TARGET_TABLE && identity_may_see(target->owner, target->relid))
			targets = lappend(targets, target);
	}
	return targets;
}

static bool
contains_target(List *items, int32 target_id)
{
	ListCell *cell;

	foreach(cell, items)
		if (((RefreshItem *) lfirst(cell))->target->id == target_id)
			return true;
	return false;
}

static RefreshItem *
make_item(Target *target, const char *started_by)
{
	RefreshItem *item = palloc0(sizeof(RefreshItem));

	item->target = target;
	item->run = run_create(target, started_by);
	return item;
}

/*
 * The items, in the order of execution.  Raises 42501 unless the caller may
 * operate all named targets.  Targets that are only upstream are left out if
 * the caller may not operate them.
 */
static List *
make_items(List *targets, bool upstream, const char *started_by)
{
	List *items = NIL;
	ListCell *cell;

	foreach(cell, targets)
	{
		Target *target = lfirst(cell);

		identity_check_operate(target->owner, target->display);
	}
	/* a single target needs no order, and so not the graph */
	foreach(cell, list_length(targets) == 1 && !upstream ? targets : dag_upstream(targets))
	{
		Target *target = lfirst(cell);
		bool named = false;
		ListCell *other;

		foreach(other, targets)
			named |= ((Target *) lfirst(other))->id == target->id;
		if (target->kind == TARGET_TABLE || contains_target(items, target->id))
			continue;
		if (named || (upstream && identity_may_operate(target->owner)))
			items = lappend(items, make_item(target, named ? started_by : "upstream"));
	}
	return items;
}

/* ---- running ---- */

/*
 * In a procedure, end the waits of targets that succeeded.  Returns whether
 * anything was tried.
 */
static bool
end_attempts(List *runs)
{
	bool tried = false;
	ListCell *cell;

	foreach(cell, runs)
	{
		const Run *run = lfirst(cell);

		tried |= run->status != RUN_SKIPPED;
		if (run->status == RUN_SUCCEEDED || run->status == RUN_NOTHING)
			attempt_end(unit_of_target(run->target->id));
	}
	if (tried)
		catalog_changed(); /* a worker may start immediately */
	return tried;
}

/*
 * Refresh the loads of one server, or a load without one.  A procedure retries loads that another
 * session was working on.
 */
static void
refresh_server(const char *server, List *targets, List *runs, LoadRefreshOptions options,
			   TimestampTz deadline)
{
	bool server_failed;

	options.server_failed = &server_failed;
	while (targets != NIL)
	{
		server_failed = false;
		if (server == NULL || !await_worker(server, targets, runs, deadline))
		{
			load_refresh(targets, runs, &options);
			if (options.commit && !server_failed && end_attempts(runs))
				attempt_end(unit_of_load(server, ((Target *) linitial(targets))->id));
		}
		if (!options.commit || server == NULL)
			return;
		targets = await_others(server, targets, runs, deadline, &runs);
	}
}

/* Are both loads refreshed together?  Without a server each is on its own. */
static bool
same_server(const RefreshItem *one, const RefreshItem *other)
{
	char *server = load_server(one->target->id);
	char *others = load_server(other->target->id);

	return one == other || (server != NULL && others != NULL && strcmp(server, others) == 0);
}

static void
refresh_loads(List *items, LoadRefreshOptions options, TimestampTz deadline)
{
	List *left = NIL;
	ListCell *cell;

	foreach(cell, items)
		if (((RefreshItem *) lfirst(cell))->target->kind == TARGET_LOAD)
			left = lappend(left, lfirst(cell));
	while (left != NIL)
	{
		RefreshItem *first = linitial(left);
		List *targets = NIL;
		List *runs = NIL;
		List *others = NIL;

		foreach(cell, left)
		{
			RefreshItem *item = lfirst(cell);

			if (same_server(first, item))
			{
				targets = lappend(targets, item->target);
				runs = lappend(runs, item->run);
			}
			else
				others = lappend(others, item);
		}
		refresh_server(load_server(first->target->id), targets, runs, options, deadline);
		left = others;
	}
}

/* Refresh the transforms among the items.  Returns their runs. */
static List *
refresh_transforms(List *items)
{
	List *targets = NIL;
	List *runs = NIL;
	ListCell *cell;

	foreach(cell, items)
	{
		RefreshItem *item = lfirst(cell);

		if (item->target->kind != TARGET_TRANSFORM)
			continue;
		targets = lappend(targets, item->target);
		runs = lappend(runs, item->run);
	}
	if (targets != NIL)
		transform_refresh(targets, runs);
	return runs;
}

/* ---- results ---- */

static const char *
kind_name(TargetKind kind)
{
	switch (kind)
	{
		case TARGET_TABLE:
			return "table";
		case TARGET_LOAD:
			return "load";
		case TARGET_TRANSFORM:
			return "transform";
	}
	pg_unreachable();
}

static void
return_item(ReturnSetInfo *result, RefreshItem *item)
{
	Run *run = item->run;
	Datum values[11];
	bool nulls[11] = {false};
	Interval *elapsed = palloc0(sizeof(Interval));

	elapsed->time = run->finished_at - run->started_at;
	values[0] = CStringGetTextDatum(item->target->display);
	values[1] = CStringGetTextDatum(kind_name(item->target->kind));
	values[2] = CStringGetTextDatum(run_status_name(run->status));
	nulls[3] = run->strategy == NULL;
	if (!nulls[3])
		values[3] = CStringGetTextDatum(run->strategy);
	nulls[4] = run->reason == NULL;
	if (!nulls[4])
		values[4] = CStringGetTextDatum(run->reason);
	values[5] = Int64GetDatum(run->rows_in);
	values[6] = Int64GetDatum(run->inserted);
	values[7] = Int64GetDatum(run->updated);
	values[8] = Int64GetDatum(run->deleted);
	values[9] = Int64GetDatum(run->quarantined);
	values[10] = IntervalPGetDatum(elapsed);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/*
 * SQL function refresh(target, upstream, wait): one row per named target and,
 * if upstream is true, per target above it.
 */
static Datum
depipe_refresh_checked(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	char *pattern = text_argument(fcinfo, 0, "target");
	bool upstream = PG_ARGISNULL(1) ? false : PG_GETARG_BOOL(1);
	LoadRefreshOptions options = {.commit = false, .wait = false};
	TimestampTz deadline = argument_deadline(fcinfo, 2, "wait", true);
	List *items;
	ListCell *cell;

	InitMaterializedSRF(fcinfo, 0);
	run_check_enabled();
	items = make_items(wanted_targets(pattern), upstream, "refresh");
	refresh_loads(items, options, deadline);
	(void) refresh_transforms(items);
	foreach(cell, items)
		return_item(result, lfirst(cell));
	return (Datum) 0;
}

static void
raise_problem(RefreshItem *item)
{
	Run *run = item->run;

	if (run->status == RUN_BLOCKED)
		ereport(ERROR,
				(errcode(ERRCODE_DEPIPE_BLOCKED),
				 errmsg("%s is blocked: %s",
						item->target->display,
						run->reason ? run->reason : "no reason given"),
				 errhint("See SELECT * FROM depipe.status.")));
	if (run->status == RUN_FAILED)
		ereport(ERROR,
				(errcode(run->error_sqlstate ? MAKE_SQLSTATE(run->error_sqlstate[0],
															 run->error_sqlstate[1],
															 run->error_sqlstate[2],
															 run->error_sqlstate[3],
															 run->error_sqlstate[4])
											 : ERRCODE_DEPIPE_BLOCKED),
				 errmsg("refreshing %s failed: %s",
						item->target->display,
						run->reason ? run->reason : "no reason given"),
				 run->error_hint ? errhint("%s", run->error_hint) : 0));
	if (run->status == RUN_SKIPPED)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("refreshing %s was skipped: %s",
						item->target->display,
						run->reason ? run->reason : "another run is in progress"),
				 errhint("Call depipe.run again, or allow a longer wait.")));
}

typedef struct Taking
{
	int32 target_id;
} Taking;

static bool
take_target_work(void *argument)
{
	return run_take_target(((Taking *) argument)->target_id, true);
}

/*
 * Wait for other runs of the items, up to the deadline.  A run that lasts
 * longer is noticed later.
 */
static void
await_other_runs(List *items, TimestampTz deadline)
{
	ListCell *cell;

	foreach(cell, items)
	{
		RefreshItem *item = lfirst(cell);
		Taking taking = {item->target->id};
		long left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);

		if (item->target->kind == TARGET_TRANSFORM && left > 0)
			(void) guarded_run_waiting(take_target_work, &taking, (int) Min(left, INT_MAX));
	}
}

/* SQL procedure run(target, upstream, wait), for cron jobs. */
static Datum
depipe_run_checked(PG_FUNCTION_ARGS)
{
	char *pattern = text_argument(fcinfo, 0, "target");
	bool upstream = PG_ARGISNULL(1) ? false : PG_GETARG_BOOL(1);
	LoadRefreshOptions options = {.commit = true, .wait = false};
	TimestampTz deadline = argument_deadline(fcinfo, 2, "wait", true);
	List *items;
	ListCell *cell;

	(void) transaction_begin_procedure(fcinfo,
									   "depipe.run",
									   "Use the function depipe.refresh instead.");
	run_check_enabled();
	items = make_items(wanted_targets(pattern), upstream, "run");
	foreach(cell, items)
		(void) run_insert(((RefreshItem *) lfirst(cell))->run);
	transaction_commit();
	refresh_loads(items, options, deadline);
	transaction_commit();
	await_other_runs(items, deadline);
	(void) end_attempts(refresh_transforms(items));
	transaction_commit();
	foreach(cell, items)
		raise_problem(lfirst(cell));
	transaction_end_procedure();
	PG_RETURN_VOID();
}

/* SQL function assert_ok(target), for dbt and scripts, after the transaction of the run. */
static Datum
depipe_assert_ok_checked(PG_FUNCTION_ARGS)
{
	char *name = text_argument(fcinfo, 0, "target");
	Target *target = target_find(name, false);
	Run *run;

	identity_check_operate(target->owner, target->display);
	guard_check(target);
	run = run_last(target);
	if (run == NULL && target->kind != TARGET_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_DEPIPE_BLOCKED),
				 errmsg("%s has not been refreshed", target->display),
				 errhint("Run SELECT * FROM depipe.refresh(%s).", sql_literal(name))));
	if (run != NULL && run->status != RUN_SUCCEEDED && run->status != RUN_NOTHING)
		ereport(ERROR,
				(errcode(ERRCODE_DEPIPE_BLOCKED),
				 errmsg("the last run of %s did not publish: %s",
						target->display,
						run_status_name(run->status)),
				 run->reason ? errdetail("%s", run->reason) : 0,
				 errhint("See SELECT * FROM depipe.runs WHERE target = %s.",
						 sql_literal(target->display))));
	PG_RETURN_VOID();
}
