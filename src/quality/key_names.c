/*-------------------------------------------------------------------------
 *
 * key_names.c
 *		The texts under which quarantined rows are kept and found by their keys.
 *
 * A quarantined row is found by the text of its key.  For most types equal
 * values have equal texts, or delta_row_key() makes them equal.  For others
 * (citext, jsonb, interval, text with a nondeterministic collation, arrays and
 * composites of those) only the type knows which values are equal.  There a key
 * takes the name of an equal key that is in quarantine already, as the key or
 * the previous key of a row.
 *
 * The kept keys are found by a hash that the type's own hash function makes,
 * which is stored and indexed with the row.  Then they are compared by the
 * type's own equality.  A type that cannot be hashed has the same hash for all
 * values.
 *
 * Invariant: equal keys of one target have one name, in the quarantine and
 * within a batch.
 *
 *-------------------------------------------------------------------------
 */
#include "quality/key_names.h"

#include "catalog/kept_rows.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "core/identity.h"
#include "core/sqltext.h"
#include "delta/reader.h"
#include "miscadmin.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

typedef struct NamedKey
{
	Datum *values; /* of the columns of the key */
	bool *nulls;
	ArrayType *name;
} NamedKey;

typedef struct NamedHash
{
	int64 hash; /* hash key */
	List *keys; /* of NamedKey */
} NamedHash;

typedef struct KeyColumn
{
	int column; /* of the delta, from 0 */
	Oid collation;
	int16 length;
	bool by_value;
	FmgrInfo hash; /* fn_oid is InvalidOid if there is none */
	FmgrInfo equal;
	FmgrInfo input;
	Oid io_param;
	int32 modifier;
} KeyColumn;

struct KeyNames
{
	MemoryContext context;
	int nkeys;
	KeyColumn *columns;
	HTAB *hashes; /* of NamedHash */
};

/* ---- the key's own hash and equality ---- */

static void
take_column(KeyColumn *key, const Delta *delta, int number)
{
	Form_pg_attribute att = TupleDescAttr(delta->columns, delta->keys[number] - 1);
	TypeCacheEntry *type = lookup_type_cache(att->atttypid,
											 TYPECACHE_EQ_OPR_FINFO | TYPECACHE_HASH_PROC_FINFO);
	Oid input;

	if (!OidIsValid(type->eq_opr))
		delta_refuse_key(NameStr(att->attname), att->atttypid, false);
	key->column = delta->keys[number] - 1;
	key->collation = att->attcollation;
	key->length = att->attlen;
	key->by_value = att->attbyval;
	key->modifier = att->atttypmod;
	fmgr_info_copy(&key->equal, &type->eq_opr_finfo, CurrentMemoryContext);
	if (OidIsValid(type->hash_proc))
		fmgr_info_copy(&key->hash, &type->hash_proc_finfo, CurrentMemoryContext);
	getTypeInputInfo(att->atttypid, &input, &key->io_param);
	fmgr_info(input, &key->input);
}

static int64
hash_values(const KeyNames *names, const Datum *values, const bool *nulls)
{
	uint64 hash = 0;

	for (int i = 0; i < names->nkeys; i++)
	{
		KeyColumn *key = &names->columns[i];
		uint32 one = 0;

		if (!nulls[i] && OidIsValid(key->hash.fn_oid))
			one = DatumGetUInt32(FunctionCall1Coll(&key->hash, key->collation, values[i]));
		hash = hash_combine64(hash, one);
	}
	return (int64) hash;
}

static bool
equal_values(const KeyNames *names, const NamedKey *named, const Datum *values, const bool *nulls)
{
	for (int i = 0; i < names->nkeys; i++)
	{
		KeyColumn *key = &names->columns[i];

		if (named->nulls[i] != nulls[i])
			return false;
		if (!nulls[i] &&
			!DatumGetBool(
				FunctionCall2Coll(&key->equal, key->collation, named->values[i], values[i])))
			return false;
	}
	return true;
}

/* ---- names ---- */

