/*-------------------------------------------------------------------------
 *
 * target.c
 *		Targets and events in depipe's own tables.
 *
 * A definition stays with its name.  target_state.relid stores the table it
 * was last bound to, so that transform/names can detect renamed tables.
 *
 *-------------------------------------------------------------------------
 */
#include "catalog/target.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/async.h"
#include "core/shmem.h"
#include "core/sqltext.h"
#include "fmgr.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#define TARGET_COLUMNS                                                           \
	"SELECT t.target_id, t.schema_name::text, t.table_name::text, t.kind::text," \
	" t.owner::oid, s.relid, t.settings, l.history, t.protected"                 \
	" FROM depipe.target t LEFT JOIN depipe.target_state s USING (target_id)"    \
	" LEFT JOIN depipe.load l USING (target_id)"

const char *const history_names[] = {
	[HISTORY_NONE] = "none",
	[HISTORY_SOFT_DELETE] = "soft_delete",
	[HISTORY_SCD2] = "scd2",
	NULL,
};

/*
 * depipe's tables are read under a new snapshot each time, even within a long
 * transaction.  Accept invalidation messages, so that names are equally
 * current.
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
	/* the target may have been dropped meanwhile */
	(void) CATALOG_EXECUTE("INSERT INTO depipe.target_state (target_id, relid)"
						   " SELECT target_id, $2 FROM depipe.target"
						   " WHERE target_id OPERATOR(pg_catalog.=) $1 FOR KEY SHARE"
						   " ON CONFLICT (target_id) DO UPDATE SET relid = EXCLUDED.relid",
						   ARG_INT4(target->id),
						   ARG_OID(relid));
}

/*
 * A definition belongs to the owner of its table: if the table that it is
 * bound to gets another owner, so does the definition.  But a table that
 * another role created under the same name is not accepted.  Its triggers, and
 * constraints that its owner declares, would be evaluated as the owner of the
 * definition.
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

/* A target without a load has none. */
static HistoryMode
history_of_name(const char *name)
{
	for (int i = 0; name != NULL && history_names[i] != NULL; i++)
		if (strcmp(history_names[i], name) == 0)
			return (HistoryMode) i;
	return HISTORY_NONE;
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
	target->history = history_of_name(catalog_text(rows, row, 8));
	target->is_protected = catalog_bool(rows, row, 9);
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

/* Convert psql's pattern of one name to a regular expression.  * and ? are wildcards. */
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

	/* a quoted identifier: its characters are never wildcards */
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
		catalog_changed(); /* they may be ownerless now, or no longer */
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

static bool
has_column(Oid relid, const char *name)
{
	return OidIsValid(relid) && get_attnum(relid, name) != InvalidAttrNumber;
}

char *
target_current_sql(const Target *target)
{
	if (target->history == HISTORY_SOFT_DELETE && has_column(target->relid, HISTORY_DELETED_AT))
		return pstrdup(HISTORY_DELETED_AT " IS NULL");
	if (target->history == HISTORY_SCD2 && has_column(target->relid, HISTORY_IS_CURRENT))
		return pstrdup(HISTORY_IS_CURRENT);
	return NULL;
}

char *
target_all_rows_sql(const Target *target, const char *alias)
{
	return alias == NULL ? pstrdup(target->display) : psprintf("%s %s", target->display, alias);
}

char *
target_rows_sql(const Target *target, const char *alias)
{
	const char *current = target_current_sql(target);

	if (current == NULL)
		return target_all_rows_sql(target, alias);
	return psprintf("(SELECT * FROM %s WHERE %s) %s",
					target_all_rows_sql(target, NULL),
					current,
					alias != NULL ? alias : sql_identifier(target->table_name));
}

char *
table_rows_sql(Oid relid, const char *alias)
{
	/* no look-up for a table that cannot be a history */
	if (has_column(relid, HISTORY_DELETED_AT) || has_column(relid, HISTORY_IS_CURRENT))
	{
		Target *target = target_find_named(get_namespace_name(get_rel_namespace(relid)),
										   get_rel_name(relid));

		if (target != NULL && target->relid == relid)
			return target_rows_sql(target, alias);
	}
	return psprintf("%s %s", sql_relation(relid), alias);
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
	/* an idle stream writes nothing, but its worker reports its time */
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

/* ---- events ---- */

/*
 * The payload contains neither names nor reasons.  Any role can LISTEN; it
 * learns that something happened, and then queries what it may see.
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
