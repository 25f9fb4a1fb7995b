/*-------------------------------------------------------------------------
 *
 * captures.h
 *		Statements on the captures of inputs, and on their change tables.
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
#define CAPTURE_RELIDS 12  /* of the members */
#define CAPTURE_IS_USED 13 /* by the target of captures_select() */
#define CAPTURE_SINCE_XID 14
#define CAPTURE_READS_ALL 15
#define CAPTURE_READS 16
#define CAPTURE_USE_READS_ALL 17
#define CAPTURE_USE_READS 18
#define CAPTURE_HAS_SHRUNK 19
#define CAPTURE_HAS_EXCESS 20

/* Columns of an input. */
typedef struct ReadColumns
{
	bool all;
	List *names; /* unless all */
} ReadColumns;

/*
 * The captures of these relations, and those whose use this transform has
 * registered.
 */
extern CatalogRows *captures_select(List *relids, int32 target_id);

/* What an input was like when an incarnation of its capture began. */
typedef struct CaptureBasis
{
	char *columns;
	char *members;
	char *files;
	char *triggers;
	List *relids; /* the members, the input itself first */
} CaptureBasis;

/* All captures. */
extern CatalogRows *captures_select_all(void);

/* Keep others from making or renewing the capture of a relation until the commit. */
extern void capture_lock(Oid relid);

/*
 * Does a transaction that has been open for at least this time hold a lock on
 * the table that excludes ShareRowExclusiveLock?  One that is prepared, too.
 */
extern bool table_is_held_long(Oid relid, int milliseconds);

/* Make a capture of these columns with its change tables.  Returns its id. */
extern int64 capture_create(Oid relid, const CaptureBasis *basis, const ReadColumns *reads);

/* Begin another incarnation.  reason: why the one before ended. */
extern void capture_renew(int64 capture_id, const CaptureBasis *basis, const ReadColumns *reads,
						  const char *reason);

/* Capture more columns from now on. */
extern void capture_widen(int64 capture_id, const ReadColumns *reads);

/*
 * Capture only the columns that registered uses of it read.  From then on it is
 * not widened, but renewed.
 */
extern void capture_shrink(int64 capture_id);

/* The columns that are captured now, as capture_of_member() reads.  False: it is gone. */
extern bool capture_reads_now(int64 capture_id, ReadColumns *reads);

/* The same for all captures; what their inputs are like stays recorded. */
extern void captures_renew_all(const char *reason);

/* End the use of all captures but these (ids, int64 *) by a transform. */
extern void captures_set_used(int32 target_id, List *capture_ids);

/* Register the use of a capture by a transform that reads these columns. */
extern void capture_set_use(int64 capture_id, int32 target_id, const ReadColumns *reads);

/* Does another capture have one of these tables as a member? */
extern bool capture_has_members(Oid relid, List *members);

/* Delete captures that no transform uses any more.  Returns the OIDs of their members. */
extern List *captures_delete_unused(void);

/* Triggers of captures on tables that no capture has: trigger, table.  As rows of OIDs. */
extern CatalogRows *captures_select_stray_triggers(void);

/* Change tables that no capture has, as rows of OIDs. */
extern CatalogRows *captures_select_stray_tables(void);

/* ---- change tables ---- */

/* Empty a change table, which the caller has locked; the sentinel is left to write. */
extern void capture_truncate(Oid segment);

/* Drop a change table, which the caller has locked. */
extern void capture_drop_table(Oid segment);

/* Let writers write to the other change table from now on. */
extern void capture_set_current(int64 capture_id, int current);

/*
 * The frontiers of the transforms that count on this incarnation of a capture:
 * columns FRONTIER_SNAPSHOT (text), FRONTIER_XID (text), FRONTIER_SEQUENCE.
 */
#define FRONTIER_SNAPSHOT 1
#define FRONTIER_XID 2
#define FRONTIER_SEQUENCE 3
extern CatalogRows *capture_select_frontiers(int64 incarnation);

/*
 * The change tables of the capture that has this member, the current one
 * first, and the columns that it captures (palloc'd).  Read as a system catalog
 * is, whatever the transaction's snapshot and whoever the user.  Returns false
 * when there is none.
 */
extern bool capture_of_member(Oid relid, Oid segments[2], ReadColumns *reads);

/* A trigger function of depipe's; InvalidOid: this version of the extension has none. */
extern Oid trigger_function(const char *name);

/* That of the triggers on captured tables. */
#define capture_function() trigger_function("capture_changes")

#endif /* DEPIPE_CATALOG_CAPTURES_H */
