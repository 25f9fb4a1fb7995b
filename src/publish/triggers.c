/*-------------------------------------------------------------------------
 *
 * triggers.c
 *		Which triggers fire for rows that depipe writes; a table with rules is no
 *		target.
 *
 * As in the server's own replication, a user's trigger fires for loaded rows
 * only if it is ENABLE REPLICA or ENABLE ALWAYS. Foreign keys, however, stay
 * enforced, although session_replication_role would leave out their triggers as
 * well.  So that setting is not used.  Instead a hook of the executor changes
 * the statement's own copy of the triggers of the tables that it writes
 * (ri_TrigDesc), before the first row.  Statements that foreign keys run belong
 * to the server: the triggers of the tables that they reach fire as usual.
 *
 * In these copies nothing is deferrable: a restricted operation cannot queue
 * deferred checks, and nothing may fire after the gate.  The state that the
 * caller gave to constraints by SET CONSTRAINTS is not changed.
 *
 * Partitions to which an INSERT routes rows are opened when the first row
 * arrives, with triggers that no hook has seen.  Therefore a partitioned table
 * is written by a MERGE, which opens all partitions at the start; the end of
 * the statement verifies this.
 *
 * Invariant: the state below is used only while depipe_is_writing is set, which
 * an error resets.
 *
 *-------------------------------------------------------------------------
 */
#include "publish/triggers.h"

#include "access/table.h"
#include "catalog/pg_trigger.h"
#include "catalog/namespace.h"
#include "commands/trigger.h"
#include "core/identity.h"
#include "executor/executor.h"
#include "nodes/execnodes.h"
#include "rewrite/prs2lock.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

void
rules_refuse(Oid relid, const char *display)
{
	Relation rel = table_open(relid, AccessShareLock);
	bool has_rules = rel->rd_rules != NULL && rel->rd_rules->numLocks > 0;

	table_close(rel, NoLock);
	if (has_rules)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("table %s has rules", display),
				 errdetail("A rule could replace the rows that are written."),
				 errhint("Drop its rules; pg_rules lists them.")));
}

typedef struct Writing
{
	const char *sql;
	int skip;
	QueryDesc *query; /* NULL: not started */
} Writing;

static Writing writing = {0};

void
triggers_begin(const char *sql, int skip)
{
	writing.sql = sql;
	writing.skip = skip;
	writing.query = NULL;
}

void
triggers_end(void)
{
	writing.sql = NULL;
	writing.query = NULL;
}

/* ---- one trigger ---- */

static bool
restricts(Oid function)
{
	return function == F_RI_FKEY_NOACTION_DEL || function == F_RI_FKEY_NOACTION_UPD ||
		   function == F_RI_FKEY_RESTRICT_DEL || function == F_RI_FKEY_RESTRICT_UPD;
}

static bool
is_skipped(const Trigger *trigger, int skip)
{
	switch (RI_FKey_trigger_type(trigger->tgfoid))
	{
		case RI_TRIGGER_FK:
			return (skip & SKIP_REFERENCING) != 0;
		case RI_TRIGGER_PK:
			return (skip & SKIP_REFERENCED) != 0 ||
				   ((skip & SKIP_RESTRICTING) != 0 && restricts(trigger->tgfoid));
		default:
			return false;
	}
}

/* Does it fire for depipe's rows but not for a user's, or the reverse? */
static bool
is_users(const Trigger *trigger)
{
	return !trigger->tgisinternal && (trigger->tgenabled == TRIGGER_FIRES_ON_ORIGIN ||
									  trigger->tgenabled == TRIGGER_FIRES_ON_REPLICA);
}

/* depipe's own let such rows pass as they are. */
static bool
is_depipes(const Trigger *trigger)
{
	return get_func_namespace(trigger->tgfoid) == get_namespace_oid("depipe", true);
}

/* What publish writes itself needs no note (quality/watch). */
static bool
notes_writes(const Trigger *trigger)
{
	return is_depipes(trigger) && strcmp(get_func_name(trigger->tgfoid), "note_write") == 0;
}

