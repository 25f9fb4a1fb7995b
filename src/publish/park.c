/*-------------------------------------------------------------------------
 *
 * park.c
 *		Parked deltas: they wait because their table is not published now.
 *
 * A table that is open, rejected, paused or failing stores its deltas so that
 * the stream continues for the others.  Items keep the order of the source:
 * their numbers grow, and a TRUNCATE is an item.  Within one parked delta (a
 * batch) there is one row per key, so that its rows could be replayed in any
 * order, with two exceptions.  The halves of a key change stay together.  The
 * base of a partial row is a row from before the batch, so that all bases are
 * read first.
 *
 * Beyond depipe.max_parked all parked items of the table are deleted: it needs
 * a resync, and reports that.
 *
 *-------------------------------------------------------------------------
 */
#include "publish/park.h"

#include "catalog/kept_rows.h"
#include "core/sqltext.h"
#include "delta/fill.h"
#include "delta/fold.h"
#include "delta/reader.h"
#include "miscadmin.h"
#include "publish/image.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

/* Weight of a parked row that replaces another row of its key: the other one is deleted first. */
#define PARKED_ANOTHER 2

/*
 * Number of rows of the first piece read from the park, and its maximum; each
 * piece gets a share of the memory.
 */
#define PIECE_FIRST 100
#define PIECE_MOST 5000
#define PIECE_SHARE 8

#define ROOM_CHECK_EVERY 256 /* rows */

/* The implication of a row for its key when it is folded again; before: that of its batch. */
static DeltaClaim
claim_of(int before)
{
	switch (before)
	{
		case BEFORE_NONE:
			return CLAIM_ABSENT;
		case BEFORE_SAME:
			return CLAIM_PRESENT;
		default:
			return CLAIM_NOTHING;
	}
}

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

/* Does the image belong to a new row that takes the place of the previous row of its key? */
static bool
is_another_row(const DeltaReader *reader)
{
	return reader->delta->nkeys > 0 && reader->weight > 0 &&
		   (reader->before == BEFORE_OTHER || reader->before == BEFORE_GONE);
}

static void
put_parked(DeltaReader *reader, Tuplestorestate *rows, TupleDesc desc)
{
	Delta *delta = reader->delta;
	const PartialRow *partial = reader->partial;
	Datum row[9];
	bool row_nulls[9] = {false};

	row[0] = Int64GetDatum(reader->sequence);
	row[1] = LSNGetDatum(reader->lsn);
	row_nulls[1] = (reader->lsn == InvalidXLogRecPtr);
	row[2] = TimestampTzGetDatum(reader->time);
	row_nulls[2] = (reader->time == 0);
	row[3] = Int64GetDatum(is_another_row(reader) ? PARKED_ANOTHER : reader->weight);
	row[4] = PointerGetDatum(delta_row_image(delta, reader->values, reader->nulls));
	row[5] = column_names(delta, reader->unknown, &row_nulls[5]);
	row[6] = Int64GetDatum(reader->pair);
	row_nulls[6] = (reader->pair == 0 || reader->weight < 0);
	row_nulls[7] = (partial == NULL);
	if (partial != NULL)
		row[7] = PointerGetDatum(delta_row_key(delta, partial->base_values, partial->base_nulls));
	row[8] = Int16GetDatum(reader->before);
	row_nulls[8] = (reader->before == BEFORE_UNKNOWN);
	tuplestore_putvalues(rows, desc, row, row_nulls);
}

/* Store every row that is not merely an old image, as texts. */
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
		CHECK_FOR_INTERRUPTS();
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
		catalog_park_clear_item(target->id, ++last, delta->batch_end, delta->time);
	rows = parked_rows(delta, desc, &nrows);
	if (nrows > 0)
		catalog_park(target->id,
					 catalog_layout_id(target->id, delta->columns),
					 last,
					 delta->batch_end,
					 desc,
					 rows,
					 nrows);
	tuplestore_end(rows);
	if (catalog_parked_count(target->id) > depipe_max_parked)
	{
		park_discard(target->id);
		return "more rows are parked than depipe.max_parked allows";
	}
	return NULL;
}

