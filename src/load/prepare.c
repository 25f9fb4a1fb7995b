/*-------------------------------------------------------------------------
 *
 * prepare.c
 *		The beginning of a run: the source, its publication, and its slot.
 *
 * The order matters.  The slot is created before this transaction writes
 * anything: at the source, CREATE_REPLICATION_SLOT waits for all running
 * transactions, and if the source is this very cluster one of them is ours.
 * The publication is created before the slot, so that no change can fall
 * between them.  Both are recorded here afterwards.  If this transaction
 * aborts, the next run recognizes the leftovers by their names.
 *
 * A stream continues only if nothing can have been missed: same system, same
 * timeline, same publication, the slot exists and is not ahead of the position
 * recorded here as applied, and the history of the source is the one that was
 * read (witness.c).  Otherwise the loads become needs_resync.
 *
 *-------------------------------------------------------------------------
 */
#include "load/prepare.h"

#include "core/sqltext.h"
#include "load/adopt.h"
#include "load/examine.h"
#include "load/publication.h"
#include "load/sent.h"
#include "load/slot.h"
#include "load/witness.h"

static bool
is_active(const LoadTask *task)
{
	return !task->stopped && (task->load->state == LOAD_NEW || task->load->state == LOAD_COPYING ||
							  task->load->state == LOAD_STREAMING);
}

/* ---- the stream ---- */

/* The stream cannot continue: all its tables need a resync. */
static void
lose_stream(LoadSession *session, const char *reason)
{
	ListCell *cell;

	session->prepared.lost = pstrdup(reason);
	foreach(cell, session->set.tasks)
	{
		LoadTask *task = lfirst(cell);

		if (task->load->state == LOAD_STREAMING)
			task_set_lost(task, reason);
	}
}

/* Does the source or the publication differ from that of the stream? */
static char *
source_problem(LoadSession *session)
{
	Stream *stream = session->stream;

	if (strcmp(stream->system_identifier, session->source.system_identifier) != 0)
		return psprintf("server \"%s\" is a different database system than before",
						session->source.server->name);
	if (stream->timeline != session->source.timeline)
		return psprintf("server \"%s\" is on timeline %d, not %d as before",
						session->source.server->name,
						session->source.timeline,
						stream->timeline);
	if (stream->publication_managed != (session->source.server->publication == NULL) ||
		(!stream->publication_managed &&
		 strcmp(stream->publication, session->source.server->publication) != 0))
		return psprintf("server \"%s\" names a different publication than before",
						session->source.server->name);
	if (source_publication_oid(session->source.control, stream->publication) !=
		stream->publication_oid)
		return psprintf("publication \"%s\" of the source was dropped or recreated",
						stream->publication);
	return NULL;
}

/* The reason why the stream cannot continue where it ended; NULL if it can. */
static char *
stream_problem(LoadSession *session)
{
	Stream *stream = session->stream;
	char *problem = source_problem(session);
	SourceSlot *slot;

	if (problem != NULL)
		return problem;
	slot = source_slot_describe(session->source.control, stream->slot_name);
	if (!slot->exists)
		return psprintf("slot \"%s\" of the source is gone", stream->slot_name);
	if (slot->lost)
		return psprintf("slot \"%s\" of the source was invalidated%s%s",
						stream->slot_name,
						slot->lost_reason != NULL ? ": " : "",
						slot->lost_reason != NULL ? slot->lost_reason : "");
	if (slot->confirmed > stream->applied_lsn)
		return psprintf("slot \"%s\" is at %X/%X, ahead of %X/%X, which is applied here",
						stream->slot_name,
						LSN_FORMAT_ARGS(slot->confirmed),
						LSN_FORMAT_ARGS(stream->applied_lsn));
	return witness_problem(&session->source, session->stream, &session->set, slot);
}

static bool
want_stream(LoadSession *session)
{
	ListCell *cell;

	foreach(cell, session->set.tasks)
		if (is_active(lfirst(cell)))
			return true;
	return false;
}

