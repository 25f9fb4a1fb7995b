/*-------------------------------------------------------------------------
 *
 * refresh.h
 *		Bringing the loads of a server up to date.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_REFRESH_H
#define DEPIPE_LOAD_REFRESH_H

#include "load/session.h"

/* The reason of runs that were skipped because another session has the stream. */
#define STREAM_IS_TAKEN "another run reads the stream of the server"

/*
 * Bring the loads of one server up to the source's flushed position as of
 * now.  targets: the loads asked for, all of one server; runs: made by
 * run_create, same order; inserted (run_insert) once source and slot are
 * ready, so that nothing is written before, then filled and finished here.
 * Other loads of the server move along
 * (they share the stream) and get run rows of their own when they change.
 * Never raises for a failure of one table or of the source: the runs say so.
 */
extern void load_refresh(List *targets, List *runs, const LoadRefreshOptions *options);

/*
 * Give the tasks of these targets the runs (in the same order): they are asked
 * for, and their runs are always finished.
 */
extern void refresh_attach(LoadSession *session, List *targets, List *runs);

/* Is the stream free?  Then it is ours until the transaction ends. */
extern bool load_stream_is_free(const char *server);

/* The current position of the source; connects.  Raises whatever prevents that. */
extern XLogRecPtr load_source_position(const char *server);

/*
 * For verify: bring the load to a position of the source, and read the
 * source's rows as of exactly that position, projected and filtered as the
 * load does, in the columns of the target (order of delta->columns).  Returns
 * false with a reason when that is not possible now (paused, source down).
 */
extern bool load_read_source(Target *target, Tuplestorestate **rows, TupleDesc *desc, uint64 *nrows,
							 char **reason);

#endif /* DEPIPE_LOAD_REFRESH_H */
