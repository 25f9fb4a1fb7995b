/*-------------------------------------------------------------------------
 *
 * table.h
 *		The table of a transform: its creation, its key, its guard.
 *
 * All changes are made as the owner of the target.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUERY_TABLE_H
#define DEPIPE_QUERY_TABLE_H

#include "query/shape.h"
#include "query/transform.h"

/* Create a table with these columns, as the given owner.  Raises the errors of CREATE TABLE. */
extern void table_make(const char *schema_name, const char *table_name, TupleDesc columns,
					   Oid owner);

/*
 * Returns the reason why the table cannot hold these columns, as a sentence,
 * or NULL if it can.  The columns must have the same names and types, in any
 * order.  Generated columns of the table are ignored.  The result is allocated
 * in the current memory context.
 */
extern char *table_difference(Oid relid, TupleDesc columns);

/*
 * Do the columns include all columns of the table with the same types?
 * Generated columns of the table are ignored.
 */
extern bool table_only_adds(Oid relid, TupleDesc columns);

/*
 * Raises 42804 if the table of the transform cannot hold the columns of the
 * query.  See table_difference().
 */
extern void table_check_columns(const Transform *transform, const Shape *shape);

#define OTHER_COLUMNS "query and table of transform "

/*
 * The message that the query and the table have other columns; begins with
 * OTHER_COLUMNS.  Palloc'd.
 */
extern char *table_why_other_columns(const Target *target);

/* Does a foreign key reference the table? */
extern bool table_is_referenced(Oid relid);

/*
 * Change the columns of the table to these.  Columns are added and dropped,
 * and their types are changed in place if the values can be cast.  A NOTICE
 * lists the indexes that are dropped with a column.
 */
extern void table_change_columns(const Target *target, TupleDesc columns);

/*
 * Does the table have a unique index on these columns that treats NULLs as
 * equal, or one on a hash of them?  True if the list is empty.
 */
extern bool table_has_key(const Target *target, List *key);

/* Create a unique index, NULLS NOT DISTINCT, on these columns, unless table_has_key() finds one. */
extern void table_make_key(const Target *target, List *key);

/* Drop the index on these columns that table_make_key() created.  Others are the user's. */
extern void table_drop_key(const Target *target, List *key);

/* Is the key an index on the columns themselves, not on a hash, that table_make_key() created? */
extern bool table_key_is_plain(const Target *target, List *key);

/* Replace the key by a unique index on a hash of the columns, which may have any length. */
extern void table_hash_key(const Target *target, List *key);

/* Create the triggers that refuse direct changes, if they are missing. */
extern void table_ensure_guard(const Target *target);

/* Drop these triggers, if they exist. */
extern void table_drop_guard(const Target *target);

/*
 * Drop the table, with RESTRICT, as the owner of the target.  Raises 2BP01 if
 * other objects depend on it.
 */
extern void table_drop(const Target *target);

#endif /* DEPIPE_QUERY_TABLE_H */
