/*-------------------------------------------------------------------------
 *
 * execute.h
 *		Execution of the statements that write a target.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_PUBLISH_EXECUTE_H
#define DEPIPE_PUBLISH_EXECUTE_H

#include "catalog/runs.h"
#include "catalog/target.h"
#include "delta/delta.h"
#include "publish/triggers.h"
#include "tcop/dest.h"
#include "utils/snapshot.h"

/* How a keyed delta is written. */
typedef enum ApplyMode
{
	APPLY_MERGE,  /* MERGE */
	APPLY_REPLACE /* delete every key of the delta, then insert: after a conflict between rows */
} ApplyMode;

typedef struct ApplyTable
{
	Target *target;
	Delta *delta;
	Run *run;
	ApplyMode mode;
	bool referenced;  /* has or may have foreign keys or triggers: see apply_order */
	bool pointed_at;  /* foreign keys refer to it or to a partition of it */
	bool all_columns; /* the delta has all of its columns */
	bool late;        /* set by publish: foreign keys are checked after all tables are written */
	char *saved;      /* relation with the rows that the delta's keys had, or NULL */
	List *relids;     /* of the table and its partitions */
	bool open_partitions; /* rows must not be routed to partitions that were not examined */
	bool has_children;    /* has partitions or other children */
	bool bag_by_hash;     /* of a bag: deleted rows are found by the hash of the row */
	int bag_column;       /* of a bag: number of a column that leads an index, or 0 */
	int64 written;        /* rows that statements of publish wrote: counted for histories */
	List *key_order;      /* numbers of the key columns in the order of an index on them, or NIL */
} ApplyTable;

/*
 * Run one statement that reads the delta of a table.  snapshot: its snapshot,
 * NULL for a fresh one.  Raises the errors of the statement.
 */
extern void execute_statement(const ApplyTable *table, const char *sql, Snapshot snapshot);

/*
 * Run one statement that writes the table, as the owner of the target.  skip:
 * triggers of foreign keys to leave out (SKIP_*).  Its time is added to the run,
 * if there is one.
 */
extern void execute_uncounted(ApplyTable *table, const char *sql, int skip, Snapshot snapshot);

/* The same for a table with a run, which counts the rows. A late table skips more triggers. */
extern void execute_skipping(ApplyTable *table, const char *sql, int skip, Snapshot snapshot);
extern void execute_counted(ApplyTable *table, const char *sql, Snapshot snapshot);

/*
 * Read the target and its delta under the active snapshot and what this transaction
 * has done since, as the owner of the target; the receiver gets the rows.
 */
extern void execute_reading(const ApplyTable *table, const char *sql, DestReceiver *receiver);

/*
 * The rows that this transaction has written to the table and its partitions so far,
 * by the server's own statistics, which publish's statements and all that they lead to
 * are counted in.
 */
typedef struct Written
{
	int64 inserted;
	int64 updated;
	int64 deleted;
} Written;

extern Written execute_written_so_far(Oid relid);

/* The triggers of foreign keys (SKIP_*) that all statements on the table leave out. */
extern int execute_skips(const ApplyTable *table);

#endif /* DEPIPE_PUBLISH_EXECUTE_H */
