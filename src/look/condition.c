/*-------------------------------------------------------------------------
 *
 * condition.c
 *		The condition of each target: its state, the reason, and the remedy.
 *
 * This is the single definition for the views, why() and wait().  First each
 * target is considered by itself.  Conditions that hold up its readers
 * according to dag.c come first, because a refresh acts on them; problems of
 * the target alone follow.  Then its inputs are considered: a target without a
 * worse problem of its own is blocked if something that it reads, directly or
 * indirectly, holds it up.  It then points to the next step on the way there.
 *
 * Only stored data is used.  A time check counts with its last outcome,
 * because nothing of a user's is evaluated here.
 *
 * Names and reasons that the current user may not see are not returned.
 *
 *-------------------------------------------------------------------------
 */
#include "look/condition.h"

#include "catalog/namespace.h"
#include "core/identity.h"
#include "catalog/owner.h"
#include "core/message.h"
#include "core/sqltext.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "core/shmem.h"
#include "look/activity.h"
#include "query/table.h"

/* State of a transform whose query does not fit its inputs or its table. */
#define BROKEN "broken"

/* Number of steps from which on a path is abbreviated. */
#define LONG_WAY 3

static char *
statement(const char *format, const DagNode *node)
{
	return psprintf(format, sql_literal(node->display));
}

const char *
condition_name(const Condition *condition)
{
	return condition->visible ? condition->node->display : DAG_HIDDEN;
}

/* The part of a stored reason that the current user may see. */
static char *
told(const Condition *condition, const char *reason)
{
	const char *what = identity_reason_for_reader(condition->node->owner, reason);

	return what == NULL ? NULL : pstrdup(what);
}

static void
set_condition(Condition *condition, Rank rank, const char *state, char *reason, char *next)
{
	condition->rank = rank;
	condition->state = state;
	condition->reason = reason;
	condition->next = next;
}

/* ---- the target itself: holding up its readers ---- */

/* Is the table missing?  A load creates its table during the first copy. */
static bool
is_missing(const DagNode *node, const CatalogRows *rows, int row)
{
	char *state = catalog_text(rows, row, NODE_LOAD_STATE);

	return !OidIsValid(node->relid) &&
		   (state == NULL || (strcmp(state, "new") != 0 && strcmp(state, "copying") != 0));
}

static void
set_missing(Condition *condition)
{
	const DagNode *node = condition->node;
	char *next = NULL;

	if (node->kind == TARGET_LOAD)
		next = statement("SELECT depipe.resync(%s)", node);
	else if (node->kind == TARGET_TRANSFORM)
		next = statement("SELECT depipe.drop_transform(%s)", node);
	set_condition(condition,
				  RANK_BROKEN,
				  "missing",
				  psprintf("table %s does not exist", node->display),
				  next);
	condition->needs_person = true;
}

/* The definition cannot run as its owner. */
static void
set_ownerless(Condition *condition, const CatalogRows *rows, int row)
{
	const DagNode *node = condition->node;
	char *server = catalog_text(rows, row, NODE_SERVER);

	set_condition(condition,
				  RANK_BROKEN,
				  OWNERLESS,
				  told(condition, node->reason),
				  identity_may_inspect(node->owner)
					  ? owner_next(node->owner, server, node->display, node->relid)
					  : NULL);
	condition->needs_person = true;
	condition->since = catalog_isnull(rows, row, CONDITION_OWNERLESS_SINCE)
						   ? GetCurrentTimestamp()
						   : catalog_time(rows, row, CONDITION_OWNERLESS_SINCE);
}

static void
set_paused(Condition *condition, const CatalogRows *rows, int row)
{
	set_condition(condition,
				  RANK_HELD,
				  "paused",
				  catalog_text(rows, row, NODE_PAUSE_REASON),
				  statement("SELECT depipe.resume(%s)", condition->node));
	condition->needs_person = catalog_isnull(rows, row, CONDITION_PAUSED_UNTIL);
	if (!catalog_isnull(rows, row, CONDITION_PAUSED_AT))
		condition->since = catalog_time(rows, row, CONDITION_PAUSED_AT);
}

