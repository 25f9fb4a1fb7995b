/*-------------------------------------------------------------------------
 *
 * complete.c
 *		Whole rows for a delta: unknown columns, and old images.
 *
 * A column that the source did not send is taken from the newest image of the
 * base key that depipe has: the quarantined one if there is one, otherwise the
 * row of the target.  Values that the target stores out of line remain
 * pointers: an UPDATE that writes the same pointer back does not copy the
 * value.
 *
 *-------------------------------------------------------------------------
 */
#include "publish/complete.h"

#include "core/identity.h"
#include "core/plans.h"
#include "core/sqltext.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "publish/quarantine.h"

#define BASES_NAME "_depipe_bases"

/* Fill the row's unknown columns from a base row and put it into the delta. */
static void
finish_partial(Delta *delta, PartialRow *partial, const Datum *base, const bool *base_nulls)
{
	int natts = delta->columns->natts;
	Datum *values = palloc(sizeof(Datum) * natts);
	bool *nulls = palloc(sizeof(bool) * natts);

	for (int i = 0; i < natts; i++)
	{
		bool from_base = bms_is_member(i, partial->unknown);

		values[i] = from_base ? base[i] : partial->values[i];
		nulls[i] = from_base ? base_nulls[i] : partial->nulls[i];
	}
	delta_put_row(delta,
				  1,
				  partial->sequence,
				  partial->lsn,
				  partial->time,
				  partial->pair,
				  partial->before,
				  values,
				  nulls);
	partial->completed = true;
	pfree(values);
	pfree(nulls);
}

static List *
complete_from_quarantine(Target *target, Delta *delta)
{
	Datum *values;
	bool *nulls;
	List *left = NIL;
	ListCell *cell;

	if (quarantine_count(target->id) == 0)
		return delta->partial;
	values = palloc(sizeof(Datum) * delta->columns->natts);
	nulls = palloc(sizeof(bool) * delta->columns->natts);
	foreach(cell, delta->partial)
	{
		PartialRow *partial = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (!partial->base_lost && quarantine_base(target,
												   delta,
												   partial->base_values,
												   partial->base_nulls,
												   values,
												   nulls))
			finish_partial(delta, partial, values, nulls);
		else
			left = lappend(left, partial);
	}
	return left;
}

/* Build a relation with the number of each partial row and its base key. */
static Tuplestorestate *
base_keys(Delta *delta, List *partial, TupleDesc *desc)
{
	Tuplestorestate *rows = tuplestore_begin_heap(true, false, work_mem);
	Datum *row = palloc(sizeof(Datum) * (delta->nkeys + 1));
	bool *nulls = palloc(sizeof(bool) * (delta->nkeys + 1));
	ListCell *cell;
	int number = 0;

	*desc = CreateTemplateTupleDesc(delta->nkeys + 1);
	TupleDescInitEntry(*desc, 1, "_depipe_number", INT4OID, -1, 0);
	for (int i = 0; i < delta->nkeys; i++)
		TupleDescCopyEntry(*desc, i + 2, delta->columns, delta->keys[i]);
	foreach(cell, partial)
	{
		PartialRow *base = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		row[0] = Int32GetDatum(number++);
		nulls[0] = false;
		for (int i = 0; i < delta->nkeys; i++)
		{
			row[i + 1] = base->base_values[delta->keys[i] - 1];
			nulls[i + 1] = base->base_nulls[delta->keys[i] - 1];
		}
		if (!base->base_lost)
			tuplestore_putvalues(rows, *desc, row, nulls);
	}
	return rows;
}

static char *
base_query(Target *target, Delta *delta)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT b._depipe_number, ");
	sql_append_columns(&sql, delta->columns, "t");
	appendStringInfo(&sql, " FROM %s b JOIN %s ON ", BASES_NAME, target_rows_sql(target, "t"));
	sql_append_match(&sql, delta->columns, delta->nkeys, delta->keys, "b", "t", true);
	return sql.data;
}

