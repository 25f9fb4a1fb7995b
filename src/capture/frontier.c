/*-------------------------------------------------------------------------
 *
 * frontier.c
 *		The frontier of a transform: the changes of its inputs that it has
 *		taken in.
 *
 * A refresh reads everything under one snapshot.  The snapshot is stored when
 * its result is published.  The next refresh takes the changes that its own
 * snapshot sees and the stored one did not.  This involves no clock and no
 * position in the WAL.  A captured change carries the id of its top-level
 * transaction and a sequence number within it.
 *
 * A snapshot does not determine visibility for its own transaction, whose id
 * may lie before or after xmax.  The frontier therefore contains the id of
 * that transaction and the number of its changes that are covered.  Later
 * changes of the same transaction belong to the next delta.  This also holds
 * in REPEATABLE READ, where several refreshes use the same snapshot.
 *
 * The clock of a query, now(), is the start of the transaction.  The frontier
 * contains it, so that the next refresh can determine which rows the passing
 * of time affects.
 *
 * Transaction ids and snapshots have no meaning in another database.  A
 * frontier therefore contains the system and the database in which it was
 * taken.  A physical copy of both counts as the same database, because it has
 * the same rows.
 *
 *-------------------------------------------------------------------------
 */
#include "capture/frontier.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "core/settings.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "capture/capture_basis.h"
#include "query/idle.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/syscache.h"
#include "utils/xid8.h"

/* The last sequence number of transaction sequence_xid.  Another transaction begins with 1. */
static FullTransactionId sequence_xid;
static int64 last_sequence = 0;

int64
frontier_last_sequence(void)
{
	FullTransactionId xid = GetTopFullTransactionIdIfAny();

	return FullTransactionIdIsValid(xid) && FullTransactionIdEquals(xid, sequence_xid)
			   ? last_sequence
			   : 0;
}

int64
frontier_next_sequence(void)
{
	FullTransactionId xid = GetTopFullTransactionId();

	if (!FullTransactionIdEquals(xid, sequence_xid))
	{
		sequence_xid = xid;
		last_sequence = 0;
	}
	return ++last_sequence;
}

StoredFrontier *
frontier_take(void)
{
	StoredFrontier *frontier = palloc0(sizeof(StoredFrontier));

	frontier->taken_at = GetCurrentTransactionStartTimestamp();
	frontier->own_xid = GetTopFullTransactionId();
	frontier->own_sequence = frontier_last_sequence();
	frontier->snapshot = OidOutputFunctionCall(F_PG_SNAPSHOT_OUT,
											   OidFunctionCall0(F_PG_CURRENT_SNAPSHOT));
	frontier->system_identifier = psprintf(UINT64_FORMAT, GetSystemIdentifier());
	frontier->database_oid = MyDatabaseId;
	return frontier;
}

/* ---- versions of the query and the table ---- */

/* Returns a hash of OID and xmin: a function that is replaced keeps its OID. */
static uint64
function_version(HeapTuple tuple)
{
	return hash_combine64(((Form_pg_proc) GETSTRUCT(tuple))->oid,
						  HeapTupleHeaderGetRawXmin(tuple->t_data));
}

/*
 * Returns the sum of the versions of all functions of users and extensions.
 * The functions that a user-defined function calls are named in its body,
 * which may be in any language and cannot be analysed.
 */
static uint64
hash_of_functions(void)
{
	Relation rel = table_open(ProcedureRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	uint64 sum = 0;
	HeapTuple tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		if (((Form_pg_proc) GETSTRUCT(tuple))->oid >= FirstNormalObjectId)
			sum += function_version(tuple); /* independent of the order */
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return sum;
}

static bool
append_function(Oid function, void *text)
{
	HeapTuple tuple;

	if (function < FirstNormalObjectId)
		return false;
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	if (!HeapTupleIsValid(tuple))
		return false;
	appendStringInfo(text, " " UINT64_FORMAT, function_version(tuple));
	ReleaseSysCache(tuple);
	return false;
}

static bool
append_functions(Node *node, void *text)
{
	if (node == NULL)
		return false;
	(void) check_functions_in_node(node, append_function, text);
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, append_functions, text, 0);
	return expression_tree_walker(node, append_functions, text);
}

void
frontier_describe(StoredFrontier *frontier, const Transform *transform, Shape *shape)
{
	Query *query = shape_blocks(shape)->query;
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfoString(&text, nodeToString(query));
	(void) append_functions((Node *) query, &text);
	if (idle_calls_users_functions(shape))
		appendStringInfo(&text, " " UINT64_FORMAT, hash_of_functions());
	appendStringInfoString(&text, settings_text(transform->target->settings));
	frontier->query_hash = (int64) hash_bytes_extended((unsigned char *) text.data, text.len, 0);
	frontier->table_hash = capture_guard_hash(transform->target->relid,
											  trigger_function("refuse_dml"));
}

bool
frontier_is_local(const StoredFrontier *frontier)
{
	return frontier->database_oid == MyDatabaseId &&
		   strcmp(frontier->system_identifier, psprintf(UINT64_FORMAT, GetSystemIdentifier())) == 0;
}

void
frontier_append_condition(StringInfo sql, const char *alias)
{
	appendStringInfo(sql,
					 "(%s.xid OPERATOR(pg_catalog.>=) pg_catalog.pg_snapshot_xmin($1)"
					 " AND CASE WHEN %s.xid OPERATOR(pg_catalog.=) $2"
					 " THEN %s.sequence OPERATOR(pg_catalog.>) $3"
					 " ELSE NOT pg_catalog.pg_visible_in_snapshot(%s.xid, $1) END)",
					 alias,
					 alias,
					 alias,
					 alias);
}

void
frontier_arguments(const StoredFrontier *frontier, Oid *types, Datum *values)
{
	types[0] = PG_SNAPSHOTOID;
	values[0] = OidInputFunctionCall(F_PG_SNAPSHOT_IN, frontier->snapshot, InvalidOid, -1);
	types[1] = XID8OID;
	values[1] = FullTransactionIdGetDatum(frontier->own_xid);
	types[2] = INT8OID;
	values[2] = Int64GetDatum(frontier->own_sequence);
}

void
frontier_begin_test(FrontierTest *test, const StoredFrontier *frontier)
{
	Oid types[3];
	Datum values[3];

	frontier_arguments(frontier, types, values);
	test->snapshot = values[0];
	test->xmin = DatumGetFullTransactionId(DirectFunctionCall1(pg_snapshot_xmin, test->snapshot));
	test->own_xid = frontier->own_xid;
	test->own_sequence = frontier->own_sequence;
	test->last_xid = InvalidFullTransactionId;
}

bool
frontier_covers(FrontierTest *test, FullTransactionId xid, int64 sequence)
{
	if (FullTransactionIdPrecedes(xid, test->xmin))
		return true;
	if (FullTransactionIdEquals(xid, test->own_xid))
		return sequence <= test->own_sequence;
	/* adjacent rows often belong to the same transaction */
	if (!FullTransactionIdEquals(xid, test->last_xid))
	{
		test->last_visible = DatumGetBool(DirectFunctionCall2(pg_visible_in_snapshot,
															  FullTransactionIdGetDatum(xid),
															  test->snapshot));
		test->last_xid = xid;
	}
	return test->last_visible;
}
