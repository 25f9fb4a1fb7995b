/*-------------------------------------------------------------------------
 *
 * due.c
 *		One pass over all due work: run_due().
 *
 * The loads of one server are one unit, because they share the stream.  Every
 * transform is a unit of its own.  It is refreshed in its own transaction,
 * after the transforms that it reads.  Before a unit is tried, its attempt is
 * committed.  So an error that ends the pass, or a crash, leaves a failed
 * attempt behind without further action, and the next pass continues with the
 * other units.
 *
 * A unit may be dropped between two transactions of the pass.  So each
 * transaction looks it up again, and skips it if it is gone.
 *
 *-------------------------------------------------------------------------
 */
#include "run/due.h"

#include "access/xact.h"
#include "core/arguments.h"
#include "catalog/loads.h"
#include "catalog/attempts.h"
#include "core/guarded.h"
#include "core/identity.h"
#include "catalog/owner.h"
#include "catalog/runs.h"
#include "catalog/table_looks.h"
#include "core/transaction.h"
#include "load/modes.h"
#include "quality/breaker.h"
#include "quality/references.h"
#include "quality/incident.h"
#include "quality/findings.h"
#include "quality/table_checks.h"
#include "quality/time_checks.h"
#include "storage/lock.h"
#include "capture/capture.h"
#include "capture/capture_prune.h"
#include "query/dag.h"
#include "transform/refresh.h"
#include "utils/memutils.h"

/* fourth field of the advisory lock; streams and runs use other values */
#define PASS_LOCK_SPACE 0x6471

static bool
is_over(TimestampTz deadline)
{
	return GetCurrentTimestamp() >= deadline;
}

/* ---- one pass at a time ---- */

static bool pass_is_locked = false;
static LOCKTAG pass_tag;

static void
unlock_pass(void)
{
	if (!pass_is_locked)
		return;
	pass_is_locked = false;
	(void) LockRelease(&pass_tag, ExclusiveLock, true);
}

/* The lock is a session lock because it must outlive commits.  Release it after an error. */
static void
at_transaction_end(XactEvent event, void *argument)
{
	if (event == XACT_EVENT_ABORT)
		unlock_pass();
}

static bool
lock_pass(void)
{
	static bool registered = false;

	if (!registered)
	{
		RegisterXactCallback(at_transaction_end, NULL);
		registered = true;
	}
	SET_LOCKTAG_ADVISORY(pass_tag, MyDatabaseId, stream_class(), 0, PASS_LOCK_SPACE);
	pass_is_locked = LockAcquire(&pass_tag, ExclusiveLock, true, true) != LOCKACQUIRE_NOT_AVAIL;
	return pass_is_locked;
}

/* ---- housekeeping ---- */

static bool
end_pauses_work(void *argument)
{
	ListCell *cell;

	foreach(cell, pauses_expire())
	{
		attempt_forget(unit_of_target(lfirst_int(cell)));
		attempts_end_of_readers(lfirst_int(cell));
		event_record(lfirst_int(cell), "pause", "resumed", NULL);
	}
	return true;
}

/*
 * Follow changes of the owners of tables, of roles and of their privileges,
 * which happen without depipe's knowledge.
 */
static bool
note_owners_work(void *argument)
{
	CatalogRows *rows;

	targets_follow_owners();
	rows = owners_note();
	for (uint64 i = 0; i < rows->count; i++)
	{
		char *problem = catalog_text(rows, i, OWNER_PROBLEM);

		event_record(catalog_int4(rows, i, OWNER_TARGET_ID),
					 "owner",
					 problem == NULL ? "owned" : OWNERLESS,
					 problem);
	}
	return true;
}

static bool
expire_breaker_work(void *argument)
{
	breaker_expire(target_get(*(int32 *) argument));
	return true;
}

/*
 * Log an error of one unit, which does not end the pass.  The message may
 * contain values, so it is left out.
 */
static void
log_error(const char *what, const ErrorData *error)
{
	if (error != NULL)
		ereport(LOG,
				(errmsg("depipe: %s failed", what),
				 errdetail_internal("SQLSTATE %s", unpack_sql_state(error->sqlerrcode))));
}

