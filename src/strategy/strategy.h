/*-------------------------------------------------------------------------
 *
 * strategy.h
 *		Interface of strategies, which make the delta of a transform.
 *
 * A strategy is an entry of a table in choose.c.  At each refresh, every
 * strategy makes one offer.  The offer says whether the strategy is possible,
 * why, and at what estimated cost.  The cheapest possible strategy makes the
 * delta.  Callers use strategies only through this interface, so a strategy
 * can be added to the table without a change to refresh.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_STRATEGY_STRATEGY_H
#define DEPIPE_STRATEGY_STRATEGY_H

#include "delta/delta.h"
#include "capture/changes.h"
#include "strategy/cost.h"
#include "query/shape.h"
#include "query/transform.h"
#include "utils/snapshot.h"

/*
 * A smaller result is compared in preference to replacement, so that its
 * changes remain visible.
 */
#define STRATEGY_SMALL_TABLE 1000

typedef struct StrategyOffer
{
	bool possible;
	double cost;             /* in planner units */
	double worth;            /* cost of the state that is lost if another strategy is chosen */
	const char *reason_code; /* short constant, e.g. 'volatile_function' */
	char *detail;            /* sentence for explain_transform, or NULL */
	bool routine;            /* do not record the reason with the run */
} StrategyOffer;

/* Result of the offer of strategy "keys", used to make its delta. */
typedef struct KeysWork KeysWork;

/* Result of the offers of strategies "linear" and "join", used to make their deltas. */
typedef struct LinearWork LinearWork;

/* Result of the offer of strategy "aggregate", used to make its delta. */
typedef struct AggregateWork AggregateWork;

/* Rows of the result that are in quarantine. */
typedef struct Quarantined Quarantined;

typedef struct StrategyContext
{
	Transform *transform;
	Shape *shape;              /* shape of the query, analyzed for this refresh */
	Snapshot snapshot;         /* S1: the only snapshot of the slice */
	MemoryContext context;     /* memory context of the delta */
	bool initial;              /* the target was never published */
	StoredFrontier *from;      /* stored frontier; NULL if unknown or if other_instance is set */
	StoredFrontier *to;        /* new frontier, taken under S1; NULL in explain_transform */
	bool other_instance;       /* the frontier was recorded in another database */
	bool empty;                /* initial is set and the target has no rows */
	const char *whole_only;    /* reason code if all rows must be replaced, else NULL */
	char *whole_detail;        /* the same reason as a sentence, or NULL */
	bool replaceable;          /* all rows may be replaced: no foreign key forbids it */
	List *changes;             /* one InputChanges for each input; NIL if unknown */
	bool distrusted;           /* rows of the target contradicted the changes */
	bool quarantine;           /* rows of the result are in quarantine, not in the target */
	Quarantined **quarantined; /* these rows, once read: see quarantined.c */
	double cheapest;           /* lowest cost of a possible offer on changes so far; -1: none */
	KeysWork **keys;           /* set by the offer of "keys" */
	LinearWork **linear;       /* set by the offer of "linear" or "join" */
	AggregateWork **aggregate; /* set by the offer of "aggregate" */
	Estimate estimate;
} StrategyContext;

typedef struct Strategy
{
	const char *name;
	bool whole; /* the strategy evaluates the whole query */

	/*
	 * Fills *offer.  Keeps its work in *context->keys, *linear or *aggregate,
	 * and otherwise leaves the context unchanged.  Raises an error if the
	 * refresh must fail with any strategy.
	 */
	void (*offer)(const StrategyContext *context, StrategyOffer *offer);

	/*
	 * Returns a finished delta for publish.  The delta is empty if nothing
	 * changed; it is published nevertheless, because the gate may have to
	 * examine the table.  Returns NULL if rows of the target turn out
	 * to contradict the changes.  A strategy with "whole" set never returns NULL.
	 */
	Delta *(*make_delta)(const StrategyContext *context);

	/* Returns the SQL that make_delta runs, for explain_transform, or NULL. */
	char *(*delta_sql)(const StrategyContext *context);

	/* Releases the resources that the offer keeps.  NULL if it keeps none. */
	void (*end)(const StrategyContext *context);
} Strategy;

/*
 * Collects the data for offers in *context.  Must be called within an SPI
 * connection, as the owner of the transform, under the active snapshot.  The
 * current memory context becomes the context of the delta.  Raises 55000 if
 * all rows must be replaced but foreign keys forbid it.
 */
extern void strategy_begin(StrategyContext *context, Transform *transform, Shape *shape,
						   Snapshot snapshot, StoredFrontier *to);

/*
 * Returns the estimated fraction of the rows of the result that differ from
 * the target.  It is at least 0.1, which is also the planner's assumption for
 * an unknown condition.
 */
extern double strategy_differing_share(const StrategyContext *context);

/*
 * Returns whether so many rows are known to differ that only the time of the
 * refresh counts in the choice between comparing and replacing them.
 */
extern bool strategy_much_differs(const StrategyContext *context);

/* Returns the cost of comparing all rows in memory. */
extern double strategy_cost_of_comparing(const StrategyContext *context);

/* Returns a new delta for the target with the columns of the query, in context->context. */
extern Delta *strategy_begin_delta(const StrategyContext *context);

/* Raises 23505 if a key of the transform occurs more than once in the relation (SQL text). */
extern void strategy_refuse_duplicate_keys(const StrategyContext *context, Delta *delta,
										   const char *relation);

/*
 * Returns whether the target has no rows under the active snapshot.  Reads the
 * target as its owner.  Must be called within an SPI connection.
 */
extern bool strategy_target_is_empty(const StrategyContext *context);

#endif /* DEPIPE_STRATEGY_STRATEGY_H */
