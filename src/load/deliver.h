/*-------------------------------------------------------------------------
 *
 * deliver.h
 *		Giving the deltas of a batch to publish, or to the park.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_DELIVER_H
#define DEPIPE_LOAD_DELIVER_H

#include "load/task.h"

/* Publish or park the tasks' deltas; ends the batch. */
extern void deliver(TaskSet *set);

/* Publish deltas that wait, for tables to which the stream brought no change; ends the batch. */
extern void deliver_waiting(TaskSet *set);

#endif /* DEPIPE_LOAD_DELIVER_H */
