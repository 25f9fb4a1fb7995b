/*-------------------------------------------------------------------------
 *
 * captures.c
 *		Statements on captures and their change tables.
 *
 * Change tables are created and dropped at run time.  They are in the schema
 * of the extension and are its members: no dump contains them, and DROP
 * EXTENSION drops them.
 *
 * A writer of an input reads the two tables of captures during its statement.
 * They are read like system catalogs: by index, under the latest snapshot,
 * without SQL and without privileges.
 *
 *-------------------------------------------------------------------------
 */
#include "catalog/captures.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_proc.h"
#include "commands/extension.h"
#include "core/identity.h"
#include "core/sqltext.h"
#include "storage/lmgr.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/* column numbers of capture_member and capture, for reading without SQL */
#define MEMBER_RELID 1
#define MEMBER_CAPTURE 2
#define ROW_CAPTURE_ID 1
#define ROW_SEGMENT_1 7
#define ROW_CURRENT 9
#define ROW_READS 14

/* ---- captures ---- */

/* True if the capture has columns that no registered use reads */
#define HAS_EXCESS                                                           \
	"CASE WHEN c.reads IS NULL THEN NOT EXISTS (SELECT"                      \
	" FROM depipe.capture_use w WHERE w.reads IS NULL"                       \
	" AND w.capture_id OPERATOR(pg_catalog.=) c.capture_id)"                 \
	" ELSE EXISTS (SELECT FROM pg_catalog.unnest(c.reads) r (name)"          \
	" WHERE NOT EXISTS (SELECT FROM depipe.capture_use w"                    \
	" WHERE w.capture_id OPERATOR(pg_catalog.=) c.capture_id"                \
	" AND (w.reads IS NULL OR r.name OPERATOR(pg_catalog.=) ANY (w.reads)))" \
	") END"

#define CAPTURE_ROW(used, reads)                                                                 \
	"SELECT c.capture_id, c.relid, c.incarnation, c.reason, c.segment_1,"                        \
	" c.segment_2, c.current::integer, c.columns, c.members, c.files, c.triggers,"               \
	" ARRAY(SELECT m.relid FROM depipe.capture_member m"                                         \
	" WHERE m.capture_id OPERATOR(pg_catalog.=)"                                                 \
	" c.capture_id), " used ", c.since_xid, c.reads IS NULL, c.reads, " reads " IS NULL, " reads \
	", c.shrunk, " HAS_EXCESS " FROM depipe.capture c"

#define USED_BY_OR_OF                                      \
	" LEFT JOIN depipe.capture_use u"                      \
	" ON u.capture_id OPERATOR(pg_catalog.=) c.capture_id" \
	" AND u.target_id OPERATOR(pg_catalog.=) $2"           \
	" WHERE c.relid OPERATOR(pg_catalog.=) ANY ($1)"       \
	" OR u.target_id IS NOT NULL"

CatalogRows *
captures_select_all(void)
{
	return CATALOG_EXECUTE0(CAPTURE_ROW("false", "NULL::text[]"));
}

CatalogRows *
captures_select(List *relids, int32 target_id)
{
	return CATALOG_EXECUTE(CAPTURE_ROW("u.target_id IS NOT NULL", "u.reads") USED_BY_OR_OF,
						   ARG_OID_ARRAY(relids),
						   ARG_INT4(target_id));
}

void
capture_lock(Oid relid)
{
	Oid table = get_relname_relid("capture", get_namespace_oid(DEPIPE_SCHEMA, false));

	LockDatabaseObject(table, relid, 0, ShareUpdateExclusiveLock);
}

