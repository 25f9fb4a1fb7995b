/*-------------------------------------------------------------------------
 *
 * captures.c
 *		SQL function captured_changes(): what the view captures shows of a capture.
 *
 *-------------------------------------------------------------------------
 */
#include "depipe.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "storage/bufmgr.h"
#include "capture/capture.h"
#include "capture/change_table.h"
#include "access/table.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

CHECKED_FUNCTION(depipe_captured_changes);

static int64
bytes_of(Oid segment)
{
	Relation rel = try_table_open(segment, AccessShareLock);
	int64 bytes;

	if (rel == NULL)
		return 0;
	bytes = (int64) RelationGetNumberOfBlocks(rel) * BLCKSZ;
	table_close(rel, AccessShareLock);
	return bytes;
}

/* captured_changes(capture_id): numbers of all that is kept, also for what is taken in already. */
static Datum
depipe_captured_changes_checked(PG_FUNCTION_ARGS)
{
	int64 id = PG_GETARG_INT64(0);
	int64 changes = 0;
	int64 bytes = 0;
	TupleDesc desc;
	ListCell *cell;
	Datum values[2];
	bool nulls[2] = {false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	foreach(cell, captures_all())
	{
		const Capture *capture = lfirst(cell);

		for (int i = 0; capture->id == id && i < 2; i++)
		{
			changes += change_table_count(capture->segments[i], GetActiveSnapshot());
			bytes += bytes_of(capture->segments[i]);
		}
	}
	values[0] = Int64GetDatum(changes);
	values[1] = Int64GetDatum(bytes);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
