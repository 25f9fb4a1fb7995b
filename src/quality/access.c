/*-------------------------------------------------------------------------
 *
 * access.c
 *		Refusal of reads and writes while a breaker is open.
 *
 * configure_breaker(on_open => 'block_reads') and its like refuse statements on
 * the table, whoever runs them: prepared statements, functions, views, cursors
 * (when they are opened), COPY, MERGE, superusers.  The executor asks for each
 * statement, when it checks the permissions of its tables; TRUNCATE asks in the
 * hook of utility statements.
 *
 * A table and its partitions or children are one: a statement that names one of
 * them, and would read or write rows of a guarded one, is refused.
 *
 * These pass:
 *
 *		statements that depipe runs (core/identity marks them): it has to write
 *		and check the table
 *		checks of foreign keys that only lock rows of the referenced table, but not
 *		the cascades of foreign keys
 *		everything, and the log says so, with depipe.allow_blocked_access
 *
 *-------------------------------------------------------------------------
 */
#include "quality/access.h"

#include "access/genam.h"
#include "access/parallel.h"
#include "access/table.h"
#include "catalog/guards.h"
#include "catalog/heap.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "core/identity.h"
#include "core/sqltext.h"
#include "utils/acl.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

/* ---- partitions and children ---- */

/* The tables that a table is a partition or child of, at any distance. */
static List *
ancestors_of(Oid relid, List *found)
{
	Relation inherits = table_open(InheritsRelationId, AccessShareLock);
	ScanKeyData key[1];
	SysScanDesc scan;
	HeapTuple tuple;
	List *parents = NIL;
	ListCell *cell;

	ScanKeyInit(&key[0],
				Anum_pg_inherits_inhrelid,
				BTEqualStrategyNumber,
				F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(inherits, InheritsRelidSeqnoIndexId, true, NULL, 1, key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		parents = lappend_oid(parents, ((Form_pg_inherits) GETSTRUCT(tuple))->inhparent);
	systable_endscan(scan);
	table_close(inherits, AccessShareLock);
	foreach(cell, parents)
		if (!list_member_oid(found, lfirst_oid(cell)))
			found = ancestors_of(lfirst_oid(cell), lappend_oid(found, lfirst_oid(cell)));
	return found;
}

/* Does a statement on the named table (children: and on its children) concern the other one? */
static bool
concerns(Oid named, bool children, Oid guarded)
{
	if (named == guarded)
		return true;
	if (!OidIsValid(guarded))
		return false;
	return list_member_oid(ancestors_of(named, NIL), guarded) ||
		   (children && list_member_oid(ancestors_of(guarded, NIL), named));
}

/* ---- refusal ---- */

static int
detail_for_reader(int32 target_id, const char *reason)
{
	const char *told = identity_reason_for_reader(guard_owner(target_id), reason);

	return told != NULL ? errdetail_internal("The breaker is open: %s.", told) : 0;
}

/* Returns true if the access is refused but no error is wanted. */
static bool
refuse(Oid named, const TableGuard *guard, bool writes, bool raises)
{
	char *reason;
	char *state = guard_blocking_state(guard->target_id, &reason);

	if (state == NULL)
		return false;
	if (depipe_allow_blocked_access)
	{
		ereport(LOG,
				(errmsg("%s is %s although the breaker of %s is %s",
						sql_relation(named),
						writes ? "written" : "read",
						sql_relation(guard->relid),
						state),
				 errdetail("depipe.allow_blocked_access is on.")));
		return false;
	}
	if (!raises)
		return true;
	ereport(ERROR,
			(errcode(ERRCODE_DEPIPE_BREAKER_OPEN),
			 writes ? errmsg("%s cannot be written while its breaker is open", sql_relation(named))
					: errmsg("%s cannot be read while its breaker is open", sql_relation(named)),
			 detail_for_reader(guard->target_id, reason),
			 errhint("See SELECT * FROM depipe.breakers WHERE target = %s.",
					 sql_literal(sql_relation(guard->relid)))));
	return true;
}

/* Returns true if the access is refused but no error is wanted. */
static bool
check_table(List *guards, Oid named, bool children, bool reads, bool writes, bool raises)
{
	ListCell *cell;

	foreach(cell, guards)
	{
		const TableGuard *guard = lfirst(cell);

		if (((writes && guard->writes) || (reads && guard->reads)) &&
			concerns(named, children, guard->relid) &&
			refuse(named, guard, writes && guard->writes, raises))
			return true;
	}
	return false;
}

/* ---- hooks ---- */

/* A statement that checks a foreign key: it reads the referenced row to lock it. */
static bool
is_of_foreign_keys(void)
{
	Oid user;
	int context;

	GetUserIdAndSecContext(&user, &context);
	return (context & SECURITY_NOFORCE_RLS) != 0;
}

/* An INSERT into a partitioned table goes to any of its partitions. */
static bool
has_children(const RangeTblEntry *rte)
{
	return rte->inh || rte->relkind == RELKIND_PARTITIONED_TABLE;
}

bool
access_check(List *tables, List *permissions, bool raises)
{
	List *guards;
	ListCell *cell;

	/* a parallel worker repeats what its leader has been allowed */
	if (IsParallelWorker() || !IsTransactionState() || identity_is_depipe() ||
		(guards = guards_now()) == NIL)
		return true;
	foreach(cell, tables)
	{
		RangeTblEntry *rte = lfirst(cell);
		AclMode wanted;
		bool writes;

		if (rte->rtekind != RTE_RELATION)
			continue;
		wanted = rte_permissions_compat(rte, permissions);
		writes = (wanted & (ACL_INSERT | ACL_UPDATE | ACL_DELETE)) != 0 &&
				 rte->rellockmode >= RowExclusiveLock; /* not SELECT ... FOR UPDATE */
		if (is_of_foreign_keys() && !writes)
			continue;
		if (check_table(guards,
						rte->relid,
						has_children(rte),
						(wanted & ACL_SELECT) != 0,
						writes,
						raises))
			return false;
	}
	return true;
}

/* The named tables, and with CASCADE those that refer to them. */
static List *
truncated_tables(const TruncateStmt *statement)
{
	List *relids = NIL;
	ListCell *cell;

	foreach(cell, statement->relations)
	{
		Oid relid = RangeVarGetRelid(lfirst(cell), NoLock, true);

		if (OidIsValid(relid))
			relids = list_append_unique_oid(relids, relid);
	}
	while (statement->behavior == DROP_CASCADE)
	{
		List *referring = heap_truncate_find_FKs(relids);

		if (referring == NIL)
			break;
		relids = list_concat_unique_oid(relids, referring);
	}
	return relids;
}

void
access_check_truncate(const TruncateStmt *statement)
{
	List *guards;
	ListCell *cell;

	if (identity_is_depipe() || (guards = guards_now()) == NIL)
		return;
	foreach(cell, truncated_tables(statement))
		(void) check_table(guards, lfirst_oid(cell), true, false, true, true);
}
