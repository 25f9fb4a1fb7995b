/*-------------------------------------------------------------------------
 *
 * marks.c
 *		What a batch has to know about its targets, in one statement.
 *
 * Most targets have nothing special: their breaker is closed, and nothing is
 * parked or in quarantine.  One statement finds the few that have, so that a
 * steady batch asks once, whatever its number of tables.
 *
 *-------------------------------------------------------------------------
 */
#include "catalog/marks.h"

#include "catalog/target.h"

#define MARK_IF(condition, mark) "CASE WHEN " condition " THEN " mark " ELSE 0 END"
#define SOME(select) "EXISTS (" select ")"
#define PLUS " OPERATOR(pg_catalog.+) "
#define OF_TARGET " WHERE x.target_id OPERATOR(pg_catalog.=) t.target_id"
#define HAS_BREAKER                                                        \
	SOME("SELECT FROM depipe.breaker_state x" OF_TARGET                    \
		 " AND (x.state OPERATOR(pg_catalog.<>) 'closed' OR x.sets_aside)" \
		 " UNION ALL SELECT FROM depipe.breaker_setting x" OF_TARGET       \
		 " AND (x.of_runs OPERATOR(pg_catalog.>) 1"                        \
		 " OR x.sustain OPERATOR(pg_catalog.>) '0'"                        \
		 " OR x.mode OPERATOR(pg_catalog.=) 'metrics_only')")
#define IS_CONSTRAINED SOME("SELECT FROM depipe.constraint_definition x" OF_TARGET)
#define IS_REFERENCED                                                     \
	SOME("SELECT FROM depipe.constraint_definition x"                     \
		 " WHERE x.reference_schema OPERATOR(pg_catalog.=) t.schema_name" \
		 " AND x.reference_table OPERATOR(pg_catalog.=) t.table_name")

#define HAS_HELD_ROWS SOME("SELECT FROM depipe.held_row x" OF_TARGET)
#define HAS_INCIDENT SOME("SELECT FROM depipe.incident x" OF_TARGET " AND x.closed_at IS NULL")

#define HAS_STATE SOME("SELECT FROM depipe.kept_state x" OF_TARGET)

#define TARGET_MARKS                                                     \
	MARK_IF(HAS_BREAKER, "1")                                            \
	PLUS MARK_IF("s.parked OPERATOR(pg_catalog.>) 0", "2")               \
		PLUS MARK_IF("s.quarantined OPERATOR(pg_catalog.>) 0", "4")      \
			PLUS MARK_IF("s.retries OPERATOR(pg_catalog.>) 0", "8") PLUS \
			MARK_IF(IS_CONSTRAINED, "16") PLUS                           \
			MARK_IF(IS_REFERENCED, "32") PLUS                            \
			MARK_IF(HAS_HELD_ROWS, "64") PLUS                            \
			MARK_IF(HAS_INCIDENT, "128") PLUS                            \
			MARK_IF(HAS_STATE, "256")

#define MARKS_OF_TARGETS                                           \
	"SELECT u.n, " TARGET_MARKS ", 0, NULL::text"                  \
	" FROM pg_catalog.unnest($1) WITH ORDINALITY u (target_id, n)" \
	" JOIN depipe.target t USING (target_id)"                      \
	" LEFT JOIN depipe.target_state s USING (target_id)"

#define PAUSES                                                      \
	"SELECT 0, 0, target_id, pause_reason FROM depipe.target_state" \
	" WHERE paused AND (paused_until IS NULL OR paused_until"       \
	" OPERATOR(pg_catalog.>) pg_catalog.clock_timestamp())"

static CatalogArg
ids_of(List *targets)
{
	List *ids = NIL;
	ListCell *cell;

	foreach(cell, targets)
		ids = lappend_int(ids, ((Target *) lfirst(cell))->id);
	return ARG_INT4_ARRAY(ids);
}

uint32 *
targets_marks(List *targets)
{
	uint32 *marks;
	CatalogRows *rows;

	if (targets == NIL)
		return NULL;
	rows = CATALOG_EXECUTE(MARKS_OF_TARGETS, ids_of(targets));
	marks = palloc0(sizeof(uint32) * list_length(targets));
	for (uint64 i = 0; i < rows->count; i++)
		marks[catalog_int8(rows, i, 1) - 1] = (uint32) catalog_int4(rows, i, 2);
	return marks;
}

uint32 *
targets_marks_and_pauses(List *targets, List **pauses)
{
	CatalogRows *rows = CATALOG_EXECUTE(MARKS_OF_TARGETS " UNION ALL " PAUSES, ids_of(targets));
	uint32 *marks = palloc0(sizeof(uint32) * Max(list_length(targets), 1));

	*pauses = NIL;
	for (uint64 i = 0; i < rows->count; i++)
	{
		int64 n = catalog_int8(rows, i, 1);
		Pause *pause;

		if (n > 0)
		{
			marks[n - 1] = (uint32) catalog_int4(rows, i, 2);
			continue;
		}
		pause = palloc(sizeof(Pause));
		pause->target_id = catalog_int4(rows, i, 3);
		pause->reason = catalog_text(rows, i, 4);
		*pauses = lappend(*pauses, pause);
	}
	return marks;
}
