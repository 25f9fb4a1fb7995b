/*-------------------------------------------------------------------------
 *
 * preflight.c
 *		depipe.check_source: the requirements of a source and their state.
 *
 * It only reads, and creates nothing at the source.  It returns one row for
 * each item; a row that is not ok has a hint.
 *
 *-------------------------------------------------------------------------
 */
#include "load/names.h"
#include "load/publication.h"
#include "load/slot.h"
#include "load/source.h"

#include "catalog/pg_foreign_server.h"
#include "catalog/instance.h"
#include "core/arguments.h"
#include "core/guarded.h"
#include "core/sqltext.h"
#include "fmgr.h"
#include "funcapi.h"
#include "load/adopt.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

CHECKED_FUNCTION(depipe_check_source);

#define OLDEST_SOURCE 120000

typedef struct Preflight
{
	ReturnSetInfo *result;
	char *server_name;
	SourceServer *server;
	Connection *connection;
	Stream *stream;
	char *user;
	int loads;
} Preflight;

static void
report(Preflight *preflight, const char *item, bool ok, const char *detail, const char *hint)
{
	Datum values[4] = {0};
	bool nulls[4] = {false, false, detail == NULL, hint == NULL || ok};

	values[0] = CStringGetTextDatum(item);
	values[1] = BoolGetDatum(ok);
	if (!nulls[2])
		values[2] = CStringGetTextDatum(detail);
	if (!nulls[3])
		values[3] = CStringGetTextDatum(hint);
	tuplestore_putvalues(preflight->result->setResult, preflight->result->setDesc, values, nulls);
}

static char *
one_value(Preflight *preflight, const char *sql)
{
	SourceRows *rows = source_query(preflight->connection, 1, sql, "read the catalogs");

	return rows->count == 0 ? NULL : rows->values[0][0];
}

/* ---- items of the server ---- */

static bool
connect_work(void *argument)
{
	Preflight *preflight = argument;

	preflight->server = source_server_open(preflight->server_name);
	preflight->connection = connection_open(preflight->server);
	return true;
}

static void
check_version(Preflight *preflight)
{
	int version = preflight->connection->version;

	report(preflight,
		   "version",
		   version >= OLDEST_SOURCE,
		   psprintf("%d.%d", version / 10000, version % 10000),
		   "Sources must be PostgreSQL 12 or newer.");
}

static void
check_wal_level(Preflight *preflight)
{
	char *level = one_value(preflight, "SELECT pg_catalog.current_setting('wal_level')");

	report(preflight,
		   "wal_level",
		   strcmp(level, "logical") == 0,
		   level,
		   "At the source: ALTER SYSTEM SET wal_level = logical; then restart it.");
}

static void
check_replication(Preflight *preflight)
{
	char *allowed = one_value(preflight,
							  "SELECT rolreplication OR rolsuper FROM pg_catalog.pg_roles"
							  " WHERE rolname = current_user");

	report(preflight,
		   "replication privilege",
		   allowed != NULL && allowed[0] == 't',
		   psprintf("role %s", sql_identifier(preflight->user)),
		   psprintf("At the source: ALTER ROLE %s REPLICATION;", sql_identifier(preflight->user)));
}

static void
check_free(Preflight *preflight, const char *item, const char *setting, const char *used)
{
	SourceRows *rows = source_query(
		preflight->connection,
		2,
		psprintf("SELECT pg_catalog.current_setting(%s), (%s)", sql_literal(setting), used),
		"read the catalogs");
	int limit = atoi(rows->values[0][0]);
	int in_use = atoi(rows->values[0][1]);
	int needed = preflight->stream == NULL ? 2 : 1;

	report(preflight,
		   item,
		   limit - in_use >= needed,
		   psprintf("%d of %d in use", in_use, limit),
		   psprintf("At the source: raise %s; the stream of a server and a copy need one each.",
					setting));
}

static void
check_publication(Preflight *preflight)
{
	const char *given = preflight->server->publication;
	const char *name = given;
	bool exists;

	if (given == NULL)
		name = preflight->stream != NULL
				   ? preflight->stream->publication
				   : source_object_name(preflight->server_name, instance_seed(instance_get()));
	exists = OidIsValid(source_publication_oid(preflight->connection, name));
	if (exists || given != NULL || preflight->stream != NULL)
		report(preflight,
			   "publication",
			   exists,
			   psprintf("%s%s", sql_identifier(name), exists ? "" : " does not exist"),
			   given != NULL ? psprintf("At the source: CREATE PUBLICATION %s FOR TABLE ...;",
										sql_identifier(name))
							 : "The loads need a resync: SELECT depipe.resync(...).");
	else
	{
		char *may_create = one_value(preflight,
									 "SELECT pg_catalog.has_database_privilege("
									 "pg_catalog.current_database(), 'CREATE')");

		report(
			preflight,
			"publication",
			may_create[0] == 't',
			psprintf("%s will be created", sql_identifier(name)),
			psprintf(
				"At the source: GRANT CREATE ON DATABASE ... TO %s; or use the option publication.",
				sql_identifier(preflight->user)));
	}
}

static void
check_slot(Preflight *preflight)
{
	SourceSlot *slot;
	char *retained;

	if (preflight->stream == NULL)
	{
		report(preflight, "slot", true, "will be created by the first run", NULL);
		return;
	}
	slot = source_slot_describe(preflight->connection, preflight->stream->slot_name);
	retained = slot->retained_bytes < 0 ? pstrdup("unknown")
										: psprintf(INT64_FORMAT " kB", slot->retained_bytes / 1024);
	report(preflight,
		   "slot",
		   slot->exists && !slot->lost,
		   slot->exists ? psprintf("%s, %s, retains %s of WAL",
								   preflight->stream->slot_name,
								   slot->lost     ? "lost"
								   : slot->active ? "active"
												  : "inactive",
								   retained)
						: psprintf("%s does not exist", preflight->stream->slot_name),
		   "The loads need a resync: SELECT depipe.resync(...).");
}

