/*-------------------------------------------------------------------------
 *
 * capture_basis.c
 *		The basis of a capture: the table, its members and their triggers.
 *
 * Changes can bypass the triggers of a table: a trigger is disabled for a
 * while, the table is rewritten or truncated, a partition is attached with its
 * rows or detached.  Each of these leaves a trace in the catalogs that no
 * later command undoes: another file, or another version (xmin) of a catalog
 * row.  Therefore a capture records the state of the catalogs when it begins.
 * If they have the same state after the snapshot of a refresh was taken, no
 * change has bypassed the triggers.
 *
 * A table that can be changed without such a trace is never captured: one that
 * a native subscription writes to, because its worker fires no statement-level
 * triggers, and one with a parent outside the input, because its rows can be
 * changed through that parent.
 *
 *-------------------------------------------------------------------------
 */
#include "capture/capture_basis.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_subscription_rel.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "common/hashfn.h"
#include "core/sqltext.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

/* The triggers that a member needs; the last one is only for partitioned tables. */
static const int16 event_types[] = {TRIGGER_TYPE_INSERT,
									TRIGGER_TYPE_UPDATE,
									TRIGGER_TYPE_DELETE,
									TRIGGER_TYPE_TRUNCATE,
									TRIGGER_TYPE_BEFORE | TRIGGER_TYPE_UPDATE};

#define ALL_EVENTS \
	(TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_DELETE | TRIGGER_TYPE_TRUNCATE)

static SysScanDesc
begin_scan(Relation catalog, Oid index, AttrNumber column, Oid relid)
{
	ScanKeyData key;

	ScanKeyInit(&key, column, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relid));
	return systable_beginscan(catalog, index, true, NULL, 1, &key);
}

static void
unfit(CaptureLook *look, const char *reason_code, char *detail)
{
	if (look->reason_code != NULL)
		return;
	look->reason_code = reason_code;
	look->detail = detail;
}

/* ---- one member ---- */

static void
add_columns(StringInfo text, Relation rel)
{
	TupleDesc desc = RelationGetDescr(rel);
	StringInfoData columns;

	initStringInfo(&columns);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		appendStringInfo(&columns,
						 "%s %u %d %u %d %c %d%c;",
						 NameStr(att->attname),
						 att->atttypid,
						 att->atttypmod,
						 att->attcollation,
						 att->attlen,
						 att->attalign,
						 att->attisdropped,
						 att->attgenerated == '\0' ? '-' : att->attgenerated);
	}
	appendStringInfo(text,
					 "%u:" UINT64_FORMAT " ",
					 RelationGetRelid(rel),
					 hash_bytes_extended((unsigned char *) columns.data, columns.len, 0));
	pfree(columns.data);
}

/* Append the member with its parents and the versions of its rows in pg_inherits. */
static void
add_member(CaptureLook *look, StringInfo text, Relation rel)
{
	Relation inherits = table_open(InheritsRelationId, AccessShareLock);
	SysScanDesc scan = begin_scan(inherits,
								  InheritsRelidSeqnoIndexId,
								  Anum_pg_inherits_inhrelid,
								  RelationGetRelid(rel));
	HeapTuple tuple;

	appendStringInfo(text, "%u", RelationGetRelid(rel));
	while ((tuple = systable_getnext(scan)) != NULL)
	{
		Oid parent = ((Form_pg_inherits) GETSTRUCT(tuple))->inhparent;

		appendStringInfo(text, ":%u/%u", parent, HeapTupleHeaderGetRawXmin(tuple->t_data));
		if (list_member_oid(look->basis.relids, parent))
			continue;
		unfit(look,
			  "has_parent",
			  psprintf("Rows of %s can be changed through %s.",
					   sql_relation(RelationGetRelid(rel)),
					   sql_relation(parent)));
	}
	systable_endscan(scan);
	table_close(inherits, AccessShareLock);
	appendStringInfoChar(text, ' ');
}

/* Append the triggers with this function.  Returns the events for which they fire always. */
static int
add_triggers(StringInfo text, Oid relid, Oid function)
{
	Relation triggers = table_open(TriggerRelationId, AccessShareLock);
	SysScanDesc scan =
		begin_scan(triggers, TriggerRelidNameIndexId, Anum_pg_trigger_tgrelid, relid);
	int events = 0;
	HeapTuple tuple;

	while ((tuple = systable_getnext(scan)) != NULL)
	{
		Form_pg_trigger form = (Form_pg_trigger) GETSTRUCT(tuple);

		if (form->tgfoid != function)
			continue;
		appendStringInfo(text,
						 "%u:%u/%u%c ",
						 relid,
						 form->oid,
						 HeapTupleHeaderGetRawXmin(tuple->t_data),
						 form->tgenabled);
		for (int i = 0; i < lengthof(event_types); i++)
			if (form->tgtype == event_types[i] && form->tgenabled == TRIGGER_FIRES_ALWAYS)
				events |= event_types[i];
	}
	systable_endscan(scan);
	table_close(triggers, AccessShareLock);
	return events;
}

