/*-------------------------------------------------------------------------
 *
 * await.c
 *		Waiting for the worker that follows a stream.
 *
 * A separate connection asks the source for its position; the worker's
 * position is in shared memory.  A session only waits if the wait can end: not
 * with a snapshot that would never see the worker's changes, not while its
 * transaction holds locks that the worker needs, and not for loads that its
 * transaction has created or changed and not committed yet.
 *
 *-------------------------------------------------------------------------
 */
#include "run/await.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/loads.h"
#include "core/guarded.h"
#include "core/transaction.h"
#include "load/copy.h"
#include "load/refresh.h"
#include "storage/lmgr.h"
#include "utils/rel.h"
#include "core/shmem.h"

#define POLL_MS 100

/* ---- endless waits ---- */

/*
 * Does this transaction hold a lock on the table that blocks publish?  The
 * worker would wait for it forever.
 */
static bool
holds_lock(Oid relid)
{
	Relation relation;
	bool held;

	if (!OidIsValid(relid))
		return false;
	relation = try_table_open(relid, NoLock);
	if (relation == NULL)
		return false;
	held = CheckRelationLockedByMe(relation, RowExclusiveLock, true);
	table_close(relation, NoLock);
	return held;
}

static char *
why_endless(const char *server, List *targets)
{
	ListCell *cell;

	if (IsolationUsesXactSnapshot())
		return "a worker holds the stream, and this transaction would not see its changes";
	foreach(cell, loads_of_server(server))
	{
		Target *target = ((Load *) lfirst(cell))->target;

		/* opening the table requires a lock, and this transaction may have none */
		if (OidIsValid(target->relid))
		{
			LockRelationOid(target->relid, AccessShareLock);
			if (holds_lock(target->relid))
				return psprintf("a worker holds the stream, and this transaction has locked %s",
								target->display);
		}
	}
	foreach(cell, targets)
		if (load_changed_here(((Target *) lfirst(cell))->id))
			return "a worker holds the stream, and cannot see the load until this transaction"
				   " commits";
	return NULL;
}

/* ---- waiting ---- */

/* Does the worker still have to copy any of these loads? */
static bool
any_to_copy(List *targets)
{
	ListCell *cell;

	foreach(cell, targets)
		if (load_waits_for_copy(((Target *) lfirst(cell))->id))
			return true;
	return false;
}

typedef enum Outcome
{
	OUTCOME_DONE,
	OUTCOME_LATE,
	OUTCOME_GONE /* there is no worker any more */
} Outcome;

/*
 * Wait until the worker has applied the stream up to a position and completed
 * a look.  The look is necessary because the stream does not report tables
 * removed from the publication or attached to a table, nor local work such as
 * the probe of a breaker.
 */
static Outcome
wait_for_position(const char *server, List *targets, XLogRecPtr goal, TimestampTz deadline)
{
	uint32 look = stream_ask_look(server);
	Outcome outcome = OUTCOME_LATE;

	while (GetCurrentTimestamp() < deadline)
	{
		StreamPosition position;

		CHECK_FOR_INTERRUPTS();
		outcome = OUTCOME_GONE;
		if (!stream_position(server, &position))
			break;
		outcome = OUTCOME_DONE;
		if (position.applied >= goal && !any_to_copy(targets) &&
			(look == 0 || stream_has_looked(server, look)))
			break;
		outcome = OUTCOME_GONE;
		if (position.applied == 0 && load_stream_is_free(server))
			break;
		outcome = OUTCOME_LATE;
		stream_wait_for_move(POLL_MS);
	}
	stream_wait_is_over();
	return outcome;
}

/* ---- results of the runs ---- */

static void
end_run(Run *run, RunStatus status, const char *reason)
{
	run->status = status;
	run->strategy = "stream";
	run->reason = reason == NULL ? NULL : pstrdup(reason);
	run->finished_at = GetCurrentTimestamp();
	if (run->id != 0)
		run_finish(run); /* the counts remain in the worker's runs */
}

static void
end_all(List *runs, RunStatus status, const char *reason)
{
	ListCell *cell;

	foreach(cell, runs)
		end_run(lfirst(cell), status, reason);
}

