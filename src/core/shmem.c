/*-------------------------------------------------------------------------
 *
 * shmem.c
 *		State shared by the workers: running workers and served databases.
 *
 * One lock protects everything.  It is held at most for one pass over the
 * slots.  A slot is taken by the process that requests a worker, before the
 * new process exists, so that nothing is started twice; the worker releases it
 * when it exits.  If the process does not appear, the slot is reclaimed after
 * START_TIMEOUT.  A process that appears later learns from the generation that
 * the slot is no longer its own.
 *
 * A transaction that changes definitions or states reports this with
 * catalog_changed().  Its commit wakes the workers of the database and the
 * launcher, so that no process has to poll tables for changes.
 *
 *-------------------------------------------------------------------------
 */
#include "core/shmem.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/condition_variable.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/builtins.h"

#define START_TIMEOUT (30 * USECS_PER_SEC)
#define LEAVE_ALONE (10 * USECS_PER_SEC)

/* All fields of these structs are protected by the lock. */
typedef struct WorkerSlot
{
	bool used;
	WorkerId id;
	pid_t pid; /* 0: not started yet */
	uint16 generation;
	TimestampTz started_at;
	int asked;          /* stream worker: sessions that want its stream */
	uint32 looks_asked; /* stream worker: manual looks requested and completed */
	uint32 looks_done;
	StreamPosition position; /* stream worker only */
} WorkerSlot;

typedef struct DatabaseSlot
{
	Oid database; /* InvalidOid: free */
	bool has_extension;
	uint32 reason;         /* hash of the reported reason for not serving it; 0: none */
	TimestampTz looked_at; /* time at which a scheduler was last started */
	TimestampTz look_at;   /* time at which the next one is due */
	bool look_now;         /* something has changed since then */
	uint64 changes;        /* committed transactions that changed something */
	TimestampTz left_alone_until;
} DatabaseSlot;

typedef struct WorkerShared
{
	LWLock *lock;
	pid_t launcher;        /* 0: not running */
	bool out_of_processes; /* the last request for a process failed */
	TimestampTz complained_at;
	ConditionVariable moved; /* broadcast when a stream worker commits or exits */
	WorkerSlot workers[WORKER_SLOTS];
	DatabaseSlot databases[DATABASE_SLOTS];
} WorkerShared;

static WorkerShared *shared = NULL;
static int my_slot = -1;

void
worker_shmem_request(void)
{
	RequestAddinShmemSpace(MAXALIGN(sizeof(WorkerShared)));
	RequestNamedLWLockTranche("depipe", 1);
}

void
worker_shmem_startup(void)
{
	bool found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct("depipe workers", sizeof(WorkerShared), &found);
	if (!found)
	{
		memset(shared, 0, sizeof(WorkerShared));
		shared->lock = &GetNamedLWLockTranche("depipe")->lock;
		ConditionVariableInit(&shared->moved);
	}
	LWLockRelease(AddinShmemInitLock);
}

/* True if this transaction has changed definitions or states that workers act upon. */
static bool changed = false;

void
catalog_changed(void)
{
	changed = true;
}

/* The server whose stream this session has requested but not acquired yet. */
static NameData asked_server;

/*
 * Transaction callback.  A commit announces the transaction's changes.  An
 * abort withdraws the request for a stream.
 */
static void
at_transaction_end(XactEvent event, void *argument)
{
	if (event == XACT_EVENT_ABORT && NameStr(asked_server)[0] != '\0')
		(void) stream_ask(NameStr(asked_server), -1);
	if (!changed || event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_PARALLEL_PRE_COMMIT ||
		event == XACT_EVENT_PRE_PREPARE)
		return;
	changed = false;
	if (event == XACT_EVENT_COMMIT)
		database_changed(MyDatabaseId);
}

void
worker_shmem_init(void)
{
	RegisterXactCallback(at_transaction_end, NULL);
}

/* ---- databases; the caller holds the lock ---- */