bool
table_is_held_long(Oid relid, int milliseconds)
{
	return CATALOG_EXECUTE("SELECT FROM pg_catalog.pg_locks l"
						   " LEFT JOIN pg_catalog.pg_stat_activity a USING (pid)"
						   " WHERE l.locktype OPERATOR(pg_catalog.=) 'relation' AND l.granted"
						   " AND l.relation OPERATOR(pg_catalog.=) $1"
						   " AND l.database OPERATOR(pg_catalog.=) (SELECT d.oid"
						   " FROM pg_catalog.pg_database d WHERE d.datname"
						   " OPERATOR(pg_catalog.=) pg_catalog.current_database())"
						   " AND l.mode NOT IN ('AccessShareLock', 'RowShareLock', 'SIReadLock')"
						   " AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()"
						   " AND (l.pid IS NULL OR a.xact_start OPERATOR(pg_catalog.<)"
						   " (pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-)"
						   " pg_catalog.make_interval(secs => $2 / 1000.0))) LIMIT 1",
						   ARG_OID(relid),
						   ARG_INT4(milliseconds))
			   ->count > 0;
}

/* Create a change table.  The columns are numbered in capture/change_table.c. */
static Oid
make_table(int64 capture_id, int number)
{
	char *name = psprintf("change_" INT64_FORMAT "_%d", capture_id, number);
	Oid schema = get_namespace_oid(DEPIPE_SCHEMA, false);
	ObjectAddress table;
	ObjectAddress extension;

	execute_as_extension(
		psprintf("CREATE UNLOGGED TABLE %s (xid xid8 NOT NULL, sequence bigint NOT NULL,"
				 " relid oid NOT NULL, kind \"char\" NOT NULL, nimages integer NOT NULL,"
				 " images bytea) USING heap WITH (toast_tuple_target = 8160,"
				 " autovacuum_enabled = off, toast.autovacuum_enabled = off)"
				 " TABLESPACE pg_default;"
				 "ALTER TABLE %s ALTER COLUMN images SET STORAGE EXTERNAL",
				 sql_table(DEPIPE_SCHEMA, name),
				 sql_table(DEPIPE_SCHEMA, name)));
	ObjectAddressSet(table, RelationRelationId, get_relname_relid(name, schema));
	ObjectAddressSet(extension, ExtensionRelationId, get_extension_oid("depipe", false));
	recordDependencyOn(&table, &extension, DEPENDENCY_EXTENSION);
	CommandCounterIncrement();
	return table.objectId;
}

static void
store_members(int64 capture_id, List *relids)
{
	(void) CATALOG_EXECUTE("DELETE FROM depipe.capture_member"
						   " WHERE capture_id OPERATOR(pg_catalog.=) $1"
						   " AND relid OPERATOR(pg_catalog.<>) ALL ($2)",
						   ARG_INT8(capture_id),
						   ARG_OID_ARRAY(relids));
	(void) CATALOG_EXECUTE("INSERT INTO depipe.capture_member (relid, capture_id)"
						   " SELECT m.relid, $1 FROM pg_catalog.unnest($2) m (relid)"
						   " ON CONFLICT (relid) DO NOTHING",
						   ARG_INT8(capture_id),
						   ARG_OID_ARRAY(relids));
}

static CatalogArg
reads_arg(const ReadColumns *reads)
{
	if (reads->all)
		return ARG_NULL(TEXTARRAYOID);
	if (reads->names == NIL)
		return ARG_DATUM(TEXTARRAYOID, PointerGetDatum(construct_empty_array(TEXTOID)));
	return ARG_TEXT_ARRAY(reads->names);
}

int64
capture_create(Oid relid, const CaptureBasis *basis, const ReadColumns *reads)
{
	int64 id = catalog_int8(CATALOG_EXECUTE0("SELECT pg_catalog.nextval('depipe.capture_id_seq')"),
							0,
							1);
	Oid first = make_table(id, 1);
	Oid second = make_table(id, 2);

	(void) CATALOG_EXECUTE("INSERT INTO depipe.capture (capture_id, relid, segment_1, segment_2,"
						   " columns, members, files, triggers, reads)"
						   " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
						   ARG_INT8(id),
						   ARG_OID(relid),
						   ARG_OID(first),
						   ARG_OID(second),
						   ARG_TEXT(basis->columns),
						   ARG_TEXT(basis->members),
						   ARG_TEXT(basis->files),
						   ARG_TEXT(basis->triggers),
						   reads_arg(reads));
	store_members(id, basis->relids);
	return id;
}

