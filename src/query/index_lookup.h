/*-------------------------------------------------------------------------
 *
 * index_lookup.h
 *		Indexes that find rows by an expression of their columns.
 *
 * In the expressions passed in, only the column numbers of Vars are used;
 * varno is ignored.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUERY_INDEX_LOOKUP_H
#define DEPIPE_QUERY_INDEX_LOOKUP_H

#include "depipe.h"
#include "nodes/nodes.h"

/*
 * Does the relation have a valid, non-partial btree index that begins with the
 * expression?  The caller must hold a lock on the relation.
 */
extern bool index_finds(Oid relid, Node *expression);

/* Returns the expression as text. */
extern char *index_expression_text(Oid relid, Node *expression);

/* Returns the statement "CREATE INDEX ON table (expression);". */
extern char *index_statement(Oid relid, Node *expression);

#endif /* DEPIPE_QUERY_INDEX_LOOKUP_H */