static DatabaseSlot *
find_database(Oid database)
{
	DatabaseSlot *oldest = &shared->databases[0];

	for (int i = 0; i < DATABASE_SLOTS; i++)
	{
		DatabaseSlot *slot = &shared->databases[i];

		if (slot->database == database)
			return slot;
		if (OidIsValid(oldest->database) &&
			(!OidIsValid(slot->database) || slot->looked_at < oldest->looked_at))
			oldest = slot;
	}
	memset(oldest, 0, sizeof(DatabaseSlot));
	oldest->database = database;
	return oldest;
}

/* ---- workers; the caller holds the lock ---- */

static bool
same_worker(const WorkerId *one, const WorkerId *other)
{
	return one->kind == other->kind && one->database == other->database &&
		   one->number == other->number &&
		   strcmp(NameStr(one->server), NameStr(other->server)) == 0;
}

/*
 * Is the slot taken?  A process that has not appeared within START_TIMEOUT
 * failed to start; no process reports such a failure.
 */
static bool
is_taken(const WorkerSlot *slot, TimestampTz now)
{
	return slot->used && (slot->pid != 0 || slot->started_at + START_TIMEOUT >= now);
}

static WorkerSlot *
find_worker(const WorkerId *id)
{
	TimestampTz now = GetCurrentTimestamp();

	for (int i = 0; i < WORKER_SLOTS; i++)
		if (is_taken(&shared->workers[i], now) && same_worker(&shared->workers[i].id, id))
			return &shared->workers[i];
	return NULL;
}

/*
 * The maximum number of workers that leaves room for this kind.  Half of the
 * cluster's worker processes stay available for parallel queries.  Streams and
 * copies leave two of depipe's workers for short tasks.  One copy may run even
 * if streams take all the others.
 */
static int
limit_for(WorkerKind kind, int copies)
{
	int limit = Min(depipe_max_workers, Max(max_worker_processes / 2, 3));

	if (kind == WORKER_COPY && copies == 0)
		return limit - 1;
	return kind == WORKER_STREAM || kind == WORKER_COPY ? limit - 2 : limit;
}

/* A free slot; NULL if the limit for this kind is reached. */
static WorkerSlot *
free_slot(WorkerKind kind, TimestampTz now)
{
	WorkerSlot *found = NULL;
	int count = 0;
	int copies = 0;

	for (int i = 0; i < WORKER_SLOTS; i++)
	{
		WorkerSlot *slot = &shared->workers[i];

		slot->used = is_taken(slot, now);
		if (slot->used)
		{
			count++;
			copies += slot->id.kind == WORKER_COPY;
		}
		else
			found = slot;
	}
	return count < limit_for(kind, copies) ? found : NULL;
}

static const char *
kind_name(WorkerKind kind)
{
	switch (kind)
	{
		case WORKER_SCHEDULER:
			return "depipe scheduler";
		case WORKER_STREAM:
			return "depipe stream worker";
		case WORKER_RUN:
			return "depipe run worker";
		case WORKER_COPY:
			return "depipe copy worker";
	}
	pg_unreachable();
}

static const char *
kind_function(WorkerKind kind)
{
	switch (kind)
	{
		case WORKER_SCHEDULER:
			return "depipe_scheduler_main";
		case WORKER_STREAM:
			return "depipe_stream_worker_main";
		case WORKER_RUN:
			return "depipe_run_worker_main";
		case WORKER_COPY:
			return "depipe_copy_worker_main";
	}
	pg_unreachable();
}

/*
 * Warn that no process is available, but not again until one was, and at most
 * once a minute.  The start is retried regardless.
 */
static void
complain(TimestampTz now)
{
	bool again = shared->out_of_processes;

	shared->out_of_processes = true;
	if (again || now - shared->complained_at < USECS_PER_MINUTE)
		return;
	shared->complained_at = now;
	ereport(WARNING,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("out of background worker slots for depipe"),
			 errhint("You might need to increase max_worker_processes.")));
}

