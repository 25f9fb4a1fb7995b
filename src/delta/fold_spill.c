/*-------------------------------------------------------------------------
 *
 * fold_spill.c
 *		Spilling a fold to disk.
 *
 * One source transaction can have any number of changes.  When the entries of
 * a fold use too much memory, they are written to a sort, by the hash of the
 * key and the sequence of the change, and folding starts again with an empty
 * table.  An entry on disk is a version of its key.  At the end the versions
 * of each key are merged in their order: a later one replaces an earlier one,
 * and takes from it the columns that the source did not send.
 *
 * Entries that depend on another key stay in memory: the new half of a key
 * change, whose pair may move on to the next key, and a row whose unknown
 * columns are those of another key.  The base of such a row may be on disk.
 * It is the last version of its key before the sequence that the entry has
 * recorded (base_before), and is filled in when the versions of that key are
 * merged.
 *
 * Invariants: An entry on disk has no pair, and its base, if any, has the
 * entry's own key.  The result is identical, row by row, to that of a fold
 * that was never spilled.
 *
 *-------------------------------------------------------------------------
 */
#include "delta/fold_spill.h"

#include "catalog/pg_operator.h"
#include "delta/fold.h"
#include "miscadmin.h"
#include "utils/datum.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#define SPILL_HASH 1
#define SPILL_SEQUENCE 2
#define SPILL_BASE_LOST 3
#define SPILL_BASE_BEFORE 4
#define SPILL_UNKNOWN 5
#define SPILL_IMAGE 6
#define SPILL_COLUMNS 6

/* The sort gets 1 / SORT_SHARE of depipe.batch_memory. */
#define SORT_SHARE 4

/* The versions of all keys with one hash, while they are merged. */
typedef struct Merge
{
	Delta *delta;
	Tuplesortstate *rows; /* rows without unknown columns, by sequence */
	TupleTableSlot *row;
	HTAB *wanted; /* entries in memory by the hash of their base; NULL: none */
	MemoryContext context;
	FoldEntry **versions;
	int count;
	int most;
	bool in_memory; /* some entries in memory may replace versions */
} Merge;

typedef struct Wanted
{
	uint32 hash; /* hash key: hash of the base key */
	List *entries;
} Wanted;

/* ---- writing ---- */

static TupleDesc
spill_desc(void)
{
	TupleDesc desc = CreateTemplateTupleDesc(SPILL_COLUMNS);

	TupleDescInitEntry(desc, SPILL_HASH, "hash", INT4OID, -1, 0);
	TupleDescInitEntry(desc, SPILL_SEQUENCE, "sequence", INT8OID, -1, 0);
	TupleDescInitEntry(desc, SPILL_BASE_LOST, "base_lost", BOOLOID, -1, 0);
	TupleDescInitEntry(desc, SPILL_BASE_BEFORE, "base_before", INT8OID, -1, 0);
	TupleDescInitEntry(desc, SPILL_UNKNOWN, "unknown", BYTEAOID, -1, 0);
	TupleDescInitEntry(desc, SPILL_IMAGE, "image", BYTEAOID, -1, 0);
	return desc;
}

static int
sort_memory(void)
{
	return Max(depipe_batch_memory / SORT_SHARE, 64);
}

/* Called in the delta's context and with its resource owner. */
static Tuplesortstate *
begin_sort(TupleDesc desc, int ncolumns, AttrNumber *columns, Oid *operators)
{
	Oid collations[] = {InvalidOid, InvalidOid};
	bool nulls_first[] = {false, false};

	return tuplesort_begin_heap(desc,
								ncolumns,
								columns,
								operators,
								collations,
								nulls_first,
								sort_memory(),
								NULL,
								TUPLESORT_NONE);
}

static void
begin_spilling(Delta *delta)
{
	DeltaFold *fold = delta->fold;
	AttrNumber columns[] = {SPILL_HASH, SPILL_SEQUENCE};
	Oid operators[] = {Int4LessOperator, Int8LessOperator};
	TupleDesc desc = spill_desc();

	fold->spilled = begin_sort(desc, lengthof(columns), columns, operators);
	fold->spilling = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
}

static Datum
bytes(const void *data, Size length)
{
	bytea *value = palloc(VARHDRSZ + length);

	SET_VARSIZE(value, VARHDRSZ + length);
	memcpy(VARDATA(value), data, length);
	return PointerGetDatum(value);
}

