/*-------------------------------------------------------------------------
 *
 * park.c
 *		Deltas that wait because their table is not published now.
 *
 * A table that is open, rejected, paused or failing stores its deltas so that
 * the stream of the others goes on.  Items keep the order of the source: their
 * numbers grow, and a TRUNCATE is an item.  Within one parked delta (a batch)
 * there is one row per key, so that its rows could be replayed in any order, but
 * for two things: the halves of a key change go together, and a partial row's
 * base is a row of before the batch, so that all bases are looked at first.
 *
 * Past depipe.max_parked everything parked of the table is deleted: it needs a
 * resync, and says so.
 *
 *-------------------------------------------------------------------------
 */
#include "publish/publish.h"

#include "core/catalog_publish.h"
#include "core/fold.h"
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
put_parked(DeltaReader *reader, Tuplestorestate *rows, TupleDesc desc)
{
	Delta *delta = reader->delta;
	const PartialRow *partial = reader->partial;
	Datum row[8];
	bool row_nulls[8] = {false};

	row[0] = Int64GetDatum(reader->sequence);
	row[1] = LSNGetDatum(reader->lsn);
	row_nulls[1] = (reader->lsn == InvalidXLogRecPtr);
	row[2] = TimestampTzGetDatum(reader->time);
	row_nulls[2] = (reader->time == 0);
	row[3] = Int64GetDatum(reader->weight);
	row[4] = PointerGetDatum(delta_row_image(delta, reader->values, reader->nulls));
	row[5] = column_names(delta, reader->unknown, &row_nulls[5]);
	row[6] = Int64GetDatum(reader->pair);
	row_nulls[6] = (reader->pair == 0 || reader->weight < 0);
	row_nulls[7] = (partial == NULL);
	if (partial != NULL)
		row[7] = PointerGetDatum(delta_row_key(delta, partial->base_values, partial->base_nulls));
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
		put_parked(reader, rows, desc);
		MemoryContextSwitchTo(old);
		MemoryContextReset(row_context);
		(*nrows)++;
	}
	delta_read_end(reader);
	MemoryContextDelete(row_context);
	return rows;
}

const char *
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
			return "a value cannot be recovered";
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
		return "more rows are held than depipe.max_parked allows";
	}
	return NULL;
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
	bool *used;            /* old halves of key changes, replayed with the new half */
	FoldBase **bases;      /* of partial rows, for the batch that is replayed */
	MemoryContext context; /* of bases */
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

/* Key of the row's old half into values; false when it was no key change. */
static bool
read_old_half(ParkedRows *parked, uint64 row, Datum *values, bool *nulls)
{
	Bitmapset *ignored = NULL;
	int64 old_row;

	if (catalog_isnull(parked->rows, row, 9))
		return false;
	old_row = find_item(parked->rows, catalog_int8(parked->rows, row, 9));
	if (old_row < 0 || catalog_int8(parked->rows, old_row, 6) > 0)
		return false;
	read_parked(parked, old_row, values, nulls, &ignored);
	return true;
}

/* In the context of bases: where the unknown columns of a row come from. */
static FoldBase *
read_base(ParkedRows *parked, uint64 row)
{
	int natts = parked->into->columns->natts;
	Datum *values = palloc(sizeof(Datum) * natts);
	bool *nulls = palloc(sizeof(bool) * natts);
	Bitmapset *unknown = NULL;
	bool isnull;
	Datum key = catalog_datum(parked->rows, row, 10, &isnull);

	read_parked(parked, row, values, nulls, &unknown);
	if (unknown == NULL)
		return NULL;
	if (!isnull)
		image_read_key(parked->reader, DatumGetArrayTypeP(key), values, nulls);
	else
		(void) read_old_half(parked, row, values, nulls);
	return fold_base(parked->into, unknown, values, nulls);
}

/* Look at all bases of the batch that begins with this row. */
static void
read_bases(ParkedRows *parked, uint64 first)
{
	int natts = parked->into->columns->natts;
	int64 batch = catalog_int8(parked->rows, first, 11);
	MemoryContext old;

	MemoryContextReset(parked->context);
	old = MemoryContextSwitchTo(parked->context);
	for (uint64 row = first; row < parked->rows->count; row++)
	{
		/* columns may have been added since */
		bool whole = catalog_isnull(parked->rows, row, 8) &&
					 list_length(catalog_text_list(parked->rows, row, 5)) >= natts;

		if (catalog_int8(parked->rows, row, 11) != batch)
			break;
		if (!whole && catalog_int8(parked->rows, row, 6) > 0)
			parked->bases[row] = read_base(parked, row);
	}
	MemoryContextSwitchTo(old);
}

