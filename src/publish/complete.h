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
 * Give partial rows their unknown columns: from the newest quarantined image
 * of the base key, else from the target's row.  Returns false when a base is
 * gone (reason says which column, not which value).
 */
extern bool delta_complete(Target *target, Delta *delta, char **reason);

/*
 * Add the target's own old image of every key that the delta changes or
 * deletes (all rows with clear), before apply: for checks that compare old and
 * new, and for references.  Sets delta->old_images.
 */
extern void delta_complete_old(Target *target, Delta *delta);

#endif /* DEPIPE_PUBLISH_COMPLETE_H */
