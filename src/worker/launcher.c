/*-------------------------------------------------------------------------
 *
 * launcher.c
 *		The process that starts the others.
 *
 *		launcher (one) -> scheduler (per database) -> stream workers, run worker
 *
 * The launcher only reads shared catalogs, and runs no code of users.  For
 * each database it starts a scheduler.  The scheduler determines the due work,
 * starts workers for it, stores the time of the next due work, and exits.  The
 * launcher starts the next scheduler at that time, or when a transaction there
 * has changed something or a worker has exited.  It also starts one from time
 * to time in databases without the extension, in order to find new ones.
 * Nothing else is ever restarted: a worker that meets an error exits, and the
 * next scheduler finds its unfinished work.
 *
 * The launcher starts after recovery has ended, so a standby has none.
 *
 * A connected worker prevents its database from being dropped, renamed or used
 * as a template.  So the ProcessUtility hook (hooks.c) terminates the workers
 * of a database before such a statement.
 *
 *-------------------------------------------------------------------------
 */
#include "worker/launcher.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "catalog/statement.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "core/shmem.h"

/*
 * The launcher wakes up at least this often for new databases and for changes
 * that no process reported.
 */
#define LONGEST_SLEEP USECS_PER_MINUTE
#define RESTART_SECONDS 2


/* ---- databases to serve ---- */

static bool
is_named(List *names, const char *name)
{
	ListCell *cell;

	foreach(cell, names)
		if (strcmp(lfirst(cell), name) == 0)
			return true;
	return false;
}

bool
database_is_named(const char *name)
{
	char *setting = pstrdup(depipe_databases);
	List *names = NIL;
	bool named = !SplitIdentifierString(setting, ',', &names) || names == NIL ||
				 is_named(names, name);

	list_free(names);
	pfree(setting);
	return named;
}

/* Warn about databases that cannot be served: once per name until the setting changes. */
static void
tell_unserved(List *names)
{
	static MemoryContext told_context = NULL;
	static char *setting = NULL;
	static List *told = NIL;
	MemoryContext old;
	ListCell *cell;

	if (told_context == NULL)
		told_context = AllocSetContextCreate(TopMemoryContext,
											 "depipe unserved databases",
											 ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(told_context);
	if (setting == NULL || strcmp(setting, depipe_databases) != 0)
	{
		MemoryContextReset(told_context);
		setting = pstrdup(depipe_databases);
		told = NIL;
	}
	foreach(cell, names)
	{
		const char *name = lfirst(cell);

		if (is_named(told, name))
			continue;
		told = lappend(told, pstrdup(name));
		ereport(WARNING,
				(errcode(ERRCODE_UNDEFINED_DATABASE),
				 errmsg("database \"%s\", named by depipe.databases, is not served", name),
				 errdetail("It does not exist, is a template, or does not allow connections.")));
	}
	MemoryContextSwitchTo(old);
}

static List *
without_name(List *names, const char *name)
{
	ListCell *cell;

	foreach(cell, names)
		if (strcmp(lfirst(cell), name) == 0)
			return list_delete_cell(names, cell);
	return names;
}

/*
 * OIDs of the databases that allow connections and that depipe.databases
 * names, if it names any.  Allocated in context.
 */
static List *
databases_to_serve(MemoryContext context, bool *named)
{
	List *unserved;
	Relation relation;
	TableScanDesc scan;
	HeapTuple tuple;
	List *names = NIL;
	List *databases = NIL;

	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	if (!SplitIdentifierString(pstrdup(depipe_databases), ',', &names))
		names = NIL;
	*named = names != NIL;
	unserved = list_copy(names);
	relation = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(relation, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database database = (Form_pg_database) GETSTRUCT(tuple);
		MemoryContext old;

		if (database->datistemplate || !database->datallowconn ||
			(*named && !is_named(names, NameStr(database->datname))))
			continue;
		unserved = without_name(unserved, NameStr(database->datname));
		old = MemoryContextSwitchTo(context);
		databases = lappend_oid(databases, database->oid);
		MemoryContextSwitchTo(old);
	}
	table_endscan(scan);
	table_close(relation, AccessShareLock);
	tell_unserved(unserved);
	CommitTransactionCommand();
	return databases;
}

/* Start the schedulers that are due.  Returns the time of the next one. */
static TimestampTz
start_schedulers(MemoryContext context)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz next = now + LONGEST_SLEEP;
	bool named;
	ListCell *cell;

	foreach(cell, databases_to_serve(context, &named))
	{
		WorkerId id = {.kind = WORKER_SCHEDULER, .database = lfirst_oid(cell)};
		TimestampTz at = database_look_at(id.database, depipe_naptime);

		if (at > now)
		{
			next = Min(next, at);
			continue;
		}
		/* a running scheduler sets the next time when it exits */
		if (!worker_is_running(&id))
		{
			/* before the start, so as not to overwrite the time that the scheduler sets */
			database_looking(id.database, now + LONGEST_SLEEP);
			if (worker_start(&id))
				continue;
			/* the limit of processes is reached: retry after a second */
			database_looking(id.database, now + USECS_PER_SEC);
		}
		next = Min(next, now + USECS_PER_SEC);
	}
	return next;
}

void
depipe_launcher_main(Datum argument)
{
	MemoryContext context;

	/*
	 * use die, because the default handler of background workers would
	 * terminate the process at any point
	 */
	pqsignal(SIGTERM, die);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	launcher_attach();
	context = AllocSetContextCreate(TopMemoryContext, "depipe launcher", ALLOCSET_DEFAULT_SIZES);
	for (;;)
	{
		TimestampTz next;

		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
			databases_look_now();
		}
		next = depipe_enabled ? start_schedulers(context) : GetCurrentTimestamp() + LONGEST_SLEEP;
		MemoryContextReset(context);
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 TimestampDifferenceMilliseconds(GetCurrentTimestamp(), next) + 1,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
}

void
launcher_init(void)
{
	BackgroundWorker worker = {0};

	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = RESTART_SECONDS;
	snprintf(worker.bgw_library_name, sizeof(worker.bgw_library_name), "depipe");
	snprintf(worker.bgw_function_name, sizeof(worker.bgw_function_name), "depipe_launcher_main");
	snprintf(worker.bgw_name, BGW_MAXLEN, "depipe launcher");
	snprintf(worker.bgw_type, BGW_MAXLEN, "depipe launcher");
	RegisterBackgroundWorker(&worker);
}
