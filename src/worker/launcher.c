/*-------------------------------------------------------------------------
 *
 * launcher.c
 *		The process that starts the others.
 *
 *		launcher (one) -> scheduler (per database) -> stream workers, run worker
 *
 * The launcher sees shared catalogs only, and runs nothing of a user's.  For
 * each database it starts a scheduler, which looks what is due, starts the
 * workers for that, says when something is due next, and ends.  The next one
 * is started then, or when a transaction there has changed something, or a
 * worker has ended; and once in a while where the extension is not, which is
 * how it is found.  Nobody restarts anything else: a worker that meets an
 * error exits, and the next scheduler finds its work undone.
 *
 * The launcher starts when recovery has ended: a standby has none.
 *
 * A worker that is connected keeps its database from being dropped, renamed
 * and used as a template.  So the hook below ends the workers of a database
 * before such a statement.
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
#include "commands/dbcommands.h"
#include "commands/defrem.h"
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

/* It wakes up for new databases, and for what nobody has told it. */
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

/* Once for each name, until the setting is another one. */
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

/* Oids of databases that allow connections, and are named if any is. */
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

/* Start what is to be started; returns when to come back. */
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
		/* one that is about to end has said already when to look again */
		if (!worker_is_running(&id))
		{
			/* before it starts: what it says is not to be overwritten */
			database_looking(id.database, now + LONGEST_SLEEP);
			if (worker_start(&id))
				continue;
			/* as many as may be: not at once again */
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
	 * die, not the handler for background workers, which would end the process
	 * in the middle of anything.
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
