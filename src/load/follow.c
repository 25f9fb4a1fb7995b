/*-------------------------------------------------------------------------
 *
 * follow.c
 *		A process that keeps the stream of a server open and its loads up to
 *		date.
 *
 * A session catches up like any other, and then continues without a stop.  It
 * waits on the socket, outside of any transaction; arrived messages become a
 * batch as soon as no more are waiting.  So a change of an idle source is
 * applied at once, and while one batch is applied the next one gathers.  After
 * a batch that cost much for its size the session rests in proportion, so that
 * many small transactions do not cost one batch each.
 *
 * Commits need not be on disk at once: after a crash the source sends lost
 * changes again.  The source may forget changes when they are on disk here, and
 * on the synchronous standbys if there are any.  They are confirmed at most
 * every CONFIRM_AFTER, after a look at the publication.
 *
 * Every LOOK_AFTER, and when definitions change, it checks whether the loads
 * and their source tables are still the same (otherwise a new session begins),
 * asks the source for its position, and publishes waiting deltas.  Between
 * these looks an idle stream costs nothing.
 *
 * The time through which a table without changes is complete is not written; it
 * is reported to the caller, which keeps it in shared memory.
 *
 *-------------------------------------------------------------------------
 */
#include "load/follow.h"

#include "access/xlog.h"
#include "catalog/attempts.h"
#include "core/guarded.h"
#include "core/transaction.h"
#include "load/basis.h"
#include "load/prepare.h"
#include "load/refresh.h"
#include "load/runs.h"
#include "load/slot.h"
#include "load/source.h"
#include "load/step.h"
#include "load/streamlock.h"
#include "load/waiting.h"
#include "load/witness.h"
#include "pgstat.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/portal.h"

#define CONFIRM_AFTER USECS_PER_SEC
#define LOOK_AFTER (10 * USECS_PER_SEC)
#define LOOK_AGAIN_AFTER USECS_PER_SEC /* when one has left work undone */
#define SILENCE_MOST (60 * USECS_PER_SEC)

/* A rest lasts as long as the batch; after a long batch, REST_AFTER_LONG times as long. */
#define LONG_BATCH (20 * INT64CONST(1000))
#define REST_AFTER_LONG 3
#define REST_MOST (200 * INT64CONST(1000))

/* No rest while the lag exceeds the smallest one by this much. */
#define BEHIND (300 * INT64CONST(1000))

typedef enum Wake
{
	WAKE_END,    /* the caller wants us to */
	WAKE_INPUT,  /* there is something to read */
	WAKE_LOOK,   /* a look is due, or something has changed */
	WAKE_BITE,   /* the next bite of parked deltas is due */
	WAKE_CONFIRM /* the last commits are on disk by now */
} Wake;

typedef struct Following
{
	LoadSession *session;
	const LoadFollower *follower;
	MemoryContext context;    /* of the process's transactions */
	const char *fingerprint;  /* of the loads, before the session began */
	TimestampTz look_at;      /* the next look */
	TimestampTz confirmed_at; /* the last confirmation */
	TimestampTz rest_until;
	int64 least_lag; /* from commit there to commit here, by both clocks, since the last look */
	XLogRecPtr
		unconfirmed;       /* time of the next confirmation; 0: everything committed is confirmed */
	XLogRecPtr commit_end; /* it may be confirmed when our own WAL is safe up to here */
	TimestampTz waits_since; /* for the confirmation */
	XLogRecPtr confirmed;    /* the last confirmed position */
	XLogRecPtr latest;       /* applied and committed last, and the end of that commit */
	XLogRecPtr latest_end;
	StreamPosition position;
	TimestampTz source_time; /* the source was at position.source */
	bool read;               /* the last action was to read a batch */
	bool unjudged;           /* partitions of a source wait for the stream */
	bool again;              /* the loads are others than before */
	uint32 look;             /* a look requested by hand and not reported yet; 0: none */
} Following;

/* ---- waiting, outside of a transaction ---- */

static bool
may_confirm(const Following *following, TimestampTz now)
{
	return following->unconfirmed != 0 && following->confirmed_at + CONFIRM_AFTER <= now &&
		   transaction_is_safe(following->commit_end);
}

/* Has the confirmation waited so long that a standby must be missing? */
static bool
is_held(const Following *following, TimestampTz now)
{
	return following->unconfirmed != 0 && following->waits_since + LOOK_AFTER <= now;
}

static long
milliseconds_until(TimestampTz time, TimestampTz now)
{
	return time <= now ? 0 : (long) ((time - now + 999) / 1000);
}

