/*-------------------------------------------------------------------------
 *
 * constraints.c
 *		depipe's own tables of constraints, verdicts and breakers.
 *
 *-------------------------------------------------------------------------
 */
#include "catalog/constraints.h"


/* An unknown number is stored as NULL. */
#define ARG_KNOWN(v) ((CatalogArg){INT8OID, Int64GetDatum(v), (v) < 0})
#define ARG_ARRAY(a) ((CatalogArg){TEXTARRAYOID, PointerGetDatum(a), (a) == NULL})

/* ---- constraints ---- */

#define CONSTRAINT_COLUMNS                                                               \
	"SELECT c.constraint_id, c.target_id, c.name::text, c.rule::text, c.search_path,"    \
	" c.expression, c.metric, c.is_aggregate, c.is_late, c.filter, c.filter_expression," \
	" c.columns, c.column_types, c.reference_schema::text, c.reference_table::text,"     \
	" c.on_violation, c.warn_if, c.fail_if, c.scope, c.min_rows, c.on_null,"             \
	" c.on_no_data, c.on_error, c.grace::text,"                                          \
	" (EXTRACT(epoch FROM c.grace) OPERATOR(pg_catalog.*) 1000000)::bigint, c.existing," \
	" c.enforce_from, c.check_every::text, c.owner, c.description, s.outcome,"           \
	" COALESCE(s.baseline, 0), c.settings, s.waived_until,"                              \
	" (SELECT pg_catalog.array_agg(pg_catalog.encode(a.image, 'hex'))"                   \
	" FROM depipe.accepted_row a"                                                        \
	" WHERE a.constraint_id OPERATOR(pg_catalog.=) c.constraint_id), c.origin"           \
	" FROM depipe.constraint_definition c"                                               \
	" LEFT JOIN depipe.constraint_state s USING (constraint_id)"

static ConstraintRow *
constraint_from_row(const CatalogRows *rows, uint64 i)
{
	ConstraintRow *row = palloc0(sizeof(ConstraintRow));

	row->id = catalog_int4(rows, i, 1);
	row->target_id = catalog_int4(rows, i, 2);
	row->name = catalog_text(rows, i, 3);
	row->rule = catalog_text(rows, i, 4);
	row->search_path = catalog_text(rows, i, 5);
	row->expression = catalog_text(rows, i, 6);
	row->metric = catalog_text(rows, i, 7);
	row->is_aggregate = catalog_bool(rows, i, 8);
	row->is_late = catalog_bool(rows, i, 9);
	row->filter = catalog_text(rows, i, 10);
	row->filter_expression = catalog_text(rows, i, 11);
	row->columns = catalog_text_list(rows, i, 12);
	row->column_types = catalog_text_list(rows, i, 13);
	row->reference_schema = catalog_text(rows, i, 14);
	row->reference_table = catalog_text(rows, i, 15);
	row->on_violation = catalog_text(rows, i, 16);
	row->warn_if = catalog_text(rows, i, 17);
	row->fail_if = catalog_text(rows, i, 18);
	row->scope = catalog_text(rows, i, 19);
	row->min_rows = catalog_int8(rows, i, 20);
	row->on_null = catalog_text(rows, i, 21);
	row->on_no_data = catalog_text(rows, i, 22);
	row->on_error = catalog_text(rows, i, 23);
	row->grace = catalog_text(rows, i, 24);
	row->grace_microseconds = catalog_int8(rows, i, 25);
	row->existing = catalog_text(rows, i, 26);
	row->enforce_from = catalog_time(rows, i, 27);
	row->check_every = catalog_text(rows, i, 28);
	row->owner = catalog_text(rows, i, 29);
	row->description = catalog_text(rows, i, 30);
	row->outcome = catalog_text(rows, i, 31);
	row->baseline = catalog_int8(rows, i, 32);
	row->settings = catalog_text_list(rows, i, 33);
	row->waived_until = catalog_time(rows, i, 34);
	row->accepted = catalog_text_list(rows, i, 35);
	row->origin = catalog_text(rows, i, 36);
	return row;
}

static List *
constraint_list(const CatalogRows *rows)
{
	List *list = NIL;

	for (uint64 i = 0; i < rows->count; i++)
		list = lappend(list, constraint_from_row(rows, i));
	return list;
}

List *
constraint_rows(int32 target_id)
{
	return constraint_list(CATALOG_EXECUTE(CONSTRAINT_COLUMNS
										   " WHERE c.target_id OPERATOR(pg_catalog.=) $1"
										   " ORDER BY c.constraint_id",
										   ARG_INT4(target_id)));
}

ConstraintRow *
constraint_row_find(int32 target_id, const char *name)
{
	CatalogRows *rows = CATALOG_EXECUTE(CONSTRAINT_COLUMNS
										" WHERE c.target_id OPERATOR(pg_catalog.=) $1"
										" AND c.name::text OPERATOR(pg_catalog.=) $2",
										ARG_INT4(target_id),
										ARG_TEXT(name));

	return rows->count == 0 ? NULL : constraint_from_row(rows, 0);
}

List *
constraint_rows_of_origin(const char *origin)
{
	return constraint_list(CATALOG_EXECUTE(CONSTRAINT_COLUMNS
										   " WHERE c.origin OPERATOR(pg_catalog.=) $1"
										   " ORDER BY c.constraint_id",
										   ARG_TEXT(origin)));
}

