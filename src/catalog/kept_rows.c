/*-------------------------------------------------------------------------
 *
 * kept_rows.c
 *		Parked and quarantined rows in depipe's own tables.
 *
 * Rows are stored as arrays of texts, written by output functions and read by
 * input functions, together with a layout that has the names of the columns.
 * So an image stays readable after the table has changed, and no composite
 * types of users are involved.
 *
 *-------------------------------------------------------------------------
 */
#include "catalog/kept_rows.h"

#include "core/sqltext.h"
#include "catalog/target.h"

#define TARGET_IS " WHERE target_id OPERATOR(pg_catalog.=) $1"

/* Compare the hash, which is indexed, and then the key. */
#define SAME_KEY(a, b)                                                     \
	"depipe.key_hash(" a ") OPERATOR(pg_catalog.=) depipe.key_hash(" b ")" \
	" AND " a " OPERATOR(pg_catalog.=) " b
#define ROW_IS_PREVIOUS SAME_KEY("q.row_key", "r.previous_key")
#define PREVIOUS_IS_ROW SAME_KEY("q.previous_key", "r.row_key")
#define ROW_IS_GIVEN SAME_KEY("q.row_key", "$2")
#define ROW_IS_KEY SAME_KEY("q.row_key", "k.key")
#define PREVIOUS_IS_KEY SAME_KEY("q.previous_key", "k.key")

/*
 * A count that the triggers of catalog/kept_counts.c maintain.  A target
 * without state has no row.
 */
static int64
kept_rows(const CatalogRows *rows)
{
	return rows->count == 0 ? 0 : catalog_int8(rows, 0, 1);
}

/* Describe the columns as they are stored in depipe.row_layout. */
static void
describe_layout(TupleDesc row, List **columns, List **types)
{
	*columns = *types = NIL;
	for (int i = 0; i < row->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(row, i);

		*columns = lappend(*columns, NameStr(att->attname));
		*types = lappend(*types, sql_type(att->atttypid, att->atttypmod));
	}
}

int64
catalog_layout_id(int32 target_id, TupleDesc row)
{
	List *columns;
	List *types;
	CatalogRows *rows;

	describe_layout(row, &columns, &types);
	rows = CATALOG_EXECUTE(
		"INSERT INTO depipe.row_layout (target_id, columns, types)"
		" VALUES ($1, COALESCE($2, '{}'), COALESCE($3, '{}'))"
		" ON CONFLICT (target_id, depipe.key_hash(columns), depipe.key_hash(types))"
		" DO UPDATE SET columns = EXCLUDED.columns RETURNING layout_id",
		ARG_INT4(target_id),
		ARG_TEXT_ARRAY(columns),
		ARG_TEXT_ARRAY(types));
	return catalog_int8(rows, 0, 1);
}

/* ---- parked rows ---- */

TupleDesc
catalog_park_desc(void)
{
	TupleDesc desc = CreateTemplateTupleDesc(9);

	TupleDescInitEntry(desc, 1, "item", INT8OID, -1, 0);
	TupleDescInitEntry(desc, 2, "lsn", PG_LSNOID, -1, 0);
	TupleDescInitEntry(desc, 3, "commit_time", TIMESTAMPTZOID, -1, 0);
	TupleDescInitEntry(desc, 4, "weight", INT8OID, -1, 0);
	TupleDescInitEntry(desc, 5, "image", TEXTARRAYOID, -1, 0);
	TupleDescInitEntry(desc, 6, "unknown", TEXTARRAYOID, -1, 0);
	TupleDescInitEntry(desc, 7, "pair", INT8OID, -1, 0);
	TupleDescInitEntry(desc, 8, "base_key", TEXTARRAYOID, -1, 0);
	TupleDescInitEntry(desc, 9, "before", INT2OID, -1, 0);
	return desc;
}

