/*-------------------------------------------------------------------------
 *
 * incidents.c
 *		depipe's own table of incidents.
 *
 *-------------------------------------------------------------------------
 */
#include "catalog/incidents.h"

#include "utils/timestamp.h"

/* An unknown number is stored as NULL. */
#define ARG_KNOWN(v) ((CatalogArg){INT8OID, Int64GetDatum(v), (v) < 0})
#define ARG_ARRAY(a) ((CatalogArg){TEXTARRAYOID, PointerGetDatum(a), (a) == NULL})

static IncidentRow *
incident_from_row(const CatalogRows *rows, uint64 i)
{
	IncidentRow *row = palloc0(sizeof(IncidentRow));
	bool isnull;
	Datum keys = catalog_datum(rows, i, 9, &isnull);

	row->id = catalog_int8(rows, i, 1);
	row->constraint_id = catalog_int4(rows, i, 2);
	row->constraint_name = catalog_text(rows, i, 3);
	row->outcome = catalog_text(rows, i, 4);
	row->published = catalog_bool(rows, i, 5);
	row->last_seen = catalog_time(rows, i, 6);
	row->accepted = catalog_int8(rows, i, 7);
	row->accepted_of = catalog_int8(rows, i, 8);
	row->known_keys = isnull ? NULL : DatumGetArrayTypePCopy(keys);
	row->looked_at = catalog_time(rows, i, 10);
	row->look_ms = (double) catalog_int8(rows, i, 11);
	row->violations_now = catalog_int8(rows, i, 12);
	return row;
}

List *
incident_rows(int32 target_id, int32 constraint_id)
{
	List *list = NIL;
	CatalogRows *rows = CATALOG_EXECUTE(
		"SELECT i.incident_id, c.constraint_id, c.name::text, s.outcome, i.published,"
		" i.last_seen, COALESCE(i.accepted, 0), COALESCE(i.accepted_of, 0), i.known_keys,"
		" i.looked_at, COALESCE(i.look_ms, 0)::bigint, COALESCE(i.violations_now, 0)"
		" FROM depipe.incident i JOIN depipe.constraint_definition c"
		" ON c.target_id OPERATOR(pg_catalog.=) i.target_id"
		" AND c.name OPERATOR(pg_catalog.=) i.constraint_name"
		" LEFT JOIN depipe.constraint_state s USING (constraint_id)"
		" WHERE i.target_id OPERATOR(pg_catalog.=) $1 AND i.closed_at IS NULL"
		" AND ($2 OPERATOR(pg_catalog.=) 0 OR c.constraint_id OPERATOR(pg_catalog.=) $2)"
		" ORDER BY i.incident_id",
		ARG_INT4(target_id),
		ARG_INT4(constraint_id));

	for (uint64 i = 0; i < rows->count; i++)
		list = lappend(list, incident_from_row(rows, i));
	return list;
}

/* Violations of published batches are added up until the next evaluation of the table. */
bool
incident_seen(const VerdictRow *row, bool published)
{
	CatalogRows *rows = CATALOG_EXECUTE(
		"INSERT INTO depipe.incident AS i (target_id, constraint_name, outcome,"
		" action, violations, first_run_id, last_run_id, published, violations_now,"
		" accepted, accepted_of)"
		" SELECT $1, $2::name, $3, $4, $5, NULLIF($6, 0), NULLIF($6, 0), $7, $5,"
		" CASE WHEN s.outcome OPERATOR(pg_catalog.=) 'pass'"
		" THEN GREATEST(s.violations, s.baseline) ELSE s.baseline END, s.evaluated"
		" FROM (SELECT $8::integer AS constraint_id) c"
		" LEFT JOIN depipe.constraint_state s USING (constraint_id)"
		" ON CONFLICT (target_id, constraint_name) WHERE closed_at IS NULL"
		" DO UPDATE SET last_seen = EXCLUDED.last_seen,"
		" outcome = EXCLUDED.outcome, action = EXCLUDED.action,"
		" violations = EXCLUDED.violations,"
		" published = i.published OR EXCLUDED.published,"
		" violations_now = CASE WHEN EXCLUDED.published AND NOT $9"
		" THEN COALESCE(i.violations_now, 0) OPERATOR(pg_catalog.+) EXCLUDED.violations"
		" ELSE EXCLUDED.violations END,"
		" occurrences = i.occurrences OPERATOR(pg_catalog.+) 1,"
		" last_run_id = COALESCE(EXCLUDED.last_run_id, i.last_run_id)"
		" RETURNING occurrences OPERATOR(pg_catalog.=) 1",
		ARG_INT4(row->target_id),
		ARG_TEXT(row->constraint_name),
		ARG_TEXT(row->outcome),
		ARG_TEXT(row->action),
		ARG_KNOWN(row->violations),
		ARG_INT8(row->run_id),
		ARG_BOOL(published),
		ARG_INT4(row->constraint_id),
		ARG_BOOL(row->whole_table));

	return catalog_bool(rows, 0, 1);
}

