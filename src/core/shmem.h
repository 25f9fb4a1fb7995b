/*-------------------------------------------------------------------------
 *
 * shmem.h
 *		State shared by the workers: running workers and served databases.
 *
 * It exists only with shared_preload_libraries.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CORE_SHMEM_H
#define DEPIPE_CORE_SHMEM_H

#include "depipe.h"
#include "access/xlogdefs.h"
#include "utils/timestamp.h"

#define WORKER_SLOTS 64
#define DATABASE_SLOTS 256

typedef enum WorkerKind
{
	WORKER_SCHEDULER, /* finds the due work of a database, then exits */
	WORKER_STREAM,    /* keeps the loads of one server up to date */
	WORKER_RUN,       /* makes one pass over all other due work, then exits */
	WORKER_COPY       /* copies tables of a server beside its stream, then exits */
} WorkerKind;

/* The progress of a stream that a worker follows. */
typedef struct StreamPosition
{
	XLogRecPtr applied;   /* everything before is committed here; 0: not streaming (yet) */
	XLogRecPtr source;    /* the source's position when last asked; 0: unknown */
	TimestampTz as_of;    /* source's clock when the loads not held were complete; 0: unknown */
	int64 retained_bytes; /* WAL that the slot retains at the source; -1: unknown */
	int64 safe_wal_size;  /* bytes of WAL that may still be written; -1: no limit */
	/*
	 * since when commits lack a synchronous standby, so that the source gets
	 * no confirmation; 0: none lacks it
	 */
	TimestampTz held_since;
} StreamPosition;

typedef struct WorkerId
{
	WorkerKind kind;
	Oid database;
	NameData server; /* of a stream worker or a copy worker, else empty */
	int number;      /* of several copy workers of one server, from 0 */
} WorkerId;

/*
 * Report that this transaction has changed definitions or states that workers
 * act upon.  Its commit wakes them.
 */
extern void catalog_changed(void);

/*
 * Initialize the shared state.  The first is called by the postmaster's
 * _PG_init, the others by the server's shared memory hooks.
 */
extern void worker_shmem_init(void);
extern void worker_shmem_request(void);
extern void worker_shmem_startup(void);

/*
 * Start a worker unless it is already running, the database is to be left
 * alone, or depipe has reached its limit of processes.  Returns whether the
 * worker is running (or starting) now.
 */
extern bool worker_start(const WorkerId *id);

#define COPY_WORKERS 4 /* per server, at most */

/* Is this worker running or starting? */
extern bool worker_is_running(const WorkerId *id);

/* Did the last request for a worker fail because the cluster has no free worker process? */
extern bool workers_out_of_processes(void);

/*
 * In the worker: take over the slot that was reserved for it, and release it
 * at exit.  argument: that of the worker's main function.  Exits if the slot
 * is no longer reserved.
 */
extern WorkerId worker_attach(Datum argument);

/* ---- the launcher ---- */

/* In the launcher: register this process, to be woken from now on. */
extern void launcher_attach(void);

/* ---- databases ---- */

/*
 * The time at which a scheduler should next look at the database.  Two looks
 * are at least naptime_ms apart.
 */
extern TimestampTz database_look_at(Oid database, int naptime_ms);

/* Do workers serve this database?  False without shared_preload_libraries. */
extern bool database_is_served(Oid database);

/* Make a look due in every database, after a change that may matter to any of them. */
extern void databases_look_now(void);

/*
 * Record that a scheduler is being started for the database.  otherwise_at:
 * the time of the next look if the scheduler sets none.
 */
extern void database_looking(Oid database, TimestampTz otherwise_at);

/*
 * Record the result of a scheduler's look.  reason: hash of the reason for not
 * serving the database, 0: none.  look_at: the time of the next look.  Returns
 * whether there is something to report: has_extension has changed, or there is
 * another reason.
 */
extern bool database_note(Oid database, bool has_extension, uint32 reason, TimestampTz look_at);

/*
 * Record a change of definitions or states in the database.  Wakes the
 * launcher and the stream workers of the database.
 */
extern void database_changed(Oid database);

/* The number of changes recorded for the database. */
extern uint64 database_changes(Oid database);

/*
 * Terminate the workers of a database and start none for 10 seconds, because a
 * user is about to drop, rename or copy it.
 */
extern void database_leave_alone(Oid database);

/* ---- streams (of this database) ---- */

/*
 * Ask the worker of a stream to release it (+1), or withdraw the request (-1).
 * 0 changes nothing.  Returns whether there is such a worker.
 */
extern bool stream_ask(const char *server, int change);

/* In a stream worker: does any session want its stream? */
extern bool stream_is_asked_for(void);

/*
 * In a stream worker: report its position, and wake the sessions that wait for
 * it.
 */
extern void stream_moved(const StreamPosition *position);

/*
 * Ask the worker of a stream for a look at pending work, as a manual call
 * makes it.  Returns the number of the look, or 0 if there is no worker.  The
 * second function returns whether the worker has completed that look and
 * committed its results.
 */
extern uint32 stream_ask_look(const char *server);
extern bool stream_has_looked(const char *server, uint32 look);

/*
 * In a stream worker: the number of the last look requested, 0 if it is
 * already done.  The second function reports its completion.
 */
extern uint32 stream_asked_look(void);
extern void stream_looked(uint32 look);

/* The position of a stream's worker.  Returns false if there is none. */
extern bool stream_position(const char *server, StreamPosition *position);

typedef struct StreamWorker
{
	NameData server;
	int pid;
	StreamPosition position;
} StreamWorker;

/* The stream workers of this database, WORKER_SLOTS at most.  Returns their number. */
extern int stream_workers(StreamWorker *workers);

/*
 * Wait until some stream worker makes progress, for at most timeout_ms.
 * Called in a loop that ends with stream_wait_is_over().
 */
extern void stream_wait_for_move(long timeout_ms);
extern void stream_wait_is_over(void);

#endif /* DEPIPE_CORE_SHMEM_H */