static int
wanted_events(Relation rel)
{
	return rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE ? ALL_EVENTS | TRIGGER_TYPE_BEFORE
															 : ALL_EVENTS;
}

static bool
is_subscribed(Oid relid)
{
	Relation subscribed = table_open(SubscriptionRelRelationId, AccessShareLock);
	SysScanDesc scan = begin_scan(subscribed,
								  SubscriptionRelSrrelidSrsubidIndexId,
								  Anum_pg_subscription_rel_srrelid,
								  relid);
	bool found = systable_getnext(scan) != NULL;

	systable_endscan(scan);
	table_close(subscribed, AccessShareLock);
	return found;
}

/* Refuse a member whose changes triggers do not see. */
static void
check_member(CaptureLook *look, Relation rel)
{
	TupleDesc desc = RelationGetDescr(rel);
	char *name = sql_relation(RelationGetRelid(rel));

	if (rel->rd_rel->relkind != RELKIND_RELATION &&
		rel->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		unfit(look,
			  "no_ordinary_table",
			  psprintf("Changes of %s, which is no ordinary table, are not captured.", name));
	else if (rel->rd_rel->relpersistence == RELPERSISTENCE_TEMP)
		unfit(look,
			  "temporary",
			  psprintf("Changes of %s, which is temporary, are not captured.", name));
	else if (RelationGetRelid(rel) < FirstNormalObjectId ||
			 RelationGetNamespace(rel) == get_namespace_oid(DEPIPE_SCHEMA, true))
		unfit(look,
			  "system_table",
			  psprintf("Changes of %s, which is a system table, are not captured.", name));
	if (is_subscribed(RelationGetRelid(rel)))
		unfit(look,
			  "subscription",
			  psprintf("A subscription changes %s without firing triggers of statements.", name));
	for (int i = 0; i < desc->natts; i++)
		if (!TupleDescAttr(desc, i)->attisdropped && TupleDescAttr(desc, i)->attgenerated == 'v')
			unfit(look,
				  "virtual_column",
				  psprintf("Column \"%s\" of %s is generated when it is read.",
						   NameStr(TupleDescAttr(desc, i)->attname),
						   name));
}

/* ---- all members ---- */

void
capture_look(Oid relid, CaptureLook *look)
{
	Oid function = capture_function();
	StringInfoData texts[4];
	ListCell *cell;

	memset(look, 0, sizeof(CaptureLook));
	for (int i = 0; i < lengthof(texts); i++)
		initStringInfo(&texts[i]);
	look->basis.relids = find_all_inheritors(relid, AccessShareLock, NULL);
	foreach(cell, look->basis.relids)
	{
		Relation rel = relation_open(lfirst_oid(cell), AccessShareLock);

		check_member(look, rel);
		add_columns(&texts[0], rel);
		add_member(look, &texts[1], rel);
		appendStringInfo(&texts[2], "%u:%u ", lfirst_oid(cell), rel->rd_rel->relfilenode);
		if (add_triggers(&texts[3], lfirst_oid(cell), function) != wanted_events(rel))
			look->incomplete = lappend_oid(look->incomplete, lfirst_oid(cell));
		relation_close(rel, NoLock);
	}
	look->basis.columns = texts[0].data;
	look->basis.members = texts[1].data;
	look->basis.files = texts[2].data;
	look->basis.triggers = texts[3].data;
}

const char *
capture_difference(const CaptureBasis *was, const CaptureBasis *now, char **detail)
{
	*detail = NULL;
	if (strcmp(was->members, now->members) != 0)
	{
		*detail = "It has got or lost partitions or children.";
		return "partitions_changed";
	}
	if (strcmp(was->columns, now->columns) != 0)
	{
		*detail = "Its columns were altered.";
		return "input_altered";
	}
	if (strcmp(was->triggers, now->triggers) != 0)
	{
		*detail = "The triggers that capture its changes were disabled, altered or dropped.";
		return "trigger_disabled";
	}
	if (strcmp(was->files, now->files) != 0)
	{
		*detail = "It was truncated or rewritten.";
		return "input_rewritten";
	}
	return NULL;
}

int64
capture_guard_hash(Oid relid, Oid function)
{
	CaptureLook look;
	StringInfoData text;
	ListCell *cell;

	capture_look(relid, &look);
	initStringInfo(&text);
	appendStringInfo(&text, "%s|%s|", look.basis.members, look.basis.files);
	foreach(cell, look.basis.relids)
		(void) add_triggers(&text, lfirst_oid(cell), function);
	return (int64) hash_bytes_extended((unsigned char *) text.data, text.len, 0);
}
