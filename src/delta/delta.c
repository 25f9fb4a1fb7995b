/*-------------------------------------------------------------------------
 *
 * delta.c
 *		The delta: creating, registering and reading it.
 *
 * Deltas are filled with the changes of a source by fill.c.  See delta.h for the
 * two shapes and the fixed columns.
 *
 * Everything in a delta is allocated in its own memory context.  The
 * tuplestore belongs to the resource owner that was current when the delta was
 * created, so that a subtransaction inside publish can be rolled back without
 * closing its spill files.  Create deltas outside of the subtransactions that
 * may fail.
 *
 *-------------------------------------------------------------------------
 */
#include "delta/delta.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_index.h"
#include "core/identity.h"
#include "core/plans.h"
#include "delta/record_image.h"
#include "executor/spi.h"
#include "executor/tstoreReceiver.h"
#include "miscadmin.h"
#include "tcop/dest.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

/* ---- layout ---- */

static TupleDesc
make_desc(TupleDesc columns)
{
	TupleDesc desc = CreateTemplateTupleDesc(DELTA_FIXED + columns->natts);

	TupleDescInitEntry(desc, DELTA_WEIGHT, "_depipe_weight", INT8OID, -1, 0);
	TupleDescInitEntry(desc, DELTA_SEQUENCE, "_depipe_sequence", INT8OID, -1, 0);
	TupleDescInitEntry(desc, DELTA_LSN, "_depipe_lsn", PG_LSNOID, -1, 0);
	TupleDescInitEntry(desc, DELTA_TIME, "_depipe_time", TIMESTAMPTZOID, -1, 0);
	TupleDescInitEntry(desc, DELTA_PAIR, "_depipe_pair", INT8OID, -1, 0);
	TupleDescInitEntry(desc, DELTA_REPLACED, "_depipe_replaced", BOOLOID, -1, 0);
	TupleDescInitEntry(desc, DELTA_BEFORE, "_depipe_before", INT2OID, -1, 0);
	for (int i = 1; i <= columns->natts; i++)
		TupleDescCopyEntry(desc, DELTA_FIXED + i, columns, i);
	return desc;
}

static bool
wanted(const char *name, List *column_names)
{
	ListCell *cell;

	if (column_names == NIL)
		return true;
	foreach(cell, column_names)
		if (strcmp(name, lfirst(cell)) == 0)
			return true;
	return false;
}

static void
check_reserved(Form_pg_attribute att)
{
	if (strncmp(NameStr(att->attname), DELTA_COLUMN_PREFIX, strlen(DELTA_COLUMN_PREFIX)) == 0)
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
			 errmsg("column name \"%s\" is reserved", NameStr(att->attname)),
			 errdetail("Names beginning with \"%s\" are used by depipe.", DELTA_COLUMN_PREFIX)));
}

/*
 * The columns of a table that a filler owns, renumbered from 1.  attnums gets
 * their numbers in the table.
 */
static TupleDesc
table_columns(Relation rel, List *column_names, AttrNumber **attnums)
{
	TupleDesc table = RelationGetDescr(rel);
	TupleDesc columns;
	int count = 0;
	ListCell *cell;

	*attnums = palloc(sizeof(AttrNumber) * Max(table->natts, 1));
	for (int i = 0; i < table->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(table, i);

		if (att->attisdropped || att->attgenerated != '\0')
			continue;
		check_reserved(att);
		if (wanted(NameStr(att->attname), column_names))
			(*attnums)[count++] = att->attnum;
	}
	foreach(cell, column_names)
	{
		if (get_attnum(RelationGetRelid(rel), lfirst(cell)) == InvalidAttrNumber)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" of relation \"%s\" does not exist",
							(char *) lfirst(cell),
							RelationGetRelationName(rel))));
	}
	columns = CreateTemplateTupleDesc(count);
	for (int i = 0; i < count; i++)
		TupleDescCopyEntry(columns, i + 1, table, (*attnums)[i]);
	return columns;
}

