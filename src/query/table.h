/*-------------------------------------------------------------------------
 *
 * table.h
 *		The table of a transform: its creation, its key, its guard.
 *
 * Everything is done as the owner of the target.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUERY_TABLE_H
#define DEPIPE_QUERY_TABLE_H

#include "query/shape.h"
#include "query/transform.h"

/* Make a table with these columns. */
extern void table_make(const char *schema_name, const char *table_name, TupleDesc columns,
					   Oid owner);

/*
 * The reason why the table cannot hold these columns, as a sentence; NULL if it
 * can.  The columns must be the same by name and type, in any order; generated
 * columns of the table are ignored.  The result is allocated in the current
 * memory context.
 */
extern char *table_difference(Oid relid, TupleDesc columns);

/* Do the columns include all columns of the table unchanged, and others? */
extern bool table_only_adds(Oid relid, TupleDesc columns);

/* The check of table_difference() for a refresh: raises 42804. */
extern void table_check_columns(const Transform *transform, const Shape *shape);

/* Does a foreign key point at the table? */
extern bool table_is_referenced(Oid relid);

/*
 * Give the table these columns: add and drop columns, and change the types of
 * others, in place if their values can be cast.  A NOTICE reports the indexes
 * that are dropped with columns.
 */
extern void table_change_columns(const Target *target, TupleDesc columns);

/* Is there a unique index on these columns, with equal NULLs? True for no columns. */
extern bool table_has_key(const Target *target, List *key);

/* Create a unique index, NULLS NOT DISTINCT, on these columns unless a suitable one exists. */
extern void table_make_key(const Target *target, List *key);
extern void table_drop_key(const Target *target, List *key);

/* Is there such an index that depipe created, on the columns themselves? */
extern bool table_key_is_plain(const Target *target, List *key);

/* Replace it with one on a hash of the columns, which may be of any length. */
extern void table_hash_key(const Target *target, List *key);

/* Create the trigger that refuses direct changes, if it is missing. */
extern void table_ensure_guard(const Target *target);

/* Drop that trigger, if it exists. */
extern void table_drop_guard(const Target *target);

/*
 * Drop the table, with RESTRICT, as the owner of the target.  Raises 2BP01 if
 * other objects depend on it.
 */
extern void table_drop(const Target *target);

#endif /* DEPIPE_QUERY_TABLE_H */
