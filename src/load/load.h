/*-------------------------------------------------------------------------
 *
 * load.h
 *		Loads: tables kept equal to tables of a source.
 *
 * This header is what the drivers (worker/) and verify see.  Inside load/:
 *
 *		connection.c	walreceiver connections, closed by abort callbacks
 *		source.c		server options, preflight, publication and slot
 *		stream.c		reading the stream into deltas, batch by batch
 *		copy.c			initial copy and resync of one table
 *		evolve.c		changes of the source table's columns
 *		load.c			definitions and the SQL functions about them
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_H
#define DEPIPE_LOAD_H

#include "core/batch.h"
#include "core/catalog.h"
#include "core/run.h"

typedef struct LoadRefreshOptions
{
	bool commit; /* a procedure in non-atomic context: commit each batch, confirm after it */
	bool wait;   /* wait for another run that holds the stream, else 'skipped' */
	/*
	 * A run that has no row yet gets one only when something happens to its
	 * load; otherwise it ends as RUN_NOTHING, and nothing is written.
	 */
	bool quiet;
	TimestampTz deadline; /* with commit: read no further batch after it; 0: none */
	bool *server_failed;  /* NULL, or set when the source could not be read at all */
} LoadRefreshOptions;

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

/* The server of a load. */
extern char *load_server(int32 target_id);

/*
 * For verify: bring the load to a position of the source, and read the
 * source's rows as of exactly that position, projected and filtered as the
 * load does, in the columns of the target (order of delta->columns).  Returns
 * false with a reason when that is not possible now (paused, source down).
 */
extern bool load_read_source(Target *target, Tuplestorestate **rows, TupleDesc *desc, uint64 *nrows,
							 char **reason);

#endif /* DEPIPE_LOAD_H */
