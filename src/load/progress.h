/*-------------------------------------------------------------------------
 *
 * progress.h
 *		The progress of a session, recorded in the transaction of the data.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_PROGRESS_H
#define DEPIPE_LOAD_PROGRESS_H

#include "load/task.h"

struct LoadSession;

typedef struct Progress
{
	bool at_stop;                /* the last batch reached the stop */
	bool advanced;               /* it moved the recorded position */
	TimestampTz recorded_at;     /* the last write of the position; 0: long ago */
	TimestampTz all_recorded_at; /* the last write for tables without a change as well */
} Progress;

/* Record the position of the stream after a batch. changed: the batch brought changes. */
extern void progress_record(struct LoadSession *session, bool changed);

/* At the stop: record the descriptions of the source tables, and the tables that are complete. */
extern void progress_record_stop(struct LoadSession *session);

/* The ids of the targets that are complete as far as the stream was read. */
extern List *progress_current_targets(const TaskSet *set);

#endif /* DEPIPE_LOAD_PROGRESS_H */
