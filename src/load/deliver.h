/*-------------------------------------------------------------------------
 *
 * deliver.h
 *		Giving the deltas of a batch to publish, or to the park.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_DELIVER_H
#define DEPIPE_LOAD_DELIVER_H

#include "load/session.h"


/* Publish or park what the tasks' deltas hold. */
extern void deliver(LoadSession *session);

/* Publish what waits for tables to which the stream brought nothing. */
extern void deliver_waiting(LoadSession *session);

/* The delta that takes a task's changes, made when needed. */
extern Delta *deliver_delta(LoadSession *session, LoadTask *task);

#endif /* DEPIPE_LOAD_DELIVER_H */
