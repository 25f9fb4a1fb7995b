/*-------------------------------------------------------------------------
 *
 * fold.c
 *		Folding of a batch's changes per key and per column.
 *
 * A hash table maps each key to the newest image of its row.  Images are kept
 * as minimal tuples in the layout of the delta, so that most rows are only
 * copied at the end.  A column that the source did not send (unchanged TOAST)
 * keeps the value of the batch's earlier image.  If there is none, it stays
 * unknown, and the entry remembers the base key: the key, before the batch, of
 * the row that has the value.  After a key change that is the old key.
 *
 * A key change is a deletion of the old key and an upsert of the new one.  The
 * new image names the sequence of the deletion (pair), so that a consumer that
 * sets the new image aside leaves the old row in place.
 *
 * As far as the changes tell, each entry knows whether its key had a row
 * before the batch, and whether the newest image continues that row.  A
 * consumer that sets an image aside leaves a previous row in place only if the
 * image continues it.
 *
 * Invariants: There is one entry per key.  An entry with unknown columns has
 * weight +1, and a base key or base_lost.  All memory is in the delta's
 * context.
 *
 *-------------------------------------------------------------------------
 */
#include "delta/fold.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

typedef struct FoldSlot
{
	FoldEntry *entry;
	uint32 hash;
	char status;
} FoldSlot;

#define SH_PREFIX foldtable
#define SH_ELEMENT_TYPE FoldSlot
#define SH_KEY_TYPE FoldEntry *
#define SH_KEY entry
#define SH_HASH_KEY(tb, key) ((key)->hash)
#define SH_EQUAL(tb, a, b) fold_keys_equal((tb)->private_data, (a), (b))
#define SH_STORE_HASH
#define SH_GET_HASH(tb, a) ((a)->hash)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

bool
fold_keys_equal(const DeltaFold *fold, const FoldEntry *a, const FoldEntry *b)
{
	for (int i = 0; i < fold->nkeys; i++)
	{
		FoldKey *key = &fold->keys[i];

		if (a->key_nulls[i] || b->key_nulls[i])
		{
			if (a->key_nulls[i] != b->key_nulls[i])
				return false;
		}
		else if (!DatumGetBool(
					 FunctionCall2Coll(&key->equal, key->collation, a->keys[i], b->keys[i])))
			return false;
	}
	return true;
}

DeltaFold *
fold_create(Delta *delta)
{
	DeltaFold *fold = palloc0(sizeof(DeltaFold));
	int natts = delta->desc->natts;

	fold->context = AllocSetContextCreate(delta->context, "depipe fold", ALLOCSET_DEFAULT_SIZES);
	fold->nkeys = delta->nkeys;
	fold->keys = palloc0(sizeof(FoldKey) * delta->nkeys);
	for (int i = 0; i < delta->nkeys; i++)
	{
		Form_pg_attribute att = TupleDescAttr(delta->columns, delta->keys[i] - 1);
		TypeCacheEntry *type = lookup_type_cache(att->atttypid,
												 TYPECACHE_EQ_OPR_FINFO |
													 TYPECACHE_HASH_PROC_FINFO);

		if (!OidIsValid(type->eq_opr) || !OidIsValid(type->hash_proc))
			delta_refuse_key(NameStr(att->attname), att->atttypid, false);
		fmgr_info_copy(&fold->keys[i].hash, &type->hash_proc_finfo, delta->context);
		fmgr_info_copy(&fold->keys[i].equal, &type->eq_opr_finfo, delta->context);
		fold->keys[i].collation = att->attcollation;
		fold->keys[i].length = att->attlen;
		fold->keys[i].by_value = att->attbyval;
	}
	fold->table = foldtable_create(fold->context, 1024, fold);
	fold->probe.keys = palloc(sizeof(Datum) * delta->nkeys);
	fold->probe.key_nulls = palloc(sizeof(bool) * delta->nkeys);
	fold->row = palloc(sizeof(Datum) * natts);
	fold->row_nulls = palloc(sizeof(bool) * natts);
	fold->max_order = 1024;
	fold->order = palloc(sizeof(FoldEntry *) * fold->max_order);
	fold->kept = MemoryContextMemAllocated(fold->context, true);
	delta->checked = true;
	return fold;
}

