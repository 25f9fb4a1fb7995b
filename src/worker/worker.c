/*-------------------------------------------------------------------------
 *
 * worker.c
 *		Stream workers, copy workers and run workers: processes of one database.
 *
 * They connect as the bootstrap superuser, and with its privileges only read
 * and write depipe's own tables.  Everything of a user's runs as its owner
 * (core/identity), as in a session.
 *
 * An error ends the process, and the current attempt stays counted as failed.
 * The scheduler starts the next worker when the wait after the failure is
 * over.
 *
 * A stream worker keeps the stream of its server open (load/follow.c).  It
 * releases the stream when a session asks for it.  When there is nothing to
 * stream, it waits for a change of the definitions.
 *
 *-------------------------------------------------------------------------
 */
#include "worker/worker.h"

#include "access/xact.h"
#include "catalog/pg_extension.h"
#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "catalog/loads.h"
#include "catalog/attempts.h"
#include "core/guarded.h"
#include "core/transaction.h"
#include "load/beside.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "run/due.h"
#include "worker/launcher.h"

/* A run worker begins no new work after this time. */
#define PASS_DURATION USECS_PER_MINUTE

/*
 * A run worker waits no longer than this for a lock on a table, because other
 * work is due as well.
 */
#define LOCK_TIMEOUT "10s"

/* Time after which a stream worker retries if nothing happens. */
#define NOTHING_WAIT USECS_PER_MINUTE
#define LOCKED_WAIT (200 * INT64CONST(1000))

static MemoryContext worker_context = NULL;

/* The name at the last worker_may_work().  Renaming a database terminates its workers first. */
static NameData database_name;

/* ---- begin, transactions, end ---- */

void
worker_begin(WorkerId *id, Datum argument)
{
	pqsignal(SIGTERM, die);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();
	*id = worker_attach(argument);
	BackgroundWorkerInitializeConnectionByOid(id->database, InvalidOid, 0);
	worker_context = AllocSetContextCreate(TopMemoryContext,
										   "depipe worker",
										   ALLOCSET_DEFAULT_SIZES);
}

void
worker_transaction_begin(void)
{
	transaction_begin_worker(worker_context);
}

void
worker_transaction_end(void)
{
	transaction_end_worker();
	MemoryContextReset(worker_context);
	pgstat_report_stat(true);
}

static bool
check_version_work(void *argument)
{
	catalog_check_version();
	return true;
}

/*
 * Lock the extension until the end of the transaction, so that it cannot be
 * dropped.  Returns false if it was dropped before.
 */
static bool
hold_extension(void)
{
	Oid extension = get_extension_oid("depipe", true);

	if (!OidIsValid(extension))
		return false;
	LockDatabaseObject(ExtensionRelationId, extension, 0, AccessShareLock);
	return get_extension_oid("depipe", true) == extension;
}

bool
worker_may_work(const char **reason)
{
	ErrorData *error;

	*reason = NULL;
	namestrcpy(&database_name, get_database_name(MyDatabaseId));
	if (!depipe_enabled)
		*reason = "depipe.enabled is off";
	else if (!database_is_named(NameStr(database_name)))
		*reason = "depipe.databases does not name the database";
	else if (!hold_extension())
		*reason = "the extension is not installed";
	else if (XactReadOnly)
		*reason = "default_transaction_read_only is on";
	else
	{
		error = guarded_run(check_version_work, NULL);
		if (error != NULL)
			*reason = error->message;
	}
	return *reason == NULL;
}

static void
log_end(const char *what, const char *reason)
{
	ereport(LOG, (errmsg("depipe: %s ends: %s", what, reason)));
}

/* ---- run worker ---- */

bool
has_stream_worker(const char *server)
{
	WorkerId id = {.kind = WORKER_STREAM, .database = MyDatabaseId};

	namestrcpy(&id.server, server);
	return worker_is_running(&id);
}

/*
 * Do not wait for synchronous standbys: a missing standby would hold up all
 * due work.  Work lost in a failover is repeated, because the record of its
 * progress is lost with it.  The setting is that of the session, so that the
 * configured value stays known; see transaction.c.
 */
static void
wait_for_no_standby(void)
{
	if (synchronous_commit > SYNCHRONOUS_COMMIT_LOCAL_FLUSH)
		SetConfigOption("synchronous_commit", "local", PGC_SUSET, PGC_S_SESSION);
}