List *
constraint_rows_referencing(const char *schema_name, const char *table_name)
{
	return constraint_list(CATALOG_EXECUTE(CONSTRAINT_COLUMNS
										   " WHERE c.reference_schema OPERATOR(pg_catalog.=)"
										   " $1::name AND c.reference_table"
										   " OPERATOR(pg_catalog.=) $2::name"
										   " ORDER BY c.constraint_id",
										   ARG_TEXT(schema_name),
										   ARG_TEXT(table_name)));
}

#define PUT_ARGUMENTS(row)                                                                      \
	ARG_INT4((row)->id), ARG_INT4((row)->target_id), ARG_TEXT((row)->name),                     \
		ARG_JSONB((row)->rule), ARG_TEXT((row)->search_path), ARG_TEXT((row)->expression),      \
		ARG_TEXT((row)->metric), ARG_BOOL((row)->is_aggregate), ARG_BOOL((row)->is_late),       \
		ARG_TEXT((row)->filter), ARG_TEXT((row)->filter_expression),                            \
		ARG_TEXT_ARRAY((row)->columns), ARG_TEXT_ARRAY((row)->column_types),                    \
		ARG_TEXT((row)->reference_schema), ARG_TEXT((row)->reference_table),                    \
		ARG_TEXT((row)->on_violation), ARG_TEXT((row)->warn_if), ARG_TEXT((row)->fail_if),      \
		ARG_TEXT((row)->scope), ARG_INT8((row)->min_rows), ARG_TEXT((row)->on_null),            \
		ARG_TEXT((row)->on_no_data), ARG_TEXT((row)->on_error), ARG_TEXT((row)->grace),         \
		ARG_TEXT((row)->existing), ARG_TIME((row)->enforce_from), ARG_TEXT((row)->check_every), \
		ARG_TEXT((row)->owner), ARG_TEXT((row)->description), ARG_TEXT_ARRAY((row)->settings),  \
		ARG_TEXT((row)->origin)

void
constraint_row_put(ConstraintRow *row)
{
	CatalogRows *rows;

	if (row->id == 0)
	{
		rows = CATALOG_EXECUTE0("SELECT pg_catalog.nextval("
								"'depipe.constraint_id_seq'::pg_catalog.regclass)::integer");
		row->id = catalog_int4(rows, 0, 1);
	}
	(void) CATALOG_EXECUTE(
		"INSERT INTO depipe.constraint_definition (constraint_id, target_id, name, rule,"
		" search_path, expression, metric, is_aggregate, is_late, filter, filter_expression,"
		" columns, column_types, reference_schema, reference_table, on_violation, warn_if,"
		" fail_if, scope, min_rows, on_null, on_no_data, on_error, grace, existing,"
		" enforce_from, check_every, owner, description, settings, origin)"
		" VALUES ($1, $2, $3::name, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14::name,"
		" $15::name, $16, $17, $18, $19, $20, $21, $22, $23, $24::interval, $25, $26,"
		" $27::interval, $28, $29, COALESCE($30, '{}'), $31)"
		" ON CONFLICT (constraint_id) DO UPDATE SET rule = EXCLUDED.rule,"
		" search_path = EXCLUDED.search_path, expression = EXCLUDED.expression,"
		" metric = EXCLUDED.metric, is_aggregate = EXCLUDED.is_aggregate,"
		" is_late = EXCLUDED.is_late, filter = EXCLUDED.filter,"
		" filter_expression = EXCLUDED.filter_expression, columns = EXCLUDED.columns,"
		" column_types = EXCLUDED.column_types, reference_schema = EXCLUDED.reference_schema,"
		" reference_table = EXCLUDED.reference_table, on_violation = EXCLUDED.on_violation,"
		" warn_if = EXCLUDED.warn_if, fail_if = EXCLUDED.fail_if, scope = EXCLUDED.scope,"
		" min_rows = EXCLUDED.min_rows, on_null = EXCLUDED.on_null,"
		" on_no_data = EXCLUDED.on_no_data, on_error = EXCLUDED.on_error,"
		" grace = EXCLUDED.grace, existing = EXCLUDED.existing,"
		" enforce_from = EXCLUDED.enforce_from, check_every = EXCLUDED.check_every,"
		" owner = EXCLUDED.owner, description = EXCLUDED.description,"
		" settings = EXCLUDED.settings, origin = EXCLUDED.origin",
		PUT_ARGUMENTS(row));
}

void
constraint_row_put_compiled(const ConstraintRow *row)
{
	(void) CATALOG_EXECUTE("UPDATE depipe.constraint_definition SET expression = $2, metric = $3,"
						   " is_aggregate = $4, is_late = $5, filter_expression = $6,"
						   " columns = $7, column_types = $8"
						   " WHERE constraint_id OPERATOR(pg_catalog.=) $1",
						   ARG_INT4(row->id),
						   ARG_TEXT(row->expression),
						   ARG_TEXT(row->metric),
						   ARG_BOOL(row->is_aggregate),
						   ARG_BOOL(row->is_late),
						   ARG_TEXT(row->filter_expression),
						   ARG_TEXT_ARRAY(row->columns),
						   ARG_TEXT_ARRAY(row->column_types));
}

void
constraint_row_delete(int32 constraint_id)
{
	(void) CATALOG_EXECUTE("DELETE FROM depipe.constraint_definition"
						   " WHERE constraint_id OPERATOR(pg_catalog.=) $1",
						   ARG_INT4(constraint_id));
}

