/*-------------------------------------------------------------------------
 *
 * park.c
 *		Deltas that wait because their table is not published now.
 *
 * A table that is open, rejected, paused or failing stores its deltas so that
 * the stream of the others goes on.  Items keep the order of the source: their
 * numbers grow, and a TRUNCATE is an item.  Within one parked delta there is
 * one row per key, so that only the two halves of a key change need to be
 * replayed together.
 *
 * Past depipe.max_parked everything parked of the table is deleted: it needs a
 * resync, and says so.
 *
 *-------------------------------------------------------------------------
 */
#include "publish/publish.h"

#include "core/catalog_publish.h"
#include "core/reader.h"
#include "core/sqltext.h"
#include "miscadmin.h"
#include "publish/image.h"
#include "utils/memutils.h"

/* Names of columns, as a text array; NULL for none. */
static Datum
column_names(Delta *delta, const Bitmapset *columns, bool *isnull)
{
	List *names = NIL;
	int column = -1;
	ArrayType *array;

	while ((column = bms_next_member(columns, column)) >= 0)
		names = lappend(names, NameStr(TupleDescAttr(delta->columns, column)->attname));
	array = list_to_text_array(names);
	*isnull = (array == NULL);
	return PointerGetDatum(array);
}

static void
put_parked(Delta *delta, Tuplestorestate *rows, TupleDesc desc, int64 sequence, XLogRecPtr lsn,
		   TimestampTz time, int64 weight, int64 pair, const Bitmapset *unknown,
		   const Datum *values, const bool *nulls)
{
	Datum row[7];
	bool row_nulls[7] = {false};

	row[0] = Int64GetDatum(sequence);
	row[1] = LSNGetDatum(lsn);
	row_nulls[1] = (lsn == InvalidXLogRecPtr);
	row[2] = TimestampTzGetDatum(time);
	row_nulls[2] = (time == 0);
	row[3] = Int64GetDatum(weight);
	row[4] = PointerGetDatum(delta_row_image(delta, values, nulls));
	row[5] = column_names(delta, unknown, &row_nulls[5]);
	row[6] = Int64GetDatum(pair);
	row_nulls[6] = (pair == 0);
	tuplestore_putvalues(rows, desc, row, row_nulls);
}

