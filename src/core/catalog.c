/*-------------------------------------------------------------------------
 *
 * catalog.c
 *		Access to depipe's own tables: the executor, and the targets.
 *
 * Statements are constants.  Their plans are kept for the session in a table
 * keyed by the address of the text, and run as the owner of the extension.
 * They are small, whatever the planner may estimate: without JIT.
 * A definition stays with its name; target_state.relid remembers the table it
 * was last bound to, so that a rename is followed when no table of the old
 * name is left.
 *
 *-------------------------------------------------------------------------
 */
#include "core/catalog.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/async.h"
#include "commands/extension.h"
#include "core/batch.h"
#include "core/identity.h"
#include "core/sqltext.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

typedef struct PlanEntry
{
	const char *sql; /* key: the address */
	SPIPlanPtr plan;
} PlanEntry;

static HTAB *plans = NULL;

/* ---- executing ---- */

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
	/* rows are found by keys: what a plan costs does not depend on the values */
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

/* ---- values of a result ---- */

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
catalog_text_list(const CatalogRows *rows, uint64 row, int column)
{
	bool isnull;
	Datum value = catalog_datum(rows, row, column, &isnull);

	return isnull ? NIL : text_array_to_list(DatumGetArrayTypeP(value), "array");
}

/* ---- versions ---- */

/* SQL versions that this library serves: its own, and the one before if it has all that is used. */
static const char *const served_versions[] = {DEPIPE_VERSION, DEPIPE_PREVIOUS_VERSION};

static bool
is_served(const char *version)
{
	for (int i = 0; i < lengthof(served_versions); i++)
		if (served_versions[i] != NULL && strcmp(served_versions[i], version) == 0)
			return true;
	return false;
}

/* Versions are numbers with dots; returns less than, equal to or greater than 0. */
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

/* A library that is loaded stays until its process ends. */
static char *
version_hint(const char *installed)
{
	if (compare_versions(installed, DEPIPE_VERSION) < 0)
		return "Run ALTER EXTENSION depipe UPDATE.";
	if (depipe_is_preloaded)
		return "Restart the server, which has loaded the older library.";
	return "Start a new session; if that does not help, install the library of the extension's"
		   " version.";
}

char *
catalog_version_problem(char **hint)
{
	CatalogRows *rows = CATALOG_EXECUTE0("SELECT extversion FROM pg_catalog.pg_extension"
										 " WHERE extname OPERATOR(pg_catalog.=) 'depipe'");
	char *installed;

	if (rows->count == 0)
	{
		*hint = "Run CREATE EXTENSION depipe.";
		return "extension \"depipe\" is not installed in this database";
	}
	installed = catalog_text(rows, 0, 1);
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

/* ---- targets ---- */

#define TARGET_COLUMNS                                                           \
	"SELECT t.target_id, t.schema_name::text, t.table_name::text, t.kind::text," \
	" t.owner::oid, s.relid, t.settings"                                         \
	" FROM depipe.target t LEFT JOIN depipe.target_state s USING (target_id)"

/*
 * What depipe's tables say is read with a new snapshot each time, also in a
 * transaction that goes on for long: the names must be as new.
 */
static Oid
find_table(const char *schema_name, const char *table_name)
{
	Oid schema;

	AcceptInvalidationMessages();
	schema = get_namespace_oid(schema_name, true);
	return OidIsValid(schema) ? get_relname_relid(table_name, schema) : InvalidOid;
}

static void
remember_table(Target *target, Oid relid)
{
	target->bound = relid;
	if (CATALOG_EXECUTE("UPDATE depipe.target_state SET relid = $2"
						" WHERE target_id OPERATOR(pg_catalog.=) $1",
						ARG_INT4(target->id),
						ARG_OID(relid))
			->processed > 0)
		return;
	/* it may have been dropped meanwhile */
	(void) CATALOG_EXECUTE("INSERT INTO depipe.target_state (target_id, relid)"
						   " SELECT target_id, $2 FROM depipe.target"
						   " WHERE target_id OPERATOR(pg_catalog.=) $1 FOR KEY SHARE"
						   " ON CONFLICT (target_id) DO UPDATE SET relid = EXCLUDED.relid",
						   ARG_INT4(target->id),
						   ARG_OID(relid));
}

/*
 * The definition goes with its table: when the table it is bound to is given
 * to another role, so is the definition.  A table that another role made under
 * the same name is not taken for it: its triggers, and constraints that its
 * owner declares, would be evaluated as the owner of the definition.
 */
static void
check_same_owner(Target *target, Oid bound)
{
	HeapTuple tuple;
	Oid owner;

	if (!OidIsValid(target->relid))
		return;
	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(target->relid));
	if (!HeapTupleIsValid(tuple))
		return;
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	if (owner == target->owner)
		return;
	if (target->relid == bound)
		target->owner = owner;
	else
	{
		target->relid = InvalidOid;
		target->taken = true;
	}
}

