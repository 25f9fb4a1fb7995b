/*-------------------------------------------------------------------------
 *
 * session.c
 *		One run of a server's loads: looking at the source, and the slot.
 *
 * Order matters here.  The slot is made before this transaction writes
 * anything: at the source, CREATE_REPLICATION_SLOT waits for all transactions
 * that are running, and when the source is this very cluster one of them is
 * ours.  The publication is made before the slot, so that no change can fall
 * between them.  Both are recorded here afterwards; when this transaction
 * aborts, their names tell the next run that they are left over.
 *
 * A stream goes on only when nothing can have been missed: same system, same
 * timeline, same publication, the slot there and not ahead of what is
 * recorded here as applied, and the source's history the one that was read
 * (witness.c).  Otherwise the loads say needs_resync.
 *
 *-------------------------------------------------------------------------
 */
#include "load/session.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/attempts.h"
#include "core/guarded.h"
#include "core/message.h"
#include "catalog/owner.h"
#include "core/settings.h"
#include "core/sqltext.h"
#include "core/transaction.h"
#include "load/adopt.h"
#include "load/basis.h"
#include "load/evolve.h"
#include "load/projection.h"
#include "load/publication.h"
#include "load/rowreader.h"
#include "load/stream.h"
#include "load/streamlock.h"
#include "load/witness.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/portal.h"

#define LOCK_TIMEOUT_MS 3000

/* ---- begin and end ---- */

/* Nobody as whom it may be run: held as in a pause. */
void
task_look_at_owner(LoadTask *task, MemoryContext context)
{
	char *problem = owner_problem(task->target->owner, task->load->server_name);

	task->ownerless = problem != NULL && !task->paused;
	if (!task->ownerless)
		return;
	task->paused = true;
	if (task->pause_reason == NULL || strcmp(task->pause_reason, problem) != 0)
		task->pause_reason = MemoryContextStrdup(context, problem);
}

static LoadTask *
make_task(Load *load)
{
	LoadTask *task = palloc0(sizeof(LoadTask));

	task->load = load;
	task->target = load->target;
	task->paused = target_is_paused(load->target->id, &task->pause_reason);
	task_look_at_owner(task, CurrentMemoryContext);
	return task;
}

/* Of earlier sessions. */
static void
remember_failures(LoadSession *session)
{
	CatalogRows *rows = attempts_of_loads(session->server_name);

	for (uint64 i = 0; i < rows->count; i++)
	{
		ListCell *cell;

		foreach(cell, session->tasks)
		{
			LoadTask *task = lfirst(cell);

			if (task->target->id != catalog_int4(rows, i, ATTEMPT_TARGET_ID))
				continue;
			task->failures = catalog_int4(rows, i, ATTEMPT_FAILURES);
			task->retry_at = catalog_time(rows, i, ATTEMPT_RETRY_AT);
			task->retry_reason = pstrdup(task->load->reason != NULL ? task->load->reason
																	: "it has failed before");
		}
	}
}