static void
find_keys(Delta *delta, List *key_names)
{
	ListCell *cell;

	delta->keys = palloc(sizeof(AttrNumber) * Max(list_length(key_names), 1));
	foreach(cell, key_names)
	{
		AttrNumber found = InvalidAttrNumber;

		for (int i = 0; i < delta->columns->natts; i++)
			if (strcmp(NameStr(TupleDescAttr(delta->columns, i)->attname), lfirst(cell)) == 0)
				found = i + 1;
		if (found == InvalidAttrNumber)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("key column \"%s\" does not exist", (char *) lfirst(cell))));
		delta->keys[delta->nkeys++] = found;
	}
}

static Delta *
begin_delta(MemoryContext parent)
{
	MemoryContext context = AllocSetContextCreate(parent, "depipe delta", ALLOCSET_DEFAULT_SIZES);
	Delta *delta = MemoryContextAllocZero(context, sizeof(Delta));

	delta->context = context;
	delta->owner = CurrentResourceOwner;
	delta->next_sequence = 1;
	return delta;
}

/* Create a tuplestore that survives subtransactions begun after the delta was created. */
static Tuplestorestate *
begin_rows(Delta *delta)
{
	ResourceOwner saved = CurrentResourceOwner;
	MemoryContext old = MemoryContextSwitchTo(delta->context);
	Tuplestorestate *rows;

	CurrentResourceOwner = delta->owner;
	rows = tuplestore_begin_heap(true, false, work_mem);
	CurrentResourceOwner = saved;
	MemoryContextSwitchTo(old);
	return rows;
}

static void
finish_create(Delta *delta, List *key_names)
{
	static uint32 counter = 0;

	/* the same name for each batch of a table, so that statements keep their text */
	delta->name = OidIsValid(delta->relid) ? psprintf("_depipe_delta_%u", delta->relid)
										   : psprintf("_depipe_delta_s%u", ++counter);
	delta->desc = make_desc(delta->columns);
	find_keys(delta, key_names);
	delta->rows = begin_rows(delta);
}

Delta *
delta_create(Oid relid, List *column_names, List *key_names, MemoryContext parent)
{
	Delta *delta = begin_delta(parent);
	MemoryContext old = MemoryContextSwitchTo(delta->context);
	Relation rel = table_open(relid, AccessShareLock);

	delta->relid = relid;
	delta->columns = table_columns(rel, column_names, &delta->attnums);
	table_close(rel, NoLock);
	finish_create(delta, key_names);
	MemoryContextSwitchTo(old);
	return delta;
}

/* Reads the catalogs in their committed state, even if another session is changing the table. */
Delta *
delta_create_to_park(Oid relid, List *column_names, List *key_names, MemoryContext parent)
{
	Delta *delta = begin_delta(parent);
	MemoryContext old = MemoryContextSwitchTo(delta->context);
	Relation rel = RelationIdGetRelation(relid);

	if (!RelationIsValid(rel))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE), errmsg("the target table does not exist")));
	delta->relid = relid;
	delta->columns = table_columns(rel, column_names, &delta->attnums);
	RelationClose(rel);
	finish_create(delta, key_names);
	MemoryContextSwitchTo(old);
	return delta;
}

Delta *
delta_create_for_columns(TupleDesc columns, List *key_names, MemoryContext parent)
{
	Delta *delta = begin_delta(parent);
	MemoryContext old = MemoryContextSwitchTo(delta->context);

	delta->columns = CreateTupleDescCopy(columns);
	delta->attnums = palloc(sizeof(AttrNumber) * Max(columns->natts, 1));
	for (int i = 0; i < columns->natts; i++)
		delta->attnums[i] = i + 1;
	finish_create(delta, key_names);
	MemoryContextSwitchTo(old);
	return delta;
}

List *
delta_column_names(Delta *delta)
{
	List *names = NIL;

	for (int i = 0; i < delta->columns->natts; i++)
		names = lappend(names, pstrdup(NameStr(TupleDescAttr(delta->columns, i)->attname)));
	return names;
}

