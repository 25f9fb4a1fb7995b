/*-------------------------------------------------------------------------
 *
 * witness.h
 *		Is the source still the one whose changes were applied?
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_WITNESS_H
#define DEPIPE_LOAD_WITNESS_H

#include "load/slot.h"
#include "load/task.h"

/*
 * Why the history of the source does not go on where the stream ended, as a
 * sentence; NULL when it does.  May connect to the source a second time.  Sets
 * source->started, and moves stream->applied_lsn (in memory, not
 * in the table) back to where nothing more is known of the source.
 */
extern char *witness_problem(Source *source, Stream *stream, const TaskSet *set,
							 const SourceSlot *slot);

/* Set source->started, for a stream that is made. */
extern void witness_begin(Source *source);

/*
 * Have the stream bring a transaction from behind the copies of its tables, where
 * none has come yet.
 */
extern void witness_mark(const Source *source, const Stream *stream, const TaskSet *set);

/* Is there a copy that is newer than the last transaction recorded? */
extern bool witness_wanted(const Stream *stream, const TaskSet *set);

#endif /* DEPIPE_LOAD_WITNESS_H */