/* Returns the number of rows without a base. */
static int
complete_from_target(Target *target, Delta *delta, List *partial)
{
	TupleDesc desc;
	Tuplestorestate *bases = base_keys(delta, partial, &desc);
	int natts = delta->columns->natts;
	Datum *row = palloc(sizeof(Datum) * (natts + 1));
	bool *nulls = palloc(sizeof(bool) * (natts + 1));
	Identity identity;
	int found;

	identity_become(target->owner, &identity);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	register_tuplestore(BASES_NAME, desc, bases, list_length(partial));
	if (SPI_execute(base_query(target, delta), false, 0) != SPI_OK_SELECT)
		elog(ERROR, "reading base rows failed");
	found = SPI_processed;
	for (int i = 0; i < found; i++)
	{
		CHECK_FOR_INTERRUPTS();
		heap_deform_tuple(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, row, nulls);
		finish_partial(delta, list_nth(partial, DatumGetInt32(row[0])), row + 1, nulls + 1);
	}
	SPI_finish();
	identity_restore(&identity);
	tuplestore_end(bases);
	return list_length(partial) - found;
}

bool
delta_complete(Target *target, Delta *delta, char **reason)
{
	MemoryContext old = MemoryContextSwitchTo(delta->context);
	List *left;
	int lost = 0;

	if (delta->partial != NIL)
	{
		left = complete_from_quarantine(target, delta);
		if (left != NIL)
			lost = complete_from_target(target, delta, left);
	}
	MemoryContextSwitchTo(old);
	if (lost > 0)
	{
		*reason = psprintf("%d row(s) have columns that the source did not send, with unknown"
						   " earlier values",
						   lost);
		return false;
	}
	delta->partial = NIL;
	return true;
}

static char *
old_images_query(Target *target, Delta *delta)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT -1::pg_catalog.int8, ");
	appendStringInfo(&sql,
					 INT64_FORMAT "::pg_catalog.int8 OPERATOR(pg_catalog.+)"
								  " pg_catalog.row_number() OVER (), ",
					 delta->next_sequence);
	if (delta->clear)
		appendStringInfoString(&sql,
							   "NULL::pg_catalog.pg_lsn, NULL::pg_catalog.timestamptz,"
							   " NULL::pg_catalog.int8, true, NULL::pg_catalog.int2, ");
	else
		appendStringInfoString(&sql,
							   "d._depipe_lsn, d._depipe_time, NULL::pg_catalog.int8,"
							   " true, NULL::pg_catalog.int2, ");
	sql_append_columns(&sql, delta->columns, "t");
	appendStringInfo(&sql, " FROM %s", target_rows_sql(target, "t"));
	if (!delta->clear)
	{
		appendStringInfo(&sql, " JOIN %s d ON NOT d._depipe_replaced AND ", delta->name);
		sql_append_match(&sql, delta->columns, delta->nkeys, delta->keys, "d", "t", true);
	}
	return sql.data;
}

/* Rows to be deleted are also marked "replaced": apply still uses their key-only row. */
void
delta_complete_old(Target *target, Delta *delta)
{
	Identity identity;
	Delta *old_images;
	TupleTableSlot *slot;

	if (delta->old_images || delta->nkeys == 0)
		return;
	old_images = delta_create_like(delta);
	identity_become(target->owner, &identity);
	delta_fill_from_query(old_images, old_images_query(target, delta), NIL);
	identity_restore(&identity);
	slot = MakeSingleTupleTableSlot(delta->desc, &TTSOpsMinimalTuple);
	delta_rewind(old_images);
	while (delta_next(old_images, slot))
	{
		tuplestore_puttupleslot(delta->rows, slot);
		delta->nrows++;
	}
	ExecDropSingleTupleTableSlot(slot);
	delta->next_sequence = old_images->next_sequence;
	delta_destroy(old_images);
	delta->old_images = true;
}
