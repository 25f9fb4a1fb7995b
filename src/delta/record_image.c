/*-------------------------------------------------------------------------
 *
 * record_image.c
 *		Rows as images: equal when every byte is, whatever their types say.
 *
 * 1.50 and 1.5, and 'x' and 'x  ' of char(n), are equal and yet two images.
 * The text of a value is no image: trailing blanks go, and a cast to text may
 * be a function of a user's.  The server compares images (OPERATOR *=), but
 * has nothing to group or hash them by.  Here the bytes of the values stand in
 * a bytea, two of which are equal exactly when the rows are by that operator.
 * No function of a type is called.
 *
 *-------------------------------------------------------------------------
 */
#include "delta/record_image.h"

#include "access/htup_details.h"
#include "core/sqltext.h"
#include "fmgr.h"
#include "utils/typcache.h"

PG_FUNCTION_INFO_V1(depipe_row_image);

void
image_append(StringInfo sql, TupleDesc columns, const char *alias)
{
	appendStringInfoString(sql, "depipe.row_image(ROW(");
	for (int i = 0; i < columns->natts; i++)
		appendStringInfo(sql,
						 "%s%s.%s",
						 i > 0 ? ", " : "",
						 alias,
						 sql_identifier(NameStr(TupleDescAttr(columns, i)->attname)));
	appendStringInfoString(sql, "))");
}

/* Length and bytes: no two rows of values have the same. */
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

/* row_image(record) */
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
