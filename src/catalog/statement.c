/*-------------------------------------------------------------------------
 *
 * statement.c
 *		Statements on depipe's own tables.
 *
 * Statements are constants.  Their plans are kept for the session in a table
 * keyed by the address of the text, and run as the owner of the extension.
 * They are cheap regardless of the planner's estimates, so JIT is off.
 *
 *-------------------------------------------------------------------------
 */
#include "catalog/statement.h"

#include "access/genam.h"
#include "access/table.h"
#include "catalog/pg_extension.h"
#include "core/identity.h"
#include "core/plans.h"
#include "core/sqltext.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

typedef struct PlanEntry
{
	const char *sql; /* hash key: the address */
	SPIPlanPtr plan;
} PlanEntry;

static HTAB *plans = NULL;
static uint64 executed = 0; /* by this process */

/* ---- execution ---- */

CatalogArg
catalog_text_arg(const char *string)
{
	if (string == NULL)
		return ARG_NULL(TEXTOID);
	return ARG_DATUM(TEXTOID, CStringGetTextDatum(string));
}

CatalogArg
catalog_text_array_arg(List *strings)
{
	ArrayType *array = list_to_text_array(strings);

	if (array == NULL)
		return ARG_NULL(TEXTARRAYOID);
	return ARG_DATUM(TEXTARRAYOID, PointerGetDatum(array));
}

CatalogArg
catalog_int4_array_arg(List *numbers)
{
	int count = list_length(numbers);
	Datum *values = palloc(sizeof(Datum) * Max(count, 1));

	for (int i = 0; i < count; i++)
		values[i] = Int32GetDatum(list_nth_int(numbers, i));
	return ARG_DATUM(
		INT4ARRAYOID,
		PointerGetDatum(construct_array(values, count, INT4OID, 4, true, TYPALIGN_INT)));
}

CatalogArg
catalog_int8_array_arg(List *numbers)
{
	int count = list_length(numbers);
	Datum *values = palloc(sizeof(Datum) * Max(count, 1));

	for (int i = 0; i < count; i++)
		values[i] = Int64GetDatum(*(int64 *) list_nth(numbers, i));
	return ARG_DATUM(
		INT8ARRAYOID,
		PointerGetDatum(
			construct_array(values, count, INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE)));
}

CatalogArg
catalog_oid_array_arg(List *oids)
{
	int count = list_length(oids);
	Datum *values = palloc(sizeof(Datum) * Max(count, 1));

	for (int i = 0; i < count; i++)
		values[i] = ObjectIdGetDatum(list_nth_oid(oids, i));
	return ARG_DATUM(
		OIDARRAYOID,
		PointerGetDatum(construct_array(values, count, OIDOID, sizeof(Oid), true, TYPALIGN_INT)));
}

CatalogArg
catalog_jsonb_arg(const char *json_text)
{
	if (json_text == NULL)
		return ARG_NULL(JSONBOID);
	return ARG_DATUM(JSONBOID, DirectFunctionCall1(jsonb_in, CStringGetDatum(json_text)));
}

