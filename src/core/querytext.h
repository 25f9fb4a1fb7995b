/*-------------------------------------------------------------------------
 *
 * querytext.h
 *		SQL text of analysed trees, proved to have the same meaning.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CORE_QUERYTEXT_H
#define DEPIPE_CORE_QUERYTEXT_H

#include "depipe.h"
#include "nodes/parsenodes.h"

/* Conversion of one kind of trees to text and back. */
typedef struct TextMethods
{
	/* argument: that of querytext_prove(); deparse may change the tree */
	char *(*deparse)(Node *tree, bool prefixed, void *argument);
	Node *(*analyse)(const char *sql, void *argument);
} TextMethods;

/*
 * The text of a tree whose analysis yields the same tree.  Must be called
 * under the search_path and settings that will be in force when the text runs.
 * Returns NULL if there is no such text, and then sets *problem to the reason,
 * as a sentence.
 */
extern char *querytext_prove(Node *tree, const TextMethods *methods, void *argument,
							 char **problem);

/* The text of a query, as querytext_prove() returns it. */
extern char *querytext_of_query(const Query *query, char **problem);

/*
 * Raise 0A000: no text of what (for example "query of a transform") has the
 * same meaning.  problem: the reason, as a sentence.
 */
PG_ATTRIBUTE_NORETURN_COMPAT extern void querytext_refuse(const char *what, const char *problem);

/*
 * Callback of an error context, with a text (const char *) that is a part of
 * the caller's statement: positions of errors are positions in this text.
 */
extern void querytext_show_position(void *text);

/* For ereport(): the error is at a location (a byte) of a text.  -1: it is not known. */
extern int querytext_error_at(const char *text, int location);

/* Do two trees have the same meaning, regardless of their names of tables and columns? */
extern bool querytext_same(const Node *one, const Node *other);

#endif /* DEPIPE_CORE_QUERYTEXT_H */
