/*-------------------------------------------------------------------------
 *
 * hidden.c
 *		Numbers of groups that a transform keeps beside its target.
 *
 * The numbers of a group are stored as the bytes of a minimal tuple.  They
 * belong to a query and to a frontier of the target (StoredFrontier.hidden).
 *
 * Invariant: the numbers are written together with the batch that contains the
 * rows of the target, or not at all.
 *
 *-------------------------------------------------------------------------
 */
#include "strategy/hidden.h"

#include "access/htup_details.h"
#include "catalog/group_state.h"
#include "compat.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/memutils.h"

/* ---- encoding as bytes ---- */

static Datum
encode(TupleDesc desc, Datum *values, bool *nulls)
{
	MinimalTuple tuple;
	bytea *bytes;

	for (int i = 0; i < desc->natts; i++)
		if (!nulls[i] && TupleDescAttr(desc, i)->attlen == -1)
			values[i] = PointerGetDatum(PG_DETOAST_DATUM(values[i]));
	tuple = heap_form_minimal_tuple_compat(desc, values, nulls);
	bytes = palloc(VARHDRSZ + tuple->t_len);
	SET_VARSIZE(bytes, VARHDRSZ + tuple->t_len);
	memcpy(VARDATA(bytes), tuple, tuple->t_len);
	return PointerGetDatum(bytes);
}

static void
decode(TupleDesc desc, Datum bytes, Datum *values, bool *nulls)
{
	struct varlena *data = PG_DETOAST_DATUM_PACKED(bytes);
	Size length = VARSIZE_ANY_EXHDR(data);
	MinimalTuple tuple = palloc(Max(length, MINIMAL_TUPLE_OFFSET + SizeofHeapTupleHeader));
	HeapTupleData whole = {0};

	memcpy(tuple, VARDATA_ANY(data), length);
	if (length < sizeof(uint32) || tuple->t_len != length ||
		(tuple->t_infomask2 & HEAP_NATTS_MASK) != desc->natts)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED), errmsg("numbers of groups cannot be read")));
	whole.t_len = tuple->t_len + MINIMAL_TUPLE_OFFSET;
	whole.t_data = (HeapTupleHeader) ((char *) tuple - MINIMAL_TUPLE_OFFSET);
	heap_deform_tuple(&whole, desc, values, nulls);
}

/* Returns the columns of a descriptor starting at the given index (from 0). */
static TupleDesc
columns_from(TupleDesc desc, int first)
{
	TupleDesc part = CreateTemplateTupleDesc(desc->natts - first);

	for (int i = first; i < desc->natts; i++)
		TupleDescCopyEntry(part, i - first + 1, desc, i + 1);
	return part;
}

static int
column_number(TupleDesc desc, const char *name)
{
	for (int i = 0; i < desc->natts; i++)
		if (strcmp(NameStr(TupleDescAttr(desc, i)->attname), name) == 0)
			return i;
	elog(ERROR, "there is no column %s", name);
}

/* ---- reading ---- */

/* Returns the keys and hashes of the groups in the form that group_state_select() expects. */
static Tuplestorestate *
keys_of(const TreeRelation *groups, TupleDesc desc)
{
	Tuplestorestate *keys = tuplestore_begin_heap(true, false, work_mem);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(groups->desc, &TTSOpsMinimalTuple);
	int key = column_number(groups->desc, "key");
	int hash = column_number(groups->desc, "hash");

	tuplestore_rescan(groups->rows);
	while (tuplestore_gettupleslot(groups->rows, true, false, slot))
	{
		Datum values[4] = {0};
		bool nulls[4] = {false, false, false, true};

		slot_getallattrs(slot);
		values[GROUP_STATE_KEY - 1] = slot->tts_values[key];
		values[GROUP_STATE_HASH - 1] = slot->tts_values[hash];
		tuplestore_putvalues(keys, desc, values, nulls);
	}
	ExecDropSingleTupleTableSlot(slot);
	return keys;
}

