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

/*
 * Publish or park the deltas of the tasks; ends the batch.  end: the position
 * of the source at which they end, or InvalidXLogRecPtr if that is within a
 * source transaction.
 */
extern void deliver(TaskSet *set, XLogRecPtr end);

#endif /* DEPIPE_LOAD_DELIVER_H */
