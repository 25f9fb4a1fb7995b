/*-------------------------------------------------------------------------
 *
 * strategy.h
 *		How a transform makes its delta.
 *
 * A strategy is one entry of a table.  At each refresh every strategy is
 * asked for an offer (possible or not, why, and at what estimated cost); the
 * cheapest possible one makes the delta.  Callers know strategies only
 * through this interface, so that incremental ones are added to the table
 * without a change to refresh.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_TRANSFORM_STRATEGY_H
#define DEPIPE_TRANSFORM_STRATEGY_H

#include "delta/delta.h"
#include "transform/shape.h"
#include "transform/transform.h"
#include "utils/snapshot.h"

typedef struct StrategyOffer
{
	bool possible;
	double cost;             /* planner units; compared between strategies */
	const char *reason_code; /* short constant, e.g. 'volatile_function' */
	char *detail;            /* a sentence for explain_transform, or NULL */
	bool routine;            /* nothing that is worth telling of a run */
} StrategyOffer;

typedef struct StrategyContext
{
	Transform *transform;
	Shape *shape;          /* of its query, analysed for this refresh */
	Snapshot snapshot;     /* S1: the one snapshot of the slice */
	MemoryContext context; /* for the delta */
	bool initial;          /* never published before */
} StrategyContext;

typedef struct Strategy
{
	const char *name;
	bool whole; /* its delta tells everything that the target shall hold */
	void (*offer)(const StrategyContext *context, StrategyOffer *offer);

	/* NULL: nothing to do at all; else a finished delta for publish */
	Delta *(*make_delta)(const StrategyContext *context);

	/* SQL that make_delta runs, for explain_transform; may return NULL */
	char *(*delta_sql)(const StrategyContext *context);
} Strategy;

/* A delta for the target with the columns of the query. */
extern Delta *strategy_begin_delta(const StrategyContext *context);

/* Raises 23505 when a key of the transform comes twice in the relation (SQL text). */
extern void strategy_refuse_duplicate_keys(const StrategyContext *context, Delta *delta,
										   const char *relation);

extern bool strategy_target_is_empty(const StrategyContext *context);

#endif /* DEPIPE_TRANSFORM_STRATEGY_H */