/* Set the condition of a breaker that is not closed.  Returns false if it is closed. */
static bool
set_breaker(Condition *condition, const CatalogRows *rows, int row)
{
	const DagNode *node = condition->node;
	char *state = catalog_text(rows, row, CONDITION_BREAKER);
	char *reason = told(condition, catalog_text(rows, row, NODE_BREAKER_REASON));
	TimestampTz until = catalog_time(rows, row, CONDITION_BREAKER_UNTIL);

	if (state == NULL)
		return false;
	condition->since = catalog_time(rows, row, CONDITION_BREAKER_SINCE);
	if (strcmp(state, "open") == 0)
		set_condition(condition,
					  RANK_BROKEN,
					  state,
					  reason,
					  statement("SELECT * FROM depipe.violations(%s)", node));
	else if (strcmp(state, "half_open") == 0)
		set_condition(condition,
					  RANK_DEGRADED,
					  state,
					  reason,
					  node->kind == TARGET_TABLE
						  ? statement("SELECT * FROM depipe.check_table(%s)", node)
						  : statement("CALL depipe.run(%s)", node));
	else if (strcmp(state, "forced_open") == 0)
		set_condition(condition,
					  RANK_HELD,
					  state,
					  reason,
					  statement("SELECT depipe.reset(%s, 'why')", node));
	else
		set_condition(condition,
					  RANK_REMARK,
					  state,
					  psprintf("published regardless of its constraints until %s: %s",
							   until == 0 ? "further notice" : time_for_reader(until),
							   reason == NULL ? "no reason given" : reason),
					  statement("SELECT depipe.reset(%s, 'why')", node));
	condition->needs_person = strcmp(state, "open") == 0 ||
							  (strcmp(state, "forced_open") == 0 && until == 0);
	return true;
}

/* ---- the target itself: failures ---- */

static char *
with_tries(const CatalogRows *rows, int row, const char *reason)
{
	int32 tries = catalog_int4(rows, row, CONDITION_TRIES);
	TimestampTz retry_at = catalog_time(rows, row, CONDITION_RETRY_AT);
	const char *what = reason == NULL ? "its last run failed" : reason;

	if (tries == 0)
		return pstrdup(what);
	return psprintf("%s (tried %s, next try at %s)",
					what,
					tries == 1 ? "once" : psprintf("%d times", tries),
					retry_at == 0 ? "the next run" : time_for_reader(retry_at));
}

static char *
last_run_statement(const DagNode *node)
{
	return statement("SELECT * FROM depipe.runs WHERE target = %s ORDER BY run_id DESC LIMIT 1",
					 node);
}

/* The remedy that the error gave, if it concerns this table alone. */
static char *
next_of_failure(const DagNode *node, const CatalogRows *rows, int row)
{
	char *server = catalog_text(rows, row, CONDITION_SERVER);
	char *of_load = catalog_text(rows, row, NODE_REASON);
	char *of_run = catalog_text(rows, row, CONDITION_RUN_REASON);

	if (server != NULL && catalog_bool(rows, row, CONDITION_SERVER_FAILING))
		return psprintf("SELECT * FROM depipe.check_source(%s)", sql_literal(server));
	if (!catalog_isnull(rows, row, CONDITION_HINT) && identity_may_inspect(node->owner) &&
		of_load != NULL && of_run != NULL && strcmp(of_load, of_run) == 0)
		return catalog_text(rows, row, CONDITION_HINT);
	return last_run_statement(node);
}

static bool
set_failing(Condition *condition, const CatalogRows *rows, int row)
{
	if (!catalog_bool(rows, row, CONDITION_FAILING))
		return false;
	condition->since = catalog_time(rows, row, CONDITION_RUN_AT);
	set_condition(
		condition,
		RANK_BROKEN,
		"failed",
		with_tries(rows, row, told(condition, catalog_text(rows, row, CONDITION_RUN_REASON))),
		next_of_failure(condition->node, rows, row));
	return true;
}

/*
 * An event that ends the process, such as a full disk or a crash, leaves no
 * run.  Only the attempt is recorded.
 */
static bool
set_ending(Condition *condition, const CatalogRows *rows, int row)
{
	if (!catalog_bool(rows, row, CONDITION_SERVER_FAILING))
		return false;
	condition->since = catalog_time(rows, row, CONDITION_TRIED_AT);
	set_condition(
		condition,
		RANK_BROKEN,
		"failed",
		with_tries(
			rows,
			row,
			"its worker or session ended before it could report the reason: see the log of the"
			" server"),
		last_run_statement(condition->node));
	return true;
}