static void
replay_row(ParkedRows *parked, uint64 row)
{
	Delta *into = parked->into;
	int natts = into->columns->natts;
	int64 weight = catalog_int8(parked->rows, row, 6);
	Datum *values = palloc(sizeof(Datum) * natts);
	bool *nulls = palloc(sizeof(bool) * natts);
	Datum *old_values = palloc(sizeof(Datum) * natts);
	bool *old_nulls = palloc(sizeof(bool) * natts);
	Bitmapset *unknown = NULL;

	into->lsn = catalog_lsn(parked->rows, row, 3);
	into->time = catalog_time(parked->rows, row, 4);
	read_parked(parked, row, values, nulls, &unknown);
	if (into->nkeys == 0)
		delta_append(into, weight, values, nulls);
	else if (weight < 0)
		delta_delete(into, values, nulls);
	else
	{
		if (!read_old_half(parked, row, old_values, old_nulls))
			old_values = NULL;
		if (parked->bases[row] != NULL)
			fold_upsert_based(into, values, nulls, parked->bases[row], old_values, old_nulls);
		else
			delta_upsert(into, values, nulls, unknown, old_values, old_nulls, false);
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

static void
replay(ParkedRows *parked, MemoryContext row_context)
{
	MemoryContext old = MemoryContextSwitchTo(row_context);
	int64 batch = -1;

	for (uint64 row = 0; row < parked->rows->count; row++)
	{
		if (strcmp(catalog_text(parked->rows, row, 2), "clear") == 0)
			delta_clear(parked->into);
		else
		{
			if (catalog_int8(parked->rows, row, 11) != batch && parked->into->nkeys > 0)
				read_bases(parked, row);
			batch = catalog_int8(parked->rows, row, 11);
			if (!parked->used[row])
				replay_row(parked, row);
		}
		MemoryContextReset(row_context);
	}
	MemoryContextSwitchTo(old);
}

void
park_take(Target *target, Delta *into)
{
	ParkedRows parked = {0};
	MemoryContext row_context;

	parked.rows = catalog_parked(target->id);
	if (parked.rows->count == 0)
		return;
	parked.reader = image_reader(target, into);
	parked.into = into;
	parked.bases = palloc0(sizeof(FoldBase *) * parked.rows->count);
	parked.context = AllocSetContextCreate(CurrentMemoryContext,
										   "depipe replay bases",
										   ALLOCSET_DEFAULT_SIZES);
	row_context = AllocSetContextCreate(CurrentMemoryContext,
										"depipe replay",
										ALLOCSET_DEFAULT_SIZES);
	mark_old_halves(&parked);
	replay(&parked, row_context);
	MemoryContextDelete(row_context);
	MemoryContextDelete(parked.context);
	catalog_parked_delete(target->id);
}

/* ---- one delta onto another ---- */

/* Bases of the partial rows of a delta, in their order. */
static List *
partial_bases(Delta *from, Delta *into)
{
	List *bases = NIL;
	ListCell *cell;

	foreach(cell, from->partial)
	{
		PartialRow *partial = lfirst(cell);

		bases = lappend(bases,
						fold_base(into,
								  partial->unknown,
								  partial->base_lost ? NULL : partial->base_values,
								  partial->base_nulls));
	}
	return bases;
}

static void
fold_row_onto(DeltaReader *reader, DeltaOldKeys *old_keys, FoldBase *base, Delta *into)
{
	const Datum *old_values = NULL;
	const bool *old_nulls = NULL;

	into->lsn = reader->lsn;
	into->time = reader->time;
	if (into->nkeys == 0)
		delta_append(into, reader->weight, reader->values, reader->nulls);
	else if (reader->weight < 0)
		delta_delete(into, reader->values, reader->nulls);
	else
	{
		if (!delta_old_key(old_keys, reader->pair, &old_values, &old_nulls))
			old_values = NULL;
		if (base != NULL)
			fold_upsert_based(into, reader->values, reader->nulls, base, old_values, old_nulls);
		else
			delta_upsert(into, reader->values, reader->nulls, NULL, old_values, old_nulls, false);
	}
}

void
delta_fold_onto(Delta *from, Delta *into)
{
	DeltaOldKeys *old_keys = delta_old_keys(from);
	DeltaReader *reader;
	List *bases;

	if (from->clear)
		delta_clear(into);
	bases = partial_bases(from, into);
	reader = delta_read(from);
	while (delta_read_next(reader))
	{
		FoldBase *base = NULL;

		if (reader->replaced || delta_is_old_key(old_keys, reader->sequence))
			continue;
		if (reader->partial != NULL)
			base = list_nth(bases, reader->next_partial - 1);
		fold_row_onto(reader, old_keys, base, into);
	}
	delta_read_end(reader);
}
