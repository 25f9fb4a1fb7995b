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

/* A table of the source, as its last relation message describes it. */
typedef struct SourceRelation
{
	LogicalRepRelId id;    /* hash key */
	MemoryContext context; /* of the rest: the source sends it again now and then */
	const char *schema_name;
	const char *table_name;
	List *names;
	List *types;    /* OIDs at the source */
	List *identity; /* names of the columns that old images have */
	bool full;      /* they have all of them, as they were */
	List *takers;   /* for take.c; in the same context */
} SourceRelation;

/* The position in the stream, and the tables that it has described. */
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
	SourceCommit last_commit; /* the last one that was read; its lsn is 0 when none was */
	XLogRecPtr end;           /* all that committed before has been read */
	TimestampTz time;         /* commit time of the last transaction of the batch; 0: none */
} Decoder;

/* What a message says. */
typedef struct Decoded
{
	LogicalRepMsgType action;
	SourceRelation *relation; /* of a change: NULL when it was never described */
	char *data;               /* of a change: its rows */
	const char *data_end;
	List *relids; /* of a TRUNCATE */
} Decoded;

/* Begin at a position; the relations live in a child of the context. */
extern void decode_begin(Decoder *decoder, const Connection *connection, MemoryContext context,
						 XLogRecPtr position);

/* Read one message, in place; what it allocates is in the current context. */
extern void decode_message(Decoder *decoder, StringInfo message, Decoded *decoded);

/* A table that was described; NULL: it was not. */
extern SourceRelation *decode_relation(Decoder *decoder, LogicalRepRelId id);

#endif /* DEPIPE_LOAD_DECODE_H */