/* ---- items of each table ---- */

static void
check_privileges(Preflight *preflight, const char *item, const SourceTable *table)
{
	char *display = sql_table(table->schema_name, table->table_name);
	SourceRows *rows = source_query(preflight->connection,
									3,
									psprintf("SELECT pg_catalog.has_table_privilege(%u, 'SELECT'),"
											 " pg_catalog.pg_has_role(c.relowner, 'USAGE'),"
											 " pg_catalog.row_security_active(c.oid)"
											 " FROM pg_catalog.pg_class c WHERE c.oid = %u",
											 table->relid,
											 table->relid),
									"read the catalogs");

	if (rows->values[0][2][0] == 't')
		report(preflight,
			   item,
			   false,
			   psprintf("row security applies to role %s", sql_identifier(preflight->user)),
			   psprintf("At the source: ALTER ROLE %s BYPASSRLS; or, for the table's owner:"
						" ALTER TABLE %s NO FORCE ROW LEVEL SECURITY;",
						sql_identifier(preflight->user),
						display));
	if (rows->values[0][0][0] != 't')
		report(preflight,
			   item,
			   false,
			   "no privilege to read it",
			   psprintf("At the source: GRANT SELECT ON %s TO %s;",
						display,
						sql_identifier(preflight->user)));
	else if (preflight->server->publication == NULL && rows->values[0][1][0] != 't')
		report(
			preflight,
			item,
			false,
			"only its owner can publish it",
			psprintf("At the source: GRANT the owner's role to %s, or use the option publication.",
					 sql_identifier(preflight->user)));
}

static const char *
identity_name(char identity)
{
	switch (identity)
	{
		case 'f':
			return "full";
		case 'i':
			return "an index";
		case 'n':
			return "nothing";
		default:
			return "the primary key";
	}
}

static void
check_table(Preflight *preflight, Load *load)
{
	char *item = psprintf("table %s", sql_table(load->source_schema, load->source_table));
	SourceTable *table = source_table_describe(preflight->connection,
											   load->source_schema,
											   load->source_table);
	char *hint = NULL;
	char *problem;
	List *key;

	if (table == NULL)
	{
		report(preflight,
			   item,
			   false,
			   "does not exist",
			   psprintf("It is the source of %s.", load->target->display));
		return;
	}
	key = source_table_key(table, load->key);
	problem = source_table_problem(table, key, &hint);
	report(preflight,
		   item,
		   problem == NULL,
		   problem != NULL ? problem
						   : psprintf("%sreplica identity %s, %s%s",
									  table->kind == 'p' ? "partitioned, " : "",
									  identity_name(table->identity),
									  key == NIL ? "no key" : "key ",
									  names_text(key)),
		   hint);
	check_privileges(preflight, item, table);
	if (preflight->server->publication == NULL)
		return;
	problem = source_publication_problem(preflight->connection,
										 preflight->server->publication,
										 table,
										 NIL,
										 &hint);
	if (problem != NULL)
		report(preflight, item, false, problem, hint);
}

/* A stream of another database is ignored. */
static void
check_attached(Preflight *preflight)
{
	char *foreign;

	if (preflight->stream == NULL)
		return;
	foreign = instance_foreign_stream(instance_get(), preflight->stream);
	if (foreign == NULL)
		return;
	report(preflight, "stream", false, foreign, adopt_hint(preflight->server_name));
	preflight->stream = NULL;
}

static bool
check_work(void *argument)
{
	Preflight *preflight = argument;
	ListCell *cell;

	preflight->user = one_value(preflight, "SELECT current_user");
	check_version(preflight);
	check_wal_level(preflight);
	check_replication(preflight);
	check_free(preflight,
			   "replication slots",
			   "max_replication_slots",
			   "SELECT pg_catalog.count(*) FROM pg_catalog.pg_replication_slots");
	check_free(preflight,
			   "WAL senders",
			   "max_wal_senders",
			   "SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_replication");
	check_publication(preflight);
	check_slot(preflight);
	foreach(cell, loads_of_server(preflight->server_name))
		check_table(preflight, lfirst(cell));
	connection_close(preflight->connection);
	return true;
}

static Datum
depipe_check_source_checked(PG_FUNCTION_ARGS)
{
	Preflight preflight = {0};
	ForeignServer *server;
	AclResult allowed;
	ErrorData *error;

	argument_not_null(fcinfo, 0, "server");
	preflight.server_name = NameStr(*PG_GETARG_NAME(0));
	server = source_server_find(preflight.server_name);
	allowed = server_aclcheck_compat(server->serverid, GetUserId(), ACL_USAGE);
	if (allowed != ACLCHECK_OK)
		aclcheck_error(allowed, OBJECT_FOREIGN_SERVER, preflight.server_name);
	InitMaterializedSRF(fcinfo, 0);
	preflight.result = (ReturnSetInfo *) fcinfo->resultinfo;
	preflight.stream = stream_get(preflight.server_name);
	check_attached(&preflight);
	error = guarded_run(connect_work, &preflight);
	report(&preflight,
		   "connection",
		   error == NULL,
		   error == NULL ? NULL : error->message,
		   error == NULL ? NULL : error->hint);
	if (error == NULL)
		error = guarded_run(check_work, &preflight);
	else
		return (Datum) 0;
	if (error != NULL)
		report(&preflight, "catalogs of the source", false, error->message, error->hint);
	return (Datum) 0;
}
