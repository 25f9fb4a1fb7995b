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
 * The reason why the history of the source does not continue where the stream
 * ended, as a sentence; NULL if it does.  May connect to the source a second
 * time.  Sets source->started, and moves stream->applied_lsn (in memory, not in
 * the table) back to the point from which nothing more is known of the source.
 */
extern char *witness_problem(Source *source, Stream *stream, const TaskSet *set,
							 const SourceSlot *slot);

/* Set source->started, for a new stream. */
extern void witness_begin(Source *source);

/*
 * Let the stream bring a transaction from after the copies of its tables, if
 * none has arrived yet.
 */
extern void witness_mark(const Source *source, const Stream *stream, const TaskSet *set);

/* Is there a copy newer than the last recorded transaction? */
extern bool witness_wanted(const Stream *stream, const TaskSet *set);

#endif /* DEPIPE_LOAD_WITNESS_H */
