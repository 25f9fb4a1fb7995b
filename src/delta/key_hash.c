/*-------------------------------------------------------------------------
 *
 * key_hash.c
 *		Hashes of text images, for indexes.
 *
 * Keys and lists of columns can be longer than an index entry.  The indexes of
 * depipe's own tables are on this hash of them.  It is cryptographic, so that
 * no two keys have the same hash, not even by an attacker's design.
 *
 *-------------------------------------------------------------------------
 */
#include "depipe.h"

#include "catalog/pg_type.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "fmgr.h"
#include "utils/array.h"

static void
check_hash(pg_cryptohash_ctx *context, int result)
{
	if (result < 0)
		elog(ERROR, "could not compute a hash: %s", pg_cryptohash_error(context));
}

/* Add length and bytes, so that elements cannot run together.  A length of -1 is NULL. */
static void
add_element(pg_cryptohash_ctx *context, Datum element, bool isnull)
{
	text *value = isnull ? NULL : DatumGetTextPP(element);
	int32 length = isnull ? -1 : (int32) VARSIZE_ANY_EXHDR(value);

	check_hash(context, pg_cryptohash_update(context, (const uint8 *) &length, sizeof(length)));
	if (!isnull)
		check_hash(context,
				   pg_cryptohash_update(context, (const uint8 *) VARDATA_ANY(value), length));
}

PG_FUNCTION_INFO_V1(depipe_key_hash);
Datum
depipe_key_hash(PG_FUNCTION_ARGS)
{
	ArrayType *key = PG_GETARG_ARRAYTYPE_P(0);
	bytea *hash = palloc(VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	pg_cryptohash_ctx *context = pg_cryptohash_create(PG_SHA256);
	Datum *elements;
	bool *nulls;
	int count;

	if (context == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	deconstruct_array(key, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &count);
	check_hash(context, pg_cryptohash_init(context));
	for (int i = 0; i < count; i++)
		add_element(context, elements[i], nulls[i]);
	check_hash(context,
			   pg_cryptohash_final(context, (uint8 *) VARDATA(hash), PG_SHA256_DIGEST_LENGTH));
	pg_cryptohash_free(context);
	SET_VARSIZE(hash, VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	PG_RETURN_BYTEA_P(hash);
}
