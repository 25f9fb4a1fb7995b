/*-------------------------------------------------------------------------
 *
 * querytext.h
 *		SQL text of analysed trees, proved to mean the same.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUERYTEXT_H
#define DEPIPE_QUERYTEXT_H

#include "depipe.h"
#include "nodes/parsenodes.h"

/* How trees of one kind become texts, and texts trees. */
typedef struct TextMethods
{
	/* argument: what query_text() was called with; the tree may be changed */
	char *(*deparse)(Node *tree, bool prefixed, void *argument);
	Node *(*analyse)(const char *sql, void *argument);
} TextMethods;

/*
 * The text of a tree, such that its analysis gives the same tree again.  To be
 * called under the search_path and settings under which the text will be run.
 * NULL when there is no such text; then problem says why, as a sentence.
 */
extern char *querytext_prove(Node *tree, const TextMethods *methods, void *argument,
							 char **problem);

/* The same for a query of its own. */
extern char *querytext_of_query(const Query *query, char **problem);

/* Raise 0A000: what ("query of a transform") has no text that means the same. */
PG_ATTRIBUTE_NORETURN_COMPAT extern void querytext_refuse(const char *what, const char *problem);

/* Do two trees mean the same, whatever their names of tables and columns are? */
extern bool querytext_same(const Node *one, const Node *other);

#endif /* DEPIPE_QUERYTEXT_H */
