/*-------------------------------------------------------------------------
 *
 * published.c
 *		Statements about changes since a transform was published.
 *
 * depipe.published counts the batches written to each target, in the
 * transactions that write them.  A transform stores the counts of all tables
 * that it was computed from, as the snapshot of its refresh saw them.  As long
 * as they are unchanged, another refresh would find nothing.
 *
 * Changes of a table that is no target are not counted, so a transform that
 * reads one always runs.  The same holds for partitions of tables that are no
 * targets, and for tables with row security, whose policies may read any
 * table.
 *
 *-------------------------------------------------------------------------
 */
#include "catalog/published.h"

void
published_note(List *target_ids)
{
	if (target_ids == NIL)
		return;
	(void) CATALOG_EXECUTE("INSERT INTO depipe.published AS p (target_id, changes)"
						   " SELECT t.target_id, 1 FROM depipe.target t"
						   " WHERE t.target_id OPERATOR(pg_catalog.=) ANY ($1)"
						   " ORDER BY t.target_id ON CONFLICT (target_id)"
						   " DO UPDATE SET changes = p.changes OPERATOR(pg_catalog.+) 1",
						   ARG_INT4_ARRAY(target_ids));
}

void
published_note_table(Oid relid)
{
	CatalogRows *rows = CATALOG_EXECUTE(
		"WITH RECURSIVE above (relid) AS (SELECT $1 UNION SELECT i.inhparent FROM above a"
		" JOIN pg_catalog.pg_inherits i ON i.inhrelid OPERATOR(pg_catalog.=) a.relid)"
		" UPDATE depipe.transform_state s SET inputs_seen = NULL, frontier_captures = NULL"
		" FROM depipe.target t, pg_catalog.pg_class c, pg_catalog.pg_namespace n"
		" WHERE c.oid IN (SELECT relid FROM above)"
		" AND n.oid OPERATOR(pg_catalog.=) c.relnamespace"
		" AND t.schema_name OPERATOR(pg_catalog.=) n.nspname"
		" AND t.table_name OPERATOR(pg_catalog.=) c.relname"
		" AND s.target_id OPERATOR(pg_catalog.=) t.target_id RETURNING t.target_id",
		ARG_OID(relid));
	List *ids = NIL;

	for (uint64 i = 0; i < rows->count; i++)
		ids = lappend_int(ids, catalog_int4(rows, i, 1));
	published_note(ids);
}

/* The tables that a transform reads or refers to, and its own table. */
#define TABLES_OF(id)                                                                    \
	"(SELECT i.schema_name, i.table_name, false AS own"                                  \
	" FROM depipe.transform_input i"                                                     \
	" WHERE i.target_id OPERATOR(pg_catalog.=) " id                                      \
	" UNION SELECT c.reference_schema, c.reference_table, false"                         \
	" FROM depipe.constraint_definition c"                                               \
	" WHERE c.target_id OPERATOR(pg_catalog.=) " id " AND c.reference_table IS NOT NULL" \
	" UNION SELECT o.schema_name, o.table_name, true"                                    \
	" FROM depipe.target o WHERE o.target_id OPERATOR(pg_catalog.=) " id ") i"

/*
 * Join the target of a table, or of the table whose partition it is; only
 * targets that depipe maintains.
 */
#define KEPT(name, schema, table)                                           \
	" LEFT JOIN depipe.target " name " ON " name ".kind IN ('l', 'f')"      \
	" AND " name ".schema_name OPERATOR(pg_catalog.=) " schema " AND " name \
	".table_name OPERATOR(pg_catalog.=) " table

#define COUNT_OF(name)                                     \
	" CASE WHEN NOT i.own THEN COALESCE((SELECT p.changes" \
	" FROM depipe.published p"                             \
	" WHERE p.target_id OPERATOR(pg_catalog.=) " name ".target_id), 0) END"

#define IS_KNOWN                                                            \
	"(c.oid IS NOT NULL AND (i.own OR c.relkind OPERATOR(pg_catalog.=) 'v'" \
	" OR (NOT c.relrowsecurity"                                             \
	" AND (k.target_id IS NOT NULL OR r.target_id IS NOT NULL))))"

/*
 * The identity of a view is the version of its rule.  That of a table is its
 * file, its children, and the counts.
 */
#define IDENTITY                                                                  \
	"pg_catalog.concat_ws(':', c.oid, c.relfilenode," COUNT_OF("k") "," COUNT_OF( \
		"r") ", (SELECT pg_catalog.string_agg(h.inhrelid::text, '+'"              \
			 " ORDER BY h.inhrelid) FROM pg_catalog.pg_inherits h"                \
			 " WHERE h.inhparent OPERATOR(pg_catalog.=) c.oid),"                  \
			 " (SELECT pg_catalog.string_agg(w.xmin::text, '+' ORDER BY w.oid)"   \
			 " FROM pg_catalog.pg_rewrite w"                                      \
			 " WHERE w.ev_class OPERATOR(pg_catalog.=) c.oid"                     \
			 " AND c.relkind OPERATOR(pg_catalog.=) 'v'))"

#define SEEN(id)                                                                                   \
	"(SELECT CASE WHEN pg_catalog.bool_and(" IS_KNOWN ") THEN"                                     \
	" pg_catalog.string_agg(" IDENTITY ", ' ' ORDER BY c.oid, i.own) END"                          \
	" FROM " TABLES_OF(id) " LEFT JOIN pg_catalog.pg_namespace n"                                  \
						   " ON n.nspname OPERATOR(pg_catalog.=) i.schema_name"                    \
						   " LEFT JOIN pg_catalog.pg_class c"                                      \
						   " ON c.relnamespace OPERATOR(pg_catalog.=) n.oid"                       \
						   " AND c.relname OPERATOR(pg_catalog.=) i.table_name"                    \
						   " LEFT JOIN pg_catalog.pg_class b ON c.relispartition"                  \
						   " AND b.oid OPERATOR(pg_catalog.=) pg_catalog.pg_partition_root(c.oid)" \
						   " LEFT JOIN pg_catalog.pg_namespace m"                                  \
						   " ON m.oid OPERATOR(pg_catalog.=) b.relnamespace" KEPT("k",             \
																				  "i.schema_name", \
																				  "i.table_name")  \
							   KEPT("r", "m.nspname", "b.relname") ")"

char *
transform_inputs_seen(int32 target_id)
{
	CatalogArg arguments[] = {ARG_INT4(target_id)};

	return catalog_text(catalog_look("SELECT " SEEN("$1"), lengthof(arguments), arguments), 0, 1);
}

bool
transform_is_settled(int32 target_id)
{
	return CATALOG_EXECUTE("SELECT FROM depipe.transform_state s"
						   " LEFT JOIN depipe.breaker_state b USING (target_id)"
						   " WHERE s.target_id OPERATOR(pg_catalog.=) $1 AND s.populated"
						   " AND NOT s.rebuild AND s.state OPERATOR(pg_catalog.=) 'ok'"
						   " AND COALESCE(b.state, 'closed') OPERATOR(pg_catalog.=) 'closed'"
						   " AND s.inputs_seen OPERATOR(pg_catalog.=) " SEEN("$1"),
						   ARG_INT4(target_id))
			   ->count > 0;
}
