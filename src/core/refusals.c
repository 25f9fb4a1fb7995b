/*-------------------------------------------------------------------------
 *
 * refusals.c
 *		Findings of refused statements, on their way to the scheduler.
 *
 * An error rolls back whatever its statement wrote.  What must outlive it, the
 * verdict and the breaker, waits here until a scheduler, or run_due, commits
 * it.  There is one entry for each constraint, which later findings join, so
 * that a loop that is refused again and again fills nothing.
 *
 * Invariant: one lock protects everything; it is held for one pass over the
 * entries.
 *
 *-------------------------------------------------------------------------
 */
#include "core/refusals.h"

#include "access/xact.h"
#include "core/shmem.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"

typedef struct Refusals
{
	LWLock *lock;
	int64 lost;
	Refusal entries[REFUSALS_MOST];
} Refusals;

static Refusals *shared = NULL;
static bool has_taken = false;

void
refusals_shmem_request(void)
{
	RequestAddinShmemSpace(MAXALIGN(sizeof(Refusals)));
	RequestNamedLWLockTranche("depipe refusals", 1);
}

void
refusals_shmem_startup(void)
{
	bool found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct("depipe refusals", sizeof(Refusals), &found);
	if (!found)
	{
		memset(shared, 0, sizeof(Refusals));
		shared->lock = &GetNamedLWLockTranche("depipe refusals")->lock;
	}
	LWLockRelease(AddinShmemInitLock);
}

bool
refusals_exist(void)
{
	return shared != NULL;
}

static Refusal *
place_of(const Refusal *refusal)
{
	Refusal *place = NULL;

	for (int i = 0; i < REFUSALS_MOST; i++)
	{
		Refusal *entry = &shared->entries[i];

		if (entry->database == MyDatabaseId && entry->constraint_id == refusal->constraint_id &&
			entry->taker == 0)
			return entry;
		if (place == NULL && !OidIsValid(entry->database))
			place = entry;
	}
	return place;
}

void
refusal_put(const Refusal *refusal)
{
	Refusal *place;

	if (shared == NULL)
		return;
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	place = place_of(refusal);
	if (place == NULL)
		shared->lost++;
	else
	{
		bool joins = OidIsValid(place->database);
		int64 statements = joins ? place->statements : 0;
		int action = joins ? place->action : 0;

		*place = *refusal;
		place->database = MyDatabaseId;
		place->action = Max(refusal->action, action);
		place->statements = statements + 1;
		place->taker = 0;
	}
	LWLockRelease(shared->lock);
	database_changed(MyDatabaseId);
}

static void
end_taking(bool committed)
{
	has_taken = false;
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < REFUSALS_MOST; i++)
	{
		Refusal *entry = &shared->entries[i];

		if (entry->taker != MyProcPid || entry->database != MyDatabaseId)
			continue;
		entry->taker = 0;
		if (committed)
			entry->database = InvalidOid;
	}
	LWLockRelease(shared->lock);
}

static void
at_transaction_end(XactEvent event, void *argument)
{
	if (has_taken && (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT))
		end_taking(event == XACT_EVENT_COMMIT);
}

int
refusals_take(Refusal *into, int64 *lost)
{
	static bool registered = false;
	int count = 0;

	*lost = 0;
	if (shared == NULL)
		return 0;
	if (!registered)
		RegisterXactCallback(at_transaction_end, NULL);
	registered = true;
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < REFUSALS_MOST; i++)
	{
		Refusal *entry = &shared->entries[i];

		if (entry->database != MyDatabaseId || entry->taker != 0)
			continue;
		entry->taker = MyProcPid;
		into[count++] = *entry;
	}
	if (count > 0)
	{
		*lost = shared->lost;
		shared->lost = 0;
		has_taken = true;
	}
	LWLockRelease(shared->lock);
	return count;
}