void
constraint_set_baseline(int32 constraint_id, int64 baseline)
{
	(void) CATALOG_EXECUTE("INSERT INTO depipe.constraint_state (constraint_id, baseline)"
						   " VALUES ($1, $2) ON CONFLICT (constraint_id)"
						   " DO UPDATE SET baseline = EXCLUDED.baseline",
						   ARG_INT4(constraint_id),
						   ARG_INT8(baseline));
}

void
constraint_shrink_baseline(int32 constraint_id, int64 violations)
{
	(void) CATALOG_EXECUTE("UPDATE depipe.constraint_state SET baseline = $2"
						   " WHERE constraint_id OPERATOR(pg_catalog.=) $1"
						   " AND baseline OPERATOR(pg_catalog.>) $2",
						   ARG_INT4(constraint_id),
						   ARG_INT8(violations));
}

void
constraint_waive(int32 constraint_id, TimestampTz until)
{
	(void) CATALOG_EXECUTE("INSERT INTO depipe.constraint_state (constraint_id, waived_until)"
						   " VALUES ($1, $2) ON CONFLICT (constraint_id)"
						   " DO UPDATE SET waived_until = EXCLUDED.waived_until",
						   ARG_INT4(constraint_id),
						   ARG_TIME(until));
}

void
accepted_rows_add(int32 constraint_id, List *hashes)
{
	(void) CATALOG_EXECUTE("INSERT INTO depipe.accepted_row (constraint_id, image)"
						   " SELECT $1, pg_catalog.decode(h, 'hex') FROM pg_catalog.unnest($2) h"
						   " ON CONFLICT DO NOTHING",
						   ARG_INT4(constraint_id),
						   ARG_TEXT_ARRAY(hashes));
}

void
accepted_rows_forget(int32 constraint_id)
{
	(void) CATALOG_EXECUTE("DELETE FROM depipe.accepted_row"
						   " WHERE constraint_id OPERATOR(pg_catalog.=) $1",
						   ARG_INT4(constraint_id));
}

/* ---- pending keys ---- */

void
pending_keys_add(int32 constraint_id, List *keys)
{
	ListCell *cell;

	foreach(cell, keys)
		(void) CATALOG_EXECUTE(
			"INSERT INTO depipe.pending_key (constraint_id, reference_key, since)"
			" VALUES ($1, $2, pg_catalog.clock_timestamp())"
			" ON CONFLICT DO NOTHING",
			ARG_INT4(constraint_id),
			ARG_ARRAY((ArrayType *) lfirst(cell)));
}

ArrayType *
pending_keys(int32 constraint_id)
{
	CatalogRows *rows = CATALOG_EXECUTE("SELECT pg_catalog.array_agg(reference_key::text)"
										" FROM depipe.pending_key"
										" WHERE constraint_id OPERATOR(pg_catalog.=) $1",
										ARG_INT4(constraint_id));
	bool isnull;
	Datum keys = catalog_datum(rows, 0, 1, &isnull);

	return isnull ? NULL : DatumGetArrayTypeP(keys);
}

static List *
first_column(const CatalogRows *rows)
{
	List *texts = NIL;

	for (uint64 i = 0; i < rows->count; i++)
		texts = lappend(texts, catalog_text(rows, i, 1));
	return texts;
}

List *
pending_keys_older(int32 constraint_id, int64 grace_microseconds)
{
	return first_column(
		CATALOG_EXECUTE("SELECT reference_key::text FROM depipe.pending_key"
						" WHERE constraint_id OPERATOR(pg_catalog.=) $1"
						" AND since OPERATOR(pg_catalog.<=) (pg_catalog.clock_timestamp()"
						" OPERATOR(pg_catalog.-) ($2 OPERATOR(pg_catalog.*)"
						" interval '1 microsecond'))",
						ARG_INT4(constraint_id),
						ARG_INT8(grace_microseconds)));
}

void
pending_keys_keep(int32 constraint_id, ArrayType *keys)
{
	(void) CATALOG_EXECUTE("DELETE FROM depipe.pending_key"
						   " WHERE constraint_id OPERATOR(pg_catalog.=) $1"
						   " AND ($2 IS NULL OR NOT (reference_key::text"
						   " OPERATOR(pg_catalog.=) ANY ($2)))",
						   ARG_INT4(constraint_id),
						   ARG_ARRAY(keys));
}

int64
pending_keys_count(int32 constraint_id)
{
	CatalogRows *rows = CATALOG_EXECUTE("SELECT pg_catalog.count(*) FROM depipe.pending_key"
										" WHERE constraint_id OPERATOR(pg_catalog.=) $1",
										ARG_INT4(constraint_id));

	return catalog_int8(rows, 0, 1);
}

/* ---- verdicts ---- */