void
incident_put_look(int64 incident_id, int64 violations, ArrayType *keys, double look_ms)
{
	(void) CATALOG_EXECUTE("UPDATE depipe.incident SET violations_now = $2, known_keys = $3,"
						   " looked_at = pg_catalog.clock_timestamp(), look_ms = $4,"
						   " look_again = false WHERE incident_id OPERATOR(pg_catalog.=) $1",
						   ARG_INT8(incident_id),
						   ARG_INT8(violations),
						   ARG_ARRAY(keys),
						   ARG_FLOAT8(look_ms));
}

void
incident_put_violations(int64 incident_id, int64 violations)
{
	(void) CATALOG_EXECUTE("UPDATE depipe.incident SET violations_now = $2"
						   " WHERE incident_id OPERATOR(pg_catalog.=) $1"
						   " AND violations_now IS DISTINCT FROM $2",
						   ARG_INT8(incident_id),
						   ARG_INT8(violations));
}

void
incident_look_again(int64 incident_id)
{
	(void) CATALOG_EXECUTE("UPDATE depipe.incident SET look_again = true"
						   " WHERE incident_id OPERATOR(pg_catalog.=) $1 AND NOT look_again",
						   ARG_INT8(incident_id));
}

void
incident_close(int64 incident_id, const char *how)
{
	(void) CATALOG_EXECUTE("UPDATE depipe.incident SET closed_at = pg_catalog.clock_timestamp(),"
						   " closed_how = $2, violations_now = 0, known_keys = NULL,"
						   " look_again = false"
						   " WHERE incident_id OPERATOR(pg_catalog.=) $1",
						   ARG_INT8(incident_id),
						   ARG_TEXT(how));
}

int32
incident_target(int64 incident_id)
{
	CatalogRows *rows = CATALOG_EXECUTE(
		"SELECT CASE WHEN closed_at IS NULL THEN target_id ELSE -1 END"
		" FROM depipe.incident WHERE incident_id OPERATOR(pg_catalog.=) $1",
		ARG_INT8(incident_id));

	return rows->count == 0 ? 0 : catalog_int4(rows, 0, 1);
}

void
incident_acknowledge(int64 incident_id, const char *note)
{
	(void) CATALOG_EXECUTE("UPDATE depipe.incident SET acknowledged_by = SESSION_USER,"
						   " acknowledged_at = pg_catalog.clock_timestamp(), acknowledge_note = $2"
						   " WHERE incident_id OPERATOR(pg_catalog.=) $1",
						   ARG_INT8(incident_id),
						   ARG_TEXT(note));
}

char *
rejecting_constraint(int32 target_id)
{
	CatalogRows *rows = CATALOG_EXECUTE(
		"SELECT i.constraint_name::text FROM depipe.incident i"
		" JOIN depipe.target t USING (target_id)"
		" JOIN depipe.constraint_definition c"
		" ON c.target_id OPERATOR(pg_catalog.=) i.target_id"
		" AND c.name OPERATOR(pg_catalog.=) i.constraint_name"
		" JOIN depipe.constraint_state s USING (constraint_id)"
		" WHERE i.target_id OPERATOR(pg_catalog.=) $1 AND i.closed_at IS NULL"
		" AND t.kind OPERATOR(pg_catalog.<>) 't' AND NOT i.published"
		" AND i.action OPERATOR(pg_catalog.=) 'reject'"
		" AND s.outcome IN ('fail', 'error') ORDER BY i.incident_id LIMIT 1",
		ARG_INT4(target_id));

	return rows->count == 0 ? NULL : catalog_text(rows, 0, 1);
}

/* ---- rows that kept a batch from being published ---- */

