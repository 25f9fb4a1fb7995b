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

/* Register the launcher.  Called by the postmaster's _PG_init. */
extern void launcher_init(void);

/* The entry point of the launcher, which is looked up by name. */
extern PGDLLEXPORT void depipe_launcher_main(Datum argument);

/* Does depipe.databases name this database, or no database at all? */
extern bool database_is_named(const char *name);

#endif /* DEPIPE_WORKER_LAUNCHER_H */
