/*-------------------------------------------------------------------------
 *
 * apply.h
 *		Writing deltas to their targets.  Private to publish.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_PUBLISH_APPLY_H
#define DEPIPE_PUBLISH_APPLY_H

#include "publish/publish.h"
#include "publish/triggers.h"

/* How a keyed delta is written. */
typedef enum ApplyMode
{
	APPLY_MERGE,  /* MERGE */
	APPLY_REPLACE /* take out every key of the delta, then insert: after a conflict between rows */
} ApplyMode;

typedef struct ApplyTable
{
	Target *target;
	Delta *delta;
	Run *run;
	ApplyMode mode;
	bool referenced;  /* it has or may have foreign keys or triggers: see apply_order */
	bool pointed_at;  /* foreign keys point at it or at a partition of it */
	bool all_columns; /* the delta has all of its columns */
	bool late;        /* foreign keys are checked when all tables are written: asked by publish */
	char *saved;      /* relation with the rows that the delta's keys had, or NULL */
	List *relids;     /* of the table and its partitions */
	bool open_partitions; /* rows must not be routed to partitions that nobody has looked at */
	bool has_children;    /* partitions or others that inherit from it */
	bool bag_by_hash;     /* of a bag: deleted rows are met by the hash of the row */
	int bag_column;       /* of a bag: number of a column that leads an index, or 0 */
	List *key_order; /* numbers of the key's columns in the order of an index on them, or NIL */
} ApplyTable;

/* Fill in what is not asked by publish. */
extern void apply_prepare(ApplyTable *table);

/*
 * Order the tables so that a table comes after those that its foreign keys
 * reference; a list of ApplyTable.
 */
extern List *apply_order(List *tables);

/*
 * Write all of them: tables emptied from the last to the first, new images
 * from the first to the last, deletions from the last to the first.
 * *current is the table being written, for the attribution of an error.
 */
extern void apply_all(List *tables, Snapshot snapshot, ApplyTable **current);

/* One statement as the owner; skip: triggers of foreign keys to be left out (SKIP_*). */
extern void apply_uncounted(ApplyTable *table, const char *sql, int skip, Snapshot snapshot);

/* Is the column (from 0) of the delta GENERATED ALWAYS AS IDENTITY? */
extern bool apply_is_always_identity(Delta *delta, int column);

/*
 * Verify what rows that are not written say of their keys; the delta is not
 * registered.  Raises as apply_all() does where it is not so.
 */
extern void apply_check_keys(Target *target, Delta *delta, Snapshot snapshot);

/*
 * Why a key of the delta was found against what its changes say, when the last
 * error was that; else NULL.  Asked once.
 */
extern const char *apply_unexpected(void);

#endif /* DEPIPE_PUBLISH_APPLY_H */