/* Report the reason why the target was not refreshed in time. */
static void
set_late(Condition *condition, const CatalogRows *rows, int row)
{
	TimestampTz tried_at = catalog_time(rows, row, CONDITION_TRIED_AT);
	const char *since = tried_at == 0
							? "nothing has run"
							: psprintf("nothing has run since %s", time_for_reader(tried_at));

	condition->late = true;
	condition->rank = RANK_DEGRADED;
	if (condition->data_as_of != 0)
		condition->since = condition->data_as_of;
	if (workers_out_of_processes())
	{
		condition->reason = psprintf("late: %s: the server has no free process for a background"
									 " worker",
									 since);
		condition->next = pstrdup("SHOW max_worker_processes");
	}
	else if (!database_is_served(MyDatabaseId))
	{
		condition->reason = psprintf("%s: no background worker serves this database, and nobody"
									 " calls depipe.run_due",
									 since);
		condition->next = pstrdup("CALL depipe.run_due()");
	}
	else
	{
		condition->reason = psprintf("late: %s", since);
		condition->next = last_run_statement(condition->node);
	}
}

/* ---- the target itself ---- */

static char *
next_of_load(const DagNode *node, const CatalogRows *rows, int row)
{
	char *server = catalog_text(rows, row, NODE_SERVER);

	if (server != NULL && strcmp(catalog_text(rows, row, NODE_LOAD_STATE), "detached") == 0)
		return psprintf("SELECT depipe.adopt(%s)", sql_literal(server));
	if (!catalog_isnull(rows, row, CONDITION_HINT) && identity_may_inspect(node->owner))
		return catalog_text(rows, row, CONDITION_HINT);
	return statement("SELECT depipe.resync(%s)", node);
}

/* The progress of a running copy, or else the reason. */
static char *
copy_progress(const CatalogRows *rows, int row, char *reason)
{
	int64 copied = catalog_int8(rows, row, CONDITION_COPIED);

	if (catalog_isnull(rows, row, CONDITION_COPIED))
		return reason;
	if (catalog_isnull(rows, row, CONDITION_COPY_ESTIMATE))
		return psprintf(INT64_FORMAT " rows copied", copied);
	return psprintf(INT64_FORMAT " of about " INT64_FORMAT " rows copied",
					copied,
					catalog_int8(rows, row, CONDITION_COPY_ESTIMATE));
}

static void
set_load(Condition *condition, const CatalogRows *rows, int row)
{
	const DagNode *node = condition->node;
	char *state = catalog_text(rows, row, NODE_LOAD_STATE);
	char *reason = told(condition, catalog_text(rows, row, NODE_REASON));
	bool streams = strcmp(state, "streaming") == 0;

	condition->since = catalog_time(rows, row, CONDITION_LOAD_SINCE);
	if (!streams && strcmp(state, "new") != 0 && strcmp(state, "copying") != 0)
	{
		condition->needs_person = true;
		set_condition(condition, RANK_BROKEN, state, reason, next_of_load(node, rows, row));
	}
	else if (set_failing(condition, rows, row) || set_ending(condition, rows, row))
		return;
	else if (!streams)
		set_condition(condition,
					  RANK_BEGINNING,
					  state,
					  copy_progress(rows, row, reason),
					  strcmp(state, "new") == 0 ? statement("CALL depipe.run(%s)", node) : NULL);
	else if (catalog_bool(rows, row, CONDITION_PARKED))
		set_condition(condition,
					  RANK_DEGRADED,
					  "parked",
					  reason != NULL ? reason : pstrdup("changes wait for the next run"),
					  reason != NULL && strncmp(reason, "constraint ", strlen("constraint ")) == 0
						  ? statement("SELECT * FROM depipe.violations(%s)", node)
						  : statement("CALL depipe.run(%s)", node));
	else
		set_condition(condition, RANK_FINE, state, reason, NULL);
}

/*
 * Inputs are gone, or have other columns than the query needs.  Where only the
 * columns of the table are others, it can be altered without another query.
 */