void
park_discard(int32 target_id)
{
	catalog_parked_delete(target_id);
}

/* ---- replay ---- */

/*
 * Parked items may exceed memory by far: they are read in pieces, and the delta
 * into which they are folded spills to disk when it becomes too large.
 */
typedef struct ParkedRows
{
	Target *target;
	CatalogRows *rows; /* the piece */
	MemoryContext piece;
	ImageReader *reader;
	Delta *into;
	int64 *old_halves; /* items that new halves of key changes refer to, sorted */
	int nold_halves;
	HTAB *bases;           /* of partial rows, for the batch that is replayed; NULL: none */
	MemoryContext context; /* of bases */
	int64 batch;
} ParkedRows;

typedef struct ParkedBase
{
	int64 item; /* hash key */
	FoldBase *base;
} ParkedBase;

static int
compare_items(const void *a, const void *b)
{
	int64 left = *(const int64 *) a;
	int64 right = *(const int64 *) b;

	return (left > right) - (left < right);
}

static void
read_parked(ParkedRows *parked, CatalogRows *rows, uint64 row, int image_column, Datum *values,
			bool *nulls, Bitmapset **unknown)
{
	bool isnull;
	Datum image = catalog_datum(rows, row, image_column, &isnull);
	ListCell *cell;

	image_read(parked->reader,
			   catalog_text_list(rows, row, PARKED_COLUMNS),
			   DatumGetArrayTypeP(image),
			   values,
			   nulls,
			   unknown);
	if (image_column != PARKED_IMAGE)
		return;
	foreach(cell, catalog_text_list(rows, row, PARKED_UNKNOWN))
		for (int i = 0; i < parked->into->columns->natts; i++)
			if (strcmp(NameStr(TupleDescAttr(parked->into->columns, i)->attname), lfirst(cell)) ==
				0)
				*unknown = bms_add_member(*unknown, i);
}

/* Put the key of the old half of the row into values; false if the row is not a key change. */
static bool
read_old_half(ParkedRows *parked, CatalogRows *rows, uint64 row, Datum *values, bool *nulls)
{
	Bitmapset *ignored = NULL;

	if (catalog_isnull(rows, row, PARKED_OLD_IMAGE))
		return false;
	read_parked(parked, rows, row, PARKED_OLD_IMAGE, values, nulls, &ignored);
	return true;
}

/* The sources of the unknown columns of a row, in the memory context of the bases. */
static FoldBase *
read_base(ParkedRows *parked, CatalogRows *rows, uint64 row)
{
	int natts = parked->into->columns->natts;
	Datum *values = palloc(sizeof(Datum) * natts);
	bool *nulls = palloc(sizeof(bool) * natts);
	Bitmapset *unknown = NULL;
	bool isnull;
	Datum key = catalog_datum(rows, row, PARKED_BASE_KEY, &isnull);

	read_parked(parked, rows, row, PARKED_IMAGE, values, nulls, &unknown);
	if (unknown == NULL)
		return NULL;
	if (!isnull)
		image_read_key(parked->reader, DatumGetArrayTypeP(key), values, nulls);
	else
		(void) read_old_half(parked, rows, row, values, nulls);
	return fold_base(parked->into, unknown, values, nulls);
}

