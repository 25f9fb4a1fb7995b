/*-------------------------------------------------------------------------
 *
 * names.c
 *		Tables that are renamed, dropped or created again.
 *
 * Definitions are bound by name.  The effect of a command on a name is decided
 * at commit, because tools such as dbt rename a table and create another one
 * under its name in the same transaction.  An event trigger only records that
 * names may have changed.  Before the commit, each definition is settled:
 *
 *		If its name denotes a table of the same owner, the definition is bound
 *		to that table, even if it is another one.
 *		Otherwise, if its previous table still exists, the table was renamed,
 *		and the definition follows it.
 *		Otherwise the table is missing until one of that name is created.
 *
 * The queries of transforms follow renamed inputs, and renamed columns of
 * inputs, by the same rule (binding.c).
 *
 * An error here must not prevent a DDL command.  The work is therefore done in
 * a subtransaction, and a failure is reported as a WARNING.
 *
 *-------------------------------------------------------------------------
 */
#include "transform/names.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/event_trigger.h"
#include "catalog/loads.h"
#include "catalog/attempts.h"
#include "catalog/transforms.h"
#include "core/guarded.h"
#include "core/sqltext.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "query/binding.h"
#include "capture/capture.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(depipe_names_changed);

/* State of this transaction; the list is allocated in TopTransactionContext. */
static bool names_changed = false;
static bool every_name_changed = false; /* a schema was renamed */
static List *altered_relids = NIL;

/*
 * PREPARE TRANSACTION fails after a NOTIFY, so a transaction that is being
 * prepared sends none for its events.
 */
static bool preparing = false;

/* ---- targets ---- */

static void
record_event(int32 target_id, const char *event, const char *state, const char *reason)
{
	if (preparing)
		names_record_event(target_id, event, state, reason);
	else
		event_record(target_id, event, state, reason);
}

static void
follow_target(int32 target_id, const char *old_schema, const char *old_table, Oid relid)
{
	char *schema = get_namespace_name(get_rel_namespace(relid));
	char *table = get_rel_name(relid);

	if (isAnyTempNamespace(get_rel_namespace(relid)) ||
		!names_rename_target(target_id, schema, table))
	{
		names_forget_table(target_id);
		return;
	}
	record_event(target_id, "renamed", NULL, psprintf("was %s", sql_table(old_schema, old_table)));
}

static void
settle_targets(void)
{
	CatalogRows *moved;

	targets_follow_owners();
	moved = names_select_moved();
	for (uint64 i = 0; i < moved->count; i++)
	{
		int32 id = catalog_int4(moved, i, MOVED_TARGET_ID);
		Oid was = catalog_oid(moved, i, MOVED_RELID);
		Target *target = target_get(id);

		if (OidIsValid(target->relid))
		{
			(void) target_bind(target);
			record_event(id, "bound", NULL, NULL);
			/* the new table may lack rows of the old one */
			if (OidIsValid(was) && load_resync_table(id))
				record_event(id, "load", "new", "the target table was replaced");
		}
		else if (OidIsValid(was) && get_rel_name(was) != NULL && !target->taken)
			follow_target(id, target->schema_name, target->table_name, was);
		else if (OidIsValid(was))
		{
			names_forget_table(id);
			if (!target_forget_if_gone(target))
				record_event(id, "missing", "missing", NULL);
		}
	}
}

/* ---- queries ---- */

/*
 * Settle the query of a transform.  The state shows at once that the change
 * has broken it, or no longer does.  The next refresh decides.
 */
static void
settle_query(int32 target_id)
{
	char *reason = binding_settle(target_id);
	bool was_broken = strcmp(transform_get(target_id)->state, "broken") == 0;

	if (preparing)
		return; /* a change of the state is announced, which PREPARE does not allow */
	if (reason != NULL)
		transform_set_state(target_id, "broken", reason, false);
	else if (was_broken)
	{
		transform_set_state(target_id, "blocked", NULL, false);
		attempt_end(unit_of_target(target_id));
	}
}

/*
 * Bind queries to the objects that their names denote now, or change their
 * texts to follow renamed objects.
 */
static void
settle_queries(void)
{
	CatalogRows *readers;

	if (altered_relids == NIL && !every_name_changed)
		return;
	readers = names_select_readers(every_name_changed ? NIL : altered_relids);
	for (uint64 i = 0; i < readers->count; i++)
		settle_query(catalog_int4(readers, i, 1));
}

/* ---- at commit ---- */

static bool
settle(void *argument)
{
	settle_targets();
	settle_queries();
	captures_sweep(false);
	return true;
}

/* Returns true if the extension exists.  This transaction may have dropped it. */
static bool
extension_is_here(void)
{
	Oid schema = get_namespace_oid(DEPIPE_SCHEMA, true);

	return OidIsValid(schema) && OidIsValid(get_relname_relid("transform_state", schema)) &&
		   OidIsValid(get_relname_relid("target_state", schema));
}