void
depipe_run_worker_main(Datum argument)
{
	WorkerId id;
	const char *reason;

	worker_begin(&id, argument);
	if (LockTimeout == 0)
		SetConfigOption("lock_timeout", LOCK_TIMEOUT, PGC_SUSET, PGC_S_OVERRIDE);
	wait_for_no_standby();
	worker_transaction_begin();
	if (worker_may_work(&reason))
		(void) due_pass("worker", GetCurrentTimestamp() + PASS_DURATION, has_stream_worker);
	else
		log_end("run worker", reason);
	worker_transaction_end();
	proc_exit(0);
}

/* ---- stream worker ---- */

static uint64 changes_seen = 0;

static bool
have_changed(void)
{
	uint64 changes = database_changes(MyDatabaseId);
	bool changed = changes != changes_seen;

	changes_seen = changes;
	return changed;
}

static bool
is_switched_off(void)
{
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
	return !depipe_enabled || !database_is_named(NameStr(database_name));
}

/* Must the worker stop following?  Called between two batches. */
static bool
must_end(void)
{
	return is_switched_off() || stream_is_asked_for();
}

/*
 * May the worker continue?  Called in each transaction, because the previous
 * one may have ended before an update of the extension.
 */
static bool
may_go_on(void)
{
	char *hint;

	return hold_extension() && catalog_version_problem(&hint) == NULL;
}

static const LoadFollower follower =
	{must_end, have_changed, may_go_on, stream_moved, stream_asked_look, stream_looked};

/*
 * Follow the stream until something ends that; *end gets the cause.  Returns a
 * reason to exit the process, or NULL.
 */
static const char *
stream_once(const WorkerId *id, LoadFollowEnd *end)
{
	static const StreamPosition nowhere = {0};
	const char *reason;
	char *fingerprint;
	long lag;
	List *ids;

	if (!worker_may_work(&reason))
		return reason;
	(void) have_changed();
	fingerprint = loads_fingerprint(NameStr(id->server));
	ids = loads_to_stream(NameStr(id->server), &lag);
	if (ids == NIL)
		return "none of its loads is due";
	*end = due_follow_server(NameStr(id->server), ids, "worker", fingerprint, &follower);
	stream_moved(&nowhere);
	return *end == FOLLOW_FAILED ? "the source or its loads have failed" : NULL;
}

/* Wait before the next attempt, outside a transaction. */
static void
pause_stream(LoadFollowEnd end)
{
	TimestampTz until = GetCurrentTimestamp() + (end == FOLLOW_NONE ? NOTHING_WAIT : LOCKED_WAIT);

	while (end != FOLLOW_AGAIN && GetCurrentTimestamp() < until && !must_end() &&
		   !(end == FOLLOW_NONE && have_changed()))
	{
		CHECK_FOR_INTERRUPTS();
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 TimestampDifferenceMilliseconds(GetCurrentTimestamp(), until) + 1,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
	while (stream_is_asked_for())
	{
		CHECK_FOR_INTERRUPTS();
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 LOCKED_WAIT / 1000,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
}

void
depipe_stream_worker_main(Datum argument)
{
	WorkerId id;

	worker_begin(&id, argument);
	/*
	 * nothing can be lost, because the source keeps everything that is not
	 * durable here; for the session's setting see transaction.c
	 */
	SetConfigOption("synchronous_commit", "off", PGC_SUSET, PGC_S_SESSION);
	for (;;)
	{
		LoadFollowEnd end = FOLLOW_AGAIN;
		const char *reason;

		CHECK_FOR_INTERRUPTS();
		worker_transaction_begin();
		reason = stream_once(&id, &end);
		if (reason != NULL)
			log_end(psprintf("stream worker of server \"%s\"", NameStr(id.server)), reason);
		worker_transaction_end();
		if (reason != NULL)
			proc_exit(0);
		pause_stream(end);
	}
}

/* ---- copy worker ---- */

/* Copy tables, one snapshot of the source after another, while tables are waiting. */
void
depipe_copy_worker_main(Datum argument)
{
	WorkerId id;
	bool more = true;

	worker_begin(&id, argument);
	/* a copy lost in a crash is repeated */
	SetConfigOption("synchronous_commit", "off", PGC_SUSET, PGC_S_SESSION);
	while (more)
	{
		const char *reason;

		CHECK_FOR_INTERRUPTS();
		worker_transaction_begin();
		more = worker_may_work(&reason) && load_copy_beside(NameStr(id.server), is_switched_off);
		worker_transaction_end();
	}
	proc_exit(0);
}