LoadSession *
session_begin_empty(const char *server_name, const LoadRefreshOptions *options)
{
	MemoryContext parent = PortalContext != NULL ? PortalContext : TopMemoryContext;
	MemoryContext context = AllocSetContextCreate(parent,
												  "depipe load session",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	LoadSession *session = palloc0(sizeof(LoadSession));

	session->context = context;
	session->batch = AllocSetContextCreate(context, "depipe load batch", ALLOCSET_DEFAULT_SIZES);
	session->row = AllocSetContextCreate(context, "depipe load row", ALLOCSET_DEFAULT_SIZES);
	session->turn = AllocSetContextCreate(context, "depipe load turn", ALLOCSET_DEFAULT_SIZES);
	/* a function's progress is the caller's: it moves only where that saves something */
	session->recorded_at = options->commit ? 0 : GetCurrentTimestamp();
	session->options = options;
	session->serial = 1; /* 0: what was made for no batch yet */
	session->server_name = pstrdup(server_name);
	MemoryContextSwitchTo(old);
	return session;
}

LoadSession *
session_begin(const char *server_name, const LoadRefreshOptions *options)
{
	LoadSession *session = session_begin_empty(server_name, options);
	MemoryContext old = MemoryContextSwitchTo(session->context);
	ListCell *cell;

	foreach(cell, loads_of_server(server_name))
		session->tasks = lappend(session->tasks, make_task(lfirst(cell)));
	if (options->quiet)
		remember_failures(session);
	MemoryContextSwitchTo(old);
	return session;
}

LoadTask *
session_add_task(LoadSession *session, int32 target_id)
{
	MemoryContext old = MemoryContextSwitchTo(session->context);
	Load *load = load_get(target_id);
	LoadTask *task = load == NULL ? NULL : make_task(load);

	if (task != NULL)
		session->tasks = lappend(session->tasks, task);
	MemoryContextSwitchTo(old);
	return task;
}

void
session_end(LoadSession *session)
{
	stream_stop(session);
	if (session->control != NULL)
		connection_close(session->control);
	MemoryContextDelete(session->context);
}

bool
session_has_stream(const LoadSession *session)
{
	return session->stream != NULL && session->lost == NULL &&
		   strcmp(session->stream->state, "streaming") == 0;
}

/* ---- runs and states of tasks ---- */

/* Where what is said in a run of the task lives. */
static MemoryContext
run_context(LoadSession *session, LoadTask *task)
{
	if (!session->following)
		return session->context;
	if (task->run_context == NULL)
		task->run_context = AllocSetContextCreate(session->context,
												  "depipe load run",
												  ALLOCSET_SMALL_SIZES);
	return task->run_context;
}

Run *
session_run(LoadSession *session, LoadTask *task)
{
	MemoryContext old = MemoryContextSwitchTo(run_context(session, task));

	if (task->run == NULL)
		task->run = run_create(task->target, "stream");
	if (run_insert(task->run))
		task->touched = true;
	else
		task->stopped = true; /* dropped: the next session is without it */
	MemoryContextSwitchTo(old);
	return task->run;
}

char *
session_keep(const LoadTask *task, const char *text)
{
	return text == NULL ? NULL : MemoryContextStrdup(GetMemoryChunkContext(task->run), text);
}

void
session_commit(LoadSession *session)
{
	transaction_commit();
	if (!session->beside && !streamlock_take(session->server_name, false))
		session->overtaken = true;
}

ErrorData *
session_without_values(LoadSession *session, ErrorData *error)
{
	const char *reading = session->reader == NULL ? session->reading : session->reader->reading;
	const char *state = unpack_sql_state(error->sqlerrcode);

	if (error->sqlerrcode == ERRCODE_UNSAFE_NEW_ENUM_VALUE_USAGE)
	{
		error->message = pstrdup("an enum type has got a label that the source has:"
								 " it can be used after a commit");
		error->hint = pstrdup("Commit, and run it again.");
		error->domain = TEXTDOMAIN; /* the text is our own now */
	}
	else if (reading != NULL)
	{
		error->message = psprintf("a value of column \"%s\" of the source cannot be read here (%s)",
								  reading,
								  state);
		error->hint = NULL;
	}
	else if (session->projecting)
	{
		error->message = psprintf("an expression of the load failed: %s (%s)",
								  message_without_values(error),
								  state);
		error->hint = NULL;
	}
	else
	{
		error->hint = hint_without_values(error);
		error->message = message_without_values(error);
	}
	error->detail = NULL;
	session->reader = NULL;
	session->reading = NULL;
	session->projecting = false;
	return error;
}

int
session_lock_timeout(const LoadSession *session)
{
	return session->options->quiet ? LOCK_TIMEOUT_MS : 0;
}

char *
session_resync_hint(const LoadTask *task)
{
	return psprintf("SELECT depipe.resync(%s);", sql_literal(task->target->display));
}

static void
set_run_failed(LoadSession *session, LoadTask *task, int sqlstate, const char *reason,
			   const char *hint)
{
	MemoryContext old = MemoryContextSwitchTo(run_context(session, task));
	Run *run = session_run(session, task);

	run->status = RUN_FAILED;
	run->error_sqlstate = pstrdup(unpack_sql_state(sqlstate));
	run->error_message = pstrdup(reason);
	run->reason = run->error_message;
	run->error_hint = hint == NULL ? NULL : pstrdup(hint);
	MemoryContextSwitchTo(old);
}

void
session_stop_task(LoadSession *session, LoadTask *task, LoadState state, int sqlstate,
				  const char *reason, const char *hint)
{
	task->stopped = true;
	set_run_failed(session, task, sqlstate, reason, hint);
	load_set_state(task->load, state, reason, hint);
}

void
session_task_error(LoadSession *session, LoadTask *task, ErrorData *error)
{
	task->stopped = true;
	set_run_failed(session, task, error->sqlerrcode, error->message, error->hint);
	load_set_state(task->load, task->load->state, error->message, error->hint);
	session_failed(session, task, error->message);
}

void
session_failed(LoadSession *session, LoadTask *task, const char *reason)
{
	if (!session->options->quiet || task->counted)
		return;
	task->counted = true;
	task->failures++;
	task->retry_at = attempt_begin(unit_of_target(task->target->id));
	if (task->retry_reason != NULL)
		pfree(task->retry_reason);
	task->retry_reason = MemoryContextStrdup(session->context,
											 reason != NULL ? reason : "it was not published");
}

void
session_succeeded(LoadTask *task)
{
	if (task->failures > 0)
		attempt_end(unit_of_target(task->target->id));
	task->failures = 0;
	task->retry_at = 0;
}

/* Stop a task; session_record() says so where it is to be seen. */
static void
set_problem(LoadTask *task, LoadState state, int sqlstate, const char *problem, const char *hint)
{
	task->stopped = true;
	task->problem = pstrdup(problem);
	task->problem_hint = hint == NULL ? NULL : pstrdup(hint);
	task->problem_state = state;
	task->problem_sqlstate = sqlstate;
}

/* ---- looking at the source ---- */

static void
connect_source(LoadSession *session)
{
	TimeLineID timeline;

	session->control = connection_open(session->server);
	session->control->keep = session->options->commit;
	session->system_identifier = walrcv_identify_system(session->control->walrcv, &timeline);
	session->timeline = timeline;
	session->same_cluster = strcmp(session->system_identifier,
								   psprintf(UINT64_FORMAT, GetSystemIdentifier())) == 0;
}

/* Names of the source's columns that a load takes. */
static List *
taken_columns(const LoadTask *task)
{
	List *names = NIL;
	ListCell *cell;

	foreach(cell, task->source->columns)
	{
		SourceColumn *column = lfirst(cell);

		if (!column->generated && !projection_leaves_out(task->load, column->name))
			names = lappend(names, column->name);
	}
	return names;
}

typedef struct TakeRecorded
{
	LoadSession *session;
	LoadTask *task;
} TakeRecorded;

static bool
take_recorded_work(void *argument)
{
	TakeRecorded *work = argument;

	evolve_take_recorded(work->session, work->task);
	return true;
}

/* Its columns or expressions may not fit any more: then only this table stops. */
static void
take_recorded(LoadSession *session, LoadTask *task)
{
	TakeRecorded work = {session, task};
	ErrorData *error = guarded_run(take_recorded_work, &work);

	if (error != NULL)
		set_problem(task,
					LOAD_NEEDS_RESYNC,
					error->sqlerrcode,
					message_without_values(error),
					session_resync_hint(task));
}

/* A load that streams keeps the columns and the key it was copied with. */
static void
take_description(LoadSession *session, LoadTask *task, SourceTable *source)
{
	task->source = source;
	if (task->source != NULL && task->load->state != LOAD_STREAMING)
	{
		task->key = source_table_key(task->source, task->load->key);
		task->columns = taken_columns(task);
		task->source_names = task->columns;
	}
	else if (task->source != NULL && OidIsValid(task->target->relid))
	{
		task->key = task->load->copied_key;
		take_recorded(session, task);
	}
}

void
session_describe(LoadSession *session, List *tasks, Connection *connection)
{
	/* what a task knows outlives the batch */
	MemoryContext old = MemoryContextSwitchTo(session->context);
	List *schemas = NIL;
	List *tables = NIL;
	List *described;
	ListCell *cell;

	foreach(cell, tasks)
	{
		const Load *load = ((LoadTask *) lfirst(cell))->load;

		schemas = lappend(schemas, load->source_schema);
		tables = lappend(tables, load->source_table);
	}
	described = source_tables_describe(connection, schemas, tables);
	foreach(cell, tasks)
		take_description(session, lfirst(cell), list_nth(described, foreach_current_index(cell)));
	MemoryContextSwitchTo(old);
}

static bool
is_active(const LoadTask *task)
{
	return !task->stopped && (task->load->state == LOAD_NEW || task->load->state == LOAD_COPYING ||
							  task->load->state == LOAD_STREAMING);
}

/* A table that streams and is left out of a run misses changes. */
static LoadState
stopped_state(const Load *load)
{
	return load->state == LOAD_STREAMING ? LOAD_NEEDS_RESYNC : load->state;
}

static const char *
stopped_reason(const Load *load)
{
	if (load->reason != NULL)
		return load->reason;
	return load->state == LOAD_DETACHED ? DETACHED_REASON : "it needs a resync";
}

/* A column that is to stay out, but is not there, may be another's name in a wrong spelling. */
static char *
unknown_left_out(const LoadTask *task, char **hint)
{
	ListCell *cell;

	if (task->load->state == LOAD_STREAMING)
		return NULL; /* it was there once */
	foreach(cell, projection_left_out(task->load))
	{
		if (source_table_column(task->source, lfirst(cell)) != NULL)
			continue;
		*hint = "Names in \"columns\" are as at the source, also upper and lower case;"
				" change them with create_load(..., replace => true).";
		return psprintf("column \"%s\", which is left out, does not exist in the source table",
						(char *) lfirst(cell));
	}
	return NULL;
}

/*
 * The number is sent as it is: it must mean the same amount here.  Here is
 * where the load is evaluated: under its settings.
 */
static char *
other_money(const LoadTask *task, char **hint)
{
	int level;
	int digits;
	ListCell *cell;

	if (task->source->money_digits < 0)
		return NULL;
	level = NewGUCNestLevel();
	settings_enter(task->target->settings);
	digits = DatumGetInt32(
		DirectFunctionCall1(numeric_scale, DirectFunctionCall1(cash_numeric, Int64GetDatum(1))));
	AtEOXact_GUC(false, level);
	if (digits == task->source->money_digits)
		return NULL;
	foreach(cell, task->source->columns)
	{
		SourceColumn *column = lfirst(cell);

		if (!source_column_is_money(column) || projection_leaves_out(task->load, column->name))
			continue;
		*hint = "Make the load with settings => '{lc_monetary=...}', a locale of that currency.";
		return psprintf("column \"%s\" is of type money, which has %d decimals at the source and"
						" %d here",
						column->name,
						task->source->money_digits,
						digits);
	}
	return NULL;
}

void
session_find_problem(LoadTask *task)
{
	Load *load = task->load;
	char *hint = session_resync_hint(task);
	char *problem = NULL;

	if (task->problem != NULL)
		return;
	if (load->state == LOAD_DETACHED || load->state == LOAD_NEEDS_RESYNC)
		set_problem(task,
					load->state,
					ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
					stopped_reason(load),
					load->state == LOAD_DETACHED ? adopt_hint(load->server_name) : hint);
	else if (load->state == LOAD_PAUSED)
		set_problem(task, load->state, ERRCODE_DEPIPE_SCHEMA_CHANGE, load->reason, hint);
	else if (task->source == NULL)
		set_problem(task,
					stopped_state(load),
					ERRCODE_UNDEFINED_TABLE,
					psprintf("source table %s does not exist or is not visible",
							 sql_table(load->source_schema, load->source_table)),
					NULL);
	else if (load->state == LOAD_STREAMING && load->source_relid != task->source->relid)
		set_problem(task,
					LOAD_NEEDS_RESYNC,
					ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
					"the source table was dropped and made again",
					hint);
	else if (load->state == LOAD_STREAMING && task->key == NIL && !source_table_full(task->source))
		set_problem(task,
					LOAD_NEEDS_RESYNC,
					ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
					IDENTITY_LOST,
					hint);
	else if (load->state == LOAD_STREAMING && evolve_replaced_column(task) != NULL)
		set_problem(task,
					LOAD_NEEDS_RESYNC,
					ERRCODE_DEPIPE_SCHEMA_CHANGE,
					psprintf("column \"%s\" of the source was dropped and made again",
							 evolve_replaced_column(task)),
					hint);
	else if (load->state == LOAD_STREAMING && !OidIsValid(task->target->relid))
		set_problem(task,
					LOAD_NEEDS_RESYNC,
					ERRCODE_UNDEFINED_TABLE,
					"the target table is gone",
					hint);
	else if (load->state == LOAD_STREAMING && (problem = evolve_retyped_column(task)) != NULL)
		set_problem(task, LOAD_PAUSED, ERRCODE_DEPIPE_SCHEMA_CHANGE, problem, evolve_hint(task));
	else
	{
		problem = source_table_problem(task->source, task->key, &hint);
		if (problem == NULL)
			problem = unknown_left_out(task, &hint);
		if (problem == NULL)
			problem = other_money(task, &hint);
		if (problem != NULL)
			set_problem(task,
						stopped_state(load),
						ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
						problem,
						hint);
	}
}

/* ---- the stream ---- */

void
session_check_slot_possible(const LoadSession *session)
{
	if (session->same_cluster && TransactionIdIsValid(GetTopTransactionIdIfAny()))
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("cannot make a slot in this transaction, because it has written"),
			 errdetail(
				 "The source is a database of this cluster; it would wait for this transaction."),
			 errhint("Use CALL depipe.run(...) outside of a transaction block.")));
}

