/*-------------------------------------------------------------------------
 *
 * slot.c
 *		The replication slot of a server at its source.
 *
 * The name of slot and publication is derived from this database, the server
 * and an id, which is a hash of the seed of this instance.  Leftovers of an
 * aborted attempt are recognized by that name, and never confused with the slot
 * of another cluster.
 *
 * Work at a source cannot be rolled back.  A slot is created before anything is
 * written here.  It is removed just before the commit of the transaction that
 * forgets the stream, when no user code can fail any more.
 *
 *-------------------------------------------------------------------------
 */
#include "load/slot.h"

#include "access/xact.h"
#include "commands/dbcommands.h"
#include "common/hashfn.h"
#include "core/guarded.h"
#include "core/sqltext.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/memutils.h"

/* times 0.1 s */
#define SLOT_RELEASE_TRIES 30

/* ---- names ---- */

/* Only [a-z0-9_] may stand in the name of a slot. */
static char *
slot_name_part(const char *name, int length)
{
	char *part = pnstrdup(name, length);

	for (char *p = part; *p != '\0'; p++)
	{
		if (*p >= 'A' && *p <= 'Z')
			*p += 'a' - 'A';
		else if (!((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9')))
			*p = '_';
	}
	return part;
}

char *
source_object_name(const char *server_name, const char *seed)
{
	char *database = get_database_name(MyDatabaseId);
	char *identity = psprintf("%s/%s", seed, server_name);
	uint32 id = DatumGetUInt32(hash_any((unsigned char *) identity, strlen(identity)));

	return psprintf("depipe_%s_%s_%08x",
					slot_name_part(database, 20),
					slot_name_part(server_name, 24),
					id);
}

/* ---- the slot ---- */

static int64
parse_bytes(const char *text)
{
	return text == NULL ? -1 : strtoll(text, NULL, 10);
}

SourceSlot *
source_slot_describe(Connection *connection, const char *slot_name)
{
	SourceSlot *slot = palloc0(sizeof(SourceSlot));
	SourceRows *rows;

	/* columns that not every version has are read through the JSON form of the row */
	rows = source_query(
		connection,
		7,
		psprintf("SELECT s.active, s.confirmed_flush_lsn, j->>'wal_status',"
				 " j->>'invalidation_reason', j->>'conflicting', j->>'safe_wal_size',"
				 " pg_catalog.pg_wal_lsn_diff(CASE WHEN pg_catalog.pg_is_in_recovery()"
				 " THEN pg_catalog.pg_last_wal_replay_lsn()"
				 " ELSE pg_catalog.pg_current_wal_lsn() END, s.restart_lsn)"
				 " FROM pg_catalog.pg_replication_slots s, pg_catalog.to_jsonb(s) j"
				 " WHERE s.slot_name = %s AND s.slot_type = 'logical'",
				 sql_literal(slot_name)),
		"read the slot");
	slot->retained_bytes = -1;
	slot->safe_wal_size = -1;
	if (rows->count == 0)
		return slot;
	slot->exists = true;
	slot->active = source_true(rows->values[0][0]);
	slot->confirmed = source_lsn(rows->values[0][1]);
	slot->lost = (rows->values[0][2] != NULL && strcmp(rows->values[0][2], "lost") == 0) ||
				 rows->values[0][3] != NULL || source_true(rows->values[0][4]);
	slot->lost_reason = rows->values[0][3];
	slot->safe_wal_size = parse_bytes(rows->values[0][5]);
	slot->retained_bytes = parse_bytes(rows->values[0][6]);
	return slot;
}

XLogRecPtr
source_slot_create(Connection *connection, const char *slot_name, int wait_ms)
{
	SourceRows *rows;

	source_command(connection, psprintf("SET lock_timeout = %d", wait_ms), "create a slot");
	rows = source_query(
		connection,
		4,
		psprintf("CREATE_REPLICATION_SLOT \"%s\" LOGICAL pgoutput NOEXPORT_SNAPSHOT", slot_name),
		"create a slot");
	source_command(connection, "RESET lock_timeout", "create a slot");
	return source_lsn(rows->values[0][1]);
}

/* An ending walsender still holds the slot for a moment. */
void
source_slot_drop(Connection *connection, const char *slot_name)
{
	for (int i = 0; i < SLOT_RELEASE_TRIES; i++)
	{
		if (!source_slot_describe(connection, slot_name)->active)
			break;
		(void) WaitLatch(MyLatch, WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 100, PG_WAIT_EXTENSION);
		CHECK_FOR_INTERRUPTS();
	}
	source_command(connection,
				   psprintf("DROP_REPLICATION_SLOT \"%s\"", slot_name),
				   "drop the slot");
}

void
source_check_slot_possible(const Source *source)
{
	if (source->same_cluster && TransactionIdIsValid(GetTopTransactionIdIfAny()))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot create a slot in this transaction, because it has written"),
				 errdetail("The source is a database of this cluster: the slot would wait for this"
						   " transaction."),
				 errhint("Use CALL depipe.run(...) outside of a transaction block.")));
}

/* ---- removing ---- */

typedef struct Removal
{
	char *server_name;
	char *slot_name;
	char *publication; /* NULL: not ours */
	SubTransactionId subid;
} Removal;

static List *removals = NIL;

static bool
removal_work(void *argument)
{
	Removal *removal = argument;
	Connection *connection = connection_open(source_server_open(removal->server_name));

	if (source_slot_describe(connection, removal->slot_name)->exists)
		source_slot_drop(connection, removal->slot_name);
	if (removal->publication != NULL)
		source_command(
			connection,
			psprintf("DROP PUBLICATION IF EXISTS %s", sql_identifier(removal->publication)),
			"drop the publication");
	connection_close(connection);
	return true;
}

/* The error becomes a warning: the local part must not fail because a source does not answer. */
static void
try_removal(Removal *removal)
{
	ErrorData *error = guarded_run(removal_work, removal);

	if (error == NULL)
		return;
	ereport(WARNING,
			(errcode(ERRCODE_WARNING),
			 removal->publication == NULL
				 ? errmsg("slot \"%s\" is left at server \"%s\"",
						  removal->slot_name,
						  removal->server_name)
				 : errmsg("slot \"%s\" and publication \"%s\" are left at server \"%s\"",
						  removal->slot_name,
						  removal->publication,
						  removal->server_name),
			 errdetail("%s", error->message),
			 errhint("The slot retains WAL. Unless another database reads it, at the source:"
					 " SELECT pg_drop_replication_slot(%s);",
					 sql_literal(removal->slot_name))));
}

void
source_keep_slot(const char *slot_name)
{
	ListCell *cell;

	foreach(cell, removals)
		if (strcmp(((Removal *) lfirst(cell))->slot_name, slot_name) == 0)
			removals = foreach_delete_current(removals, cell);
}

static void
removals_at_transaction(XactEvent event, void *arg)
{
	ListCell *cell;

	if (event == XACT_EVENT_PRE_COMMIT)
	{
		foreach(cell, removals)
			try_removal(lfirst(cell));
	}
	if (event != XACT_EVENT_PRE_PREPARE)
		removals = NIL;
	else if (removals != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot prepare a transaction that has removed a source")));
}

static void
removals_at_subtransaction(SubXactEvent event, SubTransactionId subid, SubTransactionId parent,
						   void *arg)
{
	ListCell *cell;

	foreach(cell, removals)
	{
		Removal *removal = lfirst(cell);

		if (removal->subid != subid)
			continue;
		if (event == SUBXACT_EVENT_COMMIT_SUB)
			removal->subid = parent;
		else if (event == SUBXACT_EVENT_ABORT_SUB)
			removals = foreach_delete_current(removals, cell);
	}
}

void
source_remove_at_commit(const char *server_name, const Stream *stream)
{
	static bool registered = false;
	MemoryContext old;
	Removal *removal;

	if (!registered)
	{
		RegisterXactCallback(removals_at_transaction, NULL);
		RegisterSubXactCallback(removals_at_subtransaction, NULL);
		registered = true;
	}
	old = MemoryContextSwitchTo(TopTransactionContext);
	removal = palloc0(sizeof(Removal));
	removal->server_name = pstrdup(server_name);
	removal->slot_name = pstrdup(stream->slot_name);
	removal->publication = stream->publication_managed ? pstrdup(stream->publication) : NULL;
	removal->subid = GetCurrentSubTransactionId();
	removals = lappend(removals, removal);
	MemoryContextSwitchTo(old);
}
