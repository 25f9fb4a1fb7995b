/*-------------------------------------------------------------------------
 *
 * record_image.c
 *		Rows as images: equal when every byte is, whatever their types say.
 *
 * 1.50 and 1.5, and 'x' and 'x  ' of char(n), are equal and yet two images.
 * The text of a value is no image: trailing blanks go, and a cast to text may
 * be a function of a user's.  The server compares images (OPERATOR *=, and *<
 * for sorting) but has no hash of them: that is here.  No function of a type is
 * called.
 *
 *-------------------------------------------------------------------------
 */
#include "core/record_image.h"

#include "access/htup_details.h"
#include "common/hashfn.h"
#include "core/sqltext.h"
#include "fmgr.h"
#include "utils/datum.h"
#include "utils/typcache.h"

PG_FUNCTION_INFO_V1(depipe_image_hash);

void
image_append_row(StringInfo sql, TupleDesc columns, const char *alias)
{
	appendStringInfoString(sql, "ROW(");
	for (int i = 0; i < columns->natts; i++)
		appendStringInfo(sql,
						 "%s%s.%s",
						 i > 0 ? ", " : "",
						 alias,
						 sql_identifier(NameStr(TupleDescAttr(columns, i)->attname)));
	/* the cast keeps the parser from comparing column by column */
	appendStringInfoString(sql, ")::pg_catalog.record");
}

void
image_append_hash(StringInfo sql, TupleDesc columns, const char *alias)
{
	appendStringInfoString(sql, "depipe.image_hash(");
	image_append_row(sql, columns, alias);
	appendStringInfoChar(sql, ')');
}

void
image_append_same(StringInfo sql, const char *hash, const char *row)
{
	appendStringInfo(sql,
					 "OVER (PARTITION BY %s ORDER BY %s USING OPERATOR(pg_catalog.*<)"
					 " GROUPS BETWEEN CURRENT ROW AND CURRENT ROW)",
					 hash,
					 row);
}

/* image_hash(record) */
Datum
depipe_image_hash(PG_FUNCTION_ARGS)
{
	HeapTupleHeader header = PG_GETARG_HEAPTUPLEHEADER(0);
	TupleDesc desc = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(header),
											HeapTupleHeaderGetTypMod(header));
	Datum *values = palloc(sizeof(Datum) * Max(desc->natts, 1));
	bool *nulls = palloc(sizeof(bool) * Max(desc->natts, 1));
	HeapTupleData tuple = {0};
	uint64 hash = 0;

	tuple.t_len = HeapTupleHeaderGetDatumLength(header);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_data = header;
	heap_deform_tuple(&tuple, desc, values, nulls);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		uint64 one = 0;

		if (!nulls[i] && !att->attisdropped)
			one = murmurhash32(datum_image_hash(values[i], att->attbyval, att->attlen)) + 1;
		hash = hash_combine64(hash, one);
	}
	ReleaseTupleDesc(desc);
	pfree(values);
	pfree(nulls);
	PG_FREE_IF_COPY(header, 0);
	PG_RETURN_INT64((int64) hash);
}
