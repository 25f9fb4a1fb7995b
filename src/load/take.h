/*-------------------------------------------------------------------------
 *
 * take.h
 *		The changes of a stream, taken into the deltas of the tasks.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_TAKE_H
#define DEPIPE_LOAD_TAKE_H

#include "core/identity.h"
#include "load/decode.h"
#include "load/stream.h"
#include "load/task.h"

typedef struct TakeState
{
	TaskSet *set;
	Transport *transport;
	Decoder decoder;
	TimestampTz begun_at;      /* the batch */
	int64 changes;             /* of the batch */
	int unchecked;             /* number of changes since the last check of memory */
	bool full;                 /* the batch has used depipe.batch_memory */
	int versions;              /* transactions of the batch that changed a history */
	bool version;              /* the last one did */
	SourceRelation *described; /* its takers are compared with it; NULL: none */
	int next_taker;            /* of it */
	bool acting;               /* as the owner of a target */
	Oid acting_as;
	Identity identity;
} TakeState;

/* Can the stream send values in binary form to all of these tasks? */
extern bool take_in_binary(const TaskSet *set, const Source *source, const Stream *stream);

/* Take changes from a transport that was just started. */
extern void take_begin(TakeState *taking, TaskSet *set, Transport *transport);

typedef enum TakeResult
{
	TAKE_FULL,   /* the batch is full, or no more changes are available */
	TAKE_STOP,   /* the stop is reached */
	TAKE_LAYOUT, /* a table was described: see take_next_layout(), then continue reading */
	TAKE_VERSION /* a transaction changed a history: deliver the changes, then continue reading */
} TakeResult;

/*
 * Read whole source transactions into the deltas of the tasks.  After a batch
 * has begun, this is repeated until the result is TAKE_FULL or TAKE_STOP.
 */
extern void take_begin_batch(TakeState *taking);
extern TakeResult take_read(TakeState *taking);

/*
 * The next task that takes the table described last, in another layout than
 * recorded; NULL if there is none.  Stops tasks whose key is no longer part of
 * the replica identity.
 */
extern LoadTask *take_next_layout(TakeState *taking, List **names, List **types);

/* The delta for the changes of a task, created when needed. */
extern Delta *take_delta(LoadTask *task);

/* An empty delta of the target's own columns, in the batch. */
extern Delta *take_target_delta(LoadTask *task);

/*
 * Lock the target for reading.  Returns false if another session holds a
 * conflicting lock, in a run that does not wait.
 */
extern bool take_lock(LoadTask *task);

/* Does the task wait after a failure? */
extern bool take_is_waiting(const LoadTask *task);

#endif /* DEPIPE_LOAD_TAKE_H */