uint32
fold_hash_key(DeltaFold *fold, const FoldEntry *entry)
{
	uint32 hash = 0;

	for (int i = 0; i < fold->nkeys; i++)
	{
		FoldKey *key = &fold->keys[i];

		hash = pg_rotate_left32(hash, 1);
		if (!entry->key_nulls[i])
			hash ^= DatumGetUInt32(FunctionCall1Coll(&key->hash, key->collation, entry->keys[i]));
	}
	return murmurhash32(hash);
}

/* Set the probe to the key of a row, and return it. */
static FoldEntry *
probe_for(Delta *delta, const Datum *values, const bool *nulls)
{
	DeltaFold *fold = delta->fold;
	FoldEntry *probe = &fold->probe;

	for (int i = 0; i < fold->nkeys; i++)
	{
		int column = delta->keys[i] - 1;

		probe->keys[i] = values[column];
		probe->key_nulls[i] = nulls[column];
	}
	probe->hash = fold_hash_key(fold, probe);
	return probe;
}

FoldEntry *
fold_find(DeltaFold *fold, FoldEntry *probe)
{
	FoldSlot *slot = foldtable_lookup(fold->table, probe);

	return slot == NULL ? NULL : slot->entry;
}

void
fold_copy_keys(DeltaFold *fold, const FoldEntry *from, Datum **keys, bool **nulls)
{
	*keys = palloc(sizeof(Datum) * fold->nkeys);
	*nulls = palloc(sizeof(bool) * fold->nkeys);
	for (int i = 0; i < fold->nkeys; i++)
	{
		(*nulls)[i] = from->key_nulls[i];
		if (!from->key_nulls[i])
			(*keys)[i] = datumCopy(from->keys[i], fold->keys[i].by_value, fold->keys[i].length);
	}
}

/* The initial "before" of a new entry.  After a TRUNCATE the key certainly has no row. */
static int8
before_claim(Delta *delta, DeltaClaim claim)
{
	if (delta->fold->cleared && delta->fold->spilled == NULL)
	{
		delta->contradicted |= (claim == CLAIM_PRESENT);
		return BEFORE_NONE;
	}
	return claim == CLAIM_ABSENT ? BEFORE_NONE
								 : (claim == CLAIM_PRESENT ? BEFORE_SAME : BEFORE_UNKNOWN);
}

/*
 * Find or make the entry of the probe's key.  claim: what the change implies
 * about the key.  If that contradicts what is known, the delta is
 * contradicted.
 */
static FoldEntry *
enter(Delta *delta, FoldEntry *probe, DeltaClaim claim)
{
	DeltaFold *fold = delta->fold;
	FoldEntry *entry = fold_find(fold, probe);
	MemoryContext old;
	bool found;

	if (entry != NULL)
	{
		delta->contradicted |= (claim == (entry->present ? CLAIM_ABSENT : CLAIM_PRESENT));
		return entry;
	}
	old = MemoryContextSwitchTo(fold->context);
	entry = palloc0(sizeof(FoldEntry));
	entry->hash = probe->hash;
	entry->before = before_claim(delta, claim);
	fold_copy_keys(fold, probe, &entry->keys, &entry->key_nulls);
	MemoryContextSwitchTo(old);
	foldtable_insert(fold->table, entry, &found)->entry = entry;
	if (fold->norder == fold->max_order)
	{
		fold->max_order *= 2;
		fold->order = repalloc_huge(fold->order, sizeof(FoldEntry *) * fold->max_order);
	}
	fold->order[fold->norder++] = entry;
	return entry;
}

int
fold_before(const FoldEntry *entry)
{
	if (!entry->present || !entry->gone || entry->before == BEFORE_NONE)
		return entry->before;
	return entry->before == BEFORE_SAME ? BEFORE_OTHER : BEFORE_GONE;
}