/* The stream cannot go on: every table that it fed needs a resync. */
static void
lose_stream(LoadSession *session, const char *reason)
{
	ListCell *cell;

	session->lost = pstrdup(reason);
	foreach(cell, session->tasks)
	{
		LoadTask *task = lfirst(cell);

		if (task->load->state == LOAD_STREAMING)
			set_problem(task,
						LOAD_NEEDS_RESYNC,
						ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
						reason,
						session_resync_hint(task));
	}
}

/* Is the source another one than the stream's, or the publication? */
static char *
source_problem(LoadSession *session)
{
	Stream *stream = session->stream;

	if (strcmp(stream->system_identifier, session->system_identifier) != 0)
		return psprintf("server \"%s\" is another database system than before",
						session->server->name);
	if (stream->timeline != session->timeline)
		return psprintf("server \"%s\" is on timeline %d, not %d as before",
						session->server->name,
						session->timeline,
						stream->timeline);
	if (stream->publication_managed != (session->server->publication == NULL) ||
		(!stream->publication_managed &&
		 strcmp(stream->publication, session->server->publication) != 0))
		return psprintf("server \"%s\" names another publication than before",
						session->server->name);
	if (source_publication_oid(session->control, stream->publication) != stream->publication_oid)
		return psprintf("publication \"%s\" of the source was dropped or made again",
						stream->publication);
	return NULL;
}

