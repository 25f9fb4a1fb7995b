/*-------------------------------------------------------------------------
 *
 * follow.h
 *		A process that keeps the stream of a server open and its loads up to
 *		date.
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
	FOLLOW_AGAIN,  /* the loads have changed: begin again */
	FOLLOW_TOLD,   /* must_end() said so */
	FOLLOW_NONE,   /* there is nothing to stream */
	FOLLOW_LOCKED, /* another process reads the stream */
	FOLLOW_FAILED  /* the source or all loads failed; the runs have the reason */
} LoadFollowEnd;

typedef struct LoadFollower
{
	/* These are called between batches, outside of a transaction. */
	bool (*must_end)(void);
	/* May definitions or states have changed since the last call? */
	bool (*changed)(void);
	/* In the transaction that follows: does everything still exist? */
	bool (*may_go_on)(void);
	void (*moved)(const StreamPosition *position);
	/* The number of a look requested by hand (0: none), and the report that it is done. */
	uint32 (*asked_look)(void);
	void (*looked)(uint32 look);
} LoadFollower;

/* Follow the stream of a server, as load_follow() does. */
extern LoadFollowEnd follow_stream(const char *server, List *targets, List *runs,
								   const char *fingerprint, const LoadFollower *follower);

#endif /* DEPIPE_LOAD_FOLLOW_H */
