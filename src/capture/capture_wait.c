/*-------------------------------------------------------------------------
 *
 * capture_wait.c
 *		Waiting for the writers of a table, and when not to.
 *
 * A refresh goes on without a capture as long as it cannot lock the writers of
 * the input out for a moment.  It waits for them only as long as that is likely
 * to help: not for a transaction that has been open for longer than the wait
 * would last.  After attempts in vain a session does not wait at all for a while,
 * twice as long after each of them; it still takes the lock if it is free.
 *
 *-------------------------------------------------------------------------
 */
#include "capture/capture_wait.h"

#include "access/table.h"
#include "catalog/captures.h"
#include "commands/tablecmds.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

/*
 * How long to look for a moment without writers of an input, and then, how long
 * to keep new ones out while waiting for those that are there.  Less than
 * deadlock_timeout, so that nobody else's transaction ends for it.
 */
#define LONGEST_LOOK_MS 500
#define LONGEST_WAIT_MS 100
#define LOOK_EVERY_MS 10

/* How long not to wait after the first attempt in vain, and at most. */
#define FIRST_PAUSE_MS 5000
#define LONGEST_PAUSE_MS (5 * 60 * 1000)

/* An input whose writers were waited for in vain. */
typedef struct Pause
{
	Oid relid; /* key */
	int milliseconds;
	TimestampTz until;
} Pause;

static HTAB *pauses = NULL;

static Pause *
find_pause(Oid relid, HASHACTION action)
{
	HASHCTL control = {.keysize = sizeof(Oid),
					   .entrysize = sizeof(Pause),
					   .hcxt = TopMemoryContext};

	if (pauses == NULL)
		pauses = hash_create("depipe pauses", 16, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	return hash_search(pauses, &relid, action, NULL);
}

static bool
is_paused(Oid relid)
{
	const Pause *pause = find_pause(relid, HASH_FIND);

	return pause != NULL && GetCurrentTimestamp() < pause->until;
}

void
capture_note_wait(Oid relid, bool in_vain)
{
	Pause *pause = find_pause(relid, HASH_FIND);

	if (!in_vain)
	{
		if (pause != NULL)
			(void) find_pause(relid, HASH_REMOVE);
		return;
	}
	if (is_paused(relid))
		return;
	if (pause == NULL)
	{
		pause = find_pause(relid, HASH_ENTER);
		pause->milliseconds = FIRST_PAUSE_MS / 2;
	}
	pause->milliseconds = Min(2 * pause->milliseconds, LONGEST_PAUSE_MS);
	pause->until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), pause->milliseconds);
}

int
capture_longest_wait(Oid relid)
{
	if (is_paused(relid))
		return 1;
	return LockTimeout > 0 ? Min(LockTimeout, LONGEST_WAIT_MS) : LONGEST_WAIT_MS;
}

static void
refuse_to_wait(Oid relid, const char *why)
{
	ereport(DEBUG1,
			(errmsg_internal("writers of %s are not waited for: %s", get_rel_name(relid), why)));
	ereport(ERROR,
			(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
			 errmsg("could not obtain lock on relation \"%s\"", get_rel_name(relid))));
}

/* A statement on the table that is under way would be half seen. */
void
capture_lock_out_writers(Oid relid)
{
	Relation rel;

	for (int waited = 0; waited < LONGEST_LOOK_MS; waited += LOOK_EVERY_MS)
	{
		if (ConditionalLockRelationOid(relid, ShareRowExclusiveLock))
			break;
		if (is_paused(relid))
			refuse_to_wait(relid, "that was in vain before");
		if (waited == 0 && table_is_held_long(relid, LONGEST_LOOK_MS))
			refuse_to_wait(relid, "a transaction has been open for long");
		CHECK_FOR_INTERRUPTS();
		pg_usleep(LOOK_EVERY_MS * 1000L);
	}
	rel = table_open(relid, ShareRowExclusiveLock);
	CheckTableNotInUse(rel, "CREATE TRIGGER");
	table_close(rel, NoLock);
}