/* The time to wait if nothing happens. */
static long
patience(const Following *following, TimestampTz now)
{
	TimestampTz until = following->look_at;

	if (following->rest_until > now)
		until = Min(until, following->rest_until);
	/* the WAL writer needs three rounds at most; a standby may never answer */
	if (following->unconfirmed != 0)
		until = Min(until,
					Max(following->confirmed_at + CONFIRM_AFTER,
						now + (is_held(following, now) ? CONFIRM_AFTER : CONFIRM_AFTER / 4)));
	return milliseconds_until(until, now);
}

/* The clock may have been set back: no wait becomes longer than intended. */
static void
forget_times_to_come(Following *following, TimestampTz now)
{
	following->look_at = Min(following->look_at, now + LOOK_AFTER);
	following->confirmed_at = Min(following->confirmed_at, now);
	following->waits_since = Min(following->waits_since, now);
	if (following->rest_until > now + REST_MOST)
		following->rest_until = 0;
}

static Wake
wait_for_something(Following *following)
{
	for (;;)
	{
		TimestampTz now = GetCurrentTimestamp();
		bool resting;

		forget_times_to_come(following, now);
		resting = following->rest_until > now;
		CHECK_FOR_INTERRUPTS();
		if (following->follower->must_end())
			return WAKE_END;
		/*
		 * partitions are judged once the stream has reached their position: it
		 * must be read first
		 */
		if (following->follower->changed() || following->look_at <= now ||
			(following->follower->asked_look() != 0 && !following->unjudged))
			return WAKE_LOOK;
		/* batches and bites take turns, so that neither waits for all of the other */
		if (following->session->set.more && following->read)
			return WAKE_BITE;
		if (!resting && stream_has_input(&following->session->transport))
			return WAKE_INPUT;
		if (following->session->set.more)
			return WAKE_BITE;
		if (may_confirm(following, now))
			return WAKE_CONFIRM;
		stream_wait(&following->session->transport, !resting, patience(following, now));
	}
}

/* ---- reports ---- */

static void
report_moved(Following *following)
{
	XLogRecPtr position = following->session->taking.decoder.end;
	TimestampTz commit_time = following->session->taking.decoder.time;

	following->position.applied = position;
	following->position.held_since = is_held(following, GetCurrentTimestamp())
										 ? following->waits_since
										 : 0;
	if (position >= following->position.source)
		commit_time = Max(commit_time, following->source_time);
	following->position.as_of = Max(following->position.as_of, commit_time);
	following->follower->moved(&following->position);
}

/* ---- a transaction's work ---- */

/* The next look is due after LOOK_AFTER, or when the wait of a table ends. */
static TimestampTz
next_look(const Following *following)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz at = now + LOOK_AFTER;
	ListCell *cell;

	foreach(cell, following->session->set.tasks)
	{
		const LoadTask *task = lfirst(cell);

		if (task->retry_at > now && !task->stopped)
			at = Min(at, task->retry_at);
	}
	return at;
}

static bool
look_work(void *argument)
{
	Following *following = argument;
	LoadSession *session = following->session;
	SourceSlot *slot;
	SourceNow now;

	slot = source_slot_describe(session->source.control, session->stream->slot_name);
	following->position.retained_bytes = slot->retained_bytes;
	following->position.safe_wal_size = slot->safe_wal_size;
	witness_mark(&session->source, session->stream, &session->set);
	if (!basis_leaves_differ(&session->set))
		basis_look_at_leaves(&session->leaves, &session->set, &session->source, PG_UINT64_MAX);
	now = source_now(session->source.control);
	following->position.source = now.position;
	following->source_time = now.time;
	if (session->leaves.position == PG_UINT64_MAX)
		session->leaves.position = following->position.source;
	stream_ping(&session->transport);
	if (GetCurrentTimestamp() - session->transport.heard_at > SILENCE_MOST)
		ereport(ERROR,
				(errcode(ERRCODE_CONNECTION_FAILURE),
				 errmsg("server \"%s\" does not answer", session->source.server->name)));
	following->again = !prepare_tables_are_there(session);
	if (following->again)
		return true;
	if (!basis_leaves_differ(&session->set) && !server_has_waiting(session->server_name))
		return true;
	runs_begin_batch(&session->set);
	following->unjudged = !basis_judge_leaves(&session->leaves,
											  &session->set,
											  &session->source,
											  session->taking.decoder.end);
	waiting_publish(&session->set);
	runs_fold(&session->set);
	return true;
}

