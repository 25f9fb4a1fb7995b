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
 * Copy all new tables, small ones first.  Needs a transaction without an xid if
 * the source is this cluster.  In a procedure each table is committed.
 */
extern void copy_new_tables(LoadSession *session);

/* Mark them, for a process that copies beside the stream. */
extern void copy_mark_tables(LoadSession *session);

/* The reason of a run whose table another session is copying. */
#define COPIED_ELSEWHERE "another session is copying the table"

/* The lock that is held during the copy of a table, against copies by other sessions. */
extern LOCKTAG copy_lock_tag(int32 target_id);

/* Take it until the transaction ends. Returns false if another session is copying the table. */
extern bool copy_claim(int32 target_id);

/*
 * Open a snapshot of the source for the session, in its memory context.  Raises
 * the errors of snapshot_open().
 */
extern SourceSnapshot *copy_open_snapshot(LoadSession *session);

/*
 * Copy and publish these tasks in this transaction, from one snapshot, which is
 * opened if it is NULL. It is closed after an error while reading.
 */
extern void copy_together(LoadSession *session, List *tasks, SourceSnapshot **snapshot);

#endif /* DEPIPE_LOAD_COPY_H */
