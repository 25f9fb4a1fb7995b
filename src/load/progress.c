/*-------------------------------------------------------------------------
 *
 * progress.c
 *		The progress of a session, recorded in the transaction of the data.
 *
 * The position of a stream is written with the changes that lead to it.
 * Without changes it is written only occasionally: a process that follows the
 * stream keeps the newest position in shared memory (follow.c).
 *
 *-------------------------------------------------------------------------
 */
#include "load/progress.h"

#include "load/slot.h"
#include "load/witness.h"

/* The distance, or the time, after which the position of an idle stream is recorded. */
#define IDLE_ADVANCE (8 * 1024 * 1024)
#define IDLE_ADVANCE_AFTER USECS_PER_MINUTE

List *
progress_current_targets(const TaskSet *set)
{
	List *ids = NIL;
	ListCell *cell;

	foreach(cell, set->tasks)
	{
		LoadTask *task = lfirst(cell);

		if (!task->stopped && !task->paused && !task->blocked && !task->rest &&
			task->load->state == LOAD_STREAMING &&
			(task->run == NULL || task->run->error_sqlstate == NULL))
			ids = lappend_int(ids, task->target->id);
	}
	return ids;
}

/* Should a position be written although no change came with it? */
static bool
is_far(const LoadSession *session, XLogRecPtr position)
{
	return position - session->stream->applied_lsn >= IDLE_ADVANCE ||
		   GetCurrentTimestamp() - session->progress.recorded_at >= IDLE_ADVANCE_AFTER;
}

/*
 * The tables to record as complete through the batch: all current ones.  In a
 * followed stream tables without a change are recorded only occasionally;
 * shared memory has their time meanwhile (see follow.c).
 */
static List *
complete_targets(LoadSession *session, List *attempted)
{
	TimestampTz now = GetCurrentTimestamp();

	if (session->set.following && now - session->progress.all_recorded_at < IDLE_ADVANCE_AFTER)
		return list_intersection_int(attempted, progress_current_targets(&session->set));
	session->progress.all_recorded_at = now;
	return progress_current_targets(&session->set);
}

void
progress_record(LoadSession *session, bool changed)
{
	const Decoder *decoder = &session->taking.decoder;
	XLogRecPtr end = decoder->end;
	const SourceCommit *commit = &decoder->last_commit;
	List *attempted = NIL;
	ListCell *cell;

	if (end <= session->stream->applied_lsn)
		return;
	if (session->beside)
	{
		/* the slot is its own: only the positions of the tables are written */
		session->stream->applied_lsn = end;
		session->progress.advanced = true;
		if (changed)
			loads_set_applied(progress_current_targets(&session->set), end);
		return;
	}
	changed |= commit->end > session->stream->commit.end &&
			   witness_wanted(session->stream, &session->set);
	if (!changed && !is_far(session, end))
		return;
	foreach(cell, session->set.tasks)
	{
		LoadTask *task = lfirst(cell);

		if (task->attempted && !task->stopped)
			attempted = lappend_int(attempted, task->target->id);
	}
	stream_advance(session->stream,
				   end,
				   commit,
				   attempted,
				   complete_targets(session, attempted),
				   decoder->time);
	/* a position that the caller may still roll back must not be confirmed */
	if (!session->options->commit)
		session->stream->own_write = true;
	session->progress.advanced = true;
	session->progress.recorded_at = GetCurrentTimestamp();
}

void
progress_record_stop(LoadSession *session)
{
	const Transport *transport = &session->transport;
	SourceSlot *slot;

	loads_set_data_as_of(progress_current_targets(&session->set), transport->stop_time);
	slot = source_slot_describe(session->source.control, session->stream->slot_name);
	stream_set_source(session->source.server->name,
					  Max(session->stream->applied_lsn, transport->stop),
					  transport->stop,
					  slot->retained_bytes,
					  slot->safe_wal_size);
}
