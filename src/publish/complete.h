/*-------------------------------------------------------------------------
 *
 * complete.h
 *		Whole rows for a delta: unknown columns, and old images.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_PUBLISH_COMPLETE_H
#define DEPIPE_PUBLISH_COMPLETE_H

#include "catalog/target.h"
#include "delta/delta.h"

/*
 * Give partial rows their unknown columns, from the newest quarantined image of
 * the base key or else from the row of the target.  Returns false if a base is
 * missing (reason names the column, not the value).
 */
extern bool delta_complete(Target *target, Delta *delta, char **reason);

/*
 * Add the target's own old image of every key that the delta changes or deletes
 * (with clear: all rows), before apply.  Checks that compare old and new, and
 * references, use them.  Sets delta->old_images.
 */
extern void delta_complete_old(Target *target, Delta *delta);

#endif /* DEPIPE_PUBLISH_COMPLETE_H */