static KeyNames *
begin(const Delta *delta)
{
	KeyNames *names = palloc0(sizeof(KeyNames));
	HASHCTL control = {0};

	names->context = CurrentMemoryContext;
	names->nkeys = delta->nkeys;
	names->columns = palloc0(sizeof(KeyColumn) * delta->nkeys);
	for (int i = 0; i < delta->nkeys; i++)
		take_column(&names->columns[i], delta, i);
	control.keysize = sizeof(int64);
	control.entrysize = sizeof(NamedHash);
	control.hcxt = CurrentMemoryContext;
	names->hashes =
		hash_create("depipe names of keys", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	return names;
}

static NamedHash *
find_hash(KeyNames *names, int64 hash)
{
	bool found;
	NamedHash *entry = hash_search(names->hashes, &hash, HASH_ENTER, &found);

	if (!found)
		entry->keys = NIL;
	return entry;
}

static const NamedKey *
find_key(const KeyNames *names, const NamedHash *entry, const Datum *values, const bool *nulls)
{
	ListCell *cell;

	foreach(cell, entry->keys)
		if (equal_values(names, lfirst(cell), values, nulls))
			return lfirst(cell);
	return NULL;
}

static const NamedKey *
add_key(KeyNames *names, NamedHash *entry, const Datum *values, const bool *nulls, ArrayType *name)
{
	MemoryContext old = MemoryContextSwitchTo(names->context);
	NamedKey *named = palloc(sizeof(NamedKey));

	named->values = palloc(sizeof(Datum) * names->nkeys);
	named->nulls = palloc(sizeof(bool) * names->nkeys);
	for (int i = 0; i < names->nkeys; i++)
	{
		KeyColumn *key = &names->columns[i];

		named->nulls[i] = nulls[i];
		named->values[i] = nulls[i] ? (Datum) 0 : datumCopy(values[i], key->by_value, key->length);
	}
	named->name = DatumGetArrayTypePCopy(PointerGetDatum(name));
	entry->keys = lappend(entry->keys, named);
	MemoryContextSwitchTo(old);
	return named;
}

/* The columns of the key out of those of a row. */
static void
pick(const KeyNames *names, const Datum *values, const bool *nulls, Datum *key_values,
	 bool *key_nulls)
{
	for (int i = 0; i < names->nkeys; i++)
	{
		key_values[i] = values[names->columns[i].column];
		key_nulls[i] = nulls[names->columns[i].column];
	}
}

/* ---- keys in quarantine ---- */

/* Read the text of a kept key; an image may be older than the key of the table. */
static bool
read_name(KeyNames *names, ArrayType *name, Datum *values, bool *nulls)
{
	Datum *elements;
	bool *element_nulls;
	int count;

	deconstruct_array(name, TEXTOID, -1, false, TYPALIGN_INT, &elements, &element_nulls, &count);
	if (count != names->nkeys)
		return false;
	for (int i = 0; i < count; i++)
	{
		KeyColumn *key = &names->columns[i];

		nulls[i] = element_nulls[i];
		values[i] = element_nulls[i] ? (Datum) 0
									 : InputFunctionCall(&key->input,
														 TextDatumGetCString(elements[i]),
														 key->io_param,
														 key->modifier);
	}
	return true;
}

static void
take_kept(KeyNames *names, Target *target, Tuplestorestate *hashes, TupleDesc desc, uint64 count)
{
	CatalogRows *rows = catalog_quarantine_named(target->id, desc, hashes, count);
	Datum *values = palloc(sizeof(Datum) * names->nkeys);
	bool *nulls = palloc(sizeof(bool) * names->nkeys);
	Identity identity;

	if (rows->count == 0)
		return;
	identity_become(target->owner, &identity); /* input functions may run a user's code */
	for (uint64 i = 0; i < rows->count; i++)
	{
		bool isnull;
		ArrayType *name = DatumGetArrayTypeP(catalog_datum(rows, i, 1, &isnull));
		NamedHash *entry;

		CHECK_FOR_INTERRUPTS();
		if (!read_name(names, name, values, nulls))
			continue;
		entry = find_hash(names, hash_values(names, values, nulls));
		if (find_key(names, entry, values, nulls) == NULL)
			(void) add_key(names, entry, values, nulls, name);
	}
	identity_restore(&identity);
}

static void
put_hash(KeyNames *names, Tuplestorestate *hashes, TupleDesc desc, const Datum *values,
		 const bool *nulls)
{
	int64 hash;
	Datum row[1];
	bool isnull[1] = {false};

	(void) key_name_hash(names, values, nulls, &hash);
	row[0] = Int64GetDatum(hash);
	tuplestore_putvalues(hashes, desc, row, isnull);
}

KeyNames *
key_names_of_delta(Target *target, Delta *delta)
{
	KeyNames *names;
	TupleDesc desc;
	Tuplestorestate *hashes;
	DeltaReader *reader;
	uint64 count = 0;

	if (delta->nkeys == 0 || delta_key_has_text(delta))
		return NULL;
	names = begin(delta);
	desc = catalog_hashes_desc();
	hashes = tuplestore_begin_heap(true, false, work_mem);
	reader = delta_read(delta);
	while (delta_read_next(reader))
	{
		CHECK_FOR_INTERRUPTS();
		put_hash(names, hashes, desc, reader->values, reader->nulls);
		count++;
	}
	delta_read_end(reader);
	take_kept(names, target, hashes, desc, count);
	tuplestore_end(hashes);
	return names;
}

KeyNames *
key_names_of_key(Target *target, Delta *delta, const Datum *values, const bool *nulls)
{
	KeyNames *names;
	TupleDesc desc;
	Tuplestorestate *hashes;

	if (delta->nkeys == 0 || delta_key_has_text(delta))
		return NULL;
	names = begin(delta);
	desc = catalog_hashes_desc();
	hashes = tuplestore_begin_heap(true, false, work_mem);
	put_hash(names, hashes, desc, values, nulls);
	take_kept(names, target, hashes, desc, 1);
	tuplestore_end(hashes);
	return names;
}

bool
key_name_hash(const KeyNames *names, const Datum *values, const bool *nulls, int64 *hash)
{
	Datum *key_values;
	bool *key_nulls;

	if (names == NULL)
		return false;
	key_values = palloc(sizeof(Datum) * names->nkeys);
	key_nulls = palloc(sizeof(bool) * names->nkeys);
	pick(names, values, nulls, key_values, key_nulls);
	*hash = hash_values(names, key_values, key_nulls);
	pfree(key_values);
	pfree(key_nulls);
	return true;
}

ArrayType *
key_name(KeyNames *names, Delta *delta, const Datum *values, const bool *nulls)
{
	Datum *key_values;
	bool *key_nulls;
	NamedHash *entry;
	const NamedKey *named;

	if (names == NULL)
		return delta_row_key(delta, values, nulls);
	key_values = palloc(sizeof(Datum) * names->nkeys);
	key_nulls = palloc(sizeof(bool) * names->nkeys);
	pick(names, values, nulls, key_values, key_nulls);
	entry = find_hash(names, hash_values(names, key_values, key_nulls));
	named = find_key(names, entry, key_values, key_nulls);
	if (named == NULL)
		named = add_key(names, entry, key_values, key_nulls, delta_row_key(delta, values, nulls));
	return DatumGetArrayTypePCopy(PointerGetDatum(named->name));
}

ArrayType *
delta_new_keys(Target *target, Delta *delta)
{
	KeyNames *names;
	DeltaReader *reader;
	List *texts = NIL;

	if (delta->nkeys == 0)
		return NULL;
	names = key_names_of_delta(target, delta);
	reader = delta_read(delta);
	while (delta_read_next(reader))
	{
		CHECK_FOR_INTERRUPTS();
		if (reader->weight > 0)
			texts = lappend(
				texts,
				OidOutputFunctionCall(
					F_ARRAY_OUT,
					PointerGetDatum(key_name(names, delta, reader->values, reader->nulls))));
	}
	delta_read_end(reader);
	return list_to_text_array(texts);
}
