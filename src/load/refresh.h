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
#define STREAM_IS_TAKEN "another run is reading the stream of the server"

/*
 * Refresh loads by the stream of their server, as load_refresh() does.  Other
 * loads of the server move along (they share the stream) and get run rows of
 * their own when they change.
 */
extern void refresh_by_stream(const char *server, List *targets, List *runs,
							  const LoadRefreshOptions *options);

/* Read the source of a load as load_read_source() does. */
extern bool read_source_by_stream(const char *server, Target *target, Tuplestorestate **rows,
								  TupleDesc *desc, uint64 *nrows, char **reason);

/*
 * Give the tasks of these targets the runs (in the same order): they are asked
 * for, and their runs are always finished.
 */
extern void refresh_attach(LoadSession *session, List *targets, List *runs);

/* Is the stream free?  Then it is ours until the transaction ends. */
extern bool load_stream_is_free(const char *server);

/* The current position of the source; connects.  Raises whatever prevents that. */
extern XLogRecPtr load_source_position(const char *server);

#endif /* DEPIPE_LOAD_REFRESH_H */
