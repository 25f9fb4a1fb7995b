/*-------------------------------------------------------------------------
 *
 * wait.c
 *		SQL procedure wait(): wait until targets have reached a state.
 *
 * Other processes change the state.  This procedure reads it, commits, sleeps
 * without a snapshot, and repeats.  It ends early if only a user can help.
 *
 *-------------------------------------------------------------------------
 */
#include "depipe.h"

#include "core/arguments.h"
#include "core/transaction.h"
#include "fmgr.h"
#include "utils/memutils.h"
#include "look/condition.h"

CHECKED_FUNCTION(depipe_wait);

#define FIRST_NAP_MS 10
#define LONGEST_NAP_MS 500

/* Maximum number of targets that an error names. */
#define NAMED 10

static const char *const states[] = {"new",
									 "copying",
									 "streaming",
									 "parked",
									 "paused",
									 "missing",
									 "broken",
									 "failed",
									 "rejected",
									 "needs_resync",
									 "detached",
									 "open",
									 "blocked",
									 "half_open",
									 "forced_open",
									 "disabled",
									 "ok",
									 "stale"};

typedef struct Waiting
{
	char *pattern;
	char *until_state; /* NULL: up to date, under whatever name */
	TimestampTz deadline;
} Waiting;

/* ---- arguments ---- */

static char *
state_argument(FunctionCallInfo fcinfo)
{
	char *state = argument_text_or_null(fcinfo, 1);

	for (int i = 0; state != NULL && i < lengthof(states); i++)
		if (strcmp(states[i], state) == 0)
			return state;
	if (state != NULL)
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for argument \"until_state\": \"%s\"", state),
			 errhint("Use a state that depipe.status shows, such as streaming, ok or paused.")));
	return NULL;
}

static TimestampTz
deadline_argument(FunctionCallInfo fcinfo)
{
	TimestampTz now = GetCurrentTimestamp();

	argument_not_null(fcinfo, 2, "timeout");
	(void) argument_interval(fcinfo, 2, "timeout");
	return DatumGetTimestampTz(
		DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(now), PG_GETARG_DATUM(2)));
}

/* ---- checking the state ---- */

/* A load that is up to date is "streaming"; a transform or a table is "ok". */
static bool
is_up_to_date_state(const char *state)
{
	return strcmp(state, "streaming") == 0 || strcmp(state, "ok") == 0;
}

static bool
waits_for_good(const Waiting *waiting)
{
	return waiting->until_state == NULL || is_up_to_date_state(waiting->until_state);
}

static bool
is_there(const Waiting *waiting, const Condition *condition)
{
	if (waits_for_good(waiting))
		return is_up_to_date_state(condition->state);
	return strcmp(condition->state, waiting->until_state) == 0;
}

/*
 * The conditions of the targets that match the pattern.  Raises 42704 if there
 * are none, 42501 if the user may not see the named one.
 */
static List *
matching_conditions(const Waiting *waiting)
{
	Conditions *conditions = conditions_load();
	bool many = strpbrk(waiting->pattern, "*?") != NULL;
	List *targets = many ? target_match(waiting->pattern)
						 : list_make1(target_find(waiting->pattern, false));
	List *matching = NIL;
	ListCell *cell;

	foreach(cell, targets)
	{
		Condition *condition = condition_find(conditions, ((Target *) lfirst(cell))->id);

		if (condition != NULL && condition->visible)
			matching = lappend(matching, condition);
		else if (condition != NULL && !many)
			aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, condition->node->display);
	}
	if (matching == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("no target matches \"%s\"", waiting->pattern)));
	return matching;
}

static List *
not_there(const Waiting *waiting)
{
	List *missing = NIL;
	ListCell *cell;

	foreach(cell, matching_conditions(waiting))
		if (!is_there(waiting, lfirst(cell)))
			missing = lappend(missing, lfirst(cell));
	return missing;
}

/* ---- errors ---- */

static const char *
wanted_name(const Waiting *waiting, const Condition *condition)
{
	if (!waits_for_good(waiting))
		return waiting->until_state;
	return condition->node->kind == TARGET_LOAD ? "streaming" : "ok";
}

static int
sqlstate_of(const Condition *root)
{
	if (root->node->kind == TARGET_LOAD && root->rank == RANK_BROKEN &&
		strcmp(root->state, "paused") == 0)
		return ERRCODE_DEPIPE_SCHEMA_CHANGE;
	if (strcmp(root->state, "open") == 0 || strcmp(root->state, "forced_open") == 0)
		return ERRCODE_DEPIPE_BREAKER_OPEN;
	return ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
}

/* Raise an error if one of the targets cannot change without a user's action. */
static void
check_possible(const Waiting *waiting, List *missing)
{
	ListCell *cell;

	if (!waits_for_good(waiting))
		return;
	foreach(cell, missing)
	{
		Condition *condition = lfirst(cell);
		Condition *root = condition_root(condition);

		if (!condition->needs_person && !(condition->link == LINK_HELD && root->needs_person))
			continue;
		ereport(ERROR,
				(errcode(sqlstate_of(condition->needs_person ? condition : root)),
				 errmsg("%s will not become %s by itself: it is %s",
						condition->node->display,
						wanted_name(waiting, condition),
						condition->state),
				 condition->reason ? errdetail_internal("%s", condition->reason) : 0,
				 condition->next ? errhint("%s", condition->next) : 0));
	}
}

static void
raise_timeout(const Waiting *waiting, List *missing)
{
	StringInfoData names;
	ListCell *cell;

	initStringInfo(&names);
	foreach(cell, missing)
	{
		Condition *condition = lfirst(cell);

		if (foreach_current_index(cell) == NAMED)
		{
			appendStringInfo(&names, "\n... and %d more", list_length(missing) - NAMED);
			break;
		}
		appendStringInfo(&names,
						 "%s%s is %s%s%s",
						 names.len > 0 ? "\n" : "",
						 condition->node->display,
						 condition->state,
						 condition->reason ? ": " : "",
						 condition->reason ? condition->reason : "");
	}
	ereport(ERROR,
			(errcode(ERRCODE_QUERY_CANCELED),
			 errmsg("timeout: %s is not %s yet",
					((Condition *) linitial(missing))->node->display,
					wanted_name(waiting, linitial(missing))),
			 errdetail_internal("%s", names.data)));
}

/* ---- SQL procedure ---- */

/* SQL procedure wait(pattern, until_state, timeout). */
static Datum
depipe_wait_checked(PG_FUNCTION_ARGS)
{
	Waiting waiting = {0};
	long nap = FIRST_NAP_MS;
	MemoryContext look;

	waiting.pattern = argument_text(fcinfo, 0, "pattern");
	waiting.until_state = state_argument(fcinfo);
	waiting.deadline = deadline_argument(fcinfo);
	(void) transaction_begin_procedure(fcinfo, "depipe.wait", "Call it as a separate statement.");
	look = AllocSetContextCreate(CurrentMemoryContext, "depipe wait", ALLOCSET_DEFAULT_SIZES);
	for (;;)
	{
		MemoryContext old = MemoryContextSwitchTo(look);
		List *missing = not_there(&waiting);

		if (missing == NIL)
			break;
		check_possible(&waiting, missing);
		if (GetCurrentTimestamp() >= waiting.deadline)
			raise_timeout(&waiting, missing);
		MemoryContextSwitchTo(old);
		MemoryContextReset(look);
		transaction_commit_and_wait(nap);
		nap = Min(2 * nap, LONGEST_NAP_MS);
	}
	transaction_end_procedure();
	PG_RETURN_VOID();
}
