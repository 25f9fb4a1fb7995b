/*-------------------------------------------------------------------------
 *
 * fill.c
 *		Filling a delta with the changes of a source, in their order.
 *
 * Changes of a keyed delta go through its fold (fold.c), which is spilled
 * (fold_spill.c) when the filler runs short of memory.  A bag gets one row for
 * each old and new image.
 *
 *-------------------------------------------------------------------------
 */
#include "delta/fill.h"

#include "delta/fold.h"
#include "delta/fold_spill.h"

Delta *
delta_begin_fold(Delta *delta)
{
	MemoryContext old = MemoryContextSwitchTo(delta->context);

	if (delta->nkeys > 0)
		delta->fold = fold_create(delta);
	MemoryContextSwitchTo(old);
	return delta;
}

void
delta_upsert(Delta *delta, const Datum *values, const bool *nulls, const Bitmapset *unknown,
			 const Datum *old_values, const bool *old_nulls, bool old_complete)
{
	if (delta->fold != NULL)
	{
		fold_upsert(delta, values, nulls, unknown, old_values, old_nulls, old_complete);
		return;
	}
	/* a bag: the old image is complete, or there was no old row (INSERT) */
	if (unknown != NULL)
	{
		Datum *whole = palloc(sizeof(Datum) * delta->columns->natts);
		bool *whole_nulls = palloc(sizeof(bool) * delta->columns->natts);

		if (!old_complete)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("a column that was not sent cannot be known without a key")));
		for (int i = 0; i < delta->columns->natts; i++)
		{
			bool take_old = bms_is_member(i, unknown);

			whole[i] = take_old ? old_values[i] : values[i];
			whole_nulls[i] = take_old ? old_nulls[i] : nulls[i];
		}
		values = whole;
		nulls = whole_nulls;
	}
	if (old_values != NULL)
		delta_append(delta, -1, old_values, old_nulls);
	delta_append(delta, 1, values, nulls);
}

void
delta_delete(Delta *delta, const Datum *values, const bool *nulls)
{
	if (delta->fold != NULL)
		fold_delete(delta, values, nulls);
	else
		delta_append(delta, -1, values, nulls);
}

void
delta_clear(Delta *delta)
{
	delta->clear = true;
	delta->nrows = 0;
	delta->new_images = 0;
	tuplestore_clear(delta->rows);
	if (delta->fold == NULL)
		return;
	fold_drop_spilled(delta);
	fold_reset(delta);
}

Size
delta_memory(Delta *delta)
{
	return delta->fold == NULL ? 0 : fold_memory(delta);
}

bool
delta_is_spilled(const Delta *delta)
{
	return delta->fold != NULL && fold_is_spilled(delta);
}

void
delta_spill(Delta *delta)
{
	if (delta->fold != NULL)
		fold_spill(delta);
}

void
delta_make_room(Delta *delta)
{
	if (delta->fold != NULL && fold_memory(delta) > (Size) depipe_batch_memory * 1024)
		fold_spill(delta);
}

void
delta_finish(Delta *delta)
{
	MemoryContext old;

	if (delta->fold == NULL)
		return;
	old = MemoryContextSwitchTo(delta->context);
	if (fold_is_spilled(delta))
		fold_merge(delta);
	else
		fold_write(delta);
	fold_free(delta);
	MemoryContextSwitchTo(old);
}