/* The source's tables for the publication, each once. */
static List *
published_tables(LoadSession *session)
{
	List *tables = NIL;
	ListCell *cell;

	foreach(cell, session->set.tasks)
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

		foreach(other, session->set.tasks)
			if (is_active(lfirst(other)) &&
				((LoadTask *) lfirst(other))->source->relid == table->relid)
				takers = lappend(takers, lfirst(other));
		sent_choose_columns(session->source.control, table, takers);
	}
	return tables;
}

/* For an existing publication of the source: it must send the columns that our tables need. */
static void
check_given_publication(LoadSession *session)
{
	ListCell *cell;

	foreach(cell, session->set.tasks)
	{
		LoadTask *task = lfirst(cell);
		char *hint = NULL;
		char *problem;

		if (!is_active(task))
			continue;
		problem = source_publication_problem(session->source.control,
											 session->source.server->publication,
											 task->source,
											 task->source_names,
											 &hint);
		if (problem != NULL)
			task_set_problem(task,
							 examine_stopped_state(task->load),
							 ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
							 problem,
							 hint);
	}
}

/*
 * depipe's own publication sends changes of partitions as those of their root.
 * If the root has a load as well, a load of the partition would receive none.
 */
static void
check_partitions(LoadSession *session)
{
	ListCell *cell;
	ListCell *other;

	foreach(cell, session->set.tasks)
	{
		LoadTask *task = lfirst(cell);

		foreach(other, session->set.tasks)
		{
			LoadTask *root = lfirst(other);

			if (!is_active(task) || !is_active(root) ||
				!list_member_oid(task->source->ancestors, root->source->relid))
				continue;
			task_set_problem(
				task,
				examine_stopped_state(task->load),
				ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
				psprintf("changes of the source table arrive as changes of %s, which %s loads",
						 sql_table(root->source->schema_name, root->source->table_name),
						 root->target->owner == task->target->owner ? root->target->display
																	: "another"),
				psprintf("Keep only one of the two loads: SELECT depipe.drop_load(%s);",
						 sql_literal(task->target->display)));
		}
	}
}

/* For depipe's own publication: a table that was removed from it has missed changes. */
static void
check_own_publication(LoadSession *session)
{
	List *relids = source_publication_relids(session->source.control, session->stream->publication);
	ListCell *cell;

	foreach(cell, session->set.tasks)
	{
		LoadTask *task = lfirst(cell);

		if (is_active(task) && task->load->state == LOAD_STREAMING &&
			!list_member_oid(relids, task->source->relid))
			task_set_lost(task,
						  psprintf("the source table was removed from publication \"%s\"",
								   session->stream->publication));
	}
}

/* Streaming tasks or, with streaming false, also those that wait for a copy. */
static List *
active_tasks(LoadSession *session, bool streaming)
{
	List *tasks = NIL;
	ListCell *cell;

	foreach(cell, session->set.tasks)
	{
		LoadTask *task = lfirst(cell);

		if (is_active(task) && (!streaming || task->load->state == LOAD_STREAMING))
			tasks = lappend(tasks, task);
	}
	return tasks;
}

bool
prepare_tables_are_there(LoadSession *session)
{
	List *tasks = active_tasks(session, true);
	List *tables = NIL;
	ListCell *cell;

	foreach(cell, tasks)
		tables = lappend(tables, ((LoadTask *) lfirst(cell))->source);
	return basis_is_published(&session->source, session->stream, tasks) &&
		   source_tables_are_there(
			   session->source.control,
			   tables,
			   session->stream->publication_managed ? session->stream->publication : NULL);
}

/* A table whose publication changed temporarily has missed changes. */
static void
check_published(LoadSession *session)
{
	List *tasks = active_tasks(session, true);
	ListCell *cell;

	basis_describe_published(&session->source, session->stream, tasks);
	foreach(cell, tasks)
	{
		LoadTask *task = lfirst(cell);
		char *problem = basis_published_problem(session->stream, task);

		if (problem != NULL)
			task_set_lost(task, problem);
	}
}