static Target *
target_from_row(const CatalogRows *rows, uint64 row)
{
	Target *target = palloc0(sizeof(Target));

	target->id = catalog_int4(rows, row, 1);
	target->schema_name = catalog_text(rows, row, 2);
	target->table_name = catalog_text(rows, row, 3);
	target->kind = (TargetKind) catalog_text(rows, row, 4)[0];
	target->owner = catalog_oid(rows, row, 5);
	target->display = sql_table(target->schema_name, target->table_name);
	target->relid = find_table(target->schema_name, target->table_name);
	target->bound = catalog_oid(rows, row, 6);
	target->settings = catalog_text_list(rows, row, 7);
	check_same_owner(target, target->bound);
	return target;
}

Target *
target_find_named(const char *schema_name, const char *table_name)
{
	CatalogRows *rows = CATALOG_EXECUTE(TARGET_COLUMNS
										" WHERE t.schema_name OPERATOR(pg_catalog.=) $1::name"
										" AND t.table_name OPERATOR(pg_catalog.=) $2::name",
										ARG_TEXT(schema_name),
										ARG_TEXT(table_name));

	return rows->count == 0 ? NULL : target_from_row(rows, 0);
}

Target *
target_find(const char *name, bool missing_ok)
{
	char *schema_name;
	char *table_name;
	Target *target;

	parse_table_name(name, &schema_name, &table_name);
	target = target_find_named(schema_name, table_name);
	if (target == NULL && !missing_ok)
	{
		bool exists = OidIsValid(find_table(schema_name, table_name));

		ereport(ERROR,
				(errcode(exists ? ERRCODE_UNDEFINED_OBJECT : ERRCODE_UNDEFINED_TABLE),
				 errmsg("%s is not a target", sql_table(schema_name, table_name)),
				 errhint("Targets have a load, a transform or a constraint: see depipe.status.")));
	}
	return target;
}

Target *
target_find_id(int32 target_id)
{
	CatalogRows *rows = CATALOG_EXECUTE(TARGET_COLUMNS
										" WHERE t.target_id OPERATOR(pg_catalog.=) $1",
										ARG_INT4(target_id));

	return rows->count == 0 ? NULL : target_from_row(rows, 0);
}

Target *
target_get(int32 target_id)
{
	Target *target = target_find_id(target_id);

	if (target == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("target %d does not exist", target_id)));
	return target;
}

/* psql's pattern of one name as a regular expression: * and ? are wildcards. */
static char *
pattern_to_regex(const char *pattern)
{
	StringInfoData regex;

	initStringInfo(&regex);
	appendStringInfoString(&regex, "^(");
	for (const char *p = pattern; *p != '\0'; p++)
	{
		if (*p == '*')
			appendStringInfoString(&regex, ".*");
		else if (*p == '?')
			appendStringInfoChar(&regex, '.');
		else
		{
			if (strchr("\\^$.|+()[]{}", *p) != NULL)
				appendStringInfoChar(&regex, '\\');
			appendStringInfoChar(&regex, *p);
		}
	}
	appendStringInfoString(&regex, ")$");
	return regex.data;
}

List *
target_match(const char *pattern)
{
	const char *dot = strchr(pattern, '.');
	char *schema = dot == NULL ? pstrdup("*") : pnstrdup(pattern, dot - pattern);
	const char *table = dot == NULL ? pattern : dot + 1;
	List *targets = NIL;
	CatalogRows *rows;

	/* written as an identifier, with or without characters that are wildcards else */
	if (strchr(pattern, '"') != NULL)
	{
		Target *target = target_find(pattern, true);

		return target == NULL ? NIL : list_make1(target);
	}
	rows = CATALOG_EXECUTE(TARGET_COLUMNS " WHERE t.schema_name::text OPERATOR(pg_catalog.~) $1"
										  " AND t.table_name::text OPERATOR(pg_catalog.~) $2"
										  " ORDER BY t.schema_name, t.table_name",
						   ARG_TEXT(pattern_to_regex(schema)),
						   ARG_TEXT(pattern_to_regex(table)));
	for (uint64 i = 0; i < rows->count; i++)
		targets = lappend(targets, target_from_row(rows, i));
	return targets;
}

