/*-------------------------------------------------------------------------
 *
 * strategy.h
 *		The interface of strategies, which make the delta of a transform.
 *
 * A strategy is one entry of a table (choose.c).  At each refresh every strategy
 * makes one offer: whether it is possible, why, and at what estimated cost.
 * The cheapest possible one makes the delta.  Callers use strategies only
 * through this interface, so that incremental ones can be added to the table
 * without a change to refresh.
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

typedef struct StrategyOffer
{
	bool possible;
	double cost;             /* planner units; compared between strategies */
	double worth;            /* the cost of what is lost when another strategy is chosen */
	const char *reason_code; /* short constant, e.g. 'volatile_function' */
	char *detail;            /* a sentence for explain_transform, or NULL */
	bool routine;            /* the reason is not recorded with the run */
} StrategyOffer;

/* What the offer of strategy "keys" finds for its delta. */
typedef struct KeysWork KeysWork;

/* What the offers of strategies "linear" and "join" find for their delta. */
typedef struct LinearWork LinearWork;

/* What the offer of strategy "aggregate" finds for its delta. */
typedef struct AggregateWork AggregateWork;

typedef struct StrategyContext
{
	Transform *transform;
	Shape *shape;           /* the shape of its query, analysed for this refresh */
	Snapshot snapshot;      /* S1: the one snapshot of the slice */
	MemoryContext context;  /* for the delta */
	bool initial;           /* never published before */
	StoredFrontier *from;   /* the stored frontier; NULL: not known, see other_instance */
	StoredFrontier *to;     /* the new frontier, taken under S1; NULL in explain_transform */
	bool other_instance;    /* the frontier was recorded in another database */
	bool empty;             /* initial, and the target has no rows */
	const char *whole_only; /* reason code if only a replacement of all rows is possible, or NULL */
	char *whole_detail;     /* that reason as a sentence, or NULL */
	bool replaceable;       /* no foreign key keeps the rows of the target in place */
	List *changes;          /* of InputChanges, one for each input; NIL: not known */
	bool distrusted;        /* rows of the target were found to contradict the changes */
	double cheapest;        /* cost of the cheapest possible offer on changes so far; -1: none */
	KeysWork **keys;        /* set by the offer of strategy "keys" */
	LinearWork **linear;    /* set by the offer of strategy "linear", for "join" as well */
	AggregateWork **aggregate; /* set by the offer of strategy "aggregate" */
	Estimate estimate;
} StrategyContext;

typedef struct Strategy
{
	const char *name;
	bool whole; /* its delta contains all rows of the new target */

	/* only reads the context; raises an error if the refresh must fail with any strategy */
	void (*offer)(const StrategyContext *context, StrategyOffer *offer);

	/*
	 * Returns a finished delta for publish. If nothing changed, the delta is
	 * empty: the gate may nevertheless have to examine the table.  NULL: it has
	 * turned out that the strategy cannot serve; never of a whole strategy.
	 */
	Delta *(*make_delta)(const StrategyContext *context);

	/* why make_delta returned NULL; NULL: the rows contradict the target's */
	void (*explain_failure)(const StrategyContext *context, StrategyOffer *offer);

	/* the SQL that make_delta runs, for explain_transform; may return NULL */
	char *(*delta_sql)(const StrategyContext *context);

	/* releases what the offer has kept; NULL: it keeps nothing */
	void (*end)(const StrategyContext *context);
} Strategy;

/*
 * Collect the data for offers, as the owner of the transform under the active
 * snapshot, within an SPI connection.  Raises 55000 if all rows must be
 * replaced and foreign keys forbid it.
 */
extern void strategy_begin(StrategyContext *context, Transform *transform, Shape *shape,
						   Snapshot snapshot, StoredFrontier *to);

/*
 * The estimated share of the rows of the result that differ from the target:
 * 0.1, as the planner assumes for a condition, or more if more has changed.
 */
extern double strategy_differing_share(const StrategyContext *context);

/* A delta for the target with the columns of the query. */
extern Delta *strategy_begin_delta(const StrategyContext *context);

/* Raises 23505 if a key of the transform occurs twice in the relation (SQL text). */
extern void strategy_refuse_duplicate_keys(const StrategyContext *context, Delta *delta,
										   const char *relation);

/*
 * Does the target have no rows under the active snapshot?  Reads it as its
 * owner, within an SPI connection.
 */
extern bool strategy_target_is_empty(const StrategyContext *context);

#endif /* DEPIPE_STRATEGY_STRATEGY_H */