void
due_housekeeping(void)
{
	int64 orphans = runs_fail_orphans();
	ListCell *cell;

	if (orphans > 0)
		ereport(LOG,
				(errmsg("depipe: " INT64_FORMAT " runs of ended sessions were marked as failed",
						orphans)));
	log_error("the check of owners", guarded_run(note_owners_work, NULL));
	transaction_commit();
	log_error("the end of pauses", guarded_run(end_pauses_work, NULL));
	foreach(cell, due_breakers())
	{
		int32 id = lfirst_int(cell);

		log_error("the end of an override", guarded_run(expire_breaker_work, &id));
	}
	transaction_commit();
	(void) history_delete_old(depipe_history_retention,
							  depipe_quarantine_retention,
							  depipe_audit_retention);
	transaction_commit();
	captures_sweep(true);
	captures_prune(captures_all());
	transaction_commit();
}

/* ---- work that only depends on time ---- */

typedef struct CheckWork
{
	int32 id;
	void (*check)(Target *target);
} CheckWork;

static void
check_times(Target *target)
{
	time_checks_record(target, 0);
}

/*
 * Do the work and end the attempt in the same transaction: an error rolls back
 * both, and the caller records the failure.  A missing table is retried after
 * a wait.
 */
static bool
check_work(void *argument)
{
	CheckWork *work = argument;
	Target *target = target_get(work->id);

	if (!identity_may_operate(target->owner))
		return true;
	if (!OidIsValid(target->relid))
	{
		attempt_begin(unit_of_checks(work->id));
		if (target->kind == TARGET_TABLE &&
			(work->check == table_checks_look || work->check == check_times))
			(void) table_checks_run(target, "check_every");
	}
	else
	{
		work->check(target);
		attempt_end(unit_of_checks(work->id));
	}
	return true;
}

/* An evaluation that was due leaves a row. */
static void
note_failed_evaluation(const CheckWork *work, const ErrorData *error)
{
	Target *target = target_find_id(work->id);

	if (target != NULL && (work->check == table_checks_look || work->check == table_checks_probe))
		table_checks_failed(target, "check_every", error);
}

static void
run_checks(List *ids, void (*check)(Target *target), const char *what, TimestampTz deadline)
{
	ListCell *cell;

	foreach(cell, ids)
	{
		CheckWork work = {.id = lfirst_int(cell), .check = check};
		ErrorData *error;

		if (is_over(deadline))
			return;
		error = guarded_run(check_work, &work);
		log_error(what, error);
		if (error != NULL)
		{
			attempt_begin(unit_of_checks(work.id));
			note_failed_evaluation(&work, error);
		}
		transaction_commit();
	}
}

void
due_checks(TimestampTz deadline)
{
	findings_record();
	transaction_commit();
	run_checks(due_time_checks(), check_times, "a time check", deadline);
	run_checks(due_pending_keys(), settle_pending_keys, "the settlement of pending keys", deadline);
	run_checks(due_incidents(depipe_incident_linger),
			   incidents_settle,
			   "the settlement of incidents",
			   deadline);
	run_checks(due_tables(), table_checks_probe, "a probe of a table", deadline);
	run_checks(due_table_looks(), table_checks_look, "an evaluation of a table", deadline);
}

/* ---- loads ---- */

typedef struct ServerWork
{
	const char *server; /* NULL: a load without one */
	char *unit;         /* of their attempts */
	const char *started_by;
	List *ids;
	List *targets;
	List *runs;
	bool beside; /* other workers do the copies */
} ServerWork;

/*
 * Create the runs.  The row of a copy's run is inserted before the copy
 * begins.  That of a stream's run is inserted together with the rows, and only
 * if there are any, because there may be a run every second.
 */
static bool
begin_server_work(void *argument)
{
	ServerWork *work = argument;
	ListCell *cell;

	foreach(cell, work->ids)
	{
		Load *load = load_get(lfirst_int(cell));
		Run *run;

		if (load == NULL || !identity_may_operate(load->target->owner))
			continue;
		run = run_create(load->target, work->started_by);
		if (load->state != LOAD_STREAMING && !work->beside && !run_insert(run))
			continue;
		work->targets = lappend(work->targets, load->target);
		work->runs = lappend(work->runs, run);
	}
	if (work->targets != NIL)
		attempt_begin(work->unit);
	return true;
}

/*
 * End the attempt of a server.  Failures of single tables are recorded for
 * those tables by session_failed(), not for the server.
 */
static void
end_server(const ServerWork *work, bool server_failed)
{
	bool tried = false;
	ListCell *cell;

	if (server_failed)
		return;
	foreach(cell, work->runs)
		tried |= ((const Run *) lfirst(cell))->status != RUN_SKIPPED;
	if (tried)
		attempt_end(work->unit);
	else
		attempt_held(work->unit); /* another session reads the stream */
}