void
capture_renew(int64 capture_id, const CaptureBasis *basis, const ReadColumns *reads,
			  const char *reason)
{
	(void) CATALOG_EXECUTE(
		"UPDATE depipe.capture"
		" SET incarnation = pg_catalog.nextval('depipe.capture_id_seq'),"
		" since = pg_catalog.clock_timestamp(), since_xid = pg_catalog.pg_current_xact_id(),"
		" reason = $2, columns = $3, members = $4,"
		" files = $5, triggers = $6, reads = $7, shrunk = false"
		" WHERE capture_id OPERATOR(pg_catalog.=) $1",
		ARG_INT8(capture_id),
		ARG_TEXT(reason),
		ARG_TEXT(basis->columns),
		ARG_TEXT(basis->members),
		ARG_TEXT(basis->files),
		ARG_TEXT(basis->triggers),
		reads_arg(reads));
	store_members(capture_id, basis->relids);
}

void
capture_widen(int64 capture_id, const ReadColumns *reads)
{
	(void) CATALOG_EXECUTE("UPDATE depipe.capture SET reads = $2"
						   " WHERE capture_id OPERATOR(pg_catalog.=) $1",
						   ARG_INT8(capture_id),
						   reads_arg(reads));
}

void
capture_shrink(int64 capture_id)
{
	(void) CATALOG_EXECUTE("UPDATE depipe.capture c SET shrunk = true, reads = CASE WHEN NOT EXISTS"
						   " (SELECT FROM depipe.capture_use u WHERE u.reads IS NULL"
						   " AND u.capture_id OPERATOR(pg_catalog.=) c.capture_id)"
						   " THEN ARRAY(SELECT DISTINCT r.name FROM depipe.capture_use u,"
						   " pg_catalog.unnest(u.reads) r (name)"
						   " WHERE u.capture_id OPERATOR(pg_catalog.=) c.capture_id ORDER BY 1)"
						   " END WHERE c.capture_id OPERATOR(pg_catalog.=) $1 AND " HAS_EXCESS,
						   ARG_INT8(capture_id));
}

void
captures_renew_all(const char *reason)
{
	(void) CATALOG_EXECUTE("UPDATE depipe.capture"
						   " SET incarnation = pg_catalog.nextval('depipe.capture_id_seq'),"
						   " since = pg_catalog.clock_timestamp(),"
						   " since_xid = pg_catalog.pg_current_xact_id(), reason = $1",
						   ARG_TEXT(reason));
}

void
captures_set_used(int32 target_id, List *capture_ids)
{
	(void) CATALOG_EXECUTE("DELETE FROM depipe.capture_use"
						   " WHERE target_id OPERATOR(pg_catalog.=) $1"
						   " AND capture_id OPERATOR(pg_catalog.<>) ALL ($2)",
						   ARG_INT4(target_id),
						   ARG_INT8_ARRAY(capture_ids));
}

void
capture_set_use(int64 capture_id, int32 target_id, const ReadColumns *reads)
{
	(void) CATALOG_EXECUTE("INSERT INTO depipe.capture_use AS u (capture_id, target_id, reads)"
						   " VALUES ($1, $2, $3) ON CONFLICT (capture_id, target_id)"
						   " DO UPDATE SET reads = EXCLUDED.reads"
						   " WHERE u.reads IS DISTINCT FROM EXCLUDED.reads",
						   ARG_INT8(capture_id),
						   ARG_INT4(target_id),
						   reads_arg(reads));
}