/* Column numbers as a bytea. */
static Datum
column_bytes(const Bitmapset *columns)
{
	int16 *numbers = palloc(sizeof(int16) * bms_num_members(columns));
	int count = 0;
	int column = -1;

	while ((column = bms_next_member(columns, column)) >= 0)
		numbers[count++] = (int16) column;
	return bytes(numbers, sizeof(int16) * count);
}

static Bitmapset *
columns_of(Datum value)
{
	bytea *data = DatumGetByteaPP(value);
	int count = VARSIZE_ANY_EXHDR(data) / sizeof(int16);
	Bitmapset *columns = NULL;

	for (int i = 0; i < count; i++)
	{
		int16 number;

		memcpy(&number, VARDATA_ANY(data) + i * sizeof(int16), sizeof(int16));
		columns = bms_add_member(columns, number);
	}
	return columns;
}

/* Called in a context that is reset afterwards. */
static void
spill_entry(DeltaFold *fold, const FoldEntry *entry)
{
	TupleTableSlot *slot = fold->spilling;

	ExecClearTuple(slot);
	memset(slot->tts_isnull, false, sizeof(bool) * SPILL_COLUMNS);
	slot->tts_values[SPILL_HASH - 1] = Int32GetDatum((int32) entry->hash);
	slot->tts_values[SPILL_SEQUENCE - 1] = Int64GetDatum(entry->sequence);
	slot->tts_values[SPILL_BASE_LOST - 1] = BoolGetDatum(entry->base_lost);
	slot->tts_values[SPILL_BASE_BEFORE - 1] = Int64GetDatum(entry->base_before);
	slot->tts_isnull[SPILL_UNKNOWN - 1] = (entry->unknown == NULL);
	if (entry->unknown != NULL)
		slot->tts_values[SPILL_UNKNOWN - 1] = column_bytes(entry->unknown);
	slot->tts_values[SPILL_IMAGE - 1] = bytes(entry->tuple, entry->tuple->t_len);
	ExecStoreVirtualTuple(slot);
	tuplesort_puttupleslot(fold->spilled, slot);
}

/*
 * Is the base key of the entry its own key?  Compares bytes: no operators of
 * users' types run while a stream is read.
 */
static bool
has_own_base(const DeltaFold *fold, const FoldEntry *entry)
{
	for (int i = 0; i < fold->nkeys; i++)
	{
		const FoldKey *key = &fold->keys[i];

		if (entry->base_nulls[i] != entry->key_nulls[i])
			return false;
		if (!entry->key_nulls[i] &&
			!datumIsEqual(entry->base_keys[i], entry->keys[i], key->by_value, key->length))
			return false;
	}
	return true;
}

/* Does the entry depend on another key, or another key on it? */
static bool
stays(const DeltaFold *fold, const FoldEntry *entry)
{
	if (entry->pair != 0)
		return true;
	return entry->unknown != NULL && !entry->base_lost && !has_own_base(fold, entry);
}

/* Copy an entry into the current context. */
static FoldEntry *
copy_entry(DeltaFold *fold, const FoldEntry *entry)
{
	FoldEntry *copy = palloc(sizeof(FoldEntry));
	FoldEntry base = {0};

	*copy = *entry;
	fold_copy_keys(fold, entry, &copy->keys, &copy->key_nulls);
	copy->tuple = heap_copy_minimal_tuple_compat(entry->tuple);
	copy->unknown = bms_copy(entry->unknown);
	copy->base_keys = NULL;
	copy->base_nulls = NULL;
	if (entry->unknown != NULL && !entry->base_lost)
	{
		base.keys = entry->base_keys;
		base.key_nulls = entry->base_nulls;
		fold_copy_keys(fold, &base, &copy->base_keys, &copy->base_nulls);
	}
	return copy;
}

