/*-------------------------------------------------------------------------
 *
 * load.c
 *		Definitions of loads, and the SQL functions about them.
 *
 * Everything here writes local rows only.  Work at the source happens in the
 * next run or, for removals, just before the commit.
 *
 *-------------------------------------------------------------------------
 */
#include "load/load.h"

#include "catalog/attempts.h"
#include "catalog/audit.h"
#include "catalog/catalog.h"
#include "catalog/loads.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "catalog/transforms.h"
#include "core/arguments.h"
#include "core/identity.h"
#include "core/path.h"
#include "core/settings.h"
#include "core/sqltext.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "load/adopt.h"
#include "load/modes.h"
#include "load/names.h"
#include "load/projection.h"
#include "load/servers.h"
#include "load/source.h"
#include "load/streamlock.h"
#include "publish/park.h"
#include "publish/quarantine.h"
#include "publish/triggers.h"
#include "quality/state.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

AUDITED_FUNCTION(depipe_create_load);
AUDITED_FUNCTION(depipe_drop_load);
AUDITED_FUNCTION(depipe_pause);
AUDITED_FUNCTION(depipe_resume);
AUDITED_FUNCTION(depipe_resync);

/* ---- create_load ---- */

static LoadMode
read_mode(FunctionCallInfo fcinfo, const char *server)
{
	LoadMode mode;

	if (PG_ARGISNULL(3) && server == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a load needs a server or a mode"),
				 errhint("Name the server of the source: server => '...'.")));
	mode = PG_ARGISNULL(3) ? LOAD_BY_CDC : argument_choice(fcinfo, 3, "mode", load_mode_names);
	if (load_mode_find(mode)->needs_server && server == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("mode \"%s\" needs a server", load_mode_names[mode]),
				 errhint("Name the server of the source: server => '...'.")));
	return mode;
}

static List *
read_key(FunctionCallInfo fcinfo)
{
	List *key;
	ListCell *cell;

	if (PG_ARGISNULL(4))
		return NIL;
	key = text_array_to_list(PG_GETARG_ARRAYTYPE_P(4), "key");
	if (key == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"key\" must name at least one column")));
	foreach(cell, key)
	{
		ListCell *other;

		for_each_cell(other, key, lnext(key, cell))
			if (strcmp(lfirst(cell), lfirst(other)) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_COLUMN),
						 errmsg("column \"%s\" appears twice in the key", (char *) lfirst(cell))));
	}
	return key;
}

/* Names and source of the definition; by default the source has the target's name. */
static void
read_source(FunctionCallInfo fcinfo, Load *load)
{
	char *source = argument_text_or_null(fcinfo, 2);
	List *names;

	load->source_schema = load->target->schema_name;
	load->source_table = load->target->table_name;
	if (source == NULL)
		return;
	names = string_to_name_list_compat(source);
	if (list_length(names) > 2)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("source \"%s\" must be a table or schema.table", source)));
	load->source_table = strVal(llast(names));
	load->source_schema = list_length(names) == 2 ? strVal(linitial(names)) : pstrdup("public");
}

static void
read_definition(FunctionCallInfo fcinfo, Load *load)
{
	load->server_name = PG_ARGISNULL(1) ? NULL : pstrdup(NameStr(*PG_GETARG_NAME(1)));
	load->mode = read_mode(fcinfo, load->server_name);
	load->key = read_key(fcinfo);
	load->columns = PG_ARGISNULL(5)
						? NULL
						: DatumGetCString(DirectFunctionCall1(jsonb_out, PG_GETARG_DATUM(5)));
	load->row_filter = argument_text_or_null(fcinfo, 6);
	load->schema_change = argument_choice(fcinfo, 7, "schema_change", schema_change_names);
	load->new_columns = argument_choice(fcinfo, 8, "new_columns", new_columns_names);
	load->on_truncate = argument_choice(fcinfo, 9, "on_truncate", on_truncate_names);
	argument_not_null(fcinfo, 10, "target_lag");
	load->target_lag = interval_text(PG_GETARG_DATUM(10));
	argument_not_null(fcinfo, 11, "replace");
	load->history = argument_choice(fcinfo, 13, "history", history_names);
	load->target->settings = path_settings_argument(PG_ARGISNULL(12), PG_GETARG_DATUM(12));
	if (load->schema_change == SCHEMA_CHANGE_EVOLVE || load->schema_change == SCHEMA_CHANGE_IGNORE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("schema_change \"%s\" is not supported in this version",
						schema_change_names[load->schema_change]),
				 errhint("Use \"safe\" or \"pause\".")));
	if (DatumGetBool(DirectFunctionCall2(interval_lt,
										 PG_GETARG_DATUM(10),
										 IntervalPGetDatum(palloc0(sizeof(Interval))))))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"target_lag\" must not be negative")));
	load_mode_find(load->mode)->check_definition(load);
	if (!projection_wanted(load))
		load->target->settings = path_leave_out(load->target->settings);
}

