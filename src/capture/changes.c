/*-------------------------------------------------------------------------
 *
 * changes.c
 *		The changes of the inputs of a transform since its frontier.
 *
 * A refresh relies on a capture only if the catalogs, read after the snapshot
 * was taken, show the tables and triggers as they were when its incarnation
 * began, and if the frontier of the transform already names this incarnation.
 * Any other finding becomes the reason why the changes are not known.
 *
 * The changes are the rows of the change tables that the snapshot sees and the
 * frontier does not cover.  Columns that the query does not read are set to
 * NULL.  Images that cancel each other out are removed if they are found
 * within a limit of memory.  The result is correct even if some of them
 * remain.
 *
 *-------------------------------------------------------------------------
 */
#include "capture/changes.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "capture/capture.h"
#include "capture/change_table.h"
#include "capture/frontier.h"
#include "query/reads.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/*
 * Updating a quarter of the rows of an input makes two images for each of
 * them.  Beyond that, evaluating the query costs less than reading the images.
 * A small number of images is always read.
 */
#define ALWAYS_READ 10000
#define MOST_IMAGES_PER_ROW 0.5

/* How images of one member are converted to rows of the input. */
typedef struct MemberLayout
{
	Oid relid;
	TupleTableSlot *slot;
	AttrNumber *from; /* for each column of the result, by position: the column of the member */
	bool *reads;      /* by attribute number: columns that the query reads; NULL if it reads all */
} MemberLayout;

/* Equal images of one member, with the sum of their weights. */
typedef struct NetKey
{
	Oid relid;
	Size length;
	const char *data;
} NetKey;

typedef struct NetEntry
{
	NetKey key;
	int64 weight;
} NetEntry;

typedef struct Reading
{
	const Capture *capture;
	InputChanges *changes;
	FrontierTest covered;
	List *layouts;         /* of MemberLayout */
	MemoryContext results; /* of the results */
	MemoryContext netting; /* of the hash table and its images */
	HTAB *net;
	Size net_bytes;
} Reading;

/* ---- lists ---- */

InputChanges *
changes_of(List *changes, Oid relid)
{
	ListCell *cell;

	foreach(cell, changes)
	{
		InputChanges *input = lfirst(cell);

		if (input->relid == relid)
			return input;
	}
	return NULL;
}

InputChanges *
changes_first_unknown(List *changes)
{
	ListCell *cell;

	foreach(cell, changes)
	{
		InputChanges *input = lfirst(cell);

		if (input->reason_code != NULL)
			return input;
	}
	return NULL;
}

/* Reasons that are events.  All other reasons are lasting conditions. */
static const char *const events[] = {"backfilled",
									 "capture_waits",
									 "changes_lost",
									 "input_altered",
									 "input_in_use",
									 "input_rewritten",
									 "many_changes",
									 "more_columns",
									 "overflow",
									 "partitions_changed",
									 "query_changed",
									 "subscription",
									 "table_changed",
									 "trigger_disabled",
									 "truncated"};

bool
changes_reason_is_routine(const char *reason_code)
{
	for (int i = 0; i < lengthof(events); i++)
		if (strcmp(reason_code, events[i]) == 0)
			return false;
	return true;
}

/* Set the reason why the changes are not known.  Returns false. */
static bool
unknown(InputChanges *changes, const char *reason_code, char *detail)
{
	changes->reason_code = reason_code;
	changes->detail = detail;
	return false;
}

/* ---- layout of the rows ---- */

/* Returns the columns of the input without dropped ones, followed by the weight. */
static TupleDesc
changes_desc(Relation rel)
{
	TupleDesc columns = RelationGetDescr(rel);
	int natts = 0;
	TupleDesc desc;

	for (int i = 0; i < columns->natts; i++)
		natts += !TupleDescAttr(columns, i)->attisdropped;
	desc = CreateTemplateTupleDesc(natts + 1);
	natts = 0;
	for (int i = 0; i < columns->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(columns, i);

		if (att->attisdropped)
			continue;
		TupleDescInitEntry(desc, ++natts, NameStr(att->attname), att->atttypid, att->atttypmod, 0);
		TupleDescInitEntryCollation(desc, natts, att->attcollation);
	}
	TupleDescInitEntry(desc, ++natts, CHANGES_WEIGHT, INT2OID, -1, 0);
	return desc;
}

static AttrNumber
column_of(TupleDesc columns, Form_pg_attribute wanted)
{
	for (int i = 0; i < columns->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(columns, i);

		if (!att->attisdropped && strcmp(NameStr(att->attname), NameStr(wanted->attname)) == 0)
			return att->atttypid == wanted->atttypid ? att->attnum : InvalidAttrNumber;
	}
	return InvalidAttrNumber;
}

