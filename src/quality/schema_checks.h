/*-------------------------------------------------------------------------
 *
 * schema_checks.h
 *		Kinds of checks about the columns of a table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_SCHEMA_CHECKS_H
#define DEPIPE_QUALITY_SCHEMA_CHECKS_H

#include "quality/check.h"

/*
 * Callbacks of the kinds has_columns and schema_unchanged (see CheckKind in check.h).
 * Violations are differences; detail has them in words.
 */

/* Raises 22023 unless there are as many types as columns. */
extern void validate_has_columns(CheckRule *rule);

/* Raises 42704 if there is no such type. */
extern void compile_has_columns(const CheckRule *rule, Relation rel, CompiledCheck *check);
extern void evaluate_has_columns(const struct DataConstraint *constraint, const CheckScope *scope,
								 Measure *measure);

/* The compiled form is the table as it is now. */
extern void compile_schema_unchanged(const CheckRule *rule, Relation rel, CompiledCheck *check);
extern void evaluate_schema_unchanged(const struct DataConstraint *constraint,
									  const CheckScope *scope, Measure *measure);

#endif /* DEPIPE_QUALITY_SCHEMA_CHECKS_H */
