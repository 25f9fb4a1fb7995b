/*-------------------------------------------------------------------------
 *
 * scheduler.c
 *		Looks what is due in a database, starts the workers for it, and ends.
 *
 * It holds no connection while nothing is due: the time of the next look is
 * left in shared memory, and the launcher starts the next scheduler then, or
 * when something has changed.  It runs nothing of a user's.
 *
 *-------------------------------------------------------------------------
 */
#include "worker/shmem.h"

#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "common/hashfn.h"
#include "core/catalog_worker.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "worker/due.h"
#include "worker/launcher.h"

/* At the latest, and where there is nothing to do, for what nobody tells. */
#define LOOK_AFTER USECS_PER_MINUTE

/* While a run worker is at it: its end is told. */
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

/* Start what is to be started; when to look again. */
static TimestampTz
look(Oid database)
{
	WorkerId run = {.kind = WORKER_RUN, .database = database};
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz next;

	start_stream_workers(database);
	next = due_next(has_stream_worker);
	if (next > now)
		return Min(next, now + LOOK_AFTER);
	return worker_start(&run) ? now + LOOK_WHILE_RUNNING : now + USECS_PER_SEC;
}

/* That the extension is not there, or switched off, is nothing to tell of each database. */
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
		next = look(id.database);
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