/* Replace the entry's image.  The caller has set pair, gone and unknown. */
static void
set_image(Delta *delta, FoldEntry *entry, bool present, const Datum *values, const bool *nulls)
{
	DeltaFold *fold = delta->fold;
	Datum *row = fold->row;
	bool *row_nulls = fold->row_nulls;
	int natts = delta->columns->natts;
	MinimalTuple earlier;
	MemoryContext old;

	entry->present = present;
	entry->sequence = delta->next_sequence++;
	row[DELTA_WEIGHT - 1] = Int64GetDatum(present ? 1 : -1);
	row[DELTA_SEQUENCE - 1] = Int64GetDatum(entry->sequence);
	row[DELTA_LSN - 1] = LSNGetDatum(delta->lsn);
	row[DELTA_TIME - 1] = TimestampTzGetDatum(delta->time);
	row[DELTA_PAIR - 1] = Int64GetDatum(entry->pair);
	row[DELTA_REPLACED - 1] = BoolGetDatum(false);
	row[DELTA_BEFORE - 1] = Int16GetDatum(fold_before(entry));
	memset(row_nulls, 0, DELTA_FIXED);
	row_nulls[DELTA_LSN - 1] = (delta->lsn == InvalidXLogRecPtr);
	row_nulls[DELTA_TIME - 1] = (delta->time == 0);
	row_nulls[DELTA_PAIR - 1] = (entry->pair == 0);
	row_nulls[DELTA_BEFORE - 1] = (fold_before(entry) == BEFORE_UNKNOWN);
	if (values != row + DELTA_FIXED)
	{
		memcpy(row + DELTA_FIXED, values, sizeof(Datum) * natts);
		memcpy(row_nulls + DELTA_FIXED, nulls, sizeof(bool) * natts);
	}
	/* values may point into the earlier image */
	earlier = entry->tuple;
	old = MemoryContextSwitchTo(fold->context);
	entry->tuple = heap_form_minimal_tuple_compat(delta->desc, row, row_nulls);
	MemoryContextSwitchTo(old);
	if (earlier != NULL)
		pfree(earlier);
}

void
fold_deform(Delta *delta, MinimalTuple tuple, Datum *values, bool *nulls)
{
	HeapTupleData heap;

	heap.t_len = tuple->t_len + MINIMAL_TUPLE_OFFSET;
	heap.t_data = (HeapTupleHeader) ((char *) tuple - MINIMAL_TUPLE_OFFSET);
	heap_deform_tuple(&heap, delta->desc, values, nulls);
}

Bitmapset *
fold_take_columns(Delta *delta, const FoldEntry *base, const Bitmapset *unknown, Datum *values,
				  bool *nulls, bool copy)
{
	Datum *from = palloc(sizeof(Datum) * delta->desc->natts);
	bool *from_nulls = palloc(sizeof(bool) * delta->desc->natts);
	Bitmapset *left = NULL;
	int column = -1;

	fold_deform(delta, base->tuple, from, from_nulls);
	while ((column = bms_next_member(unknown, column)) >= 0)
	{
		Form_pg_attribute att = TupleDescAttr(delta->columns, column);

		if (bms_is_member(column, base->unknown))
		{
			left = bms_add_member(left, column);
			continue;
		}
		nulls[column] = from_nulls[DELTA_FIXED + column];
		values[column] = from[DELTA_FIXED + column];
		if (copy && !nulls[column])
			values[column] = datumCopy(values[column], att->attbyval, att->attlen);
	}
	pfree(from);
	pfree(from_nulls);
	return left;
}

/*
 * Fill unknown columns of a row from the base entry of the batch.  *entry gets
 * the columns that are still unknown, and their base, allocated in context.
 * With copy, the values are copied into the current context; otherwise they
 * point into the base's image.
 */
static void
resolve_unknown(Delta *delta, FoldEntry *entry, const FoldEntry *base, const FoldEntry *base_key,
				const Bitmapset *unknown, Datum *values, bool *nulls, bool copy,
				MemoryContext context)
{
	DeltaFold *fold = delta->fold;
	Bitmapset *left = (Bitmapset *) unknown;
	MemoryContext old;

	entry->unknown = NULL;
	entry->base_keys = NULL;
	entry->base_nulls = NULL;
	entry->base_lost = false;
	if (base != NULL && base->present)
	{
		FoldEntry further = {0};

		left = fold_take_columns(delta, base, unknown, values, nulls, copy);
		if (left == NULL)
			return;
		entry->base_lost = base->base_lost;
		entry->base_before = base->base_before;
		further.keys = base->base_keys;
		further.key_nulls = base->base_nulls;
		old = MemoryContextSwitchTo(context);
		if (!entry->base_lost)
			fold_copy_keys(fold, &further, &entry->base_keys, &entry->base_nulls);
	}
	else
	{
		/* the base was deleted or cleared in this batch: no row from before has the value */
		entry->base_lost = base != NULL || (fold->cleared && fold->spilled == NULL);
		entry->base_before = delta->next_sequence;
		old = MemoryContextSwitchTo(context);
		if (!entry->base_lost)
			fold_copy_keys(fold, base_key, &entry->base_keys, &entry->base_nulls);
	}
	entry->unknown = bms_copy(left);
	MemoryContextSwitchTo(old);
}

