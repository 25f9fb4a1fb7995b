/*-------------------------------------------------------------------------
 *
 * range.h
 *		The delta of one range of a transform, for backfills.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_STRATEGY_RANGE_H
#define DEPIPE_STRATEGY_RANGE_H

#include "strategy/strategy.h"

/* The half-open range [since, before) of a column of the target. */
typedef struct Range
{
	char *column;
	Oid type;     /* of the bounds: the base type of the column */
	char *since;  /* a text that the input function reads under any settings */
	char *before; /* the same */
} Range;

/*
 * Returns a finished delta: the difference between the rows of the query and
 * those of the target, within the range.  A row of the target outside of the
 * range belongs to it if the query returns a row with its key within the range.
 * Rows with NULL in the column are outside.  Must be called within an SPI
 * connection, as the owner of the transform, under the active snapshot.
 * Raises 23505 if a key occurs more than once among the rows of the query.
 * The result is in the memory context.
 */
extern Delta *range_make_delta(Transform *transform, Shape *shape, const Range *range,
							   MemoryContext context);

#endif /* DEPIPE_STRATEGY_RANGE_H */
