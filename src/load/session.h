/*-------------------------------------------------------------------------
 *
 * session.h
 *		One run of the loads of a server: its parts and their lifetime.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_SESSION_H
#define DEPIPE_LOAD_SESSION_H

#include "catalog/instance.h"
#include "load/basis.h"
#include "load/stream.h"
#include "load/take.h"
#include "load/task.h"

/* Options of a run of the loads of a server. */
typedef struct LoadRefreshOptions
{
	bool commit; /* a procedure in non-atomic context: commit each batch, confirm after it */
	bool wait;   /* wait for another run that holds the stream; otherwise 'skipped' */
	/*
	 * A run without a row gets one only if something happens to its load;
	 * otherwise it ends as RUN_NOTHING, and nothing is written.
	 */
	bool quiet;
	TimestampTz deadline;   /* with commit: read no further batch after it; 0: none */
	bool *server_failed;    /* NULL, or set if the source could not be read at all */
	bool copied_beside;     /* new tables are left to load_copy_beside() */
	bool (*must_end)(void); /* NULL, or called between batches: true ends the reading */
} LoadRefreshOptions;

/* The results of the beginning of a run (prepare.c). */
typedef struct Prepared
{
	Instance *instance;       /* NULL until prepared */
	char *foreign;            /* the reason why the recorded stream belongs to another database */
	char *lost;               /* why the stream cannot go on */
	bool made_stream;         /* by this run, not recorded yet */
	bool publication_changed; /* by this run */
	bool making_slot;         /* the creation of the slot failed */
} Prepared;

/* How far the stream was read and recorded (progress.c). */
typedef struct Progress
{
	bool at_stop;                /* the last batch reached the stop */
	bool advanced;               /* it moved the recorded position */
	TimestampTz recorded_at;     /* the last write of the position; 0: long ago */
	TimestampTz all_recorded_at; /* the last write for tables without a change as well */
} Progress;

/* Each part is written by one file: that of its header, or the one that its type is named after. */
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
 * Begin a session with a task for each load of the server.  Writes nothing.
 * session_end() closes connections and frees everything.
 */
extern LoadSession *session_begin(const char *server_name, const LoadRefreshOptions *options);

/* Close the connections of the session and free everything. */
extern void session_end(LoadSession *session);

/* For beside.c: begin a session without tasks; add a task for a load (NULL if there is none). */
extern LoadSession *session_begin_empty(const char *server_name, const LoadRefreshOptions *options);
extern LoadTask *session_add_task(LoadSession *session, int32 target_id);

/* Is there a slot to read from? */
extern bool session_has_stream(const LoadSession *session);

/*
 * Commit and continue (in a procedure).  Another run may take the stream in
 * between: then session->overtaken is set, and this run must end.
 */
extern void session_commit(LoadSession *session);

#endif /* DEPIPE_LOAD_SESSION_H */
