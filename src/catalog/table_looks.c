/*-------------------------------------------------------------------------
 *
 * table_looks.c
 *		When the constraints of tables that depipe does not maintain were
 *		last looked at, and what the tables looked like.
 *
 * A fingerprint is believed for at most an hour: a superuser who turns
 * track_counts off changes a table without a trace.
 *
 *-------------------------------------------------------------------------
 */
#include "catalog/table_looks.h"

#define BELIEVED_FOR "interval '1 hour'"

List *
table_looks(int32 target_id)
{
	CatalogRows *rows = CATALOG_EXECUTE(
		"SELECT c.constraint_id, l.fingerprint, (" TABLE_LOOK_AT
		") OPERATOR(pg_catalog.<=) pg_catalog.clock_timestamp(),"
		" COALESCE((SELECT s.outcome IN ('pass', 'warn', 'fail', 'not_evaluated')"
		" AND s.evaluated_at OPERATOR(pg_catalog.+) " BELIEVED_FOR
		" OPERATOR(pg_catalog.>) pg_catalog.clock_timestamp() FROM depipe.constraint_state s"
		" WHERE s.constraint_id OPERATOR(pg_catalog.=) c.constraint_id), false)" TABLE_LOOKS
		" AND c.target_id OPERATOR(pg_catalog.=) $1",
		ARG_INT4(target_id));
	List *looks = NIL;

	for (uint64 i = 0; i < rows->count; i++)
	{
		TableLook *look = palloc0(sizeof(TableLook));

		look->constraint_id = catalog_int4(rows, i, 1);
		look->fingerprint = catalog_text(rows, i, 2);
		look->is_due = catalog_bool(rows, i, 3);
		look->is_settled = catalog_bool(rows, i, 4);
		looks = lappend(looks, look);
	}
	return looks;
}

void
table_look_put(int32 constraint_id, const char *fingerprint)
{
	(void) CATALOG_EXECUTE("INSERT INTO depipe.table_look (constraint_id, looked_at, fingerprint)"
						   " SELECT constraint_id, pg_catalog.clock_timestamp(), $2"
						   " FROM depipe.constraint_definition"
						   " WHERE constraint_id OPERATOR(pg_catalog.=) $1"
						   " ON CONFLICT (constraint_id) DO UPDATE"
						   " SET looked_at = EXCLUDED.looked_at,"
						   " fingerprint = EXCLUDED.fingerprint",
						   ARG_INT4(constraint_id),
						   ARG_TEXT(fingerprint));
}

void
table_look_forget(int32 constraint_id)
{
	(void) CATALOG_EXECUTE("DELETE FROM depipe.table_look"
						   " WHERE constraint_id OPERATOR(pg_catalog.=) $1",
						   ARG_INT4(constraint_id));
}

List *
due_table_looks(void)
{
	CatalogRows *rows = CATALOG_EXECUTE0("SELECT DISTINCT c.target_id" TABLE_LOOKS
										 " AND (" TABLE_LOOK_AT
										 ") OPERATOR(pg_catalog.<=) pg_catalog.clock_timestamp()"
										 " ORDER BY c.target_id");
	List *ids = NIL;

	for (uint64 i = 0; i < rows->count; i++)
		ids = lappend_int(ids, catalog_int4(rows, i, 1));
	return ids;
}