static void
remember_base(ParkedRows *parked, int64 item, FoldBase *base)
{
	HASHCTL control = {0};
	bool found;

	if (base == NULL)
		return;
	if (parked->bases == NULL)
	{
		control.keysize = sizeof(int64);
		control.entrysize = sizeof(ParkedBase);
		control.hcxt = parked->context;
		parked->bases =
			hash_create("depipe parked bases", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	((ParkedBase *) hash_search(parked->bases, &item, HASH_ENTER, &found))->base = base;
}

static FoldBase *
base_of(ParkedRows *parked, int64 item)
{
	ParkedBase *found = parked->bases == NULL ? NULL
											  : hash_search(parked->bases, &item, HASH_FIND, NULL);

	return found == NULL ? NULL : found->base;
}

/* Read all bases of the batch that begins after this item. */
static void
read_bases(ParkedRows *parked, int64 batch, int64 behind)
{
	int natts = parked->into->columns->natts;
	MemoryContext piece = AllocSetContextCreate(parked->piece,
												"depipe replay piece",
												ALLOCSET_DEFAULT_SIZES);
	CatalogRows *rows;

	MemoryContextReset(parked->context);
	parked->bases = NULL;
	do
	{
		MemoryContext old;

		MemoryContextReset(piece);
		old = MemoryContextSwitchTo(piece);
		rows = catalog_parked_partial(parked->target->id, batch, behind, natts, PIECE_MOST);
		MemoryContextSwitchTo(parked->context);
		for (uint64 row = 0; row < rows->count; row++)
		{
			CHECK_FOR_INTERRUPTS();
			behind = catalog_int8(rows, row, PARKED_ITEM);
			remember_base(parked, behind, read_base(parked, rows, row));
		}
		MemoryContextSwitchTo(old);
	} while (rows->count == PIECE_MOST);
	MemoryContextDelete(piece);
}

static DeltaClaim
parked_claim(CatalogRows *rows, uint64 row)
{
	return catalog_isnull(rows, row, PARKED_BEFORE)
			   ? CLAIM_NOTHING
			   : claim_of((int) catalog_int8(rows, row, PARKED_BEFORE));
}

static void
replay_row(ParkedRows *parked, uint64 row)
{
	Delta *into = parked->into;
	CatalogRows *rows = parked->rows;
	int natts = into->columns->natts;
	int64 weight = catalog_int8(rows, row, PARKED_WEIGHT);
	Datum *values = palloc(sizeof(Datum) * natts);
	bool *nulls = palloc(sizeof(bool) * natts);
	Datum *old_values = palloc(sizeof(Datum) * natts);
	bool *old_nulls = palloc(sizeof(bool) * natts);
	Bitmapset *unknown = NULL;
	FoldBase *base;

	into->lsn = catalog_lsn(rows, row, PARKED_LSN);
	into->time = catalog_time(rows, row, PARKED_TIME);
	into->claim = parked_claim(rows, row);
	read_parked(parked, rows, row, PARKED_IMAGE, values, nulls, &unknown);
	if (into->nkeys == 0)
		delta_append(into, weight, values, nulls);
	else if (weight < 0)
		delta_delete(into, values, nulls);
	else
	{
		if (weight == PARKED_ANOTHER)
			delta_delete(into, values, nulls);
		if (!read_old_half(parked, rows, row, old_values, old_nulls))
			old_values = NULL;
		else
			into->claim = CLAIM_NOTHING;
		base = base_of(parked, catalog_int8(rows, row, PARKED_ITEM));
		if (base != NULL)
			fold_upsert_based(into, values, nulls, base, old_values, old_nulls);
		else
			delta_upsert(into, values, nulls, unknown, old_values, old_nulls, false);
	}
}

/* Old halves of key changes are replayed with their new halves. */
static bool
is_old_half(const ParkedRows *parked, uint64 row)
{
	int64 item = catalog_int8(parked->rows, row, PARKED_ITEM);

	return catalog_int8(parked->rows, row, PARKED_WEIGHT) < 0 && parked->nold_halves > 0 &&
		   bsearch(&item, parked->old_halves, parked->nold_halves, sizeof(int64), compare_items) !=
			   NULL;
}

static void
replay_item(ParkedRows *parked, uint64 row)
{
	CatalogRows *rows = parked->rows;
	int64 batch;

	if (strcmp(catalog_text(rows, row, PARKED_KIND), "clear") == 0)
	{
		delta_clear(parked->into);
		parked->into->time = catalog_time(rows, row, PARKED_TIME);
		return;
	}
	batch = catalog_int8(rows, row, PARKED_BATCH);
	if (batch != parked->batch && parked->into->nkeys > 0)
		read_bases(parked, batch, catalog_int8(rows, row, PARKED_ITEM) - 1);
	parked->batch = batch;
	if (!is_old_half(parked, row))
		replay_row(parked, row);
}

/* The number of rows of the next piece, from the memory that the rows of this one took. */
static int
next_piece(const ParkedRows *parked)
{
	Size taken = MemoryContextMemAllocated(parked->piece, true);
	Size share = (Size) depipe_batch_memory * 1024 / PIECE_SHARE;
	Size row = Max(taken / Max(parked->rows->count, 1), 1);

	return (int) Max(Min(share / row, PIECE_MOST), 1);
}

static void
replay(ParkedRows *parked, int64 last, MemoryContext row_context)
{
	int64 behind = PG_INT64_MIN;
	int count = PIECE_FIRST;

	for (;;)
	{
		MemoryContext old;

		MemoryContextReset(parked->piece);
		old = MemoryContextSwitchTo(parked->piece);
		parked->rows = catalog_parked(parked->target->id, behind, last, count);
		MemoryContextSwitchTo(row_context);
		for (uint64 row = 0; row < parked->rows->count; row++)
		{
			CHECK_FOR_INTERRUPTS();
			replay_item(parked, row);
			behind = catalog_int8(parked->rows, row, PARKED_ITEM);
			MemoryContextReset(row_context);
		}
		MemoryContextSwitchTo(old);
		delta_make_room(parked->into);
		if (parked->rows->count < (uint64) count)
			return;
		count = next_piece(parked);
	}
}

/* Fold the items up to the last one into the delta. */
static void
replay_until(Target *target, Delta *into, int64 last)
{
	ParkedRows parked = {.target = target, .into = into, .batch = -1};
	MemoryContext row_context;

	parked.reader = image_reader(target, into);
	parked.old_halves = catalog_parked_old_halves(target->id, last, &parked.nold_halves);
	parked.context = AllocSetContextCreate(CurrentMemoryContext,
										   "depipe replay bases",
										   ALLOCSET_DEFAULT_SIZES);
	parked.piece = AllocSetContextCreate(CurrentMemoryContext,
										 "depipe replay piece",
										 ALLOCSET_DEFAULT_SIZES);
	row_context = AllocSetContextCreate(CurrentMemoryContext,
										"depipe replay",
										ALLOCSET_DEFAULT_SIZES);
	replay(&parked, last, row_context);
	MemoryContextDelete(row_context);
	MemoryContextDelete(parked.piece);
	MemoryContextDelete(parked.context);
	into->claim = CLAIM_NOTHING;
}

void
park_take(Target *target, Delta *into)
{
	if (catalog_parked_count(target->id) == 0)
		return;
	replay_until(target, into, PG_INT64_MAX);
	into->batch_end = catalog_parked_end(target->id);
	catalog_parked_delete(target->id);
}

/* ---- bites ---- */

XLogRecPtr
park_bite_end(Target *target, int64 bytes)
{
	return catalog_parked_bite_end(target->id, bytes);
}

int64
park_take_bite(Target *target, Delta *into, XLogRecPtr end)
{
	int64 last = catalog_parked_bite_last(target->id, end);

	if (last != PARK_NO_ITEM)
		replay_until(target, into, last);
	into->batch_end = end;
	return last;
}

void
park_forget(Target *target, int64 last_item)
{
	catalog_parked_delete_until(target->id, last_item);
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

		CHECK_FOR_INTERRUPTS();
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
	into->claim = claim_of(reader->before);
	if (into->nkeys == 0)
		delta_append(into, reader->weight, reader->values, reader->nulls);
	else if (reader->weight < 0)
		delta_delete(into, reader->values, reader->nulls);
	else
	{
		if (is_another_row(reader))
			delta_delete(into, reader->values, reader->nulls);
		if (!delta_old_key(old_keys, reader->pair, &old_values, &old_nulls))
			old_values = NULL;
		else
			into->claim = CLAIM_NOTHING;
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
	uint64 count = 0;

	if (from->clear)
	{
		delta_clear(into);
		into->time = from->time;
	}
	bases = partial_bases(from, into);
	reader = delta_read(from);
	while (delta_read_next(reader))
	{
		FoldBase *base = NULL;

		if (++count % ROOM_CHECK_EVERY == 0)
			delta_make_room(into);
		if (reader->replaced || delta_is_old_key(old_keys, reader->sequence))
			continue;
		if (reader->partial != NULL)
			base = list_nth(bases, reader->next_partial - 1);
		fold_row_onto(reader, old_keys, base, into);
	}
	delta_read_end(reader);
}
