/*-------------------------------------------------------------------------
 *
 * change_table.c
 *		Change tables: the format of their rows.
 *
 * Images are stored as the bytes of minimal tuples.  So a change table has no
 * column of a user-defined type, and does not prevent changes of the input,
 * its types and its domains.  The bytes have the layout that the member
 * (relid) had when they were captured; capture.c watches for changes of that
 * layout.
 *
 * Several images share one row, because the number of pages dominates the cost
 * for writers.  For the same reason, the new image of an updated row is stored
 * as its difference from the old image if that is shorter.
 *
 * Change tables are unlogged: writers of the input write no WAL for them, and
 * no publication includes them.  A server that crashes, or is restored or
 * promoted, empties them.  Therefore each change table begins with a sentinel
 * row.  If it is missing, changes were lost.
 *
 *-------------------------------------------------------------------------
 */
#include "capture/change_table.h"

#include "access/detoast.h"
#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "compat.h"
#include "fmgr.h"
#include "utils/memutils.h"
#include "utils/xid8.h"

/* columns, in the order of make_table() in catalog/captures.c */
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

/* Rows that are longer are not kept, because their images would not fit into one value. */
#define LONGEST_IMAGE ((Size) 256 * 1024 * 1024)

/*
 * Least number of bytes that an image must share with the previous one to be
 * stored as a difference.
 */
#define WORTH_SHARING 8

#define BITS_OFFSET offsetof(MinimalTupleData, t_bits)

/*
 * Each image begins with a byte of flags and the length of its row's bytes.
 *
 * IMAGE_LAYOUT: the layout follows.  Without it, the image has the layout of
 * the previous one.
 *
 * IMAGE_PATCH: the first and the last bytes are those of the previous image
 * that is stored in full.  The two numbers of shared bytes follow, then the
 * bytes in between.
 */
#define IMAGE_OLD 0x01
#define IMAGE_LAYOUT 0x02
#define IMAGE_PATCH 0x04

/* Append a number, seven bits in each byte, lowest bits first. */
static void
append_number(StringInfo data, Size number)
{
	for (; number >= 0x80; number >>= 7)
		appendStringInfoCharMacro(data, (char) (number | 0x80));
	appendStringInfoCharMacro(data, (char) number);
}

static ImageLayout
layout_of(const MinimalTupleData *tuple)
{
	ImageLayout layout = {.natts = tuple->t_infomask2 & HEAP_NATTS_MASK,
						  .infomask = tuple->t_infomask & (HEAP_HASNULL | HEAP_HASVARWIDTH),
						  .hoff = tuple->t_hoff};

	return layout;
}

static bool
layouts_equal(const ImageLayout *one, const ImageLayout *other)
{
	return memcmp(one, other, sizeof(ImageLayout)) == 0;
}

/* Returns the number of equal bytes at the beginning. */
static Size
equal_at_begin(const char *one, const char *other, Size most)
{
	Size i = 0;

	while (i + sizeof(uint64) <= most && memcmp(one + i, other + i, sizeof(uint64)) == 0)
		i += sizeof(uint64);
	while (i < most && one[i] == other[i])
		i++;
	return i;
}

static Size
equal_at_end(const char *one_end, const char *other_end, Size most)
{
	Size i = 0;

	while (i + sizeof(uint64) <= most &&
		   memcmp(one_end - i - sizeof(uint64), other_end - i - sizeof(uint64), sizeof(uint64)) ==
			   0)
		i += sizeof(uint64);
	while (i < most && one_end[-1 - (ptrdiff_t) i] == other_end[-1 - (ptrdiff_t) i])
		i++;
	return i;
}