/* Every row that is not a mere old image, as texts. */
static Tuplestorestate *
parked_rows(Delta *delta, TupleDesc desc, uint64 *nrows)
{
	Tuplestorestate *rows = tuplestore_begin_heap(true, false, work_mem);
	MemoryContext row_context = AllocSetContextCreate(CurrentMemoryContext,
													  "depipe park",
													  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = CurrentMemoryContext;
	DeltaReader *reader = delta_read(delta);

	*nrows = 0;
	while (delta_read_next(reader))
	{
		if (reader->replaced)
			continue;
		MemoryContextSwitchTo(row_context);
		put_parked(delta,
				   rows,
				   desc,
				   reader->sequence,
				   reader->lsn,
				   reader->time,
				   reader->weight,
				   reader->pair,
				   reader->unknown,
				   reader->values,
				   reader->nulls);
		MemoryContextSwitchTo(old);
		MemoryContextReset(row_context);
		(*nrows)++;
	}
	delta_read_end(reader);
	MemoryContextDelete(row_context);
	return rows;
}

bool
park_append(Target *target, Delta *delta)
{
	int64 last = catalog_parked_last_item(target->id);
	TupleDesc desc = catalog_park_desc();
	Tuplestorestate *rows;
	uint64 nrows;
	ListCell *cell;

	foreach(cell, delta->partial)
		if (((PartialRow *) lfirst(cell))->base_lost)
		{
			park_discard(target->id);
			return false;
		}
	if (delta->clear)
		catalog_park_clear_item(target->id, ++last);
	rows = parked_rows(delta, desc, &nrows);
	if (nrows > 0)
		catalog_park(target->id, catalog_layout_id(target->id, delta), last, desc, rows, nrows);
	tuplestore_end(rows);
	if (catalog_parked_count(target->id) > depipe_max_parked)
	{
		park_discard(target->id);
		return false;
	}
	return true;
}

int64
park_count(int32 target_id)
{
	return catalog_parked_count(target_id);
}

void
park_discard(int32 target_id)
{
	catalog_parked_delete(target_id);
}

/* ---- replay ---- */

typedef struct ParkedRows
{
	CatalogRows *rows;
	ImageReader *reader;
	Delta *into;
	bool *used; /* old halves of key changes, replayed with the new half */
} ParkedRows;

/* Row number of the parked item, or -1; items are sorted. */
static int64
find_item(CatalogRows *rows, int64 item)
{
	int64 low = 0;
	int64 high = rows->count;

	while (low < high)
	{
		int64 middle = low + (high - low) / 2;
		int64 found = catalog_int8(rows, middle, 1);

		if (found == item)
			return middle;
		if (found < item)
			low = middle + 1;
		else
			high = middle;
	}
	return -1;
}

static void
read_parked(ParkedRows *parked, uint64 row, Datum *values, bool *nulls, Bitmapset **unknown)
{
	bool isnull;
	Datum image = catalog_datum(parked->rows, row, 7, &isnull);
	ListCell *cell;

	image_read(parked->reader,
			   catalog_text_list(parked->rows, row, 5),
			   DatumGetArrayTypeP(image),
			   values,
			   nulls,
			   unknown);
	foreach(cell, catalog_text_list(parked->rows, row, 8))
		for (int i = 0; i < parked->into->columns->natts; i++)
			if (strcmp(NameStr(TupleDescAttr(parked->into->columns, i)->attname), lfirst(cell)) ==
				0)
				*unknown = bms_add_member(*unknown, i);
}

static void
replay_row(ParkedRows *parked, uint64 row)
{
	Delta *into = parked->into;
	int natts = into->columns->natts;
	Datum *values = palloc(sizeof(Datum) * natts);
	bool *nulls = palloc(sizeof(bool) * natts);
	Bitmapset *unknown = NULL;

	into->lsn = catalog_lsn(parked->rows, row, 3);
	into->time = catalog_time(parked->rows, row, 4);
	read_parked(parked, row, values, nulls, &unknown);
	if (catalog_int8(parked->rows, row, 6) < 0)
		delta_delete(into, values, nulls);
	else if (catalog_isnull(parked->rows, row, 9))
		delta_upsert(into, values, nulls, unknown, NULL, NULL, false);
	else
	{
		Datum *old_values = palloc(sizeof(Datum) * natts);
		bool *old_nulls = palloc(sizeof(bool) * natts);
		Bitmapset *ignored = NULL;
		int64 old_row = find_item(parked->rows, catalog_int8(parked->rows, row, 9));

		if (old_row < 0)
			delta_upsert(into, values, nulls, unknown, NULL, NULL, false);
		else
		{
			read_parked(parked, old_row, old_values, old_nulls, &ignored);
			delta_upsert(into, values, nulls, unknown, old_values, old_nulls, false);
		}
	}
}

/* Old halves of key changes are replayed with their new halves. */
static void
mark_old_halves(ParkedRows *parked)
{
	parked->used = palloc0(sizeof(bool) * Max(parked->rows->count, 1));
	for (uint64 row = 0; row < parked->rows->count; row++)
	{
		int64 old_row;

		if (catalog_isnull(parked->rows, row, 9))
			continue;
		old_row = find_item(parked->rows, catalog_int8(parked->rows, row, 9));
		if (old_row >= 0 && catalog_int8(parked->rows, old_row, 6) < 0)
			parked->used[old_row] = true;
	}
}

void
park_take(Target *target, Delta *into)
{
	ParkedRows parked = {0};
	MemoryContext row_context;
	MemoryContext old;

	parked.rows = catalog_parked(target->id);
	if (parked.rows->count == 0)
		return;
	parked.reader = image_reader(into);
	parked.into = into;
	mark_old_halves(&parked);
	row_context = AllocSetContextCreate(CurrentMemoryContext,
										"depipe replay",
										ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(row_context);
	for (uint64 row = 0; row < parked.rows->count; row++)
	{
		if (strcmp(catalog_text(parked.rows, row, 2), "clear") == 0)
			delta_clear(into);
		else if (!parked.used[row])
			replay_row(&parked, row);
		MemoryContextReset(row_context);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(row_context);
	catalog_parked_delete(target->id);
}

void
delta_fold_onto(Delta *from, Delta *into)
{
	DeltaOldKeys *old_keys = delta_old_keys(from);
	DeltaReader *reader;

	if (from->clear)
		delta_clear(into);
	reader = delta_read(from);
	while (delta_read_next(reader))
	{
		const Datum *old_values;
		const bool *old_nulls;

		into->lsn = reader->lsn;
		into->time = reader->time;
		if (reader->replaced || delta_is_old_key(old_keys, reader->sequence))
			continue;
		if (into->nkeys == 0)
			delta_append(into, reader->weight, reader->values, reader->nulls);
		else if (reader->weight < 0)
			delta_delete(into, reader->values, reader->nulls);
		else if (delta_old_key(old_keys, reader->pair, &old_values, &old_nulls))
			delta_upsert(into,
						 reader->values,
						 reader->nulls,
						 reader->unknown,
						 old_values,
						 old_nulls,
						 false);
		else
			delta_upsert(into, reader->values, reader->nulls, reader->unknown, NULL, NULL, false);
	}
	delta_read_end(reader);
}
