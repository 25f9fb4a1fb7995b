/*-------------------------------------------------------------------------
 *
 * snapshot.h
 *		Reads of source tables at one consistent point.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_SNAPSHOT_H
#define DEPIPE_LOAD_SNAPSHOT_H

#include "load/task.h"

typedef struct SourceSnapshot
{
	Connection *connection;
	char *name;          /* of its slot */
	XLogRecPtr position; /* transactions that committed before it are visible */
	TimestampTz opened_at;
	TimestampTz time; /* the same by the source's clock */
} SourceSnapshot;

/*
 * Open a snapshot in the current memory context.  keep: the connection survives
 * a commit.  Raises 55P03 if the wait for a transaction of the source lasts
 * longer than source->slot_wait_ms.
 */
extern SourceSnapshot *snapshot_open(const Source *source, const Stream *stream, bool keep);
extern void snapshot_close(SourceSnapshot *snapshot);

/* The transaction of the source that delays a slot, as a reason. */
extern char *snapshot_waits_for(Connection *control);

/* Lock the table of the task. Raises 40001 if the snapshot no longer sees its rows. */
extern void snapshot_check_storage(const SourceSnapshot *snapshot, const LoadTask *task);

/* Called from time to time between two rows, not as the owner. */
typedef struct SnapshotWatch
{
	void (*look)(void *argument, uint64 rows, uint64 bytes);
	void *argument;
} SnapshotWatch;

/*
 * Read all rows of the table of a task, in the given columns: into delta as new
 * images, or (NULL) into rows.  watch may be NULL. Returns their number.
 */
extern uint64 snapshot_rows(const SourceSnapshot *snapshot, LoadTask *task, TupleDesc columns,
							Delta *delta, Tuplestorestate *rows, const SnapshotWatch *watch);

#endif /* DEPIPE_LOAD_SNAPSHOT_H */
