/*-------------------------------------------------------------------------
 *
 * checked_query.h
 *		Queries of users as parts of checks.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_CHECKED_QUERY_H
#define DEPIPE_QUALITY_CHECKED_QUERY_H

#include "depipe.h"
#include "nodes/pg_list.h"

/* A column that a query returns. */
typedef struct QueryColumn
{
	char *name;
	Oid type;
	Oid collation;
} QueryColumn;

/*
 * Analyse a query under the current search_path and return its text for the pinned one,
 * in the current memory context.  *columns gets a list of QueryColumn.  Raises 22023
 * unless it is one SELECT, 42P17 for volatile functions, 0A000 for locks, statements that
 * write, and a query of which no text has the same meaning under the pinned search_path,
 * and the errors of the server's analysis.
 */
extern char *checked_query(const char *text, List **columns);

/* Check only the grammar. */
extern void checked_query_syntax(const char *text);

#endif /* DEPIPE_QUALITY_CHECKED_QUERY_H */
