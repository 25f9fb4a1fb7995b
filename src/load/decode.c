/*-------------------------------------------------------------------------
 *
 * decode.c
 *		Messages of pgoutput.
 *
 * The messages of a transaction stand between its BEGIN and its COMMIT. A table
 * is described before its first change, and again after it changed.  Rows are
 * left in place: each load that takes them reads them into its columns
 * (take.c).
 *
 *-------------------------------------------------------------------------
 */
#include "load/decode.h"

#include "catalog/pg_class.h"
#include "libpq/pqformat.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

/* A flag of a column in a relation message. */
#define RELATION_COLUMN_IN_IDENTITY 1

void
decode_begin(Decoder *decoder, const Connection *connection, MemoryContext context,
			 XLogRecPtr position)
{
	HASHCTL control = {0};

	if (decoder->context != NULL)
		MemoryContextDelete(decoder->context);
	*decoder = (Decoder){.connection = connection, .end = position};
	decoder->context = AllocSetContextCreate(context,
											 "depipe source relations",
											 ALLOCSET_SMALL_SIZES);
	control.keysize = sizeof(LogicalRepRelId);
	control.entrysize = sizeof(SourceRelation);
	control.hcxt = decoder->context;
	decoder->relations =
		hash_create("depipe source relations", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* ---- relations ---- */

SourceRelation *
decode_relation(Decoder *decoder, LogicalRepRelId id)
{
	if (decoder->last == NULL || decoder->last->id != id)
		decoder->last = hash_search(decoder->relations, &id, HASH_FIND, NULL);
	return decoder->last;
}

/*
 * Read the columns of a relation message as logicalrep_read_attrs() does.  The
 * server's own function would convert names from the encoding of this session's
 * client.
 */
static void
read_columns(const Connection *connection, SourceRelation *relation, StringInfo message)
{
	int count = pq_getmsgint(message, 2);

	relation->names = NIL;
	relation->types = NIL;
	relation->identity = NIL;
	for (int i = 0; i < count; i++)
	{
		bool in_identity = (pq_getmsgbyte(message) & RELATION_COLUMN_IN_IDENTITY) != 0;
		char *name = connection_text(connection, pq_getmsgrawstring(message), NULL);

		relation->names = lappend(relation->names, name);
		relation->types = lappend_oid(relation->types, pq_getmsgint(message, 4));
		(void) pq_getmsgint(message, 4); /* typmod */
		if (in_identity)
			relation->identity = lappend(relation->identity, name);
	}
}

/* The server's own function converts names from the encoding of this session's client. */
static SourceRelation *
read_relation(Decoder *decoder, StringInfo message)
{
	LogicalRepRelId id = pq_getmsgint(message, 4);
	bool found;
	SourceRelation *relation = hash_search(decoder->relations, &id, HASH_ENTER, &found);
	MemoryContext old;

	if (found)
		MemoryContextReset(relation->context);
	else
		relation->context = AllocSetContextCreate(decoder->context,
												  "depipe source relation",
												  ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(relation->context);
	relation->schema_name = connection_text(decoder->connection, pq_getmsgrawstring(message), NULL);
	if (relation->schema_name[0] == '\0')
		relation->schema_name = "pg_catalog";
	relation->table_name = connection_text(decoder->connection, pq_getmsgrawstring(message), NULL);
	relation->full = pq_getmsgbyte(message) == REPLICA_IDENTITY_FULL;
	read_columns(decoder->connection, relation, message);
	relation->takers = NIL;
	MemoryContextSwitchTo(old);
	decoder->last = NULL;
	return relation;
}

/* ---- transactions ---- */

static void
read_begin(Decoder *decoder, StringInfo message)
{
	LogicalRepBeginData begin;

	logicalrep_read_begin(message, &begin);
	decoder->in_transaction = true;
	decoder->commit_lsn = begin.final_lsn;
	decoder->commit_time = begin.committime;
	decoder->commit_xid = begin.xid;
}

static void
read_commit(Decoder *decoder, StringInfo message)
{
	LogicalRepCommitData commit;

	logicalrep_read_commit(message, &commit);
	decoder->in_transaction = false;
	decoder->end = commit.end_lsn;
	decoder->time = commit.committime;
	decoder->last_commit =
		(SourceCommit){decoder->commit_lsn, commit.end_lsn, decoder->commit_xid, commit.committime};
}

/* ---- messages ---- */

void
decode_message(Decoder *decoder, StringInfo message, Decoded *decoded)
{
	bool cascade;
	bool restart_sequences;

	decoded->action = pq_getmsgbyte(message);
	switch (decoded->action)
	{
		case LOGICAL_REP_MSG_INSERT:
		case LOGICAL_REP_MSG_UPDATE:
		case LOGICAL_REP_MSG_DELETE:
			decoded->relation = decode_relation(decoder, pq_getmsgint(message, 4));
			decoded->data = message->data + message->cursor;
			decoded->data_end = message->data + message->len;
			break;
		case LOGICAL_REP_MSG_BEGIN:
			read_begin(decoder, message);
			break;
		case LOGICAL_REP_MSG_COMMIT:
			read_commit(decoder, message);
			break;
		case LOGICAL_REP_MSG_TRUNCATE:
			decoded->relids = logicalrep_read_truncate(message, &cascade, &restart_sequences);
			break;
		case LOGICAL_REP_MSG_RELATION:
			decoded->relation = read_relation(decoder, message);
			break;
		default:
			/* types, origins, messages: ignored */
			break;
	}
}