static bool
key_changed(Delta *delta, const Datum *values, const bool *nulls, const Datum *old_values,
			const bool *old_nulls)
{
	DeltaFold *fold = delta->fold;

	for (int i = 0; i < fold->nkeys; i++)
	{
		int column = delta->keys[i] - 1;
		FoldKey *key = &fold->keys[i];

		if (nulls[column] != old_nulls[column])
			return true;
		if (!nulls[column] &&
			!DatumGetBool(
				FunctionCall2Coll(&key->equal, key->collation, values[column], old_values[column])))
			return true;
	}
	return false;
}

/* Delete the old key of a key change.  Returns the sequence of the deletion to pair with. */
static int64
delete_old_key(Delta *delta, FoldEntry *old_entry, const Datum *old_values, const bool *old_nulls)
{
	int64 pair = old_entry->pair;

	old_entry->pair = 0;
	old_entry->gone = true;
	old_entry->unknown = NULL;
	set_image(delta, old_entry, false, old_values, old_nulls);
	return pair != 0 ? pair : old_entry->sequence;
}

/*
 * Make the scratch row the image of its key.  resolved: its unknown columns
 * and their base.  old_values: the old key if the key changed, else NULL.
 */
static void
put_upsert(Delta *delta, FoldEntry *resolved, const Datum *old_values, const bool *old_nulls)
{
	DeltaFold *fold = delta->fold;
	Datum *row = fold->row + DELTA_FIXED;
	bool *row_nulls = fold->row_nulls + DELTA_FIXED;
	FoldEntry *entry;

	if (old_values != NULL)
	{
		int natts = delta->columns->natts;
		Datum *whole = palloc(sizeof(Datum) * natts);
		bool *whole_nulls = palloc(sizeof(bool) * natts);
		FoldEntry *old_entry = enter(delta, probe_for(delta, old_values, old_nulls), delta->claim);

		/* set_image uses the scratch row, so save the new image */
		memcpy(whole, row, sizeof(Datum) * natts);
		memcpy(whole_nulls, row_nulls, sizeof(bool) * natts);
		resolved->pair = delete_old_key(delta, old_entry, old_values, old_nulls);
		memcpy(row, whole, sizeof(Datum) * natts);
		memcpy(row_nulls, whole_nulls, sizeof(bool) * natts);
		pfree(whole);
		pfree(whole_nulls);
	}
	entry = enter(delta,
				  probe_for(delta, row, row_nulls),
				  old_values != NULL && delta->claim == CLAIM_PRESENT ? CLAIM_ABSENT
																	  : delta->claim);
	if (old_values != NULL)
	{
		entry->pair = resolved->pair;
		entry->gone = true; /* it does not continue the row that this key had */
	}
	entry->unknown = resolved->unknown;
	entry->base_keys = resolved->base_keys;
	entry->base_nulls = resolved->base_nulls;
	entry->base_lost = resolved->base_lost;
	entry->base_before = resolved->base_before;
	set_image(delta, entry, true, row, row_nulls);
}

