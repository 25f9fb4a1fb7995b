/*-------------------------------------------------------------------------
 *
 * watch.c
 *		Detection of changes of a target that publish did not make.
 *
 * Kept state of a table is correct only as long as every change of the table
 * goes into it.  Users may write the targets of loads, superusers those of
 * transforms, and actions of foreign keys any table.  Therefore a trigger for
 * each row, which is ENABLE ALWAYS (a subscription fires no statement
 * triggers), notes the first such change of a transaction in
 * depipe.direct_write.  No session waits for another there: rows are only
 * added.  Writers and publish exclude each other by the lock of the table, so
 * that publish finds the note of every change that it can see.
 *
 * Changes that fire no trigger change the fingerprint: another file (TRUNCATE,
 * rewrites), other columns, a trigger that was disabled, replaced or dropped in
 * between (the version of its row in pg_trigger is included). Tables for which
 * that is not sufficient are not watched: unlogged tables lose their rows in a
 * crash; rows of partitions, parents and children are changed through other
 * tables; under row security different users see different rows.
 *
 *-------------------------------------------------------------------------
 */
#include "quality/watch.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/kept_state.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "core/guarded.h"
#include "core/identity.h"
#include "core/sqltext.h"
#include "parser/parse_func.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"

#define WATCH_ROWS "depipe_written"
#define WATCH_TRUNCATE "depipe_truncated"

/* ---- what can be watched ---- */

static bool
can_be_watched(Relation rel, Oid owner)
{
	Form_pg_class form = rel->rd_rel;

	return form->relkind == RELKIND_RELATION && form->relpersistence == RELPERSISTENCE_PERMANENT &&
		   !form->relispartition && !form->relhassubclass &&
		   !has_superclass(RelationGetRelid(rel)) &&
		   check_enable_rls(RelationGetRelid(rel), owner, true) == RLS_NONE;
}

static Oid
note_function(void)
{
	List *name = list_make2(makeString("depipe"), makeString("note_write"));

	return LookupFuncName(name, 0, NULL, true);
}

/* Is it a trigger of depipe that fires for every change by any session? */
static bool
watches(Form_pg_trigger form, HeapTuple tuple, TupleDesc desc)
{
	bool no_condition;

	(void) heap_getattr(tuple, Anum_pg_trigger_tgqual, desc, &no_condition);
	return form->tgfoid == note_function() && form->tgenabled == TRIGGER_FIRES_ALWAYS &&
		   no_condition && form->tgattr.dim1 == 0;
}

/* The version of the trigger, with its kind; NULL if it does not watch. */
static char *
trigger_version(Oid relid, const char *name, int16 type)
{
	Relation triggers = table_open(TriggerRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple tuple;
	char *version = NULL;

	ScanKeyInit(&keys[0],
				Anum_pg_trigger_tgrelid,
				BTEqualStrategyNumber,
				F_OIDEQ,
				ObjectIdGetDatum(relid));
	ScanKeyInit(&keys[1],
				Anum_pg_trigger_tgname,
				BTEqualStrategyNumber,
				F_NAMEEQ,
				CStringGetDatum(name));
	scan = systable_beginscan(triggers, TriggerRelidNameIndexId, true, NULL, 2, keys);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		Form_pg_trigger form = (Form_pg_trigger) GETSTRUCT(tuple);

		if (form->tgtype == type && watches(form, tuple, RelationGetDescr(triggers)))
			version = psprintf("%u/%u/%u.%u",
							   form->oid,
							   HeapTupleHeaderGetRawXmin(tuple->t_data),
							   ItemPointerGetBlockNumber(&tuple->t_self),
							   ItemPointerGetOffsetNumber(&tuple->t_self));
	}
	systable_endscan(scan);
	table_close(triggers, AccessShareLock);
	return version;
}

#define ROWS_TYPE \
	(TRIGGER_TYPE_ROW | TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_DELETE)

/* ---- the fingerprint ---- */

static void
append_columns(StringInfo text, TupleDesc desc)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped)
			appendStringInfoString(text, " -");
		else
			appendStringInfo(text,
							 " %s %u %d %u%s",
							 sql_identifier(NameStr(att->attname)),
							 att->atttypid,
							 att->atttypmod,
							 att->attcollation,
							 att->attgenerated != '\0' ? " g" : "");
	}
}

