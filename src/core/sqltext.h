/*-------------------------------------------------------------------------
 *
 * sqltext.h
 *		The only place that turns names and values into SQL text.
 *
 * Values are passed as parameters.  Where SQL text must be built (identifiers,
 * literals inside a stored expression), only these functions build it.  No
 * '%s' stands inside quotes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CORE_SQLTEXT_H
#define DEPIPE_CORE_SQLTEXT_H

#include "depipe.h"
#include "lib/stringinfo.h"

/* The quoted identifier: palloc'd, or the argument itself. */
extern const char *sql_identifier(const char *name);

/* The quoted name schema.table. */
extern char *sql_table(const char *schema_name, const char *table_name);

/* The quoted name schema.table of an existing relation.  Raises 42P01 if there is none. */
extern char *sql_relation(Oid relid);

/* The quoted literal. */
extern char *sql_literal(const char *value);

/*
 * The qualified name of a type.  typmod -1 means any length; for "bit" and
 * "character" this needs the quoted names, because the unquoted ones mean a
 * length of one.
 */
extern char *sql_type(Oid type, int32 typmod);

/*
 * Append "prefix.col, prefix.col, ..." for the columns of a descriptor,
 * without dropped ones.  prefix may be NULL.
 */
extern void sql_append_columns(StringInfo buf, TupleDesc desc, const char *prefix);

/*
 * Append a condition that is true if the key columns of both sides are equal
 * or both NULL: "a.x = b.x AND ..." if not_null, else "a.x IS NOT DISTINCT
 * FROM b.x AND ...".  The planner can use the former for a hash or merge join.
 * The operators are the schema-qualified default equality of the columns'
 * types.  Raises 0A000 if a type has none.
 */
extern void sql_append_match(StringInfo buf, TupleDesc desc, int nkeys, const AttrNumber *keys,
							 const char *left, const char *right, bool not_null);

/*
 * Parse 'table' or 'schema.table' as regclass would, but do not require that
 * the table exists.  An unqualified name of an existing table takes its schema
 * from the search path.  Otherwise the schema is the one in which CREATE TABLE
 * would create the table.  Raises 22023 for an empty or malformed name, 0A000
 * for a name with a database part.
 */
extern void parse_table_name(const char *name, char **schema_name, char **table_name);

/*
 * The elements of a text[] as a list of C strings.  Raises 22004 for a NULL
 * element.  argument: its name, for the message.
 */
extern List *text_array_to_list(ArrayType *array, const char *argument);

/* Are two C strings equal, or both NULL? */
extern bool same_text(const char *a, const char *b);

/* Are two lists of C strings equal? */
extern bool equal_texts(List *a, List *b);

/* A list of C strings as a text[]; NULL for NIL. */
extern ArrayType *list_to_text_array(List *strings);

/*
 * A value for a line of key=value pairs: unchanged, or in double quotes with
 * backslash escapes if it would otherwise be ambiguous.
 */
extern char *log_value(const char *text);

#endif /* DEPIPE_CORE_SQLTEXT_H */
