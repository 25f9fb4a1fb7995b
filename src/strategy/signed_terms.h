/*-------------------------------------------------------------------------
 *
 * signed_terms.h
 *		Signed rows of a change: planning, execution, and display.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_STRATEGY_SIGNED_TERMS_H
#define DEPIPE_STRATEGY_SIGNED_TERMS_H

#include "strategy/signed_join.h"
#include "strategy/strategy.h"

/*
 * The queries that return the signed rows.  Allocated in the memory context
 * that was current when they were added.
 */
typedef struct SignedTerms
{
	List *queries;   /* of Query */
	List *plans;     /* their plans */
	List *relations; /* of TreeRelation: the changes that the queries read */
	TupleDesc desc;  /* of the rows: the outputs, then the weight (SIGNED_JOIN_WEIGHT) */
	int changed;     /* highest number of changed tables in one join */
	double rows;     /* estimated number of rows */
	double cost;     /* total cost of the plans, in planner units */
} SignedTerms;

/*
 * Adds and plans the terms of a join for the changes (list of InputChanges).
 * "outputs" is a list of TargetEntry.  Sets terms->changed.  Returns false,
 * and plans nothing, if more than SIGNED_JOIN_MOST_CHANGED of its tables have
 * changed.
 */
extern bool signed_terms_add(SignedTerms *terms, const SignedJoin *join, List *outputs,
							 List *changes);

/* Runs all terms.  The resulting tuplestore is in the given memory context. */
extern Tuplestorestate *signed_terms_run(const SignedTerms *terms, MemoryContext context);

/* Returns the terms as SQL for display, or NULL if there are none. */
extern char *signed_terms_text(const SignedTerms *terms);

/* Makes the offer impossible because too many tables have changed.  Returns false. */
extern bool signed_terms_too_many(const SignedTerms *terms, StrategyOffer *offer);

#endif /* DEPIPE_STRATEGY_SIGNED_TERMS_H */
