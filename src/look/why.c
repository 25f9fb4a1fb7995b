/*-------------------------------------------------------------------------
 *
 * why.c
 *		SQL functions why() and as_of(): condition and age of one target.
 *
 *-------------------------------------------------------------------------
 */
#include "depipe.h"

#include "core/arguments.h"
#include "core/identity.h"
#include "core/message.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "look/condition.h"

CHECKED_FUNCTION(depipe_why);
CHECKED_FUNCTION(depipe_as_of);

/*
 * The target named by the first argument.  Raises 42704 if there is none,
 * 42501 if the user may not see it.
 */
static Target *
visible_target(FunctionCallInfo fcinfo)
{
	Target *target = target_find(argument_text(fcinfo, 0, "target"), false);

	if (!identity_may_see(target->owner, target->relid))
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, target->display);
	return target;
}

static void
return_row(ReturnSetInfo *result, int depth, const Condition *condition, const char *state,
		   const char *reason, const char *next)
{
	Datum values[6];
	bool nulls[6] = {false};

	values[0] = Int32GetDatum(depth);
	values[1] = CStringGetTextDatum(condition_name(condition));
	nulls[2] = !condition->visible;
	if (!nulls[2])
		values[2] = CStringGetTextDatum(state);
	nulls[3] = !condition->visible || condition->since == 0;
	values[3] = TimestampTzGetDatum(condition->since);
	nulls[4] = !condition->visible || reason == NULL;
	if (!nulls[4])
		values[4] = CStringGetTextDatum(reason);
	nulls[5] = !condition->visible || next == NULL;
	if (!nulls[5])
		values[5] = CStringGetTextDatum(next);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* The effect of the next target on the path on this one. */
static const char *
consequence(Link link, const char *name)
{
	switch (link)
	{
		case LINK_HELD:
			return psprintf("waits for %s", name);
		case LINK_INCOMPLETE:
			return psprintf("waits until %s is complete", name);
		case LINK_STALE:
			return psprintf("waits until %s is not stale", name);
		case LINK_LATE:
			return psprintf("is late because of %s", name);
		case LINK_TROUBLE:
			return psprintf("no problem of its own; see %s", name);
		case LINK_NONE:
		case LINKS:
			break;
	}
	pg_unreachable();
}

static const char *
fine_reason(const Condition *condition)
{
	if (condition->data_as_of == 0)
		return "nothing is wrong";
	return psprintf("no problem, data as of %s", time_for_reader(condition->data_as_of));
}

/*
 * Return one step.  link: the way in which it depends on the next one, which
 * is NULL at the end.
 */
static void
return_step(ReturnSetInfo *result, int depth, const Condition *condition, Link link,
			const Condition *next)
{
	const char *state = condition->rank == RANK_FINE ? "ok" : condition->state;

	if (condition->rank == RANK_FINE)
		link = LINK_TROUBLE;
	if (next != NULL && (condition->rank == RANK_BLOCKED || condition->rank == RANK_FINE))
		return_row(result, depth, condition, state, consequence(link, condition_name(next)), NULL);
	else if (condition->rank == RANK_FINE)
		return_row(result, depth, condition, state, fine_reason(condition), NULL);
	else
		return_row(result, depth, condition, state, condition->reason, condition->next);
}

/* SQL function why(target): the path from the target to the root cause. */
static Datum
depipe_why_checked(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Target *target = visible_target(fcinfo);
	Condition *condition;
	Link link;

	InitMaterializedSRF(fcinfo, 0);
	condition = condition_find(conditions_load(), target->id);
	link = condition->link;
	for (int depth = 0; condition != NULL; depth++)
	{
		Link way = link;
		Condition *next = condition_step(condition, &link);

		return_step(result, depth, condition, way, next);
		condition = next;
	}
	return (Datum) 0;
}

/* SQL function as_of(target). */
static Datum
depipe_as_of_checked(PG_FUNCTION_ARGS)
{
	TimestampTz as_of = target_as_of(visible_target(fcinfo)->id);

	if (as_of == 0)
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(as_of);
}
