/*-------------------------------------------------------------------------
 *
 * kept.c
 *		The kept state of constraints as a companion of batch items.
 *
 * The gate has already computed the new state, because it judges by it.
 *
 *-------------------------------------------------------------------------
 */
#include "publish/kept.h"

#include "quality/gate.h"

static bool
wants_changes(PublishItem *item)
{
	return item->gate != NULL && gate_keeps_state(item->gate);
}

static void
apply(PublishItem *item, const Changes *changes, Snapshot snapshot)
{
	gate_keep(item->gate);
}

const Companion kept_companion = {
	.name = "kept state",
	.wants_changes = wants_changes,
	.apply = apply,
};