void
fold_upsert(Delta *delta, const Datum *values, const bool *nulls, const Bitmapset *unknown,
			const Datum *old_values, const bool *old_nulls, bool old_complete)
{
	DeltaFold *fold = delta->fold;
	Datum *row = fold->row + DELTA_FIXED;
	bool *row_nulls = fold->row_nulls + DELTA_FIXED;
	FoldEntry resolved = {0};
	bool moved;

	delta->changes++;
	moved = old_values != NULL && key_changed(delta, values, nulls, old_values, old_nulls);

	/* the hot path: complete image, same key */
	if (unknown == NULL && !moved)
	{
		FoldEntry *entry = enter(delta, probe_for(delta, values, nulls), delta->claim);

		entry->unknown = NULL;
		entry->base_lost = false;
		set_image(delta, entry, true, values, nulls);
		return;
	}

	memcpy(row, values, sizeof(Datum) * delta->columns->natts);
	memcpy(row_nulls, nulls, sizeof(bool) * delta->columns->natts);
	if (unknown != NULL && old_complete)
	{
		int column = -1;

		while ((column = bms_next_member(unknown, column)) >= 0)
		{
			row[column] = old_values[column];
			row_nulls[column] = old_nulls[column];
		}
		unknown = NULL;
	}
	if (unknown != NULL)
	{
		FoldEntry *probe = moved ? probe_for(delta, old_values, old_nulls)
								 : probe_for(delta, values, nulls);

		resolve_unknown(delta,
						&resolved,
						fold_find(fold, probe),
						probe,
						unknown,
						row,
						row_nulls,
						moved,
						fold->context);
	}
	put_upsert(delta, &resolved, moved ? old_values : NULL, old_nulls);
}

struct FoldBase
{
	FoldEntry resolved;
	Bitmapset *given; /* columns that are no longer unknown */
	Datum *values;
	bool *nulls;
};

FoldBase *
fold_base(Delta *delta, const Bitmapset *unknown, const Datum *base_values, const bool *base_nulls)
{
	FoldBase *base = palloc0(sizeof(FoldBase));

	base->values = palloc(sizeof(Datum) * delta->columns->natts);
	base->nulls = palloc(sizeof(bool) * delta->columns->natts);
	if (base_values != NULL)
	{
		FoldEntry *probe = probe_for(delta, base_values, base_nulls);

		resolve_unknown(delta,
						&base->resolved,
						fold_find(delta->fold, probe),
						probe,
						unknown,
						base->values,
						base->nulls,
						true,
						CurrentMemoryContext);
	}
	else
	{
		base->resolved.unknown = bms_copy(unknown);
		base->resolved.base_lost = true;
	}
	base->given = bms_difference(unknown, base->resolved.unknown);
	return base;
}

/* Copy the base into the fold's memory: the entry outlives the look-up of the base. */
static FoldEntry
own_base(DeltaFold *fold, const FoldEntry *resolved)
{
	MemoryContext old = MemoryContextSwitchTo(fold->context);
	FoldEntry own = *resolved;
	FoldEntry base = {0};

	own.unknown = bms_copy(resolved->unknown);
	if (own.unknown != NULL && !own.base_lost)
	{
		base.keys = resolved->base_keys;
		base.key_nulls = resolved->base_nulls;
		fold_copy_keys(fold, &base, &own.base_keys, &own.base_nulls);
	}
	MemoryContextSwitchTo(old);
	return own;
}

void
fold_upsert_based(Delta *delta, const Datum *values, const bool *nulls, FoldBase *base,
				  const Datum *old_values, const bool *old_nulls)
{
	DeltaFold *fold = delta->fold;
	Datum *row = fold->row + DELTA_FIXED;
	bool *row_nulls = fold->row_nulls + DELTA_FIXED;
	bool moved = old_values != NULL && key_changed(delta, values, nulls, old_values, old_nulls);
	FoldEntry resolved = own_base(fold, &base->resolved);
	int column = -1;

	delta->changes++;
	memcpy(row, values, sizeof(Datum) * delta->columns->natts);
	memcpy(row_nulls, nulls, sizeof(bool) * delta->columns->natts);
	while ((column = bms_next_member(base->given, column)) >= 0)
	{
		row[column] = base->values[column];
		row_nulls[column] = base->nulls[column];
	}
	put_upsert(delta, &resolved, moved ? old_values : NULL, old_nulls);
}

void
fold_delete(Delta *delta, const Datum *values, const bool *nulls)
{
	FoldEntry *entry = enter(delta, probe_for(delta, values, nulls), delta->claim);

	delta->changes++;
	entry->pair = 0; /* the row was moved here: the deletion of its old key stays */
	entry->gone = true;
	entry->unknown = NULL;
	entry->base_lost = false;
	set_image(delta, entry, false, values, nulls);
}