void
catalog_park(int32 target_id, int64 layout_id, int64 offset, XLogRecPtr batch_end, TupleDesc desc,
			 Tuplestorestate *rows, uint64 nrows)
{
	CatalogArg args[] = {ARG_INT4(target_id),
						 ARG_INT8(layout_id),
						 ARG_INT8(offset),
						 ARG_LSN(batch_end)};

	(void) catalog_execute_from("INSERT INTO depipe.parked_item (target_id, item, kind, lsn,"
								" commit_time, layout_id, weight, image, unknown, pair,"
								" base_key, batch, before, batch_end)"
								" SELECT $1, $3 OPERATOR(pg_catalog.+) r.item, 'row', r.lsn,"
								" r.commit_time, $2, r.weight, r.image, r.unknown,"
								" $3 OPERATOR(pg_catalog.+) r.pair, r.base_key, $3, r.before, $4"
								" FROM _depipe_parked r",
								lengthof(args),
								args,
								"_depipe_parked",
								desc,
								rows,
								nrows);
}

void
catalog_park_clear_item(int32 target_id, int64 item, XLogRecPtr batch_end, TimestampTz time)
{
	(void) CATALOG_EXECUTE("INSERT INTO depipe.parked_item (target_id, item, kind, batch_end,"
						   " commit_time) VALUES ($1, $2, 'clear', $3, $4)",
						   ARG_INT4(target_id),
						   ARG_INT8(item),
						   ARG_LSN(batch_end),
						   ARG_TIME(time));
}

int64
catalog_parked_count(int32 target_id)
{
	return kept_rows(
		CATALOG_EXECUTE("SELECT parked FROM depipe.target_state" TARGET_IS, ARG_INT4(target_id)));
}

int64
catalog_parked_last_item(int32 target_id)
{
	return catalog_int8(CATALOG_EXECUTE("SELECT pg_catalog.max(item)"
										" FROM depipe.parked_item" TARGET_IS,
										ARG_INT4(target_id)),
						0,
						1);
}

#define PARKED                                                                           \
	"SELECT p.item, p.kind, p.lsn, p.commit_time, l.columns, p.weight, p.image,"         \
	" p.unknown, o.image, p.base_key, p.batch, p.before::int8 FROM depipe.parked_item p" \
	" LEFT JOIN depipe.row_layout l USING (layout_id)"                                   \
	" LEFT JOIN depipe.parked_item o ON o.target_id OPERATOR(pg_catalog.=) $1"           \
	" AND o.item OPERATOR(pg_catalog.=) p.pair AND o.weight OPERATOR(pg_catalog.<) 0"    \
	" WHERE p.target_id OPERATOR(pg_catalog.=) $1 AND p.item OPERATOR(pg_catalog.>) $2"

CatalogRows *
catalog_parked(int32 target_id, int64 behind, int64 last, int most)
{
	return CATALOG_EXECUTE(PARKED " AND p.item OPERATOR(pg_catalog.<=) $4 ORDER BY p.item LIMIT $3",
						   ARG_INT4(target_id),
						   ARG_INT8(behind),
						   ARG_INT4(most),
						   ARG_INT8(last));
}

static XLogRecPtr
position_or_none(const CatalogRows *rows)
{
	return rows->count == 0 || catalog_isnull(rows, 0, 1) ? InvalidXLogRecPtr
														  : catalog_lsn(rows, 0, 1);
}

/*
 * An item without an end belongs to the next batch that has one: it is the
 * first part of a source transaction, or was parked by an earlier version.
 * Ends grow with the items.
 */
#define LAST_END                                                                                \
	"(SELECT e.batch_end FROM depipe.parked_item e WHERE e.target_id OPERATOR(pg_catalog.=) $1" \
	" AND e.batch_end IS NOT NULL ORDER BY e.item DESC LIMIT 1)"

XLogRecPtr
catalog_parked_bite_end(int32 target_id, int64 bytes)
{
	return position_or_none(CATALOG_EXECUTE(
		"SELECT s.batch_end FROM (SELECT p.item, p.batch_end,"
		/* a TRUNCATE has no image */
		" pg_catalog.sum(COALESCE(pg_catalog.pg_column_size(p.image), 1))"
		" OVER (ORDER BY p.item ROWS UNBOUNDED PRECEDING) AS bytes"
		" FROM depipe.parked_item p" TARGET_IS ") s"
		" WHERE s.bytes OPERATOR(pg_catalog.>=) $2 AND s.batch_end IS NOT NULL"
		" AND s.batch_end OPERATOR(pg_catalog.<) " LAST_END " ORDER BY s.item LIMIT 1",
		ARG_INT4(target_id),
		ARG_INT8(bytes)));
}