bool
capture_has_members(Oid relid, List *members)
{
	return CATALOG_EXECUTE("SELECT FROM depipe.capture_member m"
						   " JOIN depipe.capture c USING (capture_id)"
						   " WHERE m.relid OPERATOR(pg_catalog.=) ANY ($2)"
						   " AND c.relid OPERATOR(pg_catalog.<>) $1",
						   ARG_OID(relid),
						   ARG_OID_ARRAY(members))
			   ->count > 0;
}

static List *
oids_of(const CatalogRows *rows)
{
	List *oids = NIL;

	for (uint64 i = 0; i < rows->count; i++)
		oids = lappend_oid(oids, catalog_oid(rows, i, 1));
	return oids;
}

#define IS_UNUSED                                              \
	"(NOT EXISTS (SELECT FROM depipe.capture_use u"            \
	" WHERE u.capture_id OPERATOR(pg_catalog.=) x.capture_id)" \
	" OR NOT EXISTS (SELECT FROM pg_catalog.pg_class c"        \
	" WHERE c.oid OPERATOR(pg_catalog.=) x.relid))"

List *
captures_delete_unused(void)
{
	List *relids = oids_of(CATALOG_EXECUTE0("SELECT m.relid FROM depipe.capture x"
											" JOIN depipe.capture_member m USING (capture_id)"
											" WHERE " IS_UNUSED));

	if (relids != NIL)
		(void) CATALOG_EXECUTE0("DELETE FROM depipe.capture x WHERE " IS_UNUSED);
	return relids;
}

CatalogRows *
captures_select_stray_triggers(void)
{
	return CATALOG_EXECUTE(
		"SELECT t.oid, t.tgrelid FROM pg_catalog.pg_depend d"
		" JOIN pg_catalog.pg_trigger t ON t.oid OPERATOR(pg_catalog.=) d.objid"
		" WHERE d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::regclass"
		" AND d.refobjid OPERATOR(pg_catalog.=) $1"
		" AND d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_trigger'::regclass"
		" AND NOT EXISTS (SELECT FROM depipe.capture_member m"
		" WHERE m.relid OPERATOR(pg_catalog.=) t.tgrelid) ORDER BY t.tgrelid, t.oid",
		ARG_OID(capture_function()));
}

CatalogRows *
captures_select_stray_tables(void)
{
	return CATALOG_EXECUTE(
		"SELECT c.oid FROM pg_catalog.pg_depend d"
		" JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) d.objid"
		" WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::regclass"
		" AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::regclass"
		" AND d.refobjid OPERATOR(pg_catalog.=) $1 AND d.deptype OPERATOR(pg_catalog.=) 'e'"
		" AND c.relkind OPERATOR(pg_catalog.=) 'r'"
		" AND c.relname OPERATOR(pg_catalog.~) '^change_[0-9]+_[12]$' AND NOT EXISTS ("
		"SELECT FROM depipe.capture x WHERE c.oid IN (x.segment_1, x.segment_2)) ORDER BY c.oid",
		ARG_OID(get_extension_oid("depipe", false)));
}

/* ---- change tables ---- */

void
capture_truncate(Oid segment)
{
	execute_as_extension(psprintf("TRUNCATE %s", sql_relation(segment)));
}

void
capture_drop_table(Oid segment)
{
	char *name = sql_relation(segment);

	(void) deleteDependencyRecordsForClass(RelationRelationId,
										   segment,
										   ExtensionRelationId,
										   DEPENDENCY_EXTENSION);
	CommandCounterIncrement();
	execute_as_extension(psprintf("DROP TABLE %s", name));
}

void
capture_set_current(int64 capture_id, int current)
{
	(void) CATALOG_EXECUTE("UPDATE depipe.capture SET current = $2::smallint"
						   " WHERE capture_id OPERATOR(pg_catalog.=) $1",
						   ARG_INT8(capture_id),
						   ARG_INT4(current));
}

CatalogRows *
capture_select_frontiers(int64 incarnation)
{
	return CATALOG_EXECUTE("SELECT frontier_snapshot::text, frontier_xid::text, frontier_sequence"
						   " FROM depipe.transform_state"
						   " WHERE $1 OPERATOR(pg_catalog.=) ANY (frontier_captures)",
						   ARG_INT8(incarnation));
}

