/*-------------------------------------------------------------------------
 *
 * captures.h
 *		Statements on captures and their change tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CATALOG_CAPTURES_H
#define DEPIPE_CATALOG_CAPTURES_H

#include "catalog/statement.h"

/* ---- captures ---- */

/* columns of captures_select() */
#define CAPTURE_ID 1
#define CAPTURE_RELID 2
#define CAPTURE_INCARNATION 3
#define CAPTURE_REASON 4
#define CAPTURE_SEGMENT_1 5
#define CAPTURE_SEGMENT_2 6
#define CAPTURE_CURRENT 7
#define CAPTURE_COLUMNS 8
#define CAPTURE_MEMBERS 9
#define CAPTURE_FILES 10
#define CAPTURE_TRIGGERS 11
#define CAPTURE_RELIDS 12  /* OIDs of the members */
#define CAPTURE_IS_USED 13 /* by the target given to captures_select() */
#define CAPTURE_SINCE_XID 14
#define CAPTURE_READS_ALL 15
#define CAPTURE_READS 16
#define CAPTURE_USE_READS_ALL 17
#define CAPTURE_USE_READS 18
#define CAPTURE_HAS_SHRUNK 19
#define CAPTURE_HAS_EXCESS 20

/* A set of columns of an input */
typedef struct ReadColumns
{
	bool all;
	List *names; /* column names; unused if all is true */
} ReadColumns;

/* Returns the captures of these relations, and those whose use this transform has registered. */
extern CatalogRows *captures_select(List *relids, int32 target_id);

/* State of an input when an incarnation of its capture began */
typedef struct CaptureBasis
{
	char *columns;
	char *members;
	char *files;
	char *triggers;
	List *relids; /* OIDs of the members, starting with the input itself */
} CaptureBasis;

/* Returns all captures, with the same columns. */
extern CatalogRows *captures_select_all(void);

/*
 * Lock a relation until the commit, so that no concurrent transaction creates
 * or renews its capture.
 */
extern void capture_lock(Oid relid);

/*
 * Returns true if another transaction that has been open for at least this
 * time holds a lock on the table that conflicts with ShareRowExclusiveLock.
 * This includes prepared transactions, of any age.
 */
extern bool table_is_held_long(Oid relid, int milliseconds);

/* Create a capture of these columns, with its change tables.  Returns its id. */
extern int64 capture_create(Oid relid, const CaptureBasis *basis, const ReadColumns *reads);

/* Begin another incarnation.  reason: why the last one ended. */
extern void capture_renew(int64 capture_id, const CaptureBasis *basis, const ReadColumns *reads,
						  const char *reason);

/* Set the captured columns to these, which include the present ones. */
extern void capture_widen(int64 capture_id, const ReadColumns *reads);

/*
 * Restrict the captured columns to those that registered uses read.  From then
 * on, a capture that needs more columns is renewed, not widened.
 */
extern void capture_shrink(int64 capture_id);

/*
 * Get the columns that are captured now, read in the way of
 * capture_of_member().  Returns false if the capture does not exist any more.
 */
extern bool capture_reads_now(int64 capture_id, ReadColumns *reads);

/*
 * Begin another incarnation of all captures.  The recorded state of their
 * inputs does not change.
 */
extern void captures_renew_all(const char *reason);

/* End the use of all captures except these (ids, int64 *) by a transform. */
extern void captures_set_used(int32 target_id, List *capture_ids);

/* Register the use of a capture by a transform that reads these columns. */
extern void capture_set_use(int64 capture_id, int32 target_id, const ReadColumns *reads);

/* Returns true if the capture of another relation has one of these tables as a member. */
extern bool capture_has_members(Oid relid, List *members);

/*
 * Delete captures that no transform uses or whose table was dropped.  Returns
 * the OIDs of their members.
 */
extern List *captures_delete_unused(void);

/*
 * Returns triggers of captures on tables that are not members of any capture.
 * Columns: OID of the trigger, OID of the table.
 */
extern CatalogRows *captures_select_stray_triggers(void);

/* Returns the OIDs of change tables that belong to no capture. */
extern CatalogRows *captures_select_stray_tables(void);

/* ---- change tables ---- */

/* Empty a change table, which the caller has locked.  The caller has to write the sentinel. */
extern void capture_truncate(Oid segment);

/* Drop a change table, which the caller has locked. */
extern void capture_drop_table(Oid segment);

/* Make a change table (1 or 2) current: writers use it from now on. */
extern void capture_set_current(int64 capture_id, int current);

/*
 * Returns the frontiers of the transforms that rely on this incarnation of a
 * capture.  Columns: FRONTIER_SNAPSHOT (text), FRONTIER_XID (text),
 * FRONTIER_SEQUENCE.
 */
#define FRONTIER_SNAPSHOT 1
#define FRONTIER_XID 2
#define FRONTIER_SEQUENCE 3
extern CatalogRows *capture_select_frontiers(int64 incarnation);

/*
 * Get the change tables of the capture that has this table as a member, the
 * current one first, and the columns that it captures (palloc'd).  Returns
 * false if there is no such capture.  The capture is read like a system
 * catalog, independent of the snapshot of the transaction and of the
 * privileges of the user.
 */
extern bool capture_of_member(Oid relid, Oid segments[2], ReadColumns *reads);

/*
 * Returns a trigger function of depipe, or InvalidOid if this version of the
 * extension does not have it.
 */
extern Oid trigger_function(const char *name);

/* Returns the function of the triggers on captured tables. */
#define capture_function() trigger_function("capture_changes")

#endif /* DEPIPE_CATALOG_CAPTURES_H */