static void
set_broken(Condition *condition, char *reason)
{
	bool alters = reason != NULL && strncmp(reason, OTHER_COLUMNS, strlen(OTHER_COLUMNS)) == 0;

	condition->needs_person = true;
	set_condition(condition,
				  RANK_BROKEN,
				  BROKEN,
				  reason,
				  statement(alters ? "SELECT depipe.alter_transform(%s)"
								   : "SELECT depipe.alter_transform(%s, query => 'SELECT ...')",
							condition->node));
}

static void
set_transform(Condition *condition, const CatalogRows *rows, int row)
{
	const DagNode *node = condition->node;
	char *state = catalog_text(rows, row, NODE_TRANSFORM_STATE);
	char *reason = told(condition, catalog_text(rows, row, NODE_REASON));

	if (!catalog_isnull(rows, row, CONDITION_TRANSFORM_SINCE))
		condition->since = catalog_time(rows, row, CONDITION_TRANSFORM_SINCE);
	if (state != NULL && strcmp(state, BROKEN) == 0)
		set_broken(condition, reason);
	else if (state != NULL && strcmp(state, "failed") == 0)
		set_condition(condition,
					  RANK_BROKEN,
					  state,
					  with_tries(rows, row, reason),
					  last_run_statement(node));
	else if (state != NULL && strcmp(state, "rejected") == 0)
		set_condition(condition,
					  RANK_BROKEN,
					  state,
					  reason,
					  statement("SELECT * FROM depipe.violations(%s)", node));
	else if (state == NULL || strcmp(state, "new") == 0)
		set_condition(condition,
					  RANK_BEGINNING,
					  "new",
					  pstrdup("never populated"),
					  statement("CALL depipe.run(%s)", node));
	else if (strcmp(state, "blocked") == 0)
		set_condition(condition,
					  RANK_BLOCKED,
					  state,
					  pstrdup("its last run was blocked"),
					  statement("SELECT * FROM depipe.refresh(%s, upstream => true)", node));
	else
		set_condition(condition, RANK_FINE, state, NULL, NULL);
	if (!catalog_isnull(rows, row, CONDITION_MISSING_INPUT))
		set_broken(condition,
				   identity_may_inspect(node->owner)
					   ? psprintf("input %s does not exist",
								  catalog_text(rows, row, CONDITION_MISSING_INPUT))
					   : pstrdup("an input does not exist"));
}

static void
set_stale(Condition *condition, const CatalogRows *rows, int row)
{
	set_condition(condition,
				  RANK_DEGRADED,
				  "stale",
				  condition->stale,
				  statement("SELECT * FROM depipe.check_table(%s)", condition->node));
	condition->since = catalog_time(rows, row, CONDITION_STALE_SINCE);
}

/* The reason why the source gets no confirmation.  Reads shared memory only. */
static char *
held_reason(const CatalogRows *rows, int row)
{
	char *server = catalog_text(rows, row, CONDITION_SERVER);
	StreamPosition position;

	if (server == NULL || !stream_position(server, &position))
		return NULL;
	return stream_held_reason(&position);
}

static void
set_remark(Condition *condition, const CatalogRows *rows, int row)
{
	char *held = held_reason(rows, row);

	if (held != NULL)
	{
		condition->reason = held;
		condition->next = pstrdup("SELECT * FROM pg_catalog.pg_stat_replication");
	}
	else if (condition->quarantine)
	{
		condition->reason = pstrdup("rows are in quarantine");
		condition->next = statement("SELECT * FROM depipe.quarantine WHERE target = %s",
									condition->node);
	}
	else if (condition->incidents > 0)
	{
		condition->reason = psprintf(condition->incidents == 1 ? "one open incident"
															   : INT64_FORMAT " open incidents",
									 condition->incidents);
		condition->next = statement(
			"SELECT * FROM depipe.incidents WHERE target = %s AND state = 'open'",
			condition->node);
	}
	else
		return;
	condition->rank = RANK_REMARK;
}

static bool
needs_resync(const CatalogRows *rows, int row)
{
	char *state = catalog_text(rows, row, NODE_LOAD_STATE);

	return state != NULL && strcmp(state, "needs_resync") == 0;
}