void
fold_spill(Delta *delta)
{
	DeltaFold *fold = delta->fold;
	ResourceOwner owner = CurrentResourceOwner;
	MemoryContext old = MemoryContextSwitchTo(delta->context);
	MemoryContext context = AllocSetContextCreate(delta->context,
												  "depipe fold",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext row_context = AllocSetContextCreate(delta->context,
													  "depipe fold spill",
													  ALLOCSET_DEFAULT_SIZES);
	int count = 0;

	CurrentResourceOwner = delta->owner;
	if (fold->spilled == NULL)
		begin_spilling(delta);
	for (int i = 0; i < fold->norder; i++)
	{
		FoldEntry *entry = fold->order[i];

		CHECK_FOR_INTERRUPTS();
		if (stays(fold, entry))
		{
			MemoryContextSwitchTo(context);
			fold->order[count++] = copy_entry(fold, entry);
			continue;
		}
		MemoryContextSwitchTo(row_context);
		spill_entry(fold, entry);
		MemoryContextReset(row_context);
	}
	MemoryContextSwitchTo(delta->context);
	MemoryContextDelete(row_context);
	fold_replace(delta, context, fold->order, count);
	MemoryContextSwitchTo(old);
	CurrentResourceOwner = owner;
}

void
fold_drop_spilled(Delta *delta)
{
	DeltaFold *fold = delta->fold;

	if (fold->spilled == NULL)
		return;
	ExecDropSingleTupleTableSlot(fold->spilling);
	tuplesort_end(fold->spilled);
	fold->spilled = NULL;
}

/* ---- merging ---- */

static uint32
base_hash(Delta *delta, const FoldEntry *entry)
{
	FoldEntry base = {0};

	base.keys = entry->base_keys;
	base.key_nulls = entry->base_nulls;
	return fold_hash_key(delta->fold, &base);
}

/*
 * The entries in memory that wait for a version of another key, by its hash;
 * NULL if there are none.
 */
static HTAB *
find_wanted(Delta *delta)
{
	DeltaFold *fold = delta->fold;
	HASHCTL control = {0};
	HTAB *wanted = NULL;

	control.keysize = sizeof(uint32);
	control.entrysize = sizeof(Wanted);
	control.hcxt = fold->context;
	for (int i = 0; i < fold->norder; i++)
	{
		FoldEntry *entry = fold->order[i];
		uint32 hash;
		Wanted *found_entry;
		bool found;

		CHECK_FOR_INTERRUPTS();
		if (entry->unknown == NULL || entry->base_lost)
			continue;
		if (wanted == NULL)
			wanted = hash_create("depipe fold bases",
								 64,
								 &control,
								 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
		hash = base_hash(delta, entry);
		found_entry = hash_search(wanted, &hash, HASH_ENTER, &found);
		if (!found)
			found_entry->entries = NIL;
		found_entry->entries = lappend(found_entry->entries, entry);
	}
	return wanted;
}

static void
read_before(FoldEntry *version, Datum value, bool isnull)
{
	int before = isnull ? BEFORE_UNKNOWN : DatumGetInt16(value);

	version->gone = !version->present || before == BEFORE_OTHER || before == BEFORE_GONE;
	version->before = before == BEFORE_OTHER ? BEFORE_SAME
											 : (before == BEFORE_GONE ? BEFORE_UNKNOWN : before);
}

/*
 * Combine what the versions of a key know about its previous row.  Each of
 * them only knows the state since the previous version was spilled; the last
 * one must know the state since the start of the batch.  The tuple of the last
 * one may be rebuilt, in the current context.
 */
static void
join_versions(Delta *delta, FoldEntry **versions, int count, FoldEntry *last)
{
	Datum *values = palloc(sizeof(Datum) * delta->desc->natts);
	bool *nulls = palloc(sizeof(bool) * delta->desc->natts);
	int was = fold_before(last);

	for (int i = 0; i < count; i++)
	{
		const FoldEntry *next = i + 1 < count ? versions[i + 1] : last;

		delta->contradicted |= next->before == (versions[i]->present ? BEFORE_NONE : BEFORE_SAME);
		last->gone |= versions[i]->gone;
	}
	if (count > 0)
		last->before = versions[0]->before;
	if (fold_before(last) == was)
		return;
	fold_deform(delta, last->tuple, values, nulls);
	values[DELTA_BEFORE - 1] = Int16GetDatum(fold_before(last));
	nulls[DELTA_BEFORE - 1] = (fold_before(last) == BEFORE_UNKNOWN);
	last->tuple = heap_form_minimal_tuple_compat(delta->desc, values, nulls);
}

/* Read a version from disk, into the current context. */
static FoldEntry *
read_version(Delta *delta, TupleTableSlot *slot)
{
	FoldEntry *version = palloc0(sizeof(FoldEntry));
	Datum *values = palloc(sizeof(Datum) * delta->desc->natts);
	bool *nulls = palloc(sizeof(bool) * delta->desc->natts);
	bytea *image;

	slot_getallattrs(slot);
	version->hash = (uint32) DatumGetInt32(slot->tts_values[SPILL_HASH - 1]);
	version->sequence = DatumGetInt64(slot->tts_values[SPILL_SEQUENCE - 1]);
	version->base_lost = DatumGetBool(slot->tts_values[SPILL_BASE_LOST - 1]);
	version->base_before = DatumGetInt64(slot->tts_values[SPILL_BASE_BEFORE - 1]);
	if (!slot->tts_isnull[SPILL_UNKNOWN - 1])
		version->unknown = columns_of(slot->tts_values[SPILL_UNKNOWN - 1]);
	image = DatumGetByteaPP(slot->tts_values[SPILL_IMAGE - 1]);
	version->tuple = palloc(VARSIZE_ANY_EXHDR(image));
	memcpy(version->tuple, VARDATA_ANY(image), VARSIZE_ANY_EXHDR(image));
	fold_deform(delta, version->tuple, values, nulls);
	version->present = DatumGetInt64(values[DELTA_WEIGHT - 1]) > 0;
	version->keys = palloc(sizeof(Datum) * delta->nkeys);
	version->key_nulls = palloc(sizeof(bool) * delta->nkeys);
	for (int i = 0; i < delta->nkeys; i++)
	{
		version->keys[i] = values[DELTA_FIXED + delta->keys[i] - 1];
		version->key_nulls[i] = nulls[DELTA_FIXED + delta->keys[i] - 1];
	}
	read_before(version, values[DELTA_BEFORE - 1], nulls[DELTA_BEFORE - 1]);
	version->base_keys = version->keys;
	version->base_nulls = version->key_nulls;
	return version;
}

/*
 * Give the entry the columns that the base knows.  For those that neither
 * knows, the entry's base becomes that of the base.  Allocates in the current
 * context.
 */
static void
take_base(Delta *delta, FoldEntry *entry, const FoldEntry *base)
{
	Datum *values = palloc(sizeof(Datum) * delta->desc->natts);
	bool *nulls = palloc(sizeof(bool) * delta->desc->natts);

	if (!base->present)
	{
		entry->base_lost = true;
		return;
	}
	fold_deform(delta, entry->tuple, values, nulls);
	entry->unknown = fold_take_columns(delta,
									   base,
									   entry->unknown,
									   values + DELTA_FIXED,
									   nulls + DELTA_FIXED,
									   false);
	entry->tuple = heap_form_minimal_tuple_compat(delta->desc, values, nulls);
	entry->base_lost = entry->unknown != NULL && base->base_lost;
	entry->base_before = base->base_before;
}

/* The last version before a sequence, or NULL. */
static FoldEntry *
version_before(FoldEntry **versions, int count, int64 sequence)
{
	FoldEntry *found = NULL;

	for (int i = 0; i < count && versions[i]->sequence < sequence; i++)
		found = versions[i];
	return found;
}

/* Complete the entries in memory whose base is this key. */
static void
fill_wanted(Merge *merge, FoldEntry **versions, int count)
{
	DeltaFold *fold = merge->delta->fold;
	Wanted *wanted = merge->wanted == NULL
						 ? NULL
						 : hash_search(merge->wanted, &versions[0]->hash, HASH_FIND, NULL);
	ListCell *cell;

	if (wanted == NULL)
		return;
	foreach(cell, wanted->entries)
	{
		FoldEntry *entry = lfirst(cell);
		FoldEntry key = {0};
		FoldEntry *base;
		MemoryContext old;

		key.keys = entry->base_keys;
		key.key_nulls = entry->base_nulls;
		if (!fold_keys_equal(fold, &key, versions[0]))
			continue;
		base = version_before(versions, count, entry->base_before);
		if (base == NULL)
			continue;
		old = MemoryContextSwitchTo(fold->context);
		take_base(merge->delta, entry, base);
		MemoryContextSwitchTo(old);
	}
}

/* Apply what is known only after all of the fold: after a TRUNCATE there is no base. */
static void
settle(DeltaFold *fold, FoldEntry *entry)
{
	if (entry->unknown != NULL && fold->cleared)
		entry->base_lost = true;
}

static void
put_entry(Merge *merge, FoldEntry *entry)
{
	Delta *delta = merge->delta;
	MemoryContext old;

	settle(delta->fold, entry);
	if (entry->unknown != NULL)
	{
		old = MemoryContextSwitchTo(delta->context);
		fold_put_partial(delta, entry);
		MemoryContextSwitchTo(old);
		return;
	}
	ExecStoreMinimalTuple(entry->tuple, merge->row, false);
	tuplesort_puttupleslot(merge->rows, merge->row);
	ExecClearTuple(merge->row);
	if (entry->present)
		delta->new_images++;
}

/* Merge the versions of one key, given in their order.  Called in the merge's context. */
static void
merge_key(Merge *merge, FoldEntry **versions, int count)
{
	FoldEntry *in_memory;

	for (int i = 0; i < count; i++)
	{
		FoldEntry *base;

		if (versions[i]->unknown == NULL || versions[i]->base_lost)
			continue;
		base = version_before(versions, i, versions[i]->base_before);
		if (base != NULL)
			take_base(merge->delta, versions[i], base);
	}
	fill_wanted(merge, versions, count);
	in_memory = merge->in_memory ? fold_find(merge->delta->fold, versions[0]) : NULL;
	if (in_memory != NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(merge->delta->fold->context);

		join_versions(merge->delta, versions, count, in_memory);
		MemoryContextSwitchTo(old);
		return;
	}
	join_versions(merge->delta, versions, count - 1, versions[count - 1]);
	put_entry(merge, versions[count - 1]);
}

/* Merge the versions of all keys with one hash, given in the order of their sequences. */
static void
merge_versions(Merge *merge)
{
	DeltaFold *fold = merge->delta->fold;
	FoldEntry **same = palloc(sizeof(FoldEntry *) * Max(merge->count, 1));

	for (int first = 0; first < merge->count; first++)
	{
		FoldEntry *version = merge->versions[first];
		int nsame = 0;

		CHECK_FOR_INTERRUPTS();
		if (version == NULL)
			continue;
		for (int i = first; i < merge->count; i++)
		{
			FoldEntry *other = merge->versions[i];

			if (other == NULL || (other != version && !fold_keys_equal(fold, other, version)))
				continue;
			same[nsame++] = other;
			merge->versions[i] = NULL;
		}
		merge_key(merge, same, nsame);
	}
	merge->count = 0;
	MemoryContextReset(merge->context);
}

static void
add_version(Merge *merge, FoldEntry *version)
{
	if (merge->count == merge->most)
	{
		merge->most *= 2;
		merge->versions = repalloc_huge(merge->versions, sizeof(FoldEntry *) * merge->most);
	}
	merge->versions[merge->count++] = version;
}

static void
merge_all(Merge *merge)
{
	Delta *delta = merge->delta;
	DeltaFold *fold = delta->fold;
	TupleTableSlot *slot = MakeSingleTupleTableSlot(fold->spilling->tts_tupleDescriptor,
													&TTSOpsMinimalTuple);
	MemoryContext old = MemoryContextSwitchTo(merge->context);

	while (tuplesort_gettupleslot(fold->spilled, true, false, slot, NULL))
	{
		bool isnull;
		uint32 hash = (uint32) DatumGetInt32(slot_getattr(slot, SPILL_HASH, &isnull));

		CHECK_FOR_INTERRUPTS();
		if (merge->count > 0 && merge->versions[0]->hash != hash)
			merge_versions(merge);
		add_version(merge, read_version(delta, slot));
	}
	merge_versions(merge);
	MemoryContextSwitchTo(old);
	ExecDropSingleTupleTableSlot(slot);
	for (int i = 0; i < fold->norder; i++)
	{
		CHECK_FOR_INTERRUPTS();
		put_entry(merge, fold->order[i]);
	}
}

static void
write_rows(Merge *merge)
{
	Delta *delta = merge->delta;

	tuplesort_performsort(merge->rows);
	while (tuplesort_gettupleslot(merge->rows, true, false, merge->row, NULL))
	{
		CHECK_FOR_INTERRUPTS();
		tuplestore_puttupleslot(delta->rows, merge->row);
		delta->nrows++;
	}
}

void
fold_merge(Delta *delta)
{
	AttrNumber columns[] = {DELTA_SEQUENCE};
	Oid operators[] = {Int8LessOperator};
	ResourceOwner owner = CurrentResourceOwner;
	MemoryContext old = MemoryContextSwitchTo(delta->context);
	Merge merge = {.delta = delta, .most = 64};

	CurrentResourceOwner = delta->owner;
	fold_spill(delta);
	tuplesort_performsort(delta->fold->spilled);
	merge.rows = begin_sort(delta->desc, lengthof(columns), columns, operators);
	merge.row = MakeSingleTupleTableSlot(delta->desc, &TTSOpsMinimalTuple);
	merge.wanted = find_wanted(delta);
	merge.in_memory = delta->fold->norder > 0;
	merge.context = AllocSetContextCreate(delta->context,
										  "depipe fold merge",
										  ALLOCSET_DEFAULT_SIZES);
	merge.versions = palloc(sizeof(FoldEntry *) * merge.most);
	merge_all(&merge);
	fold_drop_spilled(delta);
	write_rows(&merge);
	tuplesort_end(merge.rows);
	ExecDropSingleTupleTableSlot(merge.row);
	MemoryContextDelete(merge.context);
	pfree(merge.versions);
	MemoryContextSwitchTo(old);
	CurrentResourceOwner = owner;
}
