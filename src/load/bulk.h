/*-------------------------------------------------------------------------
 *
 * bulk.h
 *		Reading a backlog of the slot as the result of a query.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_BULK_H
#define DEPIPE_LOAD_BULK_H

#include "load/source.h"

/*
 * Number of attempts, at intervals of 0.1 s, to acquire the slot: our last
 * connection may still be ending.
 */
#define SLOT_TRIES 50

/* A bite of the log. */
typedef struct Bulk
{
	XLogRecPtr end; /* it has all that committed before */
	bool begun;     /* the header of its rows has been read */
} Bulk;

/*
 * Is there enough to read, up to stop, to justify a bite?  flushed: the end of
 * our own WAL that must be safe before the slot may be advanced.
 */
extern bool bulk_is_better(Connection *connection, const Source *source, const Stream *stream,
						   XLogRecPtr stop, XLogRecPtr flushed);

/* Advance the slot to the position of the stream, and begin a bite from there. */
extern void bulk_start(Bulk *bulk, Connection *connection, const Stream *stream, XLogRecPtr stop,
					   bool binary);

/*
 * Turn a received row into one message of pgoutput.  Returns false for the
 * header and the trailer of the rows.
 */
extern bool bulk_message(Bulk *bulk, char *buffer, int length, StringInfo message);

#endif /* DEPIPE_LOAD_BULK_H */
