/*-------------------------------------------------------------------------
 *
 * launcher.h
 *		The process that starts the others.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_WORKER_LAUNCHER_H
#define DEPIPE_WORKER_LAUNCHER_H

#include "depipe.h"

/* In _PG_init of the postmaster: register the launcher, ask for memory, install hooks. */
extern void launcher_init(void);

/* Entry points of background workers: looked up by name. */
extern PGDLLEXPORT void depipe_launcher_main(Datum argument);
extern PGDLLEXPORT void depipe_scheduler_main(Datum argument);
extern PGDLLEXPORT void depipe_stream_worker_main(Datum argument);
extern PGDLLEXPORT void depipe_run_worker_main(Datum argument);
extern PGDLLEXPORT void depipe_copy_worker_main(Datum argument);

/* Signals, configuration and the connection of a worker; returns its database. */
struct WorkerId;
extern void worker_begin(struct WorkerId *id, Datum argument);

/*
 * Begin and end what a procedure would be: a transaction that may be
 * committed and begun again on the way.
 */
extern void worker_transaction_begin(void);
extern void worker_transaction_end(void);

/* Is the extension there, in the version of the library, and enabled? why not: a reason. */
extern bool worker_may_work(const char **reason);

/* Does depipe.databases name the database, or none at all? */
extern bool database_is_named(const char *name);

/* Is there a process that follows the stream of the server? */
extern bool has_stream_worker(const char *server);

#endif /* DEPIPE_WORKER_LAUNCHER_H */
