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
 *		queue.c			which table is next
 *		beside.c		copies beside the stream
 *		evolve.c		changes of the source table's columns
 *		load.c			definitions and the SQL functions about them
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_H
#define DEPIPE_LOAD_H

#include "delta/delta.h"
#include "catalog/target.h"
#include "catalog/runs.h"
#include "core/shmem.h"

/* The reason of a run whose table another session copies. */
#define COPIED_ELSEWHERE "another session copies the table"

/* The reason of runs that were skipped because another session has the stream. */
#define STREAM_IS_TAKEN "another run reads the stream of the server"

typedef struct LoadRefreshOptions
{
	bool commit; /* a procedure in non-atomic context: commit each batch, confirm after it */
	bool wait;   /* wait for another run that holds the stream, else 'skipped' */
	/*
	 * A run that has no row yet gets one only when something happens to its
	 * load; otherwise it ends as RUN_NOTHING, and nothing is written.
	 */
	bool quiet;
	TimestampTz deadline;   /* with commit: read no further batch after it; 0: none */
	bool *server_failed;    /* NULL, or set when the source could not be read at all */
	bool copied_beside;     /* new tables are left to load_copy_beside() */
	bool (*must_end)(void); /* NULL, or asked between batches: read no further one */
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

/*
 * Following: one process keeps the stream of a server open, and its loads up
 * to date, until it has a reason to end.
 */
typedef enum LoadFollowEnd
{
	FOLLOW_AGAIN,  /* the loads are others than before: begin anew */
	FOLLOW_TOLD,   /* must_end() said so */
	FOLLOW_NONE,   /* there is nothing to stream */
	FOLLOW_LOCKED, /* somebody else reads the stream */
	FOLLOW_FAILED  /* the source, or all loads; the runs say why */
} LoadFollowEnd;

typedef struct LoadFollower
{
	/* These are called between batches, outside of a transaction. */
	bool (*must_end)(void);
	/* May definitions or states have changed since the last call? */
	bool (*changed)(void);
	/* In the transaction that follows: is everything of ours still there? */
	bool (*may_go_on)(void);
	void (*moved)(const StreamPosition *position);
	/* The number of a look that somebody asks for by hand; 0: nobody.  And: it has been. */
	uint32 (*asked_look)(void);
	void (*looked)(uint32 look);
} LoadFollower;

/*
 * Arguments and runs as of load_refresh(); outside of a procedure, in a
 * transaction of transaction_begin_worker(), which is ended and begun again
 * while it waits.  fingerprint: loads_fingerprint() from before the targets
 * were chosen.
 */
extern LoadFollowEnd load_follow(List *targets, List *runs, const char *fingerprint,
								 const LoadFollower *follower);

/*
 * Copy some of the tables of a server that wait for it, beside the stream that
 * somebody follows, and let them join it.  In a transaction of
 * transaction_begin_worker(), which is committed on the way.  Returns false
 * when there is nothing (more) to be done now.
 */
typedef struct LoadCopier
{
	bool (*must_end)(void); /* outside of any work on a table */
	bool (*changed)(void);  /* may definitions or states have changed since the last call? */
} LoadCopier;

extern bool load_copy_beside(const char *server, const LoadCopier *copier);

/* Does nobody read the stream?  Then it is ours until the transaction ends. */
extern bool load_stream_is_free(const char *server);

/* Does nobody copy the table?  Then nobody else does until the transaction ends. */
extern bool load_copy_is_free(int32 target_id);

/* Where the source is; connects.  Raises what keeps it from that. */
extern XLogRecPtr load_source_position(const char *server);

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