int64
catalog_parked_bite_last(int32 target_id, XLogRecPtr end)
{
	CatalogRows *rows = CATALOG_EXECUTE(
		"SELECT p.item FROM depipe.parked_item p" TARGET_IS
		" AND p.batch_end IS NOT NULL AND p.item OPERATOR(pg_catalog.<)"
		" COALESCE((SELECT n.item FROM depipe.parked_item n"
		" WHERE n.target_id OPERATOR(pg_catalog.=) $1"
		" AND n.batch_end OPERATOR(pg_catalog.>) $2 ORDER BY n.item LIMIT 1),"
		" 9223372036854775807) ORDER BY p.item DESC LIMIT 1",
		ARG_INT4(target_id),
		ARG_LSN(end));

	return rows->count == 0 ? PG_INT64_MIN : catalog_int8(rows, 0, 1);
}

XLogRecPtr
catalog_parked_end(int32 target_id)
{
	return position_or_none(CATALOG_EXECUTE("SELECT p.batch_end FROM depipe.parked_item p" TARGET_IS
											" ORDER BY p.item DESC LIMIT 1",
											ARG_INT4(target_id)));
}

/* The items of a batch are adjacent, so the scan stops at the first item of another batch. */
CatalogRows *
catalog_parked_partial(int32 target_id, int64 batch, int64 behind, int natts, int most)
{
	return CATALOG_EXECUTE(PARKED
						   " AND p.batch OPERATOR(pg_catalog.=) $4"
						   " AND p.item OPERATOR(pg_catalog.<) COALESCE((SELECT n.item FROM"
						   " depipe.parked_item n WHERE n.target_id OPERATOR(pg_catalog.=) $1"
						   " AND n.item OPERATOR(pg_catalog.>) $2 AND n.batch IS DISTINCT FROM $4"
						   " ORDER BY n.item LIMIT 1), 9223372036854775807)"
						   " AND p.weight OPERATOR(pg_catalog.>) 0 AND (p.unknown IS NOT NULL"
						   " OR pg_catalog.cardinality(l.columns) OPERATOR(pg_catalog.<) $5)"
						   " ORDER BY p.item LIMIT $3",
						   ARG_INT4(target_id),
						   ARG_INT8(behind),
						   ARG_INT4(most),
						   ARG_INT8(batch),
						   ARG_INT4(natts));
}

int64 *
catalog_parked_old_halves(int32 target_id, int64 last, int *count)
{
	CatalogRows *rows = CATALOG_EXECUTE("SELECT pg_catalog.array_agg(p.pair ORDER BY p.pair)"
										" FROM depipe.parked_item p"
										" WHERE p.target_id OPERATOR(pg_catalog.=) $1"
										" AND p.pair IS NOT NULL"
										" AND p.item OPERATOR(pg_catalog.<=) $2",
										ARG_INT4(target_id),
										ARG_INT8(last));
	bool isnull;
	Datum pairs = catalog_datum(rows, 0, 1, &isnull);
	ArrayType *array;

	*count = 0;
	if (isnull)
		return NULL;
	array = DatumGetArrayTypeP(pairs);
	*count = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	return (int64 *) ARR_DATA_PTR(array); /* no NULLs, so the data is a plain array */
}

void
catalog_parked_delete(int32 target_id)
{
	(void) CATALOG_EXECUTE("DELETE FROM depipe.parked_item" TARGET_IS, ARG_INT4(target_id));
}

void
catalog_parked_delete_until(int32 target_id, int64 last)
{
	(void) CATALOG_EXECUTE("DELETE FROM depipe.parked_item" TARGET_IS
						   " AND item OPERATOR(pg_catalog.<=) $2",
						   ARG_INT4(target_id),
						   ARG_INT8(last));
}