static bool
register_worker(const WorkerId *id, int slot, uint16 generation)
{
	BackgroundWorker worker = {0};

	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	snprintf(worker.bgw_library_name, sizeof(worker.bgw_library_name), "depipe");
	snprintf(worker.bgw_function_name,
			 sizeof(worker.bgw_function_name),
			 "%s",
			 kind_function(id->kind));
	snprintf(worker.bgw_type, BGW_MAXLEN, "%s", kind_name(id->kind));
	if (id->kind == WORKER_STREAM || id->kind == WORKER_COPY)
		snprintf(worker.bgw_name,
				 BGW_MAXLEN,
				 "%s: server %s",
				 kind_name(id->kind),
				 NameStr(id->server));
	else
		snprintf(worker.bgw_name, BGW_MAXLEN, "%s", kind_name(id->kind));
	worker.bgw_main_arg = Int32GetDatum(slot | ((int32) (generation & 0x7FFF) << 16));
	worker.bgw_notify_pid = 0;
	return RegisterDynamicBackgroundWorker(&worker, NULL);
}

bool
worker_start(const WorkerId *id)
{
	TimestampTz now = GetCurrentTimestamp();
	WorkerSlot *slot = NULL;
	bool there;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	there = find_worker(id) != NULL;
	if (!there && find_database(id->database)->left_alone_until <= now)
		slot = free_slot(id->kind, now);
	if (slot != NULL)
	{
		slot->used = true;
		slot->id = *id;
		slot->pid = 0;
		slot->generation++;
		slot->started_at = now;
		slot->asked = 0;
		slot->looks_asked = slot->looks_done = 0;
		memset(&slot->position, 0, sizeof(StreamPosition));
		there = register_worker(id, slot - shared->workers, slot->generation);
		slot->used = there;
		if (there)
			shared->out_of_processes = false;
		else
			complain(now);
	}
	LWLockRelease(shared->lock);
	return there;
}

bool
workers_out_of_processes(void)
{
	bool result;

	if (shared == NULL)
		return false;
	LWLockAcquire(shared->lock, LW_SHARED);
	result = shared->out_of_processes;
	LWLockRelease(shared->lock);
	return result;
}

bool
worker_is_running(const WorkerId *id)
{
	bool found;

	LWLockAcquire(shared->lock, LW_SHARED);
	found = find_worker(id) != NULL;
	LWLockRelease(shared->lock);
	return found;
}

/* ---- in the worker ---- */

static void
wake_launcher(void)
{
	if (shared->launcher != 0)
		(void) kill(shared->launcher, SIGUSR1);
}

/* Release the slot.  The next scheduler finds the work that this worker left unfinished. */
static void
detach(int code, Datum argument)
{
	WorkerSlot *slot = &shared->workers[my_slot];

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	if (slot->used && slot->pid == MyProcPid)
	{
		slot->used = false;
		if (slot->id.kind != WORKER_SCHEDULER)
			find_database(slot->id.database)->look_now = true;
		wake_launcher();
	}
	LWLockRelease(shared->lock);
	ConditionVariableBroadcast(&shared->moved);
}

WorkerId
worker_attach(Datum argument)
{
	int slot_number = DatumGetInt32(argument) & 0xFFFF;
	int generation = DatumGetInt32(argument) >> 16;
	WorkerSlot *slot = &shared->workers[slot_number];
	WorkerId id;
	bool mine;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	mine = slot->used && slot->pid == 0 && (slot->generation & 0x7FFF) == generation &&
		   find_database(slot->id.database)->left_alone_until <= GetCurrentTimestamp();
	if (mine)
		slot->pid = MyProcPid;
	id = slot->id;
	LWLockRelease(shared->lock);
	if (!mine)
		proc_exit(0);
	my_slot = slot_number;
	before_shmem_exit(detach, (Datum) 0);
	return id;
}

