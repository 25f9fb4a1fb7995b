/*-------------------------------------------------------------------------
 *
 * guard.c
 *		The guard: can a reader rely on a table now?
 *
 * It examines the table and everything upstream of it, nearest first.  Nothing
 * is recorded: the guard often runs in a transaction that it will abort.
 *
 *-------------------------------------------------------------------------
 */
#include "quality/guard.h"

#include "catalog/incidents.h"
#include "core/arguments.h"
#include "core/identity.h"
#include "core/sqltext.h"
#include "quality/breaker.h"
#include "quality/time_checks.h"
#include "utils/acl.h"
#include "utils/array.h"

/* May the current user see the state of the target? */
static bool
may_see(const Target *target)
{
	return identity_may_see(target->owner, target->relid);
}

/* For the detail of an error; always a number. */
static int
detail_for_reader(const Target *target, const char *reason)
{
	const char *told = may_see(target) ? identity_reason_for_reader(target->owner, reason) : NULL;

	return told != NULL ? errdetail_internal("%s", told) : 0;
}

static const char *
name_for_reader(const Target *target)
{
	return may_see(target) ? target->display : "a table upstream";
}

/* ---- the walk ---- */

static void
check_breaker(Target *target, Target *asked)
{
	char *reason;

	if (!breaker_blocks(target->id, &reason))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_DEPIPE_BREAKER_OPEN),
			 target->id == asked->id ? errmsg("%s must not be relied on", asked->display)
									 : errmsg("%s must not be relied on, because of %s",
											  asked->display,
											  name_for_reader(target)),
			 detail_for_reader(target, reason),
			 may_see(target) ? errhint("See SELECT * FROM depipe.breakers WHERE target = %s.",
									   sql_literal(target->display))
							 : 0));
}

/* Its breaker is closed, but its contents differ from those of its source or query. */
static void
check_rejected(Target *target, Target *asked)
{
	char *name = rejecting_constraint(target->id);

	if (name == NULL)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_DEPIPE_BLOCKED),
			 target->id == asked->id ? errmsg("%s must not be relied on", asked->display)
									 : errmsg("%s must not be relied on, because of %s",
											  asked->display,
											  name_for_reader(target)),
			 detail_for_reader(target,
							   psprintf("constraint \"%s\" rejected its newest"
										" rows",
										name)),
			 may_see(target)
				 ? errhint("See SELECT * FROM depipe.violations(%s).", sql_literal(target->display))
				 : 0));
}

static void
check_time(Target *target, Target *asked)
{
	char *reason;

	if (!time_checks_fail(target->id, &reason))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_DEPIPE_STALE),
			 target->id == asked->id
				 ? errmsg("%s is stale", asked->display)
				 : errmsg("%s is stale, because of %s", asked->display, name_for_reader(target)),
			 detail_for_reader(target, reason)));
}

void
guard_check(Target *target)
{
	List *upstream = NIL;
	ListCell *cell;

	foreach(cell, upstream_ids(target->id))
		upstream = lappend(upstream, target_get(lfirst_int(cell)));
	foreach(cell, upstream)
		check_breaker(lfirst(cell), target);
	foreach(cell, upstream)
		check_rejected(lfirst(cell), target);
	foreach(cell, upstream)
		check_time(lfirst(cell), target);
}

/* ---- SQL functions ---- */

CHECKED_FUNCTION(depipe_guard);

/* guard(VARIADIC targets) */
static Datum
depipe_guard_checked(PG_FUNCTION_ARGS)
{
	List *names;
	ListCell *cell;

	argument_not_null(fcinfo, 0, "targets");
	names = text_array_to_list(PG_GETARG_ARRAYTYPE_P(0), "targets");
	if (names == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"targets\" must not be empty")));
	foreach(cell, names)
	{
		Target *target = target_find(lfirst(cell), false);

		if (!may_see(target))
			aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, target->display);
		guard_check(target);
	}
	PG_RETURN_VOID();
}