/* Determine the condition of a target, apart from its inputs. */
static void
look_at_itself(Condition *condition, const CatalogRows *rows, int row)
{
	const DagNode *node = condition->node;

	condition->settled = true;
	if (node->state != NULL && strcmp(node->state, OWNERLESS) == 0)
		set_ownerless(condition, rows, row);
	else if (is_missing(node, rows, row))
		set_missing(condition);
	else if (catalog_bool(rows, row, NODE_PAUSED))
		set_paused(condition, rows, row);
	else if (needs_resync(rows, row))
		set_load(condition, rows, row); /* closing the breaker would not help */
	else if (!set_breaker(condition, rows, row))
	{
		if (node->kind == TARGET_LOAD)
			set_load(condition, rows, row);
		else if (node->kind == TARGET_TRANSFORM)
			set_transform(condition, rows, row);
		else
			set_condition(condition, RANK_FINE, "ok", NULL, NULL);
		condition->settled = condition->rank == RANK_BROKEN;
	}
	if (condition->rank == RANK_FINE && condition->stale != NULL)
		set_stale(condition, rows, row);
	else if (!condition->settled && condition->rank != RANK_BLOCKED &&
			 catalog_bool(rows, row, CONDITION_LATE))
		set_late(condition, rows, row);
	else if (condition->rank == RANK_FINE)
		set_remark(condition, rows, row);
}

static void
read_condition(Condition *condition, const CatalogRows *rows, int row)
{
	char *stale_by = catalog_text(rows, row, CONDITION_STALE_BY);

	condition->visible = identity_may_see(condition->node->owner, condition->node->relid);
	condition->since = catalog_time(rows, row, CONDITION_CREATED_AT);
	condition->data_as_of = catalog_time(rows, row, CONDITION_DATA_AS_OF);
	condition->has_target_lag = !catalog_isnull(rows, row, CONDITION_TARGET_LAG);
	if (condition->has_target_lag)
	{
		bool isnull;

		condition->target_lag = catalog_datum(rows, row, CONDITION_TARGET_LAG, &isnull);
	}
	condition->quarantine = catalog_bool(rows, row, CONDITION_QUARANTINE);
	condition->incidents = catalog_int8(rows, row, CONDITION_INCIDENTS);
	if (stale_by != NULL)
		condition->stale = psprintf("constraint \"%s\" fails", stale_by);
	look_at_itself(condition, rows, row);
}

/* Report to all targets that nothing runs in this database.  Their states stay. */
static void
look_at_database(Conditions *conditions)
{
	char *next;

	conditions->idle = catalog_idle_reason(&next);
	for (int i = 0; conditions->idle != NULL && i < conditions->count; i++)
	{
		Condition *condition = &conditions->items[i];

		if (condition->settled || condition->node->kind == TARGET_TABLE)
			continue;
		condition->rank = RANK_DEGRADED;
		condition->reason = conditions->idle;
		condition->next = next;
		condition->late = true;
		condition->needs_person = true;
	}
}

/* ---- the inputs ---- */

bool
condition_is_incomplete(const Condition *condition)
{
	return condition->quarantine || condition->by[LINK_INCOMPLETE] != NULL;
}

Condition *
condition_step(const Condition *condition, Link *link)
{
	Condition *next = condition->by[*link];

	if (next == NULL)
		return NULL;
	if (*link == LINK_INCOMPLETE)
		*link = next->quarantine ? LINK_NONE : LINK_INCOMPLETE;
	else if (*link != LINK_STALE || next->stale != NULL)
		*link = next->link;
	return next;
}

Condition *
condition_root(Condition *condition)
{
	Link link = condition->link;
	Condition *root = condition;

	while ((condition = condition_step(condition, &link)) != NULL)
		root = condition;
	return root;
}

/*
 * "raw.orders -> mart.sales -> mart.report", beginning with the root cause.
 * Of a long path only the ends are shown; why() shows all of it.
 */
static char *
path_from_root(const Condition *condition)
{
	char *path = pstrdup(condition_name(condition));
	Link link = condition->link;
	const Condition *last = condition;
	int steps = 0;

	while ((condition = condition_step(condition, &link)) != NULL)
	{
		if (++steps < LONG_WAY)
			path = psprintf("%s -> %s", condition_name(condition), path);
		last = condition;
	}
	if (steps < LONG_WAY)
		return path;
	return psprintf("%s -> %s%s", condition_name(last), steps > LONG_WAY ? "... -> " : "", path);
}

/*
 * Make the condition a consequence of its root cause: reason, path, and the
 * statement that shows details.
 */
