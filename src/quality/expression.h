/*-------------------------------------------------------------------------
 *
 * expression.h
 *		Boolean SQL expressions over the columns of one table.
 *
 * Expressions come from users (satisfies, filters) or are built from checked
 * parts (values of a column's type, column names).  They are analysed once,
 * at definition, and stored deparsed and proved (core/querytext): every
 * function, operator and type is qualified, columns are plain names, so that
 * the text means the same on any relation that has these columns (the table, a
 * delta) under any search_path.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_EXPRESSION_H
#define DEPIPE_QUALITY_EXPRESSION_H

#include "depipe.h"
#include "nodes/nodes.h"
#include "utils/rel.h"

typedef struct Expression
{
	char *sql;         /* deparsed, qualified */
	bool is_aggregate; /* about the table, else about each row */
	char *metric;      /* aggregate: the side of a comparison that has it; or NULL */
	List *columns;     /* names of the columns used, each once */
} Expression;

/*
 * Analyse a boolean expression over the relation's columns under the current
 * search_path.  allow_aggregate: else an aggregate raises 42803.  what names
 * the expression in messages ("expression", "filter").
 *
 * Raises 42601 when it is not one expression, 42804 when it is not boolean,
 * 42P17 for volatile functions, 0A000 for set-returning functions, subqueries
 * and whole-row references, 42P20 for window functions, 42P10 for system
 * columns, 42803 for a column beside an aggregate, 0A000 when there is no text
 * that means the same under the pinned search_path, and what the server's
 * analysis raises (42703, 42883, ...).
 */
extern Expression *expression_analyse(Relation rel, const char *text, const char *what,
									  bool allow_aggregate);

/*
 * The same without aggregates; columns are written with an alias of the
 * relation, for texts that stand where those of another are seen, too.
 */
extern Expression *expression_analyse_as(Relation rel, const char *alias, const char *text,
										 const char *what);

/*
 * The tree of a stored expression, under the pinned search_path: of any type, with
 * aggregates if they are allowed.  Raises what the server's analysis raises.
 */
extern Node *expression_node(Relation rel, const char *sql, bool allow_aggregate);

/* Only the grammar: for a table that does not exist yet.  Raises 42601. */
extern void expression_check_syntax(const char *text, const char *what);

#endif /* DEPIPE_QUALITY_EXPRESSION_H */
