/*-------------------------------------------------------------------------
 *
 * shmem.h
 *		What the workers share: who runs, and which databases are theirs.
 *
 * Exists only with shared_preload_libraries.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_SHMEM_H
#define DEPIPE_SHMEM_H

#include "depipe.h"
#include "access/xlogdefs.h"
#include "utils/timestamp.h"

#define WORKER_SLOTS 64
#define DATABASE_SLOTS 256

typedef enum WorkerKind
{
	WORKER_SCHEDULER, /* looks what is due in a database, and ends */
	WORKER_STREAM,    /* keeps the loads of one server up to date */
	WORKER_RUN,       /* one pass of the rest that is due, and ends */
	WORKER_COPY       /* copies tables of a server beside its stream, and ends */
} WorkerKind;

/* How far a stream is that somebody follows. */
typedef struct StreamPosition
{
	XLogRecPtr applied; /* everything before is committed here; 0: not streaming (yet) */
	XLogRecPtr source;  /* where the source was when last asked; 0: not known */
	TimestampTz as_of;  /* its clock when the loads that are not held were complete; 0: not known */
	int64 retained_bytes; /* of the source's log, by the slot; -1: not known */
	int64 safe_wal_size;  /* so much more may be written; -1: no limit */
	/* no synchronous standby has what was committed then: the source is told nothing; 0: it is */
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
 * This transaction has changed definitions or states that workers act upon:
 * they are woken when it has committed.
 */
extern void catalog_changed(void);

/* In _PG_init of the postmaster; and called by the hooks of the server's shared memory. */
extern void worker_shmem_init(void);
extern void worker_shmem_request(void);
extern void worker_shmem_startup(void);

/*
 * Start a worker, unless the same one is there, the database is left alone,
 * or depipe has its share of the processes; returns whether it is there now.
 */
extern bool worker_start(const WorkerId *id);

#define COPY_WORKERS 4 /* of one server, at most */

extern bool worker_is_running(const WorkerId *id);

/* Was there no process of the cluster for the worker that was to be started last? */
extern bool workers_out_of_processes(void);

/* In the worker: take the slot that it was started for, and give it back at exit. */
extern WorkerId worker_attach(Datum argument);

/* ---- the launcher ---- */

/* In the launcher: it is to be woken from now on. */
extern void launcher_attach(void);

/* ---- databases ---- */

/* When a scheduler is to look at the database; two looks are naptime_ms apart. */
extern TimestampTz database_look_at(Oid database, int naptime_ms);

/* Do workers look after this database?  False without shared_preload_libraries. */
extern bool database_is_served(Oid database);

/* Something has changed that may matter for any of them. */
extern void databases_look_now(void);

/* It looks now; unless it says when to look again: otherwise_at. */
extern void database_looking(Oid database, TimestampTz otherwise_at);

/*
 * A scheduler has looked; returns whether has_extension is other than before,
 * or there is another reason (its hash) that is to be told, 0: none.
 */
extern bool database_note(Oid database, bool has_extension, uint32 reason, TimestampTz look_at);

/* Something of the definitions or states in it has changed: wake who may care. */
extern void database_changed(Oid database);

/* How often that has happened. */
extern uint64 database_changes(Oid database);

/*
 * End the workers of a database, and start none for some seconds: somebody
 * is about to drop it, rename it or copy it.
 */
extern void database_leave_alone(Oid database);

/* ---- streams (of this database) ---- */

/*
 * Ask the worker of a stream to let go of it (+1), or tell it that it may go on
 * (-1).  Is there one?
 */
extern bool stream_ask(const char *server, int change);

/* In a stream worker: does anybody want its stream?  And: how far it is. */
extern bool stream_is_asked_for(void);
extern void stream_moved(const StreamPosition *position);

/*
 * Ask the worker of a stream to look at what waits as somebody does who calls by
 * hand; returns the number of the look, or 0 when there is no worker.  Has that
 * look been (and was it committed)?
 */
extern uint32 stream_ask_look(const char *server);
extern bool stream_has_looked(const char *server, uint32 look);

/* In a stream worker: the last look that was asked for; and: it has been. */
extern uint32 stream_asked_look(void);
extern void stream_looked(uint32 look);

/* How far a stream's worker is; false when there is none. */
extern bool stream_position(const char *server, StreamPosition *position);

/* Why the source is told nothing, for a reader; NULL: it is. */
extern char *stream_held_reason(const StreamPosition *position);

typedef struct StreamWorker
{
	NameData server;
	int pid;
	StreamPosition position;
} StreamWorker;

/* All of them (WORKER_SLOTS at most); returns how many. */
extern int stream_workers(StreamWorker *workers);

/* Wait for a worker to get further, in a loop that stream_wait_is_over() ends. */
extern void stream_wait_for_move(long timeout_ms);
extern void stream_wait_is_over(void);

#endif /* DEPIPE_SHMEM_H */
