/*-------------------------------------------------------------------------
 *
 * compile_row.h
 *		Kinds of checks about rows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_COMPILE_ROW_H
#define DEPIPE_QUALITY_COMPILE_ROW_H

#include "quality/check.h"

/*
 * Callbacks of kinds of checks (see CheckKind in check.h).  validate_*() checks
 * combinations of arguments of a rule whose single arguments are valid.
 * compile_*() fills in *check for the table rel, which the caller keeps open
 * and locked: expression, is_aggregate, metric and columns.  It runs as the
 * owner of the target, under the search_path and settings of the definition.
 * Results are allocated in the current memory context.  Every compile_*() can
 * raise 42703 for a missing column and the errors of expression_analyse().
 */

/* The user's own expression.  If it contains an aggregate, the family of *check changes to that. */
extern void compile_satisfies(const CheckRule *rule, Relation rel, CompiledCheck *check);

/* None of the columns is null; a composite value with null fields is not null. */
extern void compile_not_null(const CheckRule *rule, Relation rel, CompiledCheck *check);

/*
 * The column equals one of the values.  Raises 42883 if its type has no
 * equality, and the errors of its input function for a value that does not
 * cast.
 */
extern void compile_accepted_values(const CheckRule *rule, Relation rel, CompiledCheck *check);

/* The column equals none of the values. Otherwise as compile_accepted_values(). */
extern void compile_rejected_values(const CheckRule *rule, Relation rel, CompiledCheck *check);

/* Raises 22023 if both bounds are missing. */
extern void validate_bounds(CheckRule *rule);

/*
 * The column lies between the bounds.  Raises 42883 if its type has no order,
 * 22023 if nothing lies between the bounds, and the errors of its input
 * function for a bound that does not cast.
 */
extern void compile_in_range(const CheckRule *rule, Relation rel, CompiledCheck *check);

/* Raises 2201B if the pattern is not a regular expression. */
extern void validate_matches(CheckRule *rule);

/*
 * The column matches the pattern.  Raises 42804 if its type has no operator ~
 * and does not coerce to text.
 */
extern void compile_matches(const CheckRule *rule, Relation rel, CompiledCheck *check);

/* Raises 22023 if both bounds are missing, or if the minimum exceeds the maximum. */
extern void validate_count_bounds(CheckRule *rule);

/*
 * The column has as many characters, bytes, bits or elements.  Raises 42804 if its
 * type has none of them.
 */
extern void compile_has_length(const CheckRule *rule, Relation rel, CompiledCheck *check);

/*
 * The text of the column is one of a value of the type.  Raises 42704 if there is no
 * such type, and 42804 if the column is no text.
 */
extern void compile_parses_as(const CheckRule *rule, Relation rel, CompiledCheck *check);

/* The number of rows lies between the bounds: an aggregate. */
extern void compile_row_count(const CheckRule *rule, Relation rel, CompiledCheck *check);

/*
 * The value of an aggregate expression lies between the bounds.  Raises 42803 if it
 * contains no aggregate.
 */
extern void compile_metric(const CheckRule *rule, Relation rel, CompiledCheck *check);

/* ---- values given to checks ---- */

/*
 * The type in which values of this type (never a domain) are compared with the given
 * ones: the same, but numeric if an integer is compared with a fraction.  before: what an
 * earlier argument demanded, or InvalidOid.
 */
extern Oid check_comparison_type(Oid type, const CheckGiven *given, Oid before);

/*
 * The value in the type, and a literal of it, of any length.  The text is read by the
 * input function, whose errors are raised.  column_name: for their context; NULL: none.
 */
extern Datum check_value(const char *column_name, const char *argument, const CheckValue *value,
						 Oid type);
extern char *check_literal(const char *column_name, const char *argument, const CheckValue *value,
						   Oid type);

#endif /* DEPIPE_QUALITY_COMPILE_ROW_H */
