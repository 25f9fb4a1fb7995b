/*-------------------------------------------------------------------------
 *
 * follow.h
 *		Keeping the stream of a server open, and its loads up to date.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_FOLLOW_H
#define DEPIPE_LOAD_FOLLOW_H

#include "core/shmem.h"
#include "nodes/pg_list.h"

/*
 * Following: one process keeps the stream of a server open, and its loads up
 * to date, until it has a reason to end.
 */
typedef enum LoadFollowEnd
{
	FOLLOW_AGAIN,  /* the loads are others than before: begin anew */
	FOLLOW_TOLD,   /* must_end() said so */
	FOLLOW_NONE,   /* there is nothing to stream */
	FOLLOW_LOCKED, /* somebody else reads the stream */
	FOLLOW_FAILED  /* the source, or all loads; the runs say why */
} LoadFollowEnd;

typedef struct LoadFollower
{
	/* These are called between batches, outside of a transaction. */
	bool (*must_end)(void);
	/* May definitions or states have changed since the last call? */
	bool (*changed)(void);
	/* In the transaction that follows: is everything of ours still there? */
	bool (*may_go_on)(void);
	void (*moved)(const StreamPosition *position);
	/* The number of a look that somebody asks for by hand; 0: nobody.  And: it has been. */
	uint32 (*asked_look)(void);
	void (*looked)(uint32 look);
} LoadFollower;

/*
 * Arguments and runs as of load_refresh(); outside of a procedure, in a
 * transaction of transaction_begin_worker(), which is ended and begun again
 * while it waits.  fingerprint: loads_fingerprint() from before the targets
 * were chosen.
 */
extern LoadFollowEnd load_follow(List *targets, List *runs, const char *fingerprint,
								 const LoadFollower *follower);

#endif /* DEPIPE_LOAD_FOLLOW_H */
