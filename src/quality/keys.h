/*-------------------------------------------------------------------------
 *
 * keys.h
 *		Kinds of checks about rows against rows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_KEYS_H
#define DEPIPE_QUALITY_KEYS_H

#include "quality/check.h"
#include "quality/lookup.h"

/*
 * Callbacks of the kinds unique and relationships (see CheckKind in check.h).
 * compile_*() runs as the owner of the target, with rel open and locked; *check
 * is filled in the current memory context.
 */

/* Fill in the columns.  Raises 42703 for a missing column, 42883 for a type without equality. */
extern void compile_unique(const CheckRule *rule, Relation rel, CompiledCheck *check);

/*
 * Count the rows in groups of equal keys: of the whole table, or only groups
 * with a key of the delta.  Nothing is read if an enforced unique index
 * answers.  Runs in an SPI connection as the owner of the target, with the
 * delta registered.  detail is allocated in the current memory context.  Raises
 * the errors of the query.
 */
extern void evaluate_unique(const struct DataConstraint *constraint, const CheckScope *scope,
							Measure *measure);

/* Does an index of the target exclude all violations of the constraint, so that it holds? */
extern bool unique_is_enforced(const struct DataConstraint *constraint, Target *target);

/*
 * The SQL condition, on the alias CHECK_ROW, of the rows in duplicated groups;
 * in the current memory context.
 */
extern char *failing_unique(const struct DataConstraint *constraint, Target *target);

/* Raises 22023 unless there are as many reference_columns as columns. */
extern void validate_relationships(CheckRule *rule);

/*
 * Fill in the expression (late) and the columns.  Takes an AccessShareLock on
 * the reference for the time of the call.  Raises 42P01 for a missing
 * reference, 42501 if the owner may not read it, 42703 for a missing column,
 * 42883 if the two sides cannot be compared, and the errors of the
 * reference_filter.
 */
extern void compile_relationships(const CheckRule *rule, Relation rel, CompiledCheck *check);

/*
 * The SQL condition, on the alias CHECK_ROW, of the rows without a reference,
 * in a form that the planner can join; in the current memory context.
 */
extern char *failing_relationships(const struct DataConstraint *constraint, Target *target);

/* How so many rows are looked up in the reference. */
extern PlanStyle relationships_style(const struct DataConstraint *constraint, int64 nrows);

/*
 * The table or view of this name, opened and locked, which the current user must be able
 * to read.  Raises 42P01 and 42501.
 */
extern Relation keys_open_reference(const char *name);

/* Raise the errors of the server's analysis of a query that is built for a check. */
extern void keys_check_query(const char *sql);

#endif /* DEPIPE_QUALITY_KEYS_H */