/* ---- reading without SQL ---- */

/*
 * Returns the row of the table whose key column has this value, or NULL if
 * there is none.  Sets *desc to the row type of the table.  Both are allocated
 * in the current memory context.
 */
static HeapTuple
find_row(const char *table_name, const char *index_name, Oid function, Datum key, TupleDesc *desc)
{
	Oid schema = get_namespace_oid(DEPIPE_SCHEMA, true);
	Oid table = OidIsValid(schema) ? get_relname_relid(table_name, schema) : InvalidOid;
	Oid index = OidIsValid(schema) ? get_relname_relid(index_name, schema) : InvalidOid;
	Relation rel = OidIsValid(table) && OidIsValid(index) ? try_table_open(table, AccessShareLock)
														  : NULL;
	ScanKeyData scankey;
	SysScanDesc scan;
	HeapTuple tuple;

	if (rel == NULL)
		return NULL;
	ScanKeyInit(&scankey, 1, BTEqualStrategyNumber, function, key);
	scan = systable_beginscan(rel, index, true, NULL, 1, &scankey);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		tuple = heap_copytuple(tuple);
	*desc = CreateTupleDescCopy(RelationGetDescr(rel));
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return tuple;
}

static HeapTuple
find_capture(int64 capture_id, TupleDesc *desc)
{
	return find_row("capture", "capture_pkey", F_INT8EQ, Int64GetDatum(capture_id), desc);
}

static void
take_reads(HeapTuple capture, TupleDesc desc, ReadColumns *reads)
{
	Datum names = heap_getattr(capture, ROW_READS, desc, &reads->all);
	Datum *elements;
	int count;

	reads->names = NIL;
	if (reads->all)
		return;
	deconstruct_array(DatumGetArrayTypeP(names),
					  TEXTOID,
					  -1,
					  false,
					  TYPALIGN_INT,
					  &elements,
					  NULL,
					  &count);
	for (int i = 0; i < count; i++)
		reads->names = lappend(reads->names, TextDatumGetCString(elements[i]));
}

bool
capture_reads_now(int64 capture_id, ReadColumns *reads)
{
	TupleDesc desc;
	HeapTuple capture = find_capture(capture_id, &desc);

	if (capture != NULL)
		take_reads(capture, desc, reads);
	return capture != NULL;
}

bool
capture_of_member(Oid relid, Oid segments[2], ReadColumns *reads)
{
	bool isnull;
	TupleDesc desc;
	HeapTuple member =
		find_row("capture_member", "capture_member_pkey", F_OIDEQ, ObjectIdGetDatum(relid), &desc);
	HeapTuple capture = member == NULL
							? NULL
							: find_capture(DatumGetInt64(
											   heap_getattr(member, MEMBER_CAPTURE, desc, &isnull)),
										   &desc);
	int first;

	if (capture == NULL)
		return false;
	first = DatumGetInt16(heap_getattr(capture, ROW_CURRENT, desc, &isnull)) - 1;
	segments[0] = DatumGetObjectId(heap_getattr(capture, ROW_SEGMENT_1 + first, desc, &isnull));
	segments[1] = DatumGetObjectId(heap_getattr(capture, ROW_SEGMENT_1 + 1 - first, desc, &isnull));
	take_reads(capture, desc, reads);
	return true;
}

Oid
trigger_function(const char *name)
{
	Oid schema = get_namespace_oid(DEPIPE_SCHEMA, true);
	oidvector *arguments = buildoidvector(NULL, 0);

	return OidIsValid(schema) ? GetSysCacheOid3(PROCNAMEARGSNSP,
												Anum_pg_proc_oid,
												CStringGetDatum(name),
												PointerGetDatum(arguments),
												ObjectIdGetDatum(schema))
							  : InvalidOid;
}