static void
begin_table(DeltaFold *fold)
{
	fold->table = foldtable_create(fold->context, 1024, fold);
	fold->norder = 0;
}

void
fold_reset(Delta *delta)
{
	DeltaFold *fold = delta->fold;

	foldtable_destroy(fold->table);
	MemoryContextReset(fold->context);
	begin_table(fold);
	fold->kept = MemoryContextMemAllocated(fold->context, true);
	fold->cleared = true;
}

void
fold_replace(Delta *delta, MemoryContext context, FoldEntry **entries, int count)
{
	DeltaFold *fold = delta->fold;

	MemoryContextDelete(fold->context);
	fold->context = context;
	begin_table(fold);
	for (int i = 0; i < count; i++)
	{
		bool found;

		foldtable_insert(fold->table, entries[i], &found)->entry = entries[i];
		fold->order[fold->norder++] = entries[i];
	}
	fold->kept = MemoryContextMemAllocated(fold->context, true);
}

Size
fold_memory(Delta *delta)
{
	Size all = MemoryContextMemAllocated(delta->fold->context, true);

	return all > delta->fold->kept ? all - delta->fold->kept : 0;
}

bool
fold_is_spilled(const Delta *delta)
{
	return delta->fold->spilled != NULL;
}

/* Called in the delta's context. */
static PartialRow *
make_partial(Delta *delta, FoldEntry *entry)
{
	int natts = delta->columns->natts;
	PartialRow *partial = palloc0(sizeof(PartialRow));
	Datum *row = palloc(sizeof(Datum) * delta->desc->natts);
	bool *nulls = palloc(sizeof(bool) * delta->desc->natts);
	MinimalTuple tuple = heap_copy_minimal_tuple_compat(entry->tuple);

	fold_deform(delta, tuple, row, nulls);
	partial->sequence = entry->sequence;
	partial->lsn = nulls[DELTA_LSN - 1] ? InvalidXLogRecPtr : DatumGetLSN(row[DELTA_LSN - 1]);
	partial->time = nulls[DELTA_TIME - 1] ? 0 : DatumGetTimestampTz(row[DELTA_TIME - 1]);
	partial->pair = entry->pair;
	partial->before = fold_before(entry);
	partial->values = row + DELTA_FIXED;
	partial->nulls = nulls + DELTA_FIXED;
	partial->unknown = bms_copy(entry->unknown);
	partial->base_lost = entry->base_lost;
	partial->base_values = palloc0(sizeof(Datum) * natts);
	partial->base_nulls = palloc(sizeof(bool) * natts);
	memset(partial->base_nulls, true, natts);
	for (int i = 0; i < delta->nkeys && !entry->base_lost; i++)
	{
		int column = delta->keys[i] - 1;

		partial->base_nulls[column] = entry->base_nulls[i];
		if (!entry->base_nulls[i])
			partial->base_values[column] = datumCopy(entry->base_keys[i],
													 delta->fold->keys[i].by_value,
													 delta->fold->keys[i].length);
	}
	return partial;
}

void
fold_put_partial(Delta *delta, FoldEntry *entry)
{
	delta->partial = lappend(delta->partial, make_partial(delta, entry));
}

/* In order of first appearance.  Called in the delta's context. */
void
fold_write(Delta *delta)
{
	DeltaFold *fold = delta->fold;
	TupleTableSlot *slot = MakeSingleTupleTableSlot(delta->desc, &TTSOpsMinimalTuple);

	for (int i = 0; i < fold->norder; i++)
	{
		FoldEntry *entry = fold->order[i];

		CHECK_FOR_INTERRUPTS();
		if (entry->unknown != NULL)
		{
			fold_put_partial(delta, entry);
			continue;
		}
		ExecStoreMinimalTuple(entry->tuple, slot, false);
		tuplestore_puttupleslot(delta->rows, slot);
		delta->nrows++;
		if (entry->present)
			delta->new_images++;
	}
	ExecDropSingleTupleTableSlot(slot);
}

void
fold_free(Delta *delta)
{
	MemoryContextDelete(delta->fold->context);
	pfree(delta->fold->order);
	delta->fold = NULL;
}
