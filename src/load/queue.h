/*-------------------------------------------------------------------------
 *
 * queue.h
 *		Order and groups of the tables that wait for a copy.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_QUEUE_H
#define DEPIPE_LOAD_QUEUE_H

#include "load/session.h"

/* A table that waits for its copy. */
typedef struct CopyCandidate
{
	int32 target_id;
	LoadTask *task; /* NULL: none yet */
	Oid relid;      /* of the target; InvalidOid: not created yet */
	char *source_schema;
	char *source_table;
	int failures; /* in a row */
	bool due;     /* not waiting after a failure; only used beside the stream */
	int64 size;   /* at the source, in bytes */
} CopyCandidate;

/* Fill in the sizes that the source reports. */
extern void queue_ask_sizes(Connection *connection, List *candidates);

/* Lists of candidates to be copied together, the smallest first. */
extern List *queue_groups(List *candidates);

#endif /* DEPIPE_LOAD_QUEUE_H */