/* ---- quarantined rows ---- */

TupleDesc
catalog_quarantine_desc(void)
{
	TupleDesc desc = CreateTemplateTupleDesc(8);

	TupleDescInitEntry(desc, 1, "row_key", TEXTARRAYOID, -1, 0);
	TupleDescInitEntry(desc, 2, "image", TEXTARRAYOID, -1, 0);
	TupleDescInitEntry(desc, 3, "constraint_ids", INT4ARRAYOID, -1, 0);
	TupleDescInitEntry(desc, 4, "lsn", PG_LSNOID, -1, 0);
	TupleDescInitEntry(desc, 5, "commit_time", TIMESTAMPTZOID, -1, 0);
	TupleDescInitEntry(desc, 6, "previous_key", TEXTARRAYOID, -1, 0);
	TupleDescInitEntry(desc, 7, "row_hash", INT8OID, -1, 0);
	TupleDescInitEntry(desc, 8, "previous_hash", INT8OID, -1, 0);
	return desc;
}

/*
 * Quarantine rows.  If the previous key of a row is itself in quarantine, the
 * row replaces that one and inherits its previous key, which is the key of the
 * row still in the target.  Otherwise its previous key is the key of its old
 * row, if any.
 *
 * A row of the target belongs to the row that is now quarantined under its
 * key.  So that key is no longer the previous key of any other quarantined
 * row; otherwise releasing the one would delete the other.
 */
void
catalog_quarantine(int32 target_id, int64 layout_id, int64 run_id, TupleDesc desc,
				   Tuplestorestate *rows, uint64 nrows)
{
	CatalogArg args[] = {ARG_INT4(target_id), ARG_INT8(layout_id), ARG_INT8(run_id)};

	(void) catalog_execute_from(
		"WITH moved AS (DELETE FROM depipe.quarantined_row q USING _depipe_quarantined r"
		" WHERE q.target_id OPERATOR(pg_catalog.=) $1"
		" AND " ROW_IS_PREVIOUS " RETURNING q.row_key, q.previous_key,"
		" q.previous_hash)"
		" INSERT INTO depipe.quarantined_row AS q (target_id, layout_id, row_key, image,"
		" constraint_ids, reasons, lsn, commit_time, previous_key, run_id, row_hash,"
		" previous_hash)"
		" SELECT $1, $2, r.row_key, r.image, r.constraint_ids,"
		" ARRAY(SELECT c.name::text FROM depipe.constraint_definition c"
		" WHERE c.constraint_id OPERATOR(pg_catalog.=) ANY (r.constraint_ids) ORDER BY c.name),"
		" r.lsn, r.commit_time,"
		" COALESCE(m.previous_key, r.previous_key),"
		" NULLIF($3, 0), r.row_hash, COALESCE(m.previous_hash, r.previous_hash)"
		" FROM _depipe_quarantined r LEFT JOIN moved m"
		" ON m.row_key OPERATOR(pg_catalog.=) r.previous_key"
		" ON CONFLICT (target_id, depipe.key_hash(row_key)) DO UPDATE SET"
		" layout_id = EXCLUDED.layout_id, image = EXCLUDED.image,"
		" constraint_ids = EXCLUDED.constraint_ids, reasons = EXCLUDED.reasons,"
		" lsn = EXCLUDED.lsn, commit_time = EXCLUDED.commit_time,"
		" previous_key = COALESCE(EXCLUDED.previous_key, q.previous_key),"
		" row_hash = EXCLUDED.row_hash,"
		" previous_hash = COALESCE(EXCLUDED.previous_hash, q.previous_hash),"
		" run_id = EXCLUDED.run_id, retry = false, discarded = false,"
		" quarantined_at = pg_catalog.clock_timestamp()",
		lengthof(args),
		args,
		"_depipe_quarantined",
		desc,
		rows,
		nrows);
	(void) catalog_execute_from("UPDATE depipe.quarantined_row q SET previous_key = NULL"
								" FROM _depipe_quarantined r"
								" WHERE q.target_id OPERATOR(pg_catalog.=) $1"
								" AND " PREVIOUS_IS_ROW,
								1,
								args,
								"_depipe_quarantined",
								desc,
								rows,
								nrows);
}

