/*-------------------------------------------------------------------------
 *
 * captures.c
 *		Statements on the captures of inputs, and on their change tables.
 *
 * Change tables are made and dropped at run time, in the extension's schema and
 * as its members: no dump has them, and DROP EXTENSION takes them along.
 *
 * Whoever writes an input reads the two tables of captures here, in the middle
 * of his statement.  That is done as the server reads its catalogs: by index,
 * under the latest snapshot, without a statement and without privileges.
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

/* column numbers, for reading without a statement */
#define MEMBER_RELID 1
#define MEMBER_CAPTURE 2
#define ROW_CAPTURE_ID 1
#define ROW_SEGMENT_1 7
#define ROW_CURRENT 9

/* ---- captures ---- */

#define CAPTURE_ROW(used)                                                          \
	"SELECT c.capture_id, c.relid, c.incarnation, c.reason, c.segment_1,"          \
	" c.segment_2, c.current::integer, c.columns, c.members, c.files, c.triggers," \
	" ARRAY(SELECT m.relid FROM depipe.capture_member m"                           \
	" WHERE m.capture_id OPERATOR(pg_catalog.=)"                                   \
	" c.capture_id), " used ", c.since_xid FROM depipe.capture c"

#define USED_BY_OR_OF                                      \
	" LEFT JOIN depipe.capture_use u"                      \
	" ON u.capture_id OPERATOR(pg_catalog.=) c.capture_id" \
	" AND u.target_id OPERATOR(pg_catalog.=) $2"           \
	" WHERE c.relid OPERATOR(pg_catalog.=) ANY ($1)"       \
	" OR u.target_id IS NOT NULL"

CatalogRows *
captures_select_all(void)
{
	return CATALOG_EXECUTE0(CAPTURE_ROW("false"));
}

CatalogRows *
captures_select(List *relids, int32 target_id)
{
	return CATALOG_EXECUTE(CAPTURE_ROW("u.target_id IS NOT NULL") USED_BY_OR_OF,
						   ARG_OID_ARRAY(relids),
						   ARG_INT4(target_id));
}

void
capture_lock(Oid relid)
{
	Oid table = get_relname_relid("capture", get_namespace_oid(DEPIPE_SCHEMA, false));

	LockDatabaseObject(table, relid, 0, ShareUpdateExclusiveLock);
}

/* The columns are numbered in transform/change_table.c. */
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

int64
capture_create(Oid relid, const CaptureBasis *basis)
{
	int64 id = catalog_int8(CATALOG_EXECUTE0("SELECT pg_catalog.nextval('depipe.capture_id_seq')"),
							0,
							1);
	Oid first = make_table(id, 1);
	Oid second = make_table(id, 2);

	(void) CATALOG_EXECUTE("INSERT INTO depipe.capture (capture_id, relid, segment_1, segment_2,"
						   " columns, members, files, triggers)"
						   " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
						   ARG_INT8(id),
						   ARG_OID(relid),
						   ARG_OID(first),
						   ARG_OID(second),
						   ARG_TEXT(basis->columns),
						   ARG_TEXT(basis->members),
						   ARG_TEXT(basis->files),
						   ARG_TEXT(basis->triggers));
	store_members(id, basis->relids);
	return id;
}

void
capture_renew(int64 capture_id, const CaptureBasis *basis, const char *reason)
{
	(void) CATALOG_EXECUTE(
		"UPDATE depipe.capture"
		" SET incarnation = pg_catalog.nextval('depipe.capture_id_seq'),"
		" since = pg_catalog.clock_timestamp(), since_xid = pg_catalog.pg_current_xact_id(),"
		" reason = $2, columns = $3, members = $4,"
		" files = $5, triggers = $6 WHERE capture_id OPERATOR(pg_catalog.=) $1",
		ARG_INT8(capture_id),
		ARG_TEXT(reason),
		ARG_TEXT(basis->columns),
		ARG_TEXT(basis->members),
		ARG_TEXT(basis->files),
		ARG_TEXT(basis->triggers));
	store_members(capture_id, basis->relids);
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
	(void) CATALOG_EXECUTE("INSERT INTO depipe.capture_use (capture_id, target_id)"
						   " SELECT c.capture_id, $1 FROM pg_catalog.unnest($2) c (capture_id)"
						   " ON CONFLICT DO NOTHING",
						   ARG_INT4(target_id),
						   ARG_INT8_ARRAY(capture_ids));
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

/* ---- without a statement ---- */

/*
 * The row of the table whose key column has this value, in CurrentMemoryContext;
 * NULL: none.
 */
static Datum *
find_row(const char *table_name, const char *index_name, Oid function, Datum key)
{
	Oid schema = get_namespace_oid(DEPIPE_SCHEMA, true);
	Oid table = OidIsValid(schema) ? get_relname_relid(table_name, schema) : InvalidOid;
	Oid index = OidIsValid(schema) ? get_relname_relid(index_name, schema) : InvalidOid;
	Relation rel = OidIsValid(table) && OidIsValid(index) ? try_table_open(table, AccessShareLock)
														  : NULL;
	Datum *values = NULL;
	ScanKeyData scankey;
	SysScanDesc scan;
	HeapTuple tuple;

	if (rel == NULL)
		return NULL;
	ScanKeyInit(&scankey, 1, BTEqualStrategyNumber, function, key);
	scan = systable_beginscan(rel, index, true, NULL, 1, &scankey);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		int natts = RelationGetDescr(rel)->natts;
		bool *nulls = palloc(sizeof(bool) * natts);

		values = palloc(sizeof(Datum) * natts);
		/* only values by themselves are looked at: none points into the buffer */
		heap_deform_tuple(tuple, RelationGetDescr(rel), values, nulls);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return values;
}

bool
capture_of_member(Oid relid, Oid segments[2])
{
	Datum *member =
		find_row("capture_member", "capture_member_pkey", F_OIDEQ, ObjectIdGetDatum(relid));
	Datum *capture =
		member == NULL ? NULL
					   : find_row("capture", "capture_pkey", F_INT8EQ, member[MEMBER_CAPTURE - 1]);
	int first;

	if (capture == NULL)
		return false;
	first = DatumGetInt16(capture[ROW_CURRENT - 1]) - 1;
	segments[0] = DatumGetObjectId(capture[ROW_SEGMENT_1 - 1 + first]);
	segments[1] = DatumGetObjectId(capture[ROW_SEGMENT_1 - 1 + 1 - first]);
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