/* One look: are the loads unchanged, what is the position of the source, does anything wait? */
static ErrorData *
look(Following *following)
{
	LoadSession *session = following->session;
	char *fingerprint = loads_fingerprint(session->server_name);
	ErrorData *error = NULL;

	following->again = strcmp(fingerprint, following->fingerprint) != 0;
	following->unjudged = false;
	session->set.by_hand = following->follower->asked_look() != 0;
	if (!following->again)
	{
		uint32 asked = following->follower->asked_look();

		error = guarded_run(look_work, following);
		following->look = following->again || following->unjudged ? 0 : asked;
	}
	session->set.by_hand = false;
	following->look_at = Min(
		next_look(following),
		Max(server_next_work(session->server_name), GetCurrentTimestamp() + LOOK_AGAIN_AFTER));
	if (following->unjudged)
		following->look_at = Min(following->look_at, GetCurrentTimestamp() + LOOK_AGAIN_AFTER);
	return error;
}

/*
 * A silent connection proves little: the source may be waiting for buffer
 * space.  A constant difference of the clocks does not matter.
 */
static bool
is_behind(Following *following, TimestampTz now)
{
	TimestampTz commit_time = following->session->taking.decoder.time;
	int64 lag;

	if (stream_has_input(&following->session->transport) || commit_time == 0)
		return stream_has_input(&following->session->transport);
	lag = now - commit_time;
	following->least_lag = Min(following->least_lag, lag);
	return lag - following->least_lag > BEHIND;
}

static void
rest_after(Following *following, TimestampTz begun)
{
	TimestampTz now = GetCurrentTimestamp();
	int64 took = now - begun;

	if (!is_behind(following, now))
		following->rest_until = now +
								Min(took > LONG_BATCH ? took * REST_AFTER_LONG : took, REST_MOST);
}

static ErrorData *
read_batch(Following *following)
{
	LoadSession *session = following->session;
	ErrorData *error = step_batch(session);

	if (error == NULL)
		following->look_at = Min(following->look_at, next_look(following));
	return error;
}

static ErrorData *
confirm(Following *following)
{
	ErrorData *error = step_confirm(following->session, following->unconfirmed);

	following->confirmed = following->unconfirmed;
	following->unconfirmed = 0;
	following->confirmed_at = GetCurrentTimestamp();
	return error;
}

static bool
bite_work(void *argument)
{
	LoadSession *session = argument;

	runs_begin_batch(&session->set);
	waiting_publish(&session->set);
	runs_fold(&session->set);
	return true;
}

static ErrorData *
act(Following *following, Wake wake)
{
	following->read = wake == WAKE_INPUT;
	switch (wake)
	{
		case WAKE_INPUT:
			return read_batch(following);
		case WAKE_LOOK:
			return look(following);
		case WAKE_BITE:
			return guarded_run(bite_work, following->session);
		case WAKE_CONFIRM:
			return confirm(following);
		case WAKE_END:
			break;
	}
	return NULL;
}

/* ---- the loop ---- */

/* Later positions do not delay the confirmation of a waiting one. */
static void
next_to_confirm(Following *following)
{
	if (following->unconfirmed != 0 || following->latest <= following->confirmed)
		return;
	following->unconfirmed = following->latest;
	following->commit_end = following->latest_end;
	following->waits_since = GetCurrentTimestamp();
}

/* Stays outside of a transaction until there is something to do. */
static Wake
pause_until_wake(Following *following)
{
	LoadSession *session = following->session;
	Wake wake;

	transaction_end_worker();
	if (session->progress.advanced)
	{
		following->latest = session->stream->applied_lsn;
		following->latest_end = XactLastCommitEnd;
		session->progress.advanced = false;
	}
	next_to_confirm(following);
	report_moved(following);
	if (following->look != 0)
		following->follower->looked(following->look);
	following->look = 0;
	pgstat_report_stat(false);
	pgstat_report_activity(STATE_IDLE, NULL);
	wake = wait_for_something(following);
	pgstat_report_activity(STATE_RUNNING, NULL);
	transaction_begin_worker(following->context);
	/* the context of the process is not reset while the session lasts */
	MemoryContextReset(session->turn);
	MemoryContextSwitchTo(session->turn);
	return wake;
}

/* The fixed cost of a batch, whatever its number of rows. */
static void
log_cost(uint64 statements)
{
	ereport(DEBUG2,
			(errmsg_internal("depipe: the batch ran " UINT64_FORMAT
							 " statements on depipe's own tables",
							 statements),
			 errhidestmt(true),
			 errhidecontext(true)));
}

