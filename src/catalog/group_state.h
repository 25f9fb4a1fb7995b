/*-------------------------------------------------------------------------
 *
 * group_state.h
 *		Statements on the stored numbers of the groups of transforms.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CATALOG_GROUP_STATE_H
#define DEPIPE_CATALOG_GROUP_STATE_H

#include "catalog/statement.h"
#include "utils/tuplestore.h"

/*
 * Columns of the relation of groups to be written: the image of the group, its
 * hash, the change of its numbers (-1: deleted, 0: updated, 1: inserted), the
 * place of the stored numbers (NULL if they are inserted), and the new numbers.
 */
#define GROUP_STATE_KEY 1
#define GROUP_STATE_HASH 2
#define GROUP_STATE_CHANGE 3
#define GROUP_STATE_PLACE 4
#define GROUP_STATE_NUMBERS 5

typedef struct GroupStateReader GroupStateReader;

extern TupleDesc group_state_desc(void);

/* Begin to read the stored numbers of a target under the active snapshot. */
extern GroupStateReader *group_state_open(int32 target_id);

/*
 * Find the stored numbers of one group.  Returns false if there are none.
 * *numbers (bytea) stays valid until the next call.
 */
extern bool group_state_find(GroupStateReader *reader, int64 hash, const bytea *key,
							 ItemPointer place, Datum *numbers);

/* End reading.  The places stay valid until the end of the transaction. */
extern void group_state_close(GroupStateReader *reader);

/*
 * Apply the changes to the numbers of these groups.  The caller holds the lock
 * of the target since before the places were read.  Raises an error (XX001) if
 * numbers to update or delete have no place.
 */
extern void group_state_change(int32 target_id, TupleDesc desc, Tuplestorestate *groups);

/* Replace the numbers of all groups of the target by these. */
extern void group_state_replace(int32 target_id, TupleDesc desc, Tuplestorestate *groups,
								uint64 ngroups);

/* Delete the numbers of all groups of the target. */
extern void group_state_delete(int32 target_id);

#endif /* DEPIPE_CATALOG_GROUP_STATE_H */
