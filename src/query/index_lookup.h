/*-------------------------------------------------------------------------
 *
 * index_lookup.h
 *		Indexes that find rows by an expression of their columns.
 *
 * In the expressions only the columns matter, not which entry of a range table
 * their variables name.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUERY_INDEX_LOOKUP_H
#define DEPIPE_QUERY_INDEX_LOOKUP_H

#include "depipe.h"
#include "nodes/nodes.h"

/* Has the relation an index that begins with the expression? */
extern bool index_finds(Oid relid, Node *expression);

/* The expression as text. */
extern char *index_expression_text(Oid relid, Node *expression);

/* "CREATE INDEX ON table (expression);" */
extern char *index_statement(Oid relid, Node *expression);

#endif /* DEPIPE_QUERY_INDEX_LOOKUP_H */