int64
catalog_quarantine_count(int32 target_id)
{
	return kept_rows(CATALOG_EXECUTE("SELECT quarantined FROM depipe.target_state" TARGET_IS,
									 ARG_INT4(target_id)));
}

CatalogRows *
catalog_quarantined_image(int32 target_id, ArrayType *key)
{
	return CATALOG_EXECUTE("SELECT l.columns, q.image FROM depipe.quarantined_row q"
						   " JOIN depipe.row_layout l USING (layout_id)"
						   " WHERE q.target_id OPERATOR(pg_catalog.=) $1"
						   " AND " ROW_IS_GIVEN,
						   ARG_INT4(target_id),
						   ARG_DATUM(TEXTARRAYOID, PointerGetDatum(key)));
}

CatalogRows *
catalog_quarantined_images(int32 target_id, TupleDesc row)
{
	List *columns;
	List *types;

	describe_layout(row, &columns, &types);
	return CATALOG_EXECUTE(
		"SELECT l.columns OPERATOR(pg_catalog.=) $2"
		" AND l.types OPERATOR(pg_catalog.=) $3, q.image"
		" FROM depipe.quarantined_row q JOIN depipe.row_layout l USING (layout_id)"
		" WHERE q.target_id OPERATOR(pg_catalog.=) $1",
		ARG_INT4(target_id),
		ARG_TEXT_ARRAY(columns),
		ARG_TEXT_ARRAY(types));
}

TupleDesc
catalog_keys_desc(void)
{
	TupleDesc desc = CreateTemplateTupleDesc(3);

	TupleDescInitEntry(desc, 1, "key", TEXTARRAYOID, -1, 0);
	TupleDescInitEntry(desc, 2, "present", BOOLOID, -1, 0);
	TupleDescInitEntry(desc, 3, "sequence", INT8OID, -1, 0);
	return desc;
}

TupleDesc
catalog_hashes_desc(void)
{
	TupleDesc desc = CreateTemplateTupleDesc(1);

	TupleDescInitEntry(desc, 1, "hash", INT8OID, -1, 0);
	return desc;
}

CatalogRows *
catalog_quarantine_named(int32 target_id, TupleDesc desc, Tuplestorestate *hashes, uint64 nhashes)
{
	CatalogArg args[] = {ARG_INT4(target_id)};

	return catalog_execute_from("SELECT q.row_key FROM depipe.quarantined_row q"
								" JOIN _depipe_hashes h ON h.hash OPERATOR(pg_catalog.=) q.row_hash"
								" WHERE q.target_id OPERATOR(pg_catalog.=) $1"
								" UNION SELECT q.previous_key FROM depipe.quarantined_row q"
								" JOIN _depipe_hashes h"
								" ON h.hash OPERATOR(pg_catalog.=) q.previous_hash"
								" WHERE q.target_id OPERATOR(pg_catalog.=) $1"
								" AND q.previous_key IS NOT NULL",
								lengthof(args),
								args,
								"_depipe_hashes",
								desc,
								hashes,
								nhashes);
}

/* Run a statement about the quarantined rows of a target ($1) and keys (k). */
static CatalogRows *
execute_for_keys(const char *sql, int32 target_id, TupleDesc desc, Tuplestorestate *keys,
				 uint64 nkeys)
{
	CatalogArg args[] = {ARG_INT4(target_id)};

	return catalog_execute_from(sql, lengthof(args), args, "_depipe_keys", desc, keys, nkeys);
}

CatalogRows *
catalog_quarantine_meets(int32 target_id, TupleDesc desc, Tuplestorestate *rows, uint64 nrows)
{
	return execute_for_keys(
		"SELECT k.sequence FROM _depipe_keys k WHERE EXISTS (SELECT FROM depipe.quarantined_row q"
		" WHERE q.target_id OPERATOR(pg_catalog.=) $1 AND " ROW_IS_KEY ")"
		" OR EXISTS (SELECT FROM depipe.quarantined_row q"
		" WHERE q.target_id OPERATOR(pg_catalog.=) $1 AND " PREVIOUS_IS_KEY ") ORDER BY k.sequence",
		target_id,
		desc,
		rows,
		nrows);
}