int
delta_key_attributes(Oid relid, List *key_names, AttrNumber **attnums)
{
	Relation rel = table_open(relid, AccessShareLock);
	int count = 0;
	ListCell *cell;

	*attnums = palloc(sizeof(AttrNumber) * (RelationGetNumberOfAttributes(rel) + 1));
	foreach(cell, key_names)
	{
		AttrNumber attnum = get_attnum(relid, lfirst(cell));

		if (attnum == InvalidAttrNumber)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("key column \"%s\" does not exist", (char *) lfirst(cell))));
		(*attnums)[count++] = attnum;
	}
	if (key_names == NIL)
	{
		Oid index = RelationGetReplicaIndex(rel);

		if (!OidIsValid(index))
			index = RelationGetPrimaryKeyIndex_compat(rel);
		if (OidIsValid(index))
		{
			Relation index_rel = relation_open(index, AccessShareLock);

			for (int i = 0; i < IndexRelationGetNumberOfKeyAttributes(index_rel); i++)
				(*attnums)[count++] = index_rel->rd_index->indkey.values[i];
			relation_close(index_rel, AccessShareLock);
		}
	}
	table_close(rel, NoLock);
	return count;
}

/* The primary message contains the reason, because stored errors have no detail. */
void
delta_refuse_key(const char *column, Oid type, bool hashed)
{
	const char *name = format_type_be(type);

	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("column \"%s\" cannot be part of a key: values of type %s cannot be %s",
					column,
					name,
					hashed ? "sorted" : "hashed"),
			 errdetail("Type %s, or a type that it is made of, has no default operator class for"
					   " access method \"%s\".",
					   name,
					   hashed ? "btree" : "hash"),
			 errhint("Choose a key of other columns (\"key\").")));
}

/* ---- writing rows ---- */

void
delta_put_row(Delta *delta, int64 weight, int64 sequence, XLogRecPtr lsn, TimestampTz time,
			  int64 pair, int before, const Datum *values, const bool *nulls)
{
	Datum row[MaxTupleAttributeNumber + 1];
	bool row_nulls[MaxTupleAttributeNumber + 1];

	row[DELTA_WEIGHT - 1] = Int64GetDatum(weight);
	row[DELTA_SEQUENCE - 1] = Int64GetDatum(sequence);
	row[DELTA_LSN - 1] = LSNGetDatum(lsn);
	row[DELTA_TIME - 1] = TimestampTzGetDatum(time);
	row[DELTA_PAIR - 1] = Int64GetDatum(pair);
	row[DELTA_REPLACED - 1] = BoolGetDatum(false);
	row[DELTA_BEFORE - 1] = Int16GetDatum(before);
	memset(row_nulls, 0, DELTA_FIXED);
	row_nulls[DELTA_LSN - 1] = (lsn == InvalidXLogRecPtr);
	row_nulls[DELTA_TIME - 1] = (time == 0);
	row_nulls[DELTA_PAIR - 1] = (pair == 0);
	row_nulls[DELTA_BEFORE - 1] = (before == BEFORE_UNKNOWN);
	memcpy(row + DELTA_FIXED, values, sizeof(Datum) * delta->columns->natts);
	memcpy(row_nulls + DELTA_FIXED, nulls, sizeof(bool) * delta->columns->natts);
	tuplestore_putvalues(delta->rows, delta->desc, row, row_nulls);
	delta->nrows++;
	if (weight > 0)
		delta->new_images++;
	delta->filled_keys = false;
}

void
delta_append(Delta *delta, int64 weight, const Datum *values, const bool *nulls)
{
	delta->changes++;
	delta_put_row(delta,
				  weight,
				  delta->next_sequence++,
				  delta->lsn,
				  delta->time,
				  0,
				  BEFORE_UNKNOWN,
				  values,
				  nulls);
}

/* ---- SQL ---- */

void
delta_register(Delta *delta)
{
	register_tuplestore(delta->name, delta->desc, delta->rows, delta->nrows);
}

void
delta_unregister(Delta *delta)
{
	(void) SPI_unregister_relation(delta->name);
}

