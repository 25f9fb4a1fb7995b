/*-------------------------------------------------------------------------
 *
 * expression.h
 *		Boolean SQL expressions over the columns of one table.
 *
 * Expressions come from users (satisfies, filters) or are built from checked
 * parts (values of a column's type, column names). They are analysed once, at
 * definition, and stored deparsed and proved (core/querytext): every function,
 * operator and type is qualified, and columns are plain names.  The text
 * therefore has the same meaning on any relation with these columns (the table,
 * a delta) under any search_path.
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
	bool is_aggregate; /* about the table, otherwise about each row */
	char *metric;      /* for an aggregate: the side of a comparison that contains it; or NULL */
	List *columns;     /* names of the columns used, each once */
} Expression;

/*
 * Analyse a boolean expression over the columns of the relation under the
 * current search_path.  allow_aggregate: otherwise an aggregate raises 42803.
 * what: the name of the expression in messages ("expression", "filter"). The
 * result is allocated in the current memory context.
 *
 * Raises 42601 if the text is not one expression, 42804 if it is not boolean,
 * 42P17 for volatile functions, 0A000 for set-returning functions, subqueries
 * and whole-row references, 42P20 for window functions, 42P10 for system
 * columns, 42803 for a column beside an aggregate, 0A000 if no text has the
 * same meaning under the pinned search_path, and the errors of the server's
 * analysis (42703, 42883, ...).
 */
extern Expression *expression_analyse(Relation rel, const char *text, const char *what,
									  bool allow_aggregate);

/*
 * The same without aggregates.  Columns are qualified with an alias of the
 * relation, for texts used where the columns of another relation are visible as
 * well.
 */
extern Expression *expression_analyse_as(Relation rel, const char *alias, const char *text,
										 const char *what);

/*
 * The same for an expression of any type, with or without aggregates.  *type gets its
 * type.
 */
extern Expression *expression_analyse_value(Relation rel, const char *text, const char *what,
											Oid *type);

/*
 * The same for a boolean expression over the old and the new image of a row, which are
 * called "old" and "new", without aggregates.  The text has qualified columns.
 */
extern Expression *expression_analyse_change(Relation rel, const char *text);

/*
 * The tree of a stored expression, under the pinned search_path: of any type, with
 * aggregates if they are allowed.  Raises what the server's analysis raises.
 */
extern Node *expression_node(Relation rel, const char *sql, bool allow_aggregate);

/* Check only the grammar, for a table that does not exist yet. Raises 42601. */
extern void expression_check_syntax(const char *text, const char *what);

#endif /* DEPIPE_QUALITY_EXPRESSION_H */
