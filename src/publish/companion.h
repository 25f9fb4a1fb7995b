/*-------------------------------------------------------------------------
 *
 * companion.h
 *		Private tables that share the fate of a batch item.
 *
 * A batch item has one target.  Data that depends on its rows and must always
 * agree with them is kept in companions, such as the state of constraints.  (The
 * changes for downstream transforms are captured by triggers, which costs less:
 * capture/capture_write.c.)  A companion is written in the internal
 * subtransaction that applies and gates the item, once both are done and all
 * items of the pass are good.  It is therefore rolled back with the item, and
 * an error in it is an error of the item.
 *
 * To write one:
 *
 *	 1. Declare a constant Companion, and register it once when the library is
 *		loaded (depipe.c).
 *	 2. wants_changes says whether an item has it.  It is asked once for each item,
 *		under the lock of the target and before anything is applied.  Make it
 *		cheap: a steady batch runs no statement for a table that has nothing
 *		special.  Put a bit into catalog/marks.h; item->marks has it.
 *	 3. apply writes it.  The changes of the target's rows (delta/changes.h) are
 *		registered with SQL of the current SPI connection as changes->name: for
 *		statements on depipe's own tables, which open a connection of their own,
 *		pass changes->rows and changes->desc to catalog_execute_from().
 *
 * Cases for apply: If changes->known is false, rows of the target may have
 * changed that publish does not know (through triggers, actions of foreign
 * keys, or in a bag with more columns than its source): record that everything
 * may have changed.  If changes->cleared is true, all earlier rows were removed
 * (TRUNCATE, initial copy, full replacement), and the changes contain only new
 * images.  Changes may be empty, and a row that was written unchanged is in
 * them as old and as new image.
 *
 * Invariant: for each published item, apply of each companion that wants
 * changes was called exactly once with effect.  For an unpublished item, all
 * its effects are rolled back.
 *
 * Unpublished changes are not included: direct changes of the target by others.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_PUBLISH_COMPANION_H
#define DEPIPE_PUBLISH_COMPANION_H

#include "delta/changes.h"
#include "publish/item.h"
#include "utils/snapshot.h"

typedef struct Companion
{
	const char *name;
	bool blind;  /* apply does not look at the changes, which may be NULL */
	bool before; /* the changes of a cleared table shall have the rows that it had */

	/* Does the item have this companion? An error raised is an error of the item. */
	bool (*wants_changes)(PublishItem *item);

	/*
	 * Write the changes.  snapshot: that of the statements of publish, with the
	 * current command id; NULL: a fresh one for each statement.  Runs as the
	 * user of publish, in its SPI connection.  If it raises an error, the item
	 * is not published.
	 */
	void (*apply)(PublishItem *item, const Changes *changes, Snapshot snapshot);
} Companion;

/* Add a companion to all items; they are written in the order of registration. */
extern void companion_register(const Companion *companion);

/* The companions (list of Companion) that the item has. */
extern List *companions_of(PublishItem *item);

#endif /* DEPIPE_PUBLISH_COMPANION_H */
