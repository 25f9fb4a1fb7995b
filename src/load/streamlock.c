/*-------------------------------------------------------------------------
 *
 * streamlock.c
 *		The lock that a reader of a stream holds.
 *
 * The stream of a server has one reader at a time.  A run holds the lock until
 * its transaction ends, a process that follows the stream as long as it
 * follows.  The lock is advisory, on the table depipe.stream and the hash of
 * the server name.
 *
 *-------------------------------------------------------------------------
 */
#include "load/streamlock.h"

#include "catalog/loads.h"
#include "common/hashfn.h"
#include "core/shmem.h"
#include "miscadmin.h"
#include "storage/lock.h"

/* fourth field of the advisory lock: server functions use 1 and 2 */
#define STREAM_LOCK_SPACE 0x6470

static LOCKTAG
lock_tag(const char *server_name)
{
	LOCKTAG tag;

	SET_LOCKTAG_ADVISORY(
		tag,
		MyDatabaseId,
		stream_class(),
		DatumGetUInt32(hash_any((const unsigned char *) server_name, strlen(server_name))),
		STREAM_LOCK_SPACE);
	return tag;
}

bool
streamlock_take(const char *server_name, bool wait)
{
	LOCKTAG tag = lock_tag(server_name);
	bool asked;

	if (LockAcquire(&tag, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL)
		return true;
	asked = wait && stream_ask(server_name, 1);
	if (wait)
		(void) LockAcquire(&tag, ExclusiveLock, false, false);
	if (asked)
		(void) stream_ask(server_name, -1);
	return wait;
}

bool
streamlock_hold(const char *server_name)
{
	LOCKTAG tag = lock_tag(server_name);

	return LockAcquire(&tag, ExclusiveLock, true, true) != LOCKACQUIRE_NOT_AVAIL;
}

void
streamlock_release(const char *server_name)
{
	LOCKTAG tag = lock_tag(server_name);

	(void) LockRelease(&tag, ExclusiveLock, true);
}