/* Why the stream cannot go on where it ended; NULL when it can. */
static char *
stream_problem(LoadSession *session)
{
	Stream *stream = session->stream;
	char *problem = source_problem(session);
	SourceSlot *slot;

	if (problem != NULL)
		return problem;
	slot = source_slot_describe(session->control, stream->slot_name);
	if (!slot->exists)
		return psprintf("slot \"%s\" of the source is gone", stream->slot_name);
	if (slot->lost)
		return psprintf("slot \"%s\" of the source was invalidated%s%s",
						stream->slot_name,
						slot->lost_reason != NULL ? ": " : "",
						slot->lost_reason != NULL ? slot->lost_reason : "");
	if (slot->confirmed > stream->applied_lsn)
		return psprintf("slot \"%s\" is at %X/%X, ahead of %X/%X as applied here",
						stream->slot_name,
						LSN_FORMAT_ARGS(slot->confirmed),
						LSN_FORMAT_ARGS(stream->applied_lsn));
	return witness_problem(session, slot);
}

static bool
want_stream(LoadSession *session)
{
	ListCell *cell;

	foreach(cell, session->tasks)
		if (is_active(lfirst(cell)))
			return true;
	return false;
}

/* The source's tables that the publication shall have, each once. */
static List *
published_tables(LoadSession *session)
{
	List *tables = NIL;
	ListCell *cell;

	foreach(cell, session->tasks)
	{
		LoadTask *task = lfirst(cell);
		bool found = false;
		ListCell *other;

		if (!is_active(task))
			continue;
		foreach(other, tables)
			found |= ((SourceTable *) lfirst(other))->relid == task->source->relid;
		if (!found)
			tables = lappend(tables, task->source);
	}
	foreach(cell, tables)
	{
		SourceTable *table = lfirst(cell);
		List *takers = NIL;
		ListCell *other;

		foreach(other, session->tasks)
			if (is_active(lfirst(other)) &&
				((LoadTask *) lfirst(other))->source->relid == table->relid)
				takers = lappend(takers, lfirst(other));
		publication_choose_columns(session, table, takers);
	}
	return tables;
}

