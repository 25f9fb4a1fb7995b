/*-------------------------------------------------------------------------
 *
 * worker.h
 *		Stream workers, copy workers and run workers: processes of one database.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_WORKER_WORKER_H
#define DEPIPE_WORKER_WORKER_H

#include "core/shmem.h"

/* Entry points, which are looked up by name. */
extern PGDLLEXPORT void depipe_stream_worker_main(Datum argument);
extern PGDLLEXPORT void depipe_run_worker_main(Datum argument);
extern PGDLLEXPORT void depipe_copy_worker_main(Datum argument);

/* ---- also for the scheduler ---- */

/*
 * Set up signal handlers, the slot and the database connection of a worker.
 * argument: that of its main function.  *id gets its identity.
 */
extern void worker_begin(WorkerId *id, Datum argument);

/*
 * Begin and end a transaction that can be committed on the way, as in a
 * procedure.  The end frees the memory allocated in between.
 */
extern void worker_transaction_begin(void);
extern void worker_transaction_end(void);

/*
 * Can a worker run in this database: does the extension exist in a version
 * that the library serves, and is depipe enabled?  If not, *reason gets the
 * reason.
 */
extern bool worker_may_work(const char **reason);

/* Is a stream worker of this server running or starting? */
extern bool has_stream_worker(const char *server);

#endif /* DEPIPE_WORKER_WORKER_H */
