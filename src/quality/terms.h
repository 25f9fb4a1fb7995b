/*-------------------------------------------------------------------------
 *
 * terms.h
 *		A constraint over the whole table as terms that can be kept.
 *
 * A count of violations, a sum or an extreme of a table is the value that it was,
 * plus that of the rows that came, minus that of the rows that went.  So such a
 * term need not be computed of the whole table for each batch.
 *
 * Terms are made only of what means the same for a row for ever: immutable
 * functions and operators of the server itself, on its own types.  What a user can
 * replace (functions, casts, labels of an enum) could change the value of rows that
 * nobody has touched.
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
	TERM_MINIMUM, /* not known any more when a row with the extreme goes */
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

/* Is it about the whole table, by an expression of its columns? */
extern bool terms_may_be_kept(const DataConstraint *constraint);

/*
 * The terms of a constraint of the target, or NULL if it is not about the whole table
 * or cannot be kept.  Kept for the session; the fingerprint (quality/watch) says
 * that the table's columns are still the same.
 */
extern const StateTerms *terms_of(Target *target, const DataConstraint *constraint,
								  const char *fingerprint);

/* How many columns a term takes in the two queries below. */
extern int term_columns(const StateTerm *term);

/* SQL expressions, after a comma, of the value over the rows of the alias CHECK_ROW. */
extern void term_append_whole(StringInfo sql, const StateTerm *term);

/*
 * The same over rows with weights: the sum of the changes, or the extreme of the rows
 * that came and that of those that went.
 */
extern void term_append_change(StringInfo sql, const StateTerm *term);

/* A value of a term: numeric, NULL for the extreme of no rows. */
typedef struct TermValue
{
	Datum value;
	bool isnull;
} TermValue;

/*
 * Add a change (of term_columns() columns) to the value of a term, in the current memory
 * context.  Returns false when the result is not known.
 */
extern bool term_add(const StateTerm *term, TermValue *value, const TermValue *change);

/*
 * What the values of all terms say.  As the owner, under the settings of the
 * constraint; raises what its expression raises.
 */
extern void terms_measure(const StateTerms *terms, const TermValue *values, Measure *measure);

#endif /* DEPIPE_QUALITY_TERMS_H */