/* The OID of the server; InvalidOid for a load without one. */
static Oid
check_server(const char *server_name)
{
	ForeignServer *server;
	AclResult result;

	if (server_name == NULL)
		return InvalidOid;
	server = source_server_find(server_name);
	result = server_aclcheck_compat(server->serverid, GetUserId(), ACL_USAGE);
	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_FOREIGN_SERVER, server_name);
	return server->serverid;
}

/* The role that the load runs as: the present or future owner of the table. */
static Oid
check_target(const char *schema_name, const char *table_name, Oid *relid)
{
	Oid schema = get_namespace_oid(schema_name, true);
	char *display = sql_table(schema_name, table_name);
	AclResult result;
	char kind;

	if (!OidIsValid(schema))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_SCHEMA),
				 errmsg("schema \"%s\" does not exist", schema_name),
				 errhint("CREATE SCHEMA %s;", sql_identifier(schema_name))));
	if (strcmp(schema_name, DEPIPE_SCHEMA) == 0 || IsCatalogNamespace(schema))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s cannot be the target of a load", display)));
	*relid = get_relname_relid(table_name, schema);
	if (!OidIsValid(*relid))
	{
		result = schema_aclcheck_compat(schema, GetUserId(), ACL_CREATE);
		if (result != ACLCHECK_OK)
			aclcheck_error(result, OBJECT_SCHEMA, schema_name);
		return GetUserId();
	}
	kind = get_rel_relkind(*relid);
	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("%s is not a table", display)));
	identity_check_table_owner(*relid, display);
	rules_refuse(*relid, display);
	return identity_table_owner(*relid);
}

static void
add_difference(StringInfo text, const char *name, const char *was, const char *is)
{
	if (!same_text(was, is))
		appendStringInfo(text,
						 "%s%s: %s instead of %s",
						 text->len > 0 ? "; " : "",
						 name,
						 is == NULL ? "null" : is,
						 was == NULL ? "null" : was);
}

static char *
key_text(List *key)
{
	return key == NIL ? NULL : names_text(key);
}

/* Collect differences that require the rows of the target to be read again, and the other ones. */
static void
compare_definitions(const Load *was, const Load *is, List *settings, StringInfo deep,
					StringInfo shallow)
{
	add_difference(deep, "server", was->server_name, is->server_name);
	add_difference(deep,
				   "source",
				   sql_table(was->source_schema, was->source_table),
				   sql_table(is->source_schema, is->source_table));
	add_difference(deep, "key", key_text(was->key), key_text(is->key));
	add_difference(deep, "columns", was->columns, is->columns);
	add_difference(deep, "row_filter", was->row_filter, is->row_filter);
	add_difference(projection_wanted(is) ? deep : shallow,
				   "settings",
				   settings_text(was->target->settings),
				   settings_text(settings));
	add_difference(deep, "history", history_names[was->history], history_names[is->history]);
	add_difference(shallow, "mode", load_mode_names[was->mode], load_mode_names[is->mode]);
	add_difference(shallow,
				   "schema_change",
				   schema_change_names[was->schema_change],
				   schema_change_names[is->schema_change]);
	add_difference(shallow,
				   "new_columns",
				   new_columns_names[was->new_columns],
				   new_columns_names[is->new_columns]);
	add_difference(shallow,
				   "on_truncate",
				   on_truncate_names[was->on_truncate],
				   on_truncate_names[is->on_truncate]);
	add_difference(shallow, "target_lag", was->target_lag, is->target_lag);
}

/* A definition from before paths were kept has none: repeating it is not a change. */
static List *
comparable_settings(const Load *was, List *settings, bool replace)
{
	if (replace || path_of_settings(was->target->settings) != NULL)
		return settings;
	return path_leave_out(settings);
}

/*
 * A load without history has no deleted rows and no versions, so it can begin to
 * keep deleted rows.  All other changes would have to remove what was kept.  The
 * key of versions is part of that of their table.
 */
static void
check_history_change(const Load *was, const Load *is)
{
	if (is->history == HISTORY_SCD2 && was->history == HISTORY_SCD2 &&
		OidIsValid(is->target->relid) && !same_text(key_text(was->key), key_text(is->key)))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("key of load %s cannot be changed, because it keeps versions",
						is->target->display),
				 errhint("Create another load of the same source into a new table.")));
	if (was->history == is->history ||
		(was->history == HISTORY_NONE && is->history == HISTORY_SOFT_DELETE) ||
		!OidIsValid(is->target->relid))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("history of load %s cannot be changed from \"%s\" to \"%s\"",
					is->target->display,
					history_names[was->history],
					history_names[is->history]),
			 errhint("Create another load of the same source into a new table.")));
}