/* Append an image.  before: the previous image, which is stored in full, or NULL. */
static void
append_image(ChangeImages *images, const MinimalTupleData *tuple, char flags,
			 const MinimalTupleData *before)
{
	ImageLayout layout = layout_of(tuple);
	const char *bytes = (const char *) tuple + BITS_OFFSET;
	Size length = tuple->t_len - BITS_OFFSET;
	Size first = 0;
	Size last = 0;

	if (before != NULL)
	{
		const char *others = (const char *) before + BITS_OFFSET;
		Size most = Min(length, before->t_len - BITS_OFFSET);

		first = equal_at_begin(bytes, others, most);
		last = equal_at_end((const char *) tuple + tuple->t_len,
							(const char *) before + before->t_len,
							most - first);
	}
	if (first + last >= WORTH_SHARING)
		flags |= IMAGE_PATCH;
	else
		first = last = 0;
	if (images->count == 0 || !layouts_equal(&layout, &images->last))
		flags |= IMAGE_LAYOUT;
	images->last = layout;
	images->count++;
	appendStringInfoChar(&images->data, flags);
	append_number(&images->data, length);
	if ((flags & IMAGE_LAYOUT) != 0)
		appendBinaryStringInfo(&images->data, (char *) &layout, sizeof(layout));
	if ((flags & IMAGE_PATCH) != 0)
	{
		append_number(&images->data, first);
		append_number(&images->data, last);
	}
	appendBinaryStringInfo(&images->data, bytes + first, length - first - last);
}

void
change_images_begin(ChangeImages *images, int bytes)
{
	initStringInfo(&images->data);
	enlargeStringInfo(&images->data, bytes);
	change_images_reset(images);
}

void
change_images_reset(ChangeImages *images)
{
	images->data.len = VARHDRSZ;
	images->count = 0;
}

int
change_images_bytes(const ChangeImages *images)
{
	return images->data.len - VARHDRSZ;
}

void
change_images_add(ChangeImages *images, const MinimalTupleData *old_row,
				  const MinimalTupleData *new_row)
{
	if (old_row != NULL)
		append_image(images, old_row, IMAGE_OLD, NULL);
	if (new_row != NULL)
		append_image(images, new_row, 0, old_row);
}

bool
change_tuples_equal(const MinimalTupleData *one, const MinimalTupleData *other)
{
	ImageLayout layout = layout_of(one);
	ImageLayout other_layout = layout_of(other);

	return one->t_len == other->t_len && layouts_equal(&layout, &other_layout) &&
		   memcmp((const char *) one + BITS_OFFSET,
				  (const char *) other + BITS_OFFSET,
				  one->t_len - BITS_OFFSET) == 0;
}

/*
 * Form a minimal tuple.  TOASTed values are fetched, because they may be
 * removed from the TOAST table before the image is read.  Returns NULL if the
 * tuple would be too long.
 */
static MinimalTuple
form_tuple(TupleTableSlot *slot, const bool *reads)
{
	TupleDesc desc = slot->tts_tupleDescriptor;
	Datum *values = palloc(sizeof(Datum) * desc->natts);
	bool *nulls = palloc(sizeof(bool) * desc->natts);
	Size length = 0;

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
			return NULL;
		if (VARATT_IS_EXTERNAL(DatumGetPointer(values[i])))
			values[i] = PointerGetDatum(
				detoast_external_attr((struct varlena *) DatumGetPointer(values[i])));
	}
	return heap_form_minimal_tuple_compat(desc, values, nulls);
}

MinimalTuple
change_tuple(TupleTableSlot *slot, const bool *reads)
{
	bool should_free;
	MinimalTuple tuple;

	if (reads != NULL)
		return form_tuple(slot, reads);
	tuple = ExecFetchSlotMinimalTuple(slot, &should_free);
	if ((tuple->t_infomask2 & HEAP_NATTS_MASK) != slot->tts_tupleDescriptor->natts ||
		(tuple->t_infomask & HEAP_HASEXTERNAL) != 0)
		return form_tuple(slot, NULL);
	return tuple->t_len > LONGEST_IMAGE ? NULL : tuple;
}

/* ---- reading ---- */

static void
refuse_bytes(void)
{
	ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED), errmsg("captured changes cannot be read")));
}

void
change_images_open(ImageCursor *cursor, const struct varlena *images)
{
	memset(cursor, 0, sizeof(ImageCursor));
	cursor->data = VARDATA_ANY(images);
	cursor->size = VARSIZE_ANY_EXHDR(images);
}

static const char *
take_bytes(ImageCursor *cursor, Size length)
{
	const char *bytes = cursor->data + cursor->offset;

	if (cursor->size - cursor->offset < length)
		refuse_bytes();
	cursor->offset += length;
	return bytes;
}

