/*-------------------------------------------------------------------------
 *
 * sqltext.h
 *		The one place that turns names and values into SQL text.
 *
 * Values travel as parameters.  Where a text must be built (identifiers,
 * literals inside an expression that is stored), it is built with these
 * functions only; a '%s' inside quotes is never written.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_SQLTEXT_H
#define DEPIPE_SQLTEXT_H

#include "depipe.h"
#include "lib/stringinfo.h"

/* Quoted identifier, always palloc'ed or the argument itself. */
extern const char *sql_identifier(const char *name);

/* Quoted schema.table. */
extern char *sql_table(const char *schema_name, const char *table_name);

/* Quoted schema.table of an existing relation; raises 42P01 when it is gone. */
extern char *sql_relation(Oid relid);

/* Quoted literal. */
extern char *sql_literal(const char *value);

/*
 * A type's qualified name.  typmod -1 means any length: "bit" and "character"
 * without their quotes would mean a length of one.
 */
extern char *sql_type(Oid type, int32 typmod);

/*
 * Append "prefix.col, prefix.col, ..." for the columns of a descriptor
 * (dropped ones left out); prefix may be NULL.
 */
extern void sql_append_columns(StringInfo buf, TupleDesc desc, const char *prefix);

/*
 * Append a comparison of two sides' columns that is true when they are equal
 * or both NULL, and which the planner can use for a hash or merge join when
 * the columns are not nullable: "a.x = b.x AND ..." when not_null, else
 * "a.x IS NOT DISTINCT FROM b.x AND ...".  The operators are those of the
 * columns' default equality, schema-qualified.
 */
extern void sql_append_match(StringInfo buf, TupleDesc desc, int nkeys, const AttrNumber *keys,
							 const char *left, const char *right, bool not_null);

/*
 * Parse 'table' or 'schema.table' as regclass would, without requiring that
 * the table exists.  An unqualified name that exists on the search path takes
 * its schema from there; one that does not exist takes the schema in which
 * CREATE TABLE would put it.  Raises 22023 for an empty or malformed name,
 * 0A000 for a name with a database part.
 */
extern void parse_table_name(const char *name, char **schema_name, char **table_name);

/* Elements of a text[] as a List of C strings; raises 22004 on a NULL element. */
extern List *text_array_to_list(ArrayType *array, const char *argument);

/* Are two lists of C strings the same? */
extern bool equal_texts(List *a, List *b);

/* A text[] of a list of C strings; NULL for NIL. */
extern ArrayType *list_to_text_array(List *strings);

/*
 * A value for a line of key=value pairs: as it is, or in double quotes with
 * backslash escapes where a reader of such lines would be lost.
 */
extern char *log_value(const char *text);

#endif /* DEPIPE_SQLTEXT_H */