/* A publication of the source's own: it must send what our tables need. */
static void
check_given_publication(LoadSession *session)
{
	ListCell *cell;

	foreach(cell, session->tasks)
	{
		LoadTask *task = lfirst(cell);
		char *hint = NULL;
		char *problem;

		if (!is_active(task))
			continue;
		problem = source_publication_problem(session->control,
											 session->server->publication,
											 task->source,
											 task->source_names,
											 &hint);
		if (problem != NULL)
			set_problem(task,
						stopped_state(task->load),
						ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
						problem,
						hint);
	}
}

/*
 * Depipe's own sends changes of partitions as those of their root.  When the
 * root has a load, too, a load of the partition would get none.
 */
static void
check_partitions(LoadSession *session)
{
	ListCell *cell;
	ListCell *other;

	foreach(cell, session->tasks)
	{
		LoadTask *task = lfirst(cell);

		foreach(other, session->tasks)
		{
			LoadTask *root = lfirst(other);

			if (!is_active(task) || !is_active(root) ||
				!list_member_oid(task->source->ancestors, root->source->relid))
				continue;
			set_problem(
				task,
				stopped_state(task->load),
				ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
				psprintf("changes of the source table arrive as those of %s, which %s loads",
						 sql_table(root->source->schema_name, root->source->table_name),
						 root->target->owner == task->target->owner ? root->target->display
																	: "another"),
				psprintf("Load the one or the other: SELECT depipe.drop_load(%s);",
						 sql_literal(task->target->display)));
		}
	}
}

