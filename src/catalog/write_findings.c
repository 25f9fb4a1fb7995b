/*-------------------------------------------------------------------------
 *
 * write_findings.c
 *		What statements that write protected tables have found.
 *
 *-------------------------------------------------------------------------
 */
#include "catalog/write_findings.h"

#include "core/shmem.h"

void
write_finding_put(const WriteFinding *finding)
{
	(void) CATALOG_EXECUTE("INSERT INTO depipe.write_finding"
						   " (target_id, constraint_id, outcome, action, evaluated, violations)"
						   " VALUES ($1, $2, $3, $4, $5, $6)",
						   ARG_INT4(finding->target_id),
						   ARG_INT4(finding->constraint_id),
						   ARG_INT4(finding->outcome),
						   ARG_INT4(finding->action),
						   ARG_INT8(finding->evaluated),
						   ARG_INT8(finding->violations));
	catalog_changed();
}

List *
write_findings_take(void)
{
	CatalogRows *rows = CATALOG_EXECUTE0(
		"WITH gone AS (DELETE FROM depipe.write_finding RETURNING *)"
		" SELECT g.target_id, g.constraint_id, g.outcome, g.action,"
		" pg_catalog.sum(g.evaluated)::int8, pg_catalog.sum(g.violations)::int8,"
		" pg_catalog.count(*) FROM gone g"
		" JOIN depipe.constraint_definition c USING (constraint_id)"
		" GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4");
	List *findings = NIL;

	for (uint64 i = 0; i < rows->count; i++)
	{
		WriteFinding *finding = palloc0(sizeof(WriteFinding));

		finding->target_id = catalog_int4(rows, i, 1);
		finding->constraint_id = catalog_int4(rows, i, 2);
		finding->outcome = catalog_int4(rows, i, 3);
		finding->action = catalog_int4(rows, i, 4);
		finding->evaluated = catalog_int8(rows, i, 5);
		finding->violations = catalog_int8(rows, i, 6);
		finding->statements = catalog_int8(rows, i, 7);
		findings = lappend(findings, finding);
	}
	return findings;
}

int32
protected_target_id(Oid relid)
{
	CatalogRows *rows = CATALOG_EXECUTE(
		"WITH RECURSIVE up (relid, depth) AS (SELECT $1::oid, 0"
		" UNION SELECT i.inhparent, u.depth OPERATOR(pg_catalog.+) 1 FROM up u"
		" JOIN pg_catalog.pg_inherits i ON i.inhrelid OPERATOR(pg_catalog.=) u.relid)"
		" SELECT t.target_id FROM up u"
		" JOIN depipe.target_state s ON s.relid OPERATOR(pg_catalog.=) u.relid"
		" JOIN depipe.target t USING (target_id)"
		" WHERE t.protected AND t.kind OPERATOR(pg_catalog.=) 't'"
		" ORDER BY u.depth LIMIT 1",
		ARG_OID(relid));

	return rows->count == 0 ? 0 : catalog_int4(rows, 0, 1);
}

void
target_protect(int32 target_id, bool protect)
{
	(void) CATALOG_EXECUTE("UPDATE depipe.target SET protected = $2"
						   " WHERE target_id OPERATOR(pg_catalog.=) $1",
						   ARG_INT4(target_id),
						   ARG_BOOL(protect));
	catalog_changed();
}
