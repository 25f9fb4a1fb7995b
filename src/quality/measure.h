/*-------------------------------------------------------------------------
 *
 * measure.h
 *		Evaluation of checks, with one pass for all that can share it.
 *
 * These functions run SQL in the current SPI connection.  They switch to the
 * owner by themselves, inside an internal subtransaction.  If a pass raises an
 * error, its checks are evaluated one at a time, so that the error is
 * attributed to the check that caused it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_MEASURE_H
#define DEPIPE_QUALITY_MEASURE_H

#include "quality/constraint.h"

/* A constraint and what was found. */
typedef struct Measured
{
	DataConstraint *constraint;
	Measure measure;
	int64 set_aside; /* rows of this batch that are not in the table but count */
	char *left_out;  /* sequence numbers of rows not to be evaluated, as text of an int8[] */
} Measured;

/* Called for each failing row, with its sequence number and its weight. */
typedef void (*FailingRow)(void *arg, Measured *measured, int64 sequence, int64 weight);

/*
 * A measurement without results, in the current memory context.  A constraint
 * that could not be compiled already has that error.
 */
extern Measured *measured_new(DataConstraint *constraint);

/*
 * Evaluate row checks on the new images of the delta, in one pass.  from_table:
 * the checks use columns that the delta lacks; the rows of the table with the
 * keys of the delta are read instead.
 */
extern void measure_delta(Target *target, Delta *delta, List *measured, bool from_table,
						  FailingRow failing, void *arg);

/* Does the delta have every column that the check uses? */
extern bool delta_has_columns(const Delta *delta, const DataConstraint *constraint);

/*
 * Evaluate checks on the whole table: one scan for row checks and aggregates
 * without a filter; checks with a faster way of their own run alone.
 */
extern void measure_table(Target *target, List *measured);

/*
 * Evaluate a check with a callback of its own, on the delta and the changes of the rows of
 * the table (NULL: on the whole table).
 */
extern void measure_alone(Target *target, Delta *delta, const Changes *changes, Measured *measured);

/* SQL on the alias CHECK_ROW: true where the row does not violate the check; never NULL. */
extern char *measure_holds_text(const DataConstraint *constraint);

/* The same: true where the row is in the denominator; NULL: every row is. */
extern char *measure_counted_text(const DataConstraint *constraint);

/*
 * Do something for checks, as the owner: in one call for those with the same settings, or
 * one by one when that raises an error, which is then the check's.
 */
typedef void (*MeasureBody)(List *measured, void *arg);
extern void measure_alike(Target *target, List *measured, MeasureBody body, void *arg);

/*
 * The SQL condition, on the alias CHECK_ROW, that is true for a row that
 * violates the check; NULL if violations are not rows.
 */
extern char *violation_condition(const DataConstraint *constraint, Target *target);

#endif /* DEPIPE_QUALITY_MEASURE_H */
