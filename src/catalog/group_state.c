/*-------------------------------------------------------------------------
 *
 * group_state.c
 *		Statements on the stored numbers of the groups of transforms.
 *
 * A group is found by the hash of its image and identified by the image
 * itself.  The numbers are stored as the bytes of a row (strategy/hidden.c),
 * so the table has no column of a user-defined type.
 *
 * The table is unlogged.  A server that crashes, or is restored or promoted,
 * empties it.  Therefore a row with an empty key shows that the numbers of a
 * target are stored.  A target without GROUP BY keeps its only group in that
 * row.
 *
 *-------------------------------------------------------------------------
 */
#include "catalog/group_state.h"

#define GROUPS "_depipe_state"

#define SAME_GROUP                              \
	" s.target_id OPERATOR(pg_catalog.=) $1"    \
	" AND s.hash OPERATOR(pg_catalog.=) r.hash" \
	" AND s.key OPERATOR(pg_catalog.=) r.key"

TupleDesc
group_state_desc(void)
{
	TupleDesc desc = CreateTemplateTupleDesc(4);

	TupleDescInitEntry(desc, GROUP_STATE_KEY, "key", BYTEAOID, -1, 0);
	TupleDescInitEntry(desc, GROUP_STATE_HASH, "hash", INT8OID, -1, 0);
	TupleDescInitEntry(desc, GROUP_STATE_CHANGE, "change", INT4OID, -1, 0);
	TupleDescInitEntry(desc, GROUP_STATE_NUMBERS, "numbers", BYTEAOID, -1, 0);
	return desc;
}

bool
group_state_is_there(int32 target_id)
{
	return CATALOG_EXECUTE("SELECT FROM depipe.group_state s"
						   " WHERE s.target_id OPERATOR(pg_catalog.=) $1"
						   " AND s.hash OPERATOR(pg_catalog.=) 0"
						   " AND s.key OPERATOR(pg_catalog.=) ''::pg_catalog.bytea",
						   ARG_INT4(target_id))
			   ->count > 0;
}

CatalogRows *
group_state_select(int32 target_id, TupleDesc desc, Tuplestorestate *groups, uint64 ngroups)
{
	CatalogArg args[] = {ARG_INT4(target_id)};

	return catalog_execute_from("SELECT s.key, s.numbers FROM " GROUPS " r"
								" JOIN depipe.group_state s ON" SAME_GROUP,
								lengthof(args),
								args,
								GROUPS,
								desc,
								groups,
								ngroups);
}

void
group_state_change(int32 target_id, TupleDesc desc, Tuplestorestate *groups, uint64 ngroups)
{
	CatalogArg args[] = {ARG_INT4(target_id)};
	CatalogRows *missing = catalog_execute_from(
		"WITH changed AS (UPDATE depipe.group_state s SET numbers = r.numbers FROM " GROUPS " r"
		" WHERE" SAME_GROUP " AND r.change OPERATOR(pg_catalog.=) 0 RETURNING 1),"
		" gone AS (DELETE FROM depipe.group_state s USING " GROUPS " r"
		" WHERE" SAME_GROUP " AND r.change OPERATOR(pg_catalog.<) 0 RETURNING 1),"
		" came AS (INSERT INTO depipe.group_state (target_id, hash, key, numbers)"
		" SELECT $1, r.hash, r.key, r.numbers FROM " GROUPS " r"
		" WHERE r.change OPERATOR(pg_catalog.>) 0)"
		" SELECT WHERE (SELECT pg_catalog.count(*) FROM changed) OPERATOR(pg_catalog.+)"
		" (SELECT pg_catalog.count(*) FROM gone) OPERATOR(pg_catalog.<>)"
		" (SELECT pg_catalog.count(*) FROM " GROUPS " r WHERE r.change OPERATOR(pg_catalog.<=) 0)",
		lengthof(args),
		args,
		GROUPS,
		desc,
		groups,
		ngroups);

	if (missing->count > 0)
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED), errmsg("numbers of groups are missing")));
}

void
group_state_replace(int32 target_id, TupleDesc desc, Tuplestorestate *groups, uint64 ngroups)
{
	CatalogArg args[] = {ARG_INT4(target_id)};

	group_state_delete(target_id);
	(void) catalog_execute_from("INSERT INTO depipe.group_state (target_id, hash, key, numbers)"
								" SELECT $1, r.hash, r.key, r.numbers FROM " GROUPS " r"
								" UNION ALL SELECT $1, 0, '', '' WHERE NOT EXISTS ("
								"SELECT FROM " GROUPS " r"
								" WHERE r.key OPERATOR(pg_catalog.=) ''::pg_catalog.bytea)",
								lengthof(args),
								args,
								GROUPS,
								desc,
								groups,
								ngroups);
}

void
group_state_delete(int32 target_id)
{
	(void) CATALOG_EXECUTE("DELETE FROM depipe.group_state"
						   " WHERE target_id OPERATOR(pg_catalog.=) $1",
						   ARG_INT4(target_id));
}