/* The description to record from now on: our own change of the publication is known. */
static void
take_published(LoadSession *session)
{
	List *tasks = NIL;
	ListCell *cell;

	foreach(cell, active_tasks(session, false))
		if (session->prepared.publication_changed ||
			((LoadTask *) lfirst(cell))->published_as == NULL)
			tasks = lappend(tasks, lfirst(cell));
	basis_describe_published(&session->source, session->stream, tasks);
}

/* Find columns that were added while the publication had a list of columns. */
static void
check_missed_columns(LoadSession *session)
{
	ListCell *cell;

	foreach(cell, session->set.tasks)
	{
		LoadTask *task = lfirst(cell);
		char *column;

		if (!is_active(task) || task->load->state != LOAD_STREAMING)
			continue;
		column = sent_missed_column(session->source.control, session->stream, task);
		if (column != NULL)
			task_set_problem(
				task,
				LOAD_NEEDS_RESYNC,
				ERRCODE_DEPIPE_SCHEMA_CHANGE,
				psprintf("the source has a new column \"%s\", whose changes were not sent", column),
				task_resync_hint(task));
	}
}

static Oid
prepare_publication(LoadSession *session, const char *name, bool managed)
{
	Oid oid;

	if (managed)
		return source_publication_set(session->source.control,
									  name,
									  published_tables(session),
									  &session->prepared.publication_changed);
	oid = source_publication_oid(session->source.control, name);
	if (!OidIsValid(oid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("publication \"%s\" of server \"%s\" does not exist",
						name,
						session->source.server->name)));
	return oid;
}

/* Drop the slot of an aborted attempt, or of a lost stream. */
static void
drop_left_over(LoadSession *session, const char *name)
{
	if (source_slot_describe(session->source.control, name)->exists)
		source_slot_drop(session->source.control, name);
	if (session->stream != NULL && strcmp(session->stream->slot_name, name) != 0 &&
		source_slot_describe(session->source.control, session->stream->slot_name)->exists)
		source_slot_drop(session->source.control, session->stream->slot_name);
}

/* Create slot and publication, after removing the leftovers of an aborted attempt. */
static void
make_stream(LoadSession *session)
{
	MemoryContext old = MemoryContextSwitchTo(session->set.context);
	Stream *stream = palloc0(sizeof(Stream));
	char *name = source_object_name(session->source.server->name,
									instance_seed(session->prepared.instance));

	source_check_slot_possible(&session->source);
	stream->server_name = session->source.server->name;
	stream->slot_name = name;
	stream->publication_managed = session->source.server->publication == NULL;
	stream->publication = stream->publication_managed ? name : session->source.server->publication;
	stream->incarnation = session->stream == NULL ? 1 : session->stream->incarnation + 1;
	stream->system_identifier = session->source.system_identifier;
	stream->timeline = session->source.timeline;
	stream->publication_oid = prepare_publication(session,
												  stream->publication,
												  stream->publication_managed);
	source_keep_slot(name);
	drop_left_over(session, name);
	session->prepared.making_slot = true;
	stream->applied_lsn = source_slot_create(session->source.control,
											 name,
											 session->source.slot_wait_ms);
	session->prepared.making_slot = false;
	witness_begin(&session->source);
	stream->source_started = session->source.started;
	stream->state = STREAM_STREAMING;
	if (session->stream != NULL)
		stream->batch_number = session->stream->batch_number;
	stream->own_write = true;
	session->stream = stream;
	session->prepared.made_stream = true;
	session->prepared.lost = NULL;
	MemoryContextSwitchTo(old);
}

/*
 * A copy of a database must not consume the stream of its original: nothing
 * connects.  Loads that must be read again anyway keep their reason.
 */
