/*-------------------------------------------------------------------------
 *
 * bag.h
 *		Finding the rows of a bag by a hash of the whole row.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_PUBLISH_BAG_H
#define DEPIPE_PUBLISH_BAG_H

#include "catalog/target.h"
#include "delta/delta.h"
#include "utils/rel.h"

/*
 * Before a delta is applied: where it deletes few rows of a large bag, and no
 * index leads to them, make one, as the owner.  An owner who may not make it
 * does without.  The target is locked.
 */
extern void bag_prepare(const Target *target, Delta *delta);

/* Are the deleted rows to be met through an index over the hash of the row? */
extern bool bag_has_hash(Relation rel, Delta *delta);

/*
 * The number in delta->columns of a column that leads an index of the bag, and
 * is met by "="; or 0.
 */
extern int bag_column(Relation rel, Delta *delta);

/* Drop the indexes that bag_prepare() has made, as the owner. */
extern void bag_drop_indexes(const Target *target);

#endif /* DEPIPE_PUBLISH_BAG_H */