KnownVerdict *
verdicts_known(int64 run_id, List *constraint_ids)
{
	int count = Max(list_length(constraint_ids), 1);
	KnownVerdict *known = palloc0(sizeof(KnownVerdict) * count);
	CatalogRows *rows = CATALOG_EXECUTE(
		"SELECT u.n, s.outcome, v.verdict_id, v.outcome, EXISTS (SELECT FROM depipe.incident i"
		" WHERE i.target_id OPERATOR(pg_catalog.=) c.target_id"
		" AND i.constraint_name OPERATOR(pg_catalog.=) c.name AND i.closed_at IS NULL)"
		" FROM pg_catalog.unnest($2) WITH ORDINALITY u (constraint_id, n)"
		" JOIN depipe.constraint_definition c USING (constraint_id)"
		" LEFT JOIN depipe.constraint_state s USING (constraint_id)"
		" LEFT JOIN LATERAL (SELECT verdict_id, outcome FROM depipe.verdict"
		" WHERE run_id OPERATOR(pg_catalog.=) $1"
		" AND constraint_id OPERATOR(pg_catalog.=) u.constraint_id"
		" ORDER BY verdict_id DESC LIMIT 1) v ON true",
		ARG_INT8(run_id),
		ARG_INT4_ARRAY(constraint_ids));

	for (uint64 i = 0; i < rows->count; i++)
	{
		KnownVerdict *one = &known[catalog_int8(rows, i, 1) - 1];

		one->outcome = catalog_text(rows, i, 2);
		one->verdict_id = catalog_int8(rows, i, 3);
		one->run_outcome = catalog_text(rows, i, 4);
		one->open_incident = catalog_bool(rows, i, 5);
	}
	return known;
}

void
verdict_put_state(const VerdictRow *row)
{
	(void) CATALOG_EXECUTE("INSERT INTO depipe.constraint_state AS s (constraint_id, outcome,"
						   " outcome_since, evaluated_at, evaluated, violations, metric,"
						   " would_have_blocked) VALUES ($1, $2, pg_catalog.clock_timestamp(),"
						   " pg_catalog.clock_timestamp(), $3, $4, $5, $6::integer)"
						   " ON CONFLICT (constraint_id) DO UPDATE SET outcome = EXCLUDED.outcome,"
						   " outcome_since = CASE WHEN s.outcome IS DISTINCT FROM EXCLUDED.outcome"
						   " THEN EXCLUDED.outcome_since ELSE s.outcome_since END,"
						   " evaluated_at = EXCLUDED.evaluated_at, evaluated = EXCLUDED.evaluated,"
						   " violations = EXCLUDED.violations, metric = EXCLUDED.metric,"
						   " would_have_blocked = s.would_have_blocked OPERATOR(pg_catalog.+)"
						   " EXCLUDED.would_have_blocked",
						   ARG_INT4(row->constraint_id),
						   ARG_TEXT(row->outcome),
						   ARG_KNOWN(row->evaluated),
						   ARG_KNOWN(row->violations),
						   ARG_TEXT(row->metric),
						   ARG_INT4(row->would_have_blocked ? 1 : 0));
}

void
verdict_insert(const VerdictRow *row)
{
	(void) CATALOG_EXECUTE("INSERT INTO depipe.verdict (run_id, target_id, constraint_id,"
						   " constraint_name, check_kind, outcome, action, evaluated, violations,"
						   " metric, warn_if, fail_if, would_have_blocked, strategy, elapsed_ms,"
						   " detail) VALUES (NULLIF($1, 0), $2, $3, $4::name, $5, $6, $7, $8, $9,"
						   " $10, $11, $12, $13, $14, $15, $16)",
						   ARG_INT8(row->run_id),
						   ARG_INT4(row->target_id),
						   ARG_INT4(row->constraint_id),
						   ARG_TEXT(row->constraint_name),
						   ARG_TEXT(row->check_kind),
						   ARG_TEXT(row->outcome),
						   ARG_TEXT(row->action),
						   ARG_KNOWN(row->evaluated),
						   ARG_KNOWN(row->violations),
						   ARG_TEXT(row->metric),
						   ARG_TEXT(row->warn_if),
						   ARG_TEXT(row->fail_if),
						   ARG_BOOL(row->would_have_blocked),
						   ARG_TEXT(row->strategy),
						   ARG_FLOAT8(row->elapsed_ms),
						   ARG_JSONB(row->detail));
}

/* Counts of batches are added up; those of the whole table replace the previous ones. */
void
verdict_add(int64 verdict_id, const VerdictRow *row)
{
	(void) CATALOG_EXECUTE(
		"UPDATE depipe.verdict SET action = $2,"
		" evaluated = CASE WHEN $6 THEN $3 ELSE evaluated OPERATOR(pg_catalog.+) $3 END,"
		" violations = CASE WHEN $6 THEN $4 ELSE violations OPERATOR(pg_catalog.+) $4 END,"
		" metric = $5, elapsed_ms = elapsed_ms OPERATOR(pg_catalog.+) $7, detail = $8,"
		" would_have_blocked = would_have_blocked OR $9"
		" WHERE verdict_id OPERATOR(pg_catalog.=) $1",
		ARG_INT8(verdict_id),
		ARG_TEXT(row->action),
		ARG_KNOWN(row->evaluated),
		ARG_KNOWN(row->violations),
		ARG_TEXT(row->metric),
		ARG_BOOL(row->whole_table),
		ARG_FLOAT8(row->elapsed_ms),
		ARG_JSONB(row->detail),
		ARG_BOOL(row->would_have_blocked));
}

int64
quarantine_count_of(int32 target_id, int32 constraint_id)
{
	CatalogRows *rows = CATALOG_EXECUTE("SELECT pg_catalog.count(*) FROM depipe.quarantined_row"
										" WHERE target_id OPERATOR(pg_catalog.=) $1"
										" AND $2 OPERATOR(pg_catalog.=) ANY (constraint_ids)"
										" AND NOT discarded",
										ARG_INT4(target_id),
										ARG_INT4(constraint_id));

	return catalog_int8(rows, 0, 1);
}

