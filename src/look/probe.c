/*-------------------------------------------------------------------------
 *
 * probe.c
 *		Inner parts of transforms as SQL functions, for tests.
 *
 * They are not in the extension's script: a test that needs one declares it,
 * which takes a superuser.
 *
 *-------------------------------------------------------------------------
 */
#include "depipe.h"

#include "catalog/statement.h"
#include "core/sqltext.h"
#include "delta/difference.h"
#include "delta/net.h"
#include "delta/reader.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "core/identity.h"
#include "query/binding.h"
#include "capture/capture.h"
#include "capture/changes.h"
#include "capture/frontier.h"
#include "strategy/keys_analysis.h"
#include "query/shape.h"
#include "query/transform.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

CHECKED_FUNCTION(depipe_query_blocks);
CHECKED_FUNCTION(depipe_query_keys);
CHECKED_FUNCTION(depipe_next_sequence);
CHECKED_FUNCTION(depipe_beyond);
CHECKED_FUNCTION(depipe_net_terms);
CHECKED_FUNCTION(depipe_input_changes);

/* query_blocks(query): the blocks of a query as the current user runs it. */
static Datum
depipe_query_blocks_checked(PG_FUNCTION_ARGS)
{
	Shape *shape = shape_analyse(text_to_cstring(PG_GETARG_TEXT_PP(0)));

	PG_RETURN_TEXT_P(cstring_to_text(blocks_text(shape_blocks(shape))));
}

/* query_keys(query): how a query is recomputed in parts, or why it cannot be. */
static Datum
depipe_query_keys_checked(PG_FUNCTION_ARGS)
{
	Shape *shape = shape_analyse(text_to_cstring(PG_GETARG_TEXT_PP(0)));

	PG_RETURN_TEXT_P(cstring_to_text(keys_text(keys_analyse(shape))));
}

/* next_sequence(): the number of the transaction's next captured change. */
static Datum
depipe_next_sequence_checked(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(frontier_next_sequence());
}

/*
 * beyond(target, changes): the ids in a table of captured changes (id, xid,
 * sequence) that the target's frontier does not cover.
 */
static Datum
depipe_beyond_checked(PG_FUNCTION_ARGS)
{
	MemoryContext context = CurrentMemoryContext;
	Transform *transform = transform_get(
		target_find(text_to_cstring(PG_GETARG_TEXT_PP(0)), false)->id);
	StringInfoData sql;
	Oid types[3];
	Datum values[3];
	char *ids;

	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "SELECT pg_catalog.string_agg(c.id::text, ' ' ORDER BY c.id) FROM %s c WHERE ",
					 sql_relation(PG_GETARG_OID(1)));
	frontier_append_condition(&sql, "c");
	frontier_arguments(transform->frontier, types, values);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args(sql.data, 3, types, values, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read the changes");
	ids = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	if (ids != NULL)
		ids = MemoryContextStrdup(context, ids);
	SPI_finish();
	if (ids == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(ids));
}

static void
return_rows(ReturnSetInfo *result, Delta *delta, bool unique)
{
	DeltaReader *reader = delta_read(delta);

	while (delta_read_next(reader))
	{
		Datum values[5];
		bool nulls[5] = {false};

		values[0] = Int64GetDatum(reader->weight);
		values[1] = Int64GetDatum(reader->sequence);
		values[2] = BoolGetDatum(reader->replaced);
		values[3] = PointerGetDatum(delta_row_image(delta, reader->values, reader->nulls));
		values[4] = BoolGetDatum(unique);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	delta_read_end(reader);
}

/* net_terms(target, key, terms): the delta, and whether no key has two new images. */
static Datum
depipe_net_terms_checked(PG_FUNCTION_ARGS)
{
	MemoryContext context = CurrentMemoryContext;
	Delta *delta = delta_create(PG_GETARG_OID(0),
								NIL,
								text_array_to_list(PG_GETARG_ARRAYTYPE_P(1), "key"),
								context);
	bool unique = true;

	InitMaterializedSRF(fcinfo, 0);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	MemoryContextSwitchTo(context);
	delta_fill_from_terms(delta, text_array_to_list(PG_GETARG_ARRAYTYPE_P(2), "terms"), NIL);
	if (delta->nkeys > 0)
	{
		delta_register(delta);
		unique = key_is_unique(delta, net_new_images(delta));
		delta_unregister(delta);
	}
	return_rows((ReturnSetInfo *) fcinfo->resultinfo, delta, unique);
	SPI_finish();
	delta_destroy(delta);
	return (Datum) 0;
}

/* The row of a slot without its last column, as text. */
static Datum
image_text(TupleTableSlot *slot, int natts)
{
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < natts; i++)
	{
		Oid output;
		bool is_varlena;

		getTypeOutputInfo(TupleDescAttr(slot->tts_tupleDescriptor, i)->atttypid,
						  &output,
						  &is_varlena);
		appendStringInfo(&text,
						 "%s%s",
						 i > 0 ? "," : "",
						 slot->tts_isnull[i] ? ""
											 : OidOutputFunctionCall(output, slot->tts_values[i]));
	}
	return CStringGetTextDatum(text.data);
}

static void
return_changes(ReturnSetInfo *result, InputChanges *changes)
{
	Datum values[4] = {CStringGetTextDatum(sql_relation(changes->relid))};
	bool nulls[4] = {false, true, true, true};
	TupleTableSlot *slot;

	if (changes->reason_code != NULL)
	{
		values[1] = CStringGetTextDatum(changes->reason_code);
		nulls[1] = false;
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
		return;
	}
	slot = MakeSingleTupleTableSlot(changes->desc, &TTSOpsMinimalTuple);
	while (tuplestore_gettupleslot(changes->rows, true, false, slot))
	{
		int natts = changes->desc->natts - 1;

		slot_getallattrs(slot);
		values[2] = slot->tts_values[natts];
		values[3] = image_text(slot, natts);
		nulls[2] = nulls[3] = false;
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	ExecDropSingleTupleTableSlot(slot);
}

/*
 * input_changes(target): the changes of each input that the next refresh will
 * find, or the reason why they are not known.
 */
static Datum
depipe_input_changes_checked(PG_FUNCTION_ARGS)
{
	Transform *transform = transform_get(
		target_find(text_to_cstring(PG_GETARG_TEXT_PP(0)), false)->id);
	StoredFrontier now = {0};
	Identity identity;
	List *changes;
	Shape *shape;
	ListCell *cell;

	InitMaterializedSRF(fcinfo, 0);
	CommandCounterIncrement();
	PushCopiedSnapshot(GetTransactionSnapshot());
	UpdateActiveSnapshotCommandId();
	identity_become_with(transform->target->owner, transform->target->settings, &identity);
	shape = transform_analyse(transform);
	frontier_describe(&now, transform, shape);
	changes = changes_read(transform, captures_find(transform, shape), &now);
	foreach(cell, changes)
		return_changes((ReturnSetInfo *) fcinfo->resultinfo, lfirst(cell));
	changes_release(changes);
	identity_restore(&identity);
	PopActiveSnapshot();
	return (Datum) 0;
}