/*
 * Returns the layout of a member, or NULL if the member does not exist or
 * lacks a column of the input.
 */
static MemberLayout *
find_layout(Reading *reading, Oid relid)
{
	TupleDesc desc = reading->changes->desc;
	MemberLayout *layout;
	ListCell *cell;
	MemoryContext old;
	Relation rel;

	foreach(cell, reading->layouts)
		if (((MemberLayout *) lfirst(cell))->relid == relid)
			return lfirst(cell);
	rel = try_relation_open(relid, NoLock);
	if (rel == NULL)
		return NULL;
	old = MemoryContextSwitchTo(reading->results);
	layout = palloc(sizeof(MemberLayout));
	layout->relid = relid;
	layout->from = palloc(sizeof(AttrNumber) * desc->natts);
	layout->slot = MakeSingleTupleTableSlot(CreateTupleDescCopy(RelationGetDescr(rel)),
											&TTSOpsMinimalTuple);
	layout->reads = reads_by_number(&reading->capture->reads, RelationGetDescr(rel));
	for (int i = 0; i < desc->natts - 1; i++)
	{
		layout->from[i] = column_of(RelationGetDescr(rel), TupleDescAttr(desc, i));
		if (layout->from[i] == InvalidAttrNumber)
			layout->relid = InvalidOid;
	}
	if (OidIsValid(layout->relid))
		reading->layouts = lappend(reading->layouts, layout);
	MemoryContextSwitchTo(old);
	relation_close(rel, NoLock);
	return OidIsValid(layout->relid) ? layout : NULL;
}

static void
put_image(Reading *reading, MemberLayout *layout, const ChangeImage *image)
{
	TupleDesc desc = reading->changes->desc;
	Datum *values = palloc(sizeof(Datum) * desc->natts);
	bool *nulls = palloc(sizeof(bool) * desc->natts);
	MinimalTuple tuple = change_image_tuple(image);

	ExecStoreMinimalTuple(tuple, layout->slot, false);
	slot_getallattrs(layout->slot);
	for (int i = 0; i < desc->natts - 1; i++)
	{
		values[i] = layout->slot->tts_values[layout->from[i] - 1];
		nulls[i] = layout->slot->tts_isnull[layout->from[i] - 1];
	}
	values[desc->natts - 1] = Int16GetDatum(image->weight);
	nulls[desc->natts - 1] = false;
	tuplestore_putvalues(reading->changes->rows, desc, values, nulls);
	reading->changes->count++;
	ExecClearTuple(layout->slot);
	pfree(tuple);
	pfree(values);
	pfree(nulls);
}

/* ---- netting ---- */

static uint32
hash_net_key(const void *key, Size size)
{
	const NetKey *net = key;

	return hash_combine(net->relid, hash_bytes((const unsigned char *) net->data, net->length));
}

static int
match_net_keys(const void *left, const void *right, Size size)
{
	const NetKey *a = left;
	const NetKey *b = right;

	return a->relid == b->relid && a->length == b->length &&
				   memcmp(a->data, b->data, a->length) == 0
			   ? 0
			   : 1;
}

