/*-------------------------------------------------------------------------
 *
 * terms.h
 *		A constraint over the whole table as terms that can be kept.
 *
 * A new count of violations, sum or extreme of a table is the old value, plus
 * that of the added rows, minus that of the removed rows.  So such a term need
 * not be computed over the whole table for each batch.
 *
 * Terms consist only of parts whose meaning for a row never changes: immutable
 * functions and operators of the server itself, on its own types.  Objects that
 * a user can replace (functions, casts, labels of an enum) could change the
 * value of rows that were not touched.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_TERMS_H
#define DEPIPE_QUALITY_TERMS_H

#include "quality/measure.h"

typedef enum TermKind
{
	TERM_COUNT,   /* of rows; invertible */
	TERM_SUM,     /* of exact numbers, without NULLs; invertible */
	TERM_MINIMUM, /* no longer known if a row with the extreme is removed */
	TERM_MAXIMUM
} TermKind;

typedef struct StateTerm
{
	TermKind kind;
	char *argument;  /* SQL: a number of each row; NULL: TERM_COUNT */
	char *condition; /* SQL: whether the row counts */
	char *text;      /* all of this, for comparison */
} StateTerm;

typedef struct StateTerms
{
	List *terms;                 /* of StateTerm */
	struct TermFormula *formula; /* of an aggregate; NULL: violations among evaluated rows */
} StateTerms;

/* Terms of a constraint about rows, and the first of any aggregate. */
#define TERM_EVALUATED 0
#define TERM_VIOLATIONS 1

/* Is it about the whole table, by an expression over its columns? */
extern bool terms_may_be_kept(const DataConstraint *constraint);

/*
 * The terms of a constraint of the target, or NULL if it is not about the whole
 * table or cannot be kept.  They are kept for the session; the fingerprint
 * (quality/watch) shows that the columns of the table are unchanged.
 */
extern const StateTerms *terms_of(Target *target, const DataConstraint *constraint,
								  const char *fingerprint);

/* The number of columns of a term in the two queries below. */
extern int term_columns(const StateTerm *term);

/* SQL expressions, after a comma, of the value over the rows of the alias CHECK_ROW. */
extern void term_append_whole(StringInfo sql, const StateTerm *term);

/*
 * The same over rows with weights: the sum of the changes, or the extremes of
 * the added and of the removed rows.
 */
extern void term_append_change(StringInfo sql, const StateTerm *term);

/* A value of a term: numeric, NULL for the extreme of no rows. */
typedef struct TermValue
{
	Datum value;
	bool isnull;
} TermValue;

/*
 * Add a change (of term_columns() columns) to the value of a term, in the
 * current memory context.  Returns false if the result is not known.
 */
extern bool term_add(const StateTerm *term, TermValue *value, const TermValue *change);

/*
 * Compute the measure from the values of all terms.  To be called as the owner,
 * under the settings of the constraint.  Raises the errors of its expression.
 */
extern void terms_measure(const StateTerms *terms, const TermValue *values, Measure *measure);

#endif /* DEPIPE_QUALITY_TERMS_H */
