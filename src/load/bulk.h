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

/* Tries, times 0.1 s, to take the slot: our last connection may be just ending. */
#define SLOT_TRIES 50

/* A bite of the log. */
typedef struct Bulk
{
	XLogRecPtr end; /* it has all that committed before */
	bool begun;     /* the header of its rows has been read */
} Bulk;

/*
 * Is there so much to read, up to stop, that a bite is worth it?  flushed: the
 * end of our own log that must be safe before the slot may be moved.
 */
extern bool bulk_is_better(Connection *connection, const Source *source, const Stream *stream,
						   XLogRecPtr stop, XLogRecPtr flushed);

/* Move the slot to the position of the stream, and begin a bite from there. */
extern void bulk_start(Bulk *bulk, Connection *connection, const Stream *stream, XLogRecPtr stop,
					   bool binary);

/*
 * A row that was received is one message of pgoutput; false when it is none
 * (the header or the trailer of the rows).
 */
extern bool bulk_message(Bulk *bulk, char *buffer, int length, StringInfo message);

#endif /* DEPIPE_LOAD_BULK_H */
