/*-------------------------------------------------------------------------
 *
 * hidden.h
 *		Numbers of groups that a transform keeps beside its target.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_STRATEGY_HIDDEN_H
#define DEPIPE_STRATEGY_HIDDEN_H

#include "publish/companion.h"
#include "query/runtree.h"

/* What a publication must change in the numbers of a target. */
typedef struct HiddenState
{
	bool whole; /* these are all groups */
	TupleDesc desc;
	Tuplestorestate *rows; /* with the columns of catalog/group_state.h */
	int64 count;
} HiddenState;

/* Writes the numbers with the batch. */
extern const Companion hidden_companion;

/*
 * Read the numbers of these groups (a relation with the columns "key" and "hash"
 * among others) into old.  desc: of the key and the numbers.  Returns false if
 * the numbers of the target are lost.  In the current memory context.
 */
extern bool hidden_read(int32 target_id, const TreeRelation *groups, TupleDesc desc,
						TreeRelation *old);

/*
 * The state that follows from rows with the columns "key", "hash", "change", and
 * the numbers.  In the current memory context.
 */
extern HiddenState *hidden_state(const TreeRelation *rows, bool whole);

/* Release the rows; NULL is none. */
extern void hidden_release(HiddenState *state);

#endif /* DEPIPE_STRATEGY_HIDDEN_H */