static Size
take_number(ImageCursor *cursor)
{
	Size number = 0;
	int shift = 0;
	uint8 byte;

	do
	{
		byte = *(const uint8 *) take_bytes(cursor, 1);
		number |= (Size) (byte & 0x7f) << shift;
		shift += 7;
	} while ((byte & 0x80) != 0 && shift < 35);
	if (number > MaxAllocSize / 2)
		refuse_bytes();
	return number;
}

/* Restore the bytes of an image that is stored as its difference from the previous one. */
static void
take_patch(ImageCursor *cursor, char *bytes, Size length)
{
	Size first = take_number(cursor);
	Size last = take_number(cursor);

	if (cursor->whole == NULL || first + last > Min(length, cursor->length))
		refuse_bytes();
	memcpy(bytes, cursor->whole, first);
	memcpy(bytes + first, take_bytes(cursor, length - first - last), length - first - last);
	memcpy(bytes + length - last, cursor->whole + cursor->length - last, last);
}

bool
change_image_next(ImageCursor *cursor, ChangeImage *image)
{
	uint8 flags;
	Size length;
	char *data;

	if (cursor->offset == cursor->size)
		return false;
	flags = *(const uint8 *) take_bytes(cursor, 1);
	length = take_number(cursor);
	if ((flags & IMAGE_LAYOUT) != 0)
		memcpy(&cursor->layout, take_bytes(cursor, sizeof(ImageLayout)), sizeof(ImageLayout));
	data = palloc(sizeof(ImageLayout) + length);
	memcpy(data, &cursor->layout, sizeof(ImageLayout));
	if ((flags & IMAGE_PATCH) != 0)
		take_patch(cursor, data + sizeof(ImageLayout), length);
	else
	{
		cursor->whole = take_bytes(cursor, length);
		cursor->length = length;
		memcpy(data + sizeof(ImageLayout), cursor->whole, length);
	}
	image->weight = (flags & IMAGE_OLD) != 0 ? -1 : 1;
	image->data = data;
	image->length = sizeof(ImageLayout) + length;
	return true;
}

void
change_image_of(const MinimalTupleData *tuple, int16 weight, ChangeImage *image)
{
	ImageLayout layout = layout_of(tuple);
	Size length = tuple->t_len - BITS_OFFSET;
	char *data = palloc(sizeof(ImageLayout) + length);

	memcpy(data, &layout, sizeof(ImageLayout));
	memcpy(data + sizeof(ImageLayout), (const char *) tuple + BITS_OFFSET, length);
	image->weight = weight;
	image->data = data;
	image->length = sizeof(ImageLayout) + length;
}

bool
change_image_is_within(const ChangeImage *image, const bool *reads)
{
	const bits8 *bits = (const bits8 *) image->data + sizeof(ImageLayout);
	ImageLayout layout;

	memcpy(&layout, image->data, sizeof(ImageLayout));
	if ((layout.infomask & HEAP_HASNULL) == 0)
		return false;
	for (int i = 0; i < layout.natts; i++)
		if (!reads[i] && !att_isnull(i, bits))
			return false;
	return true;
}

MinimalTuple
change_image_tuple(const ChangeImage *image)
{
	ImageLayout layout;
	Size length = image->length - sizeof(ImageLayout);
	MinimalTuple tuple = palloc0(BITS_OFFSET + length);

	memcpy(&layout, image->data, sizeof(ImageLayout));
	tuple->t_len = BITS_OFFSET + length;
	tuple->t_infomask2 = layout.natts;
	tuple->t_infomask = layout.infomask;
	tuple->t_hoff = layout.hoff;
	memcpy((char *) tuple + BITS_OFFSET, image->data + sizeof(ImageLayout), length);
	return tuple;
}

/* ---- rows ---- */

BlockNumber
change_insert(Relation table, const ChangeRow *row, ChangeImages *images)
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
		SET_VARSIZE(images->data.data, images->data.len);
		values[COLUMN_IMAGES] = PointerGetDatum(images->data.data);
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

/*
 * If "since" is valid, returns true if any row has this kind and was written
 * by that transaction or a later one.  Otherwise, returns true if the first
 * row has this kind.  Keeps the ACCESS SHARE lock.
 */
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