static void
begin_net(Reading *reading)
{
	HASHCTL control = {0};

	control.keysize = sizeof(NetKey);
	control.entrysize = sizeof(NetEntry);
	control.hash = hash_net_key;
	control.match = match_net_keys;
	control.hcxt = reading->netting;
	reading->net = hash_create("depipe net changes",
							   1024,
							   &control,
							   HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
	reading->net_bytes = 0;
}

/* Put the images that remain into the result, and empty the hash table. */
static void
put_net(Reading *reading)
{
	HASH_SEQ_STATUS all;
	NetEntry *entry;

	hash_seq_init(&all, reading->net);
	while ((entry = hash_seq_search(&all)) != NULL)
	{
		ChangeImage image = {.weight = entry->weight < 0 ? -1 : 1,
							 .length = entry->key.length,
							 .data = entry->key.data};
		MemberLayout *layout = find_layout(reading, entry->key.relid);

		for (int64 i = 0; i < llabs(entry->weight); i++)
			put_image(reading, layout, &image);
	}
	MemoryContextReset(reading->netting);
	begin_net(reading);
}

/* Set the columns to NULL that only other transforms read. */
static void
narrow_image(const MemberLayout *layout, ChangeImage *image)
{
	if (layout->reads == NULL || change_image_is_within(image, layout->reads))
		return;
	ExecStoreMinimalTuple(change_image_tuple(image), layout->slot, false);
	change_image_of(change_tuple(layout->slot, layout->reads), image->weight, image);
	ExecClearTuple(layout->slot);
}

static void
add_image(Reading *reading, const MemberLayout *layout, ChangeImage *image)
{
	NetKey key;
	bool found;
	NetEntry *entry;

	narrow_image(layout, image);
	key = (NetKey){layout->relid, image->length, image->data};
	entry = hash_search(reading->net, &key, HASH_ENTER, &found);

	if (!found)
	{
		char *data = MemoryContextAlloc(reading->netting, image->length);

		memcpy(data, image->data, image->length);
		entry->key.data = data;
		entry->weight = 0;
		reading->net_bytes += image->length + sizeof(NetEntry);
	}
	entry->weight += image->weight;
	if (reading->net_bytes > depipe_batch_memory * (Size) 1024)
		put_net(reading);
}

/* ---- reading ---- */

static bool
overflow(Reading *reading)
{
	return unknown(reading->changes,
				   "overflow",
				   "It has got more changes than depipe.max_changes.");
}

/* Take in one row of a change table.  Returns false if the row makes the changes unknown. */
static bool
take_row(Reading *reading, TupleTableSlot *slot)
{
	ChangeImage image;
	MemberLayout *layout;
	ImageCursor cursor;
	ChangeRow row;

	change_row_read(slot, &row);
	if (row.kind == CHANGE_SENTINEL || frontier_covers(&reading->covered, row.xid, row.sequence))
		return true;
	if (row.kind == CHANGE_TRUNCATE)
		return unknown(reading->changes, "truncated", "It was truncated.");
	if (row.kind == CHANGE_OVERFLOW)
		return overflow(reading);
	layout = find_layout(reading, row.relid);
	if (layout == NULL)
		return unknown(reading->changes, "input_altered", "Its columns were altered.");
	change_images_open(&cursor, row.images);
	while (change_image_next(&cursor, &image))
		add_image(reading, layout, &image);
	return true;
}

static bool
read_segment(Reading *reading, Oid segment)
{
	Relation rel = table_open(segment, AccessShareLock);
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	TableScanDesc scan = table_beginscan(rel, GetActiveSnapshot(), 0, NULL);
	MemoryContext row_context = AllocSetContextCreate(CurrentMemoryContext,
													  "depipe row of a change table",
													  ALLOCSET_DEFAULT_SIZES);
	bool known = true;

	while (known && table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		MemoryContext old = MemoryContextSwitchTo(row_context);

		CHECK_FOR_INTERRUPTS();
		known = take_row(reading, slot);
		MemoryContextSwitchTo(old);
		MemoryContextReset(row_context);
	}
	MemoryContextDelete(row_context);
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, NoLock);
	return known;
}

/* Count the images of a change table that the frontier does not cover, without reading them. */
static void
count_images(Reading *reading, Oid segment)
{
	Relation rel = table_open(segment, AccessShareLock);
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	TableScanDesc scan = table_beginscan(rel, GetActiveSnapshot(), 0, NULL);
	FullTransactionId xid;
	int64 sequence;

	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
		if (change_row_position(slot, &xid, &sequence) &&
			!frontier_covers(&reading->covered, xid, sequence))
			reading->changes->images += change_row_images(slot);
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, NoLock);
}

static int64
most_images(const Capture *capture)
{
	double rows = 0;
	ListCell *cell;

	foreach(cell, capture->basis.relids)
	{
		Relation rel = try_relation_open(lfirst_oid(cell), NoLock);

		if (rel == NULL)
			continue;
		rows += Max(rel->rd_rel->reltuples, 0);
		relation_close(rel, NoLock);
	}
	return ALWAYS_READ + (int64) (rows * MOST_IMAGES_PER_ROW);
}

/* Returns true if the changes are few enough to be read. */
static bool
are_few(Reading *reading)
{
	InputChanges *changes = reading->changes;

	count_images(reading, reading->capture->segments[0]);
	count_images(reading, reading->capture->segments[1]);
	if (changes->images > depipe_max_changes)
		return overflow(reading);
	if (changes->images > most_images(reading->capture))
		return unknown(changes, "many_changes", "A large part of its rows has changed.");
	return true;
}

static void
read_changes(Reading *reading, const StoredFrontier *from)
{
	InputChanges *changes = reading->changes;
	ListCell *cell;

	frontier_begin_test(&reading->covered, from);
	if (!are_few(reading))
		return;
	reading->netting = AllocSetContextCreate(CurrentMemoryContext,
											 "depipe net changes",
											 ALLOCSET_DEFAULT_SIZES);
	changes->rows = tuplestore_begin_heap(true, false, work_mem);
	begin_net(reading);
	if (read_segment(reading, reading->capture->segments[0]) &&
		read_segment(reading, reading->capture->segments[1]))
		put_net(reading);
	MemoryContextDelete(reading->netting);
	foreach(cell, reading->layouts)
		ExecDropSingleTupleTableSlot(((MemberLayout *) lfirst(cell))->slot);
	if (changes->reason_code == NULL)
		return;
	tuplestore_end(changes->rows);
	changes->rows = NULL;
	changes->count = 0;
}

