/*-------------------------------------------------------------------------
 *
 * capture_wait.c
 *		Waiting for the writers of a table.
 *
 * A refresh does without a capture as long as it cannot briefly lock out the
 * writers of the input.  It waits for them only if that is likely to succeed:
 * not for a transaction that has been open for longer than the wait would
 * last.  After a futile attempt, a session does not wait for that input for a
 * while, but still takes the lock if it is available.  Each futile attempt
 * doubles that pause.
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
 * How long to try to find a moment without writers, and then, how long to
 * exclude new writers while waiting for active ones.  The latter is shorter
 * than deadlock_timeout (by default), so that no other transaction is
 * cancelled because of it.
 */
#define LONGEST_LOOK_MS 500
#define LONGEST_WAIT_MS 100
#define LOOK_EVERY_MS 10

/* The pause after the first futile attempt, and the longest pause. */
#define FIRST_PAUSE_MS 5000
#define LONGEST_PAUSE_MS (5 * 60 * 1000)

/* An input for whose writers this session has waited in vain. */
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

/*
 * Fails also if a statement of this session is using the table: only a part of
 * its changes would be captured.
 */
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
