/*-------------------------------------------------------------------------
 *
 * stream.h
 *		The replication connection of a server: messages in, positions out.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_STREAM_H
#define DEPIPE_LOAD_STREAM_H

#include "load/bulk.h"
#include "load/source.h"

/* The stop of a stream that is followed. */
#define NO_STOP PG_UINT64_MAX

/* The command that is running on the connection. */
typedef enum TransportReading
{
	READING_NOTHING,
	READING_BULK,
	READING_STREAM
} TransportReading;

typedef struct Transport
{
	/* the range to read; set before the start */
	XLogRecPtr stop;
	TimestampTz stop_time; /* the clock of the source at that position */
	bool exact;            /* stop before the first transaction at or after the stop */

	/* while it is started */
	const Source *source;
	const Stream *stream;
	Connection *connection; /* NULL: not started */
	bool binary;            /* values are sent in binary form */
	long wait_ms;           /* for the next message */
	TransportReading reading;
	Bulk bulk;
	bool finished;        /* the stop was reached */
	bool drained;         /* nothing more was available at the last attempt */
	int run_length;       /* messages since we last waited */
	TimestampTz heard_at; /* something came last */
	XLogRecPtr flushed;   /* the end of our own WAL at the start */
	XLogRecPtr confirmed;
} Transport;

/*
 * Start to read after the position of the stream, through a new connection.
 * All arguments must live as long as the transport is started.  keep: the
 * connection survives a commit.
 */
extern void stream_start(Transport *transport, const Source *source, const Stream *stream,
						 bool binary, bool keep);

/*
 * The same through the connection that created the slot; afterwards,
 * repeatedly, on to a later stop.
 */
extern void stream_start_own(Transport *transport, const Source *source, const Stream *stream,
							 bool binary, Connection *connection);
extern void stream_go_on(Transport *transport, XLogRecPtr stop);

/* End the stream and close its connection, if it is open. */
extern void stream_stop(Transport *transport);

/* An error has closed the connection. */
extern void stream_forget(Transport *transport);

/* From now on the stream has no stop; the last batch reached the previous one. */
extern void stream_follow(Transport *transport);

/* Has it no stop? */
extern bool stream_is_followed(const Transport *transport);

typedef enum StreamNews
{
	STREAM_MESSAGE,  /* a message of pgoutput */
	STREAM_POSITION, /* everything committed before the position has been sent */
	STREAM_BITE_END, /* the same at the end of a bite; the slot must be advanced first */
	STREAM_SILENCE,  /* nothing arrived within the wait or, in a followed stream, at once */
	STREAM_AGAIN     /* nothing for the caller yet */
} StreamNews;

/*
 * Read the next event; the message is valid until the next call.
 * in_transaction: the commit of a transaction of the source is awaited.  Raises
 * 08006 if the source ends the stream.
 */
extern StreamNews stream_next(Transport *transport, bool in_transaction, StringInfo message,
							  XLogRecPtr *position);

/* Is there, or may there be, something to read without a wait? */
extern bool stream_has_input(const Transport *transport);

/* Wait for something to read, for the latch, or for the given time (-1: no limit). */
extern void stream_wait(Transport *transport, bool input, long timeout_ms);

/* Ask the source for a sign of life: a keepalive with its position. */
extern void stream_ping(const Transport *transport);

/* Report to the source that everything before this position is durable here. */
extern void stream_confirm(Transport *transport, XLogRecPtr position);

/* The command that starts a stream after this position. version: that of the source. */
extern char *stream_start_command(int version, const Stream *stream, XLogRecPtr position,
								  bool binary);

#endif /* DEPIPE_LOAD_STREAM_H */