static void
change_trigger(Trigger *trigger, int skip)
{
	if (notes_writes(trigger))
		trigger->tgenabled = TRIGGER_DISABLED;
	if (is_users(trigger))
		trigger->tgenabled = trigger->tgenabled == TRIGGER_FIRES_ON_ORIGIN ? TRIGGER_DISABLED
																		   : TRIGGER_FIRES_ALWAYS;
	if (is_skipped(trigger, skip))
		trigger->tgenabled = TRIGGER_DISABLED;
}

static bool
matters(const TriggerDesc *triggers, int skip)
{
	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];

		if (trigger->tgenabled != TRIGGER_DISABLED &&
			(is_users(trigger) || trigger->tgdeferrable || is_skipped(trigger, skip)))
			return true;
	}
	return false;
}

bool
triggers_matter(Relation rel, int skip)
{
	return matters(rel->trigdesc, skip);
}

bool
triggers_of_others(Relation rel)
{
	for (int i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
		if (!is_depipes(&rel->trigdesc->triggers[i]))
			return true;
	return false;
}

bool
triggers_fire(const Trigger *trigger)
{
	return !trigger->tgisinternal && !is_depipes(trigger) &&
		   (trigger->tgenabled == TRIGGER_FIRES_ALWAYS ||
			trigger->tgenabled == TRIGGER_FIRES_ON_REPLICA);
}

/* ---- what the hooks call ---- */

/* A trigger for each row that is off costs a look at the row, unless it is the last one. */
static void
take_back_flags(TriggerDesc *triggers)
{
	bool inserts = false;
	bool updates = false;
	bool deletes = false;

	for (int i = 0; i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];

		if (trigger->tgenabled == TRIGGER_DISABLED || !TRIGGER_FOR_AFTER(trigger->tgtype) ||
			!TRIGGER_FOR_ROW(trigger->tgtype))
			continue;
		inserts |= TRIGGER_FOR_INSERT(trigger->tgtype);
		updates |= TRIGGER_FOR_UPDATE(trigger->tgtype);
		deletes |= TRIGGER_FOR_DELETE(trigger->tgtype);
	}
	triggers->trig_insert_after_row &= inserts;
	triggers->trig_update_after_row &= updates;
	triggers->trig_delete_after_row &= deletes;
}

/* ours: the statement of publish; otherwise one that it caused. */
static void
change_triggers(EState *estate, bool ours)
{
	ListCell *cell;

	foreach(cell, estate->es_opened_result_relations)
	{
		TriggerDesc *triggers = ((ResultRelInfo *) lfirst(cell))->ri_TrigDesc;

		for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
		{
			if (ours)
				change_trigger(&triggers->triggers[i], writing.skip);
			triggers->triggers[i].tgdeferrable = false;
			triggers->triggers[i].tginitdeferred = false;
		}
		if (ours && triggers != NULL)
			take_back_flags(triggers);
	}
}

void
triggers_statement_started(QueryDesc *query)
{
	if (!depipe_is_writing || writing.sql == NULL)
		return;
	if (writing.query != NULL)
		change_triggers(query->estate, false);
	else if (strcmp(query->sourceText, writing.sql) == 0) /* not a function that planning ran */
	{
		writing.query = query;
		change_triggers(query->estate, true);
	}
}

/* Were there partitions whose triggers were not examined? */
static void
check_routed(EState *estate)
{
	ListCell *cell;

	foreach(cell, estate->es_tuple_routing_result_relations)
	{
		ResultRelInfo *routed = lfirst(cell);

		if (matters(routed->ri_TrigDesc, writing.skip))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("triggers of partition \"%s\" cannot be prevented from firing",
							RelationGetRelationName(routed->ri_RelationDesc))));
	}
}

void
triggers_statement_ends(QueryDesc *query)
{
	if (depipe_is_writing && writing.query == query)
		check_routed(query->estate);
}
