/*-------------------------------------------------------------------------
 *
 * snapshot.h
 *		Reading tables of a source as of one consistent point.
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
	XLogRecPtr position; /* transactions that committed before are seen */
	TimestampTz opened_at;
} SourceSnapshot;

/*
 * Open one, in the current context; keep: the connection survives a commit.
 * Raises 55P03 when a transaction of the source has been waited for longer than
 * source->slot_wait_ms.
 */
extern SourceSnapshot *snapshot_open(const Source *source, const Stream *stream, bool keep);
extern void snapshot_close(SourceSnapshot *snapshot);

/* The transaction of the source that is waited for, as a reason. */
extern char *snapshot_waits_for(Connection *control);

/* Lock the task's table; raises 40001 when the snapshot does not see its rows any more. */
extern void snapshot_check_storage(const SourceSnapshot *snapshot, const LoadTask *task);

/* Asked now and then between two rows, as no owner. */
typedef struct SnapshotWatch
{
	void (*look)(void *argument, uint64 rows, uint64 bytes);
	void *argument;
} SnapshotWatch;

/*
 * All rows of a task's table, in the given columns: into delta as new images,
 * or (NULL) into rows.  watch may be NULL.  Returns their number.
 */
extern uint64 snapshot_rows(const SourceSnapshot *snapshot, LoadTask *task, TupleDesc columns,
							Delta *delta, Tuplestorestate *rows, const SnapshotWatch *watch);

#endif /* DEPIPE_LOAD_SNAPSHOT_H */
