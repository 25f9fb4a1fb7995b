/*-------------------------------------------------------------------------
 *
 * companion.c
 *		Private tables that share the fate of a batch item.
 *
 *-------------------------------------------------------------------------
 */
#include "publish/companion.h"

#include "utils/memutils.h"

/* of Companion, in TopMemoryContext */
static List *companions = NIL;

void
companion_register(const Companion *companion)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

	companions = lappend(companions, (void *) companion);
	MemoryContextSwitchTo(old);
}

List *
companions_of(PublishItem *item)
{
	List *wanted = NIL;
	ListCell *cell;

	foreach(cell, companions)
	{
		const Companion *companion = lfirst(cell);

		if (companion->wants_changes(item))
			wanted = lappend(wanted, lfirst(cell));
	}
	return wanted;
}
