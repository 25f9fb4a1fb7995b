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
#include "utils/builtins.h"
#include "utils/memutils.h"

/* columns of old numbers before the numbers: key and place */
#define NBEFORE 2

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

/* Appends the numbers of a group, after its key and place, if they are stored. */
static void
read_group(TreeRelation *old, TupleDesc numbers, GroupStateReader *reader, Datum key, Datum hash)
{
	Datum *values = palloc(sizeof(Datum) * old->desc->natts);
	bool *nulls = palloc0(sizeof(bool) * old->desc->natts);
	ItemPointerData place;
	Datum bytes;

	if (!group_state_find(reader, DatumGetInt64(hash), DatumGetByteaPP(key), &place, &bytes))
		return;
	values[0] = key;
	values[1] = PointerGetDatum(&place);
	decode(numbers, bytes, values + NBEFORE, nulls + NBEFORE);
	tuplestore_putvalues(old->rows, old->desc, values, nulls);
	old->count++;
}

static void
read_groups(TreeRelation *old, GroupStateReader *reader, const TreeRelation *groups)
{
	TupleDesc numbers = columns_from(old->desc, NBEFORE);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(groups->desc, &TTSOpsMinimalTuple);
	int key = column_number(groups->desc, "key");
	int hash = column_number(groups->desc, "hash");
	MemoryContext row_context = AllocSetContextCreate(CurrentMemoryContext,
													  "depipe numbers of a group",
													  ALLOCSET_DEFAULT_SIZES);

	tuplestore_rescan(groups->rows);
	while (tuplestore_gettupleslot(groups->rows, true, false, slot))
	{
		MemoryContext caller = MemoryContextSwitchTo(row_context);

		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(slot);
		read_group(old, numbers, reader, slot->tts_values[key], slot->tts_values[hash]);
		MemoryContextSwitchTo(caller);
		MemoryContextReset(row_context);
	}
	MemoryContextDelete(row_context);
	ExecDropSingleTupleTableSlot(slot);
}

/* A row with an empty key shows that the numbers are there. */
static bool
are_there(GroupStateReader *reader)
{
	const bytea *key = (const bytea *) cstring_to_text("");
	ItemPointerData place;
	Datum numbers;

	return group_state_find(reader, 0, key, &place, &numbers);
}

bool
hidden_read(int32 target_id, const TreeRelation *groups, TupleDesc desc, TreeRelation *old)
{
	GroupStateReader *reader = group_state_open(target_id);
	bool there = are_there(reader);

	if (there)
	{
		old->desc = desc;
		old->rows = tuplestore_begin_heap(true, false, work_mem);
		old->count = 0;
		read_groups(old, reader, groups);
	}
	group_state_close(reader);
	return there;
}

/* ---- writing ---- */

static void
add_group(HiddenState *state, TupleDesc numbers, TupleTableSlot *slot)
{
	Datum values[GROUP_STATE_NUMBERS];
	bool nulls[GROUP_STATE_NUMBERS] = {false};
	int natts = numbers->natts;
	Datum *copies = palloc(sizeof(Datum) * natts);

	slot_getallattrs(slot);
	for (int i = 0; i < GROUP_STATE_PLACE; i++)
	{
		values[i] = slot->tts_values[i];
		nulls[i] = slot->tts_isnull[i];
	}
	memcpy(copies, slot->tts_values + GROUP_STATE_PLACE, sizeof(Datum) * natts);
	values[GROUP_STATE_NUMBERS - 1] = encode(numbers, copies, slot->tts_isnull + GROUP_STATE_PLACE);
	tuplestore_putvalues(state->rows, state->desc, values, nulls);
	state->count++;
}

HiddenState *
hidden_state(const TreeRelation *rows, bool whole)
{
	HiddenState *state = palloc0(sizeof(HiddenState));
	TupleDesc numbers = columns_from(rows->desc, GROUP_STATE_PLACE);
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
		group_state_change(item->target->id, state->desc, state->rows);
}

const Companion hidden_companion = {
	.name = "numbers of groups",
	.blind = true,
	.wants_changes = wants_changes,
	.apply = apply,
};
