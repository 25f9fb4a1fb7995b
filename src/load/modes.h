/*-------------------------------------------------------------------------
 *
 * modes.h
 *		The ways to load: what each needs, and the functions that serve it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_MODES_H
#define DEPIPE_LOAD_MODES_H

#include "load/follow.h"
#include "load/refresh.h"

typedef struct LoadModeKind
{
	LoadMode mode;
	bool needs_server; /* else server_name of its loads may be NULL */

	/* Raise what is wrong with the texts of a definition. */
	void (*check_definition)(const Load *load);

	/* load_refresh(), load_follow() and load_read_source() for loads of this mode. */
	void (*refresh)(const char *server, List *targets, List *runs,
					const LoadRefreshOptions *options);
	LoadFollowEnd (*follow)(const char *server, List *targets, List *runs, const char *fingerprint,
							const LoadFollower *follower);
	bool (*read_source)(const char *server, Target *target, Tuplestorestate **rows, TupleDesc *desc,
						uint64 *nrows, char **reason);
} LoadModeKind;

/* Raises 0A000 for a mode that is not supported: one that is not in the table. */
extern const LoadModeKind *load_mode_find(LoadMode mode);

/*
 * Bring loads up to the source's position as of now.  targets: the loads asked
 * for, all of one server and mode; runs: made by run_create, same order; inserted
 * (run_insert) once the source is ready, so that nothing is written before, then
 * filled and finished here.  Never raises for a failure of one table or of the
 * source: the runs report it.
 */
extern void load_refresh(List *targets, List *runs, const LoadRefreshOptions *options);

/*
 * Follow the stream of a server.  Arguments and runs as of load_refresh(); outside
 * of a procedure, in a transaction of transaction_begin_worker(), which is ended
 * and begun again while it waits.  fingerprint: loads_fingerprint() from before
 * the targets were chosen.
 */
extern LoadFollowEnd load_follow(List *targets, List *runs, const char *fingerprint,
								 const LoadFollower *follower);

/*
 * For verify: bring the load to a position of the source, and read the source's
 * rows as of exactly that position, projected and filtered as the load does, in
 * the columns of the target (order of delta->columns).  Returns false with a
 * reason when that is not possible now (paused, source down).
 */
extern bool load_read_source(Target *target, Tuplestorestate **rows, TupleDesc *desc, uint64 *nrows,
							 char **reason);

#endif /* DEPIPE_LOAD_MODES_H */