/* ---- validity of captures ---- */

/*
 * Returns true if a statement of this session is using the input.  If it
 * changes the input, its changes have not been captured yet.
 */
static bool
is_in_use(const Capture *capture)
{
	bool in_use = false;
	ListCell *cell;

	foreach(cell, capture->basis.relids)
	{
		Relation rel = try_relation_open(lfirst_oid(cell), NoLock);

		if (rel == NULL)
			continue;
		in_use |= rel->rd_refcnt > 1;
		relation_close(rel, NoLock);
	}
	return in_use;
}

/*
 * Returns true if the capture has recorded all changes from its beginning to
 * the active snapshot.
 */
static bool
has_all(const Capture *capture, InputChanges *changes)
{
	const char *reason;
	CaptureLook look;
	char *detail;

	if (capture->reason_code != NULL)
		return unknown(changes, capture->reason_code, capture->detail);
	capture_look(capture->relid, &look);
	if (look.reason_code != NULL)
		return unknown(changes, look.reason_code, look.detail);
	reason = capture_difference(&capture->basis, &look.basis, &detail);
	if (reason != NULL)
		return unknown(changes, reason, detail);
	if (!reads_contain(&capture->captured, &capture->reads))
		return unknown(changes,
					   "more_columns",
					   "The query reads columns that have not been captured.");
	if (!change_table_is_whole(capture->segments[0], GetActiveSnapshot()) ||
		!change_table_is_whole(capture->segments[1], GetActiveSnapshot()))
		return unknown(changes, "changes_lost", "What was captured was lost in a crash.");
	for (int i = 0; i < changes->desc->natts - 1; i++)
		if (strcmp(NameStr(TupleDescAttr(changes->desc, i)->attname), CHANGES_WEIGHT) == 0)
			return unknown(changes, "reserved_name", "It has a column \"" CHANGES_WEIGHT "\".");
	if (is_in_use(capture))
		return unknown(changes, "input_in_use", "A statement that is under way uses it.");
	return true;
}

static bool
counted_on(const StoredFrontier *from, int64 incarnation)
{
	ListCell *cell;

	foreach(cell, from->incarnations)
		if (*(int64 *) lfirst(cell) == incarnation)
			return true;
	return false;
}

/* Returns true if the changes since the frontier are all that the target lacks. */
static bool
reaches_back(const StoredFrontier *from, const StoredFrontier *to, const Capture *capture,
			 InputChanges *changes)
{
	if (from == NULL || !frontier_is_local(from))
		return unknown(changes, "not_captured", "There is no earlier refresh to begin from.");
	if (counted_on(from, INCARNATION_MIXED))
		return unknown(changes, "backfilled", "A backfill has written newer rows to the table.");
	if (!counted_on(from, capture->incarnation))
	{
		bool renewed = capture->renewed != NULL && from->incarnations != NIL;

		return unknown(changes,
					   renewed ? capture->renewed : "not_captured",
					   "Its changes are captured from now on.");
	}
	if (to->query_hash != from->query_hash)
		return unknown(changes, "query_changed", "The query, a view or a function was replaced.");
	if (to->table_hash != from->table_hash)
		return unknown(changes,
					   "table_changed",
					   "The table may have been changed by others: its guard was off.");
	return true;
}

List *
changes_read(const Transform *transform, List *captures, StoredFrontier *to)
{
	List *list = NIL;
	ListCell *cell;

	foreach(cell, captures)
	{
		Capture *capture = lfirst(cell);
		InputChanges *changes = palloc0(sizeof(InputChanges));
		Reading reading = {.capture = capture, .changes = changes, .results = CurrentMemoryContext};
		Relation rel = table_open(capture->relid, AccessShareLock);

		changes->relid = capture->relid;
		changes->desc = changes_desc(rel);
		table_close(rel, NoLock);
		if (has_all(capture, changes))
		{
			to->incarnations = lappend(to->incarnations, &capture->incarnation);
			if (reaches_back(transform->frontier, to, capture, changes))
				read_changes(&reading, transform->frontier);
		}
		list = lappend(list, changes);
	}
	return list;
}

void
changes_release(List *changes)
{
	ListCell *cell;

	foreach(cell, changes)
	{
		InputChanges *input = lfirst(cell);

		if (input->rows != NULL)
			tuplestore_end(input->rows);
		input->rows = NULL;
	}
}