static void
change_load(Load *was, Load *is, List *settings, Oid server, bool replace)
{
	StringInfoData deep;
	StringInfoData shallow;

	initStringInfo(&deep);
	initStringInfo(&shallow);
	compare_definitions(was, is, comparable_settings(was, settings, replace), &deep, &shallow);
	if (deep.len == 0 && shallow.len == 0)
	{
		/* if all rows are read again, texts may take their present meaning */
		if (replace && was->state == LOAD_NEW)
			load_set_settled(was, NIL);
		audit_nothing();
		ereport(NOTICE, (errmsg("load %s already exists", is->target->display)));
		return;
	}
	if (!replace)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("load %s already exists with a different definition", is->target->display),
				 errdetail("%s%s%s.",
						   deep.data,
						   deep.len > 0 && shallow.len > 0 ? "; " : "",
						   shallow.data),
				 errhint("Use replace => true to change it.")));
	check_history_change(was, is);
	load_update(is, server);
	load_set_settled(is, NIL);
	if (was->history != is->history)
		state_end(is->target); /* other rows are current */
	target_set_settings(is->target, settings);
	attempt_end(unit_of_target(is->target->id));
	event_record(is->target->id, "load", "changed", NULL);
	if (deep.len > 0 && was->state != LOAD_DETACHED)
		load_set_state(was, LOAD_NEW, "the definition was changed", NULL);
	if (!same_text(was->server_name, is->server_name))
		servers_forget_unused(was->server_name);
}

static Target *
provide_target(const char *schema_name, const char *table_name, Oid owner, Oid relid)
{
	Target *target = target_find_named(schema_name, table_name);

	if (target == NULL)
		return target_create(schema_name, table_name, TARGET_LOAD, owner, relid);
	if (target->kind == TARGET_TRANSFORM)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("%s is maintained by a transform", target->display),
				 errhint("SELECT depipe.drop_transform(%s);", sql_literal(target->display))));
	if (!has_privs_of_role(GetUserId(), target->owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of target %s", target->display)));
	if (OidIsValid(relid) && target->owner != owner) /* the caller may act as both */
	{
		target_set_owner(target, owner);
		target->relid = relid;
	}
	if (target->kind == TARGET_TABLE)
		target_set_kind(target, TARGET_LOAD);
	return target;
}

static Datum
depipe_create_load_checked(PG_FUNCTION_ARGS)
{
	Load *load = palloc0(sizeof(Load));
	Target name = {0};
	List *settings;
	Load *existing;
	Oid relid;
	Oid owner;
	Oid server;

	parse_table_name(argument_text(fcinfo, 0, "target"), &name.schema_name, &name.table_name);
	load->target = &name;
	read_definition(fcinfo, load);
	read_source(fcinfo, load);
	server = check_server(load->server_name);
	settings = name.settings;
	owner = check_target(name.schema_name, name.table_name, &relid);
	identity_check_login(owner);
	path_check(path_of_settings(settings), owner);
	load->target = provide_target(name.schema_name, name.table_name, owner, relid);
	existing = load_get(load->target->id);
	if (existing != NULL)
		change_load(existing, load, settings, server, PG_GETARG_BOOL(11));
	else
	{
		load_insert(load, server);
		if (load->history != HISTORY_NONE)
			state_end(load->target);
		target_set_settings(load->target, settings);
		event_record(load->target->id, "load", "new", NULL);
	}
	PG_RETURN_TEXT_P(cstring_to_text(load->target->display));
}

/* ---- the others ---- */

char *
load_server(int32 target_id)
{
	Load *load = load_get(target_id);

	if (load == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("target %d has no load", target_id)));
	return load->server_name;
}

static Load *
find_load(const char *name)
{
	Target *target = target_find(name, false);
	Load *load = load_get(target->id);

	if (load == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("%s has no load", target->display)));
	return load;
}

