/*-------------------------------------------------------------------------
 *
 * reader.c
 *		Reading a finished delta row by row.
 *
 *-------------------------------------------------------------------------
 */
#include "delta/reader.h"

#include "utils/datum.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

typedef struct OldKey
{
	int64 sequence; /* hash key */
	bool found;
	Datum *values;
	bool *nulls;
} OldKey;

struct DeltaOldKeys
{
	HTAB *table; /* NULL: no key changes */
};

DeltaReader *
delta_read(Delta *delta)
{
	DeltaReader *reader = palloc0(sizeof(DeltaReader));

	reader->delta = delta;
	reader->slot = MakeSingleTupleTableSlot(delta->desc, &TTSOpsMinimalTuple);
	delta_rewind(delta);
	return reader;
}

static bool
next_partial(DeltaReader *reader)
{
	PartialRow *partial;

	do
	{
		CHECK_FOR_INTERRUPTS();
		if (reader->next_partial >= list_length(reader->delta->partial))
			return false;
		partial = list_nth(reader->delta->partial, reader->next_partial++);
	} while (partial->completed);
	reader->partial = partial;
	reader->sequence = partial->sequence;
	reader->weight = 1;
	reader->pair = partial->pair;
	reader->before = partial->before;
	reader->lsn = partial->lsn;
	reader->time = partial->time;
	reader->replaced = false;
	reader->unknown = partial->unknown;
	reader->values = partial->values;
	reader->nulls = partial->nulls;
	return true;
}

bool
delta_read_next(DeltaReader *reader)
{
	TupleTableSlot *slot = reader->slot;

	if (reader->in_partial || !delta_next(reader->delta, slot))
	{
		reader->in_partial = true;
		return next_partial(reader);
	}
	slot_getallattrs(slot);
	reader->sequence = DatumGetInt64(slot->tts_values[DELTA_SEQUENCE - 1]);
	reader->weight = DatumGetInt64(slot->tts_values[DELTA_WEIGHT - 1]);
	reader->pair = slot->tts_isnull[DELTA_PAIR - 1]
					   ? 0
					   : DatumGetInt64(slot->tts_values[DELTA_PAIR - 1]);
	reader->lsn = slot->tts_isnull[DELTA_LSN - 1] ? InvalidXLogRecPtr
												  : DatumGetLSN(slot->tts_values[DELTA_LSN - 1]);
	reader->time = slot->tts_isnull[DELTA_TIME - 1]
					   ? 0
					   : DatumGetTimestampTz(slot->tts_values[DELTA_TIME - 1]);
	reader->replaced = DatumGetBool(slot->tts_values[DELTA_REPLACED - 1]);
	reader->before = slot->tts_isnull[DELTA_BEFORE - 1]
						 ? BEFORE_UNKNOWN
						 : DatumGetInt16(slot->tts_values[DELTA_BEFORE - 1]);
	reader->unknown = NULL;
	reader->partial = NULL;
	reader->values = slot->tts_values + DELTA_FIXED;
	reader->nulls = slot->tts_isnull + DELTA_FIXED;
	return true;
}

void
delta_read_end(DeltaReader *reader)
{
	ExecDropSingleTupleTableSlot(reader->slot);
	pfree(reader);
}

/* ---- key changes ---- */

static void
remember_old_key(DeltaReader *reader, OldKey *key)
{
	Delta *delta = reader->delta;
	int natts = delta->columns->natts;

	key->found = true;
	key->values = palloc0(sizeof(Datum) * Max(natts, 1));
	key->nulls = palloc(sizeof(bool) * Max(natts, 1));
	memcpy(key->nulls, reader->nulls, sizeof(bool) * natts);
	for (int i = 0; i < natts; i++)
		if (!key->nulls[i])
			key->values[i] = datumCopy(reader->values[i],
									   TupleDescAttr(delta->columns, i)->attbyval,
									   TupleDescAttr(delta->columns, i)->attlen);
}

DeltaOldKeys *
delta_old_keys(Delta *delta)
{
	DeltaOldKeys *old_keys = palloc0(sizeof(DeltaOldKeys));
	DeltaReader *reader = delta_read(delta);
	HASHCTL control = {0};

	while (delta_read_next(reader))
	{
		bool found;

		if (reader->pair == 0 || reader->weight < 0)
			continue;
		if (old_keys->table == NULL)
		{
			control.keysize = sizeof(int64);
			control.entrysize = sizeof(OldKey);
			control.hcxt = CurrentMemoryContext;
			old_keys->table =
				hash_create("depipe old keys", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
		}
		((OldKey *) hash_search(old_keys->table, &reader->pair, HASH_ENTER, &found))->found = false;
	}
	delta_read_end(reader);
	if (old_keys->table == NULL)
		return old_keys;
	reader = delta_read(delta);
	while (delta_read_next(reader))
	{
		OldKey *key = hash_search(old_keys->table, &reader->sequence, HASH_FIND, NULL);

		if (key != NULL && reader->weight < 0)
			remember_old_key(reader, key);
	}
	delta_read_end(reader);
	return old_keys;
}

bool
delta_is_old_key(const DeltaOldKeys *old_keys, int64 sequence)
{
	const Datum *values;
	const bool *nulls;

	return delta_old_key(old_keys, sequence, &values, &nulls);
}

bool
delta_old_key(const DeltaOldKeys *old_keys, int64 pair, const Datum **values, const bool **nulls)
{
	OldKey *key;

	if (old_keys->table == NULL || pair == 0)
		return false;
	key = hash_search(old_keys->table, &pair, HASH_FIND, NULL);
	if (key == NULL || !key->found)
		return false;
	*values = key->values;
	*nulls = key->nulls;
	return true;
}
