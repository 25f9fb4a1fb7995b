/*-------------------------------------------------------------------------
 *
 * quarantine.c
 *		The quarantine: rows that a constraint kept out of their target.
 *
 * It has at most one row per key, a whole image with its source position.  A
 * new row stays out; for a quarantined update the previous version stays in the
 * target.  A later version of the same key, a deletion, or a TRUNCATE replaces
 * the quarantined image.  If a key change is quarantined, the row of the old
 * key stays in the target and is the "previous key" of the quarantined row: the
 * change that supersedes the quarantined row deletes it.
 *
 * For a bag each copy is a row of its own; a deletion takes copies of the image
 * from the quarantine before it takes any from the target.
 *
 *-------------------------------------------------------------------------
 */
#include "publish/quarantine.h"

#include "catalog/kept_rows.h"
#include "core/sqltext.h"
#include "delta/fill.h"
#include "delta/reader.h"
#include "miscadmin.h"
#include "publish/image.h"
#include "quality/key_names.h"

static const FailedRow *
find_failed(const FailedRow *failed, int nfailed, int64 sequence)
{
	for (int low = 0, high = nfailed; low < high;)
	{
		int middle = low + (high - low) / 2;

		if (failed[middle].sequence == sequence)
			return &failed[middle];
		if (failed[middle].sequence < sequence)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static Datum
id_array(List *ids)
{
	Datum *elements = palloc(sizeof(Datum) * Max(list_length(ids), 1));
	int count = 0;
	ListCell *cell;

	foreach(cell, ids)
		elements[count++] = Int32GetDatum(lfirst_int(cell));
	return PointerGetDatum(
		construct_array(elements, count, INT4OID, sizeof(int32), true, TYPALIGN_INT));
}

static void
put_hash(const KeyNames *names, const Datum *values, const bool *nulls, Datum *hash, bool *isnull)
{
	int64 number = 0;

	*isnull = !key_name_hash(names, values, nulls, &number);
	*hash = Int64GetDatum(number);
}

void
quarantine_store(Target *target, Delta *rows, const FailedRow *failed, int nfailed, int64 run_id)
{
	TupleDesc desc = catalog_quarantine_desc();
	Tuplestorestate *images = tuplestore_begin_heap(true, false, work_mem);
	KeyNames *names = key_names_of_delta(target, rows);
	DeltaOldKeys *old_keys = delta_old_keys(rows);
	DeltaReader *reader = delta_read(rows);
	uint64 count = 0;

	while (delta_read_next(reader))
	{
		const FailedRow *why = find_failed(failed, nfailed, reader->sequence);
		const Datum *old_values;
		const bool *old_nulls;
		Datum row[8];
		bool nulls[8] = {false};

		if (reader->weight < 0 || why == NULL)
			continue;
		nulls[0] = (rows->nkeys == 0);
		if (!nulls[0])
			row[0] = PointerGetDatum(key_name(names, rows, reader->values, reader->nulls));
		row[1] = PointerGetDatum(delta_row_image(rows, reader->values, reader->nulls));
		row[2] = id_array(why->constraint_ids);
		row[3] = LSNGetDatum(reader->lsn);
		nulls[3] = (reader->lsn == InvalidXLogRecPtr);
		row[4] = TimestampTzGetDatum(reader->time);
		nulls[4] = (reader->time == 0);
		nulls[5] = !delta_old_key(old_keys, reader->pair, &old_values, &old_nulls);
		if (!nulls[5])
			row[5] = PointerGetDatum(key_name(names, rows, old_values, old_nulls));
		put_hash(names, reader->values, reader->nulls, &row[6], &nulls[6]);
		nulls[7] = true;
		if (!nulls[5])
			put_hash(names, old_values, old_nulls, &row[7], &nulls[7]);
		for (int64 copy = 0; copy < reader->weight; copy++)
		{
			CHECK_FOR_INTERRUPTS();
			tuplestore_putvalues(images, desc, row, nulls);
			count++;
		}
	}
	delta_read_end(reader);
	if (count > 0)
		catalog_quarantine(target->id,
						   catalog_layout_id(target->id, rows->columns),
						   run_id,
						   desc,
						   images,
						   count);
	tuplestore_end(images);
}

/* The keys that the delta writes or deletes, for the catalog. */
static Tuplestorestate *
delta_keys(Target *target, Delta *delta, TupleDesc desc, uint64 *count)
{
	KeyNames *names = key_names_of_delta(target, delta);
	Tuplestorestate *keys = tuplestore_begin_heap(true, false, work_mem);
	DeltaReader *reader = delta_read(delta);

	*count = 0;
	while (delta_read_next(reader))
	{
		Datum row[3];
		bool nulls[3] = {false};

		if (reader->replaced)
			continue;
		row[0] = PointerGetDatum(key_name(names, delta, reader->values, reader->nulls));
		row[1] = BoolGetDatum(reader->weight > 0);
		row[2] = Int64GetDatum(reader->sequence);
		tuplestore_putvalues(keys, desc, row, nulls);
		(*count)++;
	}
	delta_read_end(reader);
	return keys;
}

/*
 * For keys in quarantine the target has an earlier row, or none: the source's
 * statement about their rows does not hold here.
 */
void
quarantine_forget_claims(Target *target, Delta *delta)
{
	TupleDesc desc = catalog_keys_desc();
	Tuplestorestate *keys;
	uint64 count;
	CatalogRows *met;
	int64 *sequences;

	if (delta->nkeys == 0 || !delta->checked || quarantine_count(target->id) == 0)
		return;
	keys = delta_keys(target, delta, desc, &count);
	met = catalog_quarantine_meets(target->id, desc, keys, count);
	tuplestore_end(keys);
	if (met->count == 0)
		return;
	sequences = palloc(sizeof(int64) * met->count);
	for (uint64 i = 0; i < met->count; i++)
		sequences[i] = catalog_int8(met, i, 1);
	delta_forget_before(delta, sequences, (int) met->count);
}

void
quarantine_supersede(Target *target, Delta *delta, bool first)
{
	TupleDesc desc = catalog_keys_desc();
	Tuplestorestate *keys;
	uint64 count;
	CatalogRows *previous;
	ImageReader *reader;
	Datum *values;
	bool *nulls;

	if (delta->clear)
		quarantine_clear(target->id);
	if (delta->nkeys == 0 || quarantine_count(target->id) == 0)
		return;
	keys = delta_keys(target, delta, desc, &count);
	previous = catalog_quarantine_supersede(target->id, desc, keys, count);
	tuplestore_end(keys);
	if (!first)
		return;

	/* rows that quarantined key changes left in place, unless they are in the delta */
	reader = image_reader(target, delta);
	values = palloc(sizeof(Datum) * delta->columns->natts);
	nulls = palloc(sizeof(bool) * delta->columns->natts);
	for (uint64 i = 0; i < previous->count; i++)
	{
		bool isnull;
		Datum key = catalog_datum(previous, i, 1, &isnull);

		CHECK_FOR_INTERRUPTS();
		if (isnull)
			continue;
		image_read_key(reader, DatumGetArrayTypeP(key), values, nulls);
		delta_append(delta, -1, values, nulls);
	}
}

/* The images that the delta deletes, with their numbers of copies. */
static Tuplestorestate *
deleted_images(Delta *delta, TupleDesc desc, uint64 *count)
{
	Tuplestorestate *images = tuplestore_begin_heap(true, false, work_mem);
	DeltaReader *reader = delta_read(delta);

	*count = 0;
	while (delta_read_next(reader))
	{
		Datum row[3];
		bool nulls[3] = {false};

		if (reader->weight > 0)
			continue;
		row[0] = Int64GetDatum(reader->sequence);
		row[1] = PointerGetDatum(delta_row_image(delta, reader->values, reader->nulls));
		row[2] = Int64GetDatum(-reader->weight);
		tuplestore_putvalues(images, desc, row, nulls);
		(*count)++;
	}
	delta_read_end(reader);
	return images;
}

/* The count for this number; rows are sorted by number. */
static int64
copies_of(CatalogRows *rows, int64 number)
{
	for (uint64 low = 0, high = rows->count; low < high;)
	{
		uint64 middle = low + (high - low) / 2;
		int64 found = catalog_int8(rows, middle, 1);

		if (found == number)
			return catalog_int8(rows, middle, 2);
		if (found < number)
			low = middle + 1;
		else
			high = middle;
	}
	return 0;
}

bool
quarantine_cancel(Target *target, Delta *delta)
{
	TupleDesc desc = catalog_copies_desc();
	Delta *back = delta_create_like(delta);
	Tuplestorestate *images;
	CatalogRows *gone;
	DeltaReader *reader;
	uint64 count;

	if (quarantine_count(target->id) == 0)
		return false;
	images = deleted_images(delta, desc, &count);
	gone = catalog_quarantine_cancel(target->id,
									 list_to_text_array(delta_column_names(delta)),
									 desc,
									 images,
									 count);
	tuplestore_end(images);
	if (gone->count == 0)
		return false;

	/* not while the delta is being read */
	reader = delta_read(delta);
	while (delta_read_next(reader))
	{
		int64 copies = copies_of(gone, reader->sequence);

		if (copies > 0)
			delta_append(back, copies, reader->values, reader->nulls);
	}
	delta_read_end(reader);
	reader = delta_read(back);
	while (delta_read_next(reader))
		delta_append(delta, reader->weight, reader->values, reader->nulls);
	delta_read_end(reader);
	delta_destroy(back);
	return true;
}

bool
quarantine_base(Target *target, Delta *delta, const Datum *key_values, const bool *key_nulls,
				Datum *values, bool *nulls)
{
	KeyNames *names = key_names_of_key(target, delta, key_values, key_nulls);
	CatalogRows *rows = catalog_quarantined_image(target->id,
												  key_name(names, delta, key_values, key_nulls));
	Bitmapset *unknown = NULL;
	bool isnull;

	if (rows->count == 0)
		return false;
	image_read(image_reader(target, delta),
			   catalog_text_list(rows, 0, 1),
			   DatumGetArrayTypeP(catalog_datum(rows, 0, 2, &isnull)),
			   values,
			   nulls,
			   &unknown);
	return unknown == NULL;
}

int64
quarantine_take_retries(Target *target, Delta *into)
{
	CatalogRows *rows;
	ImageReader *reader;
	int natts = into->columns->natts;
	Datum *values = palloc(sizeof(Datum) * natts);
	bool *nulls = palloc(sizeof(bool) * natts);
	Datum *old_values = palloc(sizeof(Datum) * natts);
	bool *old_nulls = palloc(sizeof(bool) * natts);

	if (!catalog_quarantine_has_retries(target->id))
		return 0;
	rows = catalog_quarantine_take_retries(target->id);
	reader = image_reader(target, into);
	for (uint64 i = 0; i < rows->count; i++)
	{
		Bitmapset *unknown = NULL;
		bool isnull;
		Datum previous;

		CHECK_FOR_INTERRUPTS();
		image_read(reader,
				   catalog_text_list(rows, i, 1),
				   DatumGetArrayTypeP(catalog_datum(rows, i, 2, &isnull)),
				   values,
				   nulls,
				   &unknown);
		into->lsn = catalog_lsn(rows, i, 4);
		into->time = catalog_time(rows, i, 5);
		into->claim = CLAIM_NOTHING;
		previous = catalog_datum(rows, i, 3, &isnull);
		if (!isnull)
			image_read_key(reader, DatumGetArrayTypeP(previous), old_values, old_nulls);
		delta_upsert(into,
					 values,
					 nulls,
					 unknown,
					 isnull ? NULL : old_values,
					 isnull ? NULL : old_nulls,
					 false);
	}
	return rows->count;
}

int64
quarantine_count(int32 target_id)
{
	return catalog_quarantine_count(target_id);
}

void
quarantine_clear(int32 target_id)
{
	catalog_quarantine_delete(target_id);
}
