/*-------------------------------------------------------------------------
 *
 * group_state.h
 *		Statements on the numbers that are kept of groups of transforms.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CATALOG_GROUP_STATE_H
#define DEPIPE_CATALOG_GROUP_STATE_H

#include "catalog/statement.h"
#include "utils/tuplestore.h"

/*
 * Columns of the relation of groups that the statements read: the image of the
 * group, its hash, what becomes of its numbers (-1: they go, 0: they change, 1:
 * they are new), and the numbers.
 */
#define GROUP_STATE_KEY 1
#define GROUP_STATE_HASH 2
#define GROUP_STATE_CHANGE 3
#define GROUP_STATE_NUMBERS 4

extern TupleDesc group_state_desc(void);

/* Do the groups of this target have numbers?  They are lost in a crash. */
extern bool group_state_is_there(int32 target_id);

/* The numbers of these groups: key and numbers. */
extern CatalogRows *group_state_select(int32 target_id, TupleDesc desc, Tuplestorestate *groups,
									   uint64 ngroups);

/* Change the numbers of these groups.  Raises XX001 if those that change are not there. */
extern void group_state_change(int32 target_id, TupleDesc desc, Tuplestorestate *groups,
							   uint64 ngroups);

/* Replace the numbers of all groups by these. */
extern void group_state_replace(int32 target_id, TupleDesc desc, Tuplestorestate *groups,
								uint64 ngroups);

/* Delete the numbers of all groups. */
extern void group_state_delete(int32 target_id);

#endif /* DEPIPE_CATALOG_GROUP_STATE_H */
