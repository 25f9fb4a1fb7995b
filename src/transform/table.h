/*-------------------------------------------------------------------------
 *
 * table.h
 *		The table of a transform: making it, its key, its guard.
 *
 * Everything is done as the owner of the target.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_TRANSFORM_TABLE_H
#define DEPIPE_TRANSFORM_TABLE_H

#include "transform/shape.h"
#include "transform/transform.h"

/* Make a table with these columns. */
extern void table_make(const char *schema_name, const char *table_name, TupleDesc columns,
					   Oid owner);

/*
 * Why the table cannot hold these columns, as a sentence; NULL: it can.  The
 * columns must be the same by name and type, in any order; generated columns
 * of the table are its own affair.
 */
extern char *table_difference(Oid relid, TupleDesc columns);

/* Do the columns have all of the table's as they are, and more? */
extern bool table_only_adds(Oid relid, TupleDesc columns);

/* As table_difference() for a refresh, raising 42804. */
extern void table_check_columns(const Transform *transform, const Shape *shape);

/* Does a foreign key point at the table? */
extern bool table_is_referenced(Oid relid);

/*
 * Give the table these columns: adds, drops, and changes the types of others,
 * in place where their values can be cast.  A NOTICE says what goes with those
 * that are dropped.
 */
extern void table_change_columns(const Target *target, TupleDesc columns);

/* Is there a unique index on these columns, also for NULLs?  True for no columns. */
extern bool table_has_key(const Target *target, List *key);

/* A unique index, NULLS NOT DISTINCT, on these columns unless there is one that serves. */
extern void table_make_key(const Target *target, List *key);
extern void table_drop_key(const Target *target, List *key);

/* Is there such an index, of depipe's own, over the columns themselves? */
extern bool table_key_is_plain(const Target *target, List *key);

/* In place of it one over a hash of the columns, of any length. */
extern void table_hash_key(const Target *target, List *key);

/* The trigger that refuses direct changes: made when missing. */
extern void table_ensure_guard(const Target *target);
extern void table_drop_guard(const Target *target);

extern void table_drop(const Target *target);

#endif /* DEPIPE_TRANSFORM_TABLE_H */
