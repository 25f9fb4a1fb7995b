/*-------------------------------------------------------------------------
 *
 * scheduler.c
 *		The scheduler: finds the due work of a database and starts workers.
 *
 * The scheduler exits as soon as it has started them, so that it holds no
 * connection while nothing is due.  It leaves the time of the next
 * look in shared memory.  The launcher starts the next scheduler at that time,
 * or when something has changed.  It runs no code of users.
 *
 *-------------------------------------------------------------------------
 */
#include "worker/scheduler.h"

#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "common/hashfn.h"
#include "catalog/attempts.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "quality/findings.h"
#include "run/due.h"
#include "worker/worker.h"

/* Maximum time between two looks, for changes that no process reports. */
#define LOOK_AFTER USECS_PER_MINUTE

/* Time until the next look while a run worker is running; its exit causes one as well. */
#define LOOK_WHILE_RUNNING (10 * USECS_PER_SEC)

static void
start_stream_workers(Oid database)
{
	ListCell *cell;

	foreach(cell, servers_to_stream())
	{
		WorkerId id = {.kind = WORKER_STREAM, .database = database};

		namestrcpy(&id.server, lfirst(cell));
		(void) worker_start(&id);
	}
}

/* Start up to count copy workers for a server, within the limits. */
static void
start_copy_workers(Oid database, const char *server, int count)
{
	for (int number = 0; number < COPY_WORKERS && count > 0; number++)
	{
		WorkerId id = {.kind = WORKER_COPY, .database = database, .number = number};

		namestrcpy(&id.server, server);
		if (worker_is_running(&id))
			continue;
		(void) worker_start(&id);
		count--;
	}
}

/* Start copies beside streams.  Returns the time at which the next copy is due. */
static TimestampTz
start_copies(Oid database, TimestampTz now)
{
	CatalogRows *rows = copies_next();
	TimestampTz next = DT_NOEND;

	for (uint64 i = 0; i < rows->count; i++)
	{
		char *server = catalog_text(rows, i, COPIES_SERVER);
		TimestampTz at = catalog_time(rows, i, COPIES_AT);

		if (!has_stream_worker(server))
			continue;
		start_copy_workers(database, server, catalog_int4(rows, i, COPIES_COUNT));
		/*
		 * also for copies that got no worker, since the exit of another worker
		 * causes a look as well
		 */
		next = Min(next, at > now ? at : now + LOOK_WHILE_RUNNING);
	}
	return next;
}

/* Start the workers that are due.  Returns the time of the next look. */
static TimestampTz
look(Oid database)
{
	WorkerId run = {.kind = WORKER_RUN, .database = database};
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz next;
	TimestampTz next_copy;

	start_stream_workers(database);
	next_copy = start_copies(database, now);
	next = due_next(has_stream_worker);
	if (next > now)
		return Min(Min(next, next_copy), now + LOOK_AFTER);
	return Min(next_copy, worker_start(&run) ? now + LOOK_WHILE_RUNNING : now + USECS_PER_SEC);
}

/*
 * Hash of the reason to report; 0 for none.  A missing extension or
 * depipe.enabled = off is not worth a message for each database.
 */
static uint32
reason_to_tell(const char *reason)
{
	if (reason == NULL || !depipe_enabled || !OidIsValid(get_extension_oid("depipe", true)))
		return 0;
	return DatumGetUInt32(hash_any((const unsigned char *) reason, strlen(reason)));
}

void
depipe_scheduler_main(Datum argument)
{
	WorkerId id;
	const char *reason;
	TimestampTz next = GetCurrentTimestamp() + LOOK_AFTER;
	bool may_work;

	worker_begin(&id, argument);
	worker_transaction_begin();
	may_work = worker_may_work(&reason);
	if (may_work)
	{
		findings_record(); /* of refused statements: their breakers open without delay */
		next = look(id.database);
	}
	if (database_note(id.database, may_work, reason_to_tell(reason), next))
		ereport(LOG,
				(errmsg("depipe: %s database \"%s\"%s%s",
						may_work ? "serving" : "leaving",
						get_database_name(id.database),
						may_work ? "" : ": ",
						may_work ? "" : reason)));
	worker_transaction_end();
	proc_exit(0);
}
