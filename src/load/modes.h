/*-------------------------------------------------------------------------
 *
 * modes.h
 *		The modes of loads: their requirements and functions.
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
	bool needs_server; /* otherwise server_name of its loads may be NULL */

	/* Raises the errors of the texts of a definition. */
	void (*check_definition)(const Load *load);

	/* load_refresh(), load_follow() and load_read_source() for loads of this mode. */
	void (*refresh)(const char *server, List *targets, List *runs,
					const LoadRefreshOptions *options);
	LoadFollowEnd (*follow)(const char *server, List *targets, List *runs, const char *fingerprint,
							const LoadFollower *follower);
	bool (*read_source)(const char *server, Target *target, Tuplestorestate **rows, TupleDesc *desc,
						uint64 *nrows, char **reason);
} LoadModeKind;

/* Raises 0A000 for a mode that is not supported, that is, not in the table. */
extern const LoadModeKind *load_mode_find(LoadMode mode);

/*
 * Bring loads up to the present position of the source.  targets: the requested
 * loads, all of one server and mode.  runs: created by run_create, in the same
 * order.  They are inserted (run_insert) once the source is ready, so that
 * nothing is written before, then filled in and finished here.  Failures of one
 * table or of the source are not raised: the runs report them.
 */
extern void load_refresh(List *targets, List *runs, const LoadRefreshOptions *options);

/*
 * Follow the stream of a server, with the arguments and runs of load_refresh().
 * To be called outside of a procedure, in a transaction of
 * transaction_begin_worker(), which is ended and begun again during waits.
 * fingerprint: loads_fingerprint() from before the targets were chosen.
 */
extern LoadFollowEnd load_follow(List *targets, List *runs, const char *fingerprint,
								 const LoadFollower *follower);

/*
 * For verify: bring the load to a position of the source, and read the rows of
 * the source at exactly that position, projected and filtered like the load, in
 * the columns of the target (order of delta->columns).  Returns false with a
 * reason if that is not possible now (paused, source down).
 */
extern bool load_read_source(Target *target, Tuplestorestate **rows, TupleDesc *desc, uint64 *nrows,
							 char **reason);

#endif /* DEPIPE_LOAD_MODES_H */
