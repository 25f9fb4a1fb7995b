/*-------------------------------------------------------------------------
 *
 * decode.h
 *		Messages of pgoutput.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_DECODE_H
#define DEPIPE_LOAD_DECODE_H

#include "catalog/loads.h"
#include "load/connection.h"
#include "replication/logicalproto.h"

/* A table of the source, as described by its last relation message. */
typedef struct SourceRelation
{
	LogicalRepRelId id;    /* hash key */
	MemoryContext context; /* of the message, which the source may send again unchanged */
	const char *schema_name;
	const char *table_name;
	List *names;
	List *types;    /* OIDs at the source */
	List *identity; /* names of the columns that old images have */
	bool full;      /* old images have all columns with their old values */
	List *takers;   /* for take.c; in the same context */
} SourceRelation;

/* The position in the stream, and the tables described so far. */
typedef struct Decoder
{
	const Connection *connection; /* whose encoding texts have */
	MemoryContext context;        /* of the relations */
	struct HTAB *relations;
	SourceRelation *last;
	bool in_transaction;
	XLogRecPtr commit_lsn; /* of the transaction that is read */
	TimestampTz commit_time;
	TransactionId commit_xid;
	SourceCommit last_commit; /* the last one read; its lsn is 0 if there was none */
	XLogRecPtr end;           /* all transactions committed before it have been read */
	TimestampTz time;         /* commit time of the last transaction of the batch; 0: none */
} Decoder;

/* What a message says. */
typedef struct Decoded
{
	LogicalRepMsgType action;
	SourceRelation *relation; /* of a change; NULL if it was never described */
	char *data;               /* of a change: its rows */
	const char *data_end;
	List *relids; /* of a TRUNCATE */
} Decoded;

/* Begin at a position. The relations live in a child of the memory context. */
extern void decode_begin(Decoder *decoder, const Connection *connection, MemoryContext context,
						 XLogRecPtr position);

/* Read one message, in place. Allocations are made in the current memory context. */
extern void decode_message(Decoder *decoder, StringInfo message, Decoded *decoded);

/* The described table with this OID; NULL if there is none. */
extern SourceRelation *decode_relation(Decoder *decoder, LogicalRepRelId id);

#endif /* DEPIPE_LOAD_DECODE_H */
