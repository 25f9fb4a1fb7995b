/*-------------------------------------------------------------------------
 *
 * steps.h
 *		The bounds of the slices of a backfill.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_TRANSFORM_STEPS_H
#define DEPIPE_TRANSFORM_STEPS_H

#include "depipe.h"

typedef enum StepsKind
{
	STEPS_TIMESTAMPTZ, /* under the TimeZone of the session */
	STEPS_TIMESTAMP,
	STEPS_DATE,  /* computed as timestamps */
	STEPS_NUMBER /* smallint, integer, bigint, numeric; computed as numeric */
} StepsKind;

typedef struct Steps
{
	Oid type; /* base type of the column */
	StepsKind kind;
	Datum since;  /* timestamptz, timestamp or numeric, and below */
	Datum before; /* the end of the last slice, which is not part of it */
	Datum step;   /* interval or numeric */
	int32 count;  /* number of slices */
} Steps;

/*
 * Returns the slices from "since" to "before", given as texts.  type: of the
 * column, or a domain over it.  Raises 42804 for other types than those above,
 * 22023 if a bound is not finite, if "since" is not before "before", or if the
 * step does not advance, and the errors of the input functions.
 */
extern Steps *steps_parse(const char *column, Oid type, const char *since, const char *before,
						  const char *step);

/*
 * Returns the lower bound of slice n (from 0), which is the upper bound of
 * slice n - 1: since + n * step, at most "before".  The text is one that the
 * input function of the type reads under any settings.
 */
extern char *steps_bound(const Steps *steps, int32 n);

/* The step as a text that does not depend on how it was written. */
extern char *steps_step(const Steps *steps);

/* Raises 22023 if slice n is empty: steps of months and days need not all advance. */
extern void steps_check(const Steps *steps, int32 n);

#endif /* DEPIPE_TRANSFORM_STEPS_H */
