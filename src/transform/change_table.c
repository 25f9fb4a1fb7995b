/*-------------------------------------------------------------------------
 *
 * change_table.c
 *		Tables of captured changes: what a row is made of.
 *
 * Images are kept as the bytes of the server's minimal tuples, several in one
 * row.  So a change table has no column of a user's type: whatever the user
 * does with the input, with its types and domains, no change table forbids it.
 * The layout that belongs to the bytes is that of the member (relid) as of
 * when it was captured; transform/capture.c keeps watch over it.
 *
 * The tables are unlogged: writers of the input write no WAL for them, and no
 * publication has them.  A server that crashes, or is restored or promoted,
 * empties them.  Therefore each begins with a sentinel: where it is missing,
 * changes were lost.
 *
 *-------------------------------------------------------------------------
 */
#include "transform/change_table.h"

#include "access/detoast.h"
#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "compat.h"
#include "fmgr.h"
#include "utils/xid8.h"

/* columns, in the order of capture_make_segment() */
enum
{
	COLUMN_XID,
	COLUMN_SEQUENCE,
	COLUMN_RELID,
	COLUMN_KIND,
	COLUMN_NIMAGES,
	COLUMN_IMAGES,
	NCOLUMNS
};

/* Longer rows are not kept: they would not fit into one value. */
#define LONGEST_IMAGE ((Size) 256 * 1024 * 1024)

typedef struct ImageHeader
{
	int32 length; /* of what follows; negative: an old image */
	uint16 natts;
	uint16 infomask;
	uint8 hoff;
	uint8 unused[3]; /* zero, so that equal rows have equal bytes */
} ImageHeader;

#define BITS_OFFSET offsetof(MinimalTupleData, t_bits)

static void
append_tuple(StringInfo images, const MinimalTupleData *tuple, int16 weight)
{
	ImageHeader header = {0};

	header.length = tuple->t_len - BITS_OFFSET;
	if (weight < 0)
		header.length = -header.length;
	header.natts = tuple->t_infomask2 & HEAP_NATTS_MASK;
	header.infomask = tuple->t_infomask & (HEAP_HASNULL | HEAP_HASVARWIDTH);
	header.hoff = tuple->t_hoff;
	appendBinaryStringInfo(images, (char *) &header, sizeof(header));
	appendBinaryStringInfo(images, (char *) tuple + BITS_OFFSET, tuple->t_len - BITS_OFFSET);
}

/* Values in TOAST tables are fetched: there they may be gone when the image is read. */
static bool
append_values(StringInfo images, TupleTableSlot *slot, int16 weight, const bool *reads)
{
	TupleDesc desc = slot->tts_tupleDescriptor;
	Datum *values = palloc(sizeof(Datum) * desc->natts);
	bool *nulls = palloc(sizeof(bool) * desc->natts);
	Size length = 0;
	MinimalTuple tuple;

	slot_getallattrs(slot);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		values[i] = slot->tts_values[i];
		nulls[i] = slot->tts_isnull[i] || att->attisdropped || (reads != NULL && !reads[i]);
		if (nulls[i] || att->attlen != -1)
			continue;
		length += toast_datum_size(values[i]);
		if (length > LONGEST_IMAGE)
			return false;
		if (VARATT_IS_EXTERNAL(DatumGetPointer(values[i])))
			values[i] = PointerGetDatum(
				detoast_external_attr((struct varlena *) DatumGetPointer(values[i])));
	}
	tuple = heap_form_minimal_tuple_compat(desc, values, nulls);
	append_tuple(images, tuple, weight);
	return true;
}

bool
change_image_append(StringInfo images, TupleTableSlot *slot, int16 weight, const bool *reads)
{
	bool should_free;
	MinimalTuple tuple;

	if (reads != NULL)
		return append_values(images, slot, weight, reads);
	tuple = ExecFetchSlotMinimalTuple(slot, &should_free);
	if ((tuple->t_infomask2 & HEAP_NATTS_MASK) != slot->tts_tupleDescriptor->natts ||
		(tuple->t_infomask & HEAP_HASEXTERNAL) != 0)
		return append_values(images, slot, weight, NULL);
	if (tuple->t_len > LONGEST_IMAGE)
		return false;
	append_tuple(images, tuple, weight);
	return true;
}

bool
change_image_is_within(const ChangeImage *image, const bool *reads)
{
	const bits8 *bits = (const bits8 *) image->data + sizeof(ImageHeader) - sizeof(int32);
	ImageHeader header;

	memcpy((char *) &header + sizeof(int32), image->data, sizeof(header) - sizeof(int32));
	if ((header.infomask & HEAP_HASNULL) == 0)
		return false;
	for (int i = 0; i < header.natts; i++)
		if (!reads[i] && !att_isnull(i, bits))
			return false;
	return true;
}

bool
change_image_next(const char *data, Size size, Size *offset, ChangeImage *image)
{
	ImageHeader header;
	Size length;

	if (*offset == size)
		return false;
	if (size - *offset >= sizeof(header))
		memcpy(&header, data + *offset, sizeof(header));
	else
		header.length = INT_MAX;
	length = abs(header.length);
	if (size - *offset < sizeof(header) + length)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED), errmsg("captured changes cannot be read")));
	image->weight = header.length < 0 ? -1 : 1;
	/* the rest of the header belongs to the image: equal rows have equal bytes */
	image->data = data + *offset + sizeof(int32);
	image->length = sizeof(header) - sizeof(int32) + length;
	*offset += sizeof(header) + length;
	return true;
}