static void
detach_copy(LoadSession *session)
{
	ListCell *cell;

	session->stream = NULL;
	foreach(cell, session->set.tasks)
	{
		LoadTask *task = lfirst(cell);

		if (task->load->state == LOAD_NEEDS_RESYNC || task->load->state == LOAD_PAUSED)
			examine_find_problem(task);
		else
			task_set_problem(task,
							 LOAD_DETACHED,
							 ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
							 session->prepared.foreign,
							 adopt_hint(session->server_name));
	}
}

/* Continue the existing stream, or determine why that is impossible. */
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

/* Does any load wait for a copy, or stream? */
static bool
any_goes_on(LoadSession *session)
{
	ListCell *cell;

	foreach(cell, session->set.tasks)
	{
		LoadState state = ((LoadTask *) lfirst(cell))->load->state;

		if (state == LOAD_NEW || state == LOAD_COPYING || state == LOAD_STREAMING)
			return true;
	}
	return false;
}

void
prepare_session(LoadSession *session)
{
	const char *server_name = session->server_name;
	MemoryContext old = MemoryContextSwitchTo(session->set.context);
	ListCell *cell;

	session->prepared.instance = instance_get();
	session->stream = stream_get(server_name);
	if (session->stream != NULL)
		session->prepared.foreign = instance_foreign_stream(session->prepared.instance,
															session->stream);
	if (session->prepared.foreign != NULL)
		detach_copy(session);
	else if (session->stream == NULL && !any_goes_on(session))
		foreach(cell, session->set.tasks)
			examine_find_problem(lfirst(cell)); /* nothing connects */
	else
	{
		source_connect(&session->source, session->server_name, session->options->commit);
		examine_describe(&session->set, session->set.tasks, session->source.control);
		foreach(cell, session->set.tasks)
			examine_find_problem(lfirst(cell));
		if (session->source.server->publication != NULL)
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
prepare_beside(LoadSession *session)
{
	MemoryContext old = MemoryContextSwitchTo(session->set.context);
	char *problem;

	session->prepared.instance = instance_get();
	session->stream = stream_get(session->server_name);
	if (session->stream == NULL || !session_has_stream(session) ||
		instance_foreign_stream(session->prepared.instance, session->stream) != NULL)
		problem = "there is no stream";
	else
	{
		source_connect(&session->source, session->server_name, session->options->commit);
		/* the reader of the stream checks its slot */
		problem = source_problem(session);
	}
	MemoryContextSwitchTo(old);
	return problem;
}

/* A stream created here belongs to this database, whatever the row of the original contains. */
static void
record_instance(LoadSession *session)
{
	MemoryContext old = MemoryContextSwitchTo(session->set.context);

	if (session->prepared.made_stream)
	{
		if (session->prepared.instance->foreign != NULL)
			instance_renew(session->prepared.instance);
		session->stream->instance_id = session->prepared.instance->id;
	}
	if (session->prepared.instance->moved)
		instance_follow(session->prepared.instance);
	MemoryContextSwitchTo(old);
}

void
prepare_record(LoadSession *session)
{
	ListCell *cell;

	record_instance(session);
	if (session->prepared.made_stream)
		stream_insert(session->stream, session->source.server->oid);
	else if (session_has_stream(session) &&
			 session->source.started != session->stream->source_started)
		stream_set_started(session->source.server->name, session->source.started);
	else if (session->prepared.lost != NULL)
		stream_set_state(session->source.server->name, STREAM_NEEDS_RESYNC, session->prepared.lost);
	else if (session->prepared.foreign != NULL)
		stream_set_state(session->server_name, STREAM_DETACHED, session->prepared.foreign);
	foreach(cell, session->set.tasks)
	{
		LoadTask *task = lfirst(cell);

		if (task->run != NULL)
			(void) task_run(task);
		if (task->problem == NULL && task->published_as != NULL &&
			(task->load->published_as == NULL ||
			 strcmp(task->load->published_as, task->published_as) != 0))
			load_set_published(task->load, task->published_as);
		if (task->problem != NULL)
			task_record_problem(task);
	}
}
