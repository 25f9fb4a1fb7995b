/*-------------------------------------------------------------------------
 *
 * adopt.c
 *		Loads of a database that was restored or copied.
 *
 * The record of a slot belongs to the database that created it.  A dump carries
 * no such record; a copied data directory does, and so does a database created
 * from a template or by pg_upgrade (catalog/instance).  Such loads are detached:
 * nothing connects until a person decides the role of this database.  It may be
 * a database of its own: then its loads get a slot with a new name and are read
 * again, and the slot of the original is left alone.  Or it replaces an
 * original that no longer exists: then it takes over the slot.
 *
 * Only local rows are written here; slot, publication and copy follow in the
 * next run.  Objects of another database are never removed at a source.
 *
 *-------------------------------------------------------------------------
 */
#include "load/adopt.h"

#include "catalog/audit.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/instance.h"
#include "core/arguments.h"
#include "core/sqltext.h"
#include "load/source.h"
#include "load/streamlock.h"
#include "miscadmin.h"

AUDITED_FUNCTION(depipe_adopt);

typedef enum AdoptResync
{
	RESYNC_AUTO,   /* loads that may have missed changes */
	RESYNC_ALWAYS, /* everything */
	RESYNC_NEVER   /* none: take over the slot of the original, which no longer exists */
} AdoptResync;

typedef struct Adoption
{
	ForeignServer *server;
	AdoptResync resync;
	Stream *stream; /* NULL: none is recorded */
	Instance *instance;
	char *foreign; /* the reason why the stream belongs to another database; NULL if it does not */
	List *loads;
} Adoption;

/* ---- for the other files ---- */

char *
adopt_hint(const char *server_name)
{
	return psprintf("SELECT depipe.adopt(%s);", sql_literal(server_name));
}

bool
adopt_owns_stream(const Stream *stream)
{
	return instance_foreign_stream(instance_get(), stream) == NULL;
}

void
adopt_check_attached(const Load *load)
{
	const char *reason = NULL;
	Stream *stream;

	if (load->server_name == NULL)
		return; /* nothing at the source belongs to it */
	stream = stream_get(load->server_name);
	if (stream != NULL)
		reason = instance_foreign_stream(instance_get(), stream);
	if (reason == NULL && load->state == LOAD_DETACHED)
		reason = load->reason != NULL ? load->reason : DETACHED_REASON;
	if (reason != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("load %s is detached", load->target->display),
				 errdetail("%s.", reason),
				 errhint("%s", adopt_hint(load->server_name))));
}

/* ---- adopt ---- */

/* in the order of AdoptResync */
static const char *const resync_words[] = {"auto", "always", "never", NULL};

static void
begin_adoption(Adoption *adoption, const char *server_name)
{
	adoption->server = source_server_find(server_name);
	if (!server_ownercheck_compat(adoption->server->serverid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_FOREIGN_SERVER, server_name);
	adoption->loads = loads_of_server(server_name);
	if (adoption->loads == NIL)
		ereport(
			ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("server \"%s\" has no loads", server_name)));
	(void) streamlock_take(server_name, true);
	adoption->stream = stream_get(server_name);
	adoption->instance = instance_get();
	if (adoption->stream != NULL)
		adoption->foreign = instance_foreign_stream(adoption->instance, adoption->stream);
}

/* Request a resync of the loads without a slot, or of all. Returns their number. */
static int
read_again(Adoption *adoption, bool all)
{
	int count = 0;
	ListCell *cell;

	foreach(cell, adoption->loads)
	{
		Load *load = lfirst(cell);

		if (!all && load->state != LOAD_DETACHED)
			continue;
		load_update(load, adoption->server->serverid);
		load_set_state(load, LOAD_NEW, "adopted: the source table will be read again", NULL);
		count++;
	}
	return count;
}

/* From now on no slot recorded under the old identity is ours, for this server or any other. */
static void
become_another(Adoption *adoption)
{
	Stream *stream = adoption->stream;
	bool ours = stream->instance_id != NULL &&
				strcmp(stream->instance_id, adoption->instance->id) == 0;

	if (adoption->instance->foreign != NULL || ours)
		instance_renew(adoption->instance);
	stream_delete(stream->server_name);
	ereport(NOTICE,
			(errmsg("slot \"%s\" at server \"%s\" is left to the original of this database",
					stream->slot_name,
					stream->server_name),
			 errhint("If the original is gone, the slot retains WAL. At the source:"
					 " SELECT pg_drop_replication_slot(%s);",
					 sql_literal(stream->slot_name))));
}

/* The copy goes on in place of its original. */
static void
take_over(Adoption *adoption)
{
	const char *name = adoption->server->servername;
	ListCell *cell;

	if (adoption->stream == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("loads of server \"%s\" cannot continue without a resync", name),
				 errdetail("The slot that their rows belong to is not known."),
				 errhint("%s", adopt_hint(name))));
	if (adoption->foreign == NULL)
	{
		audit_nothing();
		ereport(NOTICE, (errmsg("server \"%s\" has a slot of its own", name)));
		return;
	}
	if (adoption->instance->foreign != NULL)
		instance_renew(adoption->instance);
	stream_take_over(name, adoption->instance->id);
	foreach(cell, adoption->loads)
		event_record(((Load *) lfirst(cell))->target->id,
					 "load",
					 "adopted",
					 "continues with the slot of the database that this one was copied from");
	ereport(
		NOTICE,
		(errmsg("slot \"%s\" at server \"%s\" was taken over from the original of this database",
				adoption->stream->slot_name,
				name),
		 errdetail("The original must no longer read it.")));
}

/*
 * SQL function adopt(server, resync): loads of a restored or copied database
 * continue with a slot of their own.  A stream that looks like ours may be that
 * of the original of a copied disk: in that case depipe was switched off before
 * the call.
 */
static Datum
depipe_adopt_checked(PG_FUNCTION_ARGS)
{
	Adoption adoption = {0};
	bool another;
	int count;

	argument_not_null(fcinfo, 0, "server");
	adoption.resync = argument_choice(fcinfo, 1, "resync", resync_words);
	begin_adoption(&adoption, NameStr(*PG_GETARG_NAME(0)));
	if (adoption.resync == RESYNC_NEVER)
	{
		take_over(&adoption);
		PG_RETURN_VOID();
	}
	another = adoption.stream != NULL && (adoption.foreign != NULL || !depipe_enabled);
	if (another)
		become_another(&adoption);
	count = read_again(&adoption, another || adoption.resync == RESYNC_ALWAYS);
	if (count == 0)
		ereport(NOTICE,
				(errmsg("no load of server \"%s\" is detached", adoption.server->servername),
				 adoption.stream == NULL
					 ? 0
					 : errhint("In a copy of another database that still reads slot \"%s\", set"
							   " depipe.enabled to off first.",
							   adoption.stream->slot_name)));
	PG_RETURN_VOID();
}
