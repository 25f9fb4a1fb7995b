/*-------------------------------------------------------------------------
 *
 * signed_terms.h
 *		The signed rows of a change: planned, run, and shown.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_STRATEGY_SIGNED_TERMS_H
#define DEPIPE_STRATEGY_SIGNED_TERMS_H

#include "strategy/signed_join.h"
#include "strategy/strategy.h"

/* In the memory context that was current when it was made. */
typedef struct SignedTerms
{
	List *queries;   /* of Query */
	List *plans;     /* theirs */
	List *relations; /* of TreeRelation: the changes that they read */
	TupleDesc desc;  /* of their rows: the outputs, and the weight "w" */
	int changed;     /* tables of the join that have changed, at most */
	double rows;     /* estimated */
	double cost;     /* of the planner */
} SignedTerms;

/*
 * Add the terms of a join, with the given outputs (of TargetEntry), for the
 * changes (of InputChanges), and plan them.  Returns false, and plans nothing,
 * if too many of its tables have changed; terms->changed is their number.
 */
extern bool signed_terms_add(SignedTerms *terms, const SignedJoin *join, List *outputs,
							 List *changes);

/* Run all terms; the rows are kept in the given memory context. */
extern Tuplestorestate *signed_terms_run(const SignedTerms *terms, MemoryContext context);

/* The terms as SQL for people; NULL: there are none. */
extern char *signed_terms_text(const SignedTerms *terms);

/* The offer is impossible because too many tables have changed; returns false. */
extern bool signed_terms_too_many(const SignedTerms *terms, StrategyOffer *offer);

#endif /* DEPIPE_STRATEGY_SIGNED_TERMS_H */