int64
quarantine_count_beside(int32 target_id, int32 constraint_id, ArrayType *keys)
{
	CatalogRows *rows = CATALOG_EXECUTE("SELECT pg_catalog.count(*) FROM depipe.quarantined_row"
										" WHERE target_id OPERATOR(pg_catalog.=) $1"
										" AND $2 OPERATOR(pg_catalog.=) ANY (constraint_ids)"
										" AND NOT discarded AND ($3 IS NULL OR row_key IS NULL"
										" OR NOT (row_key::text OPERATOR(pg_catalog.=) ANY ($3)))",
										ARG_INT4(target_id),
										ARG_INT4(constraint_id),
										ARG_ARRAY(keys));

	return catalog_int8(rows, 0, 1);
}

bool
quarantine_has_rows(int32 target_id)
{
	CatalogRows *rows = CATALOG_EXECUTE("SELECT EXISTS (SELECT FROM depipe.target_state"
										" WHERE target_id OPERATOR(pg_catalog.=) $1"
										" AND quarantined OPERATOR(pg_catalog.>) 0)",
										ARG_INT4(target_id));

	return catalog_bool(rows, 0, 1);
}

/* The values of some columns of a quarantined row q with layout l, as the text of an array. */
#define IMAGE_KEY(columns)                                                                  \
	"(SELECT pg_catalog.array_agg(q.image[pg_catalog.array_position(l.columns,"             \
	" c.name)] ORDER BY c.place)::text FROM pg_catalog.unnest(" columns ") WITH ORDINALITY" \
	" c (name, place))"

List *
quarantine_keys(int32 target_id, List *columns, ArrayType *keys)
{
	return first_column(CATALOG_EXECUTE(
		"SELECT k.key FROM (SELECT " IMAGE_KEY(
			"$2") " AS key"
				  " FROM depipe.quarantined_row q JOIN depipe.row_layout l USING (layout_id)"
				  " WHERE q.target_id OPERATOR(pg_catalog.=) $1) k"
				  " WHERE k.key OPERATOR(pg_catalog.=) ANY ($3)",
		ARG_INT4(target_id),
		ARG_TEXT_ARRAY(columns),
		ARG_ARRAY(keys)));
}

int64
quarantine_mark_retries(int32 target_id, int32 constraint_id, List *columns, ArrayType *keys)
{
	CatalogRows *rows = CATALOG_EXECUTE(
		"UPDATE depipe.quarantined_row q SET retry = true FROM depipe.row_layout l"
		" WHERE q.target_id OPERATOR(pg_catalog.=) $1 AND NOT q.retry AND NOT q.discarded"
		" AND $2 OPERATOR(pg_catalog.=) ANY (q.constraint_ids)"
		" AND l.layout_id OPERATOR(pg_catalog.=) q.layout_id"
		" AND ($4 IS NULL OR " IMAGE_KEY("$3") " OPERATOR(pg_catalog.=) ANY ($4))",
		ARG_INT4(target_id),
		ARG_INT4(constraint_id),
		ARG_TEXT_ARRAY(columns),
		ARG_ARRAY(keys));

	return rows->processed;
}

/* ---- rows that a person picks ---- */

/* $2: the constraint, 0: any; $3: keys, as the views or the functions show them, NULL: any. */
#define IS_PICKED                                                                  \
	" WHERE q.target_id OPERATOR(pg_catalog.=) $1 AND NOT q.discarded"             \
	" AND ($2 OPERATOR(pg_catalog.=) 0 OR $2 OPERATOR(pg_catalog.=) ANY"           \
	" (q.constraint_ids)) AND ($3 IS NULL OR " KEY_SHOWN " OPERATOR(pg_catalog.=)" \
	" ANY ($3) OR q.row_key::pg_catalog.text OPERATOR(pg_catalog.=) ANY ($3))"
#define KEY_SHOWN "pg_catalog.array_to_string(q.row_key, ', ')"

int64
quarantine_matches(int32 target_id, int32 constraint_id, List *keys, int64 *keys_found)
{
	CatalogRows *rows = CATALOG_EXECUTE(
		"SELECT pg_catalog.count(*),"
		" (SELECT pg_catalog.count(*) FROM pg_catalog.unnest($3) k (key)"
		" WHERE k.key IN (SELECT " KEY_SHOWN " FROM depipe.quarantined_row q" IS_PICKED
		" UNION ALL SELECT q.row_key::pg_catalog.text"
		" FROM depipe.quarantined_row q" IS_PICKED ")) FROM depipe.quarantined_row q" IS_PICKED,
		ARG_INT4(target_id),
		ARG_INT4(constraint_id),
		ARG_TEXT_ARRAY(keys));

	if (keys_found != NULL)
		*keys_found = catalog_int8(rows, 0, 2);
	return catalog_int8(rows, 0, 1);
}

void
quarantine_release(int32 target_id, int32 constraint_id, List *keys)
{
	(void) CATALOG_EXECUTE("UPDATE depipe.quarantined_row q SET retry = true" IS_PICKED
						   " AND NOT q.retry",
						   ARG_INT4(target_id),
						   ARG_INT4(constraint_id),
						   ARG_TEXT_ARRAY(keys));
}

void
quarantine_discard(int32 target_id, List *keys)
{
	(void) CATALOG_EXECUTE(
		"UPDATE depipe.quarantined_row q SET discarded = true, retry = false" IS_PICKED,
		ARG_INT4(target_id),
		ARG_INT4(0),
		ARG_TEXT_ARRAY(keys));
}