static void
fail_all(List *runs, const ErrorData *error)
{
	ListCell *cell;

	foreach(cell, runs)
	{
		Run *run = lfirst(cell);

		run_set_error(run, error);
		end_run(run, RUN_FAILED, run->reason);
	}
}

/*
 * End the run with the worker's result for the target: its newest run since,
 * or else its condition.
 */
static void
settle(Run *run)
{
	/* runs that waited for another session are no result */
	Run *last = run_last_other(run, list_make2(COPIED_ELSEWHERE, STREAM_IS_TAKEN));
	char *reason = NULL;
	char *state = load_condition(run->target->id, &reason);

	if (last != NULL)
	{
		end_run(run, last->status, last->reason);
		run->rows_in = last->rows_in;
		run->inserted = last->inserted;
		run->updated = last->updated;
		run->deleted = last->deleted;
		run->quarantined = last->quarantined;
		run->error_sqlstate = last->error_sqlstate;
		run->error_message = last->error_message;
		run->error_hint = last->error_hint;
	}
	else if (strcmp(state, "streaming") == 0)
		end_run(run, RUN_NOTHING, NULL);
	else
		end_run(run, RUN_BLOCKED, reason != NULL ? reason : state);
}

typedef struct Asking
{
	const char *server;
	XLogRecPtr position;
} Asking;

static bool
ask_position_work(void *argument)
{
	Asking *asking = argument;

	asking->position = load_source_position(asking->server);
	return true;
}

bool
await_worker(const char *server, List *targets, List *runs, TimestampTz deadline)
{
	Asking asking = {server, 0};
	StreamPosition position;
	ErrorData *error;
	char *reason;
	ListCell *cell;

	if (!stream_position(server, &position) || load_stream_is_free(server))
		return false;
	reason = why_endless(server, targets);
	if (reason != NULL)
	{
		end_all(runs, RUN_SKIPPED, reason);
		return true;
	}
	error = guarded_run(ask_position_work, &asking);
	if (error != NULL)
	{
		fail_all(runs, error);
		return true;
	}
	switch (wait_for_position(server, targets, asking.position, deadline))
	{
		case OUTCOME_GONE:
			return false;
		case OUTCOME_LATE:
			end_all(
				runs,
				RUN_SKIPPED,
				"a worker holds the stream, and has not reached the requested position in time");
			return true;
		case OUTCOME_DONE:
			break;
	}
	foreach(cell, runs)
		settle(lfirst(cell));
	return true;
}

/* ---- other sessions ---- */

static bool
was_kept(const Run *run)
{
	return run->reason != NULL && (strcmp(run->reason, COPIED_ELSEWHERE) == 0 ||
								   strcmp(run->reason, STREAM_IS_TAKEN) == 0);
}

/*
 * Has the condition ended that kept the run from its work?  If the stream or
 * the copy is free, this session holds its lock until the next commit.
 */
static bool
may_go_on(const char *server, const Run *run)
{
	StreamPosition position;

	if (strcmp(run->reason, COPIED_ELSEWHERE) == 0)
		return !load_waits_for_copy(run->target->id) || copy_claim(run->target->id);
	return stream_position(server, &position) || load_stream_is_free(server);
}

static bool
wait_for_others(const char *server, const Run *run, TimestampTz deadline)
{
	while (!may_go_on(server, run))
	{
		if (GetCurrentTimestamp() >= deadline)
			return false;
		transaction_commit_and_wait(POLL_MS);
	}
	return true;
}

List *
await_others(const char *server, List *targets, List *runs, TimestampTz deadline, List **again)
{
	List *result = NIL;
	ListCell *target;
	ListCell *cell;

	*again = NIL;
	forboth(target, targets, cell, runs)
	{
		Run *run = lfirst(cell);

		if (!was_kept(run) || !wait_for_others(server, run, deadline))
			continue;
		run->status = RUN_RUNNING;
		run->reason = NULL;
		result = lappend(result, lfirst(target));
		*again = lappend(*again, run);
	}
	return result;
}