CatalogRows *
catalog_quarantine_supersede(int32 target_id, TupleDesc desc, Tuplestorestate *rows, uint64 nrows)
{
	CatalogRows *previous = execute_for_keys(
		"DELETE FROM depipe.quarantined_row q USING _depipe_keys k"
		" WHERE q.target_id OPERATOR(pg_catalog.=) $1 AND " ROW_IS_KEY
		" RETURNING CASE WHEN NOT EXISTS (SELECT FROM _depipe_keys o"
		" WHERE o.key OPERATOR(pg_catalog.=) q.previous_key)"
		" THEN q.previous_key END",
		target_id,
		desc,
		rows,
		nrows);

	(void) execute_for_keys("UPDATE depipe.quarantined_row q SET previous_key = NULL"
							" FROM _depipe_keys k"
							" WHERE q.target_id OPERATOR(pg_catalog.=) $1 AND k.present"
							" AND " PREVIOUS_IS_KEY,
							target_id,
							desc,
							rows,
							nrows);
	return previous;
}

TupleDesc
catalog_copies_desc(void)
{
	TupleDesc desc = CreateTemplateTupleDesc(3);

	TupleDescInitEntry(desc, 1, "number", INT8OID, -1, 0);
	TupleDescInitEntry(desc, 2, "image", TEXTARRAYOID, -1, 0);
	TupleDescInitEntry(desc, 3, "copies", INT8OID, -1, 0);
	return desc;
}

CatalogRows *
catalog_quarantine_cancel(int32 target_id, ArrayType *columns, TupleDesc desc,
						  Tuplestorestate *rows, uint64 nrows)
{
	CatalogArg args[] = {ARG_INT4(target_id), ARG_DATUM(TEXTARRAYOID, PointerGetDatum(columns))};

	return catalog_execute_from(
		"WITH found AS (SELECT q.quarantine_id, r.number, r.copies,"
		" pg_catalog.row_number() OVER (PARTITION BY r.number ORDER BY q.quarantine_id) AS n"
		" FROM depipe.quarantined_row q JOIN depipe.row_layout l USING (layout_id)"
		" JOIN _depipe_copies r ON r.image OPERATOR(pg_catalog.=) q.image"
		" WHERE q.target_id OPERATOR(pg_catalog.=) $1 AND q.row_key IS NULL"
		" AND l.columns OPERATOR(pg_catalog.=) $2),"
		" gone AS (DELETE FROM depipe.quarantined_row q USING found f"
		" WHERE q.quarantine_id OPERATOR(pg_catalog.=) f.quarantine_id"
		" AND f.n OPERATOR(pg_catalog.<=) f.copies RETURNING f.number)"
		" SELECT g.number, pg_catalog.count(*) FROM gone g GROUP BY g.number ORDER BY g.number",
		lengthof(args),
		args,
		"_depipe_copies",
		desc,
		rows,
		nrows);
}

CatalogRows *
catalog_quarantine_take_retries(int32 target_id)
{
	return CATALOG_EXECUTE("DELETE FROM depipe.quarantined_row q USING depipe.row_layout l"
						   " WHERE q.target_id OPERATOR(pg_catalog.=) $1 AND q.retry"
						   " AND l.layout_id OPERATOR(pg_catalog.=) q.layout_id"
						   " RETURNING l.columns, q.image, q.previous_key, q.lsn, q.commit_time",
						   ARG_INT4(target_id));
}

bool
catalog_quarantine_has_retries(int32 target_id)
{
	return kept_rows(CATALOG_EXECUTE("SELECT retries FROM depipe.target_state" TARGET_IS,
									 ARG_INT4(target_id))) > 0;
}

void
catalog_quarantine_delete(int32 target_id)
{
	(void) CATALOG_EXECUTE("DELETE FROM depipe.quarantined_row" TARGET_IS, ARG_INT4(target_id));
}