bool
quarantine_lacks_rows(int32 target_id)
{
	CatalogRows *rows = CATALOG_EXECUTE("SELECT EXISTS (SELECT FROM depipe.target_state"
										" WHERE target_id OPERATOR(pg_catalog.=) $1"
										" AND quarantined OPERATOR(pg_catalog.>) discarded)",
										ARG_INT4(target_id));

	return catalog_bool(rows, 0, 1);
}

char *
holding_table_check(int32 target_id)
{
	CatalogRows *rows = CATALOG_EXECUTE("SELECT c.name::text FROM depipe.constraint_definition c"
										" JOIN depipe.constraint_state s USING (constraint_id)"
										" WHERE c.target_id OPERATOR(pg_catalog.=) $1"
										" AND s.outcome IN ('fail', 'error')"
										" AND c.on_violation IN ('reject', 'break', 'quarantine')"
										" AND (c.expression IS NULL OR c.is_aggregate)"
										" ORDER BY c.constraint_id LIMIT 1",
										ARG_INT4(target_id));

	return rows->count == 0 ? NULL : catalog_text(rows, 0, 1);
}

/* ---- breakers ---- */

/* intervals in microseconds; defaults filled in */
#define BREAKER_COLUMNS                                                              \
	"SELECT COALESCE(b.state, 'closed'), b.reason, b.since, b.until, b.retry_at,"    \
	" COALESCE((EXTRACT(epoch FROM b.wait) OPERATOR(pg_catalog.*) 1000000)::bigint," \
	" 0), COALESCE(b.changed, false), COALESCE(b.passes, 0), b.probe_started,"       \
	" COALESCE((SELECT pg_catalog.count(*) FROM pg_catalog.unnest("                  \
	"b.outcomes[:COALESCE(s.of_runs, 1) OPERATOR(pg_catalog.-) 1]) o (bad)"          \
	" WHERE o.bad), 0)::integer,"                                                    \
	" COALESCE(s.mode OPERATOR(pg_catalog.=) 'metrics_only', false),"                \
	" COALESCE(s.bad_runs, 1), COALESCE(s.of_runs, 1), COALESCE(s.close_after, 1),"  \
	" (EXTRACT(epoch FROM COALESCE(s.retry_wait, '1 minute'))"                       \
	" OPERATOR(pg_catalog.*) 1000000)::bigint,"                                      \
	" (EXTRACT(epoch FROM COALESCE(s.max_wait, '1 hour'))"                           \
	" OPERATOR(pg_catalog.*) 1000000)::bigint,"                                      \
	" (EXTRACT(epoch FROM COALESCE(s.probe_timeout, '10 minutes'))"                  \
	" OPERATOR(pg_catalog.*) 1000000)::bigint, COALESCE(b.sets_aside, false),"       \
	" b.bad_since, (EXTRACT(epoch FROM COALESCE(s.sustain, '0'))"                    \
	" OPERATOR(pg_catalog.*) 1000000)::bigint, COALESCE(b.shadow_open, false),"      \
	" COALESCE(b.would_have_opened, 0)"                                              \
	" FROM (SELECT $1::integer AS target_id) t"                                      \
	" LEFT JOIN depipe.breaker_state b USING (target_id)"                            \
	" LEFT JOIN depipe.breaker_setting s USING (target_id)"

BreakerRow *
breaker_row(int32 target_id, bool lock)
{
	BreakerRow *row = palloc0(sizeof(BreakerRow));
	CatalogRows *rows;

	/* the row lock keeps two runs from making the same transition; the second waits here */
	if (lock)
		(void) CATALOG_EXECUTE("SELECT FROM depipe.breaker_state"
							   " WHERE target_id OPERATOR(pg_catalog.=) $1 FOR UPDATE",
							   ARG_INT4(target_id));
	rows = CATALOG_EXECUTE(BREAKER_COLUMNS, ARG_INT4(target_id));
	row->state = catalog_text(rows, 0, 1);
	row->reason = catalog_text(rows, 0, 2);
	row->since = catalog_time(rows, 0, 3);
	row->until = catalog_time(rows, 0, 4);
	row->retry_at = catalog_time(rows, 0, 5);
	row->wait_microseconds = catalog_int8(rows, 0, 6);
	row->changed = catalog_bool(rows, 0, 7);
	row->passes = catalog_int4(rows, 0, 8);
	row->probe_started = catalog_time(rows, 0, 9);
	row->bad_before = catalog_int4(rows, 0, 10);
	row->metrics_only = catalog_bool(rows, 0, 11);
	row->bad_runs = catalog_int4(rows, 0, 12);
	row->of_runs = catalog_int4(rows, 0, 13);
	row->close_after = catalog_int4(rows, 0, 14);
	row->retry_wait_microseconds = catalog_int8(rows, 0, 15);
	row->max_wait_microseconds = catalog_int8(rows, 0, 16);
	row->probe_timeout_microseconds = catalog_int8(rows, 0, 17);
	row->sets_aside = catalog_bool(rows, 0, 18);
	row->bad_since = catalog_time(rows, 0, 19);
	row->sustain_microseconds = catalog_int8(rows, 0, 20);
	row->shadow_open = catalog_bool(rows, 0, 21);
	row->would_have_opened = catalog_int8(rows, 0, 22);
	return row;
}