void
due_run_server(const char *server, List *ids, const char *started_by, TimestampTz deadline)
{
	ServerWork work = {.server = server,
					   .unit = unit_of_load(server, linitial_int(ids)),
					   .started_by = started_by,
					   .ids = ids};
	bool server_failed = false;
	LoadRefreshOptions options = {.commit = true,
								  .quiet = true,
								  .deadline = deadline,
								  .server_failed = &server_failed};
	ErrorData *error = guarded_run(begin_server_work, &work);

	log_error("the start of the runs of a server", error);
	if (error != NULL)
	{
		attempt_begin(work.unit);
		transaction_commit();
	}
	if (error != NULL || work.targets == NIL)
		return;
	transaction_commit();
	load_refresh(work.targets, work.runs, &options);
	transaction_commit();
	end_server(&work, server_failed);
	transaction_commit();
}

LoadFollowEnd
due_follow_server(const char *server, List *ids, const char *started_by, const char *fingerprint,
				  const LoadFollower *follower)
{
	ServerWork work = {.server = server,
					   .unit = unit_of_server(server),
					   .started_by = started_by,
					   .ids = ids,
					   .beside = true};
	ErrorData *error = guarded_run(begin_server_work, &work);

	if (error != NULL || work.targets == NIL)
	{
		log_error("the start of the runs of a server", error);
		return FOLLOW_NONE;
	}
	transaction_commit();
	return load_follow(work.targets, work.runs, fingerprint, follower);
}

/* Without a server each load is on its own. */
static bool
same_server(const CatalogRows *rows, uint64 one, uint64 other)
{
	const char *server = catalog_text(rows, one, DUE_SERVER);

	return one == other || (server != NULL && !catalog_isnull(rows, other, DUE_SERVER) &&
							strcmp(catalog_text(rows, other, DUE_SERVER), server) == 0);
}

static void
run_servers(const char *started_by, List *also, TimestampTz deadline, ServerIsServed is_served)
{
	CatalogRows *rows = due_loads(also);
	uint64 next;

	for (uint64 first = 0; first < rows->count && !is_over(deadline); first = next)
	{
		char *server = catalog_text(rows, first, DUE_SERVER);
		List *ids = NIL;

		for (next = first; next < rows->count && same_server(rows, first, next); next++)
			ids = lappend_int(ids, catalog_int4(rows, next, DUE_TARGET_ID));
		if (server == NULL || is_served == NULL || !is_served(server))
			due_run_server(server, ids, started_by, deadline);
	}
}

/* ---- transforms ---- */

typedef struct TransformWork
{
	int32 id;
	const char *started_by;
	Target *target; /* NULL: the user may not operate it */
	Run *run;
	List *upstream; /* of Target, the transform itself last */
} TransformWork;

static bool
look_upstream_work(void *argument)
{
	TransformWork *work = argument;

	work->upstream = dag_upstream(list_make1(target_get(work->id)));
	return true;
}

static bool
begin_transform_work(void *argument)
{
	TransformWork *work = argument;
	Target *target = target_get(work->id);

	if (!identity_may_operate(target->owner) || !due_after_failures(work->id))
		return true;
	if (transform_rest(target))
	{
		attempt_rested(unit_of_target(work->id));
		return true;
	}
	work->target = target;
	work->run = run_begin(target, work->started_by);
	attempt_begin(unit_of_target(work->id));
	return true;
}

static void
run_one_transform(int32 id, const char *started_by)
{
	TransformWork work = {.id = id, .started_by = started_by};
	ErrorData *error = guarded_run(begin_transform_work, &work);

	log_error("the start of the run of a transform", error);
	if (error != NULL)
		attempt_begin(unit_of_target(id));
	transaction_commit();
	if (error != NULL || work.target == NULL)
		return;
	transform_refresh(list_make1(work.target), list_make1(work.run));
	if (work.run->status == RUN_BLOCKED || work.run->status == RUN_SKIPPED)
		attempt_held(unit_of_target(id));
	else if (work.run->status != RUN_FAILED)
		attempt_end(unit_of_target(id));
	transaction_commit();
}

/*
 * Run a transform after the transforms that it reads.  done (in context outer)
 * gets the ids of those that are tried.
 */
