/*-------------------------------------------------------------------------
 *
 * copies.c
 *		Copies of tables in depipe's own tables.
 *
 *-------------------------------------------------------------------------
 */
#include "catalog/copies.h"

#include "miscadmin.h"
#include "catalog/target.h"

CatalogRows *
foreign_keys_between(List *relids)
{
	int count = list_length(relids);
	Datum *values = palloc(sizeof(Datum) * Max(count, 1));

	for (int i = 0; i < count; i++)
		values[i] = ObjectIdGetDatum(list_nth_oid(relids, i));
	/* a foreign key may belong, or refer, to a partition only */
	return CATALOG_EXECUTE(
		"WITH part (root, relid) AS MATERIALIZED (SELECT u.root, u.root"
		" FROM pg_catalog.unnest($1) u(root) UNION SELECT u.root, x.relid::pg_catalog.oid"
		" FROM pg_catalog.unnest($1) u(root), pg_catalog.pg_partition_tree(u.root) x)"
		" SELECT DISTINCT a.root, b.root FROM pg_catalog.pg_constraint k"
		" JOIN part a ON a.relid OPERATOR(pg_catalog.=) k.conrelid"
		" JOIN part b ON b.relid OPERATOR(pg_catalog.=) k.confrelid"
		" WHERE k.contype OPERATOR(pg_catalog.=) 'f' AND a.root OPERATOR(pg_catalog.<>) b.root",
		ARG_DATUM(OIDARRAYOID,
				  PointerGetDatum(construct_array(values, count, OIDOID, 4, true, TYPALIGN_INT))));
}

void
copies_set_reason(List *target_ids, const char *reason)
{
	(void) CATALOG_EXECUTE("UPDATE depipe.load_state SET reason = $2, hint = NULL"
						   " WHERE target_id OPERATOR(pg_catalog.=) ANY ($1)"
						   " AND state OPERATOR(pg_catalog.=) 'copying'"
						   " AND reason IS DISTINCT FROM $2",
						   ARG_INT4_ARRAY(target_ids),
						   ARG_TEXT(reason));
}

/*
 * A session that changes the definition may wait for a row that this
 * transaction has written, and one that drops the extension or the table may
 * wait for a lock.  A copy can take hours, so it gives way to them.
 */
char *
copy_unwanted(int32 target_id)
{
	CatalogRows *rows = CATALOG_EXECUTE(
		"SELECT CASE WHEN NOT EXISTS (SELECT FROM depipe.load_state s"
		" WHERE s.target_id OPERATOR(pg_catalog.=) $1"
		" AND s.state OPERATOR(pg_catalog.=) 'copying') THEN 'the load has changed meanwhile'"
		" WHEN EXISTS (SELECT FROM depipe.target_state g"
		" WHERE g.target_id OPERATOR(pg_catalog.=) $1 AND g.paused) THEN 'it is paused'"
		" WHEN EXISTS (SELECT FROM depipe.breaker_state b"
		" WHERE b.target_id OPERATOR(pg_catalog.=) $1"
		" AND b.state IN ('open', 'forced_open')) THEN 'its breaker is open'"
		" WHEN EXISTS (SELECT FROM pg_catalog.pg_locks w WHERE NOT w.granted"
		" AND (w.locktype IN ('transactionid', 'object')"
		" OR w.mode OPERATOR(pg_catalog.=) 'AccessExclusiveLock')"
		" AND $2 OPERATOR(pg_catalog.=) ANY (pg_catalog.pg_blocking_pids(w.pid)))"
		" THEN 'it gives way to a session that waits for it' END",
		ARG_INT4(target_id),
		ARG_INT4(MyProcPid));

	return catalog_text(rows, 0, 1);
}

bool
copy_join_stream(int32 target_id, XLogRecPtr position)
{
	CatalogRows *rows = CATALOG_EXECUTE(
		"UPDATE depipe.load_state SET state = 'streaming', reason = NULL, hint = NULL,"
		" applied_lsn = $2, since = pg_catalog.clock_timestamp()"
		" WHERE target_id OPERATOR(pg_catalog.=) $1 AND state OPERATOR(pg_catalog.=) 'copying'",
		ARG_INT4(target_id),
		ARG_LSN(position));

	if (rows->processed == 0)
		return false;
	/* keys that were missing during the copy are due for evaluation */
	(void) CATALOG_EXECUTE("UPDATE depipe.constraint_state a SET evaluated_at = NULL"
						   " FROM depipe.constraint_definition c"
						   " WHERE c.target_id OPERATOR(pg_catalog.=) $1"
						   " AND a.constraint_id OPERATOR(pg_catalog.=) c.constraint_id"
						   " AND EXISTS (SELECT FROM depipe.pending_key g"
						   " WHERE g.constraint_id OPERATOR(pg_catalog.=) c.constraint_id)",
						   ARG_INT4(target_id));
	/*
	 * a referenced row may have arrived while this one was evaluated: neither
	 * transaction saw the other's row
	 */
	(void) CATALOG_EXECUTE("UPDATE depipe.quarantined_row q SET retry = true"
						   " WHERE q.target_id OPERATOR(pg_catalog.=) $1 AND NOT q.retry"
						   " AND EXISTS (SELECT FROM depipe.constraint_definition c"
						   " WHERE c.target_id OPERATOR(pg_catalog.=) $1"
						   " AND c.constraint_id OPERATOR(pg_catalog.=) ANY (q.constraint_ids)"
						   " AND c.reference_table IS NOT NULL)",
						   ARG_INT4(target_id));
	event_record(target_id, "load", "streaming", NULL);
	return true;
}