static void
check_load_owner(const Load *load)
{
	if (!has_privs_of_role(GetUserId(), load->target->owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of load %s", load->target->display)));
}

static void
drop_target_table(Target *target)
{
	Identity identity;

	if (!OidIsValid(target->relid))
		return;
	identity_check_table_owner(target->relid, target->display);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	identity_become(identity_table_owner(target->relid), &identity);
	if (SPI_execute(psprintf("DROP TABLE %s", target->display), false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "could not drop table %s", target->display);
	identity_restore(&identity);
	SPI_finish();
}

static Datum
depipe_drop_load_checked(PG_FUNCTION_ARGS)
{
	Load *load = find_load(argument_text(fcinfo, 0, "target"));
	bool drop_table;

	argument_not_null(fcinfo, 1, "drop_table");
	drop_table = PG_GETARG_BOOL(1);
	check_load_owner(load);
	/* before any lock that the reader of the stream may wait for */
	if (load->server_name != NULL &&
		(drop_table || list_length(loads_of_server(load->server_name)) == 1))
		(void) streamlock_take(load->server_name, true);
	event_record(load->target->id, "load", "dropped", NULL);
	load_delete(load->target->id);
	park_discard(load->target->id);
	quarantine_clear(load->target->id);
	state_end(load->target);
	if (OidIsValid(load->target->relid) && !drop_table && target_has_constraints(load->target->id))
	{
		target_set_kind(load->target, TARGET_TABLE);
		target_set_settings(load->target, NIL);
	}
	else
		target_delete(load->target->id);
	if (drop_table)
		drop_target_table(load->target);
	servers_forget_unused(load->server_name);
	PG_RETURN_VOID();
}

/* Matching loads and transforms; raises 42501 if the caller may not operate one. */
static List *
matching_targets(const char *pattern, const char *server)
{
	List *matching = NIL;
	ListCell *cell;

	foreach(cell, target_match(pattern))
	{
		Target *target = lfirst(cell);
		Load *load;

		/* a target that the caller may not see does not match */
		if (target->kind == TARGET_TABLE ||
			(strpbrk(pattern, "*?") != NULL && !identity_may_see(target->owner, target->relid)))
			continue;
		load = target->kind == TARGET_LOAD ? load_get(target->id) : NULL;
		if (server != NULL && (load == NULL || !same_text(load->server_name, server)))
			continue;
		identity_check_operate(target->owner, target->display);
		matching = lappend(matching, target);
	}
	if (matching == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("no load or transform matches \"%s\"", pattern)));
	return matching;
}

static Datum
depipe_pause_checked(PG_FUNCTION_ARGS)
{
	char *reason = argument_text(fcinfo, 0, "reason");
	char *pattern = argument_text(fcinfo, 1, "pattern");
	char *server = PG_ARGISNULL(2) ? NULL : NameStr(*PG_GETARG_NAME(2));
	TimestampTz until = PG_ARGISNULL(3) ? 0 : PG_GETARG_TIMESTAMPTZ(3);
	List *targets;
	ListCell *cell;

	if (strspn(reason, " \t\r\n") == strlen(reason))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"reason\" must not be empty")));
	if (until != 0 && until <= GetCurrentTimestamp())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"until\" must be in the future")));
	targets = matching_targets(pattern, server);
	foreach(cell, targets)
	{
		Target *target = lfirst(cell);

		char *was;
		bool is_new = !target_is_paused(target->id, &was) || strcmp(was, reason) != 0;

		target_set_pause(target->id, true, reason, until);
		if (is_new)
			event_record(target->id, "pause", "paused", reason);
	}
	PG_RETURN_INT32(list_length(targets));
}

static Datum
depipe_resume_checked(PG_FUNCTION_ARGS)
{
	List *targets;
	ListCell *cell;
	int resumed = 0;

	targets = matching_targets(argument_text(fcinfo, 0, "pattern"), NULL);
	foreach(cell, targets)
	{
		Target *target = lfirst(cell);
		Load *load = target->kind == TARGET_LOAD ? load_get(target->id) : NULL;

		attempt_forget(unit_of_target(target->id));
		if (load != NULL)
			attempt_end(unit_of_load(load->server_name, target->id));
		if (load != NULL && load->state == LOAD_PAUSED)
			ereport(NOTICE,
					(errmsg("%s stays paused: %s", target->display, load->reason),
					 errhint("SELECT depipe.resync(%s);", sql_literal(target->display))));
		if (!target_is_paused(target->id, NULL))
			continue;
		target_set_pause(target->id, false, NULL, 0);
		attempts_end_of_readers(target->id);
		event_record(target->id, "pause", "resumed", NULL);
		resumed++;
	}
	PG_RETURN_INT32(resumed);
}

void
load_request_resync(Load *load)
{
	Oid server = InvalidOid;

	identity_check_operate(load->target->owner, load->target->display);
	adopt_check_attached(load);
	if (load->server_name != NULL)
		server = source_server_find(load->server_name)->serverid;
	load_update(load, server);
	load_set_state(load, LOAD_NEW, "a resync was requested", NULL);
	attempt_end(unit_of_target(load->target->id));
}

/* SQL function resync(target): the next run copies the source again. */
static Datum
depipe_resync_checked(PG_FUNCTION_ARGS)
{
	load_request_resync(find_load(argument_text(fcinfo, 0, "target")));
	PG_RETURN_VOID();
}