void
held_rows_put(int32 target_id, List *rows)
{
	ListCell *cell;

	(void) CATALOG_EXECUTE("DELETE FROM depipe.held_row WHERE target_id OPERATOR(pg_catalog.=) $1",
						   ARG_INT4(target_id));
	foreach(cell, rows)
	{
		HeldRow *row = lfirst(cell);

		(void) CATALOG_EXECUTE(
			"INSERT INTO depipe.held_row (target_id, constraint_id, row_key, image)"
			" VALUES ($1, $2, $3, $4)",
			ARG_INT4(target_id),
			ARG_INT4(row->constraint_id),
			ARG_TEXT(row->key),
			ARG_JSONB(row->row));
	}
}

List *
held_rows(int32 target_id, int32 constraint_id)
{
	List *list = NIL;
	CatalogRows *rows = CATALOG_EXECUTE(
		"SELECT row_key, image::text FROM depipe.held_row"
		" WHERE target_id OPERATOR(pg_catalog.=) $1"
		" AND constraint_id OPERATOR(pg_catalog.=) $2 ORDER BY held_row_id",
		ARG_INT4(target_id),
		ARG_INT4(constraint_id));

	for (uint64 i = 0; i < rows->count; i++)
	{
		HeldRow *row = palloc0(sizeof(HeldRow));

		row->constraint_id = constraint_id;
		row->key = catalog_text(rows, i, 1);
		row->row = catalog_text(rows, i, 2);
		list = lappend(list, row);
	}
	return list;
}

ArrayType *
held_images(int32 target_id, int32 constraint_id)
{
	CatalogRows *rows = CATALOG_EXECUTE("SELECT pg_catalog.array_agg(image)"
										" FROM depipe.held_row"
										" WHERE target_id OPERATOR(pg_catalog.=) $1"
										" AND constraint_id OPERATOR(pg_catalog.=) $2",
										ARG_INT4(target_id),
										ARG_INT4(constraint_id));
	bool isnull;
	Datum images = catalog_datum(rows, 0, 1, &isnull);

	return isnull ? NULL : DatumGetArrayTypeP(images);
}

/* ---- work that only depends on time ---- */

#define INCIDENT_AT                                                                            \
	"CASE WHEN i.look_again THEN i.looked_at OPERATOR(pg_catalog.+) (" LOOK_PAUSE_SQL          \
	" OPERATOR(pg_catalog.*) interval '1 millisecond')"                                        \
	" ELSE i.last_seen OPERATOR(pg_catalog.+) ($1 OPERATOR(pg_catalog.*) interval '1 second')" \
	" END"

/* the same factor as LOOK_PAUSE in quality/incident.c */
#define LOOK_PAUSE_SQL "i.look_ms OPERATOR(pg_catalog.*) 20"

#define INCIDENTS_TO_LOOK_AT                                         \
	" FROM depipe.incident i JOIN depipe.constraint_definition c"    \
	" ON c.target_id OPERATOR(pg_catalog.=) i.target_id"             \
	" AND c.name OPERATOR(pg_catalog.=) i.constraint_name"           \
	" JOIN depipe.constraint_state s USING (constraint_id)"          \
	" LEFT JOIN depipe.attempt k ON k.unit OPERATOR(pg_catalog.=)"   \
	" ('checks ' || i.target_id) WHERE i.closed_at IS NULL"          \
	" AND s.outcome OPERATOR(pg_catalog.=) 'pass' AND (i.look_again" \
	" OR (c.scope OPERATOR(pg_catalog.=) 'batch'"                    \
	" AND COALESCE(c.warn_if, c.fail_if) IS NOT NULL))"

List *
due_incidents(int linger)
{
	List *ids = NIL;
	CatalogRows *rows = CATALOG_EXECUTE("SELECT DISTINCT i.target_id" INCIDENTS_TO_LOOK_AT
										" AND GREATEST(" INCIDENT_AT
										", k.retry_at) OPERATOR(pg_catalog.<=)"
										" pg_catalog.clock_timestamp()",
										ARG_INT4(linger));

	for (uint64 i = 0; i < rows->count; i++)
		ids = lappend_int(ids, catalog_int4(rows, i, 1));
	return ids;
}

TimestampTz
incidents_next(int linger)
{
	CatalogRows *rows = CATALOG_EXECUTE("SELECT pg_catalog.min(GREATEST(" INCIDENT_AT
										", k.retry_at))" INCIDENTS_TO_LOOK_AT,
										ARG_INT4(linger));

	return catalog_isnull(rows, 0, 1) ? DT_NOEND : catalog_time(rows, 0, 1);
}