static void
run_with_upstream(int32 target_id, const char *started_by, List **done, MemoryContext outer,
				  TimestampTz deadline)
{
	TransformWork work = {.id = target_id};
	MemoryContext old;
	ListCell *cell;

	if (guarded_run(look_upstream_work, &work) != NULL)
	{
		/* the target was dropped since; if it was not, wait before the next attempt */
		attempt_begin(unit_of_target(target_id));
		transaction_commit();
		return;
	}
	foreach(cell, work.upstream)
	{
		Target *target = lfirst(cell);

		if (target->kind != TARGET_TRANSFORM || list_member_int(*done, target->id))
			continue;
		if (target->id != target_id && !due_for_reader(target->id, target_id))
			continue;
		if (is_over(deadline))
			return;
		old = MemoryContextSwitchTo(outer);
		*done = lappend_int(*done, target->id);
		MemoryContextSwitchTo(old);
		run_one_transform(target->id, target->id == target_id ? started_by : "upstream");
	}
}

/* Each call reads the graph of all targets, so its memory is freed at the end of the call. */
void
due_run_transform(int32 target_id, const char *started_by, List **done, TimestampTz deadline)
{
	MemoryContext unit = AllocSetContextCreate(CurrentMemoryContext,
											   "depipe due transform",
											   ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(unit);

	run_with_upstream(target_id, started_by, done, old, deadline);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(unit);
}

static List *
loads_read_by_one(int32 transform_id)
{
	TransformWork work = {.id = transform_id};
	List *loads = NIL;
	ListCell *cell;

	if (guarded_run(look_upstream_work, &work) != NULL)
		return NIL;
	foreach(cell, work.upstream)
	{
		Target *target = lfirst(cell);

		if (target->kind == TARGET_LOAD && due_for_reader(target->id, transform_id))
			loads = lappend_int(loads, target->id);
	}
	return loads;
}

/*
 * The ids of the loads that these transforms read, directly or indirectly, and
 * that are due for them.
 */
static List *
loads_read_by(List *transforms)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "depipe due loads",
												  ALLOCSET_DEFAULT_SIZES);
	List *loads = NIL;
	ListCell *cell;

	foreach(cell, transforms)
	{
		MemoryContext old = MemoryContextSwitchTo(context);
		List *read = loads_read_by_one(lfirst_int(cell));

		MemoryContextSwitchTo(old);
		loads = list_concat_unique_int(loads, read);
		MemoryContextReset(context);
	}
	MemoryContextDelete(context);
	return loads;
}

/* ---- the next time ---- */

TimestampTz
due_next(ServerIsServed is_served)
{
	TimestampTz next = Min(other_work_next(), incidents_next(depipe_incident_linger));
	CatalogRows *rows = servers_next();

	for (uint64 i = 0; i < rows->count; i++)
	{
		TimestampTz at = catalog_time(rows, i, NEXT_RUN);
		const char *server = catalog_text(rows, i, NEXT_SERVER);

		if (server == NULL || is_served == NULL || !is_served(server))
			next = Min(next, at);
	}
	return next;
}

/* ---- the pass ---- */

bool
due_pass(const char *started_by, TimestampTz deadline, ServerIsServed is_served)
{
	List *transforms;
	List *done = NIL;
	ListCell *cell;

	if (!lock_pass())
		return false;
	due_housekeeping();
	due_checks(deadline);
	transforms = due_transforms();
	run_servers(started_by, loads_read_by(transforms), deadline, is_served);
	/* the loaded rows may make the probe of a breaker due */
	transforms = list_concat_unique_int(transforms, due_transforms());
	foreach(cell, transforms)
		due_run_transform(lfirst_int(cell), started_by, &done, deadline);
	unlock_pass();
	return true;
}

/* ---- SQL functions ---- */

CHECKED_FUNCTION(depipe_run_due);

/* SQL procedure run_due(max_duration). */
static Datum
depipe_run_due_checked(PG_FUNCTION_ARGS)
{
	TimestampTz deadline = argument_deadline(fcinfo, 0, "max_duration", false);

	(void) transaction_begin_procedure(fcinfo,
									   "depipe.run_due",
									   "Call it as a separate statement.");
	if (!depipe_enabled)
		ereport(NOTICE, (errmsg("depipe is disabled"), errhint("Set depipe.enabled to on.")));
	else if (!due_pass("run_due", deadline, NULL))
		ereport(NOTICE, (errmsg("another pass is running, nothing to do")));
	else if (message_level_is_interesting(DEBUG1))
		ereport(DEBUG1,
				(errmsg_internal("something is due at %s", timestamptz_to_str(due_next(NULL)))));
	transaction_end_procedure();
	PG_RETURN_VOID();
}