static void
set_consequence(const Conditions *conditions, Condition *condition, Link link, const char *state,
				const char *what)
{
	Condition *root;
	char *reason;

	condition->link = link;
	root = condition_root(condition);
	reason = psprintf("%s: %s", path_from_root(condition), root->visible ? what : DAG_HIDDEN);
	if (conditions->idle != NULL && !root->late)
		reason = psprintf("%s; %s", conditions->idle, reason);
	set_condition(condition,
				  RANK_BLOCKED,
				  state,
				  reason,
				  statement("SELECT * FROM depipe.why(%s)", condition->node));
	condition->since = root->since;
}

static const char *
state_and_reason(const Condition *condition)
{
	if (condition->node->cause != NULL && identity_may_inspect(condition->node->owner))
		return condition->node->cause;
	if (condition->reason == NULL)
		return condition->state;
	if (condition->late)
		return condition->reason;
	return psprintf("%s: %s", condition->state, condition->reason);
}

static bool
is_in_trouble(const Condition *condition)
{
	return condition->rank < RANK_REMARK;
}

/* Record the first input of each kind, and of the late ones the oldest. */
static void
look_at_input(Condition *condition, Condition *input)
{
	Condition **by = condition->by;

	if (by[LINK_HELD] == NULL && (input->node->cause != NULL || input->by[LINK_HELD] != NULL))
		by[LINK_HELD] = input;
	if (by[LINK_INCOMPLETE] == NULL && condition_is_incomplete(input))
		by[LINK_INCOMPLETE] = input;
	if (by[LINK_STALE] == NULL && (input->stale != NULL || input->by[LINK_STALE] != NULL))
		by[LINK_STALE] = input;
	if (is_in_trouble(input) &&
		(by[LINK_LATE] == NULL || input->data_as_of < by[LINK_LATE]->data_as_of))
		by[LINK_LATE] = input;
	if (by[LINK_TROUBLE] == NULL && (is_in_trouble(input) || input->by[LINK_TROUBLE] != NULL))
		by[LINK_TROUBLE] = input;
}

static void
place(Conditions *conditions, const Dag *dag, Condition *condition, const CatalogRows *rows)
{
	Condition **by = condition->by;
	int row = condition - conditions->items;
	ListCell *cell;

	if (condition->placed)
		return;
	condition->placed = true;
	foreach(cell, condition->node->reads)
	{
		Condition *input = &conditions->items[(DagNode *) lfirst(cell) - dag->nodes];

		place(conditions, dag, input, rows);
		look_at_input(condition, input);
	}
	if (condition->settled)
		condition->link = by[LINK_HELD] != NULL ? LINK_HELD : LINK_NONE;
	else if (by[LINK_HELD] != NULL)
	{
		condition->link = LINK_HELD;
		set_consequence(conditions,
						condition,
						LINK_HELD,
						"blocked",
						state_and_reason(condition_root(condition)));
	}
	else if (by[LINK_INCOMPLETE] != NULL && catalog_bool(rows, row, CONDITION_WAITS_COMPLETE))
		set_consequence(conditions,
						condition,
						LINK_INCOMPLETE,
						"blocked",
						"incomplete: it has rows in quarantine");
	else if (by[LINK_STALE] != NULL && catalog_bool(rows, row, CONDITION_WAITS_FRESH))
		set_consequence(conditions, condition, LINK_STALE, "blocked", "stale");
	else if (condition->late && by[LINK_LATE] != NULL)
	{
		condition->link = LINK_LATE;
		set_consequence(conditions,
						condition,
						LINK_LATE,
						condition->state,
						state_and_reason(condition_root(condition)));
	}
	else if (!is_in_trouble(condition) && by[LINK_TROUBLE] != NULL)
		condition->link = LINK_TROUBLE;
}

Condition *
condition_find(Conditions *conditions, int32 target_id)
{
	for (int i = 0; i < conditions->count; i++)
		if (conditions->items[i].node->id == target_id)
			return &conditions->items[i];
	return NULL;
}