MinimalTuple
change_image_tuple(const ChangeImage *image)
{
	ImageHeader header;
	Size length = image->length - (sizeof(header) - sizeof(int32));
	MinimalTuple tuple = palloc0(BITS_OFFSET + length);

	memcpy((char *) &header + sizeof(int32), image->data, sizeof(header) - sizeof(int32));
	tuple->t_len = BITS_OFFSET + length;
	tuple->t_infomask2 = header.natts;
	tuple->t_infomask = header.infomask;
	tuple->t_hoff = header.hoff;
	memcpy((char *) tuple + BITS_OFFSET, image->data + sizeof(header) - sizeof(int32), length);
	return tuple;
}

BlockNumber
change_insert(Relation table, const ChangeRow *row, StringInfo images)
{
	Datum values[NCOLUMNS];
	bool nulls[NCOLUMNS] = {false};
	HeapTuple tuple;

	values[COLUMN_XID] = FullTransactionIdGetDatum(row->xid);
	values[COLUMN_SEQUENCE] = Int64GetDatum(row->sequence);
	values[COLUMN_RELID] = ObjectIdGetDatum(row->relid);
	values[COLUMN_KIND] = CharGetDatum(row->kind);
	values[COLUMN_NIMAGES] = Int32GetDatum(row->nimages);
	nulls[COLUMN_IMAGES] = images == NULL;
	if (images != NULL)
	{
		struct varlena *value = palloc(VARHDRSZ + images->len);

		SET_VARSIZE(value, VARHDRSZ + images->len);
		memcpy(VARDATA(value), images->data, images->len);
		values[COLUMN_IMAGES] = PointerGetDatum(value);
	}
	tuple = heap_form_tuple(RelationGetDescr(table), values, nulls);
	heap_insert(table, tuple, GetCurrentCommandId(true), 0, NULL);
	return ItemPointerGetBlockNumber(&tuple->t_self);
}

bool
change_row_position(TupleTableSlot *slot, FullTransactionId *xid, int64 *sequence)
{
	slot_getallattrs(slot);
	*xid = DatumGetFullTransactionId(slot->tts_values[COLUMN_XID]);
	*sequence = DatumGetInt64(slot->tts_values[COLUMN_SEQUENCE]);
	return DatumGetChar(slot->tts_values[COLUMN_KIND]) != CHANGE_SENTINEL;
}

int64
change_row_images(TupleTableSlot *slot)
{
	slot_getallattrs(slot);
	return DatumGetInt32(slot->tts_values[COLUMN_NIMAGES]);
}

void
change_row_read(TupleTableSlot *slot, ChangeRow *row)
{
	slot_getallattrs(slot);
	row->xid = DatumGetFullTransactionId(slot->tts_values[COLUMN_XID]);
	row->sequence = DatumGetInt64(slot->tts_values[COLUMN_SEQUENCE]);
	row->relid = DatumGetObjectId(slot->tts_values[COLUMN_RELID]);
	row->kind = DatumGetChar(slot->tts_values[COLUMN_KIND]);
	row->nimages = DatumGetInt32(slot->tts_values[COLUMN_NIMAGES]);
	row->images = NULL;
	if (!slot->tts_isnull[COLUMN_IMAGES])
		row->images = PG_DETOAST_DATUM_PACKED(slot->tts_values[COLUMN_IMAGES]);
}

/* Is this the kind of the first row, or, since a transaction, that of any row? */
static bool
look_for(Oid table, Snapshot snapshot, char kind, FullTransactionId since)
{
	Relation rel = try_table_open(table, AccessShareLock);
	TupleTableSlot *slot;
	TableScanDesc scan;
	bool found = false;

	if (rel == NULL)
		return false;
	slot = table_slot_create(rel, NULL);
	scan = table_beginscan(rel, snapshot, 0, NULL);
	while (!found && table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		slot_getallattrs(slot);
		found = DatumGetChar(slot->tts_values[COLUMN_KIND]) == kind &&
				FullTransactionIdFollowsOrEquals(
					DatumGetFullTransactionId(slot->tts_values[COLUMN_XID]),
					since);
		if (!FullTransactionIdIsValid(since))
			break;
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, NoLock);
	return found;
}

bool
change_table_is_whole(Oid table, Snapshot snapshot)
{
	return look_for(table, snapshot, CHANGE_SENTINEL, InvalidFullTransactionId);
}

bool
change_table_has(Oid table, Snapshot snapshot, char kind, FullTransactionId since)
{
	return look_for(table, snapshot, kind, since);
}

int64
change_table_count(Oid table, Snapshot snapshot)
{
	Relation rel = try_table_open(table, AccessShareLock);
	int64 count = 0;
	TupleTableSlot *slot;
	TableScanDesc scan;

	if (rel == NULL)
		return 0;
	slot = table_slot_create(rel, NULL);
	scan = table_beginscan(rel, snapshot, 0, NULL);
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		slot_getallattrs(slot);
		count += DatumGetInt32(slot->tts_values[COLUMN_NIMAGES]);
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, AccessShareLock);
	return count;
}
