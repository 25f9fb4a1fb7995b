/*-------------------------------------------------------------------------
 *
 * slotwait.c
 *		Creation of a slot while transactions of the source are running.
 *
 * A slot is consistent only when all transactions of the source have ended that
 * were running when it was begun.  An idle one delays it; the load reports
 * which one.
 *
 * Each wait is longer than the previous one: if transactions follow each other,
 * and none is shorter than a wait, the slot is created in the end.
 *
 *-------------------------------------------------------------------------
 */
#include "load/slotwait.h"

#include "core/guarded.h"
#include "load/snapshot.h"

#define FIRST_WAIT_MS 1000
#define LONGEST_WAIT_MS (10 * 60 * 1000)

typedef struct Asking
{
	LoadSession *session;
	char *reason;
} Asking;

/* The error may have closed the connection of the session. */
static bool
ask_work(void *argument)
{
	Asking *asking = argument;
	const Source *source = &asking->session->source;
	Connection *connection = source->control != NULL ? source->control
													 : connection_open(source->server);

	asking->reason = snapshot_waits_for(connection);
	if (connection != source->control)
		connection_close(connection);
	return true;
}

static bool
is_for_slot(LoadSession *session, const SlotWait *wait, const ErrorData *error)
{
	bool for_slot = wait->was_for_slot == NULL || wait->was_for_slot(session);

	return for_slot && error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE;
}

ErrorData *
slotwait_make(LoadSession *session, const SlotWait *wait)
{
	Asking asking = {.session = session};
	ErrorData *error;

	session->source.slot_wait_ms = session->options->commit ? FIRST_WAIT_MS : 0;
	while ((error = guarded_run(wait->make, wait->argument)) != NULL)
	{
		ErrorData *failed;

		if (!is_for_slot(session, wait, error))
			return error;
		failed = guarded_run(ask_work, &asking);
		if (failed != NULL)
			return failed;
		error->message = asking.reason;
		wait->report(session, asking.reason);
		session_commit(session);
		if (!wait->goes_on(session))
			return error;
		session->source.slot_wait_ms = Min(session->source.slot_wait_ms * 2, LONGEST_WAIT_MS);
	}
	if (asking.reason != NULL)
		wait->report(session, NULL);
	return NULL;
}
