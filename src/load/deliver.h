/*-------------------------------------------------------------------------
 *
 * deliver.h
 *		Delivery of the deltas of a batch to publish or to the park.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_DELIVER_H
#define DEPIPE_LOAD_DELIVER_H

#include "load/task.h"

/* Publish or park the deltas of the tasks; ends the batch. */
extern void deliver(TaskSet *set);

/* Publish waiting deltas of tables without changes in the stream; ends the batch. */
extern void deliver_waiting(TaskSet *set);

#endif /* DEPIPE_LOAD_DELIVER_H */