static SPIPlanPtr
plan_for(const char *sql, int nargs, const CatalogArg *args)
{
	PlanEntry *entry;
	bool found;
	Oid types[FUNC_MAX_ARGS];
	SPIPlanPtr plan;

	if (plans == NULL)
	{
		HASHCTL control = {0};

		control.keysize = sizeof(char *);
		control.entrysize = sizeof(PlanEntry);
		control.hcxt = TopMemoryContext;
		plans = hash_create("depipe catalog plans",
							64,
							&control,
							HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	entry = hash_search(plans, &sql, HASH_FIND, NULL);
	if (entry != NULL)
		return entry->plan;

	for (int i = 0; i < nargs; i++)
		types[i] = args[i].type;
	/* rows are found by keys, so the best plan does not depend on the values */
	plan = SPI_prepare_cursor(sql, nargs, types, CURSOR_OPT_GENERIC_PLAN);
	if (plan == NULL)
		elog(ERROR,
			 "could not prepare statement on the catalog: %s",
			 SPI_result_code_string(SPI_result));
	SPI_keepplan(plan);
	entry = hash_search(plans, &sql, HASH_ENTER, &found);
	entry->plan = plan;
	return plan;
}

static CatalogRows *
copy_result(MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	CatalogRows *rows = palloc0(sizeof(CatalogRows));

	rows->processed = SPI_processed;
	if (SPI_tuptable != NULL)
	{
		rows->desc = CreateTupleDescCopy(SPI_tuptable->tupdesc);
		rows->count = SPI_tuptable->numvals;
		rows->tuples = palloc(sizeof(HeapTuple) * Max(rows->count, 1));
		for (uint64 i = 0; i < rows->count; i++)
			rows->tuples[i] = heap_copytuple(SPI_tuptable->vals[i]);
	}
	MemoryContextSwitchTo(old);
	return rows;
}

static CatalogRows *
execute(const char *sql, int nargs, const CatalogArg *args, bool read_only, const char *relation,
		TupleDesc desc, struct Tuplestorestate *input, uint64 ninput)
{
	MemoryContext caller = CurrentMemoryContext;
	Identity identity;
	Datum values[FUNC_MAX_ARGS];
	char nulls[FUNC_MAX_ARGS];
	CatalogRows *rows;
	int result;

	Assert(nargs <= FUNC_MAX_ARGS);
	executed++;
	ereport(DEBUG3,
			(errmsg_internal("depipe: statement on its own tables: %s", sql),
			 errhidestmt(true),
			 errhidecontext(true)));
	for (int i = 0; i < nargs; i++)
	{
		values[i] = args[i].value;
		nulls[i] = args[i].isnull ? 'n' : ' ';
	}
	identity_become_extension(&identity);
	identity_without_jit();
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (relation != NULL)
		register_tuplestore(relation, desc, input, ninput);
	result = SPI_execute_plan(plan_for(sql, nargs, args), values, nulls, read_only, 0);
	if (result < 0)
		elog(ERROR, "statement on the catalog failed: %s", SPI_result_code_string(result));
	rows = copy_result(caller);
	SPI_finish();
	identity_restore(&identity);
	return rows;
}

CatalogRows *
catalog_execute_from(const char *sql, int nargs, const CatalogArg *args, const char *relation,
					 TupleDesc desc, struct Tuplestorestate *input, uint64 ninput)
{
	return execute(sql, nargs, args, false, relation, desc, input, ninput);
}

CatalogRows *
catalog_execute(const char *sql, int nargs, const CatalogArg *args)
{
	return execute(sql, nargs, args, false, NULL, NULL, NULL, 0);
}

CatalogRows *
catalog_look(const char *sql, int nargs, const CatalogArg *args)
{
	return execute(sql, nargs, args, true, NULL, NULL, NULL, 0);
}

uint64
catalog_statements_run(void)
{
	return executed;
}

/* ---- result values ---- */

Datum
catalog_datum(const CatalogRows *rows, uint64 row, int column, bool *isnull)
{
	Assert(row < rows->count && column <= rows->desc->natts);
	return heap_getattr(rows->tuples[row], column, rows->desc, isnull);
}

bool
catalog_isnull(const CatalogRows *rows, uint64 row, int column)
{
	bool isnull;

	(void) catalog_datum(rows, row, column, &isnull);
	return isnull;
}

char *
catalog_text(const CatalogRows *rows, uint64 row, int column)
{
	return SPI_getvalue(rows->tuples[row], rows->desc, column);
}

int32
catalog_int4(const CatalogRows *rows, uint64 row, int column)
{
	bool isnull;
	Datum value = catalog_datum(rows, row, column, &isnull);

	return isnull ? 0 : DatumGetInt32(value);
}

int64
catalog_int8(const CatalogRows *rows, uint64 row, int column)
{
	bool isnull;
	Datum value = catalog_datum(rows, row, column, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

bool
catalog_bool(const CatalogRows *rows, uint64 row, int column)
{
	bool isnull;
	Datum value = catalog_datum(rows, row, column, &isnull);

	return isnull ? false : DatumGetBool(value);
}

Oid
catalog_oid(const CatalogRows *rows, uint64 row, int column)
{
	bool isnull;
	Datum value = catalog_datum(rows, row, column, &isnull);

	return isnull ? InvalidOid : DatumGetObjectId(value);
}

XLogRecPtr
catalog_lsn(const CatalogRows *rows, uint64 row, int column)
{
	bool isnull;
	Datum value = catalog_datum(rows, row, column, &isnull);

	return isnull ? InvalidXLogRecPtr : DatumGetLSN(value);
}

TimestampTz
catalog_time(const CatalogRows *rows, uint64 row, int column)
{
	bool isnull;
	Datum value = catalog_datum(rows, row, column, &isnull);

	return isnull ? 0 : DatumGetTimestampTz(value);
}

List *
catalog_int8_list(const CatalogRows *rows, uint64 row, int column)
{
	bool isnull;
	Datum value = catalog_datum(rows, row, column, &isnull);
	List *list = NIL;
	Datum *elements;
	int count;

	if (isnull)
		return NIL;
	deconstruct_array(DatumGetArrayTypeP(value),
					  INT8OID,
					  8,
					  FLOAT8PASSBYVAL,
					  TYPALIGN_DOUBLE,
					  &elements,
					  NULL,
					  &count);
	for (int i = 0; i < count; i++)
	{
		int64 *number = palloc(sizeof(int64));

		*number = DatumGetInt64(elements[i]);
		list = lappend(list, number);
	}
	return list;
}

List *
catalog_oid_list(const CatalogRows *rows, uint64 row, int column)
{
	bool isnull;
	Datum value = catalog_datum(rows, row, column, &isnull);
	ArrayType *array;
	List *list = NIL;

	if (isnull)
		return NIL;
	array = DatumGetArrayTypeP(value);
	for (int i = 0; i < ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array)); i++)
		list = lappend_oid(list, ((Oid *) ARR_DATA_PTR(array))[i]);
	return list;
}

List *
catalog_text_list(const CatalogRows *rows, uint64 row, int column)
{
	bool isnull;
	Datum value = catalog_datum(rows, row, column, &isnull);

	return isnull ? NIL : text_array_to_list(DatumGetArrayTypeP(value), "array");
}

/* ---- versions ---- */

/*
 * The SQL versions that this library serves: its own, and the previous one if
 * that contains everything needed.
 */
static const char *const served_versions[] = {DEPIPE_VERSION, DEPIPE_PREVIOUS_VERSION};

static bool
is_served(const char *version)
{
	for (int i = 0; i < lengthof(served_versions); i++)
		if (served_versions[i] != NULL && strcmp(served_versions[i], version) == 0)
			return true;
	return false;
}

/*
 * Compare two versions, which are numbers with dots.  Returns a number less
 * than, equal to or greater than 0.
 */
static int
compare_versions(const char *a, const char *b)
{
	while (*a != '\0' || *b != '\0')
	{
		char *end_a;
		char *end_b;
		long part_a = strtol(a, &end_a, 10);
		long part_b = strtol(b, &end_b, 10);

		if (part_a != part_b)
			return part_a < part_b ? -1 : 1;
		if (end_a == a && end_b == b)
			return strcmp(a, b);
		a = end_a + strspn(end_a, ".");
		b = end_b + strspn(end_b, ".");
	}
	return 0;
}

/* A process keeps the library that it has loaded until it ends. */
static char *
version_hint(const char *installed)
{
	if (compare_versions(installed, DEPIPE_VERSION) < 0)
		return "Run ALTER EXTENSION depipe UPDATE.";
	if (depipe_is_preloaded)
		return "Restart the server, which has loaded the older library.";
	return "Start a new session. If that does not help, install the library of the extension's"
		   " version.";
}

/*
 * The version of the extension in this database; NULL: there is none.  Looked
 * up with each batch and each call: by the index, without a statement.
 */
static char *
installed_version(void)
{
	Relation rel = table_open(ExtensionRelationId, AccessShareLock);
	char *version = NULL;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;

	ScanKeyInit(&key,
				Anum_pg_extension_extname,
				BTEqualStrategyNumber,
				F_NAMEEQ,
				CStringGetDatum("depipe"));
	scan = systable_beginscan(rel, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		bool isnull;
		Datum value =
			heap_getattr(tuple, Anum_pg_extension_extversion, RelationGetDescr(rel), &isnull);

		version = TextDatumGetCString(value); /* the column is NOT NULL */
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return version;
}

char *
catalog_version_problem(char **hint)
{
	char *installed = installed_version();

	if (installed == NULL)
	{
		*hint = "Run CREATE EXTENSION depipe.";
		return "extension \"depipe\" is not installed in this database";
	}
	if (is_served(installed))
		return NULL;
	*hint = version_hint(installed);
	return psprintf("depipe library is version %s, but the extension is version %s",
					DEPIPE_VERSION,
					installed);
}

void
catalog_check_version(void)
{
	char *hint;
	char *problem = catalog_version_problem(&hint);

	if (problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s", problem),
				 errhint("%s", hint)));
}

char *
catalog_idle_reason(char **next)
{
	char *hint;
	char *reason = catalog_version_problem(&hint);

	if (reason != NULL)
	{
		*next = NULL;
		return psprintf("%s: %s", reason, hint);
	}
	*next = "ALTER SYSTEM SET depipe.enabled = on";
	return depipe_enabled ? NULL : "depipe.enabled is off";
}
