/*-------------------------------------------------------------------------
 *
 * session.c
 *		One run of the loads of a server: its parts and their lifetime.
 *
 * A session lives across the commits of a procedure, in a memory context of its
 * own.  Its parts belong to the files that use them; see session.h.
 *
 *-------------------------------------------------------------------------
 */
#include "load/session.h"

#include "access/xact.h"
#include "catalog/attempts.h"
#include "core/transaction.h"
#include "load/streamlock.h"
#include "utils/memutils.h"
#include "utils/portal.h"

/* Failures of earlier sessions. */
static void
remember_failures(LoadSession *session)
{
	CatalogRows *rows = attempts_of_loads(session->server_name);

	for (uint64 i = 0; i < rows->count; i++)
	{
		LoadTask *task = task_find(&session->set, catalog_int4(rows, i, ATTEMPT_TARGET_ID));

		if (task == NULL)
			continue;
		task->failures = catalog_int4(rows, i, ATTEMPT_FAILURES);
		task->retry_at = catalog_time(rows, i, ATTEMPT_RETRY_AT);
		task->retry_reason = pstrdup(task->load->reason != NULL ? task->load->reason
																: "an earlier attempt failed");
	}
}

LoadSession *
session_begin_empty(const char *server_name, const LoadRefreshOptions *options)
{
	MemoryContext parent = PortalContext != NULL ? PortalContext : TopMemoryContext;
	MemoryContext context = AllocSetContextCreate(parent,
												  "depipe load session",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	LoadSession *session = palloc0(sizeof(LoadSession));

	session->options = options;
	session->server_name = pstrdup(server_name);
	session->turn = AllocSetContextCreate(context, "depipe load turn", ALLOCSET_DEFAULT_SIZES);
	task_set_begin(&session->set, context, options->quiet);
	/* the progress of a function belongs to the caller: it moves only if that saves work */
	session->progress.recorded_at = options->commit ? 0 : GetCurrentTimestamp();
	MemoryContextSwitchTo(old);
	return session;
}

LoadSession *
session_begin(const char *server_name, const LoadRefreshOptions *options)
{
	LoadSession *session = session_begin_empty(server_name, options);
	MemoryContext old = MemoryContextSwitchTo(session->set.context);
	ListCell *cell;

	foreach(cell, loads_of_server(server_name))
		(void) task_add(&session->set, lfirst(cell));
	if (options->quiet)
		remember_failures(session);
	MemoryContextSwitchTo(old);
	return session;
}

LoadTask *
session_add_task(LoadSession *session, int32 target_id)
{
	MemoryContext old = MemoryContextSwitchTo(session->set.context);
	Load *load = load_get(target_id);
	LoadTask *task = load == NULL ? NULL : task_add(&session->set, load);

	MemoryContextSwitchTo(old);
	return task;
}

void
session_end(LoadSession *session)
{
	stream_stop(&session->transport);
	source_disconnect(&session->source);
	MemoryContextDelete(session->set.context);
}

bool
session_has_stream(const LoadSession *session)
{
	return session->stream != NULL && session->prepared.lost == NULL &&
		   session->stream->state == STREAM_STREAMING;
}

void
session_commit(LoadSession *session)
{
	transaction_commit();
	if (!session->beside && !streamlock_take(session->server_name, false))
		session->overtaken = true;
}
