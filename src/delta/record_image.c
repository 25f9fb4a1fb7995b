/*-------------------------------------------------------------------------
 *
 * record_image.c
 *		Images of rows: equal if and only if all bytes are equal.
 *
 * 1.50 and 1.5 are equal, as are 'x' and 'x  ' of char(n), but their images
 * differ.  The text of a value does not serve as an image: it loses trailing
 * blanks, and a cast to text may be a user's function.  The server compares
 * images with OPERATOR *=, but offers no way to group or hash them.  depipe's
 * image is a bytea of the values' bytes.  Two of them are equal exactly if the
 * rows are equal by that operator.  Making one calls no function of a type.
 *
 *-------------------------------------------------------------------------
 */
#include "delta/record_image.h"

#include "access/htup_details.h"
#include "access/nbtree.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "core/sqltext.h"
#include "fmgr.h"
#include "parser/parse_func.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

PG_FUNCTION_INFO_V1(depipe_row_image);
PG_FUNCTION_INFO_V1(depipe_row_hash);

static void
append_row(StringInfo sql, TupleDesc columns, const char *alias)
{
	appendStringInfoString(sql, "(ROW(");
	sql_append_columns(sql, columns, alias);
	appendStringInfoString(sql, "))");
}

void
image_append(StringInfo sql, TupleDesc columns, const char *alias)
{
	appendStringInfoString(sql, "depipe.row_image");
	append_row(sql, columns, alias);
}

void
hash_append(StringInfo sql, TupleDesc columns, const char *alias)
{
	appendStringInfoString(sql, "depipe.row_hash");
	append_row(sql, columns, alias);
}

/* Asks the support function that nbtree asks before it deduplicates keys. */
bool
equal_is_same_image(Oid type, Oid collation)
{
	Oid base = getBaseType(type);
	TypeCacheEntry *entry;
	Oid function;

	if (base == BPCHAROID || (type_is_collatable(base) && !OidIsValid(collation)))
		return false;
	entry = lookup_type_cache(base, TYPECACHE_BTREE_OPFAMILY);
	if (!OidIsValid(entry->btree_opf))
		return false;
	function = get_opfamily_proc(entry->btree_opf,
								 entry->btree_opintype,
								 entry->btree_opintype,
								 BTEQUALIMAGE_PROC);
	return OidIsValid(function) &&
		   DatumGetBool(
			   OidFunctionCall1Coll(function, collation, ObjectIdGetDatum(entry->btree_opintype)));
}

Oid
record_hash_function(void)
{
	Oid argument = RECORDOID;

	return LookupFuncName(list_make2(makeString(DEPIPE_SCHEMA), makeString("row_hash")),
						  1,
						  &argument,
						  true);
}

/* Append length and bytes, so that different rows of values have different images. */
static void
append_bytes(StringInfo image, const void *bytes, uint32 length)
{
	appendBinaryStringInfo(image, (const char *) &length, sizeof(length));
	appendBinaryStringInfo(image, bytes, length);
}

static void
append_value(StringInfo image, Form_pg_attribute att, Datum value)
{
	struct varlena *whole;

	if (att->attbyval)
		append_bytes(image, (const char *) &value, sizeof(value));
	else if (att->attlen > 0)
		append_bytes(image, DatumGetPointer(value), att->attlen);
	else if (att->attlen == -2)
		append_bytes(image, DatumGetCString(value), strlen(DatumGetCString(value)));
	else
	{
		whole = PG_DETOAST_DATUM_PACKED(value);
		append_bytes(image, VARDATA_ANY(whole), VARSIZE_ANY_EXHDR(whole));
		if ((Pointer) whole != DatumGetPointer(value))
			pfree(whole);
	}
}

/* SQL function row_image(record). */
Datum
depipe_row_image(PG_FUNCTION_ARGS)
{
	HeapTupleHeader header = PG_GETARG_HEAPTUPLEHEADER(0);
	TupleDesc desc = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(header),
											HeapTupleHeaderGetTypMod(header));
	Datum *values = palloc(sizeof(Datum) * Max(desc->natts, 1));
	bool *nulls = palloc(sizeof(bool) * Max(desc->natts, 1));
	HeapTupleData tuple = {0};
	StringInfoData image;

	tuple.t_len = HeapTupleHeaderGetDatumLength(header);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_data = header;
	heap_deform_tuple(&tuple, desc, values, nulls);
	initStringInfo(&image);
	appendStringInfoSpaces(&image, VARHDRSZ);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped)
			continue;
		appendStringInfoChar(&image, nulls[i] ? 'n' : 'v');
		if (!nulls[i])
			append_value(&image, att, values[i]);
	}
	SET_VARSIZE(image.data, image.len);
	ReleaseTupleDesc(desc);
	pfree(values);
	pfree(nulls);
	PG_FREE_IF_COPY(header, 0);
	PG_RETURN_BYTEA_P((bytea *) image.data);
}

/* row_hash(record): of the image */
Datum
depipe_row_hash(PG_FUNCTION_ARGS)
{
	bytea *image = DatumGetByteaPP(DirectFunctionCall1(depipe_row_image, PG_GETARG_DATUM(0)));
	uint64 hash = hash_bytes_extended((const unsigned char *) VARDATA_ANY(image),
									  VARSIZE_ANY_EXHDR(image),
									  0);

	pfree(image);
	PG_RETURN_INT64((int64) hash);
}
