/*-------------------------------------------------------------------------
 *
 * servers.c
 *		Servers that loads no longer need, or that are dropped, renamed or
 *		altered.
 *
 * Only local rows are written here; slot and publication are removed just before
 * the commit (slot.c).  A server that loads use is not dropped; its loads follow
 * a new name.
 *
 *-------------------------------------------------------------------------
 */
#include "load/servers.h"

#include "catalog/attempts.h"
#include "catalog/audit.h"
#include "catalog/loads.h"
#include "catalog/pg_foreign_server.h"
#include "commands/event_trigger.h"
#include "core/arguments.h"
#include "core/sqltext.h"
#include "fmgr.h"
#include "load/adopt.h"
#include "load/slot.h"
#include "load/streamlock.h"
#include "miscadmin.h"

AUDITED_FUNCTION(depipe_detach_source);
PG_FUNCTION_INFO_V1(depipe_server_dropped);
PG_FUNCTION_INFO_V1(depipe_server_altered);
PG_FUNCTION_INFO_V1(depipe_extension_dropped);

/* ---- the stream of a server that is not needed any more ---- */

/*
 * The last load of a server was dropped: drop slot and publication.  Waits for
 * a run that reads the stream.
 */
void
servers_forget_unused(const char *server_name)
{
	Stream *stream;

	if (server_name == NULL || loads_of_server(server_name) != NIL)
		return;
	(void) streamlock_take(server_name, true);
	stream = stream_get(server_name);
	if (stream == NULL)
		return;
	stream_delete(server_name);
	if (adopt_owns_stream(stream))
		source_remove_at_commit(server_name, stream);
}

/* ---- detach_source ---- */

static Datum
depipe_detach_source_checked(PG_FUNCTION_ARGS)
{
	ForeignServer *server;
	Stream *stream;

	argument_not_null(fcinfo, 0, "server");
	server = source_server_find(NameStr(*PG_GETARG_NAME(0)));
	if (!server_ownercheck_compat(server->serverid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_FOREIGN_SERVER, server->servername);
	(void) streamlock_take(server->servername, true);
	stream = stream_get(server->servername);
	loads_detach(server->servername);
	if (stream == NULL)
		PG_RETURN_VOID();
	stream_delete(server->servername);
	if (adopt_owns_stream(stream))
		source_remove_at_commit(server->servername, stream);
	PG_RETURN_VOID();
}

/* ---- servers that are dropped or renamed ---- */

Datum
depipe_server_dropped(PG_FUNCTION_ARGS)
{
	ListCell *cell;

	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function must be called by an event trigger")));
	foreach(cell, dropped_servers())
	{
		const char *name = lfirst(cell);

		if (server_in_use(name))
			ereport(ERROR,
					(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
					 errmsg("cannot drop server \"%s\" because loads use it", name),
					 errhint("Drop its loads first with depipe.drop_load.")));
	}
	PG_RETURN_NULL();
}

/* Is it DROP EXTENSION depipe CASCADE? Without CASCADE the servers of streams prevent it. */
static bool
drops_extension(FunctionCallInfo fcinfo)
{
	DropStmt *statement = (DropStmt *) ((EventTriggerData *) fcinfo->context)->parsetree;
	ListCell *cell;

	if (!IsA(statement, DropStmt) || statement->removeType != OBJECT_EXTENSION ||
		statement->behavior != DROP_CASCADE)
		return false;
	foreach(cell, statement->objects)
		if (strcmp(strVal(lfirst(cell)), "depipe") == 0)
			return true;
	return false;
}

/* If this library does not serve the script, the owner of its slots is unknown. */
static bool
is_left_behind(const char *server_name, bool served)
{
	return !served || adopt_owns_stream(stream_get(server_name));
}

Datum
depipe_extension_dropped(PG_FUNCTION_ARGS)
{
	CatalogRows *streams;
	char *hint;
	bool served;

	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function must be called by an event trigger")));
	if (!drops_extension(fcinfo))
		PG_RETURN_NULL();
	served = catalog_version_problem(&hint) == NULL;
	streams = streams_select();
	for (uint64 i = 0; i < streams->count; i++)
	{
		char *server = catalog_text(streams, i, 1);
		char *slot = catalog_text(streams, i, 2);

		if (is_left_behind(server, served))
			ereport(WARNING,
					(errcode(ERRCODE_WARNING),
					 errmsg("slot \"%s\" is left at server \"%s\"", slot, server),
					 errhint("The slot retains WAL. Unless another database reads it, at the"
							 " source: SELECT pg_drop_replication_slot(%s);",
							 sql_literal(slot))));
	}
	PG_RETURN_NULL();
}

/* The server whose options, or whose user mapping, changed; NULL: another statement. */
static const char *
altered_server(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_AlterForeignServerStmt:
			return ((AlterForeignServerStmt *) statement)->servername;
		case T_CreateUserMappingStmt:
			return ((CreateUserMappingStmt *) statement)->servername;
		case T_AlterUserMappingStmt:
			return ((AlterUserMappingStmt *) statement)->servername;
		default:
			return NULL;
	}
}

/* Follow renames. After a corrected password the next attempt is made at once. */
Datum
depipe_server_altered(PG_FUNCTION_ARGS)
{
	const char *server;

	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function must be called by an event trigger")));
	catalog_check_version(); /* a rename that is not followed would detach the loads */
	loads_follow_renames();
	server = altered_server(((EventTriggerData *) fcinfo->context)->parsetree);
	if (server != NULL)
		attempt_end(unit_of_server(server));
	PG_RETURN_NULL();
}
