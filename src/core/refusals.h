/*-------------------------------------------------------------------------
 *
 * refusals.h
 *		Findings of refused statements, on their way to the scheduler.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CORE_REFUSALS_H
#define DEPIPE_CORE_REFUSALS_H

#include "depipe.h"
#include "utils/timestamp.h"

/* Number of different constraints, over all databases, whose findings can wait. */
#define REFUSALS_MOST 256

typedef struct Refusal
{
	Oid database; /* InvalidOid: free */
	int32 target_id;
	int32 constraint_id;
	int outcome; /* Outcome and Action of quality/ */
	int action;
	int64 evaluated;
	int64 violations;
	int64 statements; /* refused since the last look */
	int taker;        /* process whose transaction has taken it; 0: none */
} Refusal;

/* Called by the server's shared memory hooks. */
extern void refusals_shmem_request(void);
extern void refusals_shmem_startup(void);

/* Does the queue exist?  Only with shared_preload_libraries. */
extern bool refusals_exist(void);

/*
 * Put the finding of a statement that is about to be refused into the queue of
 * this database, and wake the scheduler.  Never waits for anything but the
 * queue's own lock, and never fails: what finds no room is counted.
 */
extern void refusal_put(const Refusal *refusal);

/*
 * Take the findings of this database: into has REFUSALS_MOST places.  They
 * leave the queue when this transaction commits, and stay if it does not.
 * Returns their number; *lost: findings of any database that found no room.
 */
extern int refusals_take(Refusal *into, int64 *lost);

#endif /* DEPIPE_CORE_REFUSALS_H */