/* Depipe's own: a table that somebody has taken out of it has missed changes. */
static void
check_own_publication(LoadSession *session)
{
	List *relids = source_publication_relids(session->control, session->stream->publication);
	ListCell *cell;

	foreach(cell, session->tasks)
	{
		LoadTask *task = lfirst(cell);

		if (is_active(task) && task->load->state == LOAD_STREAMING &&
			!list_member_oid(relids, task->source->relid))
			set_problem(task,
						LOAD_NEEDS_RESYNC,
						ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
						psprintf("the source table was taken out of publication \"%s\"",
								 session->stream->publication),
						session_resync_hint(task));
	}
}

/* Those that take changes, or (not only) are to be copied. */
static List *
active_tasks(LoadSession *session, bool streaming)
{
	List *tasks = NIL;
	ListCell *cell;

	foreach(cell, session->tasks)
	{
		LoadTask *task = lfirst(cell);

		if (is_active(task) && (!streaming || task->load->state == LOAD_STREAMING))
			tasks = lappend(tasks, task);
	}
	return tasks;
}

bool
session_tables_are_there(LoadSession *session)
{
	List *tasks = active_tasks(session, true);
	List *tables = NIL;
	ListCell *cell;

	foreach(cell, tasks)
		tables = lappend(tables, ((LoadTask *) lfirst(cell))->source);
	return basis_is_published(session, tasks) &&
		   source_tables_are_there(
			   session->control,
			   tables,
			   session->stream->publication_managed ? session->stream->publication : NULL);
}

/* A table, or the publication itself, that was changed for a while has missed changes. */
static void
check_published(LoadSession *session)
{
	List *tasks = active_tasks(session, true);
	ListCell *cell;

	basis_describe_published(session, tasks);
	foreach(cell, tasks)
	{
		LoadTask *task = lfirst(cell);
		char *problem = basis_published_problem(session, task);

		if (problem != NULL)
			set_problem(task,
						LOAD_NEEDS_RESYNC,
						ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
						problem,
						session_resync_hint(task));
	}
}

