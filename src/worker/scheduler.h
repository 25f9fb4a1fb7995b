/*-------------------------------------------------------------------------
 *
 * scheduler.h
 *		The scheduler: finds the due work of a database and starts workers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_WORKER_SCHEDULER_H
#define DEPIPE_WORKER_SCHEDULER_H

#include "depipe.h"

/* The entry point, which is looked up by name. */
extern PGDLLEXPORT void depipe_scheduler_main(Datum argument);

#endif /* DEPIPE_WORKER_SCHEDULER_H */
