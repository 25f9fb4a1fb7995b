/*-------------------------------------------------------------------------
 *
 * check.c
 *		SQL procedure check(): evaluate the constraints of targets now, commit
 *		the verdicts, and raise an error if one fails.
 *
 * Each target is evaluated in a transaction of its own, and in a guarded unit:
 * an error of one is recorded as a failed run of that target, and the others
 * are evaluated.  The error comes last, so that it takes no verdict with it.
 *
 *-------------------------------------------------------------------------
 */
#include "depipe.h"

#include "catalog/runs.h"
#include "catalog/transforms.h"
#include "core/arguments.h"
#include "core/guarded.h"
#include "core/identity.h"
#include "core/sqltext.h"
#include "core/transaction.h"
#include "fmgr.h"
#include "quality/table_checks.h"
#include "quality/verdict.h"

CHECKED_FUNCTION(depipe_check);
CHECKED_FUNCTION(depipe_check_literal);

/* Maximum number of failing constraints that the error names. */
#define NAMED 10

/* The failing constraints so far. */
typedef struct Failing
{
	char *first; /* the message */
	StringInfoData others;
	int count;
} Failing;

typedef struct CheckOne
{
	int32 id;
	List *verdicts;
} CheckOne;

/* The targets that the caller may operate; a named one must be such a target. */
static List *
targets_to_check(const char *pattern)
{
	List *ids = NIL;
	ListCell *cell;

	if (strpbrk(pattern, "*?") == NULL)
	{
		Target *target = target_find(pattern, false);

		identity_check_operate(target->owner, target->display);
		return list_make1_int(target->id);
	}
	foreach(cell, target_match(pattern))
	{
		Target *target = lfirst(cell);

		if (identity_may_operate(target->owner))
			ids = lappend_int(ids, target->id);
	}
	if (ids == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("no target matches \"%s\"", pattern),
				 errhint("Targets have a load, a transform or a constraint: see depipe.status.")));
	return ids;
}

static void
note_failing(Failing *failing, char *text)
{
	failing->count++;
	if (failing->first == NULL)
		failing->first = text;
	else if (failing->count <= NAMED)
		appendStringInfo(&failing->others, "%s%s", failing->others.len > 0 ? "; " : "", text);
}

static void
note_verdicts(Failing *failing, const Target *target, List *verdicts)
{
	ListCell *cell;

	foreach(cell, verdicts)
	{
		const Verdict *verdict = lfirst(cell);
		bool fails = verdict->outcome == OUTCOME_FAIL;

		if (fails || (verdict->outcome == OUTCOME_ERROR && verdict->action != ACTION_NONE))
			note_failing(failing,
						 psprintf(fails ? "constraint \"%s\" of %s fails"
										: "constraint \"%s\" of %s cannot be evaluated",
								  verdict->constraint_name,
								  target->display));
	}
}

static bool
check_one(void *argument)
{
	CheckOne *one = argument;
	Target *target = target_find_id(one->id);

	/* it may have been dropped since the last commit */
	if (target != NULL && target_has_constraints(target->id))
		one->verdicts = table_checks_run(target, "check");
	return true;
}

static void
check_target(Failing *failing, int32 id)
{
	CheckOne one = {.id = id};
	ErrorData *error = guarded_run(check_one, &one);
	Target *target = target_find_id(id);

	if (target == NULL)
		return;
	if (error == NULL)
	{
		note_verdicts(failing, target, one.verdicts);
		return;
	}
	table_checks_failed(target, "check", error);
	note_failing(failing, psprintf("the constraints of %s cannot be evaluated", target->display));
}

static void
raise_failing(Failing *failing)
{
	if (failing->count == 0)
		return;
	if (failing->count > NAMED)
		appendStringInfo(&failing->others, "; and %d more", failing->count - NAMED);
	ereport(ERROR,
			(errcode(ERRCODE_DEPIPE_BLOCKED),
			 errmsg("%s", failing->first),
			 failing->count > 1 ? errdetail_internal("In addition: %s.", failing->others.data) : 0,
			 errhint("See SELECT * FROM depipe.verdicts, and depipe.violations(target).")));
}

static void
check(FunctionCallInfo fcinfo, char *pattern)
{
	Failing failing = {0};
	ListCell *cell;

	(void) transaction_begin_procedure(fcinfo,
									   "depipe.check",
									   "Use the function depipe.check_table instead.");
	run_check_enabled();
	initStringInfo(&failing.others);
	foreach(cell, targets_to_check(pattern))
	{
		check_target(&failing, lfirst_int(cell));
		transaction_commit();
	}
	raise_failing(&failing);
	transaction_end_procedure();
}

/* SQL procedure check(pattern) */
static Datum
depipe_check_checked(PG_FUNCTION_ARGS)
{
	check(fcinfo, argument_text(fcinfo, 0, "pattern"));
	PG_RETURN_VOID();
}

/*
 * The same for a literal of no type.  The server would otherwise take
 * depipe.check('...') for a cast to the domain of that name.
 */
static Datum
depipe_check_literal_checked(PG_FUNCTION_ARGS)
{
	argument_not_null(fcinfo, 0, "pattern");
	check(fcinfo, pstrdup(PG_GETARG_CSTRING(0)));
	PG_RETURN_VOID();
}