/* Run a query read-only under the active snapshot, advanced to the current command. */
static void
execute_once(const char *sql, DestReceiver *receiver)
{
	SPIExecuteOptions options = {0};
	int result;

	PushCopiedSnapshot(GetActiveSnapshot());
	UpdateActiveSnapshotCommandId();
	options.read_only = true;
	options.must_return_tuples = true;
	options.dest = receiver;
	result = SPI_execute_extended(sql, &options);
	if (result < 0)
		elog(ERROR, "query failed: %s", SPI_result_code_string(result));
	PopActiveSnapshot();
}

static void
execute_kept(const char *sql, List *columns, DestReceiver *receiver)
{
	int result = read_plan(plan_query(sql, columns), receiver);

	if (result < 0)
		elog(ERROR, "query failed: %s", SPI_result_code_string(result));
}

static void
execute_into(const char *sql, List *columns, Tuplestorestate *rows, MemoryContext context)
{
	MemoryContext caller = CurrentMemoryContext;
	DestReceiver *receiver = CreateDestReceiver(DestTuplestore);
	int level = identity_begin_statement();

	SetTuplestoreDestReceiverParams(receiver, rows, context, true, NULL, NULL);
	if (columns == NIL)
		execute_once(sql, receiver);
	else
		execute_kept(sql, columns, receiver);
	MemoryContextSwitchTo(caller); /* SPI leaves its own context current */
	identity_end_statement(level);
	receiver->rDestroy(receiver);
}

/* Returns a copy of the descriptor of the rows of the query, in context. */
static TupleDesc
columns_of_query(const char *sql, List *columns, MemoryContext context)
{
	MemoryContext caller = CurrentMemoryContext;
	int level = identity_begin_statement();
	SPIPlanPtr plan = columns == NIL ? SPI_prepare(sql, 0, NULL) : plan_query(sql, columns);
	TupleDesc desc;

	if (plan == NULL)
		elog(ERROR, "could not prepare query: %s", SPI_result_code_string(SPI_result));
	if (list_length(SPI_plan_get_plan_sources(plan)) != 1 || plan_columns(plan) == NULL)
		ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR), errmsg("query does not return rows")));
	MemoryContextSwitchTo(context);
	desc = CreateTupleDescCopy(plan_columns(plan));
	MemoryContextSwitchTo(caller);
	plan_release(plan);
	identity_end_statement(level);
	return desc;
}

/*
 * Prepare the query to get the descriptor of its rows, then run it into a
 * tuplestore.
 */
Tuplestorestate *
query_to_tuplestore(const char *sql, List *columns, TupleDesc *desc, uint64 *nrows,
					MemoryContext context)
{
	MemoryContext caller = MemoryContextSwitchTo(context);
	Tuplestorestate *rows = tuplestore_begin_heap(true, false, work_mem);

	MemoryContextSwitchTo(caller);
	*desc = columns_of_query(sql, columns, context);
	execute_into(sql, columns, rows, context);
	*nrows = tuplestore_tuple_count(rows);
	return rows;
}

static bool
has_null_key(const Delta *delta, TupleTableSlot *slot)
{
	for (int i = 0; i < delta->nkeys; i++)
		if (slot_attisnull(slot, DELTA_FIXED + delta->keys[i]))
			return true;
	return false;
}

void
delta_fill_from_query(Delta *delta, const char *sql, List *columns)
{
	TupleTableSlot *slot;
	MemoryContext old;
	int64 last = 0;

	execute_into(sql, columns, delta->rows, delta->context);
	old = MemoryContextSwitchTo(delta->context);
	slot = MakeSingleTupleTableSlot(delta->desc, &TTSOpsMinimalTuple);
	delta->nrows = 0;
	delta->new_images = 0;
	delta->filled_keys = true;
	delta_rewind(delta);
	while (delta_next(delta, slot))
	{
		bool isnull;

		/* a shorter or longer row would be read with its columns shifted */
		if (HeapTupleHeaderGetNatts(((MinimalTupleTableSlot *) slot)->mintuple) !=
			delta->desc->natts)
			elog(ERROR, "query does not return the columns of a delta: %s", sql);
		delta->nrows++;
		if (DatumGetInt64(slot_getattr(slot, DELTA_WEIGHT, &isnull)) > 0)
			delta->new_images++;
		last = Max(last, DatumGetInt64(slot_getattr(slot, DELTA_SEQUENCE, &isnull)));
		if (has_null_key(delta, slot))
			delta->filled_keys = false;
	}
	delta->next_sequence = last + 1;
	delta->changes = delta->nrows;
	ExecDropSingleTupleTableSlot(slot);
	MemoryContextSwitchTo(old);
}

