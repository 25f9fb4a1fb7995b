/*-------------------------------------------------------------------------
 *
 * copy.h
 *		Initial copy and resync of tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_COPY_H
#define DEPIPE_LOAD_COPY_H

#include "load/session.h"
#include "storage/lock.h"

/*
 * Copy all tables that are new, small ones first; needs no xid when the source
 * is this cluster.  In a procedure each is committed.
 */
extern void copy_new_tables(LoadSession *session);

/* Mark them, for a process that copies beside the stream. */
extern void copy_mark_tables(LoadSession *session);

/* The reason of a run whose table another session copies. */
#define COPIED_ELSEWHERE "another session copies the table"

/*
 * A connection that reads the source as of a consistent point: that of a
 * temporary slot, whose snapshot its transaction uses.
 */
typedef struct CopySource
{
	Connection *connection;
	char *name;          /* of its slot */
	XLogRecPtr position; /* transactions that committed before are seen */
	TimestampTz opened_at;
} CopySource;

/* The lock that is held while a table is copied: nobody else copies it then. */
extern LOCKTAG copy_lock_tag(int32 target_id);

/* Take it until the transaction ends; false when another session copies the table. */
extern bool copy_claim(int32 target_id);

/* Raises 55P03 when a transaction of the source has been waited for too long. */
extern CopySource *copy_source_open(LoadSession *session);
extern void copy_source_close(CopySource *source);

/*
 * Copy and publish these tasks in this transaction, from one snapshot, which is
 * made when source is NULL.  After an error in its middle the source is closed.
 */
extern void copy_together(LoadSession *session, List *tasks, CopySource **source);

/* The transaction of the source that is waited for, as a reason. */
extern char *copy_waits_for(LoadSession *session);

/*
 * All rows of a task's table, in the given columns: into delta as new images,
 * or (NULL) into rows.  Returns their number.
 */
extern uint64 copy_rows(LoadSession *session, LoadTask *task, CopySource *source, TupleDesc columns,
						Delta *delta, Tuplestorestate *rows);

#endif /* DEPIPE_LOAD_COPY_H */
