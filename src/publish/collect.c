/*-------------------------------------------------------------------------
 *
 * collect.c
 *		Collection of the rows that a pass changes in a target.
 *
 * Old images of the keys of the delta are read before apply.  New images are
 * those of the delta if the table stores them unchanged; otherwise they are
 * read from the table afterwards.  For a bag, only the images of the delta are
 * available.
 *
 * Other rows written in the meantime (by a trigger or by the action of a
 * foreign key) are in neither.  Therefore the numbers of rows that the
 * transaction inserted, updated and deleted in the table must agree with the
 * images; otherwise the changes are not known.
 *
 *-------------------------------------------------------------------------
 */
#include "publish/collect.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "publish/statements.h"
#include "utils/rel.h"

/* Do triggers of users see the rows before they are stored? */
static bool
is_changed_by_triggers(Relation rel)
{
	for (int i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
	{
		const Trigger *trigger = &rel->trigdesc->triggers[i];

		if (TRIGGER_FOR_BEFORE(trigger->tgtype) && TRIGGER_FOR_ROW(trigger->tgtype) &&
			triggers_fire(trigger))
			return true;
	}
	return false;
}

/* Of the table or one of its partitions. */
static bool
rows_are_changed(const ApplyTable *table)
{
	bool changed = false;
	ListCell *cell;

	foreach(cell, table->relids)
	{
		Relation rel = table_open(lfirst_oid(cell), NoLock);

		changed |= is_changed_by_triggers(rel);
		table_close(rel, NoLock);
	}
	return changed;
}

static bool
has_generated_columns(Relation rel)
{
	for (int i = 0; i < rel->rd_att->natts; i++)
		if (!TupleDescAttr(rel->rd_att, i)->attisdropped &&
			TupleDescAttr(rel->rd_att, i)->attgenerated != '\0')
			return true;
	return false;
}

static void
collect_cleared(Collection *collection, bool wants_before)
{
	ApplyTable *table = collection->table;
	Changes *changes = collection->changes;
	Relation rel;

	changes->cleared = true;
	if (!wants_before)
		return;
	rel = table_open(table->target->relid, NoLock);
	changes_add_before(changes, rel);
	table_close(rel, NoLock);
	execute_reading(table,
					images_sql(table, changes->desc, -1, false),
					changes_before_receiver(changes));
}

static void
collect_old_images(Collection *collection, bool wants_before)
{
	ApplyTable *table = collection->table;
	Changes *changes = collection->changes;

	if (table->delta->clear)
		collect_cleared(collection, wants_before);
	else if (table->delta->nkeys > 0 && table->delta->nrows > 0)
		execute_reading(table,
						images_sql(table, changes->desc, -1, false),
						changes_receiver(changes));
}

Collection *
collect_begin(ApplyTable *table, bool wants_before)
{
	Collection *collection = palloc0(sizeof(Collection));
	Relation rel = table_open(table->target->relid, NoLock);

	collection->table = table;
	collection->changes = changes_create(rel);
	collection->from_delta = table->all_columns && !has_generated_columns(rel);
	table_close(rel, NoLock);
	/* the rows of a bag are distinguished only by the columns of the delta */
	if (rows_are_changed(table) ||
		(table->delta->nkeys == 0 && !table->delta->clear && !collection->from_delta))
		changes_forget(collection->changes);
	else
		collect_old_images(collection, wants_before);
	collection->written_before = table->written;
	collection->before = execute_written_so_far(table->target->relid);
	return collection;
}

static void
collect_new_images(Collection *collection)
{
	ApplyTable *table = collection->table;
	Changes *changes = collection->changes;

	if (collection->from_delta)
		changes_add_delta(changes, table->delta, table->delta->nkeys == 0 && !table->delta->clear);
	else if (table->delta->new_images > 0)
		execute_reading(table,
						images_sql(table, changes->desc, 1, true),
						changes_receiver(changes));
}

/* Were exactly the old images deleted or updated, and exactly the new ones inserted or updated? */
static bool
accounts_for_all(const Collection *collection)
{
	const Changes *changes = collection->changes;
	Written now = execute_written_so_far(collection->table->target->relid);
	int64 inserted = now.inserted - collection->before.inserted;
	int64 updated = now.updated - collection->before.updated;
	int64 deleted = now.deleted - collection->before.deleted;

	/* the current rows are not all the rows that were written */
	if (collection->table->target->history != HISTORY_NONE)
		return inserted + updated + deleted ==
			   collection->table->written - collection->written_before;

	return inserted + updated == changes->copies_new &&
		   (changes->cleared ? updated == 0 : deleted + updated == changes->copies_gone);
}

Changes *
collect_end(Collection *collection)
{
	Changes *changes = collection->changes;

	if (changes->known)
	{
		collect_new_images(collection);
		changes_finish(changes);
		if (!accounts_for_all(collection))
			changes_forget(changes);
	}
	return changes;
}