/* ---- reading ---- */

void
delta_rewind(Delta *delta)
{
	tuplestore_select_read_pointer(delta->rows, 0);
	tuplestore_rescan(delta->rows);
}

bool
delta_next(Delta *delta, TupleTableSlot *slot)
{
	CHECK_FOR_INTERRUPTS();
	return tuplestore_gettupleslot(delta->rows, true, false, slot);
}

static bool
contains(const int64 *sequences, int nsequences, int64 sequence)
{
	int low = 0;
	int high = nsequences;

	while (low < high)
	{
		int middle = low + (high - low) / 2;

		if (sequences[middle] == sequence)
			return true;
		if (sequences[middle] < sequence)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

static int
compare_sequences(const void *a, const void *b)
{
	int64 left = *(const int64 *) a;
	int64 right = *(const int64 *) b;

	return (left > right) - (left < right);
}

Delta *
delta_create_like(Delta *delta)
{
	Delta *copy = begin_delta(MemoryContextGetParent(delta->context));
	MemoryContext old = MemoryContextSwitchTo(copy->context);

	copy->owner = delta->owner;
	copy->relid = delta->relid;
	copy->columns = CreateTupleDescCopy(delta->columns);
	copy->attnums = palloc(sizeof(AttrNumber) * Max(delta->columns->natts, 1));
	memcpy(copy->attnums, delta->attnums, sizeof(AttrNumber) * delta->columns->natts);
	finish_create(copy, NIL);
	copy->nkeys = delta->nkeys;
	copy->keys = palloc(sizeof(AttrNumber) * Max(delta->nkeys, 1));
	memcpy(copy->keys, delta->keys, sizeof(AttrNumber) * delta->nkeys);
	copy->old_images = delta->old_images;
	copy->filled_keys = delta->filled_keys;
	copy->batch_end = delta->batch_end;
	copy->next_sequence = delta->next_sequence;
	MemoryContextSwitchTo(old);
	return copy;
}

static void
copy_row(Delta *into, TupleTableSlot *slot)
{
	bool isnull;

	tuplestore_puttupleslot(into->rows, slot);
	into->nrows++;
	if (DatumGetInt64(slot_getattr(slot, DELTA_WEIGHT, &isnull)) > 0)
		into->new_images++;
}

/*
 * The sorted sequences to move: those given, and the other halves of their key
 * changes.  Only the new image of a key change names its pair.
 */
static int64 *
with_pairs(Delta *delta, TupleTableSlot *slot, const int64 *sequences, int *nsequences)
{
	int64 *all = palloc(sizeof(int64) * Max(*nsequences, 1) * 2);
	int count = *nsequences;

	memcpy(all, sequences, sizeof(int64) * count);
	delta_rewind(delta);
	while (delta_next(delta, slot))
	{
		bool isnull;
		int64 pair = DatumGetInt64(slot_getattr(slot, DELTA_PAIR, &isnull));

		if (!isnull && contains(sequences,
								*nsequences,
								DatumGetInt64(slot_getattr(slot, DELTA_SEQUENCE, &isnull))))
			all[count++] = pair;
	}
	qsort(all, count, sizeof(int64), compare_sequences);
	*nsequences = count;
	return all;
}

/*
 * Keep what the moved row does to the previous row of its key.  If a new image
 * is set aside, the row that it continues stays in place.  A previous row that
 * it does not continue no longer exists at the source, so a deletion of it
 * remains in this delta.
 */
static void
leave_deletion(Delta *delta, TupleTableSlot *slot)
{
	int before;
	bool no_lsn;
	bool no_time;
	XLogRecPtr lsn;
	TimestampTz time;

	slot_getallattrs(slot);
	if (DatumGetInt64(slot->tts_values[DELTA_WEIGHT - 1]) < 0 || slot->tts_isnull[DELTA_BEFORE - 1])
		return;
	before = DatumGetInt16(slot->tts_values[DELTA_BEFORE - 1]);
	if (before != BEFORE_OTHER && before != BEFORE_GONE)
		return;
	no_lsn = slot->tts_isnull[DELTA_LSN - 1];
	no_time = slot->tts_isnull[DELTA_TIME - 1];
	lsn = no_lsn ? InvalidXLogRecPtr : DatumGetLSN(slot->tts_values[DELTA_LSN - 1]);
	time = no_time ? 0 : DatumGetTimestampTz(slot->tts_values[DELTA_TIME - 1]);
	delta_put_row(delta,
				  -1,
				  delta->next_sequence++,
				  lsn,
				  time,
				  0,
				  before == BEFORE_OTHER ? BEFORE_SAME : BEFORE_UNKNOWN,
				  slot->tts_values + DELTA_FIXED,
				  slot->tts_isnull + DELTA_FIXED);
}

/*
 * Forget what the key had before the batch: it may be another row, or none.
 * Whether the new image continues that row is still known.
 */
static void
forget_before(TupleTableSlot *slot)
{
	Datum *before = &slot->tts_values[DELTA_BEFORE - 1];
	bool *unknown = &slot->tts_isnull[DELTA_BEFORE - 1];

	if (*unknown)
		return;
	if (DatumGetInt16(*before) == BEFORE_OTHER)
		*before = Int16GetDatum(BEFORE_GONE);
	*unknown = (DatumGetInt16(*before) != BEFORE_GONE);
}

void
delta_forget_before(Delta *delta, const int64 *sequences, int nsequences)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(delta->desc, &TTSOpsMinimalTuple);
	Tuplestorestate *all = delta->rows;

	delta->rows = begin_rows(delta);
	tuplestore_rescan(all);
	while (tuplestore_gettupleslot(all, true, false, slot))
	{
		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(slot);
		if (contains(sequences, nsequences, DatumGetInt64(slot->tts_values[DELTA_SEQUENCE - 1])))
			forget_before(slot);
		tuplestore_putvalues(delta->rows, delta->desc, slot->tts_values, slot->tts_isnull);
	}
	ExecDropSingleTupleTableSlot(slot);
	tuplestore_end(all);
}

Delta *
delta_split(Delta *delta, const int64 *sequences, int nsequences)
{
	Delta *out = delta_create_like(delta);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(delta->desc, &TTSOpsMinimalTuple);
	int64 *moved = with_pairs(delta, slot, sequences, &nsequences);
	Tuplestorestate *all = delta->rows;

	out->checked = delta->checked;
	delta->rows = begin_rows(delta);
	delta->nrows = 0;
	delta->new_images = 0;
	tuplestore_rescan(all);
	while (tuplestore_gettupleslot(all, true, false, slot))
	{
		bool isnull;
		int64 sequence = DatumGetInt64(slot_getattr(slot, DELTA_SEQUENCE, &isnull));

		CHECK_FOR_INTERRUPTS();
		copy_row(contains(moved, nsequences, sequence) ? out : delta, slot);
		if (contains(moved, nsequences, sequence))
			leave_deletion(delta, slot);
	}
	ExecDropSingleTupleTableSlot(slot);
	tuplestore_end(all);
	pfree(moved);
	return out;
}

/* ---- images ---- */

static Datum
output_text(Form_pg_attribute att, Datum value)
{
	Oid output;
	bool is_varlena;

	getTypeOutputInfo(att->atttypid, &output, &is_varlena);
	return CStringGetTextDatum(OidOutputFunctionCall(output, value));
}

/*
 * A canonical representative of all equal values of a type, so that equal keys
 * have equal texts.
 */
static Datum
canonical(Form_pg_attribute att, Datum value)
{
	switch (getBaseType(att->atttypid))
	{
		case NUMERICOID: /* 1.0 and 1.00 */
			return DirectFunctionCall1(numeric_trim_scale, value);
		case FLOAT4OID: /* 0 and -0 */
			return Float4GetDatum(DatumGetFloat4(value) + 0.0f);
		case FLOAT8OID:
			return Float8GetDatum(DatumGetFloat8(value) + 0.0);
		default:
			return value;
	}
}

bool
delta_is_key(const Delta *delta, int column)
{
	for (int i = 0; i < delta->nkeys; i++)
		if (delta->keys[i] == column + 1)
			return true;
	return false;
}

bool
delta_is_always_identity(const Delta *delta, int column)
{
	HeapTuple tuple = SearchSysCacheAttNum(delta->relid, delta->attnums[column]);
	bool result;

	if (!HeapTupleIsValid(tuple))
		return false;
	result = ((Form_pg_attribute) GETSTRUCT(tuple))->attidentity == ATTRIBUTE_IDENTITY_ALWAYS;
	ReleaseSysCache(tuple);
	return result;
}

bool
delta_key_is_not_null(const Delta *delta)
{
	bool result = delta->nkeys > 0;
	Relation rel;

	if (delta->filled_keys)
		return result;
	rel = try_relation_open(delta->relid, NoLock);
	if (rel == NULL)
		return false;
	for (int i = 0; i < delta->nkeys; i++)
		result = result && attribute_is_not_null_compat(RelationGetDescr(rel),
														delta->attnums[delta->keys[i] - 1]);
	relation_close(rel, NoLock);
	return result;
}

bool
delta_key_has_text(Delta *delta)
{
	for (int i = 0; i < delta->nkeys; i++)
	{
		Form_pg_attribute att = TupleDescAttr(delta->columns, delta->keys[i] - 1);

		switch (getBaseType(att->atttypid))
		{
			case NUMERICOID:
			case FLOAT4OID:
			case FLOAT8OID:
				break;      /* see canonical() */
			case BPCHAROID: /* a column pads all values to its length */
				if (!get_collation_isdeterministic(att->attcollation))
					return false;
				break;
			default:
				if (!column_equal_is_same_image(att))
					return false;
		}
	}
	return true;
}

/*
 * The output texts of some columns.  numbers: the columns of a key, whose
 * values are made canonical first; NULL: all columns as they are.
 */
static ArrayType *
text_image(TupleDesc columns, int count, const AttrNumber *numbers, const Datum *values,
		   const bool *nulls)
{
	Datum *elements = palloc(sizeof(Datum) * Max(count, 1));
	bool *element_nulls = palloc(sizeof(bool) * Max(count, 1));
	int dims[1];
	int lower[1] = {1};
	int level = NewGUCNestLevel();

	identity_pin_output();
	identity_pin_timezone();
	for (int i = 0; i < count; i++)
	{
		int column = numbers == NULL ? i : numbers[i] - 1;
		Form_pg_attribute att = TupleDescAttr(columns, column);

		element_nulls[i] = nulls[column];
		if (!nulls[column])
			elements[i] = output_text(att,
									  numbers == NULL ? values[column]
													  : canonical(att, values[column]));
	}
	AtEOXact_GUC(false, level);
	dims[0] = count;
	return construct_md_array(elements,
							  element_nulls,
							  1,
							  dims,
							  lower,
							  TEXTOID,
							  -1,
							  false,
							  TYPALIGN_INT);
}

ArrayType *
delta_row_image(Delta *delta, const Datum *values, const bool *nulls)
{
	return text_image(delta->columns, delta->columns->natts, NULL, values, nulls);
}

ArrayType *
delta_row_key(Delta *delta, const Datum *values, const bool *nulls)
{
	return text_image(delta->columns, delta->nkeys, delta->keys, values, nulls);
}

void
delta_destroy(Delta *delta)
{
	tuplestore_end(delta->rows);
	MemoryContextDelete(delta->context);
}
