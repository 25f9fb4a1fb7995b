/*-------------------------------------------------------------------------
 *
 * strategy.h
 *		How a transform makes its delta.
 *
 * A strategy is one entry of a table (choose.c).  At each refresh every
 * strategy is asked once for an offer: possible or not, why, and at what
 * estimated cost.  The cheapest possible one makes the delta.  Callers know
 * strategies only through this interface, so that incremental ones are added
 * to the table without a change to refresh.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_TRANSFORM_STRATEGY_H
#define DEPIPE_TRANSFORM_STRATEGY_H

#include "delta/delta.h"
#include "transform/changes.h"
#include "transform/cost.h"
#include "transform/shape.h"
#include "transform/transform.h"
#include "utils/snapshot.h"

typedef struct StrategyOffer
{
	bool possible;
	double cost;             /* planner units; compared between strategies */
	const char *reason_code; /* short constant, e.g. 'volatile_function' */
	char *detail;            /* a sentence for explain_transform, or NULL */
	bool routine;            /* the reason is not worth recording with the run */
} StrategyOffer;

typedef struct StrategyContext
{
	Transform *transform;
	Shape *shape;           /* of its query, analysed for this refresh */
	Snapshot snapshot;      /* S1: the one snapshot of the slice */
	MemoryContext context;  /* for the delta */
	bool initial;           /* never published before */
	StoredFrontier *from;   /* what the target covers; NULL: not known, see other_instance */
	StoredFrontier *to;     /* what it will cover: taken under S1; NULL in explain_transform */
	bool other_instance;    /* what it covers was recorded in another database */
	bool empty;             /* initial, and the target has no rows */
	const char *whole_only; /* reason code: only a replacement of all rows will do; or NULL */
	char *whole_detail;     /* that reason as a sentence, or NULL */
	bool replaceable;       /* no foreign key keeps the target's rows in place */
	List *changes;          /* of InputChanges, one for each input; NIL: nothing is known of them */
	Estimate estimate;
} StrategyContext;

typedef struct Strategy
{
	const char *name;
	bool whole; /* its delta tells everything that the target shall hold */

	/* reads the context only; raises when the refresh must fail whatever is chosen */
	void (*offer)(const StrategyContext *context, StrategyOffer *offer);

	/*
	 * A finished delta for publish; an empty one when nothing changed, never
	 * NULL: the gate may have to look at the table all the same.
	 */
	Delta *(*make_delta)(const StrategyContext *context);

	/* SQL that make_delta runs, for explain_transform; may return NULL */
	char *(*delta_sql)(const StrategyContext *context);
} Strategy;

/*
 * Look at the transform, as its owner under the active snapshot, within an SPI
 * connection: what offers are made of.  Raises 55000 where all rows must be
 * replaced and foreign keys forbid it.
 */
extern void strategy_begin(StrategyContext *context, Transform *transform, Shape *shape,
						   Snapshot snapshot, StoredFrontier *to);

/* A delta for the target with the columns of the query. */
extern Delta *strategy_begin_delta(const StrategyContext *context);

/* Raises 23505 when a key of the transform comes twice in the relation (SQL text). */
extern void strategy_refuse_duplicate_keys(const StrategyContext *context, Delta *delta,
										   const char *relation);

extern bool strategy_target_is_empty(const StrategyContext *context);

#endif /* DEPIPE_TRANSFORM_STRATEGY_H */
