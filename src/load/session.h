/*-------------------------------------------------------------------------
 *
 * session.h
 *		One run of the loads of a server: its parts and their lifetime.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_SESSION_H
#define DEPIPE_LOAD_SESSION_H

#include "load/basis.h"
#include "load/prepare.h"
#include "load/progress.h"
#include "load/stream.h"
#include "load/take.h"
#include "load/task.h"

/* How a run of the loads of a server behaves. */
typedef struct LoadRefreshOptions
{
	bool commit; /* a procedure in non-atomic context: commit each batch, confirm after it */
	bool wait;   /* wait for another run that holds the stream, else 'skipped' */
	/*
	 * A run that has no row yet gets one only when something happens to its
	 * load; otherwise it ends as RUN_NOTHING, and nothing is written.
	 */
	bool quiet;
	TimestampTz deadline;   /* with commit: read no further batch after it; 0: none */
	bool *server_failed;    /* NULL, or set when the source could not be read at all */
	bool copied_beside;     /* new tables are left to load_copy_beside() */
	bool (*must_end)(void); /* NULL, or asked between batches: read no further one */
} LoadRefreshOptions;

/* Each part belongs to the file that its header names. */
typedef struct LoadSession
{
	const LoadRefreshOptions *options;
	char *server_name;
	MemoryContext turn; /* of the work between two commits */
	TaskSet set;
	Source source;
	Prepared prepared;
	Stream *stream; /* NULL until there is a slot */
	SeenLeaves leaves;
	Transport transport;
	TakeState taking;
	Progress progress;
	bool beside;    /* it copies beside the stream: it has a slot of its own, but no lock */
	bool overtaken; /* another run has the stream now */
} LoadSession;

/*
 * Make a session with a task for each load of the server.  Writes nothing.
 * session_end() closes connections and frees everything.
 */
extern LoadSession *session_begin(const char *server_name, const LoadRefreshOptions *options);
extern void session_end(LoadSession *session);

/* A session without tasks, and a task for a load (NULL when there is none): for beside.c. */
extern LoadSession *session_begin_empty(const char *server_name, const LoadRefreshOptions *options);
extern LoadTask *session_add_task(LoadSession *session, int32 target_id);

/* Is there a slot to read from? */
extern bool session_has_stream(const LoadSession *session);

/*
 * Commit and go on (in a procedure).  Another run may take the stream in
 * between: then session->overtaken is set, and this one must end.
 */
extern void session_commit(LoadSession *session);

#endif /* DEPIPE_LOAD_SESSION_H */