Conditions *
conditions_load(void)
{
	CatalogRows *rows = conditions_select();
	Dag *dag = dag_from_rows(rows);
	Conditions *conditions = palloc0(sizeof(Conditions));

	conditions->count = dag->nnodes;
	conditions->items = palloc0(sizeof(Condition) * Max(dag->nnodes, 1));
	for (int i = 0; i < dag->nnodes; i++)
	{
		conditions->items[i].node = &dag->nodes[i];
		read_condition(&conditions->items[i], rows, i);
	}
	look_at_database(conditions);
	for (int i = 0; i < dag->nnodes; i++)
		place(conditions, dag, &conditions->items[i], rows);
	return conditions;
}

/* ---- SQL functions ---- */

PG_FUNCTION_INFO_V1(depipe_blocked_targets);
PG_FUNCTION_INFO_V1(depipe_conditions);
PG_FUNCTION_INFO_V1(depipe_copies);
PG_FUNCTION_INFO_V1(depipe_may_see);

#define COLUMNS 13

static const char *
kind_name(TargetKind kind)
{
	return kind == TARGET_LOAD ? "load" : kind == TARGET_TRANSFORM ? "transform" : "table";
}

static void
set_text(Datum *values, bool *nulls, int column, const char *text)
{
	nulls[column] = text == NULL;
	if (text != NULL)
		values[column] = CStringGetTextDatum(text);
}

static void
set_time(Datum *values, bool *nulls, int column, TimestampTz time)
{
	nulls[column] = time == 0;
	values[column] = TimestampTzGetDatum(time);
}

/* SQL function conditions(): the conditions that the current user may see. */
Datum
depipe_conditions(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Conditions *conditions;

	InitMaterializedSRF(fcinfo, 0);
	conditions = conditions_load();
	for (int i = 0; i < conditions->count; i++)
	{
		Condition *condition = &conditions->items[i];
		Datum values[COLUMNS];
		bool nulls[COLUMNS] = {false};

		if (!condition->visible)
			continue;
		values[0] = Int32GetDatum(condition->node->id);
		set_text(values, nulls, 1, condition->node->display);
		set_text(values, nulls, 2, kind_name(condition->node->kind));
		values[3] = Int32GetDatum(condition->rank);
		set_text(values, nulls, 4, condition->state);
		set_text(values, nulls, 5, condition->reason);
		set_time(values, nulls, 6, condition->since);
		set_time(values, nulls, 7, condition->data_as_of);
		values[8] = condition->target_lag;
		nulls[8] = !condition->has_target_lag;
		values[9] = BoolGetDatum(condition_is_incomplete(condition));
		values[10] = Int64GetDatum(condition->incidents);
		set_text(values, nulls, 11, condition->next);
		set_text(values,
				 nulls,
				 12,
				 condition->rank == RANK_BLOCKED && condition->link != LINK_NONE
					 ? path_from_root(condition)
					 : NULL);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* SQL function copies(): running copies of targets that the current user may see. */
Datum
depipe_copies(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	CatalogRows *rows;

	InitMaterializedSRF(fcinfo, 0);
	rows = copies_select();
	for (uint64 i = 0; i < rows->count; i++)
	{
		int32 id = catalog_int4(rows, i, 1);
		Datum values[5];
		bool nulls[5];
		Target *target = target_find_id(id);

		if (target == NULL || !identity_may_see(target->owner, target->relid))
			continue;
		for (int j = 0; j < lengthof(values); j++)
			values[j] = catalog_datum(rows, i, j + 1, &nulls[j]);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

static Oid
find_table(const char *schema_name, const char *table_name)
{
	Oid schema = get_namespace_oid(schema_name, true);

	return OidIsValid(schema) ? get_relname_relid(table_name, schema) : InvalidOid;
}

/* SQL function may_see(schema_name, table_name, owner). */
Datum
depipe_may_see(PG_FUNCTION_ARGS)
{
	Oid relid = InvalidOid;

	if (!PG_ARGISNULL(0) && !PG_ARGISNULL(1))
		relid = find_table(NameStr(*PG_GETARG_NAME(0)), NameStr(*PG_GETARG_NAME(1)));
	PG_RETURN_BOOL(identity_may_see(PG_ARGISNULL(2) ? InvalidOid : PG_GETARG_OID(2), relid));
}

/*
 * A function of the script of 0.1.0, whose views this library does not serve.
 * It raises an error about the version.
 */
Datum
depipe_blocked_targets(PG_FUNCTION_ARGS)
{
	InitMaterializedSRF(fcinfo, 0);
	catalog_check_version();
	return (Datum) 0;
}
