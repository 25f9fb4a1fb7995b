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
 * Columns of the relation of groups that the statements read: the image of the
 * group, its hash, the change of its numbers (-1: deleted, 0: updated, 1:
 * inserted), and the numbers.
 */
#define GROUP_STATE_KEY 1
#define GROUP_STATE_HASH 2
#define GROUP_STATE_CHANGE 3
#define GROUP_STATE_NUMBERS 4

extern TupleDesc group_state_desc(void);

/* Returns true if the numbers of the groups of this target are stored.  A crash loses them. */
extern bool group_state_is_there(int32 target_id);

/* Returns the stored numbers of these groups.  Columns: key, numbers. */
extern CatalogRows *group_state_select(int32 target_id, TupleDesc desc, Tuplestorestate *groups,
									   uint64 ngroups);

/*
 * Apply the changes to the numbers of these groups.  Raises an error (XX001)
 * if numbers to update or delete are missing.
 */
extern void group_state_change(int32 target_id, TupleDesc desc, Tuplestorestate *groups,
							   uint64 ngroups);

/* Replace the numbers of all groups of the target by these. */
extern void group_state_replace(int32 target_id, TupleDesc desc, Tuplestorestate *groups,
								uint64 ngroups);

/* Delete the numbers of all groups of the target. */
extern void group_state_delete(int32 target_id);

#endif /* DEPIPE_CATALOG_GROUP_STATE_H */