static void
settle_names(void)
{
	char *hint;
	MemoryContext context = AllocSetContextCreate(TopTransactionContext,
												  "depipe names",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	ErrorData *error;

	names_changed = false; /* the work below must not cause another call */
	PushActiveSnapshot(GetTransactionSnapshot());
	/*
	 * While the versions of library and extension differ, names are not
	 * followed.  The next change after that settles all of them.
	 */
	if (extension_is_here() && catalog_version_problem(&hint) == NULL)
	{
		error = guarded_run(settle, NULL);
		if (error != NULL)
			ereport(WARNING,
					(errcode(error->sqlerrcode),
					 errmsg("depipe could not follow a change of names"),
					 superuser() ? errdetail_internal("%s", error->message) : 0));
	}
	PopActiveSnapshot();
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

static void
at_transaction_end(XactEvent event, void *argument)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			preparing = event == XACT_EVENT_PRE_PREPARE;
			if (names_changed)
				settle_names();
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
		case XACT_EVENT_ABORT:
			names_changed = every_name_changed = false;
			altered_relids = NIL;
			break;
		default:
			break;
	}
}

static void
note_names_changed(void)
{
	static bool registered = false;

	if (!registered)
	{
		RegisterXactCallback(at_transaction_end, NULL);
		registered = true;
	}
	names_changed = true;
}

/* ---- REASSIGN OWNED ---- */

static bool
reassign_work(void *argument)
{
	ReassignOwnedStmt *statement = argument;
	Oid to = get_rolespec_oid(statement->newrole, false);
	ListCell *cell;

	foreach(cell, statement->roles)
		targets_reassign(get_rolespec_oid(lfirst(cell), false), to);
	return true;
}

/*
 * REASSIGN OWNED fires no event trigger, so the change is recorded here.  New
 * owners of existing tables are followed at commit.  Definitions whose table
 * is missing are reassigned in the same way as the tables of the role.
 */
void
names_follow_reassign(ReassignOwnedStmt *statement)
{
	char *hint;
	ErrorData *error;

	if (!extension_is_here() || catalog_version_problem(&hint) != NULL)
		return;
	note_names_changed();
	error = guarded_run(reassign_work, statement);
	if (error != NULL)
		ereport(WARNING,
				(errcode(error->sqlerrcode),
				 errmsg("depipe could not follow a change of owners"),
				 superuser() ? errdetail_internal("%s", error->message) : 0));
}

/* ---- event trigger ---- */

/* Record the relations that the command altered or created. */
static void
note_altered(void)
{
	MemoryContext old;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute("SELECT DISTINCT objid FROM pg_catalog.pg_event_trigger_ddl_commands()"
					" WHERE classid OPERATOR(pg_catalog.=) 1259",
					true,
					0) != SPI_OK_SELECT)
		elog(ERROR, "could not read the commands of the event trigger");
	old = MemoryContextSwitchTo(TopTransactionContext);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool isnull;
		Oid relid = DatumGetObjectId(
			SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull));

		altered_relids = list_append_unique_oid(altered_relids, relid);
	}
	MemoryContextSwitchTo(old);
	SPI_finish();
}

/*
 * Returns true if the statement gives a function, type, operator, collation or
 * extension another name or schema.
 */
static bool
renames_no_relation(Node *statement)
{
	ObjectType type;

	if (IsA(statement, RenameStmt))
		type = ((RenameStmt *) statement)->renameType;
	else if (IsA(statement, AlterObjectSchemaStmt))
		type = ((AlterObjectSchemaStmt *) statement)->objectType;
	else
		return false;
	switch (type)
	{
		case OBJECT_AGGREGATE:
		case OBJECT_ATTRIBUTE:
		case OBJECT_COLLATION:
		case OBJECT_DOMAIN:
		case OBJECT_EXTENSION:
		case OBJECT_FUNCTION:
		case OBJECT_OPERATOR:
		case OBJECT_PROCEDURE:
		case OBJECT_ROUTINE:
		case OBJECT_TYPE:
			return true;
		default:
			return false;
	}
}

/* SQL function names_changed(): event trigger at the end of commands that can change names. */
Datum
depipe_names_changed(PG_FUNCTION_ARGS)
{
	EventTriggerData *trigger = (EventTriggerData *) fcinfo->context;
	const char *tag;

	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(
			ERROR,
			(errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
			 errmsg("function \"%s\" was not called by event trigger manager", "names_changed")));
	note_names_changed();
	tag = GetCommandTagName(trigger->tag);
	if (strcmp(tag, "ALTER SCHEMA") == 0)
		every_name_changed = true;
	else if (strncmp(tag, "DROP ", 5) != 0)
		note_altered();
	if (renames_no_relation(trigger->parsetree))
		every_name_changed = true; /* the queries that use the object are not known */
	PG_RETURN_NULL();
}
