/*-------------------------------------------------------------------------
 *
 * progress.h
 *		How far a session has come, recorded in the transaction of the data.
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
	TimestampTz recorded_at;     /* the position was moved last; 0: long ago */
	TimestampTz all_recorded_at; /* and was recorded for tables without a change as well */
} Progress;

/* Record the position of the stream after a batch; changed: it brought changes. */
extern void progress_record(struct LoadSession *session, bool changed);

/* At the stop: what the source looks like, and which tables are complete. */
extern void progress_record_stop(struct LoadSession *session);

/* Ids of the targets that are complete as far as the stream was read. */
extern List *progress_current_targets(const TaskSet *set);

#endif /* DEPIPE_LOAD_PROGRESS_H */
