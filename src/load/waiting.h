/*-------------------------------------------------------------------------
 *
 * waiting.h
 *		Publishing what waits: parked deltas, rows that are tried again, probes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_WAITING_H
#define DEPIPE_LOAD_WAITING_H

#include "load/task.h"

/*
 * What waits for the table and then the new changes (NULL: none), as one
 * delta.  marks: of its target.
 */
extern Delta *waiting_fold(LoadTask *task, uint32 marks, Delta *delta);

/* Is more parked for the table than is published at once? */
extern bool waiting_is_large(LoadTask *task);

/* Publish deliveries (of Delivery), and the rows that become worth another try. */
extern void waiting_publish_with(TaskSet *set, List *deliveries);

/*
 * Publish what waits for tables to which the stream brought no change; ends
 * the batch.  Of much that is parked only the next bite is published: then
 * set->more is set, and the caller calls again, in a transaction of its own if
 * it can.
 */
extern void waiting_publish(TaskSet *set);

#endif /* DEPIPE_LOAD_WAITING_H */
