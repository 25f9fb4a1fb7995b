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
#include "load/snapshot.h"
#include "storage/lock.h"

/*
 * Copy all tables that are new, small ones first; needs no xid when the source
 * is this cluster.  In a procedure each is committed.
 */
extern void copy_new_tables(LoadSession *session);

/* Mark them, for a process that copies beside the stream. */
extern void copy_mark_tables(LoadSession *session);

/* The reason of a run whose table another session copies. */
#define COPIED_ELSEWHERE "another session is copying the table"

/* The lock that is held while a table is copied: nobody else copies it then. */
extern LOCKTAG copy_lock_tag(int32 target_id);

/* Take it until the transaction ends; false when another session is copying the table. */
extern bool copy_claim(int32 target_id);

/* A snapshot of the source for the session, in its context; raises as snapshot_open(). */
extern SourceSnapshot *copy_open_snapshot(LoadSession *session);

/*
 * Copy and publish these tasks in this transaction, from one snapshot, which is
 * opened when it is NULL.  After an error while it was read it is closed.
 */
extern void copy_together(LoadSession *session, List *tasks, SourceSnapshot **snapshot);

#endif /* DEPIPE_LOAD_COPY_H */