/* What is recorded from now on: what was changed here is known. */
static void
take_published(LoadSession *session)
{
	List *tasks = NIL;
	ListCell *cell;

	foreach(cell, active_tasks(session, false))
		if (session->publication_changed || ((LoadTask *) lfirst(cell))->published_as == NULL)
			tasks = lappend(tasks, lfirst(cell));
	basis_describe_published(session, tasks);
}

/* Columns that came while the source was asked to leave others out. */
static void
check_missed_columns(LoadSession *session)
{
	ListCell *cell;

	foreach(cell, session->tasks)
	{
		LoadTask *task = lfirst(cell);
		char *column;

		if (!is_active(task) || task->load->state != LOAD_STREAMING)
			continue;
		column = publication_missed_column(session, task);
		if (column != NULL)
			set_problem(
				task,
				LOAD_NEEDS_RESYNC,
				ERRCODE_DEPIPE_SCHEMA_CHANGE,
				psprintf("the source has a new column \"%s\", whose changes were not sent", column),
				session_resync_hint(task));
	}
}

static Oid
prepare_publication(LoadSession *session, const char *name, bool managed)
{
	Oid oid;

	if (managed)
		return source_publication_set(session->control,
									  name,
									  published_tables(session),
									  &session->publication_changed);
	oid = source_publication_oid(session->control, name);
	if (!OidIsValid(oid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("publication \"%s\" of server \"%s\" does not exist",
						name,
						session->server->name)));
	return oid;
}

/* The slot of an aborted attempt, or of the stream that was lost. */
static void
drop_left_over(LoadSession *session, const char *name)
{
	if (source_slot_describe(session->control, name)->exists)
		source_slot_drop(session->control, name);
	if (session->stream != NULL && strcmp(session->stream->slot_name, name) != 0 &&
		source_slot_describe(session->control, session->stream->slot_name)->exists)
		source_slot_drop(session->control, session->stream->slot_name);
}

/* Make slot and publication; what an aborted attempt left goes first. */
static void
make_stream(LoadSession *session)
{
	MemoryContext old = MemoryContextSwitchTo(session->context);
	Stream *stream = palloc0(sizeof(Stream));
	char *name = source_object_name(session->server->name, instance_seed(session->instance));

	session_check_slot_possible(session);
	stream->server_name = session->server->name;
	stream->slot_name = name;
	stream->publication_managed = session->server->publication == NULL;
	stream->publication = stream->publication_managed ? name : session->server->publication;
	stream->incarnation = session->stream == NULL ? 1 : session->stream->incarnation + 1;
	stream->system_identifier = session->system_identifier;
	stream->timeline = session->timeline;
	stream->publication_oid = prepare_publication(session,
												  stream->publication,
												  stream->publication_managed);
	source_keep_slot(name);
	drop_left_over(session, name);
	session->making_slot = true;
	stream->applied_lsn = source_slot_create(session->control, name, session->slot_wait_ms);
	session->making_slot = false;
	witness_begin(session);
	stream->source_started = session->source_started;
	stream->state = "streaming";
	if (session->stream != NULL)
		stream->batch_number = session->stream->batch_number;
	stream->own_write = true;
	session->stream = stream;
	session->made_stream = true;
	session->lost = NULL;
	MemoryContextSwitchTo(old);
}

/*
 * A copy of a database must not eat the stream of its original: nothing
 * connects.  Loads that have to be read again anyway keep their reason.
 */
static void
detach_copy(LoadSession *session)
{
	ListCell *cell;

	session->stream = NULL;
	foreach(cell, session->tasks)
	{
		LoadTask *task = lfirst(cell);

		if (task->load->state == LOAD_NEEDS_RESYNC || task->load->state == LOAD_PAUSED)
			session_find_problem(task);
		else
			set_problem(task,
						LOAD_DETACHED,
						ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
						session->foreign,
						adopt_hint(session->server_name));
	}
}