void
breaker_row_put(int32 target_id, const BreakerRow *row)
{
	(void) CATALOG_EXECUTE("INSERT INTO depipe.breaker_state (target_id, state, reason, since,"
						   " until, retry_at, wait, changed, passes, probe_started, sets_aside,"
						   " bad_since, shadow_open, would_have_opened, set_by)"
						   " VALUES ($1, $2, $3, COALESCE($4, pg_catalog.now()), $5, $6,"
						   " $7 OPERATOR(pg_catalog.*)"
						   " interval '1 microsecond', $8, $9, $10, $11, $12, $13, $14,"
						   " SESSION_USER)"
						   " ON CONFLICT (target_id) DO UPDATE SET state = EXCLUDED.state,"
						   " reason = EXCLUDED.reason, since = EXCLUDED.since,"
						   " until = EXCLUDED.until, retry_at = EXCLUDED.retry_at,"
						   " wait = EXCLUDED.wait, changed = EXCLUDED.changed,"
						   " passes = EXCLUDED.passes, probe_started = EXCLUDED.probe_started,"
						   " sets_aside = EXCLUDED.sets_aside, bad_since = EXCLUDED.bad_since,"
						   " shadow_open = EXCLUDED.shadow_open,"
						   " would_have_opened = EXCLUDED.would_have_opened,"
						   " set_by = EXCLUDED.set_by",
						   ARG_INT4(target_id),
						   ARG_TEXT(row->state),
						   ARG_TEXT(row->reason),
						   ARG_TIME(row->since),
						   ARG_TIME(row->until),
						   ARG_TIME(row->retry_at),
						   ARG_INT8(row->wait_microseconds),
						   ARG_BOOL(row->changed),
						   ARG_INT4(row->passes),
						   ARG_TIME(row->probe_started),
						   ARG_BOOL(row->sets_aside),
						   ARG_TIME(row->bad_since),
						   ARG_BOOL(row->shadow_open),
						   ARG_INT8(row->would_have_opened));
}

void
breaker_add_outcome(int32 target_id, bool bad, int32 of_runs)
{
	(void) CATALOG_EXECUTE("INSERT INTO depipe.breaker_state AS b (target_id, outcomes)"
						   " VALUES ($1, ARRAY[$2]) ON CONFLICT (target_id) DO UPDATE"
						   " SET outcomes = ($2 OPERATOR(pg_catalog.||) b.outcomes)[:$3]",
						   ARG_INT4(target_id),
						   ARG_BOOL(bad),
						   ARG_INT4(of_runs));
}

void
breaker_forget_outcomes(int32 target_id)
{
	(void) CATALOG_EXECUTE("UPDATE depipe.breaker_state SET outcomes = '{}'"
						   " WHERE target_id OPERATOR(pg_catalog.=) $1",
						   ARG_INT4(target_id));
}

void
breaker_note_change(int32 target_id)
{
	(void) CATALOG_EXECUTE("UPDATE depipe.breaker_state SET changed = true"
						   " WHERE target_id OPERATOR(pg_catalog.=) $1 AND NOT changed",
						   ARG_INT4(target_id));
}

BreakerSetting *
breaker_setting(int32 target_id)
{
	BreakerSetting *setting = palloc0(sizeof(BreakerSetting));
	CatalogRows *rows = CATALOG_EXECUTE(
		"SELECT COALESCE(s.mode, 'normal'),"
		" COALESCE(s.on_open, 'serve_last_good'), COALESCE(s.bad_runs, 1),"
		" COALESCE(s.of_runs, 1), COALESCE(s.close_after, 1),"
		" COALESCE(s.retry_wait, '1 minute')::text,"
		" COALESCE(s.max_wait, '1 hour')::text,"
		" COALESCE(s.probe_timeout, '10 minutes')::text, COALESCE(s.sustain, '0')::text"
		" FROM (SELECT $1::integer AS target_id) t"
		" LEFT JOIN depipe.breaker_setting s USING (target_id)",
		ARG_INT4(target_id));

	setting->mode = catalog_text(rows, 0, 1);
	setting->on_open = catalog_text(rows, 0, 2);
	setting->bad_runs = catalog_int4(rows, 0, 3);
	setting->of_runs = catalog_int4(rows, 0, 4);
	setting->close_after = catalog_int4(rows, 0, 5);
	setting->retry_wait = catalog_text(rows, 0, 6);
	setting->max_wait = catalog_text(rows, 0, 7);
	setting->probe_timeout = catalog_text(rows, 0, 8);
	setting->sustain = catalog_text(rows, 0, 9);
	return setting;
}

void
breaker_setting_put(int32 target_id, const BreakerSetting *setting)
{
	(void) CATALOG_EXECUTE("INSERT INTO depipe.breaker_setting (target_id, mode, on_open, bad_runs,"
						   " of_runs, close_after, retry_wait, max_wait, probe_timeout, sustain)"
						   " VALUES ($1, $2, $3, $4, $5, $6, $7::interval, $8::interval,"
						   " $9::interval, $10::interval) ON CONFLICT (target_id) DO UPDATE SET"
						   " mode = EXCLUDED.mode, on_open = EXCLUDED.on_open,"
						   " bad_runs = EXCLUDED.bad_runs, of_runs = EXCLUDED.of_runs,"
						   " close_after = EXCLUDED.close_after,"
						   " retry_wait = EXCLUDED.retry_wait, max_wait = EXCLUDED.max_wait,"
						   " probe_timeout = EXCLUDED.probe_timeout, sustain = EXCLUDED.sustain",
						   ARG_INT4(target_id),
						   ARG_TEXT(setting->mode),
						   ARG_TEXT(setting->on_open),
						   ARG_INT4(setting->bad_runs),
						   ARG_INT4(setting->of_runs),
						   ARG_INT4(setting->close_after),
						   ARG_TEXT(setting->retry_wait),
						   ARG_TEXT(setting->max_wait),
						   ARG_TEXT(setting->probe_timeout),
						   ARG_TEXT(setting->sustain));
}

