/*-------------------------------------------------------------------------
 *
 * transaction.c
 *		Procedures and workers that commit between steps, and the durability
 *		of their commits.
 *
 *-------------------------------------------------------------------------
 */
#include "core/transaction.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "pgstat.h"
#include "replication/syncrep.h"
#include "replication/walsender.h"
#include "replication/walsender_private.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* Milliseconds between two checks of the standbys' positions. */
#define SAFE_WAIT_STEP 10

MemoryContext
transaction_begin_procedure(FunctionCallInfo fcinfo, const char *name, const char *hint)
{
	MemoryContext context;

	if (fcinfo->context == NULL || !IsA(fcinfo->context, CallContext) ||
		castNode(CallContext, fcinfo->context)->atomic)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
				 errmsg("procedure %s cannot run inside a transaction block or a function", name),
				 errhint("%s", hint)));
	if (SPI_connect_ext(SPI_OPT_NONATOMIC) != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	PushActiveSnapshot(GetTransactionSnapshot());
	context = AllocSetContextCreate(PortalContext, "depipe procedure", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(context);
	return context;
}

void
transaction_commit(void)
{
	MemoryContext context = CurrentMemoryContext;

	PopActiveSnapshot();
	SPI_commit();
	PushActiveSnapshot(GetTransactionSnapshot());
	MemoryContextSwitchTo(context);
}

void
transaction_commit_and_wait(long milliseconds)
{
	MemoryContext context = CurrentMemoryContext;

	PopActiveSnapshot();
	SPI_commit();
	(void) WaitLatch(MyLatch,
					 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 milliseconds,
					 PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	PushActiveSnapshot(GetTransactionSnapshot());
	MemoryContextSwitchTo(context);
}

void
transaction_end_procedure(void)
{
	PopActiveSnapshot();
	SPI_finish();
}

void
transaction_begin_worker(MemoryContext context)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	/* the context takes the place of a procedure's portal context */
	PortalContext = context;
	if (SPI_connect_ext(SPI_OPT_NONATOMIC) != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	PushActiveSnapshot(GetTransactionSnapshot());
	MemoryContextSwitchTo(context);
}

void
transaction_end_worker(void)
{
	PopActiveSnapshot();
	SPI_finish();
	CommitTransactionCommand();
	PortalContext = NULL;
}

/* ---- durability ---- */

/*
 * What a commit waits for from synchronous standbys; SYNC_REP_NO_WAIT:
 * nothing.  The configured value of synchronous_commit counts, not a value
 * that a worker or a session sets for itself: confirming a position to the
 * source is not a private matter of this session.
 */
static int
standby_wait_mode(void)
{
	const char *level;

	if (max_wal_senders == 0 || SyncRepStandbyNames == NULL || SyncRepStandbyNames[0] == '\0')
		return SYNC_REP_NO_WAIT;
	level = GetConfigOptionResetString("synchronous_commit");
	if (strcmp(level, "off") == 0 || strcmp(level, "local") == 0)
		return SYNC_REP_NO_WAIT;
	if (strcmp(level, "remote_write") == 0)
		return SYNC_REP_WAIT_WRITE;
	if (strcmp(level, "remote_apply") == 0)
		return SYNC_REP_WAIT_APPLY;
	return SYNC_REP_WAIT_FLUSH;
}

/*
 * Have the synchronous standbys reached this position?  The WAL senders
 * maintain it, for FIRST and for ANY; see SyncRepWaitForLSN.
 */
static bool
standbys_have(XLogRecPtr end)
{
	int mode = standby_wait_mode();
	XLogRecPtr position;

	if (mode == SYNC_REP_NO_WAIT)
		return true;
	LWLockAcquire(SyncRepLock, LW_SHARED);
	position = WalSndCtl->lsn[mode];
	LWLockRelease(SyncRepLock);
	return end <= position;
}

bool
transaction_is_safe(XLogRecPtr end)
{
	return end <= GetFlushRecPtr(NULL) && standbys_have(end);
}

bool
transaction_is_safe_within(XLogRecPtr end, long milliseconds)
{
	TimestampTz until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), milliseconds);

	while (!transaction_is_safe(end))
	{
		CHECK_FOR_INTERRUPTS();
		if (GetCurrentTimestamp() >= until)
			return false;
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 SAFE_WAIT_STEP,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
	return true;
}
