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

/* Changes to the numbers of the groups of a target, made when a batch is published. */
typedef struct HiddenState
{
	bool whole; /* the rows are all groups of the target */
	TupleDesc desc;
	Tuplestorestate *rows; /* has the columns of catalog/group_state.h */
	int64 count;
} HiddenState;

/* Companion that writes the numbers together with the batch. */
extern const Companion hidden_companion;

/*
 * Reads the numbers of groups into *old, except for its name.  "groups" is a
 * relation that has the columns "key" and "hash", among others.  "desc"
 * describes the rows of *old: the key, the place where the numbers are stored,
 * then the numbers.  A group without numbers has no row.  Returns false if the
 * numbers of the target are lost.  Raises XX001 if stored numbers are not
 * readable.  The result is in the current memory context.
 */
extern bool hidden_read(int32 target_id, const TreeRelation *groups, TupleDesc desc,
						TreeRelation *old);

/*
 * Returns the state for rows with the columns "key", "hash", "change" and
 * "place", followed by the numbers.  The rows are all groups of the target if "whole"
 * is set.  The result is in the current memory context.
 */
extern HiddenState *hidden_state(const TreeRelation *rows, bool whole);

/* Releases the rows of the state, which may be NULL. */
extern void hidden_release(HiddenState *state);

#endif /* DEPIPE_STRATEGY_HIDDEN_H */