Target *
target_create(const char *schema_name, const char *table_name, TargetKind kind, Oid owner,
			  Oid relid)
{
	char kind_text[2] = {(char) kind, '\0'};
	Target *target;

	(void) CATALOG_EXECUTE("INSERT INTO depipe.target"
						   " (schema_name, table_name, kind, owner, settings)"
						   " VALUES ($1::name, $2::name, $3::\"char\", $4::oid::depipe.role, '{}')",
						   ARG_TEXT(schema_name),
						   ARG_TEXT(table_name),
						   ARG_TEXT(kind_text),
						   ARG_OID(owner));
	target = target_find_named(schema_name, table_name);
	remember_table(target, relid);
	return target;
}

void
target_set_kind(Target *target, TargetKind kind)
{
	char kind_text[2] = {(char) kind, '\0'};

	(void) CATALOG_EXECUTE("UPDATE depipe.target SET kind = $2::\"char\""
						   " WHERE target_id OPERATOR(pg_catalog.=) $1",
						   ARG_INT4(target->id),
						   ARG_TEXT(kind_text));
	target->kind = kind;
}

void
target_set_settings(Target *target, List *settings)
{
	if (equal_texts(target->settings, settings))
		return;
	(void) CATALOG_EXECUTE("UPDATE depipe.target SET settings = COALESCE($2, '{}')"
						   " WHERE target_id OPERATOR(pg_catalog.=) $1",
						   ARG_INT4(target->id),
						   ARG_TEXT_ARRAY(settings));
	target->settings = settings;
}

void
target_delete(int32 target_id)
{
	(void) CATALOG_EXECUTE("DELETE FROM depipe.target WHERE target_id OPERATOR(pg_catalog.=) $1",
						   ARG_INT4(target_id));
}

void
targets_follow_owners(void)
{
	CatalogRows *rows = CATALOG_EXECUTE0(
		"UPDATE depipe.target t SET owner = c.relowner::depipe.role"
		" FROM depipe.target_state s, pg_catalog.pg_class c, pg_catalog.pg_namespace n"
		" WHERE s.target_id OPERATOR(pg_catalog.=) t.target_id"
		" AND c.oid OPERATOR(pg_catalog.=) s.relid"
		" AND n.oid OPERATOR(pg_catalog.=) c.relnamespace"
		" AND n.nspname OPERATOR(pg_catalog.=) t.schema_name"
		" AND c.relname OPERATOR(pg_catalog.=) t.table_name"
		" AND c.relowner OPERATOR(pg_catalog.<>) t.owner::oid");

	if (rows->processed > 0)
		catalog_changed(); /* it may be ownerless now, or not any more */
}

void
targets_reassign(Oid from, Oid to)
{
	(void) CATALOG_EXECUTE("UPDATE depipe.target SET owner = $2::oid::depipe.role"
						   " WHERE owner::oid OPERATOR(pg_catalog.=) $1",
						   ARG_OID(from),
						   ARG_OID(to));
}

void
target_set_owner(Target *target, Oid owner)
{
	(void) CATALOG_EXECUTE("UPDATE depipe.target SET owner = $2::oid::depipe.role"
						   " WHERE target_id OPERATOR(pg_catalog.=) $1",
						   ARG_INT4(target->id),
						   ARG_OID(owner));
	target->owner = owner;
	target->taken = false;
}

char *
target_why_missing(const Target *target)
{
	return psprintf(target->taken ? "table %s belongs to another role than its definition"
								  : "table %s does not exist",
					target->display);
}

Oid
target_bind(Target *target)
{
	Oid bound = target->relid;

	target->relid = find_table(target->schema_name, target->table_name);
	check_same_owner(target, bound);
	if (target->relid != target->bound)
		remember_table(target, target->relid);
	return target->relid;
}

