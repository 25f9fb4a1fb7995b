/*-------------------------------------------------------------------------
 *
 * bag.h
 *		Access to the rows of a bag through a hash of the whole row.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_PUBLISH_BAG_H
#define DEPIPE_PUBLISH_BAG_H

#include "catalog/target.h"
#include "delta/delta.h"
#include "utils/rel.h"

/*
 * Before a delta is applied: if it deletes few rows of a large bag, and no
 * index leads to them, create one as the owner.  If the owner may not create
 * it, none is created.  The target is locked.
 */
extern void bag_prepare(const Target *target, Delta *delta);

/* Are the deleted rows found through an index on the hash of the row? */
extern bool bag_has_hash(Relation rel, Delta *delta);

/*
 * The number in delta->columns of a column that leads an index of the bag and
 * can be joined by "="; or 0.
 */
extern int bag_column(Relation rel, Delta *delta);

/* Drop the indexes that bag_prepare() created, as the owner. */
extern void bag_drop_indexes(const Target *target);

#endif /* DEPIPE_PUBLISH_BAG_H */
