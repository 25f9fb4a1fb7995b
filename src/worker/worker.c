/*-------------------------------------------------------------------------
 *
 * worker.c
 *		Scheduler, stream worker and run worker: processes of one database.
 *
 * They connect as the bootstrap superuser and do nothing as such but read and
 * write depipe's own tables: everything of a user's is done as its owner
 * (core/identity), as in a session.
 *
 * An error ends the process, and the attempt that it was at stays counted as
 * failed: the scheduler starts the next one when the wait is over.
 *
 *-------------------------------------------------------------------------
 */
#include "worker/shmem.h"

#include "access/xact.h"
#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "core/catalog_worker.h"
#include "core/guarded.h"
#include "executor/spi.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"
#include "worker/due.h"
#include "worker/launcher.h"

/* Nothing new is begun by one run worker after so long. */
#define PASS_DURATION USECS_PER_MINUTE

static MemoryContext worker_context = NULL;

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
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	/* what a procedure's portal would hold lives until the end of this */
	PortalContext = worker_context;
	if (SPI_connect_ext(SPI_OPT_NONATOMIC) != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	PushActiveSnapshot(GetTransactionSnapshot());
	MemoryContextSwitchTo(worker_context);
}

void
worker_transaction_end(void)
{
	PopActiveSnapshot();
	SPI_finish();
	CommitTransactionCommand();
	PortalContext = NULL;
	MemoryContextReset(worker_context);
	pgstat_report_stat(true);
}

static bool
check_version_work(void *argument)
{
	catalog_check_version();
	return true;
}

bool
worker_may_work(const char **reason)
{
	ErrorData *error;

	*reason = NULL;
	if (!depipe_enabled)
		*reason = "depipe.enabled is off";
	else if (!OidIsValid(get_extension_oid("depipe", true)))
		*reason = "the extension is not there";
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

/* ---- scheduler ---- */

static bool
start_stream_workers(Oid database)
{
	bool all = true;
	ListCell *cell;

	foreach(cell, servers_to_stream())
	{
		WorkerId id = {.kind = WORKER_STREAM, .database = database};

		namestrcpy(&id.server, lfirst(cell));
		all &= worker_start(&id);
	}
	return all;
}

static bool
something_is_due(void)
{
	return due_transforms() != NIL || due_time_checks() != NIL || due_pending_keys() != NIL ||
		   housekeeping_is_due();
}

void
depipe_scheduler_main(Datum argument)
{
	WorkerId id;
	const char *reason;
	bool may_work;

	worker_begin(&id, argument);
	worker_transaction_begin();
	may_work = worker_may_work(&reason);
	if (database_note(id.database, may_work))
		ereport(LOG,
				(errmsg("depipe: %s database \"%s\"%s%s",
						may_work ? "serving" : "leaving",
						get_database_name(id.database),
						may_work ? "" : ": ",
						may_work ? "" : reason)));
	if (may_work)
	{
		WorkerId run = {.kind = WORKER_RUN, .database = id.database};

		if (!start_stream_workers(id.database) || something_is_due())
			(void) worker_start(&run);
	}
	worker_transaction_end();
	proc_exit(0);
}

/* ---- run worker ---- */

static bool
has_stream_worker(const char *server)
{
	WorkerId id = {.kind = WORKER_STREAM, .database = MyDatabaseId};

	namestrcpy(&id.server, server);
	return worker_is_running(&id);
}

void
depipe_run_worker_main(Datum argument)
{
	WorkerId id;
	const char *reason;

	worker_begin(&id, argument);
	worker_transaction_begin();
	if (worker_may_work(&reason))
		(void) due_pass("worker", GetCurrentTimestamp() + PASS_DURATION, has_stream_worker);
	else
		log_end("run worker", reason);
	worker_transaction_end();
	proc_exit(0);
}

/* ---- stream worker ---- */

/* One run of the server's loads; returns why to end, or NULL with the time until the next. */
static const char *
stream_once(const WorkerId *id, long *wait_ms)
{
	const char *server = NameStr(id->server);
	const char *reason;
	List *ids;

	if (!worker_may_work(&reason))
		return reason;
	ids = loads_to_stream(server, wait_ms);
	if (ids == NIL)
		return "no load of the server is to be run now";
	due_run_server(server, ids, "worker", 0);
	return NULL;
}

void
depipe_stream_worker_main(Datum argument)
{
	WorkerId id;
	const char *reason = NULL;

	worker_begin(&id, argument);
	for (;;)
	{
		long wait_ms = 1000;

		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		worker_transaction_begin();
		reason = stream_once(&id, &wait_ms);
		if (reason != NULL)
			log_end(psprintf("stream worker of server \"%s\"", NameStr(id.server)), reason);
		worker_transaction_end();
		if (reason != NULL)
			proc_exit(0);
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 wait_ms,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
}