static void
put_row(TreeRelation *old, TupleDesc numbers, const CatalogRows *rows, uint64 row)
{
	Datum *values = palloc(sizeof(Datum) * old->desc->natts);
	bool *nulls = palloc(sizeof(bool) * old->desc->natts);
	bool isnull;

	values[0] = catalog_datum(rows, row, 1, &nulls[0]);
	decode(numbers, catalog_datum(rows, row, 2, &isnull), values + 1, nulls + 1);
	tuplestore_putvalues(old->rows, old->desc, values, nulls);
}

bool
hidden_read(int32 target_id, const TreeRelation *groups, TupleDesc desc, TreeRelation *old)
{
	TupleDesc numbers = columns_from(desc, 1);
	TupleDesc key_desc = group_state_desc();
	Tuplestorestate *keys;
	MemoryContext row_context;
	CatalogRows *rows;

	if (!group_state_is_there(target_id))
		return false;
	keys = keys_of(groups, key_desc);
	rows = group_state_select(target_id, key_desc, keys, groups->count);
	tuplestore_end(keys);
	old->desc = desc;
	old->rows = tuplestore_begin_heap(true, false, work_mem);
	old->count = rows->count;
	row_context = AllocSetContextCreate(CurrentMemoryContext,
										"depipe numbers of a group",
										ALLOCSET_DEFAULT_SIZES);
	for (uint64 i = 0; i < rows->count; i++)
	{
		MemoryContext caller = MemoryContextSwitchTo(row_context);

		CHECK_FOR_INTERRUPTS();
		put_row(old, numbers, rows, i);
		MemoryContextSwitchTo(caller);
		MemoryContextReset(row_context);
	}
	MemoryContextDelete(row_context);
	return true;
}

/* ---- writing ---- */

static void
add_group(HiddenState *state, TupleDesc numbers, TupleTableSlot *slot)
{
	Datum values[4];
	bool nulls[4] = {false};
	int natts = numbers->natts;
	Datum *copies = palloc(sizeof(Datum) * natts);

	slot_getallattrs(slot);
	for (int i = 0; i < 3; i++)
		values[i] = slot->tts_values[i];
	memcpy(copies, slot->tts_values + 3, sizeof(Datum) * natts);
	values[GROUP_STATE_NUMBERS - 1] = encode(numbers, copies, slot->tts_isnull + 3);
	tuplestore_putvalues(state->rows, state->desc, values, nulls);
	state->count++;
}

HiddenState *
hidden_state(const TreeRelation *rows, bool whole)
{
	HiddenState *state = palloc0(sizeof(HiddenState));
	TupleDesc numbers = columns_from(rows->desc, 3);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(rows->desc, &TTSOpsMinimalTuple);
	MemoryContext row_context = AllocSetContextCreate(CurrentMemoryContext,
													  "depipe numbers of a group",
													  ALLOCSET_DEFAULT_SIZES);

	state->whole = whole;
	state->desc = group_state_desc();
	state->rows = tuplestore_begin_heap(true, false, work_mem);
	tuplestore_rescan(rows->rows);
	while (tuplestore_gettupleslot(rows->rows, true, false, slot))
	{
		MemoryContext caller = MemoryContextSwitchTo(row_context);

		CHECK_FOR_INTERRUPTS();
		add_group(state, numbers, slot);
		MemoryContextSwitchTo(caller);
		MemoryContextReset(row_context);
	}
	MemoryContextDelete(row_context);
	ExecDropSingleTupleTableSlot(slot);
	return state;
}

void
hidden_release(HiddenState *state)
{
	if (state != NULL && state->rows != NULL)
		tuplestore_end(state->rows);
	if (state != NULL)
		state->rows = NULL;
}

/* ---- companion of the batch ---- */

static bool
wants_changes(PublishItem *item)
{
	return item->hidden != NULL;
}

static void
apply(PublishItem *item, const Changes *changes, Snapshot snapshot)
{
	const HiddenState *state = item->hidden;

	if (state->whole)
		group_state_replace(item->target->id, state->desc, state->rows, state->count);
	else
		group_state_change(item->target->id, state->desc, state->rows, state->count);
}

const Companion hidden_companion = {
	.name = "numbers of groups",
	.blind = true,
	.wants_changes = wants_changes,
	.apply = apply,
};
