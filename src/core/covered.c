/*-------------------------------------------------------------------------
 *
 * covered.c
 *		Does a snapshot see the current state of a relation?
 *
 * A snapshot does not hide TRUNCATE, a rewriting ALTER TABLE, REFRESH
 * MATERIALIZED VIEW, or ATTACH and DETACH of partitions as it hides other
 * changes.  The server reads the current file and the current partitions, and
 * returns those of their rows that the snapshot sees.  The catalogs, read
 * under the snapshot itself, show the earlier state.
 *
 *-------------------------------------------------------------------------
 */
#include "core/covered.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "core/sqltext.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

static void
refuse(Oid relid, const char *what)
{
	ereport(ERROR,
			(errcode(IsolationUsesXactSnapshot() ? ERRCODE_T_R_SERIALIZATION_FAILURE
												 : ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("could not serialize access because %s %s", sql_relation(relid), what),
			 errhint("The transaction might succeed if retried.")));
}

/*
 * Do both rows of pg_class have the same file, kind, name and place?  They do
 * while the snapshot sees the whole relation.
 */
static bool
same_relation(Form_pg_class then, Form_pg_class now)
{
	return then->relfilenode == now->relfilenode && then->relkind == now->relkind &&
		   then->relispartition == now->relispartition && then->relnamespace == now->relnamespace &&
		   strcmp(NameStr(then->relname), NameStr(now->relname)) == 0;
}

static void
check_relation(Oid relid, Snapshot snapshot)
{
	Relation classes = table_open(RelationRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple then;
	HeapTuple now = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	bool created;
	bool same;

	ScanKeyInit(&key, Anum_pg_class_oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(classes, ClassOidIndexId, true, snapshot, 1, &key);
	then = systable_getnext(scan);
	created = !HeapTupleIsValid(then);
	same = HeapTupleIsValid(now) && !created &&
		   same_relation((Form_pg_class) GETSTRUCT(then), (Form_pg_class) GETSTRUCT(now));
	systable_endscan(scan);
	table_close(classes, AccessShareLock);
	if (HeapTupleIsValid(now))
		ReleaseSysCache(now);
	if (created)
		refuse(relid, "was created after the snapshot");
	if (!same)
		refuse(relid, "was emptied, rewritten or renamed after the snapshot");
}

/* Partitions and children of the relation under the snapshot. */
static List *
children_then(Oid relid, Snapshot snapshot)
{
	Relation inherits = table_open(InheritsRelationId, AccessShareLock);
	List *children = NIL;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;

	ScanKeyInit(&key,
				Anum_pg_inherits_inhparent,
				BTEqualStrategyNumber,
				F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(inherits, InheritsParentIndexId, true, snapshot, 1, &key);
	while ((tuple = systable_getnext(scan)) != NULL)
		children = lappend_oid(children, ((Form_pg_inherits) GETSTRUCT(tuple))->inhrelid);
	systable_endscan(scan);
	table_close(inherits, AccessShareLock);
	return children;
}

static void
check_children(Oid relid, Snapshot snapshot)
{
	List *then = children_then(relid, snapshot);
	List *now = find_inheritance_children(relid, NoLock);

	if (list_length(then) != list_length(now) || list_difference_oid(then, now) != NIL)
		refuse(relid, "gained or lost partitions after the snapshot");
	list_free(then);
	list_free(now);
}

void
covered_check(Oid relid, Snapshot snapshot)
{
	check_relation(relid, snapshot);
	check_children(relid, snapshot);
}

void
covered_check_transaction(Oid relid)
{
	if (!IsolationUsesXactSnapshot())
		return;
	PushCopiedSnapshot(GetTransactionSnapshot());
	UpdateActiveSnapshotCommandId();
	covered_check(relid, GetActiveSnapshot());
	PopActiveSnapshot();
}
