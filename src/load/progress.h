/*-------------------------------------------------------------------------
 *
 * progress.h
 *		The progress of a session, recorded in the transaction of the data.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_PROGRESS_H
#define DEPIPE_LOAD_PROGRESS_H

#include "load/session.h"

/* Record the position of the stream after a batch. changed: the batch brought changes. */
extern void progress_record(LoadSession *session, bool changed);

/* At the stop: record the descriptions of the source tables, and the tables that are complete. */
extern void progress_record_stop(LoadSession *session);

/* The ids of the targets that are complete as far as the stream was read. */
extern List *progress_current_targets(const TaskSet *set);

#endif /* DEPIPE_LOAD_PROGRESS_H */
