/*-------------------------------------------------------------------------
 *
 * kept.c
 *		The companions of batch items that belong to constraints: their kept state, and the
 *		changes that they check.
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

/* Nothing is written: the gate has looked at them. */
static bool
checks_changes(PublishItem *item)
{
	return item->gate != NULL && gate_checks_changes(item->gate);
}

static void
apply_nothing(PublishItem *item, const Changes *changes, Snapshot snapshot)
{
}

const Companion checked_companion = {
	.name = "checks of changes",
	.before = true,
	.wants_changes = checks_changes,
	.apply = apply_nothing,
};

const Companion kept_companion = {
	.name = "kept state",
	.wants_changes = wants_changes,
	.apply = apply,
};