/* ---- origins and rows kept out ---- */

List *
upstream_ids(int32 target_id)
{
	List *ids = NIL;
	CatalogRows *rows = CATALOG_EXECUTE(
		"WITH RECURSIVE upstream (target_id, depth) AS (SELECT $1::integer, 0"
		" UNION SELECT t.target_id, 1 FROM upstream u"
		" JOIN depipe.transform_input i ON i.target_id OPERATOR(pg_catalog.=)"
		" u.target_id JOIN depipe.target t ON t.schema_name"
		" OPERATOR(pg_catalog.=) i.schema_name AND t.table_name"
		" OPERATOR(pg_catalog.=) i.table_name)"
		" SELECT target_id FROM upstream GROUP BY target_id"
		" ORDER BY pg_catalog.min(depth), target_id",
		ARG_INT4(target_id));

	for (uint64 i = 0; i < rows->count; i++)
		ids = lappend_int(ids, catalog_int4(rows, i, 1));
	return ids;
}

#define ORIGIN                                                     \
	"SELECT ROW(t.kind, l.server_name)::text FROM depipe.target t" \
	" LEFT JOIN depipe.load l USING (target_id)"                   \
	" WHERE t.kind OPERATOR(pg_catalog.<>) 't' AND "

bool
same_origin(int32 target_id, const char *reference_schema, const char *reference_table)
{
	CatalogRows *rows = CATALOG_EXECUTE("SELECT a IS NOT DISTINCT FROM b FROM (SELECT (" ORIGIN
										"t.target_id OPERATOR(pg_catalog.=) $1)) x (a),"
										" (SELECT (" ORIGIN
										"t.schema_name OPERATOR(pg_catalog.=) $2::name"
										" AND t.table_name OPERATOR(pg_catalog.=) $3::name)) y (b)",
										ARG_INT4(target_id),
										ARG_TEXT(reference_schema),
										ARG_TEXT(reference_table));

	return catalog_bool(rows, 0, 1);
}

char *
reference_unsettled(int32 target_id)
{
	CatalogRows *rows = CATALOG_EXECUTE(
		"SELECT CASE WHEN EXISTS (SELECT FROM depipe.target_state s"
		" WHERE s.target_id OPERATOR(pg_catalog.=) $1"
		" AND s.parked OPERATOR(pg_catalog.>) 0) THEN 'parked'"
		" WHEN EXISTS (SELECT FROM depipe.target_state s"
		" WHERE s.target_id OPERATOR(pg_catalog.=) $1 AND s.paused) THEN 'paused'"
		" ELSE (SELECT l.state FROM depipe.load_state l"
		" WHERE l.target_id OPERATOR(pg_catalog.=) $1"
		" AND l.state OPERATOR(pg_catalog.<>) 'streaming') END",
		ARG_INT4(target_id));

	return catalog_text(rows, 0, 1);
}

/* A text image with layout l as a JSON object.  Values of JSON columns stay JSON. */
#define IMAGE_OBJECT(image)                                                               \
	"(SELECT pg_catalog.jsonb_object_agg(u.name, CASE WHEN u.type OPERATOR(pg_catalog.~)" \
	" '(^|[.])jsonb?$' THEN u.value::pg_catalog.jsonb ELSE pg_catalog.to_jsonb(u.value)"  \
	" END) FROM ROWS FROM (pg_catalog.unnest(l.columns), pg_catalog.unnest(l.types),"     \
	" pg_catalog.unnest(" image ")) u (name, type, value))"

static ArrayType *
first_array(const CatalogRows *rows)
{
	bool isnull;
	Datum array = catalog_datum(rows, 0, 1, &isnull);

	return isnull ? NULL : DatumGetArrayTypeP(array);
}

ArrayType *
quarantined_images(int32 target_id, int32 constraint_id)
{
	return first_array(
		CATALOG_EXECUTE("SELECT pg_catalog.array_agg(" IMAGE_OBJECT(
							"q.image") " ORDER BY q.quarantine_id) FROM depipe.quarantined_row q"
									   " JOIN depipe.row_layout l USING (layout_id)"
									   " WHERE q.target_id OPERATOR(pg_catalog.=) $1"
									   " AND NOT q.discarded AND ($2 OPERATOR(pg_catalog.=) 0"
									   " OR $2 OPERATOR(pg_catalog.=) ANY (q.constraint_ids))",
						ARG_INT4(target_id),
						ARG_INT4(constraint_id)));
}

ArrayType *
parked_images(int32 target_id)
{
	return first_array(
		CATALOG_EXECUTE("SELECT pg_catalog.array_agg(" IMAGE_OBJECT(
							"p.image") " ORDER BY p.item) FROM depipe.parked_item p"
									   " JOIN depipe.row_layout l USING (layout_id)"
									   " WHERE p.target_id OPERATOR(pg_catalog.=) $1"
									   " AND p.kind OPERATOR(pg_catalog.=) 'row'"
									   " AND p.weight OPERATOR(pg_catalog.>) 0"
									   " AND COALESCE(pg_catalog.cardinality(p.unknown), 0)"
									   " OPERATOR(pg_catalog.=) 0",
						ARG_INT4(target_id)));
}
