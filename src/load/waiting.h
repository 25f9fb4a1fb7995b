/*-------------------------------------------------------------------------
 *
 * waiting.h
 *		Publication of waiting changes: parked deltas, rows that are tried
 *		again, probes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_WAITING_H
#define DEPIPE_LOAD_WAITING_H

#include "load/task.h"

/*
 * The waiting changes of the table, followed by the new ones (NULL: none), as
 * one delta.  marks: those of its target.
 */
extern Delta *waiting_fold(LoadTask *task, uint32 marks, Delta *delta);

/* Is more parked for the table than can be published at once with new changes? */
extern bool waiting_comes_first(LoadTask *task);

/* Publish deliveries (of Delivery), and the rows that can be tried again because of them. */
extern void waiting_publish_with(TaskSet *set, List *deliveries);

/*
 * Publish the waiting changes of tables without changes in the stream; ends the
 * batch.  Of a large park only the next bite is published: then set->more is
 * set, and the caller calls again, in a transaction of its own if it can.
 */
extern void waiting_publish(TaskSet *set);

#endif /* DEPIPE_LOAD_WAITING_H */
