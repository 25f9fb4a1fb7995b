/*-------------------------------------------------------------------------
 *
 * protect.c
 *		Protected tables: their constraints act when others write them.
 *
 * These triggers call the function in publish/write_gate.c:
 *
 *		..._open	BEFORE INSERT OR UPDATE, statement: refuses while the breaker
 *					is open
 *		..._insert, ..._update	AFTER, statement, with a transition table: the
 *					constraints, on all new images at once
 *		..._aside	BEFORE INSERT OR UPDATE, row, only where a constraint sets
 *					rows aside
 *		..._apply	AFTER INSERT OR UPDATE, row, ENABLE REPLICA: a logical
 *					replication worker fires no statement triggers
 *
 * A statement fires the statement triggers of the table that it names, so each
 * partition and child has them, too.  Row triggers are made on tables that hold
 * rows.  Triggers fire in the order of their names: a row is set aside after
 * the user's triggers have changed it.
 *
 *-------------------------------------------------------------------------
 */
#include "quality/protect.h"

#include "catalog/audit.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/write_findings.h"
#include "commands/trigger.h"
#include "core/arguments.h"
#include "core/identity.h"
#include "core/refusals.h"
#include "core/sqltext.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"

typedef struct ProtectTrigger
{
	const char *name;
	const char *events;
	const char *each; /* with the transition table */
	const char *enable;
	bool of_rows; /* on tables that hold rows only */
	bool aside;   /* only where rows are set aside */
} ProtectTrigger;

static const ProtectTrigger protect_triggers[] = {
	{"zz_depipe_protect_open",
	 "BEFORE INSERT OR UPDATE",
	 "FOR EACH STATEMENT",
	 "ALWAYS",
	 false,
	 false},
	{"zz_depipe_protect_insert",
	 "AFTER INSERT",
	 "REFERENCING NEW TABLE AS depipe_new FOR EACH STATEMENT",
	 "ALWAYS",
	 false,
	 false},
	{"zz_depipe_protect_update",
	 "AFTER UPDATE",
	 "REFERENCING NEW TABLE AS depipe_new FOR EACH STATEMENT",
	 "ALWAYS",
	 false,
	 false},
	{"zz_depipe_protect_aside", "BEFORE INSERT OR UPDATE", "FOR EACH ROW", "ALWAYS", true, true},
	{"zz_depipe_protect_apply", "AFTER INSERT OR UPDATE", "FOR EACH ROW", "REPLICA", true, false},
};

bool
protect_acts(const DataConstraint *constraint)
{
	if (constraint->warn_if.given || constraint->fail_if.given || constraint->row->is_aggregate)
		return false;
	if (strcmp(constraint->rule->kind->name, "unique") == 0)
		return true;
	return constraint_is_row(constraint) && constraint->row->grace_microseconds == 0;
}

static bool
sets_rows_aside(const Target *target)
{
	ListCell *cell;

	foreach(cell, constraint_rows(target->id))
		if (strcmp(((ConstraintRow *) lfirst(cell))->on_violation, "quarantine") == 0)
			return true;
	return false;
}

/* ---- triggers ---- */

static void
make_trigger(Oid relid, const ProtectTrigger *trigger)
{
	const char *table = sql_relation(relid);

	if (OidIsValid(get_trigger_oid(relid, trigger->name, true)))
		return;
	execute_as(identity_table_owner(relid),
			   psprintf("CREATE TRIGGER %s %s ON %s %s EXECUTE FUNCTION depipe.protect_write();"
						"ALTER TABLE ONLY %s ENABLE %s TRIGGER %s;"
						"ALTER TRIGGER %s ON %s DEPENDS ON EXTENSION depipe",
						trigger->name,
						trigger->events,
						table,
						trigger->each,
						table,
						trigger->enable,
						trigger->name,
						trigger->name,
						table));
	CommandCounterIncrement();
}