char *
watch_fingerprint(const Target *target)
{
	Relation rel = table_open(target->relid, AccessShareLock);
	char *rows = trigger_version(target->relid, WATCH_ROWS, ROWS_TYPE);
	char *truncate = trigger_version(target->relid, WATCH_TRUNCATE, TRIGGER_TYPE_TRUNCATE);
	StringInfoData text;

	initStringInfo(&text);
	if (rows != NULL && truncate != NULL && can_be_watched(rel, target->owner))
	{
		appendStringInfo(&text,
						 "%u %u %s %s",
						 target->relid,
						 relation_file_compat(rel),
						 rows,
						 truncate);
		append_columns(&text, RelationGetDescr(rel));
	}
	table_close(rel, NoLock);
	return text.len > 0 ? text.data : NULL;
}

/* ---- triggers ---- */

static void
make_trigger(const Target *target, const char *name, const char *events, const char *each)
{
	StringInfoData sql;

	if (OidIsValid(get_trigger_oid(target->relid, name, true)))
		return;
	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "CREATE TRIGGER %s AFTER %s ON %s FOR EACH %s"
					 " EXECUTE FUNCTION depipe.note_write();"
					 "ALTER TABLE %s ENABLE ALWAYS TRIGGER %s;"
					 "ALTER TRIGGER %s ON %s DEPENDS ON EXTENSION depipe",
					 name,
					 events,
					 target->display,
					 each,
					 target->display,
					 name,
					 name,
					 target->display);
	execute_as(target->owner, sql.data);
}

static bool
begin_work(void *argument)
{
	const Target *target = argument;
	Relation rel = table_open(target->relid, AccessShareLock);
	bool possible = can_be_watched(rel, target->owner);

	table_close(rel, NoLock);
	if (!possible)
		return true;
	make_trigger(target, WATCH_ROWS, "INSERT OR UPDATE OR DELETE", "ROW");
	make_trigger(target, WATCH_TRUNCATE, "TRUNCATE", "STATEMENT");
	CommandCounterIncrement();
	return true;
}

/* Without the right to create triggers, the table is not watched. */
void
watch_begin(Target *target)
{
	if (!OidIsValid(get_trigger_oid(target->relid, WATCH_ROWS, true)) ||
		!OidIsValid(get_trigger_oid(target->relid, WATCH_TRUNCATE, true)))
		(void) guarded_run(begin_work, target);
}

static void
drop_trigger(const Target *target, const char *name)
{
	StringInfoData sql;

	if (!OidIsValid(get_trigger_oid(target->relid, name, true)))
		return;
	initStringInfo(&sql);
	appendStringInfo(&sql, "DROP TRIGGER %s ON %s", name, target->display);
	execute_as(target->owner, sql.data);
}

void
watch_end(const Target *target)
{
	if (!OidIsValid(target->relid))
		return;
	/* while the table is in use they stay, and do no harm */
	if (!ConditionalLockRelationOid(target->relid, AccessExclusiveLock))
		return;
	drop_trigger(target, WATCH_ROWS);
	drop_trigger(target, WATCH_TRUNCATE);
	watch_forget_notes(target->relid);
}

/* ---- noting ---- */

/* The table noted last, with transaction and subtransaction. */
static struct
{
	Oid relid;
	LocalTransactionId transaction;
	SubTransactionId subtransaction;
} noted = {InvalidOid};

static bool
is_noted(Oid relid)
{
	return noted.relid == relid && noted.transaction == local_transaction_compat() &&
		   noted.subtransaction == GetCurrentSubTransactionId();
}

/*
 * Does a note exist now?  The snapshot of the transaction does not suffice: a
 * note that it sees may have been processed and deleted since.
 */
static bool
look_for_note(Oid relid)
{
	bool found;

	PushActiveSnapshot(GetLatestSnapshot());
	found = direct_write_look(relid);
	PopActiveSnapshot();
	return found;
}

void
watch_note_write(Oid relid)
{
	if (is_noted(relid))
		return;
	if (!look_for_note(relid))
		direct_write_put(relid);
	noted.relid = relid;
	noted.transaction = local_transaction_compat();
	noted.subtransaction = GetCurrentSubTransactionId();
}

void
watch_forget_notes(Oid relid)
{
	noted.relid = InvalidOid;
	direct_writes_forget(relid);
}

PG_FUNCTION_INFO_V1(depipe_note_write);

/* The trigger function. Rows written by publish are counted there. */
Datum
depipe_note_write(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	Oid relid;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager", "note_write")));
	relid = RelationGetRelid(trigger->tg_relation);
	if (!depipe_is_writing || depipe_writing_to != relid)
		watch_note_write(relid);
	PG_RETURN_POINTER(NULL);
}
