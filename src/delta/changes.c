/*-------------------------------------------------------------------------
 *
 * changes.c
 *		The rows of a target that one pass of publish has changed.
 *
 *-------------------------------------------------------------------------
 */
#include "delta/changes.h"

#include "core/plans.h"
#include "executor/spi.h"
#include "executor/tstoreReceiver.h"
#include "miscadmin.h"
#include "tcop/dest.h"

static TupleDesc
make_desc(TupleDesc table)
{
	TupleDesc desc;
	int natts = 0;

	for (int i = 0; i < table->natts; i++)
		natts += TupleDescAttr(table, i)->attisdropped ? 0 : 1;
	desc = CreateTemplateTupleDesc(natts + CHANGES_FIXED);
	TupleDescInitEntry(desc, CHANGES_WEIGHT_COLUMN, DELTA_COLUMN_PREFIX "weight", INT8OID, -1, 0);
	natts = CHANGES_FIXED;
	for (int i = 0; i < table->natts; i++)
		if (!TupleDescAttr(table, i)->attisdropped)
			TupleDescCopyEntry(desc, ++natts, table, i + 1);
	return desc;
}

Changes *
changes_create(Relation rel)
{
	Changes *changes = palloc0(sizeof(Changes));

	changes->known = true;
	changes->name = psprintf(DELTA_COLUMN_PREFIX "changes_%u", RelationGetRelid(rel));
	changes->desc = make_desc(RelationGetDescr(rel));
	changes->rows = tuplestore_begin_heap(true, false, work_mem);
	return changes;
}

void
changes_add_before(Changes *changes, Relation rel)
{
	changes->before = changes_create(rel);
	changes->before->name = psprintf(DELTA_COLUMN_PREFIX "changes_before_%u",
									 RelationGetRelid(rel));
}

/* TRUNCATE removes what the table keeps out of line: values are complete. */
DestReceiver *
changes_before_receiver(Changes *changes)
{
	DestReceiver *receiver = CreateDestReceiver(DestTuplestore);

	SetTuplestoreDestReceiverParams(receiver,
									changes->before->rows,
									CurrentMemoryContext,
									true,
									NULL,
									NULL);
	return receiver;
}

void
changes_add_delta(Changes *changes, Delta *delta, bool negative)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(delta->desc, &TTSOpsMinimalTuple);
	int natts = changes->desc->natts;
	Datum *values = palloc(sizeof(Datum) * natts);
	bool *nulls = palloc(sizeof(bool) * natts);

	Assert(natts - CHANGES_FIXED == delta->columns->natts);
	nulls[CHANGES_WEIGHT_COLUMN - 1] = false;
	delta_rewind(delta);
	while (delta_next(delta, slot))
	{
		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(slot);
		values[CHANGES_WEIGHT_COLUMN - 1] = slot->tts_values[DELTA_WEIGHT - 1];
		if (DatumGetInt64(values[CHANGES_WEIGHT_COLUMN - 1]) < 0 && !negative)
			continue;
		for (int i = 0; i < delta->columns->natts; i++)
		{
			values[CHANGES_FIXED + i] = slot->tts_values[DELTA_FIXED + i];
			nulls[CHANGES_FIXED + i] = slot->tts_isnull[DELTA_FIXED + i];
		}
		tuplestore_putvalues(changes->rows, changes->desc, values, nulls);
	}
	ExecDropSingleTupleTableSlot(slot);
	pfree(values);
	pfree(nulls);
}

/* Values that the table keeps out of line stay pointers: they are valid in this transaction. */
DestReceiver *
changes_receiver(Changes *changes)
{
	DestReceiver *receiver = CreateDestReceiver(DestTuplestore);

	SetTuplestoreDestReceiverParams(receiver,
									changes->rows,
									CurrentMemoryContext,
									false,
									NULL,
									NULL);
	return receiver;
}

void
changes_finish(Changes *changes)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(changes->desc, &TTSOpsMinimalTuple);

	changes->nrows = changes->copies_gone = changes->copies_new = 0;
	tuplestore_rescan(changes->rows);
	while (tuplestore_gettupleslot(changes->rows, true, false, slot))
	{
		bool isnull;
		int64 weight = DatumGetInt64(slot_getattr(slot, CHANGES_WEIGHT_COLUMN, &isnull));

		CHECK_FOR_INTERRUPTS();
		changes->nrows++;
		if (weight < 0)
			changes->copies_gone -= weight;
		else
			changes->copies_new += weight;
	}
	ExecDropSingleTupleTableSlot(slot);
	if (changes->before != NULL)
		changes_finish(changes->before);
}

void
changes_forget(Changes *changes)
{
	tuplestore_clear(changes->rows);
	changes->nrows = changes->copies_gone = changes->copies_new = 0;
	changes->known = false;
}

void
changes_register(Changes *changes)
{
	register_tuplestore(changes->name, changes->desc, changes->rows, changes->nrows);
	changes->registered = true;
	if (changes->before != NULL)
		changes_register(changes->before);
}

void
changes_unregister(Changes *changes)
{
	if (changes->registered)
		(void) SPI_unregister_relation(changes->name);
	changes->registered = false;
	if (changes->before != NULL)
		changes_unregister(changes->before);
}

void
changes_end(Changes *changes)
{
	changes_unregister(changes);
	tuplestore_end(changes->rows);
	changes->rows = NULL;
	if (changes->before != NULL)
		changes_end(changes->before);
}