/* ---- the launcher ---- */

static void
launcher_gone(int code, Datum argument)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	if (shared->launcher == MyProcPid)
		shared->launcher = 0;
	LWLockRelease(shared->lock);
}

void
launcher_attach(void)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	shared->launcher = MyProcPid;
	LWLockRelease(shared->lock);
	before_shmem_exit(launcher_gone, (Datum) 0);
}

/* ---- databases ---- */

TimestampTz
database_look_at(Oid database, int naptime_ms)
{
	TimestampTz now = GetCurrentTimestamp();
	DatabaseSlot *slot;
	TimestampTz at;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = find_database(database);
	at = slot->look_now ? 0 : slot->look_at;
	at = Max(at, slot->looked_at + naptime_ms * INT64CONST(1000));
	at = Max(at, slot->left_alone_until);
	/* it lies in the future: the clock was set back */
	if (slot->looked_at > now)
		at = slot->left_alone_until = 0;
	LWLockRelease(shared->lock);
	return at;
}

void
databases_look_now(void)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < DATABASE_SLOTS; i++)
		if (OidIsValid(shared->databases[i].database))
			shared->databases[i].look_now = true;
	LWLockRelease(shared->lock);
}

void
database_looking(Oid database, TimestampTz otherwise_at)
{
	DatabaseSlot *slot;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = find_database(database);
	slot->looked_at = GetCurrentTimestamp();
	slot->look_at = otherwise_at;
	slot->look_now = false;
	LWLockRelease(shared->lock);
}

/*
 * A look that is more than a minute overdue will not happen: there is no
 * launcher, or depipe.databases does not list the database.
 */
bool
database_is_served(Oid database)
{
	TimestampTz oldest = GetCurrentTimestamp() - USECS_PER_MINUTE;
	bool served = false;

	if (shared == NULL)
		return false;
	LWLockAcquire(shared->lock, LW_SHARED);
	for (int i = 0; i < DATABASE_SLOTS; i++)
	{
		DatabaseSlot *slot = &shared->databases[i];

		if (slot->database == database)
			served = slot->has_extension && Max(slot->look_at, slot->looked_at) > oldest;
	}
	LWLockRelease(shared->lock);
	return served;
}

bool
database_note(Oid database, bool has_extension, uint32 reason, TimestampTz look_at)
{
	DatabaseSlot *slot;
	bool changed;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = find_database(database);
	changed = slot->has_extension != has_extension || (reason != 0 && slot->reason != reason);
	slot->has_extension = has_extension;
	slot->reason = reason;
	slot->look_at = look_at;
	wake_launcher();
	LWLockRelease(shared->lock);
	return changed;
}

void
database_changed(Oid database)
{
	DatabaseSlot *slot;

	if (shared == NULL)
		return;
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = find_database(database);
	slot->changes++;
	slot->look_now = true;
	wake_launcher();
	for (int i = 0; i < WORKER_SLOTS; i++)
	{
		WorkerSlot *worker = &shared->workers[i];

		if (worker->used && worker->pid != 0 && worker->id.kind == WORKER_STREAM &&
			worker->id.database == database && worker->pid != MyProcPid)
			(void) kill(worker->pid, SIGUSR1);
	}
	LWLockRelease(shared->lock);
}

uint64
database_changes(Oid database)
{
	uint64 changes;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	changes = find_database(database)->changes;
	LWLockRelease(shared->lock);
	return changes;
}

void
database_leave_alone(Oid database)
{
	if (shared == NULL)
		return;
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	find_database(database)->left_alone_until = GetCurrentTimestamp() + LEAVE_ALONE;
	for (int i = 0; i < WORKER_SLOTS; i++)
	{
		WorkerSlot *slot = &shared->workers[i];

		if (slot->used && slot->id.database == database && slot->pid != 0)
			(void) kill(slot->pid, SIGTERM);
	}
	LWLockRelease(shared->lock);
}

/* ---- streams ---- */