/* Go on with the stream that there is, or find out why not. */
static void
check_stream(LoadSession *session)
{
	char *problem = stream_problem(session);

	if (problem != NULL)
		lose_stream(session, problem);
	else
		check_published(session);
	if (problem == NULL && session->stream->publication_managed)
	{
		check_own_publication(session);
		check_missed_columns(session);
		(void) prepare_publication(session, session->stream->publication, true);
	}
}

/* Is there a load that is to be copied, or streams? */
static bool
any_goes_on(LoadSession *session)
{
	ListCell *cell;

	foreach(cell, session->tasks)
	{
		LoadState state = ((LoadTask *) lfirst(cell))->load->state;

		if (state == LOAD_NEW || state == LOAD_COPYING || state == LOAD_STREAMING)
			return true;
	}
	return false;
}

void
session_prepare(LoadSession *session)
{
	const char *server_name = session->server_name;
	MemoryContext old = MemoryContextSwitchTo(session->context);
	ListCell *cell;

	session->instance = instance_get();
	session->stream = stream_get(server_name);
	if (session->stream != NULL)
		session->foreign = instance_foreign_stream(session->instance, session->stream);
	if (session->foreign != NULL)
		detach_copy(session);
	else if (session->stream == NULL && !any_goes_on(session))
		foreach(cell, session->tasks)
			session_find_problem(lfirst(cell)); /* nothing connects */
	else
	{
		session->server = source_server_open(server_name);
		connect_source(session);
		session_describe(session, session->tasks, session->control);
		foreach(cell, session->tasks)
			session_find_problem(lfirst(cell));
		if (session->server->publication != NULL)
			check_given_publication(session);
		else
			check_partitions(session);
		if (session_has_stream(session))
			check_stream(session);
		if (!session_has_stream(session) && want_stream(session))
			make_stream(session);
		if (session_has_stream(session))
			take_published(session);
	}
	MemoryContextSwitchTo(old);
}

char *
session_prepare_beside(LoadSession *session)
{
	MemoryContext old = MemoryContextSwitchTo(session->context);
	char *problem;

	session->instance = instance_get();
	session->stream = stream_get(session->server_name);
	if (session->stream == NULL || !session_has_stream(session) ||
		instance_foreign_stream(session->instance, session->stream) != NULL)
		problem = "there is no stream";
	else
	{
		session->server = source_server_open(session->server_name);
		connect_source(session);
		/* whether its slot is where it was is for the one who has it to see */
		problem = source_problem(session);
	}
	MemoryContextSwitchTo(old);
	return problem;
}

/* A stream made here is this database's, whatever the row of the original says. */
static void
record_instance(LoadSession *session)
{
	MemoryContext old = MemoryContextSwitchTo(session->context);

	if (session->made_stream)
	{
		if (session->instance->foreign != NULL)
			instance_renew(session->instance);
		session->stream->instance_id = session->instance->id;
	}
	if (session->instance->moved)
		instance_follow(session->instance);
	MemoryContextSwitchTo(old);
}

void
session_record(LoadSession *session)
{
	ListCell *cell;

	record_instance(session);
	if (session->made_stream)
		stream_insert(session->stream, session->server->oid);
	else if (session_has_stream(session) &&
			 session->source_started != session->stream->source_started)
		stream_set_started(session->server->name, session->source_started);
	else if (session->lost != NULL)
		stream_set_state(session->server->name, "needs_resync", session->lost);
	else if (session->foreign != NULL)
		stream_set_state(session->server_name, "detached", session->foreign);
	foreach(cell, session->tasks)
	{
		LoadTask *task = lfirst(cell);

		if (task->run != NULL)
			(void) session_run(session, task);
		if (task->problem == NULL && task->published_as != NULL &&
			(task->load->published_as == NULL ||
			 strcmp(task->load->published_as, task->published_as) != 0))
			load_set_published(task->load, task->published_as);
		if (task->problem == NULL)
			continue;
		if (task->run != NULL || task->problem_state != task->load->state)
			set_run_failed(session,
						   task,
						   task->problem_sqlstate,
						   task->problem,
						   task->problem_hint);
		load_set_state(task->load, task->problem_state, task->problem, task->problem_hint);
		if (task->asked)
			session_failed(session, task, task->problem);
	}
}
