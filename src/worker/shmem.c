/*-------------------------------------------------------------------------
 *
 * shmem.c
 *		What the workers share: who runs, and which databases are theirs.
 *
 * One lock protects everything; it is held for a walk over the slots at most.
 * A slot is taken by whoever starts a worker, before the process exists, so
 * that nothing is started twice; the worker gives it back when it exits.  One
 * whose process never came is taken back after START_TIMEOUT; the generation
 * tells a process that comes later that the slot is not its own any more.
 *
 *-------------------------------------------------------------------------
 */
#include "worker/shmem.h"

#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/shmem.h"

#define START_TIMEOUT (30 * USECS_PER_SEC)
#define LEAVE_ALONE (10 * USECS_PER_SEC)
#define MISSED_LOOKS 5

/* All fields of these under the lock. */
typedef struct WorkerSlot
{
	bool used;
	WorkerId id;
	pid_t pid; /* 0: not there yet */
	uint16 generation;
	TimestampTz started_at;
} WorkerSlot;

typedef struct DatabaseSlot
{
	Oid database; /* InvalidOid: free */
	bool has_extension;
	TimestampTz looked_at;
	TimestampTz left_alone_until;
} DatabaseSlot;

typedef struct WorkerShared
{
	LWLock *lock;
	WorkerSlot workers[WORKER_SLOTS];
	DatabaseSlot databases[DATABASE_SLOTS];
} WorkerShared;

static WorkerShared *shared = NULL;
static int my_slot = -1;
static shmem_request_hook_type previous_request_hook = NULL;
static shmem_startup_hook_type previous_startup_hook = NULL;

static void
request_shmem(void)
{
	if (previous_request_hook != NULL)
		previous_request_hook();
	RequestAddinShmemSpace(MAXALIGN(sizeof(WorkerShared)));
	RequestNamedLWLockTranche("depipe", 1);
}

static void
startup_shmem(void)
{
	bool found;

	if (previous_startup_hook != NULL)
		previous_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct("depipe workers", sizeof(WorkerShared), &found);
	if (!found)
	{
		memset(shared, 0, sizeof(WorkerShared));
		shared->lock = &GetNamedLWLockTranche("depipe")->lock;
	}
	LWLockRelease(AddinShmemInitLock);
}

void
worker_shmem_init(void)
{
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request_shmem;
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = startup_shmem;
}

/* ---- databases; the lock is held ---- */

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

/* ---- workers; the lock is held ---- */

static bool
same_worker(const WorkerId *one, const WorkerId *other)
{
	return one->kind == other->kind && one->database == other->database &&
		   strcmp(NameStr(one->server), NameStr(other->server)) == 0;
}

static WorkerSlot *
find_worker(const WorkerId *id)
{
	for (int i = 0; i < WORKER_SLOTS; i++)
		if (shared->workers[i].used && same_worker(&shared->workers[i].id, id))
			return &shared->workers[i];
	return NULL;
}

/*
 * Half of the cluster's worker processes stay for parallel queries; streams
 * leave two of ours for what ends by itself.
 */
static int
limit_for(WorkerKind kind)
{
	int limit = Min(depipe_max_workers, Max(max_worker_processes / 2, 3));

	return kind == WORKER_STREAM ? limit - 2 : limit;
}

/* A free slot, or NULL when there are as many workers as may be. */
static WorkerSlot *
free_slot(WorkerKind kind, TimestampTz now)
{
	WorkerSlot *found = NULL;
	int count = 0;

	for (int i = 0; i < WORKER_SLOTS; i++)
	{
		WorkerSlot *slot = &shared->workers[i];

		if (slot->used && slot->pid == 0 && slot->started_at + START_TIMEOUT < now)
			slot->used = false;
		if (slot->used)
			count++;
		else
			found = slot;
	}
	return count < limit_for(kind) ? found : NULL;
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
	}
	pg_unreachable();
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
	if (id->kind == WORKER_STREAM)
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
		there = register_worker(id, slot - shared->workers, slot->generation);
		slot->used = there;
	}
	LWLockRelease(shared->lock);
	return there;
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
detach(int code, Datum argument)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	if (shared->workers[my_slot].used && shared->workers[my_slot].pid == MyProcPid)
		shared->workers[my_slot].used = false;
	LWLockRelease(shared->lock);
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

/* ---- databases ---- */

bool
database_is_due(Oid database, int wait_ms, int wait_without_ms)
{
	TimestampTz now = GetCurrentTimestamp();
	DatabaseSlot *slot;
	bool due;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = find_database(database);
	due = slot->left_alone_until <= now &&
		  TimestampDifferenceExceeds(slot->looked_at,
									 now,
									 slot->has_extension ? wait_ms : wait_without_ms);
	if (due)
		slot->looked_at = now; /* also when the scheduler cannot be started: not at once again */
	LWLockRelease(shared->lock);
	return due;
}

/* One that was not looked at for some rounds has no launcher any more, or is not named. */
bool
database_is_served(Oid database)
{
	TimestampTz oldest = GetCurrentTimestamp() - MISSED_LOOKS * depipe_naptime * INT64CONST(1000) -
						 USECS_PER_MINUTE;
	bool served = false;

	if (shared == NULL)
		return false;
	LWLockAcquire(shared->lock, LW_SHARED);
	for (int i = 0; i < DATABASE_SLOTS; i++)
		if (shared->databases[i].database == database)
			served = shared->databases[i].has_extension && shared->databases[i].looked_at > oldest;
	LWLockRelease(shared->lock);
	return served;
}

bool
database_note(Oid database, bool has_extension)
{
	DatabaseSlot *slot;
	bool changed;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = find_database(database);
	changed = slot->has_extension != has_extension;
	slot->has_extension = has_extension;
	LWLockRelease(shared->lock);
	return changed;
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