/* The caller holds the lock. */
static WorkerSlot *
find_stream(const char *server)
{
	WorkerId id = {.kind = WORKER_STREAM, .database = MyDatabaseId};

	namestrcpy(&id.server, server);
	return find_worker(&id);
}

bool
stream_ask(const char *server, int change)
{
	WorkerSlot *slot;

	if (shared == NULL)
		return false;
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = find_stream(server);
	if (slot != NULL && change != 0)
	{
		slot->asked = Max(slot->asked + change, 0);
		namestrcpy(&asked_server, change > 0 ? server : "");
		if (slot->pid != 0)
			(void) kill(slot->pid, SIGUSR1);
	}
	LWLockRelease(shared->lock);
	return slot != NULL;
}

bool
stream_is_asked_for(void)
{
	bool asked;

	LWLockAcquire(shared->lock, LW_SHARED);
	asked = shared->workers[my_slot].asked > 0;
	LWLockRelease(shared->lock);
	return asked;
}

uint32
stream_ask_look(const char *server)
{
	WorkerSlot *slot;
	uint32 look = 0;

	if (shared == NULL)
		return 0;
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = find_stream(server);
	if (slot != NULL)
	{
		look = ++slot->looks_asked;
		if (slot->pid != 0)
			(void) kill(slot->pid, SIGUSR1);
	}
	LWLockRelease(shared->lock);
	return look;
}

bool
stream_has_looked(const char *server, uint32 look)
{
	WorkerSlot *slot;
	bool looked;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = find_stream(server);
	looked = slot != NULL && slot->looks_done >= look;
	/* a new worker has started to count from zero since: repeat the request */
	if (slot != NULL && slot->looks_asked < look)
	{
		slot->looks_asked = look;
		if (slot->pid != 0)
			(void) kill(slot->pid, SIGUSR1);
	}
	LWLockRelease(shared->lock);
	return looked;
}

uint32
stream_asked_look(void)
{
	WorkerSlot *slot = &shared->workers[my_slot];
	uint32 look;

	LWLockAcquire(shared->lock, LW_SHARED);
	look = slot->looks_asked > slot->looks_done ? slot->looks_asked : 0;
	LWLockRelease(shared->lock);
	return look;
}

void
stream_looked(uint32 look)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	shared->workers[my_slot].looks_done = look;
	LWLockRelease(shared->lock);
	ConditionVariableBroadcast(&shared->moved);
}

void
stream_moved(const StreamPosition *position)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	shared->workers[my_slot].position = *position;
	LWLockRelease(shared->lock);
	ConditionVariableBroadcast(&shared->moved);
}

bool
stream_position(const char *server, StreamPosition *position)
{
	WorkerSlot *slot;
	bool found;

	if (shared == NULL)
		return false;
	LWLockAcquire(shared->lock, LW_SHARED);
	slot = find_stream(server);
	found = slot != NULL;
	if (found)
		*position = slot->position;
	LWLockRelease(shared->lock);
	return found;
}

int
stream_workers(StreamWorker *workers)
{
	int count = 0;

	if (shared == NULL)
		return 0;
	LWLockAcquire(shared->lock, LW_SHARED);
	for (int i = 0; i < WORKER_SLOTS; i++)
	{
		WorkerSlot *slot = &shared->workers[i];

		if (!slot->used || slot->pid == 0 || slot->id.kind != WORKER_STREAM ||
			slot->id.database != MyDatabaseId)
			continue;
		workers[count].server = slot->id.server;
		workers[count].pid = slot->pid;
		workers[count++].position = slot->position;
	}
	LWLockRelease(shared->lock);
	return count;
}

void
stream_wait_for_move(long timeout_ms)
{
	(void) ConditionVariableTimedSleep(&shared->moved, timeout_ms, PG_WAIT_EXTENSION);
}

void
stream_wait_is_over(void)
{
	(void) ConditionVariableCancelSleep();
}
