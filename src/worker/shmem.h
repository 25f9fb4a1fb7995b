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
#include "utils/timestamp.h"

#define WORKER_SLOTS 64
#define DATABASE_SLOTS 256

typedef enum WorkerKind
{
	WORKER_SCHEDULER, /* looks what is due in a database, and ends */
	WORKER_STREAM,    /* keeps the loads of one server up to date */
	WORKER_RUN        /* one pass of the rest that is due, and ends */
} WorkerKind;

typedef struct WorkerId
{
	WorkerKind kind;
	Oid database;
	NameData server; /* of a stream worker, else empty */
} WorkerId;

/* In _PG_init of the postmaster: ask for memory, and install the hooks. */
extern void worker_shmem_init(void);

/*
 * Start a worker, unless the same one is there, the database is left alone,
 * or depipe has its share of the processes; returns whether it is there now.
 */
extern bool worker_start(const WorkerId *id);

extern bool worker_is_running(const WorkerId *id);

/* In the worker: take the slot that it was started for, and give it back at exit. */
extern WorkerId worker_attach(Datum argument);

/* ---- databases ---- */

/* Is it time to look at a database? wait: seconds since the last look that found depipe in it. */
extern bool database_is_due(Oid database, int wait_ms, int wait_without_ms);

/* Do workers look after this database?  False without shared_preload_libraries. */
extern bool database_is_served(Oid database);

/* A scheduler has looked; returns whether that is other than before. */
extern bool database_note(Oid database, bool has_extension);

/*
 * End the workers of a database, and start none for some seconds: somebody
 * is about to drop it, rename it or copy it.
 */
extern void database_leave_alone(Oid database);

#endif /* DEPIPE_SHMEM_H */
