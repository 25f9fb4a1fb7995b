/*-------------------------------------------------------------------------
 *
 * refresh.h
 *		Refresh of the loads of a server.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_REFRESH_H
#define DEPIPE_LOAD_REFRESH_H

#include "load/session.h"

/* The reason of runs that were skipped because another session holds the stream. */
#define STREAM_IS_TAKEN "another run is reading the stream of the server"

/*
 * Refresh loads by the stream of their server; see load_refresh().  Other loads
 * of the server advance as well (they share the stream) and get run rows of
 * their own when they change.
 */
extern void refresh_by_stream(const char *server, List *targets, List *runs,
							  const LoadRefreshOptions *options);

/* Read the source of a load; see load_read_source(). */
extern bool read_source_by_stream(const char *server, Target *target, Tuplestorestate **rows,
								  TupleDesc *desc, uint64 *nrows, char **reason);

/*
 * Assign the runs to the tasks of these targets (in the same order): they were
 * requested, and their runs are always finished.
 */
extern void refresh_attach(LoadSession *session, List *targets, List *runs);

/* Acquire the stream until the transaction ends. Returns false if it is not free. */
extern bool load_stream_is_free(const char *server);

/* Connect, and return the current position of the source. Raises the errors of the connection. */
extern XLogRecPtr load_source_position(const char *server);

#endif /* DEPIPE_LOAD_REFRESH_H */