static ErrorData *
follow(Following *following, bool *told)
{
	following->session->set.following = true;
	stream_follow(&following->session->transport);
	for (;;)
	{
		Wake wake = pause_until_wake(following);
		TimestampTz begun = GetCurrentTimestamp();
		uint64 statements = catalog_statements_run();
		ErrorData *error;

		*told = wake == WAKE_END || !following->follower->may_go_on();
		if (*told)
			return NULL;
		error = act(following, wake);
		if (error != NULL || following->again)
			return error;
		if (wake == WAKE_INPUT && following->session->progress.advanced)
		{
			log_cost(catalog_statements_run() - statements);
			rest_after(following, begun);
		}
	}
}

/* ---- a session ---- */

static bool
is_streaming(LoadSession *session)
{
	return session_has_stream(session) && session->progress.at_stop && !session->overtaken &&
		   session->transport.connection != NULL;
}

/* The session failed after a good beginning: failures are counted from now on. */
static void
note_failure(LoadSession *session, const ErrorData *error)
{
	attempt_begin(unit_of_server(session->server_name));
	runs_close(&session->set);
	runs_fail(session, error);
	runs_finish(&session->set);
}

static LoadFollowEnd
follow_session(LoadSession *session, const char *fingerprint, const LoadFollower *follower)
{
	Following following = {.session = session,
						   .follower = follower,
						   .context = PortalContext,
						   .fingerprint = fingerprint};
	MemoryContext old = MemoryContextSwitchTo(session->set.context);
	ErrorData *error;
	bool told = false;

	following.look_at = GetCurrentTimestamp() + LOOK_AFTER;
	following.least_lag = PG_INT64_MAX;
	/* earlier commits may not be confirmed yet */
	following.latest = session->stream->applied_lsn;
	following.latest_end = Max(XactLastCommitEnd, GetFlushRecPtr(NULL));
	following.position.source = session->transport.stop;
	following.source_time = session->transport.stop_time;
	following.position.retained_bytes = following.position.safe_wal_size = -1;
	MemoryContextSwitchTo(old);
	error = follow(&following, &told);
	MemoryContextSwitchTo(session->set.context);
	if (error != NULL)
		note_failure(session, error);
	else
		runs_close(&session->set);
	MemoryContextSwitchTo(old);
	if (error != NULL)
		return FOLLOW_FAILED;
	return told ? FOLLOW_TOLD : FOLLOW_AGAIN;
}

/* The runs of the first part have ended; following begins with new ones. */
static void
end_first_runs(LoadSession *session)
{
	ListCell *cell;

	runs_finish(&session->set);
	foreach(cell, session->set.tasks)
	{
		LoadTask *task = lfirst(cell);

		task->run = NULL;
		task->counted = false;
	}
}

/* A load created or changed in the meantime belongs to the next session. */
static LoadFollowEnd
catch_up_and_follow(LoadSession *session, const char *fingerprint, const LoadFollower *follower)
{
	ErrorData *error = step_catch_up(session);
	bool streaming = error == NULL && is_streaming(session);

	end_first_runs(session);
	if (error != NULL)
		return FOLLOW_FAILED;
	attempt_end(unit_of_server(session->server_name));
	if (strcmp(loads_fingerprint(session->server_name), fingerprint) != 0)
		return FOLLOW_AGAIN;
	if (!streaming)
		return follower->must_end() ? FOLLOW_TOLD : FOLLOW_NONE;
	return follow_session(session, fingerprint, follower);
}

LoadFollowEnd
follow_stream(const char *server, List *targets, List *runs, const char *fingerprint,
			  const LoadFollower *follower)
{
	LoadRefreshOptions options = {.commit = true,
								  .quiet = true,
								  .copied_beside = true,
								  .must_end = follower->must_end};
	MemoryContext old = CurrentMemoryContext;
	LoadSession *session;
	LoadFollowEnd end;

	if (!streamlock_hold(server))
	{
		/* not a failure: the stream is lent, for example to verify */
		runs_skip(runs, STREAM_IS_TAKEN, true);
		attempt_end(unit_of_server(server));
		return FOLLOW_LOCKED;
	}
	/*
	 * A commit can become visible, and wake us, a moment before its
	 * invalidations arrive: the caches may hold a server older than the
	 * fingerprint, and nothing would report that later.
	 */
	InvalidateSystemCaches();
	session = session_begin(server, &options);
	MemoryContextSwitchTo(session->set.context);
	refresh_attach(session, targets, runs);
	end = catch_up_and_follow(session, fingerprint, follower);
	MemoryContextSwitchTo(old);
	session_end(session);
	streamlock_release(server);
	return end;
}