static void
drop_trigger(Oid relid, const ProtectTrigger *trigger)
{
	if (!OidIsValid(get_trigger_oid(relid, trigger->name, true)))
		return;
	execute_as(identity_table_owner(relid),
			   psprintf("DROP TRIGGER %s ON %s", trigger->name, sql_relation(relid)));
	CommandCounterIncrement();
}

static void
sync_member(Oid relid, bool aside)
{
	bool has_rows = get_rel_relkind(relid) == RELKIND_RELATION;
	bool is_child = has_superclass(relid) && !get_rel_relispartition(relid);

	/* a foreign table is written elsewhere */
	if (!has_rows && get_rel_relkind(relid) != RELKIND_PARTITIONED_TABLE)
		return;
	for (int i = 0; i < lengthof(protect_triggers); i++)
	{
		const ProtectTrigger *trigger = &protect_triggers[i];

		if (trigger->of_rows && !has_rows)
			continue;
		/* columns of a child alone have no place in quarantine: the statement is refused */
		if (trigger->aside && (!aside || is_child))
			drop_trigger(relid, trigger);
		else
			make_trigger(relid, trigger);
	}
}

void
protect_sync(Target *target)
{
	bool aside = sets_rows_aside(target);
	ListCell *cell;

	foreach(cell, find_all_inheritors(target->relid, AccessShareLock, NULL))
		sync_member(lfirst_oid(cell), aside);
}

static void
drop_triggers(const Target *target)
{
	ListCell *cell;

	foreach(cell, find_all_inheritors(target->relid, AccessShareLock, NULL))
		for (int i = 0; i < lengthof(protect_triggers); i++)
			drop_trigger(lfirst_oid(cell), &protect_triggers[i]);
}

/* ---- SQL functions ---- */

AUDITED_FUNCTION(depipe_protect);
AUDITED_FUNCTION(depipe_unprotect);

static Target *
own_target(FunctionCallInfo fcinfo)
{
	Target *target = target_find(argument_text(fcinfo, 0, "target"), false);

	if (OidIsValid(target->relid))
		identity_check_table_owner(target->relid, target->display);
	else if (!has_privs_of_role(GetUserId(), target->owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of table %s", target->display)));
	return target;
}

static void
check_can_be_protected(const Target *target)
{
	char kind;

	if (!OidIsValid(target->relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE), errmsg("%s", target_why_missing(target))));
	if (target->kind != TARGET_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("%s has a load or a transform", target->display),
				 errhint("The gate checks what depipe writes to it.")));
	if (has_superclass(target->relid))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("%s is a partition or child of another table", target->display),
				 errdetail("Statements that name the other table would not be checked."),
				 errhint("Protect the other table.")));
	kind = get_rel_relkind(target->relid);
	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("%s is not a table", target->display),
				 errhint("Views and foreign tables cannot be protected; depipe.guard keeps readers"
						 " from what fails.")));
}

/* SQL function protect(target) */
static Datum
depipe_protect_checked(PG_FUNCTION_ARGS)
{
	Target *target = own_target(fcinfo);

	check_can_be_protected(target);
	if (target->is_protected)
		ereport(NOTICE, (errmsg("%s is already protected", target->display)));
	target_protect(target->id, true);
	protect_sync(target);
	if (!refusals_exist())
		ereport(NOTICE,
				(errmsg("on_violation \"break\" acts as \"reject\" when %s is written",
						target->display),
				 errdetail("The library is not in shared_preload_libraries, so nothing can outlive"
						   " a statement that is refused.")));
	PG_RETURN_VOID();
}

/* SQL function unprotect(target) */
static Datum
depipe_unprotect_checked(PG_FUNCTION_ARGS)
{
	Target *target = own_target(fcinfo);

	if (!target->is_protected)
		ereport(NOTICE, (errmsg("%s is not protected", target->display)));
	target_protect(target->id, false);
	if (OidIsValid(target->relid))
		drop_triggers(target);
	PG_RETURN_VOID();
}