void
target_set_data_as_of(int32 target_id, TimestampTz data_as_of)
{
	(void) CATALOG_EXECUTE(
		"INSERT INTO depipe.target_state (target_id, data_as_of)"
		" SELECT target_id, $2 FROM depipe.target WHERE target_id OPERATOR(pg_catalog.=) $1"
		" ON CONFLICT (target_id) DO UPDATE SET data_as_of = EXCLUDED.data_as_of",
		ARG_INT4(target_id),
		ARG_TIME(data_as_of));
}

TimestampTz
target_data_as_of(int32 target_id)
{
	/* an idle stream writes nothing: its worker tells */
	CatalogRows *rows = CATALOG_EXECUTE("SELECT GREATEST(g.data_as_of, v.as_of)"
										" FROM depipe.target t"
										" LEFT JOIN depipe.target_state g USING (target_id)"
										" LEFT JOIN depipe.live_load v USING (target_id)"
										" WHERE t.target_id OPERATOR(pg_catalog.=) $1",
										ARG_INT4(target_id));

	return rows->count == 0 ? 0 : catalog_time(rows, 0, 1);
}

bool
target_is_paused(int32 target_id, char **reason)
{
	CatalogRows *rows = CATALOG_EXECUTE("SELECT pause_reason FROM depipe.target_state"
										" WHERE target_id OPERATOR(pg_catalog.=) $1 AND paused"
										" AND (paused_until IS NULL OR paused_until"
										" OPERATOR(pg_catalog.>) pg_catalog.clock_timestamp())",
										ARG_INT4(target_id));

	if (rows->count == 0)
		return false;
	if (reason != NULL)
		*reason = catalog_text(rows, 0, 1);
	return true;
}

CatalogRows *
paused_targets(void)
{
	return CATALOG_EXECUTE0("SELECT target_id, pause_reason FROM depipe.target_state"
							" WHERE paused AND (paused_until IS NULL OR paused_until"
							" OPERATOR(pg_catalog.>) pg_catalog.clock_timestamp())");
}

void
target_set_pause(int32 target_id, bool paused, const char *reason, TimestampTz until)
{
	(void) CATALOG_EXECUTE("INSERT INTO depipe.target_state"
						   " (target_id, paused, pause_reason, paused_until, paused_at)"
						   " VALUES ($1, $2, $3, $4, CASE WHEN $2 THEN"
						   " pg_catalog.clock_timestamp() END)"
						   " ON CONFLICT (target_id) DO UPDATE SET paused = EXCLUDED.paused,"
						   " pause_reason = EXCLUDED.pause_reason,"
						   " paused_until = EXCLUDED.paused_until,"
						   " paused_at = EXCLUDED.paused_at",
						   ARG_INT4(target_id),
						   ARG_BOOL(paused),
						   ARG_TEXT(reason),
						   ARG_TIME(until));
}

bool depipe_catalog_changed = false;

void
catalog_changed(void)
{
	depipe_catalog_changed = true;
}

/*
 * The payload has neither names nor reasons: whoever may LISTEN is told that
 * something happened, and looks at what he may see.
 */
static void
record_event(CatalogArg target_id, CatalogArg server_name, const char *event, const char *state,
			 const char *reason)
{
	CatalogRows *rows = CATALOG_EXECUTE(
		"INSERT INTO depipe.event (target_id, target, server_name, event, state, reason)"
		" VALUES ($1, (SELECT pg_catalog.format('%I.%I', schema_name, table_name)"
		" FROM depipe.target WHERE target_id OPERATOR(pg_catalog.=) $1),"
		" $2::name, $3, $4, $5)"
		" RETURNING pg_catalog.jsonb_build_object('event', event, 'event_id',"
		" event_id, 'state', state, 'target_id', target_id)::text",
		target_id,
		server_name,
		ARG_TEXT(event),
		ARG_TEXT(state),
		ARG_TEXT(reason));

	catalog_changed();
	Async_Notify("depipe", catalog_text(rows, 0, 1));
}

void
event_record(int32 target_id, const char *event, const char *state, const char *reason)
{
	record_event(ARG_INT4(target_id), ARG_NULL(TEXTOID), event, state, reason);
}

void
event_record_stream(const char *server_name, const char *state, const char *reason)
{
	record_event(ARG_NULL(INT4OID), ARG_TEXT(server_name), "stream", state, reason);
}
